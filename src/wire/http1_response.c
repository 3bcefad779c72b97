/* http1_response: a response's head (RFC 9112, 4) and what it frames (RFC 9112, 6.3). */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_inside.h"
#include "wire/http1_scan.h"

/* version SP 3DIGIT [ SP reason ]: the space that must stand before an empty reason is often left
 * out, and nothing can be meant by that. */
static enum http1_refuse status_line(const char **p, const char *end, struct http_head *h)
{
    const char *cr = http1_find_cr(*p, end);
    enum http1_refuse r = http1_version(p, cr, h);
    if (r)
        return r;
    const char *s = *p;
    if (s == cr || *s != ' ')
        return REFUSE_STATUS_LINE;
    if (cr - s < 4 || !is_class(s[1], CLASS_DIGIT) || s[1] == '0' || !is_class(s[2], CLASS_DIGIT) ||
        !is_class(s[3], CLASS_DIGIT))
        return REFUSE_STATUS_CODE;
    h->status = (uint16_t)((s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'));
    s += 4;
    if (s < cr && *s != ' ')
        return is_class(*s, CLASS_DIGIT) ? REFUSE_STATUS_CODE : REFUSE_STATUS_LINE;
    if (s < cr)
        s++;
    h->reason = (struct str){s, (size_t)(cr - s)};
    *p = cr + 2;
    return REFUSE_NONE;
}

/* An instance that frames a body where none may be could send one all the same. Behind a final
 * response that costs the connection; behind an informational one it would be read as the final. */
static enum http1_refuse without_body(struct http_head *h)
{
    if (h->status < 200 && h->framing != HTTP_BODY_NONE)
        return REFUSE_INFORMATIONAL_BODY;
    if (h->status == 204 && h->framing != HTTP_BODY_NONE)
        h->keep_alive = false;
    h->framing = HTTP_BODY_NONE;
    return REFUSE_NONE;
}

static enum http1_refuse frame(struct http_head *h, enum http_method request)
{
    if (h->status == 101 && !h->upgrade)
        return REFUSE_SWITCHING;
    bool connected = request == HTTP_CONNECT && h->status >= 200 && h->status < 300;
    if (h->status == 101 && h->framing != HTTP_BODY_NONE)
        return REFUSE_INFORMATIONAL_BODY;
    if (connected || h->status == 101) {
        h->framing = HTTP_BODY_TUNNEL;
        h->keep_alive = false;
        return REFUSE_NONE;
    }
    h->upgrade = false; /* what other responses say of Upgrade is an advertisement */
    if (h->status < 200 || h->status == 204 || h->status == 304 || request == HTTP_HEAD)
        return without_body(h);
    if (h->declared == HTTP_BODY_NONE) {
        h->framing = HTTP_BODY_CLOSE;
        h->keep_alive = false;
    }
    return REFUSE_NONE;
}

int http_parse_response(const char *p, size_t n, size_t seen, enum http_method request,
                        const struct http_limits *lim, struct http_head *out,
                        const struct http_refusal **why)
{
    struct http1_scan scan;
    int r = http1_scan(p, n, seen, lim, false, &scan);
    if (r == HTTP_MORE)
        return r;
    enum http1_refuse refuse = scan.refuse;
    if (r == HTTP_DONE) {
        const char *at = p, *end = p + scan.end;
        struct http1_facts f = {.request = false};
        http1_head_clear(out);
        out->bytes = (uint32_t)scan.end;
        refuse = status_line(&at, end, out);
        if (!refuse)
            refuse = http1_fields(at, end, p + n, lim->head_fields, out, &f);
        if (!refuse)
            refuse = http1_settle(out, &f);
        if (!refuse)
            refuse = frame(out, request);
    }
    return refuse ? http1_refused(refuse, why) : HTTP_DONE;
}
