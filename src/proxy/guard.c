#include "proxy/guard.h"

#include <stdatomic.h>

struct guard {
    struct sip_key secret;
    atomic_uint counts[GUARD_ROWS][GUARD_COLUMNS];
};

struct guard *guard_new(const struct sip_key *secret)
{
    struct guard *g = mem_zero(1, sizeof *g);
    if (g)
        g->secret = *secret;
    return g;
}

void guard_free(struct guard *g)
{
    mem_free(g);
}

uint64_t guard_key(const struct guard *g, uint32_t service, const uint8_t *ip, size_t n)
{
    char text[sizeof service + 1 + 8] = {0};
    memcpy(text, &service, sizeof service);
    text[sizeof service] = (char)n;
    memcpy(text + sizeof service + 1, ip, MIN(n, 8)); /* of an IPv6 address the first 64 bits */
    uint64_t key = sip_hash(&g->secret, (struct str){text, sizeof text});
    return key ? key : 1;
}

static atomic_uint *column(struct guard *g, unsigned row, uint64_t key)
{
    return &g->counts[row][key >> (row * 32) & (GUARD_COLUMNS - 1)];
}

uint32_t guard_enter(struct guard *g, uint64_t key)
{
    uint32_t least = UINT32_MAX;
    for (unsigned row = 0; row < GUARD_ROWS; row++) {
        uint32_t count = atomic_fetch_add(column(g, row, key), 1) + 1;
        least = MIN(least, count);
    }
    return least;
}

void guard_leave(struct guard *g, uint64_t key)
{
    for (unsigned row = 0; row < GUARD_ROWS; row++) {
        uint32_t was = atomic_fetch_sub(column(g, row, key), 1);
        CHECK(was > 0);
    }
}
