/* members: who is in the cluster, as this node sees it. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/picture.h"

struct members_options {
    struct node_place node;
    bool json, fail;
};

static const struct option options[] = {
    {"fail", 0, NULL, "exit 1 when a node is suspect or failed, or this one is isolated",
     OPTION_FLAG, offsetof(struct members_options, fail)},
    CLI_OPTION_JSON(struct members_options),
    CLI_OPTIONS_NODE(struct members_options),
};

static const struct usage usage = {
    .command = "members",
    .about = "Prints the nodes of the cluster as this one sees them: state, since when, when it\n"
             "was heard here last, round trip, how many of its observers hear it, whether it\n"
             "votes, which version of the configuration it runs (own: its own file), and why;\n"
             "above them who cannot reach whom. With --fail, nodes in maintenance do not count.",
    .examples = "  holdfast members\n"
                "  holdfast members --json | jq -r '.members[] | \"\\(.name) \\(.state)\"'\n"
                "  holdfast members --fail > /dev/null || page-somebody",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int print(const struct reply *r)
{
    struct term t = term_of(stdout);
    struct picture p = {.now = r->json, .term = &t};
    struct buf out = {0};
    picture_cluster(&p, r->json, &out);
    picture_members(&p, r->json, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

static int judge(const struct reply *r)
{
    const char *missing = picture_missing(r->json);
    if (missing)
        return cli_fail(CLI_BAD, "node %s is not alive", missing);
    if (json_flag(r->json, "isolated"))
        return cli_fail(CLI_BAD, "this node hears too few others to agree with anybody");
    return CLI_OK;
}

int command_members(int argc, char **argv)
{
    struct members_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_once(&o.node, "GET", "/v1/members", &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        code = print(&r);
    if (code == CLI_OK && o.fail)
        code = judge(&r);
    reply_free(&r);
    return code;
}
