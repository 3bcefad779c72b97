/* primary: a service of kind primary in a world: on each of its candidates what the daemon runs,
 * the leases (mesh/leases.h) and the whole failover (recover/failover.h), and beside them an
 * instance that keeps a log of writes, and clients that write.
 *
 * A node has a lease clock: its own, but for a rate error that it has all its life, up to the bound
 * that the terms assume (rho). Process and instance are apart: a process that is stopped or late
 * leaves an instance that goes on, behind a gate that looks at its row and at the clock. What a
 * process had in shared memory outlives it in half of its crashes, and so does its instance, whose
 * agent demotes it when the lease is over; the other half is the machine.
 *
 * Some versions of the configuration have other terms of the leases. Which promises a node may have
 * given it keeps on disk, as mesh/mesh_lease.c does; even a `wipe` leaves that (nobody puts in
 * another disk within a second).
 *
 * A crash takes an instance's data if the service promises to survive that: while the in-sync set
 * is whole and somebody else of it has everything. Else it is kept: what more than one failure
 * takes is no promise.
 *
 * primary.c has a node's part and its host functions, instance.c instances, replication and
 * clients, window.c faults that are aimed at the leases, acting.c what must hold of all of it: I1,
 * I2, I3, I5. All is drawn from a stream of its
 * own. */
#ifndef HF_SIM_PRIMARY_H
#define HF_SIM_PRIMARY_H

#include "coord/store.h"
#include "invariants.h"
#include "mesh/leases.h"
#include "recover/failover.h"
#include "world.h"

enum {
    PRIMARY_PLACES = 5,
    PRIMARY_ASKS = 4,
    PRIMARY_ANSWERS = 64,
    PRIMARY_LOG = 32768,
    PRIMARY_TICK_MS = 2,
    PRIMARY_RHO = 50000, /* millionths */
    PRIMARY_EPOCHS = 1024,
};
#define PRIMARY_KEY  "service/s"
#define PRIMARY_ROLE UINT64_C(7)

/* What a replica or a primary has. */
struct sim_instance {
    bool down; /* with its machine */
    bool promoted, joined;
    uint64_t alone;  /* promoted without a lease since (lease clock); 0: it is not */
    uint8_t follows; /* place; ROLE_NOBODY */
    uint64_t heard;  /* the highest epoch of an order */
    uint64_t history, follows_epoch, join_at, join_until;
    uint32_t n, life, joined_life;
    uint32_t *log; /* ids of writes; [PRIMARY_LOG] */
    /* the order under way */
    uint64_t ticket, due, order_epoch;
    uint8_t act, place;
    uint32_t pending; /* the first position that no client was told of */
};

struct role_letter { /* over a link */
    struct role_letter *next;
    uint8_t from;
    uint64_t life; /* of whom it is for */
    struct role_message message;
};

struct primary_ask {
    uint64_t ticket; /* 0: free */
    bool cas;
};

struct primary_answer {
    uint64_t ticket, position;
    bool ok;
};

/* What window.c does now. */
enum window_stage { WINDOW_NONE, WINDOW_NARROW, WINDOW_SHUT };
struct window {
    struct prng draw;
    enum window_stage stage;
    uint8_t holder;
    uint64_t at;     /* the next stage */
    uint32_t beyond; /* places that are cut off from it */
    uint64_t delay;  /* of what comes to it */
    bool out, in, away;
    uint64_t asks, restarts[PRIMARY_PLACES]; /* an operator, others; 0: not, or done */
};

struct service;
struct primary {
    struct service *service;
    struct node *node;
    uint8_t place;
    int64_t rate;          /* millionths */
    struct leases *leases; /* NULL: its process does not run */
    struct role_row *row;  /* shared memory */
    struct votes_head *votes_head;
    struct vote_row *votes;
    struct failover core;
    uint64_t voters; /* the version that it was told of */
    struct lease_params terms;
    uint64_t terms_at, kept; /* since when (lease clock); the longest promise, on its disk */
    uint64_t wake;           /* lease clock; NEVER */
    uint32_t spins;          /* runs in a row that left something due */
    bool members_changed, connected, isolated; /* its surroundings, as it was told last */
    struct primary_ask asks[PRIMARY_ASKS];
    struct role_letter *first, *last;
    struct primary_answer answers[PRIMARY_ANSWERS]; /* of the agent: they wait for the process */
    uint32_t n_answers;
    struct failover_report told;
    bool reported; /* that is news */
    uint64_t told_at;
    struct failover_record record; /* as its watch told last */
    bool record_there;
    struct sim_instance instance;
    bool open_before;
};

struct service {
    struct world *world;
    struct invariants *v;
    struct prng draw;
    uint32_t n; /* places: the first nodes */
    uint32_t sync;
    struct lease_params terms; /* of a node's own file, and of every other four versions */
    uint64_t promise;          /* under them */
    struct window window;
    struct str names[PRIMARY_PLACES];
    struct primary primaries[PRIMARY_PLACES];
    struct failover_record record; /* the coordinator's; r.revision 0: none */
    uint32_t *acked;               /* by position: the write that a client was told is done there */
    uint32_t written, acknowledged, promotions, serving_ticks, ticks;
    uint64_t promoted_epoch, healed;
    uint32_t promoted_life;          /* of the instance that was promoted under it */
    bool was_forced[PRIMARY_EPOCHS]; /* by epoch, or one so far from it */
    uint64_t
        forced; /* epoch from which on writes count again: before it an operator gave them up */
    struct watch watch;
};

/* rate: bound of the clocks' errors, millionths; beyond PRIMARY_RHO is what nobody promises.
 * healed: when the last fault ends. */
struct service *service_new(struct world *w, struct invariants *v, uint64_t healed, uint32_t rate);
void service_end(struct service *s); /* what holds at the end of a run */
void service_free(struct service *s);

/* Of a node that is a candidate (else they do nothing): its life, its loop. */
struct primary *primary_of(const struct node *n);
void primary_start(struct node *n);
void primary_stop(struct node *n);
void primary_restart(struct node *n); /* for the membership it is the same life */
bool primary_datagram(struct node *n, uint64_t from, const void *payload, size_t size);
void primary_changed(struct node *n);            /* its view of the members */
void primary_run(struct node *n);                /* its process runs */
uint64_t primary_deadline(const struct node *n); /* by the node's clock; NEVER */
/* From its coordinator. */
void primary_answered(struct node *n, uint32_t which, int outcome, const struct store_list *list);
bool primary_reads(const struct node *n, uint32_t which);
void primary_told(struct node *n, const struct store_list *list, bool whole);
void primary_letter(struct world *w, uint32_t node, struct role_letter *m); /* takes m */
void service_tick(struct service *s);
/* An operator at p's node asks for `to`, whatever that loses or with regard to it. */
void primary_operator(struct primary *p, uint8_t to, bool force);
void primary_flicker(struct node *n); /* it starts again, if it runs */
bool primary_acts(const struct primary *p);
void window_tick(struct service *s);
void window_links(const struct service *s); /* onto those of the schedule */
bool window_away(const struct service *s, uint32_t node);

/* Within. */
uint64_t primary_clock(const struct primary *p);
void primary_wake(struct primary *p); /* it has something to do: now, or when its process may */
bool primary_open(const struct primary *p); /* the gate */
bool instance_lives(const struct primary *p);
bool instances_reach(const struct primary *a, const struct primary *b);
void instance_order(struct primary *p, uint64_t ticket, enum failover_act act, uint64_t epoch,
                    uint8_t place);
void instance_crash(struct primary *p);
void instance_tick(struct primary *p);
void instance_serve(struct primary *p);
struct failover_report instance_report(const struct primary *p);
void acting_promoted(struct service *s, const struct primary *p);
void acting_written(struct service *s, const struct primary *p);
void acting_look(struct service *s);

#endif
