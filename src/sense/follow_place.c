#include "sense/follow_place.h"

enum { VERSION = 1, PLACE_LEAST = 5 * 8 + 2 + 4 + 4 };

bool place_same_file(const struct place *a, const struct place *b)
{
    return a->device == b->device && a->inode == b->inode && a->birth == b->birth;
}

void places_put(struct buf *out, const struct place *p, uint32_t n, uint64_t floor)
{
    struct buf b = {0};
    put_u8(&b, VERSION);
    put_u64(&b, floor);
    put_u32(&b, n);
    for (uint32_t i = 0; i < n; i++) {
        put_u64(&b, p[i].device);
        put_u64(&b, p[i].inode);
        put_u64(&b, p[i].birth);
        put_u64(&b, p[i].at);
        put_u64(&b, p[i].until);
        put_u8(&b, p[i].open);
        put_u8(&b, p[i].amid);
        put_str(&b, (struct str){p[i].head, p[i].head_n});
        put_str(&b, (struct str){p[i].tail, p[i].tail_n});
    }
    put_u64(&b, str_hash(buf_str(&b)));
    if (b.failed || !buf_add_str(out, buf_str(&b)))
        out->failed = true;
    buf_free(&b);
}

static uint8_t get_edge(struct reader *r, char to[PLACE_EDGE])
{
    struct str s = get_str(r);
    if (s.n > PLACE_EDGE) {
        r->failed = true;
        return 0;
    }
    if (s.n)
        memcpy(to, s.p, s.n);
    return (uint8_t)s.n;
}

static void get_place(struct reader *r, struct place *p)
{
    *p = (struct place){.device = get_u64(r)};
    p->inode = get_u64(r);
    p->birth = get_u64(r);
    p->at = get_u64(r);
    p->until = get_u64(r);
    p->open = get_u8(r);
    p->amid = get_u8(r);
    p->head_n = get_edge(r, p->head);
    p->tail_n = get_edge(r, p->tail);
    if (p->at > INT64_MAX || p->tail_n > p->at)
        r->failed = true;
}

bool places_get(struct str bytes, struct place p[PLACES_MOST], uint32_t *n, uint64_t *floor)
{
    struct reader r = reader_of(bytes.p, bytes.n);
    if (bytes.n < 8 || get_u8(&r) != VERSION)
        return false;
    *floor = get_u64(&r);
    *n = get_count(&r, PLACE_LEAST);
    if (*n > PLACES_MOST)
        return false;
    for (uint32_t i = 0; i < *n; i++)
        get_place(&r, &p[i]);
    return get_u64(&r) == str_hash((struct str){bytes.p, bytes.n - 8}) && reader_done(&r);
}
