/* http1_write_response: the heads that go to a client, an instance's and our own. Edits leave alone
 * what frames, and interim responses. */
#include "wire/http1_edit.h"
#include "wire/http1_field.h"
#include "wire/http1_out.h"

#include <stdio.h>

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
    PUT_BETWEEN(o, "Date: ", date, "\r\n");
}

static uint32_t dropped(enum http_framing framing)
{
    uint32_t drop = FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH);
    if (framing != HTTP_BODY_CHUNKED)
        drop |= FIELD_BIT(HTTP_FIELD_TRAILER);
    return drop;
}

size_t http_write_response(const struct http_head *h, const struct http_answer *a, uint8_t *framing,
                           char *to, size_t size)
{
    struct out o = {to, to + size, false};
    enum http_framing f = framing_for(h, a);
    struct http1_edit_set e;
    e.replaced = 0;
    *framing = (uint8_t)f;
    put_status_line(&o, h->status, h->reason);
    if (http1_any_edits(a->edits, a->n_edits) && (h->status >= 200 || h->status == 101)) {
        e = (struct http1_edit_set){0};
        http1_edits_join(&e, a->edits, a->n_edits);
        http1_put_fields_edited(&o, h, dropped(f) | e.replaced, &e);
        http1_put_edits(&o, &e);
    } else {
        http1_put_fields(&o, h, dropped(f));
    }
    if (h->status >= 200 && !((h->present | e.replaced) & FIELD_BIT(HTTP_FIELD_DATE)))
        put_date(&o, a->date);
    if (!(e.replaced & FIELD_BIT(HTTP_FIELD_VIA)))
        http1_put_via(&o, h->minor, a->via);
    put_framing(&o, h, a, f);
    put_connection(&o, h, a, f);
    PUT(&o, "\r\n");
    return put_length(&o, to);
}

/* --- our own --- */

static bool may_have_body(uint16_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* Our own fields are edits too, the first ones: what comes behind replaces them by their name. */
static void put_own(struct out *o, uint16_t status, const struct http_edits *own,
                    const struct http_edits *extra, uint64_t length, const struct http_answer *a)
{
    struct http1_edit_set e = {0};
    CHECK(a->n_edits <= HTTP_EDIT_LISTS);
    http1_edits_join(&e, own, 1);
    if (extra)
        http1_edits_join(&e, extra, 1);
    http1_edits_join(&e, a->edits, a->n_edits);
    put_status_line(o, status, str_of(http_status_text(status)));
    http1_put_edits(o, &e);
    if (may_have_body(status))
        put_content_length(o, length);
    if (!a->keep_client)
        PUT(o, "Connection: close\r\n");
    else if (a->client_minor == 0)
        PUT(o, "Connection: keep-alive\r\n");
    PUT(o, "\r\n");
}

static struct http_edit own_field(struct str name, struct str value)
{
    return (struct http_edit){value.n ? HTTP_EDIT_ADD : HTTP_EDIT_REMOVE, name, value};
}

size_t http_write_own(uint16_t status, struct str type, uint64_t length,
                      const struct http_edits *extra, const struct http_answer *a, char *to,
                      size_t size)
{
    struct out o = {to, to + size, false};
    const struct http_edit fields[] = {own_field(STR("Date"), a->date),
                                       own_field(STR("Content-Type"), type)};
    const struct http_edits own = {fields, ARRAY_LEN(fields)};
    put_own(&o, status, &own, extra, length, a);
    return put_length(&o, to);
}

size_t http_write_error(uint16_t status, const char *text, const struct http_answer *a,
                        unsigned retry_after, char *to, size_t size)
{
    struct out o = {to, to + size, false};
    struct str body = str_of(text);
    char seconds[16];
    int n = retry_after ? snprintf(seconds, sizeof seconds, "%u", retry_after) : 0;
    const struct http_edit fields[] = {
        own_field(STR("Date"), a->date),
        own_field(STR("Content-Type"), STR("text/plain; charset=utf-8")),
        own_field(STR("Cache-Control"), STR("no-store")),
        own_field(STR("Retry-After"), (struct str){seconds, (size_t)n}),
    };
    const struct http_edits own = {fields, ARRAY_LEN(fields)};
    put_own(&o, status, &own, NULL, body.n + 1, a);
    if (!a->head_request) {
        put_view(&o, body);
        PUT(&o, "\n");
    }
    return put_length(&o, to);
}
