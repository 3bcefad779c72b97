/* rekey: the cluster's key becomes another while faults go on. What `holdfast key rotate` does
 * (mesh/mesh_keys.h), without its messages: the driver takes one node after the other that it
 * reaches through a step, and begins the next step when all have done it: accept, use, and, when
 * that has settled, drop. Who is down, stopped, cut off from it or out of disk is waited for. A key
 * file is not on the disk that a `wipe` empties. */
#include "world.h"

enum { TICK_MS = 40, SETTLE_MS = 3000 };

static bool reaches(const struct world *w, uint32_t driver, uint32_t i)
{
    const struct node *n = &w->nodes[i];
    if (!n->engine || n->paused || n->disk_full || n->leaving)
        return false;
    return i == driver ||
           (!w->links[driver * w->o.nodes + i].cut && !w->links[i * w->o.nodes + driver].cut);
}

static void do_step(struct world *w, uint32_t i)
{
    struct rekey *k = &w->rekey;
    struct node *n = &w->nodes[i];
    struct err e = {0};
    int failed = 0;
    switch (k->step) {
    case REKEY_ACCEPT: failed = keyring_add(&n->keys, k->secret, &e); break;
    case REKEY_USE: failed = keyring_use(&n->keys, k->id, &e); break;
    case REKEY_DROP: failed = keyring_drop(&n->keys, k->old, &e); break;
    case REKEY_NONE: UNREACHABLE();
    }
    if (failed)
        sim_die("%s does not take a key: %s", n->name, e.text);
    k->id = k->step == REKEY_ACCEPT ? n->keys.keys[0].id : k->id;
    k->done |= UINT64_C(1) << i;
    node_rekeyed(n);
    world_tell(w, &(struct happening){.kind = HAPPENED_REKEYED, .node = i, .end = (int)k->step});
}

/* One of those that have not done the step, and can. */
static void next_node(struct world *w)
{
    uint32_t from = (uint32_t)prng_below(&w->rekeys, w->o.nodes);
    for (uint32_t k = 0; k < w->o.nodes; k++) {
        uint32_t i = (from + k) % w->o.nodes;
        if (!(w->rekey.done >> i & 1) && reaches(w, w->rekey.driver, i)) {
            do_step(w, i);
            return;
        }
    }
}

static void tick_later(struct world *w)
{
    uint64_t in = (1 + prng_below(&w->rekeys, 2 * TICK_MS)) * MS;
    queue_put(&w->queue, (struct event){w->now + in, 0, EVENT_REKEY, 0, 0, NULL});
}

void rekey_tick(struct world *w)
{
    struct rekey *k = &w->rekey;
    uint64_t all = w->o.nodes == FAULT_NODES ? UINT64_MAX : (UINT64_C(1) << w->o.nodes) - 1;
    bool settled = k->step != REKEY_DROP || w->now - k->since >= SETTLE_MS * MS;
    if (reaches(w, k->driver, k->driver) && settled)
        next_node(w);
    if (k->done == all) {
        k->step = k->step == REKEY_DROP ? REKEY_NONE : k->step + 1;
        k->since = w->now;
        k->done = 0;
    }
    if (k->step != REKEY_NONE)
        tick_later(w);
}

/* One at a time: while a rotation runs, another is refused. */
void rekey_begin(struct world *w, uint64_t drivers)
{
    struct rekey *k = &w->rekey;
    if (k->step != REKEY_NONE || w->o.plain)
        return;
    k->step = REKEY_ACCEPT;
    k->done = 0;
    k->driver = 0;
    while (!(drivers >> k->driver & 1))
        k->driver++;
    k->old = w->nodes[k->driver].keys.keys[0].id;
    for (uint32_t i = 0; i < SEAL_SECRET; i++)
        k->secret[i] = (uint8_t)prng_next(&w->rekeys);
    tick_later(w);
}
