/* reads: which replicas readers may go to, and which of them next. Pure: what the cells say and the
 * time in, an answer out. docs/gate.md, "Readers", has the whole.
 *
 * Control says how far behind each replica is, and when it said so. While it says nothing (it
 * hangs, or is being replaced) the last word holds; from READS_LATE on its age counts as lag, since
 * nobody knows better. */
#ifndef HF_PROXY_READS_H
#define HF_PROXY_READS_H

#include "os/os.h"
#include "proxy/gate.h"

#define READS_LATE    (1 * NS_PER_S)  /* control says it again within this */
#define READS_UNKNOWN (10 * NS_PER_S) /* where only bytes are bounded: known before is not known   \
                                       */

#define READS_STEP (NS_PER_S / 2) /* less of lag than that is noise */

struct reads_bounds {
    uint64_t bytes, time; /* 0: none */
};
struct reads {
    uint16_t fit;              /* places, bits */
    uint64_t lag[GATE_PLACES]; /* ns, of those */
};

/* was: what was fit at the look before. One that fell out comes back when it is within half of the
 * bounds, so that none comes and goes all the time. */
struct reads reads_look(const struct role_row *r, uint32_t n_on, const struct reads_bounds *b,
                        uint16_t was, uint64_t now);
/* The place for one more, where `load` are there already: the fewest, a second of lag weighing as
 * much as all that are there. Equal ones are taken by the draw. -1: there is none. */
int reads_pick(const struct reads *s, const uint32_t load[GATE_PLACES], uint32_t draw);

#endif
