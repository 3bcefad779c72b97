#include "cli/handover.h"

#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/term.h"

enum { POLL_MS = 100, DECIDED_WITHIN = 90 /* seconds; the node's own limits are shorter */ };

static void pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

/* One quiet question: that nobody answers for a moment is part of it. */
static bool ask(const struct node_place *place, const char *path, struct reply *out)
{
    struct node n;
    struct err e;
    *out = (struct reply){0};
    if (node_open(&n, place, &e))
        return false;
    int rc = node_ask(&n, "GET", path, 0, out, &e);
    node_close(&n);
    return rc == 0 && out->status == 200;
}

/* CLI_OK: the change with a number above `before` is decided, and *out tells how. */
static int follow(const struct node_place *place, double before, struct reply *out)
{
    for (unsigned polls = DECIDED_WITHIN * 1000 / POLL_MS; polls; polls--) {
        if (ask(place, "/v1/handover", out) && json_number(out->json, "number") > before &&
            strcmp(json_text(out->json, "state"), "running") != 0)
            return CLI_OK;
        reply_free(out);
        pause();
    }
    return cli_fail(CLI_UNREACHABLE,
                    "the node does not say how it went within %d s: see 'holdfast events' and the "
                    "log",
                    DECIDED_WITHIN);
}

static bool some_drain(const struct reply *r, double *connections)
{
    const json_t *list = json_object_get(r->json, "proxies"), *proxy;
    bool some = false;
    size_t i;
    *connections = 0;
    json_array_foreach(list, i, proxy)
    {
        if (strcmp(json_text(proxy, "role"), "draining") != 0)
            continue;
        some = true;
        *connections += json_number(proxy, "connections");
    }
    return some;
}

static int await_drained(const struct handover_options *o)
{
    double left = 0;
    uint64_t polls = MIN(o->wait, UINT64_C(31536000)) * 1000 / POLL_MS;
    for (;; polls--) {
        struct reply r;
        bool answered = ask(&o->node, "/v1/status", &r);
        bool some = !answered || some_drain(&r, &left);
        reply_free(&r);
        if (!some)
            return CLI_OK;
        if (polls == 0)
            return cli_fail(CLI_BAD, "%.0f connections are still on old proxies after %llu s", left,
                            (unsigned long long)o->wait);
        pause();
    }
}

static void print(const struct reply *r, bool failed)
{
    struct buf out = {0};
    text_clean(&out, str_of(json_text(r->json, "text")));
    buf_add_str(&out, STR("\n"));
    if (failed)
        cli_fail(CLI_BAD, "%s", json_text(r->json, "text"));
    else
        cli_write(stdout, &out);
    buf_free(&out);
}

int handover_run(const struct handover_options *o, const char *path)
{
    struct reply r, end;
    int code = node_once(&o->node, "POST", path, &r);
    double before = json_number(r.json, "before");
    reply_free(&r);
    if (code)
        return code;
    code = follow(&o->node, before, &end);
    if (code)
        return code;
    bool failed = strcmp(json_text(end.json, "state"), "done") != 0;
    if (o->json)
        reply_print(&end);
    else
        print(&end, failed);
    reply_free(&end);
    if (failed)
        return CLI_BAD;
    return o->wait ? await_drained(o) : CLI_OK;
}
