/* Every kind of word has a function that says what is wrong with it, and another form of it where
 * requests are compared in one form only: hosts and names of fields are in lower case. */
#include "conf/words.h"

#include "conf/field.h"

/* In visible ASCII: what a request line takes. */
static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return s.n > 0;
}

static bool has(struct str s, char c)
{
    return s.n && memchr(s.p, c, s.n);
}

static struct str lower(struct conf *c, struct str s)
{
    char *p = arena_alloc(&c->arena, s.n + 1);
    c->nomem |= !p;
    for (size_t i = 0; p && i < s.n; i++)
        p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    return p ? (struct str){p, s.n} : STR("");
}

static bool refuse(struct conf *c, const struct value *v, const char *hint, const char *why)
{
    conf_complain(c, &v->place, hint, "'" STR_FMT "' %s", STR_ARG(conf_shown(v)), why);
    return false;
}

/* Labels of letters, digits, '-' and '_', or an IPv6 address in brackets. */
static bool is_host(struct str s)
{
    bool bracketed = s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
    for (size_t i = bracketed; i < s.n - bracketed; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool label = alnum || c == '-' || c == '_';
        if (bracketed ? !alnum && c != ':' && c != '.'
                      : !label && !(c == '.' && i && i + 1 < s.n && s.p[i - 1] != '.'))
            return false;
    }
    return s.n > 0 && s.n <= 255;
}

static bool host_word(struct conf *c, const struct value *v, struct str *word)
{
    *word = lower(c, v->text);
    struct str name = *word;
    if (str_starts(name, STR("*.")))
        name = (struct str){name.p + 2, name.n - 2};
    if (is_host(name))
        return true;
    if (str_eq(name, STR("*")))
        return refuse(c, v, "leave host out", "is every host");
    if (has(name, '*'))
        return refuse(c, v, "a '*' is for \"*.example.com\" only", "is not a host name");
    if (has(name, '/'))
        return refuse(c, v, "host = example.com, path = /a", "is not a host name");
    if (has(name, ':'))
        return refuse(c, v, "leave the port out", "is not a host name");
    return refuse(c, v, "as in example.com or \"*.example.com\"", "is not a host name");
}

static bool path_word(struct conf *c, const struct value *v, struct str *word)
{
    struct str s = *word = v->text;
    bool exact = str_starts(s, STR("=/")), suffix = str_starts(s, STR("*."));
    const char *shown =
        v->secret ? "" : conf_text(c, "did you mean '/" STR_FMT "'?", STR_ARG(conf_shown(v)));
    if (!is_visible(s))
        return refuse(c, v, "blanks and letters beyond ASCII are written as %20", "is not a path");
    if (has(s, '?') || has(s, '#'))
        return refuse(c, v, "a condition on the query is 'query = \"name=value\"'",
                      "is not a path alone");
    if (s.p[0] != '/' && !exact && !suffix)
        return refuse(c, v,
                      s.p[0] == '~'                    ? "patterns are not known here"
                      : s.p[0] == '*' || s.p[0] == '=' ? "as in /v1, \"=/exact\" or \"*.png\""
                                                       : shown,
                      "is not a path");
    struct str rest = suffix ? (struct str){s.p + 2, s.n - 2} : s;
    if (suffix && (!rest.n || has(rest, '/')))
        return refuse(c, v, "as in \"*.png\"", "is not the end of a path");
    if (!has(rest, '*'))
        return true;
    size_t cut = s.n >= 2 && s.p[s.n - 1] == '*' && s.p[s.n - 2] == '/' ? s.n - 2 : s.n - 1;
    bool tail = !v->secret && s.p[0] == '/' && s.p[s.n - 1] == '*' && cut;
    return refuse(c, v,
                  tail ? conf_text(c, "a path takes all below it: '" STR_FMT "'",
                                   STR_ARG(conf_clip((struct str){s.p, cut})))
                       : "a '*' stands at the beginning only, as in \"*.png\"",
                  "has a '*' that means nothing");
}

static bool method_word(struct conf *c, const struct value *v, struct str *word)
{
    *word = v->text;
    if (!field_is_token(v->text))
        return refuse(c, v, "as in GET or {PUT, DELETE}", "is not a method");
    for (size_t i = 0; i < v->text.n; i++)
        if (v->text.p[i] >= 'a' && v->text.p[i] <= 'z')
            return refuse(c, v, "methods are in capitals", "is not a method that clients send");
    return true;
}

/* "name", "!name" or "name: value"; the name in lower case, one blank before the value. */
static bool header_word(struct conf *c, const struct value *v, struct str *word)
{
    bool absent = v->text.n && v->text.p[0] == '!';
    struct str text = {v->text.p + absent, v->text.n - absent}, name = text, value = STR("");
    bool valued = field_split(text, &name, &value);
    if (!field_is_token(name) || !field_is_line(value))
        return refuse(c, v, "as in x-beta, \"x-beta: yes\" or \"!x-beta\"",
                      "is not a condition on a header field");
    if (valued && (absent || !value.n))
        return refuse(c, v, absent ? "'!' takes a name alone" : "a name alone asks for any value",
                      "is not a condition on a header field");
    size_t n = absent + name.n + (valued ? 2 + value.n : 0);
    if (n > CONF_MAX_VALUE)
        return refuse(c, v, "", "is too long");
    char *p = arena_alloc(&c->arena, n + 1);
    if (!p) {
        c->nomem = true;
        return false;
    }
    name = lower(c, name);
    if (absent)
        p[0] = '!';
    memcpy(p + absent, name.p, name.n);
    if (valued) {
        memcpy(p + name.n, ": ", 2);
        memcpy(p + name.n + 2, value.p, value.n);
    }
    *word = (struct str){p, n};
    return !c->nomem;
}

static bool pair_word(struct conf *c, const struct value *v, struct str *word)
{
    *word = v->text;
    if (v->text.n == 0 || v->text.p[0] == '=' || !field_is_line(v->text) || has(v->text, '&') ||
        has(v->text, ';'))
        return refuse(c, v, "as in beta or \"beta=1\"; several make a list",
                      "is not a name or name=value");
    return true;
}

/* False after a problem was reported. */
static bool take(struct conf *c, const struct setting *s, const struct value *v, struct str *word)
{
    switch ((enum kind)s->kind) {
    case KIND_HOSTS: return host_word(c, v, word);
    case KIND_PATHS: return path_word(c, v, word);
    case KIND_METHODS: return method_word(c, v, word);
    case KIND_HEADERS: return header_word(c, v, word);
    case KIND_PAIRS: return pair_word(c, v, word);
    default: UNREACHABLE();
    }
}

static void add(struct conf *c, const struct setting *s, const struct value *v,
                struct view_words *words)
{
    struct str word;
    if (v->bad || !take(c, s, v, &word))
        return;
    for (uint32_t i = 0; i < words->n; i++)
        if (str_eq(words->list[i], word)) {
            refuse(c, v, "", "stands here twice");
            return;
        }
    word = arena_str(&c->view->arena, word);
    c->nomem |= !word.p;
    if (word.p)
        words->list[words->n++] = word;
}

void words_list(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    struct view_words words = {0};
    uint32_t n = v->kind != VALUE_LIST;
    for (const struct value *i = v->items; i; i = i->next)
        n++;
    if (n == 0 || n > VIEW_MAX_WORDS) {
        conf_complain(c, &v->place, n ? "make two routes of it" : settings_takes(c, s),
                      "a condition has 1 to %d items", VIEW_MAX_WORDS);
        return;
    }
    words.list = arena_array(&c->view->arena, n, sizeof *words.list);
    if (!words.list) {
        c->nomem = true;
        return;
    }
    if (v->kind != VALUE_LIST)
        add(c, s, v, &words);
    for (const struct value *i = v->items; i; i = i->next)
        add(c, s, i, &words);
    memcpy((char *)target + s->offset, &words, sizeof words);
}

static bool is_location(struct conf *c, const struct value *v)
{
    struct str s = v->text;
    if (!is_visible(s))
        return refuse(c, v, "blanks are written as %20", "is not a URL");
    if (s.p[0] != '/' && s.p[0] != '{' && !str_starts(s, STR("http://")) &&
        !str_starts(s, STR("https://")))
        return refuse(c, v, "as in \"https://{host}{uri}\" or /new", "is not a URL or path");
    return field_template(c, v, s);
}

static bool is_rewrite(struct conf *c, const struct value *v)
{
    struct str s = v->text;
    if (is_visible(s) && s.p[0] == '/' && !has(s, '?') && !has(s, '#'))
        return true;
    return refuse(c, v, "as in /v2", "is not a path");
}

static bool is_type(struct conf *c, const struct value *v)
{
    if (v->text.n && field_is_line(v->text) && has(v->text, '/'))
        return true;
    return refuse(c, v, "as in \"text/html; charset=utf-8\"", "is not a media type");
}

static bool is_cookie(struct conf *c, const struct value *v)
{
    if (v->secret) /* it shows in every answer, and in messages */
        return refuse(c, v, "", "is a reference, and a cookie's name cannot be one");
    if (field_is_token(v->text) && v->text.n <= 256)
        return true;
    return refuse(c, v, "letters, digits, '_' and '-'", "is not the name of a cookie");
}

void words_one(struct conf *c, const struct setting *s, const struct value *v, void *target)
{
    bool good = false;
    switch ((enum kind)s->kind) {
    case KIND_REWRITE: good = is_rewrite(c, v); break;
    case KIND_LOCATION: good = is_location(c, v); break;
    case KIND_COOKIE: good = is_cookie(c, v); break;
    case KIND_TYPE: good = is_type(c, v); break;
    default: UNREACHABLE();
    }
    if (!good)
        return;
    struct str copy = arena_str(&c->view->arena, v->text);
    if (copy.p)
        memcpy((char *)target + s->offset, &copy, sizeof copy);
    else
        c->nomem = true;
}
