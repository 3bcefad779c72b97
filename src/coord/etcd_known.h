/* etcd_known: the keys that a watch has told of, each with its revision. Pure.
 *
 * From it follows what is news: a change that comes twice is none, and of a fresh reading of all
 * keys the difference is. Learning never fails: known_ready makes room first, with entries without
 * a revision, which count as not known; and known_tidy ends it, since a key that is removed may be
 * there again later in the same row. */
#ifndef HF_COORD_ETCD_KNOWN_H
#define HF_COORD_ETCD_KNOWN_H

#include "coord/coord.h"

struct known {
    struct map keys; /* to struct known_key */
};

/* Room for all of them. False: no memory. */
bool known_ready(struct known *k, const struct coord_item *items, uint32_t n);
/* Whether this is news; from now on it is none. In a row that known_ready was called for. */
bool known_learn(struct known *k, const struct coord_item *item);
void known_tidy(struct known *k, const struct coord_item *items, uint32_t n);
void known_free(struct known *k);

/* How what was told up to a revision compares with all keys (their values do not matter) as of
 * another one. */
enum known_audit {
    KNOWN_SAME,
    KNOWN_BEHIND, /* there are later changes */
    KNOWN_MISSED, /* a change is among those that should have been told */
    KNOWN_UNSURE, /* no memory */
};
enum known_audit known_audit(const struct known *k, const struct coord_item *all, uint32_t n,
                             uint64_t revision, uint64_t upto);

struct difference {
    struct coord_item *items;
    uint32_t n;
    struct buf names; /* of keys that are gone */
};
/* What is news in all keys as of a revision, and learns it. By key the first time, else by
 * revision; keys that are gone come last, with the revision of the reading. Values are those of
 * `all`. False: no memory, nothing is learnt and nothing is to be freed. */
bool known_compare(struct known *k, const struct coord_item *all, uint32_t n, uint64_t revision,
                   bool first, struct difference *out);
void difference_free(struct difference *d);

#endif
