/* voters: who should vote, and how the set of voters changes. Pure.
 *
 * Voters grant leases and keep the coordinator's data: at most VOTERS_MAX, and an odd number when
 * nothing is under way. Their set has a version and changes by one node at a time, so that any
 * majority of a set shares a node with any majority of the next. That alone does not keep two
 * leases apart, since a node that left the set may have made a promise that still counts:
 *
 *   - who has seen a version refuses older ones, over restarts too (voters_accept);
 *   - the next change waits until a majority of the set before has adopted this one, and then
 *     for as long as a promise made under the set before may last (voters_patience).
 *
 * Rule 7 of the safety of leases (docs/invariants.md). All is by names of nodes. */
#ifndef HF_COORD_VOTERS_H
#define HF_COORD_VOTERS_H

#include "base/base.h"

enum { VOTERS_MAX = 5, VOTERS_NAME = 64 /* with its NUL */ };

struct voters {
    uint64_t version; /* 0: of no coordinator, just an idea */
    uint32_t n;
    char names[VOTERS_MAX][VOTERS_NAME]; /* sorted, all different */
};
bool voters_has(const struct voters *v, struct str name);
bool voters_same(const struct voters *a, const struct voters *b); /* but for the version */
/* False: it is there, there is no room, or it is no name. */
bool voters_add(struct voters *v, struct str name);
bool voters_remove(struct voters *v, struct str name);
static inline uint32_t voters_majority(const struct voters *v)
{
    return v->n / 2 + 1;
}

/* A node of the file, in its order. */
struct voters_node {
    struct str name, zone; /* zone may be empty: that is one too */
    bool named;            /* by the file's `voters` */
};
/* Those that are named, or as many zones as can be, each with about as many, by the order of the
 * file: five of five nodes and more, three of three or four, else the first. */
void voters_choose(const struct voters_node *nodes, uint32_t n, struct voters *out);

/* The next set on the way to the wanted one, with the next version; false when it is there. The
 * set stays as near to an odd number as it can, and grows before it shrinks while there is room.
 * gone says of whom it would rather be rid (NULL: nobody). */
bool voters_next(const struct voters *now, const struct voters *wanted,
                 bool (*gone)(void *context, struct str name), void *context, struct voters *next);

/* Whether a node that has seen `kept` may take this version. */
static inline bool voters_accept(uint64_t kept, uint64_t offered)
{
    return offered >= kept && offered > 0;
}

/* How long a version has been adopted, as seen from here. Zeroed at the start: whoever begins to
 * look waits the whole time himself, so nobody has to be believed about when. */
struct voters_patience {
    uint64_t version; /* that was adopted by a majority */
    uint64_t since;   /* ns */
};
/* Call it whenever something is known anew, and with each beat. adopted(name): the version that
 * the node has kept, as it says itself. was: the set before, empty for the first. promise: ns,
 * no promise lasts longer by this node's clock. True: the next change may be made now. */
bool voters_ready(struct voters_patience *p, const struct voters *now, const struct voters *was,
                  uint64_t (*adopted)(void *context, struct str name), void *context,
                  uint64_t promise, uint64_t time);

#endif
