#include "wire/http1_field.h"

#include "wire/http1_class.h"

struct known {
    struct str name;
    bool hop;
};

#define K(literal)                                                                                 \
    {                                                                                              \
        {literal, sizeof(literal) - 1}, false                                                      \
    }
#define HOP(literal)                                                                               \
    {                                                                                              \
        {literal, sizeof(literal) - 1}, true                                                       \
    }

/* Proxy-Authorization and Proxy-Authenticate end here: this is a gateway, it asks nobody for proxy
 * credentials and must not show an instance those that were meant for another proxy (RFC 9110,
 * 11.7). */
static const struct known known[HTTP_FIELDS] = {
    [HTTP_FIELD_HOST] = K("host"),
    [HTTP_FIELD_CONNECTION] = HOP("connection"),
    [HTTP_FIELD_KEEP_ALIVE] = HOP("keep-alive"),
    [HTTP_FIELD_PROXY_CONNECTION] = HOP("proxy-connection"),
    [HTTP_FIELD_TRANSFER_ENCODING] = HOP("transfer-encoding"),
    [HTTP_FIELD_CONTENT_LENGTH] = K("content-length"),
    [HTTP_FIELD_TE] = HOP("te"),
    [HTTP_FIELD_TRAILER] = K("trailer"),
    [HTTP_FIELD_UPGRADE] = HOP("upgrade"),
    [HTTP_FIELD_EXPECT] = K("expect"),
    [HTTP_FIELD_VIA] = K("via"),
    [HTTP_FIELD_FORWARDED] = K("forwarded"),
    [HTTP_FIELD_X_FORWARDED_FOR] = K("x-forwarded-for"),
    [HTTP_FIELD_X_FORWARDED_PROTO] = K("x-forwarded-proto"),
    [HTTP_FIELD_X_FORWARDED_HOST] = K("x-forwarded-host"),
    [HTTP_FIELD_DATE] = K("date"),
    [HTTP_FIELD_SERVER] = K("server"),
    [HTTP_FIELD_MAX_FORWARDS] = K("max-forwards"),
    [HTTP_FIELD_PROXY_AUTHORIZATION] = HOP("proxy-authorization"),
    [HTTP_FIELD_PROXY_AUTHENTICATE] = HOP("proxy-authenticate"),
    [HTTP_FIELD_COOKIE] = K("cookie"),
    [HTTP_FIELD_SET_COOKIE] = K("set-cookie"),
    [HTTP_FIELD_TRACEPARENT] = K("traceparent"),
    [HTTP_FIELD_TRACESTATE] = K("tracestate"),
};

/* Setting bit 5 lower-cases a letter and leaves '-' alone; no other token byte becomes either. */
static bool is_name(struct str s, enum http_field f)
{
    const char *name = known[f].name.p;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] | 0x20) != name[i])
            return false;
    return true;
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
    return f != HTTP_FIELD_OTHER && is_name(name, f) ? f : HTTP_FIELD_OTHER;
}

bool http1_field_hop(enum http_field f)
{
    return known[f].hop;
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
