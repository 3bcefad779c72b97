/* str: a view of bytes that somebody else owns. Not terminated; may hold any byte. */
#ifndef HF_STR_H
#define HF_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   ((int)(s).n), ((s).p)

static inline struct str str_of(const char *cstring)
{
    return (struct str){cstring, cstring ? strlen(cstring) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
/* Without leading and trailing SP and HTAB. */
struct str str_trim(struct str s);
/* All of s as a decimal number up to max; false on anything else (sign, blank, overflow, empty). */
bool str_u64(struct str s, uint64_t max, uint64_t *out);
/* Copies to a terminated array, cut to fit; returns what it copied without the terminator. */
size_t str_copy(char *to, size_t size, struct str s);

/* FNV-1a, 64 bits (Fowler, Noll, Vo; RFC 9923). For tables of our own making only: it does not
 * resist chosen keys. */
uint64_t str_hash(struct str s);

#endif
