/* beat: a job says that it lives, or that it failed. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"

struct beat_options {
    struct node_place node;
    const char *failed;
    bool json;
};

static const struct option options[] = {
    {"failed", 0, "WHY", "the job has failed, and why", OPTION_TEXT,
     offsetof(struct beat_options, failed)},
    CLI_OPTION_JSON(struct beat_options),
    CLI_OPTIONS_NODE(struct beat_options),
};

static const struct usage usage = {
    .command = "beat",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Says that the job of 'beat NAME { }' lives, or with --failed that it failed. Prints\n"
             "nothing when the node has taken it. Exit codes: 0 taken, 1 there is no such beat,\n"
             "3 nobody took it.",
    .examples = "  backup.sh && holdfast beat backup || holdfast beat backup --failed 'exit code'\n"
                "  while sleep 30; do pgrep -x worker && holdfast beat worker; done",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

/* The body of a failure; *out is jansson's. False: the text is not UTF-8, or memory is out. */
static bool body_of(const char *failed, char **out)
{
    json_t *root = failed ? json_pack("{s:s}", "failed", failed) : NULL;
    *out = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return !failed || *out;
}

static int send_beat(const struct beat_options *o, const char *name, const char *body,
                     struct reply *r)
{
    struct buf path = {0};
    buf_add_str(&path, STR("/v1/beats/"));
    node_segment(&path, str_of(name));
    buf_add(&path, "", 1);
    int code = path.failed ? cli_fail(CLI_BAD, "out of memory")
                           : node_send(&o->node, "POST", path.p, str_of(body ? body : ""), r);
    buf_free(&path);
    return code;
}

int command_beat(int argc, char **argv)
{
    struct beat_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r = {0};
    char *body = NULL;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (!body_of(o.failed, &body))
        return cli_fail(CLI_USAGE, "the text behind --failed is not UTF-8");
    code = send_beat(&o, operands[0], body, &r);
    if (o.json)
        reply_print(&r);
    free(body); /* jansson's own */
    reply_free(&r);
    return code;
}
