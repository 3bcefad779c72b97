/* plan: what a configuration would change in the running cluster. Changes nothing. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/shared.h"

struct plan_options {
    struct node_place node;
    bool json;
};

enum { PLAN_DIFFERS = 2 };

static const struct option options[] = {
    CLI_OPTION_JSON(struct plan_options),
    CLI_OPTIONS_NODE(struct plan_options),
};

static const struct usage usage = {
    .command = "plan",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .about =
        "Tells what the configuration in FILE would change in the running cluster, and what\n"
        "of that takes something away; nothing is changed. Ends with 0 when there is no\n"
        "difference, with 2 when there is one, and with 1 when FILE has mistakes, the command\n"
        "line is wrong or the node refuses.",
    .examples = "  holdfast plan /etc/holdfast/holdfast.conf\n"
                "  holdfast plan new.conf --json | jq -r '.changes[]'",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static void print(const struct reply *r)
{
    const char *warning = json_text(r->json, "warning");
    struct buf out = {0};
    if (*warning)
        cli_fail(CLI_OK, "%s", warning);
    shared_show(r->json, &out);
    cli_write(stdout, &out);
    buf_free(&out);
}

int command_plan(int argc, char **argv)
{
    struct plan_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct buf base64 = {0};
    struct reply r = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code == CLI_USAGE ? CLI_BAD : code; /* 2 is an answer here */
    code = shared_read(operands[0], &base64);
    if (code == CLI_OK)
        code = shared_plan(&o.node, operands[0], &base64, &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        print(&r);
    if (code == CLI_OK && json_flag(r.json, "differs"))
        code = PLAN_DIFFERS;
    else if (code == CLI_USAGE)
        code = CLI_BAD;
    reply_free(&r);
    buf_free(&base64);
    return code;
}
