/* restart: a new proxy process takes over from the one that accepts. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/handover.h"

struct restart_options {
    struct handover_options common;
    bool now;
};

static const struct option options[] = {
    {"now", 0, NULL, "end the old proxy at once: its connections are cut", OPTION_FLAG,
     offsetof(struct restart_options, now)},
    {"wait", 'w', "SECONDS", "wait until the old proxy has ended; exit 1 if that takes longer",
     OPTION_NUMBER, offsetof(struct restart_options, common.wait)},
    CLI_OPTION_JSON(struct handover_options),
    CLI_OPTIONS_NODE(struct handover_options),
};

static const struct usage usage = {
    .command = "restart",
    .operands = "proxy",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Starts a new proxy process beside the one that accepts. When it is ready it\n"
             "accepts instead, and the old one ends with its last connection, at the latest\n"
             "after 'timeout { drain }'. No connection is refused and none is cut before that.",
    .examples = "  holdfast restart proxy\n"
                "  holdfast restart proxy --wait 60",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int restart_now(const struct restart_options *o)
{
    struct reply r;
    int code = node_once(&o->common.node, "POST", "/v1/processes/proxy/restart?now=1", &r);
    if (o->common.json)
        reply_print(&r);
    else if (code == CLI_OK)
        puts("the proxy is ended and starts anew");
    reply_free(&r);
    return code;
}

int command_restart(int argc, char **argv)
{
    struct restart_options o = {0};
    const char *operands[OPERANDS_MAX];
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (strcmp(operands[0], "proxy") != 0)
        return cli_fail(CLI_USAGE, "'%s' cannot be restarted: only 'proxy' can", operands[0]);
    return o.now ? restart_now(&o) : handover_run(&o.common, "/v1/processes/proxy/restart");
}
