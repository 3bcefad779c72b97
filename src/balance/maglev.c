/* Maglev: a table of a prime number of entries; each member claims entries in an order of its own,
 * taking turns; a key looks up one entry.
 *
 * Source: D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
 * 2016, section 3.4. Entries are shared almost exactly by weight (a member's turns come as often as
 * its weight says; every member has one at least), more evenly than a ring's points, and lookup is
 * one step. The price is that adding or removing a member, or a new weight, moves a few keys
 * between the others as well.
 *
 * Other than in the paper the table holds all members with a weight, pickable or not, and is not
 * built anew when one fails: a key whose entry may not take it is hashed again, up to TRIES times.
 * So a member that fails moves exactly its own keys, evenly, and takes exactly these back. */
#include "balance/key.h"

enum { TRIES = 16 };

struct turn {
    uint32_t at, skip; /* of its permutation */
    uint32_t credit;
};

struct maglev {
    uint32_t entries; /* 0: nobody has a weight */
};

#define NOBODY UINT16_MAX

/* A prime of about 128 entries a member or more (the paper advises 100), so that shares are within
 * about 1 %. */
static uint32_t entries_for(uint32_t n)
{
    static const struct {
        uint32_t members, prime;
    } rows[] = {{8, 1021}, {32, 4093}, {128, 16381}, {512, 65521}, {POOL_MAX, 131071}};
    uint32_t k = 0;
    while (k + 1 < ARRAY_LEN(rows) && rows[k].members < n)
        k++;
    return rows[k].prime;
}

/* After the header: turns[n], who[entries]. */
static struct turn *turns(const struct maglev *t)
{
    return (struct turn *)(uintptr_t)(t + 1);
}

static uint16_t *owners(const struct maglev *t, uint32_t n)
{
    return (uint16_t *)(turns(t) + n);
}

static size_t table_size(uint32_t n)
{
    return sizeof(struct maglev) + n * sizeof(struct turn) + entries_for(n) * sizeof(uint16_t);
}

/* Its next entry that nobody has. */
static void claim(struct maglev *t, uint32_t n, uint32_t i)
{
    struct turn *turn = &turns(t)[i];
    uint16_t *who = owners(t, n);
    while (who[turn->at] != NOBODY) {
        turn->at += turn->skip;
        turn->at -= turn->at >= t->entries ? t->entries : 0;
    }
    who[turn->at] = (uint16_t)i;
}

static uint32_t begin(struct pool *p, struct maglev *t)
{
    uint32_t heaviest = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        turns(t)[i] = (struct turn){
            .at = scale32((uint32_t)(mix_nth(m->id, 1) >> 32), t->entries),
            .skip = 1 + scale32((uint32_t)(mix_nth(m->id, 2) >> 32), t->entries - 1),
            .credit = 0,
        };
        heaviest = MAX(heaviest, m->weight);
    }
    return heaviest;
}

/* In the order of ids and not of the file: all nodes build the same table. */
static bool id_before(const struct pool *p, uint16_t a, uint16_t b)
{
    uint64_t x = p->members[a].id, y = p->members[b].id;
    return x != y ? x < y : a < b;
}

static uint32_t order_members(struct pool *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->members[i].weight > 0)
            p->order[n++] = (uint16_t)i;
    order_sort(p, n, id_before);
    return n;
}

static void build(struct pool *p)
{
    struct maglev *t = p->table;
    t->entries = entries_for(p->n);
    uint32_t heaviest = begin(p, t), n = order_members(p), left = t->entries;
    memset(owners(t, p->n), 0xff, t->entries * sizeof(uint16_t));
    for (uint32_t k = 0; k < n; k++, left--) /* all have one */
        claim(t, p->n, p->order[k]);
    while (n > 0 && left > 0) {
        for (uint32_t k = 0; k < n && left > 0; k++) {
            struct turn *turn = &turns(t)[p->order[k]];
            turn->credit += p->members[p->order[k]].weight;
            if (turn->credit < heaviest)
                continue;
            turn->credit -= heaviest;
            claim(t, p->n, p->order[k]);
            left--;
        }
    }
    if (n == 0)
        t->entries = 0;
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    const struct maglev *t = p->table;
    const uint16_t *who = owners(t, p->n);
    for (uint32_t k = 0; k < TRIES && t->entries > 0; k++) {
        uint32_t i = who[scale32((uint32_t)(mix_nth(hash, k) >> 32), t->entries)];
        if (key_admitted(p, i, c, hash))
            return (int)i;
    }
    return key_rendezvous(p, c, hash);
}

const struct algorithm_ops maglev_ops = {
    .name = "maglev",
    .pick = pick,
    .by_key = true,
    .table_size = table_size,
    .build = build,
};
