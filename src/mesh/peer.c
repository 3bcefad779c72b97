#include "mesh/peer.h"

#include "os/os.h"

/* The place of the first id that is not below. */
static uint32_t place_of(const struct peers *t, uint64_t id)
{
    uint32_t low = 0, high = t->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->list[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct peer *peers_find(const struct peers *t, uint64_t id)
{
    uint32_t i = place_of(t, id);
    return i < t->n && t->list[i]->id == id ? t->list[i] : NULL;
}

static bool room(struct peers *t)
{
    if (t->n < t->cap)
        return true;
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    struct peer **list = mem_resize(t->list, cap * sizeof(struct peer *));
    if (!list)
        return false;
    t->list = list;
    t->cap = cap;
    return true;
}

struct peer *peers_add(struct peers *t, uint64_t id, bool *full)
{
    uint32_t i = place_of(t, id);
    if (i < t->n && t->list[i]->id == id)
        return t->list[i];
    *full = t->n == SEAL_PEERS_MAX;
    struct peer *p = *full || !room(t) ? NULL : mem_zero(1, sizeof *p);
    if (!p)
        return NULL;
    p->id = id;
    memmove(t->list + i + 1, t->list + i, (t->n - i) * sizeof(struct peer *));
    t->list[i] = p;
    t->n++;
    return p;
}

static void peer_free(struct peer *p)
{
    session_end(&p->now);
    session_end(&p->other);
    wipe(p, sizeof *p);
    mem_free(p);
}

void peers_remove(struct peers *t, uint64_t id)
{
    uint32_t i = place_of(t, id);
    if (i == t->n || t->list[i]->id != id)
        return;
    peer_free(t->list[i]);
    t->n--;
    memmove(t->list + i, t->list + i + 1, (t->n - i) * sizeof(struct peer *));
}

void peers_free(struct peers *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        peer_free(t->list[i]);
    mem_free(t->list);
    *t = (struct peers){0};
}
