/* records: what a name stands for: a set of addresses, or of targets. Inside this room only. */
#ifndef HF_DISCOVER_RECORDS_H
#define HF_DISCOVER_RECORDS_H

#include "discover/merge.h"

enum { RECORD_TARGET_MAX = 256, RECORDS_MAX = POOL_MAX };

struct record {
    struct addr addr; /* of a host; its port counts for nothing. Of a target: the port alone */
    char target[RECORD_TARGET_MAX]; /* a host's name with a dot at its end; empty: an address */
    uint16_t priority, weight;
};

struct records {
    struct record *list; /* owned; in an order of their own, none twice */
    uint32_t n, cap;
};

/* False: memory is out, or there are RECORDS_MAX. One that is there already is not added. */
bool records_add(struct records *r, const struct record *one);
bool records_same(const struct records *a, const struct records *b);
/* Adds all of b to a. */
bool records_join(struct records *a, const struct records *b);
void records_free(struct records *r);

/* Of a set of targets: the group (RFC 2782: the lowest priority is tried first) and the weight (a
 * share within the group) that we give to what a target stands for. Groups are numbered from 0;
 * where a priority group of ours has no more numbers, the last is shared. Weights above ours are
 * scaled; 0, which means a little among others, is 1; where all are 0, all are alike. */
void records_place(const struct records *r, uint32_t index, uint32_t *group, uint32_t *weight);

#endif
