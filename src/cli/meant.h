/* meant: which known word was probably meant by a misspelt one. Pure. */
#ifndef HF_CLI_MEANT_H
#define HF_CLI_MEANT_H

#include "base/base.h"

/* Feed candidates one after the other; the closest one is kept. */
struct meant {
    struct str word;
    const char *best; /* NULL: nothing is close */
    unsigned distance;
};

struct meant meant_for(struct str word);
void meant_try(struct meant *s, const char *candidate);

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b (Damerau 1964,
 * the optimal string alignment form). Words above 31 bytes are far from everything: UINT_MAX. */
unsigned meant_distance(struct str a, struct str b);

#endif
