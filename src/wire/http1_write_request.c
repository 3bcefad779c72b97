/* http1_write_request: the head that goes to an instance.
 *
 * Nothing that frames or routes is copied: the request line, Host, the framing field and Connection
 * are written from the parsed facts, so that the instance cannot read another message out of them
 * than was read here. End-to-end fields follow in their order, then who forwarded (RFC 7239; Via:
 * RFC 9110, 7.6.3). */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_out.h"

static bool has(const struct http_head *h, enum http_field f)
{
    return h->present & FIELD_BIT(f);
}

static void put_first_lines(struct out *o, const struct http_head *h)
{
    put_view(o, h->method_text);
    PUT(o, " ");
    if (h->path.n == 0 && h->method == HTTP_OPTIONS)
        PUT(o, "*"); /* RFC 9112, 3.2.4 */
    else if (h->path.n == 0 || h->path.p[0] == '?')
        PUT(o, "/");
    put_view(o, h->path);
    PUT(o, " HTTP/1.1\r\nHost: ");
    put_view(o, h->host);
    PUT(o, "\r\n");
}

static void put_framing(struct out *o, const struct http_head *h)
{
    if (h->declared == HTTP_BODY_CHUNKED) {
        PUT(o, "Transfer-Encoding: chunked\r\n");
    } else if (h->declared == HTTP_BODY_LENGTH) {
        PUT(o, "Content-Length: ");
        http1_put_number(o, h->length);
        PUT(o, "\r\n");
    }
}

static void put_connection(struct out *o, const struct http_head *h, bool keep)
{
    if (h->te_trailers)
        PUT(o, "TE: trailers\r\n");
    if (h->upgrade)
        http1_put_kind(o, h, HTTP_FIELD_UPGRADE);
    if (!h->te_trailers && !h->upgrade && keep)
        return;
    PUT(o, "Connection: ");
    if (h->upgrade)
        PUT(o, "upgrade");
    else if (!keep)
        PUT(o, "close");
    if (h->te_trailers && (h->upgrade || !keep))
        PUT(o, ", TE");
    else if (h->te_trailers)
        PUT(o, "TE");
    PUT(o, "\r\n");
}

/* The lists that are there, in order, each followed by ", ". */
static void put_list(struct out *o, const struct http_head *h, enum http_field f)
{
    if (!has(h, f))
        return;
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (h->headers[i].field == f && h->headers[i].value.n) {
            put_view(o, h->headers[i].value);
            PUT(o, ", ");
        }
}

/* A value that opens a quote and does not close it would swallow the element behind it. */
static bool quotes_closed(struct str v)
{
    bool open = false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\\' && open)
            i++;
        else if (v.p[i] == '"')
            open = !open;
    }
    return !open;
}

static bool forwarded_usable(const struct http_head *h)
{
    if (has(h, HTTP_FIELD_FORWARDED))
        for (uint32_t i = 0; i < h->n_headers; i++)
            if (h->headers[i].field == HTTP_FIELD_FORWARDED && !quotes_closed(h->headers[i].value))
                return false;
    return true;
}

/* RFC 7239, 6: an IPv6 address is bracketed and quoted; what is no address is an obfuscated name.
 */
static void put_forwarded(struct out *o, const struct http_head *h, const struct http_forward *f)
{
    PUT(o, "Forwarded: ");
    if (!f->distrust && forwarded_usable(h))
        put_list(o, h, HTTP_FIELD_FORWARDED);
    bool ip6 = memchr(f->client_ip.p, ':', f->client_ip.n) != NULL;
    bool ip4 = !ip6 && is_class(f->client_ip.p[0], CLASS_DIGIT);
    if (ip6)
        PUT(o, "for=\"[");
    else if (ip4)
        PUT(o, "for=");
    else
        PUT(o, "for=_");
    put_view(o, f->client_ip);
    if (ip6)
        PUT(o, "]\"");
    if (h->host.n) {
        PUT(o, ";host=\"");
        put_view(o, h->host);
        PUT(o, "\"");
    }
    PUT(o, ";proto=");
    put_view(o, f->proto);
    PUT(o, "\r\n");
}

static void put_x_forwarded(struct out *o, const struct http_head *h, const struct http_forward *f)
{
    PUT(o, "X-Forwarded-For: ");
    if (!f->distrust)
        put_list(o, h, HTTP_FIELD_X_FORWARDED_FOR);
    put_view(o, f->client_ip);
    if (f->distrust || !has(h, HTTP_FIELD_X_FORWARDED_PROTO)) {
        PUT(o, "\r\nX-Forwarded-Proto: ");
        put_view(o, f->proto);
    }
    if (h->host.n && (f->distrust || !has(h, HTTP_FIELD_X_FORWARDED_HOST))) {
        PUT(o, "\r\nX-Forwarded-Host: ");
        put_view(o, h->host);
    }
    PUT(o, "\r\n");
}

/* What is not copied, beside the hop-by-hop fields. */
static uint32_t dropped(const struct http_head *h, const struct http_forward *f)
{
    uint32_t drop = FIELD_BIT(HTTP_FIELD_HOST) | FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH) |
                    FIELD_BIT(HTTP_FIELD_X_FORWARDED_FOR) | FIELD_BIT(HTTP_FIELD_FORWARDED);
    if (f->distrust)
        drop |= FIELD_BIT(HTTP_FIELD_X_FORWARDED_PROTO) | FIELD_BIT(HTTP_FIELD_X_FORWARDED_HOST);
    if (!h->expect_continue || f->drop_expect)
        drop |= FIELD_BIT(HTTP_FIELD_EXPECT);
    if (h->max_forwards != UINT32_MAX)
        drop |= FIELD_BIT(HTTP_FIELD_MAX_FORWARDS);
    if (h->framing != HTTP_BODY_CHUNKED)
        drop |= FIELD_BIT(HTTP_FIELD_TRAILER);
    return drop;
}

size_t http_write_request(const struct http_head *h, const struct http_forward *f, char *to,
                          size_t size)
{
    struct out o = {to, to + size, false};
    put_first_lines(&o, h);
    http1_put_fields(&o, h, dropped(h, f));
    put_framing(&o, h);
    put_x_forwarded(&o, h, f);
    put_forwarded(&o, h, f);
    http1_put_via(&o, h->minor, f->via);
    if (h->max_forwards != UINT32_MAX) {
        PUT(&o, "Max-Forwards: ");
        http1_put_number(&o, h->max_forwards ? h->max_forwards - 1 : 0);
        PUT(&o, "\r\n");
    }
    put_connection(&o, h, f->keep_upstream);
    PUT(&o, "\r\n");
    return put_length(&o, to);
}
