/* jobs: the same work in several processes, one a core. Each writes records of one size, which
 * arrive in any order but whole. */
#ifndef HF_SIM_JOBS_H
#define HF_SIM_JOBS_H

#include "sim.h"

struct job {
    uint32_t index, count;
    int fd;
};
void job_write(const struct job *j, const void *record, size_t size);
/* more: false ends all of them. Returns false when one died; *died, when not NULL, is then how many
 * pieces of work came before the one that killed it, if all take turns. */
bool jobs_run(uint32_t count, size_t record_size, void (*work)(void *context, const struct job *j),
              bool (*more)(void *context, const void *record), void *context, uint64_t *died);

#endif
