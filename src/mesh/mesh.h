/* mesh: a node among its peers. Sockets and timers around engine.h (heartbeats, membership) and
 * links.h (streams for what must arrive).
 *
 * Heartbeats have a thread of their own, which does nothing else and never touches the disk: a
 * control that compiles a large file, or waits for a slow fsync, is not taken for a dead node.
 * Should control not turn for MESH_PATIENCE_NS the heartbeats end, for then nobody is there who
 * could act. Links, and all callbacks, are control's own loop's.
 *
 * Names outside, ids inside: callers speak of nodes by their name in the view. */
#ifndef HF_MESH_H
#define HF_MESH_H

#include "base/base.h"
#include "member/member.h"
#include "mesh/leases.h"
#include "mesh/seal.h"
#include "os/os.h"
#include "view/view.h"

/* What nodes tell each other over links. The receiver ignores kinds that it does not know. */
enum mesh_kind {
    MESH_HEALTH = 1,  /* verdicts about instances: control_health.c */
    MESH_KEYS,        /* rotation: mesh_keys.c */
    MESH_JOIN,        /* a node asks for the cluster's key with a token: mesh_join.c */
    MESH_CARDS,       /* nodes that joined by token, beside the file's */
    MESH_MAINTENANCE, /* u8: the receiver is to set its own flag, or take it back */
    MESH_COORD,       /* how a node stands to the coordinator: coord/standing.h */
    MESH_ROLE,        /* what candidates for a role tell each other: wire/role.h */
    MESH_KINDS
};
enum { MESH_MESSAGE_MAX = 256 * 1024 };
#define MESH_PATIENCE_NS (5ull * 1000000000)

struct mesh_host {
    void *context;
    void (*changed)(void *context, const struct member_change *c, struct str node);
    void (*message)(void *context, struct str from, enum mesh_kind kind, struct str bytes);
    /* A link to this node came up, or went. */
    void (*link)(void *context, struct str node, bool up);
    /* One sentence for the log and the events; rate-limited by the mesh. */
    void (*complain)(void *context, const char *text);
    /* Whoever comes with a one-time token: the secret that his link grows from (false: no such
     * token), and what he says, which gets one answer (links.h). NULL: nobody does. */
    bool (*guest_key)(void *context, uint64_t token, uint8_t secret[SEAL_SECRET]);
    void (*guest)(void *context, uint64_t token, const struct addr *from, struct str bytes,
                  struct buf *answer);
    /* enum lease_effect, bits: this has happened to the lease of a role since it was told last.
     * What is true now is mesh_lease_read's to say. NULL: nobody asks. */
    void (*lease)(void *context, uint64_t role, unsigned effects);
};

struct mesh;
/* v->cluster must be set. state_dir: where incarnation and joined nodes are kept. */
int mesh_new(struct mesh **out, struct loop *l, const struct view *v, struct str state_dir,
             const struct mesh_host *h, struct err *e);
void mesh_free(struct mesh *m);
/* A new view: nodes and timings may have changed; keys are read again. */
int mesh_set_view(struct mesh *m, const struct view *v, struct err *e);
/* The sockets of the view's gossip and link uses; owned from here. -1: keep what there is. */
void mesh_set_sockets(struct mesh *m, int datagram_fd, int listen_fd);

/* Control turns: say so every second or so. */
void mesh_beat(struct mesh *m);
/* To look at the members, for a moment: the heartbeats wait for mesh_return. */
struct membership *mesh_borrow(const struct mesh *m);
void mesh_return(const struct mesh *m);
/* "" for an id that is not known. */
struct str mesh_name(const struct mesh *m, uint64_t id);
/* To one node, or to all others (node empty). Reliable and in order while the link lives, else
 * lost: whoever needs more says all again when `link` reports it up. ERR_BUSY when the queue is
 * full. */
int mesh_send(struct mesh *m, struct str node, enum mesh_kind kind, struct str bytes,
              struct err *e);
/* The id of the key that the link to the node grew from; 0: no link is up. */
uint32_t mesh_link_key(const struct mesh *m, struct str node);
void mesh_leave(struct mesh *m);
bool mesh_left(const struct mesh *m); /* the others know, or had a second to hear it */
void mesh_maintenance(struct mesh *m, bool on);

/* --- leases (docs/protocol/lease.md) ---
 *
 * They are kept in the thread of the heartbeats, which writes each deadline into the role's row
 * itself; control asks and is told. A role is known by mesh_role of its service's name. What any of
 * these calls leads to is told by host.lease, never inside the call. */
uint64_t mesh_role(struct str service); /* never 0 */
/* Where this node's promises as a voter are kept, so that a restart of control does not make it
 * quiet; the first of these calls. */
void mesh_lease_votes(struct mesh *m, struct votes_head *head, struct vote_row *rows);
/* The set of voters that is in force, once it is on this node's disk; this node votes if it is one
 * of them. Said again, or older than what there is, it changes nothing. */
void mesh_lease_voters(struct mesh *m, uint64_t version, const struct str *names, uint32_t n);
/* No promise that any voter has given, under the terms of the view or those before, lasts longer by
 * this node's clock; ns. */
uint64_t mesh_lease_longest(const struct mesh *m);
/* There is such a role here, and this is its row; level-triggered, with each view. A lease that a
 * control before this one held, as the row says, goes on: read it. NULL: no more; drop it first if
 * others are not to wait. ERR_LIMIT beyond LEASES_ROLES. */
int mesh_lease_role(struct mesh *m, uint64_t role, struct role_row *row, struct err *e);
/* The record in the coordinator names this node for the epoch: get the lease, or renew under this
 * higher one. */
void mesh_lease_want(struct mesh *m, uint64_t role, uint64_t epoch);
/* A linearizable read that was sent while mesh_lease_read said `gate` found the epoch. True: this
 * node may act until the deadline in the row. */
bool mesh_lease_confirm(struct mesh *m, uint64_t role, uint64_t gate, uint64_t epoch);
/* This node has stopped acting, all of it: from now on another may. */
void mesh_lease_drop(struct mesh *m, uint64_t role);
bool mesh_lease_read(const struct mesh *m, uint64_t role, struct mesh_lease *out);

struct mesh_counts {
    uint64_t sent, received, sent_bytes, received_bytes;
    uint64_t refused[SEAL_RESULTS], refused_payload, logged;
    uint32_t links;
    enum priority priority; /* of the thread of the heartbeats */
};
struct mesh_counts mesh_counts(const struct mesh *m);

#endif
