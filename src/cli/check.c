/* check: reads a configuration as `run` would and says all that is wrong with it, or what it means.
 * No daemon is needed and nothing is changed. */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/meaning.h"
#include "cli/term.h"
#include "conf/conf.h"
#include "daemon/daemon.h"

struct check_options {
    bool json;
    const char *node;
};

static const struct option options[] = {
    CLI_OPTION_NODE(struct check_options, node,
                    "as which node of the cluster; else the one with this machine's address"),
    CLI_OPTION_JSON(struct check_options),
};

static const struct usage usage = {
    .command = "check",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Reads a configuration file, and the files that it includes, as 'holdfast run'\n"
             "would. Prints every problem with its place and what was probably meant, and ends\n"
             "with 1; or says in short what the file means.",
    .examples = "  holdfast check /etc/holdfast/holdfast.conf\n"
                "  holdfast check cluster.conf --node b",
    .options = options,
    .n_options = ARRAY_LEN(options),
};

/* What a file led to. */
struct checked {
    const char *path;
    int rc;
    struct err err;
    struct view *view; /* NULL when there are errors */
    struct conf_problems problems;
};

static void print_problems(const struct checked *f)
{
    struct term t = term_of(stderr);
    struct buf out = {0};
    conf_problems_print(&f->problems, t.colour, &out);
    cli_write(stderr, &out);
    buf_free(&out);
}

static int print_for_people(const struct checked *f)
{
    struct term t = term_of(stdout);
    struct buf out = {0};
    if (f->problems.n)
        print_problems(f);
    if (f->rc)
        return cli_fail(CLI_BAD, "%s", f->err.text);
    text_clean(&out, str_of(f->path));
    buf_add_str(&out, STR(" is "));
    text_coloured(&out, &t, COLOUR_GREEN, STR("good"));
    meaning_print(f->view, &out);
    int code = out.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    cli_write(stdout, &out);
    buf_free(&out);
    return code;
}

static json_t *problem_json(const struct conf_problem *p)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:o}", "file", p->file, "line", (int)p->line,
                     "column", (int)p->column, "width", (int)p->width, "severity",
                     p->severity == CONF_WARNING ? "warning" : "error", "text", p->text, "hint",
                     p->hint && *p->hint ? json_string(p->hint) : json_null());
}

static int print_json(const struct checked *f)
{
    json_t *problems = json_array();
    for (uint32_t i = 0; i < f->problems.n; i++)
        json_array_append_new(problems, problem_json(&f->problems.list[i]));
    json_t *all = json_pack(
        "{s:s, s:s, s:b, s:o, s:i, s:i, s:o, s:o, s:o}", "schema", "holdfast.check.v1", "file",
        f->path, "ok", f->rc == 0, "error", f->rc ? json_string(f->err.text) : json_null(),
        "errors", (int)f->problems.errors, "warnings", (int)f->problems.warnings, "problems",
        problems, "cluster", meaning_cluster_json(f->view), "services", meaning_json(f->view));
    int failed = !all || json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(all);
    if (failed)
        return cli_fail(CLI_BAD, "cannot print: out of memory");
    fputc('\n', stdout);
    return f->rc ? CLI_BAD : CLI_OK;
}

int command_check(int argc, char **argv)
{
    struct check_options o = {0};
    const char *operands[OPERANDS_MAX];
    int code;
    if (!cli_options(&usage, argc, argv, &o, operands, &code))
        return code;
    struct checked f = {.path = operands[0]};
    struct conf_env env = daemon_conf_env(o.node);
    env.readable = sense_may_read;
    f.rc = conf_load(f.path, &env, &f.view, &f.problems, &f.err);
    if (f.rc)
        f.view = NULL;
    code = o.json ? print_json(&f) : print_for_people(&f);
    view_free(f.view);
    conf_problems_free(&f.problems);
    return code;
}
