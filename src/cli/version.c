/* version: which holdfast this is. */
#include <stdio.h>

#include "cli/cli.h"

struct version_options {
    bool json;
};

static const struct option options[] = {CLI_OPTION_JSON(struct version_options)};

static const struct usage usage = {
    .command = "version",
    .about = "Prints the version of this program. A running node tells its own in\n"
             "'holdfast status --json'.",
    .examples = "  holdfast version",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

int command_version(int argc, char **argv)
{
    struct version_options o = {0};
    const char *operands[OPERANDS_MAX];
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    printf(o.json ? "{\"schema\": \"holdfast.version.v1\", \"version\": \"%s\"}\n"
                  : "holdfast %s\n",
           HF_VERSION);
    return CLI_OK;
}
