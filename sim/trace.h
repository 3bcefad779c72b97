/* trace: what happens in a world, one line each, for people (docs/simulator.md tells how to read
 * it). A watch of a world. */
#ifndef HF_SIM_TRACE_H
#define HF_SIM_TRACE_H

#include "world.h"

#include <stdio.h>

struct trace {
    FILE *out;
    bool datagrams; /* those too */
    bool active[FAULTS_MOST];
    struct watch watch;
};

void trace_watch(struct trace *t, struct world *w, FILE *out, bool datagrams);

#endif
