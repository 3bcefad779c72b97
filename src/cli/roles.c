/* roles: who is the primary of each service that has one, and how the others follow. */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/picture.h"

struct roles_options {
    struct node_place node;
    bool json, fail;
};

static const struct option options[] = {
    {"fail", 0, NULL, "exit 1 when a service has no primary that takes writes", OPTION_FLAG,
     offsetof(struct roles_options, fail)},
    CLI_OPTION_JSON(struct roles_options),
    CLI_OPTIONS_NODE(struct roles_options),
};

static const struct usage usage = {
    .command = "roles",
    .operands = "SERVICE",
    .max_operands = 1,
    .about = "Prints the services that have a primary, as the node sees them: which node it\n"
             "is and since when, whether it takes writes, how the last failover went, and of\n"
             "each node its instance, whether it is in sync, how far it is behind, and why it\n"
             "would not be promoted now.",
    .examples = "  holdfast roles\n"
                "  holdfast roles cache --json | jq -r '.roles[0].primary'\n"
                "  holdfast roles --fail > /dev/null || page-somebody",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int print(const struct reply *r)
{
    struct term t = term_of(stdout);
    struct buf out = {0};
    picture_roles(&t, (uint64_t)time(NULL) * UINT64_C(1000000000), r->json, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

int command_roles(int argc, char **argv)
{
    struct roles_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct buf path = {0};
    struct reply r = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    buf_printf(&path, operands[0] ? "/v1/roles/" : "/v1/roles");
    if (operands[0])
        node_segment(&path, str_of(operands[0]));
    buf_add(&path, "", 1);
    code = path.failed ? cli_fail(CLI_BAD, "out of memory") : node_once(&o.node, "GET", path.p, &r);
    buf_free(&path);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        code = print(&r);
    const char *headless = code == CLI_OK && o.fail ? picture_headless(r.json) : NULL;
    if (headless)
        code = cli_fail(CLI_BAD, "service %s has no primary that takes writes", headless);
    reply_free(&r);
    return code;
}
