/* measure: what a cluster costs and how well it judges when nothing is wrong: false failures over
 * days, traffic and detection by size. */
#ifndef HF_SIM_MEASURE_H
#define HF_SIM_MEASURE_H

#include "jitter.h"

struct quiet {
    uint64_t seed, length; /* ns of the whole cluster's time */
    uint32_t nodes, jobs;
    bool wan, json;
    const struct jitter *jitter; /* NULL: none */
    const char *recording;       /* its name */
};
/* Prints; false when a node that ran was declared failed. */
bool measure_quiet(const struct quiet *q);

/* Prints a table for these numbers of nodes. */
void measure_scale(const uint32_t *sizes, uint32_t count, uint64_t seed, bool json);

#endif
