/* upgrade: another version of the program takes the place of the one that runs. */
#include <errno.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/handover.h"
#include "daemon/paths.h"

struct upgrade_options {
    struct handover_options common;
    const char *binary;
};

static const struct option options[] = {
    {"binary", 0, "PATH", "the new program; else the path that the running one was started from",
     OPTION_TEXT, offsetof(struct upgrade_options, binary)},
    {"wait", 'w', "SECONDS", "wait until the old proxy has ended; exit 1 if that takes longer",
     OPTION_NUMBER, offsetof(struct upgrade_options, common.wait)},
    CLI_OPTION_JSON(struct handover_options),
    CLI_OPTIONS_NODE(struct handover_options),
};

static const struct usage usage = {
    .command = "upgrade",
    .about = "The running node becomes the new version of the program, in the same process:\n"
             "no connection is refused and none is cut. The new program checks itself first;\n"
             "if it does not come up, the node goes back to the one that runs now. Old\n"
             "connections stay with the old proxy, at most for 'timeout { drain }'.",
    .examples = "  holdfast upgrade\n"
                "  holdfast upgrade --binary /opt/holdfast-2.0/holdfast --wait 60",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

int command_upgrade(int argc, char **argv)
{
    struct upgrade_options o = {0};
    const char *operands[OPERANDS_MAX];
    char real[PATHS_MAX];
    struct buf path = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (o.binary && !realpath(o.binary, real))
        return cli_fail(CLI_BAD, "%s: %s", o.binary, strerror(errno));
    buf_add_str(&path, STR("/v1/upgrade"));
    if (o.binary) {
        buf_add_str(&path, STR("?binary="));
        node_segment(&path, str_of(real));
    }
    buf_add(&path, "", 1); /* terminated */
    code = path.failed ? cli_fail(CLI_BAD, "out of memory") : handover_run(&o.common, path.p);
    buf_free(&path);
    return code;
}
