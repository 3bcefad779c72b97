/* buf: a growing array of bytes with a bound. Appending either does all of it or leaves the buffer
 * as it was, marks it failed and returns false, so that a row of appends can be checked once at its
 * end. */
#ifndef HF_BUF_H
#define HF_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap;
    size_t limit; /* no more than this many bytes; 0 is no bound */
    bool failed;  /* an append did not fit or memory was out */
};

bool buf_reserve(struct buf *b, size_t more); /* room for this many bytes behind n */
bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_add_str(struct buf *b, struct str s);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop_front(struct buf *b, size_t n); /* moves the rest to the front */
void buf_clear(struct buf *b);                /* keeps the memory, forgets failed */
void buf_free(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#endif
