/* rollback: makes the files of an earlier version those of all nodes again, as a new version. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/shared.h"

static const struct option options[] = {SHARED_OPTIONS};

static const struct usage usage = {
    .command = "rollback",
    .operands = "VERSION",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Makes the files of an earlier version those of all nodes again, as a new version;\n"
             "versions only rise. Asks and waits as 'apply' does. 'holdfast history' lists the\n"
             "versions that are kept.",
    .examples = "  holdfast history\n  holdfast rollback 41 --note 'checkout is slow since 42'",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int post(const struct shared_options *o, uint64_t version, const json_t *base, bool yes,
                struct reply *r)
{
    json_t *body = json_pack("{s:I}", "version", (json_int_t)version);
    return shared_change(o, "/v1/config/rollback", body, base, yes, r);
}

static int confirm(const struct shared_options *o, const struct reply *refused)
{
    const json_t *risks = json_object_get(refused->json, "risks");
    struct buf out = {0};
    buf_printf(&out, "this takes something away:\n");
    shared_lines(risks, &out);
    if (!o->json)
        cli_write(stdout, &out);
    buf_free(&out);
    return shared_confirm(risks, false, o->json);
}

static int roll_back(const struct shared_options *o, uint64_t version, const json_t *base)
{
    struct reply r = {0};
    int code = post(o, version, base, o->yes, &r);
    if (code == CLI_OK && r.status == 409 && json_object_get(r.json, "risks")) {
        code = confirm(o, &r);
        if (code == CLI_OK) {
            reply_free(&r);
            code = post(o, version, base, true, &r);
        } else if (o->json) {
            reply_print(&r);
        }
    }
    if (code == CLI_OK && r.status != 200) {
        if (o->json)
            reply_print(&r);
        code = shared_refused(&r, NULL);
    }
    if (code == CLI_OK)
        code = shared_follow(&o->node, &r, o->wait, o->json);
    reply_free(&r);
    return code;
}

int command_rollback(int argc, char **argv)
{
    struct shared_options o = {.wait = SHARED_WAIT};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    uint64_t version;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (!str_u64(str_of(operands[0]), UINT64_C(9999999999), &version) || !version)
        return cli_fail(CLI_USAGE, "rollback takes the number of a version, not '%s'", operands[0]);
    code = node_once(&o.node, "GET", "/v1/config", &r);
    if (code == CLI_OK)
        code = roll_back(&o, version, json_object_get(r.json, "revision"));
    else if (o.json)
        reply_print(&r);
    reply_free(&r);
    return code;
}
