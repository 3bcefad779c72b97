/* leave: this node says goodbye to the others of its cluster. */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/term.h"

struct leave_options {
    struct node_place node;
    bool json, wait;
};

static const struct option options[] = {
    {"wait", 'w', NULL, "wait until the others know it", OPTION_FLAG,
     offsetof(struct leave_options, wait)},
    CLI_OPTION_JSON(struct leave_options),
    CLI_OPTIONS_NODE(struct leave_options),
};

static const struct usage usage = {
    .command = "leave",
    .about = "The node says goodbye to the others of its cluster, which then do not miss it. It\n"
             "goes on serving its clients, and is a member again when it is started anew.\n"
             "Doing it twice is harmless.",
    .examples = "  holdfast leave --wait && systemctl stop holdfast",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

enum { POLL_MS = 50, WITHIN = 10 /* seconds; the node itself gives up after one */ };

/* Asks again, which is harmless, until it is done. */
static int wait_left(const struct leave_options *o, struct reply *r)
{
    for (unsigned polls = WITHIN * 1000 / POLL_MS; !json_flag(r->json, "left"); polls--) {
        if (polls == 0)
            return cli_fail(CLI_BAD, "the others have not heard of it within %d s", WITHIN);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        reply_free(r);
        int code = node_once(&o->node, "POST", "/v1/leave", r);
        if (code)
            return code;
    }
    return CLI_OK;
}

static void print(const struct reply *r)
{
    struct buf out = {0};
    text_clean(&out, str_of(json_text(r->json, "node")));
    buf_add_str(&out,
                json_flag(r->json, "left") ? STR(" has left cluster ") : STR(" leaves cluster "));
    text_clean(&out, str_of(json_text(r->json, "cluster")));
    buf_add(&out, "\n", 1);
    cli_write(stdout, &out);
    buf_free(&out);
}

int command_leave(int argc, char **argv)
{
    struct leave_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_once(&o.node, "POST", "/v1/leave", &r);
    if (code == CLI_OK && o.wait)
        code = wait_left(&o, &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        print(&r);
    reply_free(&r);
    return code;
}
