/* truth: what really happened, as far as the invariants need it, and the invariants that compare
 * views with it: suspicion, failure, agreement. */
#include "invariants.h"

enum {
    SETTLE_MS = 3000,   /* so long a majority must have been well and whole before a node is lost */
    MEMORY_MS = 2000,   /* what was said that long ago may still be under way */
    DELAY_MOST_MS = 20, /* on a link that counts as whole */
};

static bool link_whole(const struct world *w, uint32_t a, uint32_t b)
{
    const struct link *l = w->links ? &w->links[a * w->o.nodes + b] : NULL;
    return !l || (!l->cut && l->loss <= 0 && l->reorder <= 0 && l->corrupt <= 0 &&
                  l->delay <= DELAY_MOST_MS * MS);
}

static void since(uint64_t *when, bool holds, uint64_t now)
{
    if (!holds)
        *when = NEVER;
    else if (*when == NEVER)
        *when = now;
}

static bool runs(const struct node *x)
{
    return x->engine && !x->paused;
}

static bool heard_by_somebody(const struct world *w, uint32_t j)
{
    if (!runs(&w->nodes[j]))
        return false;
    for (uint32_t i = 0; i < w->o.nodes; i++)
        if (i != j && w->nodes[i].engine && (!w->links || !w->links[j * w->o.nodes + i].cut))
            return true;
    return false;
}

/* A fault has begun or ended, or a process has. */
void truth_conditions(struct invariants *v)
{
    struct world *w = v->world;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct node *x = &w->nodes[i];
        since(&v->truths[i].well, runs(x) && !x->slow && !x->leaving, w->now);
        since(&v->truths[i].lost, !heard_by_somebody(w, i), w->now);
        for (uint32_t k = 0; k < v->n && v->whole; k++)
            if (k != i)
                since(&v->whole[i * v->n + k], link_whole(w, i, k), w->now);
    }
}

/* i has read a datagram of j that was sent then. */
void truth_heard(struct invariants *v, uint32_t i, uint32_t j, uint64_t sent)
{
    uint64_t *lost = &v->truths[j].lost;
    struct sight *s = sight_of(v, i, j);
    uint64_t from = MAX(s->heard, v->truths[i].started);
    if (v->world->now - from >= v->world->o.params.suspect_after / 100 * 99)
        s->silent = v->world->now;
    s->heard = v->world->now;
    if (*lost != NEVER && sent >= *lost)
        *lost = v->world->now; /* its last words */
}

/* How long i has not heard j, by i's clock or a little more. */
static uint64_t silence(struct invariants *v, uint32_t i, uint32_t j)
{
    uint64_t from = MAX(sight_of(v, i, j)->heard, v->truths[i].started);
    return (v->world->now - from) / 998 * 1000 + MS;
}

/* k does not hear j, or did not a moment ago, so that its word may still be under way. */
static bool truly_silent(struct invariants *v, uint32_t k, uint32_t j)
{
    const struct sight *s = sight_of(v, k, j);
    return silence(v, k, j) >= v->world->o.params.suspect_after || !v->world->nodes[k].engine ||
           (s->silent && v->world->now - s->silent <= MEMORY_MS * MS);
}

/* What it said last may still be under way when it is back. */
void truth_stopped(struct invariants *v, uint32_t i)
{
    for (uint32_t j = 0; j < v->n; j++)
        if (silence(v, i, j) >= v->world->o.params.suspect_after)
            sight_of(v, i, j)->silent = v->world->now;
}

static void check_suspicion(struct invariants *v, uint32_t i, uint32_t j,
                            const struct member_change *c)
{
    uint64_t was = silence(v, i, j);
    if (c->info.reason == MEMBER_SILENT && was < v->world->o.params.suspect_after)
        violated(v, I22_SUSPICION, "n%u suspects n%u after %.0f ms of silence", i, j,
                 (double)was / 1e6);
}

/* Whoever declares a failure first needs a majority of those who could hear the node, and each of
 * them must truly not hear it. Later ones may follow him. */
static void check_majority(struct invariants *v, uint32_t i, uint32_t j,
                           const struct member_change *c)
{
    uint32_t observers = 0, silent = 0;
    for (uint32_t k = 0; k < v->n; k++) {
        const struct sight *s = sight_of(v, i, k);
        if (k == j || (k != i && (s->state == MEMBER_FAILED || s->state == MEMBER_LEFT)))
            continue;
        observers++;
        silent += truly_silent(v, k, j);
    }
    if (c->info.reason == MEMBER_ALONE) {
        if (observers > 1 || silence(v, i, j) < 4 * v->world->o.params.suspect_after)
            violated(v, I23_MAJORITY, "n%u declares n%u failed alone: %u observers, silent %.0f ms",
                     i, j, observers, (double)silence(v, i, j) / 1e6);
    } else if (silent * 2 <= observers) {
        violated(v, I23_MAJORITY, "n%u declares n%u failed: of %u observers %u do not hear it", i,
                 j, observers, silent);
    }
}

/* Somebody else takes it for failed, or did a moment ago: i may have that from him. */
static bool follows(struct invariants *v, uint32_t i, uint32_t j)
{
    uint64_t until = v->truths[j].failed_until;
    for (uint32_t k = 0; k < v->n; k++)
        if (k != i && sight_of(v, k, j)->known && sight_of(v, k, j)->state == MEMBER_FAILED)
            return true;
    return until && v->world->now - until <= MEMORY_MS * MS;
}

/* i's view of somebody has changed; its sight still has what it was. */
void truth_changed(struct invariants *v, uint32_t i, const struct member_change *c)
{
    uint32_t j = world_node(v->world, c->info.id);
    bool dense = v->n <= v->world->o.params.dense_max;
    if (c->was == MEMBER_FAILED && c->info.state != MEMBER_FAILED)
        v->truths[j].failed_until = v->world->now;
    if (c->info.state == MEMBER_SUSPECT && c->was != MEMBER_SUSPECT && dense && !follows(v, i, j))
        check_suspicion(v, i, j, c);
    if (c->info.state != MEMBER_FAILED || c->was == MEMBER_FAILED)
        return;
    if (dense && !follows(v, i, j))
        check_majority(v, i, j, c);
    if (c->info.maintenance)
        violated(v, I23_MAJORITY, "n%u declares n%u failed, which is in maintenance", i, j);
}

/* ---- a lost node is noticed */

static bool well_for(const struct invariants *v, uint32_t i, uint64_t time)
{
    uint64_t well = v->truths[i].well;
    return well != NEVER && v->world->now - well >= time;
}

static bool whole_for(const struct invariants *v, uint32_t a, uint32_t b, uint64_t time)
{
    uint64_t whole = v->whole ? v->whole[a * v->n + b] : 0;
    return whole != NEVER && v->world->now - whole >= time;
}

/* Is i one of a majority that has been well, with all links between them whole, for so long? */
static bool in_sound_majority(const struct invariants *v, uint32_t i, uint64_t time)
{
    uint32_t members[FAULT_NODES], count = 0;
    if (!well_for(v, i, time))
        return false;
    members[count++] = i;
    for (uint32_t k = 0; k < v->n; k++) {
        bool joins = k != i && well_for(v, k, time);
        for (uint32_t m = 0; joins && m < count; m++)
            joins = whole_for(v, members[m], k, time) && whole_for(v, k, members[m], time);
        if (joins && count < FAULT_NODES)
            members[count++] = k;
    }
    return count * 2 > v->n;
}

void truth_check_noticed(struct invariants *v, uint32_t i)
{
    struct world *w = v->world;
    for (uint32_t j = 0; j < v->n; j++) {
        const struct sight *s = sight_of(v, i, j);
        uint64_t lost = v->truths[j].lost;
        if (j == i || lost == NEVER || w->now - lost < v->bounds.notice || !s->known ||
            s->state == MEMBER_FAILED || s->state == MEMBER_LEFT || s->maintenance)
            continue;
        if (in_sound_majority(v, i, v->bounds.notice + SETTLE_MS * MS))
            violated(v, I24_NOTICED, "n%u has not noticed for %.1f s that n%u is lost (%s, %s)", i,
                     (double)(w->now - lost) / 1e9, j,
                     member_state_name((enum member_state)s->state),
                     member_reason_name((enum member_reason)s->reason));
    }
}

/* ---- agreement */

static void check_view(struct invariants *v, uint32_t i, uint32_t j)
{
    const struct node *x = &v->world->nodes[j];
    const struct sight *s = sight_of(v, i, j);
    double after = (double)(v->world->now - v->healed) / 1e9;
    if (x->engine && (s->state != MEMBER_ALIVE || s->incarnation != x->incarnation ||
                      s->maintenance != x->maintenance))
        violated(v, I25_AGREEMENT,
                 "%.1f s after the last fault n%u takes n%u for %s (%s, incarnation %llu); it is "
                 "alive with %llu",
                 after, i, j, member_state_name((enum member_state)s->state),
                 member_reason_name((enum member_reason)s->reason),
                 (unsigned long long)s->incarnation, (unsigned long long)x->incarnation);
    bool unheard = s->incarnation < x->incarnation; /* nobody knows that it was back */
    bool gone = s->state == MEMBER_FAILED || (s->state == MEMBER_LEFT && (x->goodbye || unheard)) ||
                (s->state == MEMBER_SUSPECT && s->maintenance); /* it stays in that */
    if (!x->engine && !gone)
        violated(v, I25_AGREEMENT,
                 "%.1f s after the last fault n%u takes n%u for %s (%s); it has %s", after, i, j,
                 member_state_name((enum member_state)s->state),
                 member_reason_name((enum member_reason)s->reason), x->left ? "left" : "died");
    if (x->engine)
        return;
    for (uint32_t k = 0; k < i; k++)
        if (v->world->nodes[k].engine && sight_of(v, k, j)->state != s->state)
            violated(v, I25_AGREEMENT,
                     "%.1f s after the last fault n%u takes n%u for %s, n%u for %s", after, i, j,
                     member_state_name((enum member_state)s->state), k,
                     member_state_name((enum member_state)sight_of(v, k, j)->state));
}

void truth_check_agreement(struct invariants *v)
{
    for (uint32_t i = 0; i < v->n; i++)
        for (uint32_t j = 0; j < v->n && v->world->nodes[i].engine; j++)
            check_view(v, i, j);
}
