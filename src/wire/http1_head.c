/* http1_head: the parts that the heads of requests and responses have in common. */
#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_inside.h"
#include "wire/http1_scan.h"

/* The fields are 10 KiB of which a head uses a few: they are not touched. */
void http1_head_clear(struct http_head *h)
{
    memset(h, 0, offsetof(struct http_head, headers));
    h->max_forwards = UINT32_MAX;
}

enum http1_refuse http1_version(const char **p, const char *end, struct http_head *h)
{
    const char *v = *p;
    if (end - v < 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.' || !is_class(v[5], CLASS_DIGIT) ||
        !is_class(v[7], CLASS_DIGIT))
        return REFUSE_VERSION;
    if (v[5] != '1')
        return REFUSE_VERSION_MAJOR;
    h->minor = v[7] != '0'; /* a later minor version is read as 1.1 (RFC 9110, 2.5) */
    *p = v + 8;
    return REFUSE_NONE;
}

/* Why field_line would not have it. */
static enum http1_refuse bad_line(const char *line, bool first)
{
    const char *stop = line;
    while (is_class(*stop, CLASS_TOKEN))
        stop++;
    if (stop == line && is_blank(*stop))
        return first ? REFUSE_FIELD_SPACE : REFUSE_OBS_FOLD;
    if (stop == line || !is_blank(*stop))
        return REFUSE_FIELD_NAME;
    while (is_blank(*stop))
        stop++;
    return *stop == ':' ? REFUSE_COLON_SPACE : REFUSE_FIELD_NAME;
}

/* One line at p, which is not the empty one. Returns the start of the next, or NULL. */
static const char *field_line(const char *p, const char *whole, struct http_header *out)
{
    const char *name = p;
    p = http1_skip_name(p, whole);
    while (is_class(*p, CLASS_TOKEN))
        p++;
    if (*p != ':' || p == name)
        return NULL;
    out->name = (struct str){name, (size_t)(p - name)};
    p++;
    while (is_blank(*p))
        p++;
    const char *value = p, *cr = http1_find_cr(p, whole), *last = cr;
    while (last > value && is_blank(last[-1]))
        last--;
    out->value = (struct str){value, (size_t)(last - value)};
    return cr + 2;
}

enum http1_refuse http1_fields(const char *p, const char *end, const char *whole, uint32_t max,
                               struct http_head *h, struct http1_facts *f)
{
    const char *empty = end - 2;
    struct http_header *x = h->headers, *full = x + MIN(max, (uint32_t)HTTP_MAX_FIELDS);
    for (; p < empty; x++) {
        if (x == full)
            return REFUSE_FIELD_COUNT;
        const char *next = field_line(p, whole, x);
        if (!next)
            return bad_line(p, x == h->headers);
        enum http_field field = http1_field_of(x->name);
        x->field = (uint8_t)field;
        x->hop = HTTP1_HOP_FIELDS & FIELD_BIT(field);
        if (HTTP1_MEANT_FIELDS & FIELD_BIT(field)) {
            enum http1_refuse r = http1_field_meaning(field, x->value, h, f);
            if (r)
                return r;
        }
        h->present |= FIELD_BIT(field);
        p = next;
    }
    h->n_headers = (uint32_t)(x - h->headers);
    return REFUSE_NONE;
}
