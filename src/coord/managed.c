/* What is on this node's disk, and what follows from it: who founds, who joins, who leaves. */
#include "coord/managed_inside.h"

bool managed_same_id(const struct managed_line *a, const struct managed_line *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0;
}

int managed_order(const struct managed_line *a, const struct managed_line *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return (a->draw > b->draw) - (a->draw < b->draw);
}

const char *managed_do_name(enum managed_do d)
{
    static const char *const names[MANAGED_DOS] = {
        [MANAGED_REST] = "rest",           [MANAGED_INTEND] = "intend",
        [MANAGED_PROMISE] = "promise",     [MANAGED_LEARN] = "learn",
        [MANAGED_FORGET] = "forget",       [MANAGED_FOUND] = "found",
        [MANAGED_JOIN] = "join",           [MANAGED_START] = "start",
        [MANAGED_LEAVE] = "leave",         [MANAGED_ADD] = "add",
        [MANAGED_PROMOTE] = "promote",     [MANAGED_REMOVE] = "remove",
        [MANAGED_HAND_OVER] = "hand-over", [MANAGED_SET_VOTERS] = "set-voters",
        [MANAGED_TURN] = "turn",           [MANAGED_RESTART] = "restart",
    };
    CHECK(d < MANAGED_DOS);
    return names[d];
}

static uint32_t find(const struct managed_facts *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (str_eq(f->nodes[i].name, str_of(name)))
            return i;
    return MANAGED_NODES;
}

/* Whether what the node says of a line is more than a promise: somebody began it. */
static bool is_begun(const struct managed_said *s)
{
    return s->record == MANAGED_DATA || (s->record == MANAGED_KNOWS && s->founder[0] == 0);
}

/* The latest of the lines that somebody who is heard says was begun; MANAGED_NODES: there is none.
 * *another: one of a different id, if there is one. With `own` only lines of its id count as the
 * latest, all others are another's. */
static uint32_t latest(const struct managed_facts *f, const struct managed_line *own,
                       uint32_t *another)
{
    uint32_t best = MANAGED_NODES;
    *another = MANAGED_NODES;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_said *s = &f->nodes[i].said;
        if (!f->nodes[i].heard || !is_begun(s))
            continue;
        const struct managed_line *like = own           ? own
                                          : best < f->n ? &f->nodes[best].said.line
                                                        : &s->line;
        if (!managed_same_id(&s->line, like))
            *another = i;
        else if (best == MANAGED_NODES || managed_order(&s->line, &f->nodes[best].said.line) > 0)
            best = i;
    }
    return best;
}

/* --- never --- */

static struct managed_step with_line(enum managed_do act, uint32_t node,
                                     const struct managed_line *line)
{
    struct managed_step s = managed_step(act, node);
    s.line = *line;
    return s;
}

/* Round one: whether all may be asked to write the id down. A record that was promised to somebody
 * blocks like any other. */
static struct managed_step may_intend(const struct managed_facts *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_node *n = &f->nodes[i];
        if (n->heard && n->said.record != MANAGED_NEVER)
            return managed_rest(MANAGED_KNOWN, i);
        if (n->heard && strcmp(n->said.expects, f->founder) != 0)
            return managed_rest(MANAGED_FILES, i);
        if (!n->heard)
            return managed_rest(MANAGED_UNHEARD, i);
    }
    return managed_step(MANAGED_INTEND, f->self);
}

/* It knows nothing: it learns, promises, or founds. */
static struct managed_step never(const struct managed_facts *f)
{
    uint32_t another, best = latest(f, NULL, &another), founder = find(f, f->founder);
    if (best < f->n && another < f->n)
        return managed_rest(MANAGED_TWO, another);
    if (best < f->n)
        return with_line(MANAGED_LEARN, best, &f->nodes[best].said.line);
    if (founder == f->self)
        return may_intend(f);
    if (founder < f->n && f->nodes[founder].heard) {
        const struct managed_said *s = &f->nodes[founder].said;
        if (s->record == MANAGED_KNOWS && strcmp(s->founder, f->founder) == 0)
            return with_line(MANAGED_PROMISE, founder, &s->line);
    }
    return managed_rest(MANAGED_FOUNDER, founder);
}

/* --- a promise --- */

/* Round two: whether all have written it down. */
static struct managed_step may_found(const struct managed_facts *f)
{
    const struct managed_line *line = &managed_own(f)->line;
    if (strcmp(f->founder, managed_own(f)->founder) != 0)
        return managed_step(MANAGED_FORGET, f->self);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_node *n = &f->nodes[i];
        bool has =
            n->heard && n->said.record == MANAGED_KNOWS && managed_same_id(&n->said.line, line);
        if (!has)
            return managed_rest(n->heard ? MANAGED_UNPROMISED : MANAGED_UNHEARD, i);
    }
    return with_line(MANAGED_FOUND, f->self, line);
}

/* It promised a line that was not begun as far as it knows. */
static struct managed_step promised(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    uint32_t another, best = latest(f, &own->line, &another), founder = find(f, own->founder);
    if (best < f->n)
        return with_line(MANAGED_LEARN, best, &f->nodes[best].said.line);
    if (founder == f->self)
        return another < f->n ? managed_step(MANAGED_FORGET, f->self) : may_found(f);
    if (founder < f->n && f->nodes[founder].heard) {
        const struct managed_said *s = &f->nodes[founder].said;
        if (s->record != MANAGED_KNOWS || !managed_same_id(&s->line, &own->line))
            return managed_step(MANAGED_FORGET, founder); /* it gave up, or lost its disk */
        return managed_rest(MANAGED_FOUNDER, founder);
    }
    return another < f->n ? managed_rest(MANAGED_TWO, another)
                          : managed_rest(MANAGED_FOUNDER, founder);
}

/* --- a coordinator exists --- */

static bool is_listed(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    return managed_same_id(&f->listed, &own->line) && managed_order(&f->listed, &own->line) == 0;
}

static const struct managed_member *place_for(const struct managed_facts *f)
{
    for (uint32_t i = 0; is_listed(f) && i < f->n_members; i++) {
        const struct managed_member *m = &f->members[i];
        if (m->node == f->self && m->learner && m->place && m->place == managed_own(f)->place)
            return m;
    }
    return NULL;
}

/* It has no data of it. */
static struct managed_step outside(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    uint32_t another, best = latest(f, &own->line, &another);
    const struct managed_member *m = place_for(f);
    if (best < f->n && managed_order(&f->nodes[best].said.line, &own->line) > 0)
        return with_line(MANAGED_LEARN, best, &f->nodes[best].said.line);
    if (!managed_votes(f, f->self))
        return managed_rest(another < f->n ? MANAGED_TWO : MANAGED_WELL, another);
    if (!m)
        return managed_rest(another < f->n ? MANAGED_TWO : MANAGED_PLACE, another);
    struct managed_step s = with_line(MANAGED_JOIN, f->self, &own->line);
    s.member = m->id;
    return s;
}

/* The list is the latest, and this node's member is not in it, nor under its leader. */
static bool was_removed(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    if (!is_listed(f) || own->member == 0 || (f->etcd == MANAGED_RUNS && own->leader != 0))
        return false;
    for (uint32_t i = 0; i < f->n_members; i++)
        if (f->members[i].id == own->member)
            return false;
    return f->n_members > 0;
}

static struct managed_step inside(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    uint32_t another, best = latest(f, &own->line, &another);
    if (best < f->n && managed_order(&f->nodes[best].said.line, &own->line) > 0)
        return with_line(MANAGED_LEAVE, best, &f->nodes[best].said.line);
    if (f->bare &&
        f->etcd == MANAGED_OFF) /* what it acknowledged is forgotten: never that id again */
        return with_line(MANAGED_LEARN, f->self, &own->line);
    if (was_removed(f))
        return with_line(MANAGED_LEAVE, f->self, &own->line);
    if (f->etcd == MANAGED_OFF)
        return with_line(MANAGED_START, f->self, &own->line);
    struct managed_step again = managed_restart(f);
    if (again.act != MANAGED_REST)
        return again;
    struct managed_step s =
        own->member && own->leader == own->member && is_listed(f)
            ? managed_lead(f)
            : managed_rest(own->leader ? MANAGED_WELL : MANAGED_NO_QUORUM, MANAGED_NODES);
    if (s.act == MANAGED_REST && another < f->n)
        return managed_rest(MANAGED_TWO, another);
    return s;
}

struct managed_step managed_next(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    CHECK(f->self < f->n && f->n <= MANAGED_NODES && f->nodes[f->self].heard);
    CHECK(own->record < MANAGED_RECORDS);
    switch ((enum managed_record)own->record) {
    case MANAGED_NEVER: return never(f);
    case MANAGED_KNOWS: return is_begun(own) ? outside(f) : promised(f);
    case MANAGED_DATA: return inside(f);
    case MANAGED_RECORDS: break;
    }
    UNREACHABLE();
}
