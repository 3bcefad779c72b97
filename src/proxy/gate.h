/* gate: may bytes go to the instance here, and if not, where are they to go? Pure: what the cells
 * say and the time in, an answer out. docs/gate.md has the whole. */
#ifndef HF_PROXY_GATE_H
#define HF_PROXY_GATE_H

#include "base/base.h"
#include "view/cells.h"

/* A look at a role's cells. Each is true on its own; whether bytes may go is asked anew, of the
 * cells themselves, before each time that some do (gate_open). */
struct gate_state {
    uint64_t until; /* the lease's end; 0: the gate is shut */
    uint64_t hold;  /* writers wait until then; 0: they do not */
    uint64_t epoch; /* of the record */
    int primary;    /* place, or -1 */
    uint32_t sync;  /* acknowledgements that a reply needs */
    uint16_t insync;
};

enum gate_way {
    GATE_HERE,  /* to the instance at this node */
    GATE_THERE, /* to the node of gate.primary */
    GATE_WAIT   /* nobody takes writes now */
};

enum { GATE_PLACES = 16 };

static inline bool gate_open(const struct role_row *r, uint64_t now)
{
    uint64_t gate = cell_get(&r->gate);
    return gate != 0 && gate == cell_get(&r->lease_epoch) && now < cell_get(&r->lease_until);
}
/* n_on: how many places there are; what does not lie among them counts as nobody. */
struct gate_state gate_look(const struct role_row *r, uint32_t n_on, uint64_t now);
/* self: this node's place, or -1. A connection that another node passed on is never passed on again
 * (hop). */
enum gate_way gate_way(const struct gate_state *g, int self, bool hop);
/* New commands are to stay where they are. */
static inline bool gate_holds(const struct gate_state *g, uint64_t now)
{
    return g->hold > now;
}

/* --- the mark between nodes --- */

/* What a node says at the end of the replies on a connection that was passed on to it, where it
 * took no command that it did not answer: the one that passed it on sends the others elsewhere. No
 * value of RESP begins with its first byte. */
enum { GATE_MARK = 8 };
extern const char gate_mark[GATE_MARK];

#endif
