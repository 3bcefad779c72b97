#include "wire/http1_field.h"

#include "wire/http1_class.h"

/* In lower case. */
static const struct str known[HTTP_FIELDS] = {
    [HTTP_FIELD_HOST] = {"host", sizeof "host" - 1},
    [HTTP_FIELD_CONNECTION] = {"connection", sizeof "connection" - 1},
    [HTTP_FIELD_KEEP_ALIVE] = {"keep-alive", sizeof "keep-alive" - 1},
    [HTTP_FIELD_PROXY_CONNECTION] = {"proxy-connection", sizeof "proxy-connection" - 1},
    [HTTP_FIELD_TRANSFER_ENCODING] = {"transfer-encoding", sizeof "transfer-encoding" - 1},
    [HTTP_FIELD_CONTENT_LENGTH] = {"content-length", sizeof "content-length" - 1},
    [HTTP_FIELD_TE] = {"te", sizeof "te" - 1},
    [HTTP_FIELD_TRAILER] = {"trailer", sizeof "trailer" - 1},
    [HTTP_FIELD_UPGRADE] = {"upgrade", sizeof "upgrade" - 1},
    [HTTP_FIELD_EXPECT] = {"expect", sizeof "expect" - 1},
    [HTTP_FIELD_VIA] = {"via", sizeof "via" - 1},
    [HTTP_FIELD_FORWARDED] = {"forwarded", sizeof "forwarded" - 1},
    [HTTP_FIELD_X_FORWARDED_FOR] = {"x-forwarded-for", sizeof "x-forwarded-for" - 1},
    [HTTP_FIELD_X_FORWARDED_PROTO] = {"x-forwarded-proto", sizeof "x-forwarded-proto" - 1},
    [HTTP_FIELD_X_FORWARDED_HOST] = {"x-forwarded-host", sizeof "x-forwarded-host" - 1},
    [HTTP_FIELD_DATE] = {"date", sizeof "date" - 1},
    [HTTP_FIELD_SERVER] = {"server", sizeof "server" - 1},
    [HTTP_FIELD_MAX_FORWARDS] = {"max-forwards", sizeof "max-forwards" - 1},
    [HTTP_FIELD_PROXY_AUTHORIZATION] = {"proxy-authorization", sizeof "proxy-authorization" - 1},
    [HTTP_FIELD_PROXY_AUTHENTICATE] = {"proxy-authenticate", sizeof "proxy-authenticate" - 1},
    [HTTP_FIELD_COOKIE] = {"cookie", sizeof "cookie" - 1},
    [HTTP_FIELD_SET_COOKIE] = {"set-cookie", sizeof "set-cookie" - 1},
    [HTTP_FIELD_TRACEPARENT] = {"traceparent", sizeof "traceparent" - 1},
    [HTTP_FIELD_TRACESTATE] = {"tracestate", sizeof "tracestate" - 1},
};

/* Setting bit 5 lower-cases a letter and leaves '-' alone; no other token byte becomes either. */
static inline bool same_4(const char *p, const char *name)
{
    uint32_t a, b;
    memcpy(&a, p, sizeof a);
    memcpy(&b, name, sizeof b);
    return (a | 0x20202020u) == b;
}

static inline bool same_8(const char *p, const char *name)
{
    uint64_t a, b;
    memcpy(&a, p, sizeof a);
    memcpy(&b, name, sizeof b);
    return (a | 0x2020202020202020u) == b;
}

/* Words at a time, the last one overlapping those before it. The name has n bytes, and no name has
 * more than three words or less than two bytes. */
static inline bool is_name(const char *p, const char *name, size_t n)
{
    if (n < 4)
        return (p[0] | 0x20) == name[0] && (p[1] | 0x20) == name[1] &&
               (p[n - 1] | 0x20) == name[n - 1];
    if (n < 8)
        return same_4(p, name) && same_4(p + n - 4, name + n - 4);
    if (n > 16 && !same_8(p + 8, name + 8))
        return false;
    return same_8(p, name) && same_8(p + n - 8, name + n - 8);
}

/* The one name of that length that begins with this letter; OTHER is none. */
static enum http_field candidate(size_t n, char first)
{
    switch (n) {
    case 2: return HTTP_FIELD_TE;
    case 3: return HTTP_FIELD_VIA;
    case 4: return first == 'h' ? HTTP_FIELD_HOST : HTTP_FIELD_DATE;
    case 6:
        if (first == 'c')
            return HTTP_FIELD_COOKIE;
        return first == 's' ? HTTP_FIELD_SERVER : HTTP_FIELD_EXPECT;
    case 7: return first == 'u' ? HTTP_FIELD_UPGRADE : HTTP_FIELD_TRAILER;
    case 9: return HTTP_FIELD_FORWARDED;
    case 10:
        if (first == 's')
            return HTTP_FIELD_SET_COOKIE;
        if (first == 't')
            return HTTP_FIELD_TRACESTATE;
        return first == 'c' ? HTTP_FIELD_CONNECTION : HTTP_FIELD_KEEP_ALIVE;
    case 11: return HTTP_FIELD_TRACEPARENT;
    case 12: return HTTP_FIELD_MAX_FORWARDS;
    case 14: return HTTP_FIELD_CONTENT_LENGTH;
    case 15: return HTTP_FIELD_X_FORWARDED_FOR;
    case 16: return first == 'p' ? HTTP_FIELD_PROXY_CONNECTION : HTTP_FIELD_X_FORWARDED_HOST;
    case 17: return first == 't' ? HTTP_FIELD_TRANSFER_ENCODING : HTTP_FIELD_X_FORWARDED_PROTO;
    case 18: return HTTP_FIELD_PROXY_AUTHENTICATE;
    case 19: return HTTP_FIELD_PROXY_AUTHORIZATION;
    default: return HTTP_FIELD_OTHER;
    }
}

enum http_field http1_field_of(struct str name)
{
    enum http_field f = candidate(name.n, name.n ? (char)(name.p[0] | 0x20) : 0);
    return f != HTTP_FIELD_OTHER && is_name(name.p, known[f].p, name.n) ? f : HTTP_FIELD_OTHER;
}

bool http1_trailer_allowed(struct str name)
{
    static const struct str refused[] = {
        {"authorization", 13},    {"cache-control", 13}, {"content-encoding", 16},
        {"content-location", 16}, {"content-range", 13}, {"content-type", 12},
        {"www-authenticate", 16},
    };
    enum http_field f = http1_field_of(name);
    if (f != HTTP_FIELD_OTHER)
        return f == HTTP_FIELD_SERVER || f == HTTP_FIELD_DATE || f == HTTP_FIELD_TRACEPARENT ||
               f == HTTP_FIELD_TRACESTATE;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (str_eq(name, refused[i]))
            return false;
    return true;
}

bool http1_list_next(struct str *rest, struct str *item)
{
    while (rest->n) {
        const char *comma = memchr(rest->p, ',', rest->n);
        size_t n = comma ? (size_t)(comma - rest->p) : rest->n;
        *item = str_trim((struct str){rest->p, n});
        n += comma != NULL;
        *rest = (struct str){rest->p + n, rest->n - n};
        if (item->n)
            return true;
    }
    return false;
}

bool http1_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_class(s.p[i], CLASS_TOKEN))
            return false;
    return s.n > 0;
}
