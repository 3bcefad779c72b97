/* Values that are one of a few words, or several of them. */
#include "conf/choices.h"

/* For a word of a fixed set. Guesses look at what is written: what is referred to stays secret. */
static void bad_choice(struct conf *c, const struct setting *s, const struct value *v,
                       const char *const *choices, size_t n)
{
    struct suggest g = suggest_for(v->raw);
    for (size_t i = 0; i < n; i++)
        suggest_try(&g, str_of(choices[i]));
    const char *hint = g.n && g.distance[0] ? settings_did_you_mean(c, &g) : settings_takes(c, s);
    conf_complain(c, &v->place, hint, "unknown value '" STR_FMT "' for %s", STR_ARG(conf_shown(v)),
                  s->key);
}

void choices_balance(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    const char *names[ALGORITHMS];
    enum algorithm a;
    if (algorithm_parse(v->text, &a)) {
        *((uint8_t *)target + s->offset) = (uint8_t)a;
        return;
    }
    for (int i = 0; i < ALGORITHMS; i++)
        names[i] = algorithm_name((enum algorithm)i);
    bad_choice(c, s, v, names, ARRAY_LEN(names));
}

/* What requests are placed by, and counted by; with a colon: a name follows. */
struct key_form {
    const char *text;
    enum hash_kind kind;
};
static const struct key_form hash_forms[] = {{"source", HASH_SOURCE},
                                             {"path", HASH_PATH},
                                             {"header:", HASH_HEADER},
                                             {"cookie:", HASH_COOKIE},
                                             {"query:", HASH_QUERY}};
static const struct key_form rate_forms[] = {{"all", HASH_NONE},       {"address", HASH_SOURCE},
                                             {"path", HASH_PATH},      {"header:", HASH_HEADER},
                                             {"cookie:", HASH_COOKIE}, {"query:", HASH_QUERY}};
enum { FORMS_MAX = 6 };

void choices_hash(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    const char *names[FORMS_MAX];
    const struct key_form *forms = s->kind == KIND_PER ? rate_forms : hash_forms;
    size_t n = s->kind == KIND_PER ? ARRAY_LEN(rate_forms) : ARRAY_LEN(hash_forms);
    for (size_t i = 0; i < n; i++) {
        struct str kind = str_of(forms[i].text), name = {v->text.p + kind.n, v->text.n - kind.n};
        bool named = kind.p[kind.n - 1] == ':';
        names[i] = forms[i].text;
        if (named ? !str_starts(v->text, kind) || !settings_name_valid(name)
                  : !str_eq(v->text, kind))
            continue;
        struct view_hash h = {.kind = (uint8_t)forms[i].kind, .name = STR("")};
        if (named)
            h.name = arena_str(&c->view->arena, name);
        c->nomem |= !h.name.p;
        memcpy((char *)target + s->offset, &h, sizeof h);
        return;
    }
    bad_choice(c, s, v, names, n);
}

void choices_choice(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    size_t n = 0;
    for (; s->choices[n]; n++)
        if (str_eq(v->text, str_of(s->choices[n]))) {
            *((uint8_t *)target + s->offset) = (uint8_t)n;
            return;
        }
    bad_choice(c, s, v, s->choices, n);
}

static uint32_t retry_bit(struct conf *c, const struct setting *s, const struct value *v)
{
    static const char *const names[] = {"connect", "reset", "timeout", "5xx"};
    static const uint32_t bits[] = {RETRY_CONNECT, RETRY_RESET, RETRY_TIMEOUT, RETRY_5XX};
    if (v->bad)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(v->text, str_of(names[i])))
            return bits[i];
    bad_choice(c, s, v, names, ARRAY_LEN(names));
    return 0;
}

void choices_retry_on(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    uint32_t on = 0;
    if (v->kind != VALUE_LIST && !str_eq(v->text, STR("none")))
        on = retry_bit(c, s, v);
    for (const struct value *i = v->items; i; i = i->next)
        on |= retry_bit(c, s, i);
    memcpy((char *)target + s->offset, &on, sizeof on);
}
