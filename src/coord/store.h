/* store: the coordinator's map in memory. What coord.h promises, as code.
 *
 * Pure: no clock, no loop, no disk. The model of the tests and the simulator run on it, and the
 * contract suite compares the engines with it.
 *
 * The map has one revision. A cas that changes something raises it by one and leaves it on each key
 * that it changed; one that changes nothing (it only compares, or removes what is not there)
 * happens at the revision that is. The history of changes is kept since `compacted`, so that a
 * watch can ask for all changes after a revision that it has seen.
 *
 * One version of one key is a struct store_version, shared by reference between the map, its
 * history, copies of the map, and the lists that were read: what is in a list stays there whatever
 * happens to the map. References are counted without atomics: one thread.
 *
 * Everything is bounded by who writes: the store itself keeps what it is given until store_compact.
 * Every function that allocates leaves all as it was when memory is out. */
#ifndef HF_COORD_STORE_H
#define HF_COORD_STORE_H

#include "coord/coord.h"

enum { STORE_FIRST = 1 }; /* the revision of an empty map; no key ever has it */

struct store_version; /* store.c */

struct store_row {
    struct store_version **v;
    size_t n, cap;
};

struct store {
    uint64_t revision;        /* of the last change */
    uint64_t compacted;       /* changes up to this one are forgotten */
    struct store_row items;   /* what is there, by key */
    struct store_row changes; /* after `compacted`, in order; within a revision as in the cas */
};

/* What was read: items[i] stays valid until store_list_free. Zeroed is empty. */
struct store_list {
    struct coord_item *items;
    uint32_t n;
    uint64_t revision; /* as of which it was read */
    struct store_version **held;
};

void store_init(struct store *s);
void store_free(struct store *s);
/* `to` is not initialised before; it holds the same and goes its own way. ERR_NOMEM. */
int store_copy(struct store *to, const struct store *from, struct err *e);
/* The revision rises to this one without a change, and history before it is forgotten: what a
 * restore from a backup does. It never falls. */
void store_raise(struct store *s, uint64_t revision);

/* Compares and changes: all of it or nothing. *outcome is COORD_DONE (s->revision is its revision)
 * or COORD_CONFLICT. ERR_NOMEM: nothing happened. The operations have passed coord_check_ops. */
int store_cas(struct store *s, const struct coord_op *ops, uint32_t n, enum coord_outcome *outcome,
              struct err *e);
/* All keys with this prefix, by key. out is overwritten. */
int store_range(const struct store *s, struct str prefix, struct store_list *out, struct err *e);
/* All changes after this revision to keys with this prefix, in order. ERR_ABSENT: the history does
 * not reach back so far (only `store_range` tells what is now). */
int store_since(const struct store *s, struct str prefix, uint64_t after, struct store_list *out,
                struct err *e);
/* Forgets the changes up to and with this revision (at most the current one). */
void store_compact(struct store *s, uint64_t revision);
void store_list_free(struct store_list *l);

/* One key as it is; false when it is not there. Valid until the next change. */
bool store_get(const struct store *s, struct str key, struct coord_item *out);

/* What every engine refuses at once: ERR_INVAL and ERR_LIMIT as in coord.h. */
int coord_check_ops(const struct coord_op *ops, uint32_t n, struct err *e);
int coord_check_prefix(struct str prefix, struct err *e);

#endif
