/* http1_write_request: the head that goes to an instance.
 *
 * Nothing that frames or routes is copied: the request line, Host, the framing field and Connection
 * are written from the parsed facts, so that the instance cannot read another message out of them
 * than was read here. End-to-end fields follow in their order, then who forwarded (RFC 7239; Via:
 * RFC 9110, 7.6.3). Edits take part in all of that but the framing. */
#include "wire/http1_edit.h"
#include "wire/http1_field.h"
#include "wire/http1_out.h"

static bool has(const struct http_head *h, enum http_field f)
{
    return h->present & FIELD_BIT(f);
}

/* "*": RFC 9112, 3.2.4. A '/' is put before what has none. */
static void put_path(struct out *o, const struct http_head *h, struct str rewritten)
{
    struct str path = rewritten.n ? rewritten : h->path;
    if (path.n == 0 && h->method == HTTP_OPTIONS)
        PUT(o, "*");
    else if (path.n == 0 || path.p[0] == '?' || (rewritten.n && path.p[0] != '/'))
        PUT(o, "/");
    put_view(o, path);
}

static void put_first_lines(struct out *o, const struct http_head *h, struct str path,
                            struct str host)
{
    put_view(o, h->method_text);
    PUT(o, " ");
    put_path(o, h, path);
    PUT_BETWEEN(o, " HTTP/1.1\r\nHost: ", host, "\r\n");
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
            PUT_BETWEEN(o, "", h->headers[i].value, ", ");
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

/* The separator of an address as text, which stands among its first five bytes; 0 when it is none.
 */
static char separator(struct str address)
{
    for (size_t i = 0; i < address.n && i < 5; i++)
        if (address.p[i] == '.' || address.p[i] == ':')
            return address.p[i];
    return 0;
}

/* RFC 7239, 6: an IPv6 address is bracketed and quoted; what is no address is an obfuscated name.
 */
static void put_forwarded(struct out *o, const struct http_head *h, const struct http_forward *f)
{
    PUT(o, "Forwarded: ");
    if (!f->distrust && forwarded_usable(h))
        put_list(o, h, HTTP_FIELD_FORWARDED);
    char kind = separator(f->client_ip);
    if (kind == '.')
        PUT_BETWEEN(o, "for=", f->client_ip, "");
    else if (kind == ':')
        PUT_BETWEEN(o, "for=\"[", f->client_ip, "]\"");
    else
        PUT_BETWEEN(o, "for=_", f->client_ip, "");
    if (h->host.n)
        PUT_BETWEEN(o, ";host=\"", h->host, "\"");
    PUT_BETWEEN(o, ";proto=", f->proto, "\r\n");
}

/* `replaced`: by edits. */
static void put_x_forwarded(struct out *o, const struct http_head *h, const struct http_forward *f,
                            uint32_t replaced)
{
    if (!(replaced & FIELD_BIT(HTTP_FIELD_X_FORWARDED_FOR))) {
        PUT(o, "X-Forwarded-For: ");
        if (!f->distrust)
            put_list(o, h, HTTP_FIELD_X_FORWARDED_FOR);
        PUT_BETWEEN(o, "", f->client_ip, "\r\n");
    }
    uint32_t left = replaced | (f->distrust ? 0 : h->present);
    if (!(left & FIELD_BIT(HTTP_FIELD_X_FORWARDED_PROTO)))
        PUT_BETWEEN(o, "X-Forwarded-Proto: ", f->proto, "\r\n");
    if (h->host.n && !(left & FIELD_BIT(HTTP_FIELD_X_FORWARDED_HOST)))
        PUT_BETWEEN(o, "X-Forwarded-Host: ", h->host, "\r\n");
}

static void put_max_forwards(struct out *o, uint32_t received)
{
    PUT(o, "Max-Forwards: ");
    http1_put_number(o, received ? received - 1 : 0);
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
    if (f->traceparent.n)
        drop |= FIELD_BIT(HTTP_FIELD_TRACEPARENT);
    if (f->new_trace)
        drop |= FIELD_BIT(HTTP_FIELD_TRACESTATE);
    return drop;
}

/* Compiled twice: nobody pays for edits that has none. */
static inline void write_head(struct out *o, const struct http_head *h,
                              const struct http_forward *f, const struct http1_edit_set *e)
{
    uint32_t replaced = e ? e->replaced : 0;
    put_first_lines(o, h, f->path, e ? e->host : h->host);
    if (e) {
        http1_put_fields_edited(o, h, dropped(h, f) | replaced, e);
        http1_put_edits(o, e);
    } else {
        http1_put_fields(o, h, dropped(h, f));
    }
    put_framing(o, h);
    put_x_forwarded(o, h, f, replaced);
    if (!(replaced & FIELD_BIT(HTTP_FIELD_FORWARDED)))
        put_forwarded(o, h, f);
    if (!(replaced & FIELD_BIT(HTTP_FIELD_VIA)))
        http1_put_via(o, h->minor, f->via);
    if (f->traceparent.n && !(replaced & FIELD_BIT(HTTP_FIELD_TRACEPARENT)))
        PUT_BETWEEN(o, "traceparent: ", f->traceparent, "\r\n");
    if (h->max_forwards != UINT32_MAX)
        put_max_forwards(o, h->max_forwards);
    put_connection(o, h, f->keep_upstream);
    PUT(o, "\r\n");
}

static __attribute__((noinline)) void write_edited(struct out *o, const struct http_head *h,
                                                   const struct http_forward *f)
{
    struct http1_edit_set e = {.host = h->host};
    CHECK(f->n_edits <= HTTP_EDIT_LISTS);
    http1_edits_join(&e, f->edits, f->n_edits);
    write_head(o, h, f, &e);
}

__attribute__((flatten)) size_t
http_write_request(const struct http_head *h, const struct http_forward *f, char *to, size_t size)
{
    struct out o = {to, to + size, false};
    if (http1_any_edits(f->edits, f->n_edits))
        write_edited(&o, h, f);
    else
        write_head(&o, h, f, NULL);
    return put_length(&o, to);
}
