/* http1_target: the request target and its authority (RFC 9112, 3.2; RFC 3986, 3.2). */
#include "wire/http1_class.h"
#include "wire/http1_inside.h"

static bool port_valid(struct str s, bool required)
{
    uint64_t port;
    if (s.n == 0)
        return !required; /* "host:" is the default port */
    return s.n <= 5 && str_u64(s, UINT16_MAX, &port) && (port || !required);
}

/* "[" IPv6address "]"; neither zones nor IPvFuture. */
static bool literal_valid(struct str s)
{
    char text[64];
    if (s.n + sizeof ":1" > sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    memcpy(text + s.n, ":1", 2);
    struct addr a;
    return addr_parse((struct str){text, s.n + 2}, &a) && a.kind == ADDR_IP6;
}

static bool name_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_class(s.p[i], CLASS_HOST))
            continue;
        if (s.p[i] != '%' || s.n - i < 3 || !is_class(s.p[i + 1], CLASS_HEX) ||
            !is_class(s.p[i + 2], CLASS_HEX))
            return false;
        i += 2;
    }
    return s.n > 0;
}

bool http1_authority_valid(struct str s, bool port_required)
{
    size_t n = 0;
    while (n < s.n && is_class(s.p[n], CLASS_HOST))
        n++;
    if (n == s.n)
        return n > 0 && !port_required; /* most: a name alone */
    bool literal = s.p[0] == '[';
    const char *bracket = literal ? memchr(s.p, ']', s.n) : NULL;
    const char *from = bracket ? bracket : s.p;
    const char *colon = memchr(from, ':', s.n - (size_t)(from - s.p));
    struct str host = {s.p, colon ? (size_t)(colon - s.p) : s.n};
    if (literal ? !literal_valid(host) : !name_valid(host))
        return false;
    if (!colon)
        return !port_required;
    return port_valid((struct str){colon + 1, s.n - host.n - 1}, port_required);
}

static bool starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq_nocase((struct str){s.p, prefix.n}, prefix);
}

static enum http1_refuse absolute(struct http_head *h)
{
    struct str t = h->target;
    if (starts_nocase(t, STR("https://")))
        return REFUSE_TARGET_HTTPS;
    if (!starts_nocase(t, STR("http://")))
        return memmem(t.p, t.n, "://", 3) ? REFUSE_TARGET_SCHEME : REFUSE_TARGET_FORM;
    const char *p = t.p + 7, *end = t.p + t.n, *host = p;
    while (p < end && *p != '/' && *p != '?')
        p++;
    h->host = (struct str){host, (size_t)(p - host)};
    h->path = (struct str){p, (size_t)(end - p)};
    if (memchr(host, '@', h->host.n))
        return REFUSE_TARGET_USERINFO;
    return http1_authority_valid(h->host, false) ? REFUSE_NONE : REFUSE_TARGET_AUTHORITY;
}

enum http1_refuse http1_target(struct http_head *h)
{
    struct str t = h->target;
    if (h->method == HTTP_CONNECT) {
        h->host = h->path = t;
        return http1_authority_valid(t, true) ? REFUSE_NONE : REFUSE_TARGET_FORM;
    }
    h->path = t;
    if (t.p[0] == '/')
        return REFUSE_NONE;
    if (t.n == 1 && t.p[0] == '*')
        return h->method == HTTP_OPTIONS ? REFUSE_NONE : REFUSE_TARGET_FORM;
    return absolute(h);
}
