#include "wire/http1_out.h"

#include "wire/http1_edit.h"
#include "wire/http1_field.h"

void http1_put_number(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put(o, digits + at, sizeof digits - at);
}

static void put_field(struct out *o, const struct http_header *x)
{
    put_view(o, x->name);
    PUT(o, ": ");
    put_view(o, x->value);
    PUT(o, "\r\n");
}

/* Already as it would be written: "name: value CR LF" without other blanks. */
static bool is_plain(const struct http_header *x)
{
    const char *colon = x->name.p + x->name.n;
    return x->value.p == colon + 2 && colon[1] == ' ' && x->value.p[x->value.n] == '\r';
}

/* Neighbours that are plain are copied in one piece, lines and all. Compiled twice, so that nobody
 * pays for edits that has none. */
static inline __attribute__((always_inline)) void
put_fields(struct out *o, const struct http_head *h, uint32_t drop, const struct http1_edit_set *e)
{
    const char *run = NULL, *run_end = NULL;
    const struct http_header *end = h->headers + h->n_headers;
    for (const struct http_header *x = h->headers; x < end; x++) {
        if (x->hop || (drop >> x->field & 1) || (e && http1_edited(e, x)))
            continue;
        bool plain = is_plain(x);
        if (run && (!plain || x->name.p != run_end)) {
            put(o, run, (size_t)(run_end - run));
            run = NULL;
        }
        if (!plain) {
            put_field(o, x);
            continue;
        }
        if (!run)
            run = x->name.p;
        run_end = x->value.p + x->value.n + 2;
    }
    if (run)
        put(o, run, (size_t)(run_end - run));
}

void http1_put_fields(struct out *o, const struct http_head *h, uint32_t drop)
{
    put_fields(o, h, drop, NULL);
}

void http1_put_fields_edited(struct out *o, const struct http_head *h, uint32_t drop,
                             const struct http1_edit_set *e)
{
    put_fields(o, h, drop, e);
}

void http1_put_kind(struct out *o, const struct http_head *h, enum http_field kind)
{
    if (!(h->present & FIELD_BIT(kind)))
        return;
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (h->headers[i].field == kind)
            put_field(o, &h->headers[i]);
}

void http1_put_via(struct out *o, uint8_t minor, struct str pseudonym)
{
    if (minor)
        PUT_BETWEEN(o, "Via: 1.1 ", pseudonym, "\r\n");
    else
        PUT_BETWEEN(o, "Via: 1.0 ", pseudonym, "\r\n");
}
