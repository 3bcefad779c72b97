/* run: one seed from beginning to end. */
#ifndef HF_SIM_RUN_H
#define HF_SIM_RUN_H

#include "invariants.h"

#include <stdio.h>

/* What is the same for all seeds. */
struct plan {
    uint32_t nodes;  /* 0: the seed decides */
    uint64_t length; /* ns */
    bool plain, wan;
    bool primary;                  /* there is a service of kind primary */
    uint32_t rate;                 /* bound of its clocks' errors, millionths */
    bool rotate;                   /* the cluster's key changes meanwhile */
    bool wan_drawn;                /* one seed in eight is on a wide area */
    const struct jitter *jitter;   /* given */
    const struct jitter *invented; /* one seed in four has it, where none is given */
    const struct faults *faults;   /* NULL: drawn */
    FILE *trace;
    bool datagrams;
};
/* What the seed made of it. */
struct outcome {
    uint64_t seed;
    uint32_t nodes, faults;
    bool probing; /* SWIM rather than all pairs */
    bool wan, late;
    enum invariant broken;
    uint64_t broken_at, events, packets, digest;
    char text[512];
};

void run_faults(const struct plan *p, uint64_t seed, struct faults *out); /* what it draws */
uint32_t run_nodes(const struct plan *p, uint64_t seed);
void run_seed(const struct plan *p, uint64_t seed, struct outcome *out);

#endif
