/* http1_out: a cursor that writes into the caller's bytes and never past their end. */
#ifndef HF_HTTP1_OUT_H
#define HF_HTTP1_OUT_H

#include "wire/http1.h"

struct out {
    char *p, *end;
    bool full; /* something did not fit: all that follows is void */
};

static inline void put(struct out *o, const char *p, size_t n)
{
    if ((size_t)(o->end - o->p) < n) {
        o->full = true;
        return;
    }
    if (n) {
        memcpy(o->p, p, n);
        o->p += n;
    }
}

static inline void put_view(struct out *o, struct str s)
{
    put(o, s.p, s.n);
}

#define PUT(o, literal) put((o), "" literal, sizeof(literal) - 1)

/* Values here are short, and a call costs more than they do: words, of which the last overlaps. */
static inline void copy_short(char *to, const char *p, size_t n)
{
    if (n >= 8 && n <= 16) {
        uint64_t first, last;
        memcpy(&first, p, 8);
        memcpy(&last, p + n - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4 && n < 8) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
    } else if (n) {
        memcpy(to, p, n);
    }
}

/* Texts that are part of the program, and a value between them, in one piece. */
static inline __attribute__((always_inline)) void put_between(struct out *o, const char *before,
                                                              size_t n_before, struct str value,
                                                              const char *after, size_t n_after)
{
    if ((size_t)(o->end - o->p) < n_before + value.n + n_after) {
        o->full = true;
        return;
    }
    memcpy(o->p, before, n_before);
    o->p += n_before;
    copy_short(o->p, value.p, value.n);
    o->p += value.n;
    memcpy(o->p, after, n_after);
    o->p += n_after;
}

#define PUT_BETWEEN(o, before, value, after)                                                       \
    put_between((o), "" before, sizeof(before) - 1, (value), "" after, sizeof(after) - 1)

static inline size_t put_length(const struct out *o, const char *start)
{
    return o->full ? 0 : (size_t)(o->p - start);
}

void http1_put_number(struct out *o, uint64_t n);

struct http1_edit_set; /* http1_edit.h */

/* The fields of h that are neither hop-by-hop nor of a kind in `drop` (FIELD_BIT), in order. */
void http1_put_fields(struct out *o, const struct http_head *h, uint32_t drop);
/* The same, without those that an edit replaces or removes. */
void http1_put_fields_edited(struct out *o, const struct http_head *h, uint32_t drop,
                             const struct http1_edit_set *e);
/* "name: value CR LF" for every field of that kind, whatever its hop flag says. */
void http1_put_kind(struct out *o, const struct http_head *h, enum http_field kind);
/* "Via: 1.x pseudonym CR LF". A list may be several lines: those that are there stay before it. */
void http1_put_via(struct out *o, uint8_t minor, struct str pseudonym);

#endif
