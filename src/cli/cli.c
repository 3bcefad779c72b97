#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/term.h"

bool cli_write(FILE *to, const struct buf *text)
{
    return !text->n || fwrite(text->p, 1, text->n, to) == text->n;
}

/* What is quoted in a sentence may come from anywhere: it is cleaned before a terminal gets it. */
int cli_fail(int code, const char *fmt, ...)
{
    char text[2048];
    struct buf line = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_add_str(&line, STR("holdfast: "));
    text_clean(&line, str_of(text));
    buf_add_str(&line, STR("\n"));
    cli_write(stderr, &line);
    buf_free(&line);
    return code;
}

int cli_unknown_command(const char *name)
{
    struct suggest s = suggest_for(str_of(name));
    for (const struct command *c = cli_commands(); c->name; c++)
        if (!c->hidden)
            suggest_try(&s, str_of(c->name));
    if (s.n)
        cli_fail(CLI_USAGE, "there is no command '%s': did you mean '" STR_FMT "'?", name,
                 STR_ARG(s.name[0]));
    else
        cli_fail(CLI_USAGE, "there is no command '%s'", name);
    fputs("'holdfast help' lists the commands.\n", stderr);
    return CLI_USAGE;
}

static int print_help(const struct usage *u)
{
    struct buf text = {0};
    options_help(u, &text);
    int code = text.failed ? cli_fail(CLI_BAD, "out of memory") : CLI_OK;
    if (!text.failed)
        cli_write(stdout, &text);
    buf_free(&text);
    return code;
}

bool cli_options(const struct usage *u, int argc, char **argv, void *into,
                 const char *operands[OPERANDS_MAX], int *code)
{
    struct err e = {0};
    int rc = options_parse(u, argc, argv, into, operands, &e);
    if (rc == 0)
        return true;
    if (rc == OPTIONS_HELP) {
        *code = print_help(u);
        return false;
    }
    *code = cli_fail(CLI_USAGE, "%s", e.text);
    fprintf(stderr, "'holdfast %s --help' shows how it is used.\n", u->command);
    return false;
}
