/* coordinator: what all nodes agree on, in a world: one linearizable map (coord/store.h) behind a
 * network of its own, and on each node what a daemon has of it (coord/versions.h): a watch of head,
 * an adopter, now and then an application.
 *
 * Requests and answers take their time, are lost, are held back beyond their deadline and happen
 * then; while the coordinator is away from a node they are dropped, refused, or wait. Watches are
 * ordered connections that break and resume where they were, from what the store remembers. Nodes
 * keep versions on the disk that their incarnation is on, with its faults, and read what comes when
 * their process runs. All is drawn from a stream of its own: whether or not there is a coordinator,
 * membership does the same.
 *
 * coordinator.c has the server and the network, follower.c a node's part, voting.c that in the set
 * of voters. ledger.h is told what happens. */
#ifndef HF_SIM_COORDINATOR_H
#define HF_SIM_COORDINATOR_H

#include "coord/store.h"
#include "coord/versions.h"
#include "coord/voters.h"
#include "world.h"

/* What is watched on each node: what the daemon watches, and everything, to see that nothing is
 * missed. */
enum { WATCH_HEAD, WATCH_VOTERS, WATCH_ALL, WATCH_ROLE, WATCHES, WATCHES_MOST = COORD_WATCHES };
#define VOTING_KEY  "voters"
#define VOTERS_WAIT (5ull * 1000000000) /* P of leases */
/* What a node has under way with the coordinator, at most one of each. */
enum {
    ASK_FETCH,
    ASK_APPLY,
    ASK_OLD,
    ASK_VOTERS,
    ASK_ROLE /* of them PRIMARY_ASKS */,
    ASKS = ASK_ROLE + 5
};

enum errand_kind {
    /* at the coordinator */
    ERRAND_CAS,
    ERRAND_RANGE,
    ERRAND_WATCH,
    /* at a node */
    ERRAND_ANSWER,
    ERRAND_CHANGES,
    ERRAND_BROKEN,   /* it notices that a watch has ended */
    ERRAND_REWATCH,  /* time to ask for it again */
    ERRAND_DEADLINE, /* of a request */
    ERRAND_STEP,     /* an application goes on */
    ERRAND_LANDED,   /* on disk */
    ERRAND_VOTERS,   /* those too */
    ERRAND_BEAT,     /* voting.c's timer */
    ERRAND_SAYS,     /* another node (which) has adopted a set of voters (id) */
};
/* Something that is under way, or has come and waits for the process to run. */
struct errand {
    struct errand *next;
    enum errand_kind kind;
    uint32_t node, which; /* which: ASK_... or WATCH_... */
    uint64_t life, id;    /* of the node; of the request or the connection */
    char prefix[COORD_KEY_MAX + 1];
    struct coord_op ops[COORD_OPS]; /* cas */
    uint32_t n_ops;
    char *bytes;            /* that ops point to */
    uint64_t after;         /* watch: what it has seen; 0: nothing */
    struct store_list list; /* what is told */
    bool whole;
    enum coord_outcome outcome;
    struct version version; /* landed */
    struct voters voters;
};

/* A connection for changes. */
struct sim_watch {
    const char *prefix;
    uint64_t id;      /* 0: there is none */
    uint64_t sent;    /* server: up to this revision */
    uint64_t arrives; /* when the last that was sent will */
    uint64_t seen;    /* node: up to this revision; 0: nothing yet */
    bool connected;   /* node: something has come */
};

/* What a node knows of the voters. */
struct votes {
    bool known;
    uint64_t revision;
    struct voters now, was, kept; /* kept: on its disk */
    struct voters_patience patience;
    uint64_t says[FAULT_NODES]; /* the version that each has adopted, as it says */
};

struct follower {
    struct node *node;
    struct coordinator *coordinator;
    bool runs, late;
    uint64_t due;                /* of the wake-up that is under way; NEVER: none */
    struct errand *first, *last; /* its inbox */
    struct sim_watch watches[WATCHES_MOST];
    uint64_t asks[ASKS]; /* ids; 0: nothing is under way */
    struct adopter adopter;
    struct application application;
    bool applying;
    uint64_t apply_id, give_up; /* which it is; world time */
    uint64_t old;               /* a rollback: the version that is read */
    struct version force;       /* what the node runs; number 0: its own file */
    struct version kept[2];     /* on its disk; number 0: nothing */
    struct votes votes;
    uint64_t lands; /* when all that is under way to its disk has landed */

    /* Another program in place of the daemon (contract_test.c): takes all that comes. NULL: none.
     */
    void (*arrive)(struct follower *f, struct errand *a);
    void *program;

    /* What faults want. */
    uint32_t away;
    bool refuses;
    float loss;
    uint64_t delay;
};

struct coordinator {
    struct world *world;
    struct store store;
    struct prng draw;
    struct follower *followers;
    uint64_t ids, digest;
    struct voters wanted; /* n is 0: nobody asks for any */
};

struct coordinator *coordinator_new(struct world *w);
void coordinator_free(struct coordinator *c);
void coordinator_errand(struct coordinator *c, struct errand *a); /* its time has come */
void coordinator_drop(struct errand *a);
void coordinator_conditions(struct coordinator *c);
void coordinator_strike(struct coordinator *c, const struct fault *f);

/* A node's part. */
void follower_start(struct follower *f);
void follower_stop(struct follower *f);
void follower_wipe(struct follower *f);
void follower_arrive(struct follower *f, struct errand *a); /* takes a */
void follower_run(struct follower *f, uint64_t tag);
void follower_resume(struct follower *f); /* it may */
void follower_apply(struct follower *f);
void follower_free(struct follower *f);

/* A node's part in the set of voters. */
void voting_want(struct coordinator *c, uint64_t set);
void voting_start(struct follower *f);
void voting_wipe(struct follower *f);
void voting_told(struct follower *f, const struct store_list *l, bool whole);
void voting_landed(struct follower *f, const struct voters *v);
void voting_heard(struct follower *f, uint32_t from, uint64_t version);
void voting_beat(struct follower *f);
bool voting_read(struct str s, struct voters *v, struct voters *was);

/* Within. */
const char *coordinator_prefix(uint32_t which); /* of a watch */
/* Does a node of this world watch that? */
bool coordinator_watched(const struct coordinator *c, uint32_t which);
struct errand *errand_new(struct follower *f, enum errand_kind kind, uint32_t which, uint64_t id);
void errand_later(struct coordinator *c, struct errand *a, uint64_t delay); /* ns from now */
void errand_land(struct follower *f, struct errand *a);
void coordinator_cas(struct follower *f, uint32_t which, const struct coord_op *ops, uint32_t n);
void coordinator_range(struct follower *f, uint32_t which, struct str prefix);
void coordinator_watch(struct follower *f, uint32_t which);
void coordinator_ask(struct follower *f, struct errand *a); /* on its way there; takes a */
void errand_ops(struct errand *a, const struct coord_op *ops, uint32_t n); /* copied */
void coordinator_mix(struct coordinator *c, uint64_t value);

#endif
