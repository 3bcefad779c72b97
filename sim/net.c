/* net: the links. A datagram that is sent becomes packets that arrive, or none. */
#include "primary.h"

#include <math.h>

/* One way: a switch is about 100 us away, an edge site 50 to 100 ms. */
enum {
    LAN_LEAST_US = 60,
    LAN_MORE_US = 150,
    LAN_NOISE_US = 60,
    WAN_LEAST_US = 50000,
    WAN_MORE_US = 50000,
    WAN_NOISE_US = 1500,
    HELD_BACK_US = 60000,
};
static const double wan_loss = 0.01;

struct packet *net_packet(struct world *w)
{
    struct packet *p = w->spare;
    if (p)
        w->spare = p->next;
    else
        p = sim_zero(1, sizeof *p);
    return p;
}

void net_release(struct world *w, struct packet *p)
{
    p->next = w->spare;
    w->spare = p;
}

uint64_t world_base_delay(const struct world *w, uint32_t from, uint32_t to)
{
    uint64_t a = MIN(from, to), b = MAX(from, to);
    uint64_t x = (w->o.seed ^ (a << 32 | b)) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    uint64_t share = x >> 44; /* 20 bits */
    return w->o.wan ? WAN_LEAST_US * US + (share * WAN_MORE_US * US >> 20)
                    : LAN_LEAST_US * US + (share * LAN_MORE_US * US >> 20);
}

static uint64_t noise(struct world *w, uint64_t mean)
{
    return (uint64_t)(-log(1 - prng_unit(&w->net)) * (double)mean);
}

static uint64_t travel(struct world *w, uint32_t from, uint32_t to, const struct link *l)
{
    uint64_t t = world_base_delay(w, from, to);
    t += noise(w, (w->o.wan ? WAN_NOISE_US : LAN_NOISE_US) * US);
    if (l && l->delay)
        t += l->delay / 2 + prng_below(&w->net, l->delay);
    if (l && l->reorder > 0 && prng_unit(&w->net) < l->reorder)
        t += prng_below(&w->net, HELD_BACK_US * US);
    return t;
}

static void damage(struct world *w, struct packet *p)
{
    for (uint64_t bits = 1 + prng_below(&w->net, 3); p->n && bits > 0; bits--)
        p->data[prng_below(&w->net, p->n)] ^= (uint8_t)(1u << prng_below(&w->net, 8));
    p->kind = PACKET_DAMAGED;
}

static void put(struct world *w, uint32_t from, uint32_t to, const struct link *l,
                const void *datagram, size_t size, uint64_t twin)
{
    struct packet *p = net_packet(w);
    p->from = from;
    p->to = to;
    p->sent = w->now;
    p->twin = twin;
    p->kind = PACKET_GENUINE;
    p->n = (uint32_t)size;
    memcpy(p->data, datagram, size);
    if (l && l->corrupt > 0 && prng_unit(&w->net) < l->corrupt) {
        uint8_t was[DATAGRAM_MOST];
        memcpy(was, p->data, size);
        damage(w, p);
        if (memcmp(was, p->data, size) == 0)
            p->kind = PACKET_GENUINE; /* a bit was flipped twice */
    }
    if (p->kind == PACKET_DAMAGED && w->o.plain) {
        net_release(w, p); /* nothing but sealing would notice */
        w->lost++;
        return;
    }
    queue_put(&w->queue,
              (struct event){w->now + travel(w, from, to, l), 0, EVENT_ARRIVE, to, 0, p});
}

void net_send(void *context, uint64_t to_id, const void *datagram, size_t size)
{
    struct node *n = context;
    struct world *w = n->world;
    struct sim_heap *charged = sim_leave();
    uint32_t to = world_node(w, to_id);
    CHECK(size <= DATAGRAM_MOST && to != UINT32_MAX && to != n->index);
    const struct link *l = w->links ? &w->links[n->index * w->o.nodes + to] : NULL;
    n->sent++;
    n->sent_bytes += size;
    w->packets++;
    world_mix(w, (uint64_t)n->index << 40 ^ (uint64_t)to << 20 ^ size);
    double lost = l ? (double)l->loss : 0;
    if (w->o.wan)
        lost = 1 - (1 - lost) * (1 - wan_loss);
    if ((l && l->cut) || (lost > 0 && prng_unit(&w->net) < lost)) {
        w->lost++;
    } else if (l && l->dup > 0 && prng_unit(&w->net) < l->dup) {
        uint64_t twin = ++w->twin_count;
        put(w, n->index, to, l, datagram, size, twin);
        put(w, n->index, to, l, datagram, size, twin);
    } else {
        put(w, n->index, to, l, datagram, size, 0);
    }
    sim_enter(charged);
}

static void join(float *chance, int64_t percent)
{
    *chance = 1 - (1 - *chance) * (1 - (float)percent / 100);
}

static void worsen(struct link *l, const struct fault *f)
{
    switch (f->kind) {
    case FAULT_CUT: l->cut = true; break;
    case FAULT_LOSS: join(&l->loss, f->value); break;
    case FAULT_DELAY: l->delay += (uint64_t)f->value * MS; break;
    case FAULT_DUP: join(&l->dup, f->value); break;
    case FAULT_REORDER: join(&l->reorder, f->value); break;
    case FAULT_CORRUPT: join(&l->corrupt, f->value); break;
    case FAULT_REPLAY:
    case FAULT_FORGE:
    case FAULT_CRASH:
    case FAULT_WIPE:
    case FAULT_PAUSE:
    case FAULT_SLOW:
    case FAULT_DRIFT:
    case FAULT_DISK_SLOW:
    case FAULT_DISK_FULL:
    case FAULT_LEAVE:
    case FAULT_MAINTENANCE:
    case FAULT_ROTATE:
    case FAULT_COORD_AWAY:
    case FAULT_COORD_LOSS:
    case FAULT_COORD_DELAY:
    case FAULT_COORD_BREAK:
    case FAULT_COORD_COMPACT:
    case FAULT_REFUSE:
    case FAULT_VOTERS:
    case FAULT_APPLY: break;
    case FAULT_KINDS: UNREACHABLE();
    }
}

static bool in(uint64_t set, uint32_t node)
{
    return set >> node & 1;
}

/* What the links are like now, from all faults that are under way. */
void net_conditions(struct world *w)
{
    uint32_t n = w->o.nodes;
    memset(w->links, 0, (size_t)n * n * sizeof *w->links);
    for (uint32_t k = 0; k < w->o.faults->n; k++) {
        const struct fault *f = &w->o.faults->v[k];
        if (!w->active[k] || !fault_of_pair(f->kind))
            continue;
        for (uint32_t a = 0; a < n; a++)
            for (uint32_t b = 0; b < n; b++)
                if (a != b &&
                    ((in(f->a, a) && in(f->b, b)) || (f->both && in(f->a, b) && in(f->b, a))))
                    worsen(&w->links[a * n + b], f);
    }
    if (w->service)
        window_links(w->service);
}
