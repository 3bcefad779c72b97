#include "wire/lease.h"

static uint8_t *put(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> 8 * i);
    return at + 8;
}

static uint8_t *put_terms(uint8_t *at, const struct lease_terms *t)
{
    at = put(put(at, t->lease), t->demote);
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(t->rho >> 8 * i);
    return at + 4;
}

size_t lease_write(const struct lease_terms *t, const struct lease_message *m, uint32_t n,
                   uint8_t out[LEASE_DATAGRAM_MAX])
{
    CHECK(n >= 1 && n <= LEASE_BATCH);
    uint8_t *at = out;
    *at++ = LEASE_VERSION;
    *at++ = (uint8_t)n;
    *at++ = LEASE_MESSAGE;
    at = put_terms(at, t);
    for (uint32_t i = 0; i < n; i++) {
        *at++ = m[i].kind;
        *at++ = m[i].refusal;
        at = put(at, m[i].role);
        at = put(at, m[i].epoch);
        at = put(at, m[i].incarnation);
        at = put(at, m[i].round);
        at = put(at, m[i].voters);
        at = put(at, m[i].seen);
        at = put(at, m[i].wait);
    }
    return (size_t)(at - out);
}

bool lease_is(const void *p, size_t n)
{
    const uint8_t *at = p;
    return n > 0 && at[0] == LEASE_VERSION;
}

static struct lease_message read_one(struct reader r)
{
    struct lease_message m = {.kind = get_u8(&r), .refusal = get_u8(&r)};
    m.role = get_u64(&r);
    m.epoch = get_u64(&r);
    m.incarnation = get_u64(&r);
    m.round = get_u64(&r);
    m.voters = get_u64(&r);
    m.seen = get_u64(&r);
    m.wait = get_u64(&r);
    return m;
}

/* Refusals of a later release say no all the same. */
static bool is_known(const struct lease_message *m)
{
    return m->kind >= LEASE_RENEW && m->kind < LEASE_KINDS;
}

static struct lease_terms read_terms(struct reader r)
{
    struct lease_terms t = {.lease = get_u64(&r)};
    t.demote = get_u64(&r);
    t.rho = get_u32(&r);
    return t;
}

int lease_read(const void *p, size_t n, struct lease_terms *t,
               struct lease_message out[LEASE_BATCH])
{
    const uint8_t *at = p;
    if (n < LEASE_HEADER || at[0] != LEASE_VERSION || at[1] > LEASE_BATCH || at[2] < LEASE_MESSAGE)
        return -1;
    if (n != LEASE_HEADER + (size_t)at[1] * at[2])
        return -1;
    *t = read_terms(reader_of(at + 3, LEASE_HEADER - 3));
    int known = 0;
    for (uint32_t i = 0; i < at[1]; i++) {
        struct lease_message m = read_one(reader_of(at + LEASE_HEADER + i * at[2], at[2]));
        if (is_known(&m))
            out[known++] = m;
    }
    return known;
}
