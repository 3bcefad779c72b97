/* leases: a node's part in all leases of the cluster (docs/protocol/lease.md): one voter, and a
 * holder for each role that this node may have. Pure: datagrams' payloads and time in, payloads
 * out; what runs in the heartbeats' thread and in the simulator is this.
 *
 * Rounds of many roles leave in one datagram to each voter, so that a beat costs as many datagrams
 * as there are voters. This node's own vote is asked for and given without the net.
 *
 * A holder's deadline stands in its role_row (view/cells.h) as soon as a majority has acknowledged,
 * and is cleared before anything else when it is dropped. The row also has what a control that is
 * started again goes on with: the incarnation, and a round that none that left is above, written
 * before that round leaves. All is stored in an order in which the row may be found at any step.
 *
 * What was promised stands in memory that outlives the process too (leases_votes), before the
 * answer leaves: so a voter that starts again need not be quiet for P, and where one node alone
 * votes a lease outlives a restart of its control. A row that was half written when its writer died
 * makes all of them void: then it is quiet.
 *
 * Nodes with other terms (L, D, rho) are told so and count for nothing.
 *
 * What a call led to is kept for leases_effect: one set of effects for each role, so that whoever
 * comes late misses none, and may read how things are at any time. */
#ifndef HF_MESH_LEASES_H
#define HF_MESH_LEASES_H

#include "base/base.h"
#include "recover/lease.h"
#include "view/cells.h"

enum { LEASES_ROLES = LEASE_ROLES_MAX };

struct leases_host {
    void *context;
    /* A payload for another node. */
    void (*send)(void *context, uint64_t to, const void *payload, size_t n);
    /* leases_effect has something, and had nothing before. */
    void (*effect)(void *context);
    /* A node has other terms than this one: once for each node and terms. */
    void (*differs)(void *context, uint64_t node, const struct lease_terms *theirs,
                    const struct lease_terms *ours);
};

/* A lease as it is now. */
struct mesh_lease {
    enum lease_state state;
    uint64_t epoch;    /* asked for, or held */
    uint64_t deadline; /* CLOCK_BOOTTIME ns: until then this node may act; 0: it may not */
    uint64_t gate;     /* LEASE_GATE: its number, for the read and mesh_lease_confirm */
    uint64_t seen;     /* the highest epoch that anybody spoke of */
    bool outdated;     /* seen is above epoch, which is renewed no more */
};

struct leases;
/* incarnation: a number that no process of this node ever had (64 random bits). quiet: this node
 * has just started, and votes no earlier than then, and than P from now. */
int leases_new(struct leases **out, uint64_t self, const struct lease_params *p,
               uint64_t incarnation, uint64_t quiet, const struct leases_host *h, uint64_t now,
               struct err *e);
void leases_free(struct leases *l); /* the rows stay as they are; NULL is allowed */

/* Where promises are kept. The first thing after leases_new: what is there is taken up if it is
 * whole. Without it nothing is kept. rows: CELLS_VOTES. */
void leases_votes(struct leases *l, struct votes_head *head, struct vote_row *rows);
/* Other terms, for all roles and the voter. */
void leases_params(struct leases *l, const struct lease_params *p, uint64_t now);
/* The set of voters in force. An older version than the one before is not taken: false. Another set
 * of the same version (a coordinator was founded anew): this node is quiet for P. */
bool leases_voters(struct leases *l, uint64_t version, const uint64_t *ids, uint32_t n,
                   uint64_t now);
/* There is such a role at this node, and its row; said again it changes nothing. If the row says
 * that a holder of this role was here, its incarnation goes on, and if its time is not over it
 * holds. NULL: there is no such role any more; without leases_drop before nobody hears of it.
 * ERR_LIMIT beyond LEASES_ROLES. */
int leases_role(struct leases *l, uint64_t role, struct role_row *row, uint64_t now, struct err *e);

/* lease.h's, for a role of this node; of another they do nothing. */
void leases_want(struct leases *l, uint64_t role, uint64_t epoch, uint64_t now);
bool leases_confirm(struct leases *l, uint64_t role, uint64_t gate, uint64_t epoch, uint64_t now);
void leases_drop(struct leases *l, uint64_t role, uint64_t now);
/* False: there is no such role here. */
bool leases_read(struct leases *l, uint64_t role, uint64_t now, struct mesh_lease *out);
/* What has happened to one role since this was asked; false: nothing to any. */
bool leases_effect(struct leases *l, uint64_t *role, unsigned *effects);

/* What another node sent; now: read from the clock after it was received. False: malformed. */
bool leases_receive(struct leases *l, uint64_t from, const void *payload, size_t n, uint64_t now);
void leases_tick(struct leases *l, uint64_t now);
uint64_t leases_next(const struct leases *l); /* UINT64_MAX: nothing is due */

#endif
