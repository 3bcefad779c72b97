/* role: what one node does next about one service of kind primary. Pure; docs/failover.md has the
 * table of states and the reasons.
 *
 * Level-triggered: the owner gathers facts (membership, record, lease, agent, coordinator), calls
 * role_step, carries out the one order that comes back, and calls again when a fact has changed or
 * the time that role_wake names has come. An order's outcome is a fact of a later step; an order is
 * not given again while it is under way. Nothing here is trusted to be fresh but the lease: whoever
 * acts without it is stopped by its deadline.
 *
 * I1 rests on three orders that are given in these states only: ROLE_ACQUIRE under the epoch of a
 * record that names this node, ROLE_CONFIRM for a read that was sent at that gate, ROLE_PROMOTE
 * while the lease is HELD. Candidates are named by their place in the service's `on`. */
#ifndef HF_RECOVER_ROLE_H
#define HF_RECOVER_ROLE_H

#include "base/base.h"
#include "recover/lease.h"

enum { ROLE_NODES = 16, ROLE_NOBODY = 0xff, ROLE_ANYBODY = 0xfe /* wanted: the best */ };

struct role_params {
    uint64_t lease, beat;    /* ns, as the lease's */
    uint64_t yield_patience; /* a target may take so long until it has everything */
    uint64_t agent_patience; /* an order to the agent may take so long */
    uint64_t retry;          /* after what failed: at least so long, and up to twice that */
    uint64_t idle_patience;  /* who is recorded and does not act for so long is lost */
    uint64_t slack;          /* a target that is so far behind is let catch up first */
    uint64_t brief;          /* writers wait no longer for the coordinator's answer to a giver */
};

enum role_instance { INSTANCE_UNKNOWN, INSTANCE_DOWN, INSTANCE_REPLICA, INSTANCE_PRIMARY };

/* A candidate, as this node knows it. */
struct role_node {
    bool failed; /* agreed by membership, or it has left */
    bool alive;
    bool maintenance;
    uint8_t instance;  /* enum role_instance */
    bool well;         /* its instance answers as it should */
    bool far;          /* the primary is lost, and this one was too far behind it */
    uint64_t data;     /* epoch of the history that its data is a prefix of; 0: it does not know */
    uint64_t position; /* replication offset; comparable among those of one history */
    uint64_t acts;     /* under this epoch, as it says; 0: it does not */
    bool taking;       /* not at rest: it may be about to act */
    uint32_t load;
    int32_t preference; /* higher is better */
};

struct role_record {
    bool known;
    uint64_t revision; /* in the coordinator; 0: there is none yet */
    uint64_t epoch;
    uint8_t primary, wanted; /* ROLE_NOBODY */
    uint64_t holder;         /* incarnation of the primary's process; 0: whichever */
    uint16_t insync;         /* bits */
    uint16_t without;        /* were in sync just before: they may have what S is not known to */
    uint8_t sync;            /* replicas that a reply waits for, while there are so many; 0: none */
    uint8_t strangers;       /* in-sync nodes that are no candidates any more */
    bool paused;
    bool forced; /* an operator's, whatever it may lose: nobody answers it */
};

/* What became of an order that takes time. */
enum role_progress { PROGRESS_NONE, PROGRESS_RUNS, PROGRESS_DONE, PROGRESS_FAILED };

struct role_facts {
    uint32_t n;
    uint8_t self;
    struct role_node nodes[ROLE_NODES];
    struct role_record record; /* the latest that a watch or a read brought */
    bool coordinator;          /* reachable, as far as known */
    bool isolated;             /* this node hears no majority */
    bool another;              /* the record names this node, which was another one then */
    uint64_t not_before;       /* ns: damping, no challenge before */
    uint8_t better;            /* who should be primary instead of this one; ROLE_NOBODY */
    bool awaits;               /* who handed over still acts: the lease is not free yet */
    /* the lease: lease_holder's */
    enum lease_state lease;
    uint64_t lease_epoch, deadline, gate;
    bool outdated;
    /* orders */
    enum role_progress cas;       /* PROGRESS_FAILED: conflict, or it did not happen */
    bool cas_lost;                /* failed: another was faster */
    bool cas_unknown;             /* no answer: the record must be read before anything else */
    enum role_progress read;      /* of ROLE_READ; done: `record` is what it brought */
    uint64_t read_gate;           /* the gate at which that read was sent */
    enum role_progress rehearsal; /* of ROLE_REHEARSE; done: writers are held */
    enum role_progress agent;     /* of the latest PROMOTE, DEMOTE, FOLLOW or HOLD */
};

enum role_state {
    ROLE_REPLICA,
    ROLE_CHALLENGE,
    ROLE_ACQUIRES,
    ROLE_CONFIRMS,
    ROLE_TAKES_OVER,
    ROLE_PRIMARY,
    ROLE_RAISES,
    ROLE_YIELDS,
    ROLE_HANDS_OVER,
    ROLE_DEMOTES,
    ROLE_STATES
};
const char *role_state_name(enum role_state s);

enum role_what {
    ROLE_NOTHING,
    ROLE_CAS,      /* write `record` if its revision is still `expected` */
    ROLE_READ,     /* linearizably; it is about `gate` */
    ROLE_ACQUIRE,  /* lease_want(epoch) */
    ROLE_CONFIRM,  /* lease_confirm(gate, epoch) */
    ROLE_DROP,     /* lease_drop */
    ROLE_PROMOTE,  /* fence what is older than the epoch, then promote; then the gate opens */
    ROLE_REHEARSE, /* ask whether a switchover to `hands_to` would be short now; then hold */
    ROLE_HOLD,     /* writers wait at the gate */
    ROLE_UNHOLD,
    ROLE_DEMOTE, /* the gate closes at once; the instance becomes a replica, or is stopped */
    ROLE_FOLLOW, /* the record's primary */
};
struct role_order {
    enum role_what what;
    uint64_t epoch, gate, expected;
    struct role_record record;
    const char *why; /* one constant phrase */
};

struct role {
    struct role_params params;
    struct prng prng;
    enum role_state state;
    uint64_t since;                  /* of the state */
    uint64_t wake;                   /* the next step is due; UINT64_MAX: when a fact changes */
    uint64_t quiet;                  /* no challenge before */
    uint64_t lost_at;                /* when the primary was first seen to be lost; 0: it is not */
    uint64_t epoch;                  /* acquired, or being so */
    uint64_t raised_at;              /* 0: it never answered a higher epoch */
    uint64_t rehearsed_at;           /* ROLE_YIELDS: the last time */
    uint64_t idle_since, idle_epoch; /* the recorded primary does not act */
    uint64_t follows_epoch, followed_at;
    uint8_t follows;  /* whom the instance was told to follow; ROLE_NOBODY */
    uint8_t stays;    /* a switchover to this one was given up; ROLE_NOBODY */
    uint8_t hands_to; /* ROLE_YIELDS, ROLE_HANDS_OVER */
    bool acts;        /* the instance was promoted, and not demoted since */
    uint8_t step;     /* within the state: which of its orders were given */
};
void role_init(struct role *r, const struct role_params *p, uint64_t seed, uint64_t now);
/* One order, or ROLE_NOTHING: then wait for a fact, or for role_wake. */
struct role_order role_step(struct role *r, const struct role_facts *f, uint64_t now);
static inline uint64_t role_wake(const struct role *r)
{
    return r->wake;
}
/* 0: the best candidate that there is; ROLE_NOBODY's place when it may not be promoted. Pure. */
uint8_t role_rank(const struct role_facts *f, uint8_t node);

#endif
