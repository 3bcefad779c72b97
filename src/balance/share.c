/* Shares: what part of the load goes to which of the members that may be picked.
 *
 * Three features multiply one factor per member, and weights and algorithms know nothing of them.
 *
 * Priority groups. Group 0 gets everything while enough of its weight is well; what it can no
 * longer carry flows to the next group, gradually (Envoy's priority levels work so; its
 * overprovisioning factor of 1.4 is a threshold of 71 %). With the threshold at 0, a group gets
 * everything while it has one well member (the backup servers of haproxy and nginx).
 *
 * Zones. A zone's requests stay in it while its share of the capacity that is well is at least its
 * share of the requests; else the part that fits stays, and the rest goes to the zones that have
 * more capacity than requests, as much as they have left (Envoy's zone aware routing). If all nodes
 * do so, every member has the same load as without zones, and as many requests as possible stay
 * near. A zone's share of the requests is taken to be its share of the weight configured, unless
 * that of this node's own is known. Not with algorithms that place by key: nodes of different zones
 * would place one key differently.
 *
 * Subset. Of a large pool each peer (a worker of some node) uses a part, so that connections do not
 * multiply. Members lie on a ring in the order of their ids, each as long as its share; a peer has
 * a window of it that starts at peer / peers; a member that the window cuts counts as much as is
 * inside. Windows are as wide as a whole number of peers' distances, so that together they cover
 * every point equally often: the load is exactly that without subsets. (Deterministic aperture, in
 * Twitter's Finagle 2019; there with members of equal length.) One member that comes or goes
 * shifts the others by its length at most. Not by key, for the same reason as zones. */
#include "balance/algorithm.h"

#include "balance/key.h"

/* Weights of a group, in all zones and in each. */
struct sums {
    double all, well, pickable; /* all: as configured, pickable or not */
    double zone_all[POOL_ZONES], zone_well[POOL_ZONES], zone_pickable[POOL_ZONES];
};

static uint32_t group_of(const struct member *m)
{
    return MIN(m->priority, POOL_GROUPS - 1);
}

static uint32_t zone_of(uint32_t zone)
{
    return MIN(zone, POOL_ZONES - 1);
}

static bool well(const struct member *m)
{
    return m->pickable && !member_failed(m) && m->weight > 0;
}

static double weight(const struct member *m)
{
    return m->weight ? m->weight : 1;
}

static void sum(const struct pool *p, struct sums *groups)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        struct sums *s = &groups[group_of(m)];
        uint32_t z = zone_of(m->zone);
        double is_well = well(m) ? weight(m) : 0, is_pickable = m->pickable ? weight(m) : 0;
        s->all += m->weight;
        s->well += is_well;
        s->pickable += is_pickable;
        s->zone_all[z] += m->weight;
        s->zone_well[z] += is_well;
        s->zone_pickable[z] += is_pickable;
    }
}

/* What part of the load the group can carry. */
static double carries(const struct pool *p, const struct sums *s)
{
    double least = p->params.group_least_permille / 1000.0;
    if (s->well <= 0)
        return 0;
    return least > 0 ? MIN(s->well / s->all / least, 1) : 1;
}

/* Parts add up to 1: where all groups together cannot carry all, each takes more. */
static void part_groups(const struct pool *p, const struct sums *groups, double *parts)
{
    double left = 1;
    for (uint32_t g = 0; g < POOL_GROUPS; g++) {
        parts[g] = MIN(left, carries(p, &groups[g]));
        left -= parts[g];
    }
    for (uint32_t g = 0; g < POOL_GROUPS; g++)
        parts[g] /= 1 - left;
}

/* Of all requests, the part that arrives in a zone. */
static double arrives(const struct pool *p, const struct sums *s, uint32_t z)
{
    uint32_t own = zone_of(p->params.zone);
    double known = MIN(p->params.zone_permille / 1000.0, 1), others = s->all - s->zone_all[own];
    if (known <= 0 || s->zone_all[own] <= 0 || others <= 0)
        return s->zone_all[z] / s->all;
    return z == own ? known : (1 - known) * s->zone_all[z] / others;
}

/* What part of this zone's requests goes to each; they add up to 1. The group has somebody well. */
static void part_zones(const struct pool *p, const struct sums *s, double *parts)
{
    double left[POOL_ZONES], sum = 0;
    uint32_t own = zone_of(p->params.zone);
    for (uint32_t z = 0; z < POOL_ZONES; z++) {
        left[z] = MAX(s->zone_well[z] / s->well - arrives(p, s, z), 0);
        sum += z == own ? 0 : left[z];
    }
    double wanted = arrives(p, s, own), fits = s->zone_well[own] / s->well;
    parts[own] = wanted > 0 ? MIN(fits / wanted, 1) : 0;
    for (uint32_t z = 0; z < POOL_ZONES; z++) {
        if (z == own)
            continue;
        /* nothing left anywhere only in rounding, or where this zone has no members */
        double among =
            sum > 1e-9 ? left[z] / sum : s->zone_well[z] / MAX(s->well - s->zone_well[own], 1e-9);
        parts[z] = (1 - parts[own]) * among;
    }
}

/* The factor of the members of each zone of a group that gets this part of all. */
static void factor_zones(const struct pool *p, const struct sums *s, double part, double *factors)
{
    double parts[POOL_ZONES] = {0};
    bool zones = p->params.zone && !p->ops->by_key && part > 0;
    if (zones)
        part_zones(p, s, parts);
    for (uint32_t z = 0; z < POOL_ZONES; z++) {
        if (!zones)
            factors[z] = part / MAX(s->pickable, 1);
        else
            factors[z] = s->zone_pickable[z] > 0 ? part * parts[z] / s->zone_pickable[z] : 0;
    }
}

static void factor_groups(struct pool *p, const struct sums *groups, const double *parts)
{
    for (uint32_t g = 0; g < POOL_GROUPS; g++) {
        double factors[POOL_ZONES];
        if (groups[g].pickable <= 0)
            continue;
        factor_zones(p, &groups[g], parts[g], factors);
        for (uint32_t i = 0; i < p->n; i++)
            if (group_of(&p->members[i]) == g)
                p->factor[i] = factors[zone_of(p->members[i].zone)];
    }
}

/* Keys choose their group first, by chance of its part. */
static void set_key_groups(struct pool *p, const double *parts)
{
    double until = 0;
    uint32_t last = 0;
    for (uint32_t g = 0; g < POOL_GROUPS; g++) {
        until += parts[g];
        p->groups[g].until = (uint32_t)MIN(until * 0x1p32, 0xffffffffp0);
        if (parts[g] > 0)
            last = g;
    }
    for (uint32_t g = last; g < POOL_GROUPS; g++)
        p->groups[g].until = UINT32_MAX;
}

static void factor_all(struct pool *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->factor[i] = 1;
}

static bool id_before(const struct pool *p, uint16_t a, uint16_t b)
{
    uint64_t x = p->members[a].id, y = p->members[b].id;
    return x != y ? x < y : a < b;
}

/* How much of [from, to) lies in the window, which may reach over the end of the ring. */
static double overlap(double from, double to, double start, double width)
{
    double first = MIN(to, start + width) - MAX(from, start);
    double again = MIN(to, start + width - 1) - MAX(from, start - 1);
    return MAX(first, 0) + MAX(again, 0);
}

static void cut_subset(struct pool *p)
{
    const struct pool_params *w = &p->params;
    uint32_t n = 0;
    double total = 0, at = 0;
    if (w->subset == 0 || w->peers < 2 || p->ops->by_key)
        return;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->members[i].pickable || p->factor[i] <= 0)
            continue;
        p->order[n++] = (uint16_t)i;
        total += weight(&p->members[i]) * p->factor[i];
    }
    uint64_t distances = n ? ((uint64_t)w->subset * w->peers + n - 1) / n : w->peers;
    if (distances >= w->peers)
        return;
    order_sort(p, n, id_before);
    for (uint32_t k = 0; k < n; k++) {
        uint16_t i = p->order[k];
        double length = weight(&p->members[i]) * p->factor[i] / total;
        double inside =
            overlap(at, at + length, (double)w->peer / w->peers, (double)distances / w->peers);
        p->factor[i] *= inside > length * 1e-6 ? MIN(inside / length, 1) : 0;
        at += length;
    }
}

/* From factors to shares. The largest factor counts as 1, so that nothing is lost in rounding. */
static void set_shares(struct pool *p)
{
    double most = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->members[i].pickable)
            most = MAX(most, p->factor[i]);
    p->n_standby = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];
        bool in = m->pickable && p->factor[i] > 0;
        m->standby = m->pickable && !in && !member_failed(m);
        m->pickable = in;
        p->n_standby += m->standby;
        double part = in ? p->factor[i] / most : 0;
        m->share = in ? MAX((uint32_t)(weight(m) * POOL_WEIGHT_ONE * part + 0.5), 1u) : 0;
    }
}

void share_out(struct pool *p)
{
    struct sums groups[POOL_GROUPS] = {0};
    double parts[POOL_GROUPS] = {0}, anybody = 0;
    sum(p, groups);
    for (uint32_t g = 0; g < POOL_GROUPS; g++)
        anybody += groups[g].well;
    factor_all(p);
    if (anybody > 0) {
        part_groups(p, groups, parts);
        factor_groups(p, groups, parts);
        set_key_groups(p, parts);
    } else {
        for (uint32_t g = 0; g < POOL_GROUPS; g++)
            p->groups[g].until = 0; /* keys have no group */
    }
    cut_subset(p);
    set_shares(p);
}
