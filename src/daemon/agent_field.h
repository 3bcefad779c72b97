/* agent_field: fields that several messages of agent.h have. Inside this room only. */
#ifndef HF_AGENT_FIELD_H
#define HF_AGENT_FIELD_H

#include "base/base.h"

enum { ADDR_BYTES = 1 + 2 + 16 };

static inline void put_addr(struct buf *b, const struct addr *a)
{
    put_u8(b, a->kind);
    put_u16(b, a->port);
    buf_add(b, a->ip, sizeof a->ip);
}

static inline uint32_t get_below(struct reader *r, uint32_t limit)
{
    uint32_t v = get_u32(r);
    if (v >= limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

static inline bool get_flag(struct reader *r)
{
    uint8_t v = get_u8(r);
    if (v > 1)
        r->failed = true;
    return v == 1;
}

/* Printable ASCII and whatever is above it: it comes to logs and terminals. */
static inline void get_text(struct reader *r, char *out, size_t size)
{
    struct str s = get_str(r);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            r->failed = true;
    if (s.n >= size)
        r->failed = true;
    str_copy(out, size, r->failed ? STR("") : s);
}

static inline void get_addr(struct reader *r, struct addr *a)
{
    *a = (struct addr){.kind = get_u8(r)};
    a->port = get_u16(r);
    for (size_t i = 0; i < sizeof a->ip; i++)
        a->ip[i] = get_u8(r);
    if (a->kind != ADDR_IP4 && a->kind != ADDR_IP6)
        r->failed = true;
    for (size_t i = 4; a->kind == ADDR_IP4 && i < sizeof a->ip; i++)
        if (a->ip[i])
            r->failed = true;
}

#endif
