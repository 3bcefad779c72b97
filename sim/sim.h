/* sim: what all of the simulator uses: units of virtual time, and the end of a run that cannot go
 * on. The simulator is a tool: when memory is out it says so and ends; only the daemon's code is
 * held to handle that. */
#ifndef HF_SIM_H
#define HF_SIM_H

#include "base/base.h"

#define US    UINT64_C(1000) /* ns */
#define MS    (1000 * US)
#define SEC   (1000 * MS)
#define HOUR  (3600 * SEC)
#define NEVER UINT64_MAX

_Noreturn void sim_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *sim_zero(size_t count, size_t size); /* never NULL; mem_free */
void *sim_resize(void *p, size_t size);
struct str sim_text(const struct buf *b); /* dies when the buffer has failed */

/* What the daemon's objects have allocated through base/mem.h between sim_enter and sim_leave: the
 * linker puts counters before it. */
struct sim_heap {
    int64_t blocks, bytes;
};
void sim_enter(struct sim_heap *h);
struct sim_heap *sim_leave(void); /* who was charged: a callback enters it again */

#endif
