/* At which level of timers members run, and whose turn it is to start again. */
#include "coord/managed_inside.h"

enum { MUCH_SLOWER = 2 /* levels: four times */ };

static bool is_of_own_line(const struct managed_facts *f, const struct managed_said *s)
{
    const struct managed_line *own = &managed_own(f)->line;
    return s->record == MANAGED_DATA && managed_same_id(&s->line, own) &&
           managed_order(&s->line, own) == 0;
}

/* What the node says whose member leads, as this node's member knows; NULL: nobody is heard. */
static const struct managed_said *leader(const struct managed_facts *f)
{
    uint64_t id = managed_own(f)->leader;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_said *s = &f->nodes[i].said;
        bool may = f->nodes[i].heard && is_of_own_line(f, s) && s->member && s->leader == s->member;
        if (may && (id == 0 || id == s->member))
            return s;
    }
    return NULL;
}

static bool are_well(const struct managed_facts *f)
{
    for (uint32_t i = 0; i < f->n_members; i++)
        if (!managed_healthy(f, &f->members[i]))
            return false;
    return f->n_members > 0;
}

/* As the leader sees it: up at once, down a level at a time and only when nobody is missing, who
 * might be the one that asked for more. */
static uint32_t lead_pace(const struct managed_facts *f)
{
    uint32_t asked = 0, runs = 0;
    for (uint32_t i = 0; i < f->n_members; i++) {
        uint32_t node = f->members[i].node;
        if (node >= f->n || !f->nodes[node].heard)
            continue;
        asked = MAX(asked, (uint32_t)f->nodes[node].said.disk);
        runs = MAX(runs, (uint32_t)f->nodes[node].said.timers);
    }
    if (asked >= runs)
        return asked;
    return are_well(f) ? runs - 1 : runs;
}

uint32_t managed_pace(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f), *lead = leader(f);
    uint32_t level = own->disk;
    if (lead == own)
        return lead_pace(f);
    if (lead)
        return MAX(level, (uint32_t)lead->pace);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct managed_said *s = &f->nodes[i].said;
        if (f->nodes[i].heard && is_of_own_line(f, s))
            level = MAX(level, (uint32_t)MAX(s->disk, s->timers));
    }
    return level;
}

static struct managed_step to_level(enum managed_do act, uint32_t node, uint64_t member,
                                    uint32_t level)
{
    struct managed_step s = managed_step(act, node);
    s.member = member;
    s.level = level;
    return s;
}

struct managed_step managed_restart(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f), *lead = leader(f);
    uint32_t level = managed_pace(f);
    bool turn = own->leader && lead && lead != own && lead->turn == own->member;
    if (own->member && turn && level != own->timers && are_well(f))
        return to_level(MANAGED_RESTART, f->self, own->member, level);
    if (f->leaderless && own->leader == 0 && level > own->timers)
        return to_level(MANAGED_RESTART, f->self, own->member, level);
    return managed_rest(MANAGED_WELL, MANAGED_NODES);
}

/* A full member on a disk so much better that every change would profit. When all disks become slow
 * at once, as where they are one, each is known to be a little later than the other: no haste. */
static const struct managed_member *better(const struct managed_facts *f)
{
    const struct managed_member *best = NULL;
    uint32_t bound = managed_own(f)->disk;
    for (uint32_t i = 0; i < f->n_members && f->disk_steady; i++) {
        const struct managed_member *m = &f->members[i];
        if (m->learner || !managed_healthy(f, m))
            continue;
        uint32_t disk = f->nodes[m->node].said.disk;
        if (disk + MUCH_SLOWER <= managed_own(f)->disk && (!best || disk < bound)) {
            best = m;
            bound = disk;
        }
    }
    return best;
}

struct managed_step managed_turn(const struct managed_facts *f)
{
    const struct managed_said *own = managed_own(f);
    const struct managed_member *m = better(f);
    uint32_t level = lead_pace(f);
    if (m)
        return to_level(MANAGED_HAND_OVER, m->node, m->id, level);
    for (uint32_t i = 0; i < f->n_members && are_well(f); i++) {
        m = &f->members[i];
        if (m->id != own->member && f->nodes[m->node].said.timers != level)
            return to_level(MANAGED_TURN, m->node, m->id, level);
    }
    if (are_well(f) && own->timers != level)
        return to_level(MANAGED_RESTART, f->self, own->member, level);
    return managed_rest(MANAGED_WELL, MANAGED_NODES);
}
