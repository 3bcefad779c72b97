/* ledger: what must hold of the coordinator and of what the nodes make of it, I40 to I47 of
 * docs/invariants.md. A watch of a world that keeps the whole history itself: every change in its
 * order, every version, who was told what. What it finds is told as the other invariants are. */
#ifndef HF_SIM_LEDGER_H
#define HF_SIM_LEDGER_H

#include "coordinator.h"
#include "invariants.h"

struct ledger_change {
    uint64_t revision, hash;
    char key[VERSION_KEY];
    bool gone;
};
struct ledger_row {
    struct version version; /* number 0: there is none of this number */
    bool headed;            /* it was in force */
};
struct ledger_node {
    struct version force;
    uint64_t seen[WATCHES]; /* 0: nothing in this life */
    uint64_t started;
    uint64_t voted, voted_ever; /* version of the voters: on its disk; the highest that ever was */
};

struct ledger {
    struct world *world;
    struct invariants *v;
    struct watch watch;
    uint64_t healed, head_at;
    struct ledger_row *rows; /* [number] */
    uint64_t n_rows, head;
    struct ledger_change *changes;
    size_t n_changes, cap_changes;
    char (*refused)[VERSION_ID];
    size_t n_refused;
    struct ledger_node *nodes;
    struct voters voters, were; /* in force, and before */
    uint64_t voters_at;         /* since when */
    uint64_t adopted_at; /* since when a majority of those before has had them; 0: they have not */
};

/* Watches w from now on, if it has a coordinator. healed: when the last fault ends. */
struct ledger *ledger_new(struct world *w, struct invariants *v, uint64_t healed);
void ledger_end(struct ledger *l); /* what holds at the end of a run */
void ledger_free(struct ledger *l);

/* ledger_voters.c: what holds of the voters. */
void ledger_voters(struct ledger *l, const struct coord_op *op);
void ledger_kept_voters(struct ledger *l, uint32_t node, uint64_t version);
void ledger_settled_voters(struct ledger *l, uint64_t bound);

#endif
