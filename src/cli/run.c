/* run: this process becomes the supervisor of one node. */
#include "cli/cli.h"
#include "daemon/daemon.h"

struct run_command_options {
    const char *state, *node, *log;
};

static const struct option options[] = {
    {"log", 0, "LEVEL", "log what is at least error, warning, info (default) or debug", OPTION_TEXT,
     offsetof(struct run_command_options, log)},
    CLI_OPTION_NODE(struct run_command_options, node,
                    "which node of the cluster this is; else the one with this machine's address"),
    CLI_OPTION_STATE(struct run_command_options),
};

static const struct usage usage = {
    .command = "run",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Runs one node in the foreground, with the configuration in FILE\n"
             "(holdfast.conf(5)). SIGTERM or SIGINT drains and ends it; SIGHUP reloads the file.\n"
             "The log goes to standard error.",
    .examples = "  holdfast run /etc/holdfast/holdfast.conf\n"
                "  holdfast run web.conf --state /tmp/node-a\n"
                "  holdfast run cluster.conf --node b",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

int command_run(int argc, char **argv)
{
    struct run_command_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct err e;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    struct run_options r = {
        .file = operands[0], .state_dir = o.state, .node = o.node, .log = o.log};
    return supervisor_run(&r, &e) ? cli_fail(CLI_BAD, "%s", e.text) : CLI_OK;
}
