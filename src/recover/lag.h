/* lag: how old the data of a replica is. Pure.
 *
 * Redis knows how many bytes a replica lacks, not since when. So whoever hears of the primary's
 * offset remembers when it had which: a replica that is at some offset has what the primary had
 * when it was last there. Marks grow thinner with their age, each about a tenth of it: LAG_MARKS of
 * them reach back for days, and an age is told as at most so much too large. It is never told too
 * small, but for the time that the word of the replica's own place was under way. */
#ifndef HF_RECOVER_LAG_H
#define HF_RECOVER_LAG_H

#include "base/base.h"

enum { LAG_MARKS = 96 };
struct lag {
    uint32_t n;
    struct lag_mark {
        uint64_t position, at; /* the primary had no more than that until then, ns */
    } marks[LAG_MARKS];        /* both rise */
};

/* The primary has this much now. A smaller one than before: it is another's, and takes its place.
 */
void lag_saw(struct lag *l, uint64_t position, uint64_t now);
/* For how long, ns, the primary has had more than that, or nothing was heard of it; 0: it has no
 * more. False: it was never heard of. */
bool lag_of(const struct lag *l, uint64_t position, uint64_t now, uint64_t *out);
/* The latest position of the primary; 0. */
uint64_t lag_top(const struct lag *l);

#endif
