/* plan: what a configuration would change in the running cluster; changes nothing. Or what downtime
 * and loss are to be expected of so many copies and voters (plan_availability.h). */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/plan_availability.h"
#include "cli/shared.h"

struct plan_options {
    struct node_place node;
    struct availability_options availability_options;
    bool json, availability;
};

enum { PLAN_DIFFERS = 2 };

static const struct option options[] = {
    {"availability", 0, NULL, "no FILE: what is to be expected of the following", OPTION_FLAG,
     offsetof(struct plan_options, availability)},
    AVAILABILITY_OPTIONS(struct plan_options),
    CLI_OPTION_JSON(struct plan_options),
    CLI_OPTIONS_NODE(struct plan_options),
};

static const struct usage usage = {
    .command = "plan",
    .operands = "FILE",
    .max_operands = 1,
    .about =
        "Tells what the configuration in FILE would change in the running cluster, and what\n"
        "of that takes something away; nothing is changed. Ends with 0 when there is no\n"
        "difference, with 2 when there is one, and with 1 when FILE has mistakes, the command\n"
        "line is wrong or the node refuses. With --availability it tells what downtime and\n"
        "what loss of data a year is likely to bring, from how often nodes fail, how fast that\n"
        "is seen and answered, and how many copies and voters there are; no node is asked.",
    .examples = "  holdfast plan /etc/holdfast/holdfast.conf\n"
                "  holdfast plan new.conf --json | jq -r '.changes[]'\n"
                "  holdfast plan --availability --copies 3 --mtbf 90d --repair 4h",
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
    if (o.availability && operands[0])
        return cli_fail(CLI_BAD, "plan --availability needs no FILE");
    if (o.availability)
        return plan_availability(&o.availability_options, o.json);
    if (plan_availability_asked(&o.availability_options))
        return cli_fail(CLI_BAD, "--mtbf and its like go with plan --availability");
    if (!operands[0])
        return cli_fail(CLI_BAD, "plan needs FILE; see 'holdfast plan --help'");
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
