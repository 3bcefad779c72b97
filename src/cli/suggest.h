/* suggest: which known word was probably meant by a misspelt one. Pure. */
#ifndef HF_CLI_SUGGEST_H
#define HF_CLI_SUGGEST_H

#include "base/base.h"

/* Feed candidates one after the other; the closest one is kept. */
struct suggestion {
    struct str word;
    const char *best; /* NULL: nothing is close */
    unsigned distance;
};

struct suggestion suggest_for(struct str word);
void suggest_try(struct suggestion *s, const char *candidate);

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b (Damerau 1964,
 * the optimal string alignment form). Words above 31 bytes are far from everything: UINT_MAX. */
unsigned suggest_distance(struct str a, struct str b);

#endif
