/* managed_inside: what the files of managed.h share. */
#ifndef HF_COORD_MANAGED_INSIDE_H
#define HF_COORD_MANAGED_INSIDE_H

#include "coord/managed.h"

static inline struct managed_step managed_step(enum managed_do act, uint32_t node)
{
    return (struct managed_step){.act = act, .node = node};
}

static inline struct managed_step managed_rest(enum managed_why why, uint32_t node)
{
    return (struct managed_step){.act = MANAGED_REST, .why = why, .node = node};
}

static inline const struct managed_said *managed_own(const struct managed_facts *f)
{
    return &f->nodes[f->self].said;
}

static inline bool managed_votes(const struct managed_facts *f, uint32_t node)
{
    return node < f->n && voters_has(&f->voters, f->nodes[node].name);
}

/* managed_lead.c: this node's member leads. */
struct managed_step managed_lead(const struct managed_facts *f);

/* managed_pace.c: its member runs, and whose turn it is. MANAGED_REST: nobody's. */
struct managed_step managed_restart(const struct managed_facts *f);
struct managed_step managed_turn(const struct managed_facts *f);

#endif
