/* voting: the set of voters, as nodes keep and change it (coord/voters.h). Only where a schedule
 * says who should vote.
 *
 * Each node watches the set, keeps it on disk before it says that it has adopted it, and says so to
 * all others twice a second over the links of the cluster. Whoever finds that the set may change,
 * by what he has seen and heard himself, proposes the next one; a cas decides among several. */
#include "coordinator.h"

#include <stdio.h>

/* A build with -Dplant=N has fault N, for the invariants to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_TWO = 8 /* the set changes by two nodes at once */ };

enum { BEAT_MS = 500, TRAVEL_US = 200 };

/* ---- the record: "3 n0,n1 n0,n1,n2", the last the set before */

static void put_names(const struct voters *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->n; i++)
        buf_printf(out, "%s%s", i ? "," : "", v->names[i]);
}

static void write_record(const struct voters *v, const struct voters *was, struct buf *out)
{
    buf_printf(out, "%llu ", (unsigned long long)v->version);
    put_names(v, out);
    buf_printf(out, " ");
    put_names(was, out);
}

static struct str part(struct str *s, char sign)
{
    const char *at = s->n ? memchr(s->p, sign, s->n) : NULL;
    struct str head = {s->p, at ? (size_t)(at - s->p) : s->n};
    *s = at ? (struct str){at + 1, s->n - head.n - 1} : (struct str){s->p + s->n, 0};
    return head;
}

static bool get_names(struct str s, struct voters *out)
{
    while (s.n)
        if (!voters_add(out, part(&s, ',')))
            return false;
    return true;
}

bool voting_read(struct str s, struct voters *v, struct voters *was)
{
    *v = *was = (struct voters){0};
    return str_u64(part(&s, ' '), UINT64_MAX, &v->version) && get_names(part(&s, ' '), v) &&
           get_names(s, was) && v->n > 0;
}

/* ---- changes */

static uint64_t adopted(void *context, struct str name)
{
    const struct follower *f = context;
    for (uint32_t i = 0; i < f->node->world->o.nodes; i++)
        if (str_eq(str_of(f->node->world->nodes[i].name), name))
            return i == f->node->index ? f->votes.kept.version : f->votes.says[i];
    return 0;
}

static void propose(struct follower *f, const struct voters *next, const struct voters *was)
{
    struct buf text = {0};
    write_record(next, was, &text);
    struct coord_op op = {.key = STR(VOTING_KEY),
                          .value = sim_text(&text),
                          .expected = f->votes.revision,
                          .act = COORD_PUT};
    coordinator_cas(f, ASK_VOTERS, &op, 1);
    buf_free(&text);
}

static void consider(struct follower *f)
{
    struct votes *v = &f->votes;
    const struct voters *wanted = &f->coordinator->wanted;
    struct voters next = *wanted, none = {0};
    if (!v->known || f->asks[ASK_VOTERS])
        return;
    if (!v->now.version) {
        next.version = 1;
        propose(f, &next, &none);
        return;
    }
    bool ready =
        voters_ready(&v->patience, &v->now, &v->was, adopted, f, VOTERS_WAIT, f->node->world->now);
    if (!ready || !voters_next(&v->now, wanted, NULL, NULL, &next))
        return;
    if (HF_PLANT == PLANT_TWO) {
        struct voters one = next;
        if (voters_next(&one, wanted, NULL, NULL, &next))
            next.version = one.version;
    }
    propose(f, &next, &v->now);
}

/* ---- what is heard and kept */

static void tell_kept(struct follower *f)
{
    world_tell(f->node->world, &(struct happening){.kind = HAPPENED_VOTING,
                                                   .node = f->node->index,
                                                   .revision = f->votes.kept.version});
}

/* It is on disk before this node says that it has it. */
static void keep(struct follower *f)
{
    struct votes *v = &f->votes;
    if (!v->known || v->now.version == v->kept.version || f->node->disk_full ||
        !voters_accept(v->kept.version, v->now.version))
        return;
    struct errand *a = errand_new(f, ERRAND_VOTERS, 0, 0);
    a->voters = v->now;
    errand_land(f, a);
}

void voting_told(struct follower *f, const struct store_list *l, bool whole)
{
    struct votes *v = &f->votes;
    v->known |= whole;
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->items[i].gone || !voting_read(l->items[i].value, &v->now, &v->was))
            sim_die("%s cannot read the voters", f->node->name);
        v->revision = l->items[i].revision;
    }
    keep(f);
}

void voting_landed(struct follower *f, const struct voters *v)
{
    if (!voters_accept(f->votes.kept.version, v->version))
        return;
    f->votes.kept = *v;
    tell_kept(f);
}

/* To everybody, over the cluster's links. */
static void say(struct follower *f)
{
    struct world *w = f->node->world;
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        struct follower *to = &f->coordinator->followers[i];
        const struct link *l = &w->links[f->node->index * w->o.nodes + i];
        if (to == f || l->cut || !to->runs || prng_unit(&f->coordinator->draw) < l->loss)
            continue;
        struct errand *a = errand_new(to, ERRAND_SAYS, f->node->index, f->votes.kept.version);
        errand_later(f->coordinator, a, TRAVEL_US * US + l->delay);
    }
}

void voting_heard(struct follower *f, uint32_t from, uint64_t version)
{
    f->votes.says[from] = version;
}

void voting_beat(struct follower *f)
{
    keep(f); /* its disk may have been full */
    say(f);
    consider(f);
    errand_later(f->coordinator, errand_new(f, ERRAND_BEAT, 0, 0),
                 BEAT_MS * MS + prng_below(&f->coordinator->draw, MS));
}

/* ---- lives */

void voting_start(struct follower *f)
{
    struct voters kept = f->votes.kept;
    f->votes = (struct votes){.kept = kept};
    errand_later(f->coordinator, errand_new(f, ERRAND_BEAT, 0, 0),
                 prng_below(&f->coordinator->draw, BEAT_MS * MS));
}

void voting_wipe(struct follower *f)
{
    f->votes.kept = (struct voters){0};
}

/* The first five of the set, from now on. */
void voting_want(struct coordinator *c, uint64_t set)
{
    c->wanted = (struct voters){0};
    for (uint32_t i = 0; i < c->world->o.nodes; i++)
        if (set >> i & 1)
            voters_add(&c->wanted, str_of(c->world->nodes[i].name));
}
