/* history: the versions of the configuration, or one of them with its files. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/node.h"
#include "cli/term.h"

struct history_options {
    struct node_place node;
    bool json;
    uint64_t last;
};

enum { LAST = 20, LAST_MOST = 100, DAY = 10, MINUTE = 16 };

static const struct option options[] = {
    {"last", 'n', "N", "the latest N versions (default 20)", OPTION_NUMBER,
     offsetof(struct history_options, last)},
    CLI_OPTION_JSON(struct history_options),
    CLI_OPTIONS_NODE(struct history_options),
};

static const struct usage usage = {
    .command = "history",
    .operands = "VERSION",
    .max_operands = 1,
    .about = "Lists the versions of the configuration, newest first: when, by whom, on which\n"
             "node, and what was changed. With VERSION, prints that one with all its files. The\n"
             "latest 100 are kept.",
    .examples = "  holdfast history\n  holdfast history 41",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

static void print_line(const char *before, const char *text, struct buf *out)
{
    buf_add_str(out, str_of(before));
    text_clean(out, str_of(text));
    buf_add_str(out, STR("\n"));
}

static void print_version(const json_t *v, const struct term *t, struct buf *out)
{
    const json_t *changes = json_object_get(v, "changes");
    const char *when = json_text(v, "when");
    char number[24];
    snprintf(number, sizeof number, "%u", json_count(v, "version"));
    text_coloured(out, t, COLOUR_BOLD, str_of(number));
    buf_add_str(out, STR("  "));
    text_clean(out, (struct str){when, MIN(strlen(when), (size_t)DAY)});
    buf_add_str(out, STR(" "));
    if (strlen(when) > MINUTE)
        text_clean(out, (struct str){when + DAY + 1, MINUTE - DAY - 1 + 3});
    buf_add_str(out, STR("  "));
    text_clean(out, str_of(json_text(v, "who")));
    buf_add_str(out, STR(" on "));
    text_clean(out, str_of(json_text(v, "node")));
    if (json_is_integer(json_object_get(v, "from")))
        buf_printf(out, "  rollback to %u", json_count(v, "from"));
    print_line(*json_text(v, "note") ? "  " : "", json_text(v, "note"), out);
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const char *line = json_string_value(json_array_get(changes, i));
        print_line("    ", line ? line : "", out);
    }
}

static void print_all(const json_t *answer, struct buf *out)
{
    const json_t *list = json_object_get(answer, "versions");
    const char *warning = json_text(answer, "warning");
    struct term t = term_of(stdout);
    if (*warning)
        cli_fail(CLI_OK, "%s", warning);
    if (json_array_size(list) == 0)
        buf_printf(out, "nobody has applied a configuration yet: each node runs its own file\n");
    for (size_t i = 0; i < json_array_size(list); i++)
        print_version(json_array_get(list, i), &t, out);
}

static void print_one(const json_t *answer, struct buf *out)
{
    const json_t *files = json_object_get(answer, "files");
    struct term t = term_of(stdout);
    print_version(answer, &t, out);
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        const char *text = json_string_value(json_object_get(f, "text"));
        print_line("\n==> ", json_text(f, "name"), out);
        if (!text)
            buf_printf(out, "(%u bytes that are no text)\n", json_count(f, "bytes"));
        for (const char *p = text; p && *p;) {
            size_t n = strcspn(p, "\n");
            text_clean(out, (struct str){p, n});
            buf_add_str(out, STR("\n"));
            p += n + (p[n] != 0);
        }
    }
}

static int show(const struct history_options *o, const char *path, bool one)
{
    struct reply r;
    struct buf out = {0};
    int code = node_once(&o->node, "GET", path, &r);
    if (o->json)
        reply_print(&r);
    else if (code == CLI_OK && one)
        print_one(r.json, &out);
    else if (code == CLI_OK)
        print_all(r.json, &out);
    cli_write(stdout, &out);
    buf_free(&out);
    reply_free(&r);
    return code;
}

int command_history(int argc, char **argv)
{
    struct history_options o = {.last = LAST};
    const char *operands[OPERANDS_MAX];
    char path[80];
    uint64_t version = 0;
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    if (o.last < 1 || o.last > LAST_MOST)
        return cli_fail(CLI_USAGE, "--last takes 1 to %d", LAST_MOST);
    if (operands[0] && (!str_u64(str_of(operands[0]), UINT64_C(9999999999), &version) || !version))
        return cli_fail(CLI_USAGE, "history takes the number of a version, not '%s'", operands[0]);
    if (version)
        snprintf(path, sizeof path, "/v1/config/files?version=%llu", (unsigned long long)version);
    else
        snprintf(path, sizeof path, "/v1/config/history?last=%llu", (unsigned long long)o.last);
    return show(&o, path, version != 0);
}
