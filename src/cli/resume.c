/* resume: the end of a drain. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "cli/json.h"

struct resume_options {
    struct node_place node;
    bool json;
};

static const struct option options[] = {
    CLI_OPTION_JSON(struct resume_options),
    CLI_OPTIONS_NODE(struct resume_options),
};

static const struct usage usage = {
    .command = "resume",
    .operands = "SERVICE/INSTANCE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Ends a drain: the instance gets new requests again as soon as its verdict\n"
             "allows it. Doing it twice is harmless.",
    .examples = "  holdfast resume web/10.0.0.11:3000",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

int command_resume(int argc, char **argv)
{
    struct resume_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = instance_change(&o.node, operands[0], "resume", &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        printf(json_flag(r.json, "changed") ? "%s takes requests again\n"
                                            : "%s was not drained: nothing to do\n",
               operands[0]);
    reply_free(&r);
    return code;
}
