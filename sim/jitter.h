/* jitter: how late a process runs after it should have. From a recording (one delay in
 * microseconds a line; docs/simulator.md tells how it is made), or from a long-tailed distribution
 * that stands for one.
 *
 * A recording is replayed in stretches: neighbours stay neighbours, for a busy moment makes many
 * wake-ups late. */
#ifndef HF_SIM_JITTER_H
#define HF_SIM_JITTER_H

#include "sim.h"

struct jitter {
    uint32_t *us;
    size_t n;
    uint32_t worst;
};
/* Where one node is in the recording. */
struct jitter_at {
    size_t next;
    uint32_t left; /* of this stretch */
};

int jitter_read(struct jitter *out, const char *path, struct err *e);
void jitter_invent(struct jitter *out); /* the same each time */
void jitter_free(struct jitter *j);
uint64_t jitter_next(const struct jitter *j, struct jitter_at *at, struct prng *r); /* ns */

#endif
