/* ledger: what must hold of the coordinator and of what the nodes make of it, I40 to I46 of
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
};

/* Watches w from now on, if it has a coordinator. healed: when the last fault ends. */
struct ledger *ledger_new(struct world *w, struct invariants *v, uint64_t healed);
void ledger_end(struct ledger *l); /* what holds at the end of a run */
void ledger_free(struct ledger *l);

#endif
