/* apply: makes a configuration that of all nodes, as one transaction. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/shared.h"

static const struct option options[] = {SHARED_OPTIONS};

static const struct usage usage = {
    .command = "apply",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Makes the configuration in FILE, and the files that it includes, that of all nodes.\n"
             "Shows what it changes, as 'plan' does, and asks when that takes something away: a\n"
             "service, its last backend, a node. Then waits until all nodes that are alive run\n"
             "it. Ends with 1 when nothing was changed, somebody else was faster, or a node that\n"
             "is alive does not run it. What is local to a node is not part of it.",
    .examples = "  holdfast apply /etc/holdfast/holdfast.conf --note 'two more backends'\n"
                "  holdfast plan new.conf; test $? = 2 && holdfast apply new.conf --yes",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static void show(const struct shared_options *o, const struct reply *plan)
{
    struct buf out = {0};
    if (!o->json)
        shared_show(plan->json, &out);
    cli_write(stdout, &out);
    buf_free(&out);
}

static int post(const struct shared_options *o, const char *file, const struct buf *base64,
                const struct reply *plan, struct reply *r)
{
    json_t *body = json_pack("{s:s%}", "bundle", base64->p, base64->n);
    int code =
        shared_change(o, "/v1/config/apply", body, json_object_get(plan->json, "base"), true, r);
    if (o->json && (code != CLI_OK || r->status != 200))
        reply_print(r);
    return code == CLI_OK && r->status != 200 ? shared_refused(r, file) : code;
}

static int apply(const struct shared_options *o, const char *file, const struct buf *base64)
{
    struct reply plan = {0}, r = {0};
    int code = shared_plan(&o->node, file, base64, &plan);
    if (code == CLI_OK) {
        show(o, &plan);
        code = shared_confirm(json_object_get(plan.json, "risks"), o->yes, o->json);
    }
    if (o->json && code != CLI_OK)
        reply_print(&plan);
    if (code == CLI_OK)
        code = post(o, file, base64, &plan, &r);
    if (code == CLI_OK)
        code = shared_follow(&o->node, &r, o->wait, o->json);
    reply_free(&plan);
    reply_free(&r);
    return code;
}

int command_apply(int argc, char **argv)
{
    struct shared_options o = {.wait = SHARED_WAIT};
    const char *operands[OPERANDS_MAX];
    struct buf base64 = {0};
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = shared_read(operands[0], &base64);
    if (code == CLI_OK)
        code = apply(&o, operands[0], &base64);
    buf_free(&base64);
    return code;
}
