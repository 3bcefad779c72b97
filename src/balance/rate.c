#include "balance/rate.h"

#include <stdatomic.h>

#include "base/base.h"

enum { WAYS = 4, ATTEMPTS = 8 };
#define TIME_MAX (UINT64_C(1) << 62) /* so that no sum of two times overflows */

/* 0 is nobody's key. A full bucket (full_at in the past) is as good as none. */
struct slot {
    _Atomic uint64_t key, full_at;
};

struct rate {
    struct slot *slots; /* points into block: a set is a cache line */
    void *block;        /* owned */
    uint64_t sets;      /* a power of two */
    uint64_t requests, per, burst;
    /* what of that this node enforces; each is true on its own */
    _Atomic uint64_t interval, ahead_max;
    char apart[64]; /* what is written from what is read */
    _Atomic uint64_t replaced;
};

static int within_bounds(uint32_t slots, uint64_t requests, uint64_t per, uint64_t burst,
                         struct err *e)
{
    if (slots == 0 || slots > RATE_SLOTS_MAX)
        return err_set(e, ERR_INVAL, "a rate limit remembers 1 to %d clients", RATE_SLOTS_MAX);
    if (requests == 0 || per == 0 || per > TIME_MAX / 1000 || burst == 0)
        return err_set(e, ERR_INVAL,
                       "a rate is at least one request in a time, and a burst of one");
    return 0;
}

int rate_open(struct rate **out, uint32_t slots, uint64_t requests, uint64_t per, uint64_t burst,
              struct err *e)
{
    *out = NULL;
    int code = within_bounds(slots, requests, per, burst, e);
    if (code)
        return code;
    struct rate *r = mem_zero(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory for a rate limit");
    for (r->sets = 1; r->sets * WAYS < slots;)
        r->sets *= 2;
    r->block = mem_zero(r->sets * WAYS + WAYS, sizeof *r->slots);
    if (!r->block) {
        mem_free(r);
        return err_set(e, ERR_NOMEM, "no memory for a rate limit of %u clients", slots);
    }
    uintptr_t line = WAYS * sizeof *r->slots;
    r->slots = (struct slot *)(((uintptr_t)r->block + line - 1) / line * line);
    r->requests = requests;
    r->per = per;
    r->burst = burst;
    rate_set_share(r, 1000);
    *out = r;
    return 0;
}

void rate_close(struct rate *r)
{
    if (r)
        mem_free(r->block);
    mem_free(r);
}

/* Rounded so that never more than the rate passes. */
void rate_set_share(struct rate *r, uint32_t permille)
{
    permille = MIN(MAX(permille, 1), 1000);
    uint64_t interval = r->per / r->requests + (r->per % r->requests != 0);
    interval = (interval * 1000 + permille - 1) / permille;
    uint64_t burst = MAX(MIN(r->burst, RATE_BURST_MAX) * permille / 1000, 1);
    uint64_t ahead_max = burst > TIME_MAX / interval ? TIME_MAX : interval * burst;
    atomic_store_explicit(&r->interval, interval, memory_order_relaxed);
    atomic_store_explicit(&r->ahead_max, MAX(ahead_max, interval), memory_order_relaxed);
}

uint64_t rate_replaced(const struct rate *r)
{
    return atomic_load_explicit(&r->replaced, memory_order_relaxed);
}

static struct slot *look(struct slot *set, uint64_t key)
{
    for (int i = 0; i < WAYS; i++)
        if (atomic_load(&set[i].key) == key)
            return &set[i];
    return NULL;
}

static struct slot *fullest(struct slot *set)
{
    struct slot *best = &set[0];
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < WAYS; i++) {
        uint64_t full_at = atomic_load_explicit(&set[i].full_at, memory_order_relaxed);
        if (full_at >= least)
            continue;
        best = &set[i];
        least = full_at;
    }
    return best;
}

/* Two workers may make a place for one key in two ways of its set at once. Both then look again,
 * and whoever holds the later way leaves it. */
static struct slot *claim(struct rate *r, struct slot *set, uint64_t key, uint64_t now)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        struct slot *mine = fullest(set);
        uint64_t owner = atomic_load(&mine->key);
        uint64_t full_at = atomic_load_explicit(&mine->full_at, memory_order_relaxed);
        struct slot *there = look(set, key);
        if (there)
            return there;
        if (!atomic_compare_exchange_strong(&mine->key, &owner, key))
            continue;
        if (full_at > now) { /* somebody else's requests */
            atomic_compare_exchange_strong(&mine->full_at, &full_at, now);
            atomic_fetch_add_explicit(&r->replaced, 1, memory_order_relaxed);
        }
        there = look(set, key);
        if (there && there < mine) {
            uint64_t own = key;
            atomic_compare_exchange_strong(&mine->key, &own, 0);
            return there;
        }
        return mine;
    }
    return NULL;
}

static void tell(struct rate_left *left, uint64_t ahead, uint64_t ahead_max, uint64_t interval)
{
    if (left)
        *left = (struct rate_left){
            .requests = ahead < ahead_max ? (ahead_max - ahead) / interval : 0, .full_in = ahead};
}

static uint64_t charge(struct slot *s, uint64_t interval, uint64_t ahead_max, uint64_t now,
                       struct rate_left *left)
{
    uint64_t full_at = atomic_load_explicit(&s->full_at, memory_order_relaxed);
    for (;;) {
        uint64_t ahead = full_at > now ? full_at - now : 0;
        if (ahead + interval > ahead_max) {
            tell(left, ahead, ahead_max, interval);
            return ahead + interval - ahead_max;
        }
        if (atomic_compare_exchange_weak_explicit(&s->full_at, &full_at, now + ahead + interval,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            tell(left, ahead + interval, ahead_max, interval);
            return 0;
        }
    }
}

/* A key that finds no place because others take it at the same moment passes. */
uint64_t rate_take(struct rate *r, uint64_t key, uint64_t now, struct rate_left *left)
{
    uint64_t interval = atomic_load_explicit(&r->interval, memory_order_relaxed);
    uint64_t ahead_max = atomic_load_explicit(&r->ahead_max, memory_order_relaxed);
    struct slot *set = &r->slots[(key & (r->sets - 1)) * WAYS];
    now = MIN(now, TIME_MAX);
    key = key ? key : 1;
    struct slot *s = look(set, key);
    if (!s)
        s = claim(r, set, key, now);
    if (s)
        return charge(s, interval, ahead_max, now, left);
    tell(left, 0, ahead_max, interval);
    return 0;
}
