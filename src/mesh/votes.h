/* votes: a voter whose promises outlive its process (view/cells.h has their rows). Inside this
 * room; leases.h says why. Pure. */
#ifndef HF_MESH_VOTES_H
#define HF_MESH_VOTES_H

#include "recover/lease.h"
#include "view/cells.h"

struct votes {
    struct lease_voter voter;
    struct votes_head *head; /* NULL: promises are not kept */
    struct vote_row *rows;   /* of voter.promised, in its order */
};
/* quiet: at least until then. */
void votes_init(struct votes *v, const struct lease_params *p, uint64_t quiet, uint64_t now);
/* Once, and before anything was promised. */
void votes_keep(struct votes *v, struct votes_head *head, struct vote_row *rows);
/* lease_voter_receive; what it has promised is kept when this returns. */
bool votes_receive(struct votes *v, uint64_t from, const struct lease_message *m, uint64_t now,
                   struct lease_message *answer);
/* Nothing is promised before. */
void votes_be_quiet(struct votes *v, uint64_t until);

#endif
