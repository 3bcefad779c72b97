/* patience: for how long something has given no good answer, in the time in which this process ran
 * itself. A process that was stopped, or did not get the processor, has asked nothing meanwhile and
 * read nothing: what it finds when it goes on says nothing about whom it watches, and its next
 * question is owed the whole time. So each turn counts for no more than one that came on time
 * might. Turns go on at their interval whether anything is answered or not.
 *
 * So does time in which the one that is watched got no processor (starved.h): that is spared, up to
 * a bound, for who is never served serves nobody. Pure. */
#ifndef HF_RECOVER_PATIENCE_H
#define HF_RECOVER_PATIENCE_H

#include "base/base.h"

struct patience {
    uint64_t at;     /* of the latest turn, ns */
    uint64_t bad;    /* ns without a good answer */
    uint64_t spared; /* ns that did not count */
};
static inline void patience_good(struct patience *p, uint64_t now)
{
    *p = (struct patience){.at = now};
}
/* A turn. most: what a turn that came on time, or a little late, may count for; starved: since the
 * turn before; bound: of what is spared. Returns `bad`. */
static inline uint64_t patience_turn(struct patience *p, uint64_t now, uint64_t most,
                                     uint64_t starved, uint64_t bound)
{
    uint64_t turn = MIN(now - p->at, most);
    uint64_t spare = MIN(MIN(turn, starved), bound - MIN(bound, p->spared));
    p->spared += spare;
    p->bad += turn - spare;
    p->at = now;
    return p->bad;
}

#endif
