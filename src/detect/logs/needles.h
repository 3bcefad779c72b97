/* needles: many texts looked for at once.
 *
 * Each text belongs to one of NEEDLES_OWNERS owners; a line gives the set of owners of which a text
 * may be in it. Four bytes at a time are hashed into a map of bits that nearly always says no;
 * where it says yes the text is compared. The shorter the shortest text, the more places are looked
 * at: every one for 4 bytes, each fourth from 7 on (after S. Wu and U. Manber, "A Fast Algorithm
 * for Multi-Pattern Searching", 1994, with a fixed step in place of shifts). Pure. */
#ifndef HF_DETECT_LOGS_NEEDLES_H
#define HF_DETECT_LOGS_NEEDLES_H

#include "detect/logs/literals.h"

enum { NEEDLES_OWNERS = 256 };

struct owners {
    uint64_t bits[NEEDLES_OWNERS / 64];
};

struct needles;

struct needles *needles_new(void);
void needles_free(struct needles *n);
/* The owner has these texts; with none it is in every set. False: memory is out. Not after
 * needles_ready. */
bool needles_add(struct needles *n, uint32_t owner, const struct literals *l);
bool needles_ready(struct needles *n);
/* False: the set is empty. */
bool needles_find(const struct needles *n, struct str line, struct owners *found);

#endif
