/* What the node does whose member leads: members come to be those of the voters, and the voters
 * those that are wanted. */
#include "coord/managed_inside.h"

static const struct managed_said *said(const struct managed_facts *f,
                                       const struct managed_member *m)
{
    return m->node < f->n && f->nodes[m->node].heard ? &f->nodes[m->node].said : NULL;
}

bool managed_healthy(const struct managed_facts *f, const struct managed_member *m)
{
    const struct managed_said *s = said(f, m), *own = managed_own(f);
    return s && s->record == MANAGED_DATA && managed_same_id(&s->line, &own->line) &&
           managed_order(&s->line, &own->line) == 0 && s->member == m->id && own->leader != 0 &&
           s->leader == own->leader && s->term == own->term;
}

struct count {
    uint32_t voting, healthy;
};

static struct count count(const struct managed_facts *f)
{
    struct count c = {0};
    for (uint32_t i = 0; i < f->n_members; i++) {
        c.voting += !f->members[i].learner;
        c.healthy += !f->members[i].learner && managed_healthy(f, &f->members[i]);
    }
    return c;
}

static bool is_enough(struct count c)
{
    return c.voting > 0 && c.healthy >= c.voting / 2 + 1;
}

/* As it would be without this member. */
static bool enough_without(const struct managed_facts *f, const struct managed_member *m)
{
    struct count c = count(f);
    if (!m->learner) {
        c.voting--;
        c.healthy -= managed_healthy(f, m);
    }
    return is_enough(c);
}

static const struct managed_member *member_of(const struct managed_facts *f, uint32_t node)
{
    for (uint32_t i = 0; i < f->n_members; i++)
        if (f->members[i].node == node)
            return &f->members[i];
    return NULL;
}

static struct managed_step with_member(enum managed_do act, const struct managed_member *m)
{
    struct managed_step s = managed_step(act, m->node);
    s.member = m->id;
    return s;
}

/* Its node says itself that it has no data of this line. */
static bool is_lost(const struct managed_facts *f, const struct managed_member *m)
{
    const struct managed_said *s = said(f, m);
    return s && s->record == MANAGED_KNOWS && s->place && s->place != m->place &&
           managed_same_id(&s->line, &managed_own(f)->line);
}

/* --- a learner --- */

static struct managed_step teach(const struct managed_facts *f, const struct managed_member *m)
{
    const struct managed_said *s = said(f, m);
    if (!managed_votes(f, m->node) || is_lost(f, m))
        return with_member(MANAGED_REMOVE, m);
    if (managed_healthy(f, m) && s->applied + MANAGED_NEAR >= managed_own(f)->applied)
        return with_member(MANAGED_PROMOTE, m);
    return managed_rest(s ? MANAGED_CATCH_UP : MANAGED_SILENT, m->node);
}

/* --- members that are too many --- */

static bool is_surplus(const struct managed_facts *f, const struct managed_member *m)
{
    return !managed_votes(f, m->node) || is_lost(f, m);
}

/* Of the members that are to go one that is not healthy; else any. */
static const struct managed_member *surplus(const struct managed_facts *f)
{
    const struct managed_member *found = NULL;
    for (uint32_t i = 0; i < f->n_members; i++) {
        const struct managed_member *m = &f->members[i];
        if (!is_surplus(f, m))
            continue;
        if (!managed_healthy(f, m))
            return m;
        found = m;
    }
    return found;
}

/* Who leads leaves last: somebody else leads first. */
static struct managed_step drop(const struct managed_facts *f, const struct managed_member *m)
{
    if (!enough_without(f, m))
        return managed_rest(MANAGED_BELOW, m->node);
    if (m->id != managed_own(f)->member)
        return with_member(MANAGED_REMOVE, m);
    for (uint32_t i = 0; i < f->n_members; i++) {
        const struct managed_member *to = &f->members[i];
        if (to != m && !to->learner && managed_healthy(f, to) && !is_surplus(f, to))
            return with_member(MANAGED_HAND_OVER, to);
    }
    return managed_rest(MANAGED_BELOW, m->node);
}

/* --- members that are missing --- */

static struct managed_step add(const struct managed_facts *f)
{
    uint32_t silent = MANAGED_NODES;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_node *n = &f->nodes[i];
        if (!managed_votes(f, i) || member_of(f, i))
            continue;
        bool asks = n->heard && n->said.record == MANAGED_KNOWS && n->said.place &&
                    managed_same_id(&n->said.line, &managed_own(f)->line) &&
                    managed_order(&n->said.line, &managed_own(f)->line) == 0;
        if (!asks) {
            silent = i;
            continue;
        }
        struct managed_step s = managed_step(MANAGED_ADD, i);
        s.place = n->said.place;
        return s;
    }
    return managed_rest(silent < f->n ? MANAGED_SILENT : MANAGED_WELL, silent);
}

/* --- voters --- */

static uint32_t node_called(const struct managed_facts *f, struct str name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (str_eq(f->nodes[i].name, name))
            return i;
    return MANAGED_NODES;
}

/* It has no member that is healthy: rather it than another. */
static bool is_gone(void *context, struct str name)
{
    const struct managed_facts *f = context;
    uint32_t node = node_called(f, name);
    const struct managed_member *m = node < f->n ? member_of(f, node) : NULL;
    return !m || m->learner || !managed_healthy(f, m);
}

/* The one by which the sets differ. */
static struct str difference(const struct voters *a, const struct voters *b)
{
    const struct voters *more = a->n > b->n ? a : b, *less = a->n > b->n ? b : a;
    for (uint32_t i = 0; i < more->n; i++)
        if (!voters_has(less, str_of(more->names[i])))
            return str_of(more->names[i]);
    UNREACHABLE();
}

/* A set may grow when the members are those of this one, and enough of the next would be healthy;
 * it may shrink when enough stay healthy. */
static struct managed_step change_voters(const struct managed_facts *f, struct managed_step rest)
{
    struct managed_step s = managed_step(MANAGED_SET_VOTERS, MANAGED_NODES);
    struct voters wanted = f->wanted;
    if (wanted.n == 0 ||
        !voters_next(&f->voters, &wanted, is_gone, (void *)(uintptr_t)f, &s.voters))
        return rest;
    struct str name = difference(&f->voters, &s.voters);
    struct count c = count(f);
    s.node = node_called(f, name);
    if (s.voters.n > f->voters.n) {
        c.voting++;
        c.healthy += s.node < f->n && f->nodes[s.node].heard;
        if (rest.why != MANAGED_WELL)
            return rest;
        if (!is_enough(c) || !f->nodes[s.node].heard)
            return managed_rest(MANAGED_SILENT, s.node);
    } else {
        const struct managed_member *m = s.node < f->n ? member_of(f, s.node) : NULL;
        if (m && !enough_without(f, m))
            return managed_rest(MANAGED_BELOW, s.node);
    }
    return f->may_change_voters ? s : managed_rest(MANAGED_PATIENCE, s.node);
}

struct managed_step managed_lead(const struct managed_facts *f)
{
    const struct managed_member *learner = NULL, *more = surplus(f);
    struct managed_step s;
    for (uint32_t i = 0; i < f->n_members; i++)
        if (f->members[i].learner)
            learner = &f->members[i];
    if (!is_enough(count(f)))
        return managed_rest(MANAGED_NO_QUORUM, MANAGED_NODES);
    if (learner)
        s = teach(f, learner);
    else
        s = more ? drop(f, more) : add(f);
    if (!learner && more && s.act == MANAGED_REST) { /* who cannot go yet may when others came */
        struct managed_step other = add(f);
        s = other.act == MANAGED_REST ? s : other;
    }
    s = s.act == MANAGED_REST ? change_voters(f, s) : s;
    return s.act == MANAGED_REST && s.why == MANAGED_WELL ? managed_turn(f) : s;
}
