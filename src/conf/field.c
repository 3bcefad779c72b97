/* Fields that a rule changes must not frame the message nor belong to one connection: those are
 * written by the proxy, from what it parsed (RFC 9110, 7.6.1; docs/http1.md). */
#include "conf/field.h"

#include <stdio.h>

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

static bool is_literal(struct str s)
{
    char text[ADDR_TEXT_MAX];
    struct addr a;
    int n = snprintf(text, sizeof text, STR_FMT ":1", STR_ARG(s));
    return n > 0 && (size_t)n < sizeof text && addr_parse((struct str){text, (size_t)n}, &a) &&
           a.kind == ADDR_IP6;
}

bool field_is_host(struct str s)
{
    if (s.n && s.p[0] == '[')
        return is_literal(s);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], lower = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        bool label =
            (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!label && !(c == '.' && i && i + 1 < s.n && s.p[i - 1] != '.'))
            return false;
    }
    return s.n > 0 && s.n <= 255;
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

bool field_may_change(struct conf *c, const struct value *v, struct str name, bool request,
                      bool set)
{
    if (!field_is_token(name) || name.n > 256) {
        conf_complain(c, &v->place, "a name has letters, digits and '-'",
                      "'" STR_FMT "' does not begin with the name of a header field",
                      STR_ARG(conf_shown(v)));
        return false;
    }
    if (!view_edit_name_valid(name)) {
        conf_complain(c, &v->place,
                      "the proxy writes it: it frames the message, or belongs to one connection",
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

/* "example.com", "10.0.0.1:80", "[::1]:80". */
bool field_is_authority(struct str s)
{
    const char *end = s.n && s.p[0] == '[' ? memchr(s.p, ']', s.n) : s.p;
    size_t from = end ? (size_t)(end - s.p) : s.n;
    const char *colon = from < s.n ? memchr(s.p + from, ':', s.n - from) : NULL;
    size_t n = colon ? (size_t)(colon - s.p) : s.n;
    uint64_t port;
    return field_is_host((struct str){s.p, n}) &&
           (!colon || str_u64((struct str){colon + 1, s.n - n - 1}, UINT16_MAX, &port));
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
