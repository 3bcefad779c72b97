/* Every kind of word has a function that says what is wrong with it, and another form of it where
 * requests are compared in one form only: hosts and names of fields are in lower case. */
#include "conf/words.h"

#include "conf/field.h"

/* What a request line takes: visible ASCII. */
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

/* What a path is made of. */
static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (has(STR("\"<>\\"), s.p[i]))
            return false;
    return is_visible(s);
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

static bool host_word(struct conf *c, const struct value *v, struct str *word)
{
    *word = lower(c, v->text);
    struct str name = *word;
    if (str_starts(name, STR("*.")))
        name = (struct str){name.p + 2, name.n - 2};
    if (field_is_host(name))
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

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%61" for 'a'. */
static bool is_escaped_plain(struct str s)
{
    int high = s.n >= 3 ? hex(s.p[1]) : -1, low = s.n >= 3 ? hex(s.p[2]) : -1;
    char c = high < 0 || low < 0 ? 0 : (char)(high * 16 + low);
    return c && (has(STR("-._~"), c) || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                 (c >= 'a' && c <= 'z'));
}

/* Requests' paths are compared in a normal form (RFC 3986, 6.2.2): without empty, "." and ".."
 * segments, unreserved characters as they are. Another path would never match. */
static const char *not_normal(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        struct str rest = {s.p + i, s.n - i};
        if (str_starts(rest, STR("//")))
            return "requests are compared with one '/' in place of several";
        bool dots = str_starts(rest, STR("/..")) && (rest.n == 3 || rest.p[3] == '/');
        bool dot = str_starts(rest, STR("/.")) && (rest.n == 2 || rest.p[2] == '/');
        if (dot || dots)
            return "requests are compared without '.' and '..'";
        if (rest.p[0] == '%' && is_escaped_plain(rest))
            return "requests are compared with letters, digits and '-._~' as they are, not as %XX";
    }
    return NULL;
}

static bool not_a_path(struct conf *c, const struct value *v)
{
    struct str s = v->text;
    if (s.n && s.p[0] == '~')
        return refuse(c, v, "patterns are not known here", "is not a path");
    if (!is_target(s))
        return refuse(c, v,
                      "blanks, quotes, '<', '>', '\\' and what is beyond ASCII are written as %20",
                      "is not a path");
    if (v->secret || s.p[0] == '*' || s.p[0] == '=')
        return refuse(c, v, "as in /v1, \"=/exact\" or \"*.png\"", "is not a path");
    return refuse(c, v, conf_text(c, "did you mean '/" STR_FMT "'?", STR_ARG(conf_shown(v))),
                  "is not a path");
}

/* "/v1/ *" and the like, from where a '*' stands for anything. */
static bool stray_star(struct conf *c, const struct value *v)
{
    struct str s = v->text;
    if (v->secret || s.p[0] != '/' || memchr(s.p, '*', s.n) != s.p + s.n - 1)
        return refuse(c, v, "a '*' stands at the beginning only, as in \"*.png\"",
                      "has a '*' that means nothing");
    s.n -= s.n > 2 && s.p[s.n - 2] == '/' ? 2 : 1;
    return refuse(c, v,
                  conf_text(c, "a path takes all below it: '" STR_FMT "'", STR_ARG(conf_clip(s))),
                  "has a '*' that means nothing");
}

static bool path_word(struct conf *c, const struct value *v, struct str *word)
{
    struct str s = *word = v->text;
    bool exact = str_starts(s, STR("=/")), suffix = str_starts(s, STR("*."));
    if (!is_target(s) || (s.p[0] != '/' && !exact && !suffix))
        return not_a_path(c, v);
    if (has(s, '?') || has(s, '#'))
        return refuse(c, v, "a condition on the query is 'query = \"name=value\"'",
                      "is not a path alone");
    struct str rest = suffix ? (struct str){s.p + 2, s.n - 2} : s;
    if (suffix && (!rest.n || has(rest, '/')))
        return refuse(c, v, "as in \"*.png\"", "is not the end of a path");
    if (has(rest, '*'))
        return stray_star(c, v);
    const char *hint = not_normal(exact ? (struct str){s.p + 1, s.n - 1} : s);
    return hint ? refuse(c, v, hint, "matches no request") : true;
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
    if (is_target(s) && s.p[0] == '/' && !has(s, '?') && !has(s, '#'))
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
