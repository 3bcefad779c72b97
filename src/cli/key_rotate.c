/* key rotate: another key for all nodes of a running cluster. A node drives it (mesh/mesh_keys.h);
 * this command asks for it and shows how it goes on. Interrupted, the rotation goes on without it.
 */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/key_rotate.h"
#include "cli/node.h"
#include "cli/term.h"

struct rotate_options {
    struct node_place node;
    uint64_t wait; /* seconds; 0: until it ends */
    bool json, force;
};

static const struct option options[] = {
    {"force", 0, NULL, "leave out nodes that are not alive; the old key stays accepted",
     OPTION_FLAG, offsetof(struct rotate_options, force)},
    {"wait", 'w', "SECONDS", "exit 1 if it takes longer; it goes on all the same", OPTION_NUMBER,
     offsetof(struct rotate_options, wait)},
    CLI_OPTION_JSON(struct rotate_options),
    CLI_OPTIONS_NODE(struct rotate_options),
};

static const struct usage usage = {
    .command = "key rotate",
    .about = "Gives all nodes of the running cluster another key, and nothing is lost on the way:\n"
             "first all accept it, then all use it, then the old one goes. Each step begins when\n"
             "all nodes have done the one before, and is kept: a node that restarts goes on. The\n"
             "key files of all nodes change. It does not begin while a node is not alive.",
    .examples = "  holdfast key rotate\n"
                "  holdfast key rotate --force --wait 60",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum { POLL_MS = 200 };

static void print(const char *text)
{
    struct buf out = {0};
    text_clean(&out, str_of(text));
    buf_add(&out, "\n", 1);
    cli_write(stdout, &out);
    fflush(stdout);
    buf_free(&out);
}

/* What is new since the last look, a line each. */
static void show(const json_t *rotation, char last[512])
{
    char line[640];
    snprintf(line, sizeof line, "%s %s: %s", json_text(rotation, "key"),
             json_text(rotation, "step"), json_text(rotation, "text"));
    if (!*json_text(rotation, "text") || strcmp(line, last) == 0)
        return;
    print(line);
    str_copy(last, 512, str_of(line));
}

static bool runs(const struct reply *r)
{
    const json_t *rotation = json_object_get(r->json, "rotation");
    return strcmp(json_text(rotation, "state"), "running") == 0;
}

/* Until it ends. A node that restarts meanwhile is asked again. */
static int follow(const struct rotate_options *o, struct reply *r)
{
    char last[512] = "";
    uint64_t polls = o->wait ? o->wait * 1000 / POLL_MS : UINT64_MAX;
    unsigned silent = 0;
    while (runs(r) && polls--) {
        if (!o->json)
            show(json_object_get(r->json, "rotation"), last);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        struct node n;
        struct err e;
        struct reply next = {0};
        if (node_open(&n, &o->node, &e))
            return cli_fail(CLI_USAGE, "%s", e.text);
        int rc = node_ask(&n, "GET", "/v1/keys", 0, &next, &e);
        node_close(&n);
        bool good = rc == 0 && next.status == 200;
        silent = good ? 0 : silent + 1;
        if (silent > 150)
            return cli_fail(CLI_UNREACHABLE, "%s", rc ? e.text : "the node gives no answer");
        if (good) {
            reply_free(r);
            *r = next;
        } else {
            reply_free(&next);
        }
    }
    if (runs(r))
        return cli_fail(CLI_BAD,
                        "it has not ended within %llu s, and goes on: see 'holdfast events'",
                        (unsigned long long)o->wait);
    return CLI_OK;
}

static int tell(const struct rotate_options *o, const struct reply *r)
{
    const json_t *rotation = json_object_get(r->json, "rotation");
    bool done = strcmp(json_text(rotation, "state"), "done") == 0;
    if (o->json)
        reply_print(r);
    else if (done)
        print(json_text(rotation, "text"));
    if (done)
        return CLI_OK;
    return cli_fail(CLI_BAD, "the key is not changed: %s", json_text(rotation, "text"));
}

int key_rotate(int argc, char **argv)
{
    struct rotate_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_once(&o.node, "POST", o.force ? "/v1/keys/rotate?force=1" : "/v1/keys/rotate", &r);
    if (code == CLI_OK) {
        code = follow(&o, &r);
        code = code ? code : tell(&o, &r);
    } else if (o.json) {
        reply_print(&r);
    }
    reply_free(&r);
    return code;
}
