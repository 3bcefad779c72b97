#include "base/codec.h"

#include <endian.h>
#include <string.h>

static inline void put_le(struct buf *b, uint64_t v, int bytes)
{
    uint64_t le = htole64(v);
    if (b->cap - b->n < (size_t)bytes) {
        buf_add(b, &le, (size_t)bytes);
        return;
    }
    memcpy(b->p + b->n, &le, (size_t)bytes);
    b->n += (size_t)bytes;
}

void put_u8(struct buf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void put_u16(struct buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void put_u32(struct buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void put_u64(struct buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void put_str(struct buf *b, struct str s)
{
    if (s.n > UINT32_MAX) {
        b->failed = true;
        return;
    }
    put_u32(b, (uint32_t)s.n);
    buf_add_str(b, s);
}

static inline uint64_t get_le(struct reader *r, size_t bytes)
{
    if (r->failed || (size_t)(r->end - r->p) < bytes) {
        r->failed = true;
        return 0;
    }
    uint64_t v = 0;
    memcpy(&v, r->p, bytes);
    r->p += bytes;
    return le64toh(v);
}

uint8_t get_u8(struct reader *r)
{
    return (uint8_t)get_le(r, 1);
}

uint16_t get_u16(struct reader *r)
{
    return (uint16_t)get_le(r, 2);
}

uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_le(r, 4);
}

uint64_t get_u64(struct reader *r)
{
    return get_le(r, 8);
}

struct str get_str(struct reader *r)
{
    uint32_t n = get_u32(r);
    if (r->failed || (size_t)(r->end - r->p) < n) {
        r->failed = true;
        return (struct str){"", 0};
    }
    struct str s = {(const char *)r->p, n};
    r->p += n;
    return s;
}

uint32_t get_count(struct reader *r, size_t min)
{
    uint32_t n = get_u32(r);
    if (r->failed || (min && n > (size_t)(r->end - r->p) / min)) {
        r->failed = true;
        return 0;
    }
    return n;
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->p == r->end;
}
