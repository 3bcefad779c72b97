/* process_restart: when a process that died starts again. Pure.
 *
 * The first death is answered at once: whoever waits for the process waits for nothing else. One
 * that dies again before it has lived for a while is not given the whole machine: its next starts
 * wait 100 ms, 200 ms, ... up to 1 s. It is never given up. */
#ifndef HF_PROCESS_RESTART_H
#define HF_PROCESS_RESTART_H

#include <stdint.h>

/* A process that lived for this long counts as one that works. */
#define RESTART_STEADY  UINT64_C(2000000000)
#define RESTART_FIRST   UINT64_C(100000000)
#define RESTART_LONGEST UINT64_C(1000000000)

struct restart {
    uint32_t streak; /* deaths in a row, each soon after its start */
};

/* A process died after living for so many ns: how many ns to wait before it starts again. */
uint64_t restart_delay(struct restart *r, uint64_t lived);

#endif
