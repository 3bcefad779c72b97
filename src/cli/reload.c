/* reload: the node reads its file again and applies it as one transaction. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/node.h"
#include "cli/json.h"
#include "cli/problem.h"
#include "cli/term.h"

struct reload_options {
    struct node_place node;
    bool json;
};

static const struct option options[] = {
    CLI_OPTION_JSON(struct reload_options),
    CLI_OPTIONS_NODE(struct reload_options),
};

static const struct usage usage = {
    .command = "reload",
    .about = "The running node reads its configuration file again and applies all of it, or\n"
             "nothing when the file has errors. No connection is refused and none is cut.\n"
             "Prints what changed.",
    .examples = "  holdfast check /etc/holdfast/holdfast.conf && holdfast reload",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

/* What else the file says, where all nodes share a configuration. */
static void print_left(const struct reply *r, struct buf *out)
{
    const json_t *left = json_object_get(r->json, "left_out");
    if (json_array_size(left) == 0)
        return;
    buf_printf(out,
               "version %u is the cluster's configuration; only what is local to this node was "
               "taken from its own file, not this ('holdfast apply' is the way for it):\n",
               json_count(r->json, "version"));
    for (size_t i = 0; i < json_array_size(left); i++) {
        const char *line = json_string_value(json_array_get(left, i));
        buf_add_str(out, STR("  "));
        text_clean(out, str_of(line ? line : ""));
        buf_add_str(out, STR("\n"));
    }
}

static void print_changes(const struct reply *r)
{
    const json_t *changes = json_object_get(r->json, "changes");
    struct buf out = {0};
    if (!json_flag(r->json, "changed"))
        buf_printf(&out, "nothing changed: the file says what is in force already (epoch %.0f)\n",
                   json_number(r->json, "epoch"));
    else
        buf_printf(&out, "reloaded: epoch %.0f is in force\n", json_number(r->json, "epoch"));
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const char *change = json_string_value(json_array_get(changes, i));
        buf_add_str(&out, STR("  "));
        text_clean(&out, str_of(change));
        buf_add_str(&out, STR("\n"));
    }
    print_left(r, &out);
    cli_write(stdout, &out);
    buf_free(&out);
}

static void print_problems(const struct reply *r)
{
    struct term t = term_of(stderr);
    struct buf out = {0};
    problems_print(json_object_get(r->json, "problems"), t.colour, &out);
    cli_write(stderr, &out);
    buf_free(&out);
}

int command_reload(int argc, char **argv)
{
    struct reload_options o = {0};
    const char *operands[OPERANDS_MAX];
    struct reply r;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    code = node_fetch(&o.node, "POST", "/v1/reload", &r);
    bool refused = code == CLI_OK && r.status != 200;
    if (o.json)
        reply_print(&r);
    else if (refused)
        print_problems(&r);
    else if (code == CLI_OK)
        print_changes(&r);
    if (refused)
        code = node_refused(&r);
    reply_free(&r);
    return code;
}
