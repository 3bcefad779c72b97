#include "wire/role.h"

enum { HEADER = 3 };

static uint8_t *put(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> 8 * i);
    return at + 8;
}

static uint8_t *put_load(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * i);
    return at + 4;
}

size_t role_write(const struct role_message *m, uint32_t n, uint8_t out[ROLE_BYTES_MAX])
{
    CHECK(n >= 1 && n <= ROLE_BATCH);
    uint8_t *at = out;
    *at++ = ROLE_VERSION;
    *at++ = (uint8_t)n;
    *at++ = ROLE_MESSAGE;
    for (uint32_t i = 0; i < n; i++) {
        *at++ = m[i].kind;
        *at++ = m[i].flags;
        *at++ = m[i].instance;
        *at++ = m[i].state;
        at = put(at, m[i].role);
        at = put(at, m[i].epoch);
        at = put(at, m[i].data);
        at = put(at, m[i].position);
        at = put(at, m[i].incarnation);
        at = put_load(at, m[i].load);
    }
    return (size_t)(at - out);
}

static struct role_message read_one(struct reader r)
{
    struct role_message m = {.kind = get_u8(&r)};
    m.flags = get_u8(&r);
    m.instance = get_u8(&r);
    m.state = get_u8(&r);
    m.role = get_u64(&r);
    m.epoch = get_u64(&r);
    m.data = get_u64(&r);
    m.position = get_u64(&r);
    m.incarnation = get_u64(&r);
    m.load = get_u32(&r);
    return m;
}

int role_read(const void *p, size_t n, struct role_message out[ROLE_BATCH])
{
    const uint8_t *at = p;
    if (n < HEADER || at[0] != ROLE_VERSION || at[1] > ROLE_BATCH || at[2] < ROLE_MESSAGE)
        return -1;
    if (n != HEADER + (size_t)at[1] * at[2])
        return -1;
    int known = 0;
    for (uint32_t i = 0; i < at[1]; i++) {
        struct role_message m = read_one(reader_of(at + HEADER + i * at[2], at[2]));
        if (m.kind >= ROLE_SAYS && m.kind < ROLE_KINDS)
            out[known++] = m;
    }
    return known;
}
