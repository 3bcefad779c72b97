/* Which form of the metrics an Accept field asks for (RFC 9110, 12.5.1): the one with the greater
 * weight; of equals, the one that stands first. */
#include "admin/exposition.h"

/* The part before the separator, trimmed; *rest is what follows it. */
static struct str cut(struct str *rest, char separator)
{
    const char *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    struct str part = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t gone = part.n + (end != NULL);
    *rest = (struct str){rest->p + gone, rest->n - gone};
    return str_trim(part);
}

/* "0.7" in thousandths (RFC 9110, 12.4.2); what is none is 0: asked for by nobody. */
static uint32_t weight_of(struct str text)
{
    uint64_t whole, part = 0;
    struct str first = cut(&text, '.');
    if (!str_u64(first, 1, &whole) || text.n > 3 || (text.n && !str_u64(text, 999, &part)))
        return 0;
    for (size_t i = text.n; i < 3; i++)
        part *= 10;
    return (uint32_t)MIN(whole * 1000 + part, UINT64_C(1000));
}

struct range {
    bool text, protobuf;
    uint32_t weight;
};

static struct range range_of(struct str item)
{
    static const char *const text_types[] = {"text/plain", "text/*", "*/*"};
    struct str type = cut(&item, ';');
    struct range r = {.weight = 1000};
    bool message = false, delimited = false, version = true;
    while (item.n) {
        struct str value = cut(&item, ';'), name = cut(&value, '=');
        if (str_eq_nocase(name, STR("q")))
            r.weight = weight_of(value);
        else if (str_eq_nocase(name, STR("proto")))
            message = str_eq(value, STR("io.prometheus.client.MetricFamily"));
        else if (str_eq_nocase(name, STR("encoding")))
            delimited = str_eq_nocase(value, STR("delimited"));
        else if (str_eq_nocase(name, STR("version")))
            version = str_eq(value, STR("0.0.4"));
    }
    r.protobuf =
        str_eq_nocase(type, STR("application/vnd.google.protobuf")) && message && delimited;
    for (size_t i = 0; i < ARRAY_LEN(text_types); i++)
        r.text |= version && str_eq_nocase(type, str_of(text_types[i]));
    return r;
}

enum exposition_form exposition_accepted(struct str accept)
{
    enum exposition_form best = EXPOSITION_TEXT;
    uint32_t weight = 0;
    while (accept.n) {
        struct str item = cut(&accept, ',');
        struct range r = range_of(item);
        if ((r.text || r.protobuf) && r.weight > weight) {
            best = r.protobuf ? EXPOSITION_PROTOBUF : EXPOSITION_TEXT;
            weight = r.weight;
        }
    }
    return best;
}
