/* beats: the watched jobs, and how they are. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/picture.h"

struct beats_options {
    struct node_place node;
    bool json, fail;
};

static const struct option options[] = {
    {"fail", 0, NULL, "exit 1 when a job is missing or failed", OPTION_FLAG,
     offsetof(struct beats_options, fail)},
    CLI_OPTION_JSON(struct beats_options),
    CLI_OPTIONS_NODE(struct beats_options),
};

static const struct usage usage = {
    .command = "beats",
    .about = "Prints the watched jobs: verdict, reason, when the last beat came (LAST), how often\n"
             "one is due (EVERY), how long it may be late (GRACE), and how often the job went\n"
             "missing or said that it failed (MISSED, FAILED).",
    .examples = "  holdfast beats\n  holdfast beats --fail > /dev/null || page-somebody\n"
                "  holdfast beats --json | jq -r '.beats[] | select(.verdict == \"failed\").name'",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static int print_picture(const struct reply *r)
{
    struct term t = term_of(stdout);
    struct picture p = {.now = r->json, .term = &t};
    struct buf out = {0};
    if (json_array_size(json_object_get(r->json, "beats")))
        picture_beats(&p, &out);
    else
        buf_printf(&out, "no beat is watched: 'beat NAME { every = 1m }' in the configuration\n");
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

static const char *first_failed(const json_t *root)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(root, "beats"), i, one)
    {
        if (strcmp(json_text(one, "verdict"), "failed") == 0)
            return json_text(one, "name");
    }
    return NULL;
}

int command_beats(int argc, char **argv)
{
    struct beats_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_once(&o.node, "GET", "/v1/beats", &r);
    if (o.json)
        reply_print(&r);
    else if (code == CLI_OK)
        code = print_picture(&r);
    const char *failed = code == CLI_OK && o.fail ? first_failed(r.json) : NULL;
    if (failed)
        code = cli_fail(CLI_BAD, "beat %s has failed", failed);
    reply_free(&r);
    return code;
}
