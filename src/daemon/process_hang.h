/* process_hang: tells a process that hangs from one that idles. Pure.
 *
 * Every loop raises its beat (cells.h) at least once a second. The supervisor looks once per tick
 * of its own; a beat that stands still for too many of its ticks is a hang. Counting own ticks
 * instead of time means that a machine that was suspended, or a supervisor that was stopped, blames
 * nobody.
 */
#ifndef HF_PROCESS_HANG_H
#define HF_PROCESS_HANG_H

#include <stdbool.h>
#include <stdint.h>

struct hang {
    uint64_t beat;  /* as last seen */
    uint32_t still; /* ticks since it changed */
    bool alive;     /* it changed since the process started */
};

/* A new process starts; beat is what its predecessor left in the cell. */
void hang_start(struct hang *h, uint64_t beat);
/* One tick: true when the beat stood still for `most` ticks. A process that has not beaten yet is
 * given `first` ticks to begin; 0 is for ever. */
bool hang_tick(struct hang *h, uint64_t beat, uint32_t most, uint32_t first);

#endif
