/* http1_request: a request's head (RFC 9112, 3). */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_inside.h"
#include "wire/http1_scan.h"

bool http_method_idempotent(enum http_method m)
{
    switch (m) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE: return true;
    case HTTP_OTHER:
    case HTTP_POST:
    case HTTP_CONNECT:
    case HTTP_PATCH: return false;
    }
    return false;
}

static bool is(struct str s, const char *name)
{
    return memcmp(s.p, name, s.n) == 0;
}

/* Methods are case-sensitive (RFC 9110, 9.1). */
static enum http_method method_of(struct str s)
{
    switch (s.n) {
    case 3: return is(s, "GET") ? HTTP_GET : is(s, "PUT") ? HTTP_PUT : HTTP_OTHER;
    case 4: return is(s, "POST") ? HTTP_POST : is(s, "HEAD") ? HTTP_HEAD : HTTP_OTHER;
    case 5: return is(s, "PATCH") ? HTTP_PATCH : is(s, "TRACE") ? HTTP_TRACE : HTTP_OTHER;
    case 6: return is(s, "DELETE") ? HTTP_DELETE : HTTP_OTHER;
    case 7: return is(s, "OPTIONS") ? HTTP_OPTIONS : is(s, "CONNECT") ? HTTP_CONNECT : HTTP_OTHER;
    default: return HTTP_OTHER;
    }
}

/* The method's first byte is known to be a token's. */
static enum http1_refuse method(const char **p, struct http_head *h)
{
    const char *start = *p, *at = start;
    while (is_class(*at, CLASS_TOKEN))
        at++;
    if (*at != ' ')
        return *at == '\t' || *at == '\r' ? REFUSE_REQUEST_LINE : REFUSE_METHOD;
    h->method_text = (struct str){start, (size_t)(at - start)};
    h->method = (uint8_t)method_of(h->method_text);
    *p = at + 1;
    return REFUSE_NONE;
}

static enum http1_refuse target(const char **p, struct http_head *h)
{
    const char *start = *p, *at = start;
    while (is_class(*at, CLASS_PATH))
        at++;
    if (*at == '?')
        while (is_class(*at, CLASS_QUERY))
            at++;
    if (at == start || *at != ' ')
        return is_blank(*at) || *at == '\r' ? REFUSE_REQUEST_LINE : REFUSE_TARGET_CHARACTER;
    h->target = (struct str){start, (size_t)(at - start)};
    *p = at + 1;
    return REFUSE_NONE;
}

/* Behind the target, up to the line's end. */
static enum http1_refuse version(const char **p, const char *end, struct http_head *h)
{
    const char *start = *p, *cr = http1_find_cr(start, end);
    for (const char *at = start; at < cr; at++)
        if (is_blank(*at))
            return REFUSE_REQUEST_LINE;
    enum http1_refuse r = http1_version(p, cr, h);
    if (r)
        return r;
    if (*p != cr)
        return REFUSE_VERSION;
    *p = cr + 2;
    return REFUSE_NONE;
}

static enum http1_refuse request_line(const char **p, const char *end, struct http_head *h)
{
    enum http1_refuse r = method(p, h);
    if (r == REFUSE_NONE)
        r = target(p, h);
    if (r)
        return r;
    if (end - *p >= 10 && memcmp(*p, "HTTP/1.1\r\n", 10) == 0) {
        h->minor = 1;
        *p += 10;
    } else if ((r = version(p, end, h)) != REFUSE_NONE) {
        return r;
    }
    return http1_target(h);
}

static enum http1_refuse request(const char *p, const char *end, const char *whole,
                                 const struct http_limits *lim, struct http_head *h)
{
    struct http1_facts f = {.request = true};
    enum http1_refuse r = request_line(&p, end, h);
    if (r == REFUSE_NONE)
        r = http1_fields(p, end, whole, lim->head_fields, h, &f);
    if (r == REFUSE_NONE)
        r = http1_settle(h, &f);
    if (r)
        return r;
    if (h->minor > 0 && !(h->present & FIELD_BIT(HTTP_FIELD_HOST)))
        return REFUSE_HOST_MISSING;
    /* RFC 9110, 10.1.1: ignored in HTTP/1.0, and means nothing without content. */
    h->expect_continue =
        (h->present & FIELD_BIT(HTTP_FIELD_EXPECT)) && h->minor > 0 && h->framing != HTTP_BODY_NONE;
    return REFUSE_NONE;
}

int http_parse_request(const char *p, size_t n, size_t seen, const struct http_limits *lim,
                       struct http_head *out, const struct http_refusal **why)
{
    struct http1_scan scan;
    int r = http1_scan(p, n, seen, lim, true, &scan);
    if (r == HTTP_MORE)
        return r;
    enum http1_refuse refuse = scan.refuse;
    if (r == HTTP_DONE) {
        http1_head_clear(out);
        out->bytes = (uint32_t)scan.end;
        refuse = request(p + scan.begin, p + scan.end, p + n, lim, out);
    }
    return refuse ? http1_refused(refuse, why) : HTTP_DONE;
}
