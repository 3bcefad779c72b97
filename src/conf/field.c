/* Fields that a rule changes must not frame the message nor belong to one connection: those are
 * written by the proxy, from what it parsed (RFC 9110, 7.6.1; docs/http1.md). */
#include "conf/field.h"

static const char *const placeholders[] = {"client", "host",   "path",    "query", "uri",
                                           "rest",   "method", "service", "route", "request-id"};

bool field_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !(c && strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n > 0;
}

bool field_is_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

bool field_split(struct str s, struct str *name, struct str *value)
{
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    if (!colon)
        return false;
    size_t at = (size_t)(colon - s.p);
    *name = str_trim((struct str){s.p, at});
    *value = str_trim((struct str){colon + 1, s.n - at - 1});
    return true;
}

static bool is_own(struct str name)
{
    struct str beginning = {name.p, MIN(name.n, strlen("proxy-"))};
    return !view_edit_name_valid(name) || str_eq_nocase(beginning, STR("proxy-"));
}

bool field_may_change(struct conf *c, const struct value *v, struct str name, bool request,
                      bool set)
{
    if (!field_is_token(name) || name.n > 256) {
        conf_complain(c, &v->place, "a name has letters, digits and '-'",
                      "'" STR_FMT "' does not begin with the name of a header field",
                      STR_ARG(conf_shown(v)));
        return false;
    }
    if (is_own(name)) {
        conf_complain(c, &v->place, "it belongs to one connection, and is written by the proxy",
                      "'" STR_FMT "' cannot be changed", STR_ARG(conf_shown(v)));
        return false;
    }
    if (!str_eq_nocase(name, STR("host")) || (request && set))
        return true;
    conf_complain(c, &v->place,
                  request ? "every request has one; 'request-set' puts another in its place"
                          : "it is a field of requests",
                  "'" STR_FMT "' cannot be changed so", STR_ARG(conf_shown(v)));
    return false;
}

static const char *placeholder_hint(struct conf *c, const struct value *v, struct str name)
{
    struct suggest g = suggest_for(name);
    if (v->secret)
        return "";
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++)
        suggest_try(&g, str_of(placeholders[i]));
    if (g.n)
        return conf_text(c, "did you mean '{" STR_FMT "}'?", STR_ARG(g.name[0]));
    return "known are {client} {host} {path} {query} {uri} {rest} {method} {service} {route} "
           "{request-id}; '{{' is a brace";
}

static bool is_known(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++)
        if (str_eq(name, str_of(placeholders[i])))
            return true;
    return false;
}

bool field_template(struct conf *c, const struct value *v, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '{')
            continue;
        if (i + 1 < text.n && text.p[i + 1] == '{') {
            i++;
            continue;
        }
        const char *end = memchr(text.p + i, '}', text.n - i);
        size_t stop = end ? (size_t)(end - text.p) : text.n;
        struct str name = {text.p + i + 1, stop - i - 1};
        if (!end) {
            conf_complain(c, &v->place, "write '{{' for the character itself",
                          "a '{' in '" STR_FMT "' is not closed", STR_ARG(conf_shown(v)));
            return false;
        }
        if (!is_known(name)) {
            conf_complain(c, &v->place, placeholder_hint(c, v, name),
                          "unknown placeholder in '" STR_FMT "'", STR_ARG(conf_shown(v)));
            return false;
        }
        i = stop;
    }
    return true;
}
