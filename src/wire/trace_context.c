#include "wire/trace_context.h"

#include "wire/http1_field.h"

/* version "-" trace-id "-" parent-id "-" trace-flags (3.2.1) */
enum { AT_TRACE = 3, AT_SPAN = 36, AT_FLAGS = 53 };

/* Lower case only (3.2.2.1: HEXDIGLC); -1 for anything else. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *p, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(p[2 * i]), low = digit(p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(char *p, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        p[2 * i] = digits[bytes[i] >> 4];
        p[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* 00 is whole with its flags; a later version may go on behind a '-'; ff is none. */
static bool length_fits(uint8_t version, struct str v)
{
    if (version == 0)
        return v.n == TRACEPARENT_BYTES;
    return version != 0xff && (v.n == TRACEPARENT_BYTES || v.p[TRACEPARENT_BYTES] == '-');
}

bool trace_context_parse(struct str v, struct trace_context *out)
{
    uint8_t version;
    if (v.n < TRACEPARENT_BYTES || !read_hex(v.p, &version, 1) || !length_fits(version, v))
        return false;
    if (v.p[AT_TRACE - 1] != '-' || v.p[AT_SPAN - 1] != '-' || v.p[AT_FLAGS - 1] != '-')
        return false;
    if (!read_hex(v.p + AT_TRACE, out->trace, sizeof out->trace) ||
        !read_hex(v.p + AT_SPAN, out->span, sizeof out->span) ||
        !read_hex(v.p + AT_FLAGS, &out->flags, 1))
        return false;
    out->flags &= TRACE_SAMPLED;
    return !all_zero(out->trace, sizeof out->trace) && !all_zero(out->span, sizeof out->span);
}

bool trace_context_of(const struct http_head *h, struct trace_context *out)
{
    const struct http_header *found = NULL;
    if (!(h->present & FIELD_BIT(HTTP_FIELD_TRACEPARENT)))
        return false;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].field != HTTP_FIELD_TRACEPARENT)
            continue;
        if (found)
            return false;
        found = &h->headers[i];
    }
    return found && trace_context_parse(found->value, out);
}

static void take_id(uint8_t *id, const uint8_t *random, size_t n)
{
    memcpy(id, random, n);
    if (all_zero(id, n))
        id[n - 1] = 1; /* all 0 is no id */
}

void trace_context_start(struct trace_context *t, const uint8_t random[16], bool sampled)
{
    *t = (struct trace_context){.flags = sampled ? TRACE_SAMPLED : 0};
    take_id(t->trace, random, sizeof t->trace);
}

void trace_context_span(struct trace_context *t, const uint8_t random[8])
{
    take_id(t->span, random, sizeof t->span);
}

void trace_context_write(const struct trace_context *t, char to[TRACEPARENT_BYTES])
{
    CHECK(!all_zero(t->trace, sizeof t->trace) && !all_zero(t->span, sizeof t->span));
    memcpy(to, "00-", AT_TRACE);
    write_hex(to + AT_TRACE, t->trace, sizeof t->trace);
    to[AT_SPAN - 1] = '-';
    write_hex(to + AT_SPAN, t->span, sizeof t->span);
    to[AT_FLAGS - 1] = '-';
    write_hex(to + AT_FLAGS, &t->flags, 1);
}

void trace_context_id(const struct trace_context *t, char to[TRACE_ID_BYTES])
{
    write_hex(to, t->trace, sizeof t->trace);
}
