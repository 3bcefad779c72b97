/* The node says of what it was asked last, by a number that rises: `request`. It is done when that
 * is; whoever asks for something else on the same node meanwhile takes its place. */
#include "cli/role_ask.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/term.h"

enum { POLL_MS = 50 };

static int path_of(const struct role_ask *ask, const char *action, struct buf *path)
{
    buf_add_str(path, STR("/v1/roles/"));
    node_segment(path, str_of(ask->service));
    if (action)
        buf_printf(path, "/%s", action);
    buf_add(path, "", 1);
    return path->failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
}

static const json_t *role_in(const struct reply *r)
{
    return json_array_get(json_object_get(r->json, "roles"), 0);
}

const json_t *role_look(const struct role_ask *ask, struct reply *r, int *code)
{
    struct buf path = {0};
    *code = path_of(ask, NULL, &path);
    if (*code == CLI_OK)
        *code = node_once(ask->node, "GET", path.p, r);
    buf_free(&path);
    return *code == CLI_OK ? role_in(r) : NULL;
}

/* What is waited for, once for each text, where a person watches. */
static void progress(const json_t *request, char said[256])
{
    const char *text = json_text(request, "text");
    struct buf out = {0};
    if (!*text || strcmp(text, said) == 0 || !isatty(STDERR_FILENO))
        return;
    str_copy(said, 256, str_of(text));
    text_clean(&out, str_of(text));
    buf_add(&out, "\n", 1);
    cli_write(stderr, &out);
    buf_free(&out);
}

static int end_of(const struct role_ask *ask, const json_t *request, double number)
{
    const char *state = json_text(request, "state"), *text = json_text(request, "text");
    if (json_number(request, "number") != number)
        return cli_fail(CLI_BAD, "something else was asked for since: see 'holdfast roles %s'",
                        ask->service);
    if (strcmp(state, "failed") == 0)
        return cli_fail(CLI_BAD, "%s", *text ? text : "it failed: see 'holdfast events'");
    return CLI_OK;
}

static int follow(const struct role_ask *ask, double number, struct reply *r)
{
    char said[256] = "";
    int code = CLI_OK;
    for (uint64_t polls = ask->wait * 1000 / POLL_MS;; polls--) {
        const json_t *request = json_object_get(role_in(r), "request");
        bool ours = json_number(request, "number") == number;
        if (!ours || strcmp(json_text(request, "state"), "running") != 0)
            return end_of(ask, request, number);
        progress(request, said);
        if (polls == 0)
            return cli_fail(CLI_BAD,
                            "it is not done after %llu s, and goes on%s%s: see 'holdfast roles %s'",
                            (unsigned long long)ask->wait, *json_text(request, "text") ? ": " : "",
                            json_text(request, "text"), ask->service);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        reply_free(r);
        if (!role_look(ask, r, &code))
            return code ? code : cli_fail(CLI_BAD, "the service is gone");
    }
}

int role_carry_out(const struct role_ask *ask, struct reply *r)
{
    struct buf path = {0};
    int code = path_of(ask, ask->action, &path);
    if (code == CLI_OK)
        code = node_send(ask->node, "POST", path.p, ask->body, r);
    buf_free(&path);
    if (code != CLI_OK)
        return code;
    return follow(ask, json_number(json_object_get(role_in(r), "request"), "number"), r);
}
