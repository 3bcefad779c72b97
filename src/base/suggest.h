/* suggest: which known words were probably meant by a misspelt one. Pure; no memory.
 *
 * A distance counts insertions, deletions, replacements and swaps of neighbours (Damerau 1964, in
 * the optimal string alignment form: no substring is edited twice). Another case, and '_' for '-',
 * cost nothing. Near is one mistake, and one more for every three letters above two: farther, and
 * the guess misleads. A beginning of at least two letters counts as one mistake: "stat" means
 * "status". */
#ifndef HF_SUGGEST_H
#define HF_SUGGEST_H

#include "base/str.h"

enum {
    SUGGEST_MAX = 3,
    SUGGEST_LONGEST = 64 /* bytes; longer words are far from everything */
};

/* Offer candidates one after the other; the nearest are kept, nearest first, those equally near in
 * the order of their coming. What they point to stays the caller's. */
struct suggest {
    struct str word;
    struct str name[SUGGEST_MAX];
    unsigned distance[SUGGEST_MAX];
    unsigned n; /* 0: nothing is near */
};

struct suggest suggest_for(struct str word);
void suggest_try(struct suggest *s, struct str candidate);

/* UINT_MAX when one of them is longer than SUGGEST_LONGEST. */
unsigned suggest_distance(struct str a, struct str b);

#endif
