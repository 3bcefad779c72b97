/* lease: who may act as the primary of a service, and until when. The pure core of
 * docs/protocol/lease.md, which has the argument why two never may at once (I1).
 *
 * Two machines that know nothing of each other but messages:
 *
 *   struct lease_voter   promises: per role, to whom, until when, and the highest epoch seen
 *   struct lease_holder  one role at this node: rounds sent, acknowledgements counted, a deadline
 *
 *            want                majority               confirm
 *     IDLE --------> ACQUIRING -----------> GATE --------------------> HELD
 *      ^  <-----------  |   ^ \               |  <-- higher epoch --     |
 *      |     2.5 L      |   |  \              |      (raise, renew)      |
 *      |                |   +---+-------------+---- deadline passed -----+
 *      +--- drop -------+------------------------------------------------+
 *
 * GATE: the lease is held and nothing may be done with it yet: the owner reads the coordinator and
 * calls lease_confirm with the number that lease_gate gave it; an answer to a read that was sent
 * before the lease was acquired is not taken. HELD: the owner may act until lease_deadline.
 *
 * Neither asks a clock: `now` is CLOCK_BOOTTIME in ns, and must not fall. Messages out are the
 * caller's to send at once; the holder's round counts from the `now` of the call that wrote it. No
 * allocation; memory is the caller's. Roles are numbers (the hash of a service's name). */
#ifndef HF_RECOVER_LEASE_H
#define HF_RECOVER_LEASE_H

#include "base/base.h"
#include "wire/lease.h"

enum {
    LEASE_VOTERS_MAX = 5,
    LEASE_ROLES_MAX = 256, /* that a voter keeps promises for */
    LEASE_ROUNDS = 16,     /* rounds of a holder whose acknowledgements still count */
};

/* ns; the same on all nodes of a cluster. */
struct lease_params {
    uint64_t lease;  /* L */
    uint64_t demote; /* D */
    uint64_t beat;   /* between rounds; L / 4 at most */
    uint32_t rho;    /* bound on a clock's rate error, millionths; below 200,000 */
};
/* P, the shortest promise that is long enough. */
uint64_t lease_promise(const struct lease_params *p);
/* ERR_INVAL with the reason. */
int lease_params_check(const struct lease_params *p, struct err *e);
/* What all nodes must have alike. */
struct lease_terms lease_params_terms(const struct lease_params *p);

/* --- the voter --- */

struct lease_promised {
    bool used;
    uint64_t role, holder, incarnation;
    uint64_t seen;     /* epoch */
    uint64_t until;    /* ns; not above now: nobody has it */
    uint64_t round;    /* acknowledged last, of holder and incarnation */
    uint64_t released; /* rounds up to here are void, of holder and incarnation */
};
struct lease_voter {
    struct lease_params params;
    uint64_t quiet_until;
    uint64_t voters; /* version of the set that it has adopted; 0: it is no voter */
    struct lease_promised promised[LEASE_ROLES_MAX];
};
/* It has just started, or started again: all that it promised before is forgotten. */
void lease_voter_init(struct lease_voter *v, const struct lease_params *p, uint64_t now);
/* The set of voters that this node has adopted; versions only rise. member: it is one of them. */
void lease_voter_set(struct lease_voter *v, uint64_t version, bool member);
/* Other terms: promises that are out last as long as they were to, at least. */
void lease_voter_params(struct lease_voter *v, const struct lease_params *p);
/* NULL: it knows nothing of the role. */
const struct lease_promised *lease_voter_find(const struct lease_voter *v, uint64_t role);
/* What came from the node `from` (authenticated: the mesh says who it is). True: *answer is to be
 * sent back to it. */
bool lease_voter_receive(struct lease_voter *v, uint64_t from, const struct lease_message *m,
                         uint64_t now, struct lease_message *answer);

/* --- the holder --- */

enum lease_state { LEASE_IDLE, LEASE_ACQUIRING, LEASE_GATE, LEASE_HELD, LEASE_STATES };
const char *lease_state_name(enum lease_state s);

struct lease_round {
    uint64_t round; /* 0: none */
    uint64_t sent;  /* ns */
    uint32_t acks;  /* bits, by voter */
};
struct lease_holder {
    struct lease_params params;
    uint64_t role, incarnation;
    enum lease_state state;
    uint64_t epoch;
    uint64_t deadline; /* GATE, HELD: a majority's acknowledgement lasts so long */
    uint64_t outgoing; /* it acted on a lower epoch, and may until then; 0: no more */
    uint64_t give_up;  /* ACQUIRING: so long */
    uint64_t next;     /* the next round is due */
    uint64_t round;    /* sent last */
    uint64_t gate;     /* number of the gate: rises with each GATE that is entered */
    uint64_t seen;     /* the highest epoch that anybody spoke of */
    uint64_t version;  /* of the set of voters; 0: none is known */
    uint32_t n_voters;
    uint64_t voters[LEASE_VOTERS_MAX];
    struct lease_round rounds[LEASE_ROUNDS];
};
/* What a call has led to. Several may be true at once. */
enum lease_effect {
    LEASE_SEND = 1,     /* *out to every voter, this node included, now */
    LEASE_ENTERED = 2,  /* GATE: read the coordinator, then lease_confirm */
    LEASE_LAPSED = 4,   /* nothing may be done any more; it was HELD or at the GATE */
    LEASE_GAVE_UP = 8,  /* it was ACQUIRING for too long */
    LEASE_OUTDATED = 16 /* there is a higher epoch than ours (`seen`): raise it, or drop */
};

/* incarnation: another at each start of this node. */
void lease_holder_init(struct lease_holder *h, const struct lease_params *p, uint64_t role,
                       uint64_t incarnation);
/* It goes on with what a holder of the same role at this node left behind that is no more: its
 * incarnation, and a number that none of its rounds was above. deadline: until then it HELD the
 * epoch; 0: it did not. Of its rounds none counts any more. */
void lease_holder_resume(struct lease_holder *h, uint64_t incarnation, uint64_t round,
                         uint64_t epoch, uint64_t deadline, uint64_t now);
/* Other terms: acknowledgements under the old ones count no more; a demotion that may take longer
 * begins that much sooner. */
void lease_holder_params(struct lease_holder *h, const struct lease_params *p);
/* Another set: acknowledgements under the old one count no more; the deadline stays. */
void lease_holder_voters(struct lease_holder *h, uint64_t version, const uint64_t *voters,
                         uint32_t n);
/* The coordinator names this node for the epoch: get the lease. Of a holder that HOLDS: renew under
 * this higher epoch, and go through the gate again, acting on the old one until its deadline.
 * Returns effects. An epoch that is not above what has been seen is refused: LEASE_OUTDATED. */
unsigned lease_want(struct lease_holder *h, uint64_t epoch, uint64_t now,
                    struct lease_message *out);
/* Time has passed; call at lease_next at the latest. */
unsigned lease_tick(struct lease_holder *h, uint64_t now, struct lease_message *out);
/* The next round leaves at this time at the latest: so roles may share datagrams. */
void lease_sooner(struct lease_holder *h, uint64_t at);
/* An answer of the voter `from`. */
unsigned lease_receive(struct lease_holder *h, uint64_t from, const struct lease_message *m,
                       uint64_t now);
/* A read that was sent while the gate was open with this number found the epoch. True: HELD. False:
 * it came too late, or the epoch is another's; then drop it. */
bool lease_confirm(struct lease_holder *h, uint64_t gate, uint64_t epoch, uint64_t now);
/* It has stopped acting, and gives the role up. True: *out to all voters, so that others need not
 * wait. */
bool lease_drop(struct lease_holder *h, uint64_t now, struct lease_message *out);

/* Until when the owner may act: 0 unless HELD, or renewing under a higher epoch and still acting.
 */
uint64_t lease_deadline(const struct lease_holder *h, uint64_t now);
uint64_t lease_next(const struct lease_holder *h); /* UINT64_MAX: nothing is due */
/* Somebody has a higher epoch: this one is renewed no more. */
bool lease_outdated(const struct lease_holder *h);

#endif
