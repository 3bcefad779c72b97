/* http1_write_response: the heads that go to a client, an instance's and our own. */
#include "wire/http1_field.h"
#include "wire/http1_out.h"

static bool has(const struct http_head *h, enum http_field f)
{
    return h->present & FIELD_BIT(f);
}

static void put_status_line(struct out *o, uint16_t status, struct str reason)
{
    if (status == 200 && str_eq(reason, STR("OK"))) {
        PUT(o, "HTTP/1.1 200 OK\r\n");
        return;
    }
    PUT(o, "HTTP/1.1 ");
    http1_put_number(o, status);
    PUT(o, " ");
    put_view(o, reason);
    PUT(o, "\r\n");
}

/* How the body goes to this client. An HTTP/1.0 one knows no chunks; an HTTP/1.1 one can be told
 * where a body ends that the instance ended by closing. */
static enum http_framing framing_for(const struct http_head *h, const struct http_answer *a)
{
    if (h->framing == HTTP_BODY_NONE || h->framing == HTTP_BODY_TUNNEL)
        return h->framing;
    if (a->head_request)
        return HTTP_BODY_NONE;
    if (h->framing == HTTP_BODY_LENGTH)
        return HTTP_BODY_LENGTH;
    return a->client_minor ? HTTP_BODY_CHUNKED : HTTP_BODY_CLOSE;
}

static void put_content_length(struct out *o, uint64_t n)
{
    PUT(o, "Content-Length: ");
    http1_put_number(o, n);
    PUT(o, "\r\n");
}

/* To HEAD and in 304 the fields tell what a GET would have had (RFC 9110, 8.6; RFC 9112, 6.1);
 * informational responses, 204 and tunnels never have them. */
static void put_framing(struct out *o, const struct http_head *h, const struct http_answer *a,
                        enum http_framing framing)
{
    if (h->status < 200 || h->status == 204 || framing == HTTP_BODY_TUNNEL)
        return;
    if (h->declared == HTTP_BODY_LENGTH)
        put_content_length(o, h->length);
    else if (framing == HTTP_BODY_CHUNKED ||
             (a->head_request && h->declared == HTTP_BODY_CHUNKED && a->client_minor))
        PUT(o, "Transfer-Encoding: chunked\r\n");
}

static void put_connection(struct out *o, const struct http_head *h, const struct http_answer *a,
                           enum http_framing framing)
{
    if (h->status == 101 || h->status == 426) {
        http1_put_kind(o, h, HTTP_FIELD_UPGRADE);
        PUT(o, "Connection: upgrade");
        if (h->status == 426 && !a->keep_client)
            PUT(o, ", close");
        PUT(o, "\r\n");
        return;
    }
    if (h->status < 200 || framing == HTTP_BODY_TUNNEL)
        return;
    if (!a->keep_client || framing == HTTP_BODY_CLOSE)
        PUT(o, "Connection: close\r\n");
    else if (a->client_minor == 0)
        PUT(o, "Connection: keep-alive\r\n");
}

static void put_date(struct out *o, struct str date)
{
    if (date.n == 0)
        return;
    PUT(o, "Date: ");
    put_view(o, date);
    PUT(o, "\r\n");
}

size_t http_write_response(const struct http_head *h, const struct http_answer *a, uint8_t *framing,
                           char *to, size_t size)
{
    struct out o = {to, to + size, false};
    enum http_framing f = framing_for(h, a);
    *framing = (uint8_t)f;
    uint32_t drop = FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH);
    if (f != HTTP_BODY_CHUNKED)
        drop |= FIELD_BIT(HTTP_FIELD_TRAILER);
    put_status_line(&o, h->status, h->reason);
    http1_put_fields(&o, h, drop);
    if (h->status >= 200 && !has(h, HTTP_FIELD_DATE))
        put_date(&o, a->date);
    http1_put_via(&o, h->minor, a->via);
    put_framing(&o, h, a, f);
    put_connection(&o, h, a, f);
    PUT(&o, "\r\n");
    return put_length(&o, to);
}

size_t http_write_error(uint16_t status, const char *text, const struct http_answer *a,
                        unsigned retry_after, char *to, size_t size)
{
    struct out o = {to, to + size, false};
    struct str body = str_of(text);
    put_status_line(&o, status, str_of(http_status_text(status)));
    put_date(&o, a->date);
    PUT(&o, "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n");
    put_content_length(&o, body.n + 1);
    if (retry_after) {
        PUT(&o, "Retry-After: ");
        http1_put_number(&o, retry_after);
        PUT(&o, "\r\n");
    }
    if (!a->keep_client)
        PUT(&o, "Connection: close\r\n");
    else if (a->client_minor == 0)
        PUT(&o, "Connection: keep-alive\r\n");
    PUT(&o, "\r\n");
    if (!a->head_request) {
        put_view(&o, body);
        PUT(&o, "\n");
    }
    return put_length(&o, to);
}
