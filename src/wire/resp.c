/* What a whole message says, and requests. */
#include <stdarg.h>

#include "wire/resp.h"

#include <stdarg.h>

static bool fail(struct resp_reader *r)
{
    r->failed = true;
    return false;
}

static bool take_line(struct resp_reader *r, struct str *line)
{
    const char *end = memchr(r->p, '\n', (size_t)(r->end - r->p));
    if (!end || end == r->p || end[-1] != '\r')
        return fail(r);
    *line = (struct str){r->p, (size_t)(end - 1 - r->p)};
    r->p = end + 1;
    return true;
}

static bool read_number(struct str s, int64_t *out)
{
    uint64_t v;
    bool negative = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        s.p++;
        s.n--;
    }
    if (!str_u64(s, (uint64_t)INT64_MAX + negative, &v))
        return false;
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

static bool get_string(struct resp_reader *r, struct resp_value *v, int64_t n)
{
    if (n == -1 && v->type == RESP_BULK) {
        v->null = true;
        return true;
    }
    if (n < 0 || n > RESP_BULK_MAX || r->end - r->p < n + 2 || r->p[n] != '\r' ||
        r->p[n + 1] != '\n')
        return fail(r);
    v->text = (struct str){r->p, (size_t)n};
    r->p += n + 2;
    return true;
}

/* So many elements cannot be left when there are fewer bytes than that. */
static bool get_elements(struct resp_reader *r, struct resp_value *v, int64_t n)
{
    if (n == -1 && v->type == RESP_ARRAY) {
        v->null = true;
        return true;
    }
    if (n < 0 || n > RESP_COUNT)
        return fail(r);
    v->number = v->type == RESP_MAP || v->type == RESP_ATTRIBUTE ? 2 * n : n;
    return v->number <= r->end - r->p ? true : fail(r);
}

static bool get_line(struct resp_reader *r, struct resp_value *v, struct str line)
{
    v->text = line;
    switch (v->type) {
    case RESP_SIMPLE:
    case RESP_ERROR:
    case RESP_DOUBLE:
    case RESP_BIG_NUMBER: return true;
    case RESP_NUMBER: return read_number(line, &v->number) ? true : fail(r);
    case RESP_NULL: v->null = true; return line.n == 0 ? true : fail(r);
    case RESP_BOOL:
        v->number = line.n == 1 && line.p[0] == 't';
        return line.n == 1 && (line.p[0] == 't' || line.p[0] == 'f') ? true : fail(r);
    default: return fail(r);
    }
}

bool resp_get(struct resp_reader *r, struct resp_value *v)
{
    struct str line;
    int64_t n = 0;
    *v = (struct resp_value){0};
    if (r->failed || r->p == r->end)
        return false;
    v->type = (uint8_t)*r->p++;
    if (!take_line(r, &line))
        return false;
    switch (v->type) {
    case RESP_BULK:
    case RESP_BLOB_ERROR:
    case RESP_VERBATIM: return read_number(line, &n) ? get_string(r, v, n) : fail(r);
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH:
    case RESP_ATTRIBUTE: return read_number(line, &n) ? get_elements(r, v, n) : fail(r);
    default: return get_line(r, v, line);
    }
}

bool resp_skip(struct resp_reader *r, const struct resp_value *v)
{
    struct resp_value inner;
    /* An aggregate's number is elements; attributes come on top of those. */
    uint64_t left = v->type != RESP_NUMBER && v->type != RESP_BOOL ? (uint64_t)v->number : 0;
    while (left) {
        if (!resp_get(r, &inner))
            return fail(r);
        left -= inner.type != RESP_ATTRIBUTE;
        if (inner.type != RESP_NUMBER && inner.type != RESP_BOOL)
            left += (uint64_t)inner.number;
    }
    return true;
}

/* --- INFO --- */

/* The rest of a line of `text`, which ends at `end`, that begins with key and `is`. */
static bool find(struct str text, struct str key, char is, char end, struct str *value)
{
    while (text.n) {
        const char *stop = memchr(text.p, end, text.n);
        size_t n = stop ? (size_t)(stop - text.p) : text.n;
        if (n > key.n && memcmp(text.p, key.p, key.n) == 0 && text.p[key.n] == is) {
            *value = (struct str){text.p + key.n + 1, n - key.n - 1};
            if (value->n && value->p[value->n - 1] == '\r')
                value->n--;
            return true;
        }
        text.p += n + (stop ? 1 : 0);
        text.n -= n + (stop ? 1 : 0);
    }
    return false;
}

bool resp_info(struct str info, struct str key, struct str *value)
{
    return find(info, key, ':', '\n', value);
}

bool resp_info_u64(struct str info, struct str key, uint64_t *value)
{
    struct str s;
    return resp_info(info, key, &s) && str_u64(s, UINT64_MAX, value);
}

bool resp_info_part(struct str line, struct str key, struct str *value)
{
    return find(line, key, '=', ',', value);
}

/* --- requests --- */

void resp_put(struct buf *b, const struct str *words, uint32_t n)
{
    buf_printf(b, "*%u\r\n", n);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "$%zu\r\n", words[i].n);
        buf_add_str(b, words[i]);
        buf_add(b, "\r\n", 2);
    }
}

void resp_put_words(struct buf *b, const char *word, ...)
{
    enum { MOST = 32 };
    struct str words[MOST];
    uint32_t n = 0;
    va_list more;
    va_start(more, word);
    for (; word; word = va_arg(more, const char *)) {
        CHECK(n < MOST);
        words[n++] = str_of(word);
    }
    va_end(more);
    resp_put(b, words, n);
}
