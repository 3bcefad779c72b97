#include "coord/etcd_space.h"

/* Less is not worth that a member is silent for a moment: without an alarm, and with one. */
#define WORTH       (64 * SPACE_MIB)
#define WORTH_ALARM (1 * SPACE_MIB)

static bool is_voting(const struct space_member *m)
{
    return !m->learner;
}

static uint32_t voting(const struct space_facts *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n += is_voting(&f->members[i]);
    return n;
}

static bool all_healthy(const struct space_facts *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (!f->members[i].healthy)
            return false;
    return true;
}

/* Whether a majority is healthy without this one. */
static bool spares(const struct space_facts *f, const struct space_member *m)
{
    uint32_t healthy = 0;
    for (uint32_t i = 0; i < f->n; i++)
        healthy += is_voting(&f->members[i]) && f->members[i].healthy && &f->members[i] != m;
    return !is_voting(m) || healthy >= voting(f) / 2 + 1;
}

static uint64_t spare(const struct space_member *m)
{
    return m->known && m->bytes > m->used ? m->bytes - m->used : 0;
}

static bool is_worth_it(const struct space_facts *f, const struct space_member *m)
{
    if (m->tried)
        return false;
    return f->no_space ? spare(m) >= WORTH_ALARM : spare(m) >= WORTH && spare(m) > m->bytes / 2;
}

static const struct space_member *own(const struct space_facts *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->members[i].id == f->own)
            return &f->members[i];
    return NULL;
}

static struct space_step step(enum space_do act, const struct space_member *m)
{
    return (struct space_step){act, m ? m->id : 0};
}

/* Another that leads meanwhile: one whose turn it is not, too. */
static struct space_step make_way(const struct space_facts *f, const struct space_member *leader)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct space_member *m = &f->members[i];
        if (m != leader && is_voting(m) && m->healthy && spares(f, leader))
            return step(SPACE_HAND_OVER, m);
    }
    return voting(f) == 1 ? step(SPACE_DEFRAGMENT, leader) : step(SPACE_REST, NULL);
}

static struct space_step defragment(const struct space_facts *f)
{
    const struct space_member *leader = own(f);
    if (!f->no_space && !all_healthy(f))
        return step(SPACE_REST, NULL);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct space_member *m = &f->members[i];
        if (m != leader && m->healthy && is_worth_it(f, m) && spares(f, m))
            return step(SPACE_DEFRAGMENT, m);
    }
    return leader && is_worth_it(f, leader) ? make_way(f, leader) : step(SPACE_REST, NULL);
}

/* With a twentieth to spare, so that it does not come back at once. */
static bool has_room(const struct space_facts *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->members[i].known && f->members[i].bytes > f->quota - f->quota / 20)
            return false;
    return true;
}

static struct space_step end_alarm(const struct space_facts *f)
{
    if (!has_room(f))
        return step(SPACE_FULL, NULL);
    for (uint32_t i = 0; i < f->n && f->whose; i++)
        if (f->members[i].full)
            return step(SPACE_DISARM, &f->members[i]);
    return step(f->whose ? SPACE_REST : SPACE_ASK_ALARMS, NULL);
}

struct space_step space_next(const struct space_facts *f)
{
    const struct space_member *leader = own(f);
    if (!leader || !leader->known || !leader->healthy)
        return step(SPACE_REST, NULL);
    if (!f->compacted && (f->no_space || leader->used > f->quota / 2))
        return step(SPACE_COMPACT, NULL);
    struct space_step s = defragment(f);
    return s.act == SPACE_REST && f->no_space ? end_alarm(f) : s;
}
