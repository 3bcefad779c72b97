/* Consistent hash: members have many points each on a ring of hashes; a key goes to the owner of
 * the next point clockwise, or, if that may not take it, to that of the point after.
 *
 * Source: D. Karger et al., "Consistent Hashing and Random Trees", STOC 1997. With bounded load
 * (key.h): V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016:
 * a member above its bound is passed over, so that a popular key overflows to the next members on
 * its way and to no others.
 *
 * The heaviest member has POINTS points, the others in proportion, and one at least. So shares vary
 * by about 1 / sqrt(POINTS), 6 %; and a member that is added or removed moves no key but its own,
 * unless it changes what the largest weight is.
 *
 * Points are kept in the order of their hashes. An index of every 2^32 / buckets-th hash makes
 * lookup a short walk: four points on average. Built in one pass by counting sort. */
#include "balance/key.h"

enum { POINTS = 256, PER_BUCKET = 4, STEPS_MOST = 128 };

struct ring {
    uint32_t n, buckets;
};

/* After the header: at[points], start[buckets + 1], who[points]. */
static uint32_t *points_at(const struct ring *r)
{
    return (uint32_t *)(uintptr_t)(r + 1);
}

static uint32_t *starts(const struct ring *r, uint32_t members)
{
    return points_at(r) + (size_t)members * POINTS;
}

static uint32_t most_buckets(uint32_t members)
{
    return members * POINTS / PER_BUCKET;
}

static uint16_t *owners(const struct ring *r, uint32_t members)
{
    return (uint16_t *)(starts(r, members) + most_buckets(members) + 1);
}

static size_t table_size(uint32_t n)
{
    size_t points = (size_t)n * POINTS;
    return sizeof(struct ring) + 4 * points + 4 * ((size_t)most_buckets(n) + 1) + 2 * points;
}

static uint32_t points_of(const struct member *m, uint32_t heaviest)
{
    return m->weight ? MAX(m->weight * POINTS / heaviest, 1u) : 0;
}

static uint32_t point(const struct member *m, uint32_t k)
{
    return (uint32_t)(mix_nth(m->id, k + 1) >> 32);
}

static void count(struct pool *p, struct ring *r, uint32_t heaviest)
{
    uint32_t *start = starts(r, p->n), n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n += points_of(&p->members[i], heaviest);
    r->n = n;
    r->buckets = MAX(n / PER_BUCKET, 1u);
    memset(start, 0, ((size_t)r->buckets + 1) * sizeof *start);
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < points_of(&p->members[i], heaviest); k++)
            start[scale32(point(&p->members[i], k), r->buckets) + 1]++;
    for (uint32_t b = 0; b < r->buckets; b++)
        start[b + 1] += start[b];
}

/* start[b] moves from where bucket b begins to where it ends, which is where b + 1 begins; so all
 * go one place back at the end. */
static void scatter(struct pool *p, struct ring *r, uint32_t heaviest)
{
    uint32_t *start = starts(r, p->n), *hashes = points_at(r);
    uint16_t *who = owners(r, p->n);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        for (uint32_t k = 0; k < points_of(m, heaviest); k++) {
            uint32_t hash = point(m, k), at = start[scale32(hash, r->buckets)]++;
            hashes[at] = hash;
            who[at] = (uint16_t)i;
        }
    }
    memmove(start + 1, start, r->buckets * sizeof *start);
    start[0] = 0;
}

/* Insertion sort of a bucket; equal hashes by id, so that the order of members has no part in it.
 */
static void sort_bucket(const struct pool *p, struct ring *r, uint32_t from, uint32_t to)
{
    uint32_t *hashes = points_at(r);
    uint16_t *who = owners(r, p->n);
    for (uint32_t k = from + 1; k < to; k++) {
        uint32_t at = k, hash = hashes[k];
        uint16_t owner = who[k];
        uint64_t id = p->members[owner].id;
        for (; at > from; at--) {
            uint32_t other = hashes[at - 1];
            if (other < hash || (other == hash && p->members[who[at - 1]].id <= id))
                break;
            hashes[at] = other;
            who[at] = who[at - 1];
        }
        hashes[at] = hash;
        who[at] = owner;
    }
}

static void build(struct pool *p)
{
    struct ring *r = p->table;
    uint32_t heaviest = 0;
    for (uint32_t i = 0; i < p->n; i++)
        heaviest = MAX(heaviest, p->members[i].weight);
    r->n = 0;
    if (heaviest == 0)
        return;
    count(p, r, heaviest);
    scatter(p, r, heaviest);
    const uint32_t *start = starts(r, p->n);
    for (uint32_t b = 0; b < r->buckets; b++)
        sort_bucket(p, r, start[b], start[b + 1]);
}

/* The place of the first point at or after the hash; r->n if there is none. */
static uint32_t find(const struct pool *p, const struct ring *r, uint32_t hash)
{
    const uint32_t *hashes = points_at(r);
    uint32_t at = starts(r, p->n)[scale32(hash, r->buckets)];
    while (at < r->n && hashes[at] < hash)
        at++;
    return at;
}

static int walk(const struct pool *p, const struct choice *c, uint64_t hash)
{
    const struct ring *r = p->table;
    const uint16_t *who = owners(r, p->n);
    uint32_t at = r->n ? find(p, r, (uint32_t)(mix(hash) >> 32)) : 0;
    for (uint32_t k = 0; k < MIN(r->n, STEPS_MOST); k++, at++) {
        if (at >= r->n)
            at = 0;
        if (key_admitted(p, who[at], c, hash))
            return who[at];
    }
    return -1;
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    int i = walk(p, c, hash);
    return i >= 0 ? i : key_rendezvous(p, c, hash);
}

const struct algorithm_ops consistent_hash_ops = {
    .name = "consistent-hash",
    .pick = pick,
    .by_key = true,
    .table_size = table_size,
    .build = build,
};
