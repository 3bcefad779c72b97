#include "cli/options.h"

struct parse {
    const struct usage *u;
    char *const *argv;
    int argc, at;
    char *into;
    const char **operands;
    unsigned n_operands;
    struct err *e;
};

static const struct option *find_name(const struct usage *u, struct str name)
{
    for (size_t i = 0; i < u->n_options; i++)
        if (str_eq(str_of(u->options[i].name), name))
            return &u->options[i];
    return NULL;
}

static const struct option *find_letter(const struct usage *u, char letter)
{
    for (size_t i = 0; i < u->n_options; i++)
        if (u->options[i].letter == letter)
            return &u->options[i];
    return NULL;
}

static int unknown_name(struct parse *p, const char *dashes, struct str name)
{
    struct suggest s = suggest_for(name);
    for (size_t i = 0; i < p->u->n_options; i++)
        suggest_try(&s, str_of(p->u->options[i].name));
    suggest_try(&s, STR("help"));
    if (s.n)
        return err_set(p->e, ERR_INVAL,
                       "%s has no option %s" STR_FMT ": did you mean --" STR_FMT "?", p->u->command,
                       dashes, STR_ARG(name), STR_ARG(s.name[0]));
    return err_set(p->e, ERR_INVAL, "%s has no option %s" STR_FMT, p->u->command, dashes,
                   STR_ARG(name));
}

static int store(struct parse *p, const struct option *o, const char *value)
{
    void *field = p->into + o->offset;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)field = true; return 0;
    case OPTION_TEXT:
        if (!*value)
            return err_set(p->e, ERR_INVAL, "option --%s needs a %s that is not empty", o->name,
                           o->value);
        *(const char **)field = value;
        return 0;
    case OPTION_NUMBER:
        if (!str_u64(str_of(value), UINT64_MAX, (uint64_t *)field))
            return err_set(p->e, ERR_INVAL, "option --%s needs a whole number, not '%s'", o->name,
                           value);
        return 0;
    }
    UNREACHABLE();
}

/* Takes an option's value from behind its name, or from the next argument. */
static int take(struct parse *p, const struct option *o, const char *attached)
{
    if (o->kind == OPTION_FLAG) {
        if (attached)
            return err_set(p->e, ERR_INVAL, "option --%s takes no value", o->name);
        return store(p, o, NULL);
    }
    if (!attached && p->at + 1 >= p->argc)
        return err_set(p->e, ERR_INVAL, "option --%s needs a value: --%s %s", o->name, o->name,
                       o->value);
    return store(p, o, attached ? attached : p->argv[++p->at]);
}

static int parse_long(struct parse *p, const char *text)
{
    const char *equals = strchr(text, '=');
    struct str name = {text, equals ? (size_t)(equals - text) : strlen(text)};
    if (str_eq(name, STR("help")))
        return OPTIONS_HELP;
    const struct option *o = find_name(p->u, name);
    return o ? take(p, o, equals ? equals + 1 : NULL) : unknown_name(p, "--", name);
}

static int parse_letter(struct parse *p, const char *text)
{
    const struct option *o = find_letter(p->u, text[0]);
    if (!o && text[0] == 'h' && !text[1])
        return OPTIONS_HELP;
    if (!o && text[1]) /* "-state": one dash where two were meant */
        return unknown_name(p, "-", (struct str){text, strcspn(text, "=")});
    if (!o)
        return err_set(p->e, ERR_INVAL, "%s has no option -%c", p->u->command, text[0]);
    return take(p, o, text[1] ? text + 1 : NULL);
}

static int parse_operand(struct parse *p, const char *text)
{
    if (p->n_operands == p->u->max_operands) {
        if (!p->u->operands)
            return err_set(p->e, ERR_INVAL, "%s takes options only: what is '%s'?", p->u->command,
                           text);
        return err_set(p->e, ERR_INVAL, "%s takes %s and no more: what is '%s'?", p->u->command,
                       p->u->operands, text);
    }
    p->operands[p->n_operands++] = text;
    return 0;
}

int options_parse(const struct usage *u, int argc, char *const *argv, void *into,
                  const char *operands[OPERANDS_MAX], struct err *e)
{
    CHECK(u->max_operands <= OPERANDS_MAX);
    struct parse p = {u, argv, argc, 1, into, operands, 0, e};
    bool only_operands = false;
    for (unsigned i = 0; i < OPERANDS_MAX; i++)
        operands[i] = NULL;
    for (; p.at < argc; p.at++) {
        const char *text = argv[p.at];
        int rc;
        if (only_operands || text[0] != '-' || !text[1])
            rc = parse_operand(&p, text);
        else if (text[1] != '-')
            rc = parse_letter(&p, text + 1);
        else if (text[2])
            rc = parse_long(&p, text + 2);
        else
            rc = 0, only_operands = true;
        if (rc)
            return rc;
    }
    if (p.n_operands < u->min_operands)
        return err_set(e, ERR_INVAL, "%s needs %s", u->command, u->operands);
    return 0;
}

static void help_option(const struct option *o, struct buf *out)
{
    char left[64];
    struct buf text = {.limit = sizeof left};
    if (o->letter)
        buf_printf(&text, "-%c, ", o->letter);
    buf_printf(&text, "--%s", o->name);
    if (o->value)
        buf_printf(&text, " %s", o->value);
    if (text.failed)
        out->failed = true;
    else
        buf_printf(out, "  %-20.*s %s\n", STR_ARG(buf_str(&text)), o->help);
    buf_free(&text);
}

void options_help(const struct usage *u, struct buf *out)
{
    buf_printf(out, "Usage: holdfast %s", u->command);
    if (u->operands)
        buf_printf(out, u->min_operands ? " %s" : " [%s]", u->operands);
    buf_printf(out, " [options]\n\n%s\n\nOptions:\n", u->about);
    for (size_t i = 0; i < u->n_options; i++)
        help_option(&u->options[i], out);
    const struct option help = {"help", 'h', NULL, "print this text", OPTION_FLAG, 0};
    help_option(&help, out);
    buf_printf(out, "\nExample%s:\n%s\n", strchr(u->examples, '\n') ? "s" : "", u->examples);
}
