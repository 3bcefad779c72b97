/* options: the command line of holdfast-sim, which is also the line that replays a run. */
#ifndef HF_SIM_OPTIONS_H
#define HF_SIM_OPTIONS_H

#include "sim.h"

struct options {
    uint64_t seed, seeds;
    bool seed_given;
    uint32_t nodes, jobs, rate;
    double seconds, hours, days;
    const char *faults, *jitter, *replay, *save;
    uint32_t trace; /* 1: what happens; 2: datagrams too */
    bool json, plain, wan, rotate, primary, scale, week, help, no_shrink, first;
};

/* Of argv from 1 on; text stays the caller's. */
int options_parse(struct options *o, int argc, char *const *argv, struct err *e);
/* A line of a file, as a shell would read it: blanks, '...', and # to its end. It is changed in
 * place. *n is 0 when there is nothing on it. */
int options_split(char *line, char **words, int most, int *n, struct err *e);
extern const char options_help[];

#endif
