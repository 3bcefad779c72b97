/* admin: the API that operators and scripts use: JSON over HTTP/1.1 on the node's Unix socket, and
 * Prometheus text.
 *
 * Lives in control, on control's loop. All routes are versioned under /v1; docs/admin-api.md is the
 * reference.
 *
 *   GET  /v1/version
 *   GET  /v1/status                               services, instances, processes, epoch
 *   GET  /v1/events?after=SEQ&wait=SECONDS        events with a higher sequence number; waits (long
 *                                                 poll) when there is none
 *   GET  /v1/events?since=TIME                    those of a span of time, from the audit
 *   GET  /v1/why?subject=NAME&at=TIME             what it is, and why
 *   POST /v1/reload                               reads the configuration file again; 200 with the
 *                                                 changes, or 422 with every error
 *   POST /v1/services/NAME/instances/NAME/drain   no new requests; idempotent
 *   POST /v1/services/NAME/instances/NAME/resume
 *   GET  /v1/services/NAME/instances              each with where it comes from
 *   PUT, POST, DELETE                             sets, changes and removes the API's own
 *   GET  /v1/beats                                the watched jobs
 *   POST /v1/beats/NAME                           one of them says that it lives, or failed
 *   POST /v1/processes/proxy/restart[?now=1]      a new proxy takes over; now: the old ends at once
 *   POST /v1/upgrade[?binary=PATH]                another program takes the place of this one
 *   GET  /v1/handover                             how the latest hand-over or upgrade went
 *   GET  /v1/members                              the nodes of the cluster, as this one sees them
 *   POST /v1/leave                                this node says goodbye to the others
 *   POST /v1/maintenance                          {"on": true, "node": NAME}: is not judged failed
 *   POST /v1/tokens                               a one-time token for a machine that joins
 *   GET  /v1/config                               which version runs, which is in force, who has it
 *   GET  /v1/config/files[?version=N]             the files of a version
 *   GET  /v1/config/history[?last=N]              the versions that there were, newest first
 *   POST /v1/config/plan                          what a configuration would change
 *   POST /v1/config/apply                         makes it the cluster's
 *   POST /v1/config/rollback                      the same with an earlier version
 *   GET  /v1/coordinator                          the coordinator: how it is, its members
 *   POST /v1/coordinator/backup                   makes a backup
 *   POST /v1/coordinator/restore                  {"from": PATH, "force": true}
 *   GET  /v1/roles                                the services of kind primary: who is it, who
 *                                                 follows, how far behind
 *   GET  /v1/roles/SERVICE
 *   POST /v1/roles/SERVICE/switchover             {"to": NODE}, or less: without loss
 *   POST /v1/roles/SERVICE/failover               {"to": NODE, "force": true}: whatever is lost
 *   POST /v1/roles/SERVICE/maintenance            {"on": true}: nothing is decided meanwhile
 *   GET  /v1/keys                                 the cluster's keys, by id, and their rotation
 *   POST /v1/keys/rotate[?force=1]                another key for all nodes
 *   GET  /metrics                                 for Prometheus, as text or protobuf; alone
 *                                                 on the optional TCP listener
 *
 * Over TCP a token is asked for, and its right to the route (access.h).
 *
 * This room knows nothing of control: what it reads and does passes through struct admin_host. */
#ifndef HF_ADMIN_H
#define HF_ADMIN_H

#include "admin/cluster.h"
#include "admin/config.h"
#include "admin/coordinator.h"
#include "admin/events.h"
#include "admin/roles.h"
#include "base/base.h"
#include "detect/beat.h"
#include "detect/detect.h"
#include "detect/findings.h"
#include "discover/discover.h"
#include "os/os.h"
#include "view/cells.h"
#include "view/view.h"

/* One mistake in the configuration file. */
struct admin_problem {
    struct str file;
    uint32_t line, column;
    struct str text;
    struct str hint; /* empty: none */
};

struct admin_reload_result {
    int code; /* 0, or a negative enum err_code */
    bool changed;
    uint64_t epoch;         /* in force now */
    const char *text;       /* code != 0: the sentence */
    const struct str *list; /* code == 0: the changes */
    size_t n_list;
    uint64_t version;       /* of the shared configuration that is in force; 0: the file is all */
    const struct str *left; /* with one: what else the file says, which does not count */
    size_t n_left;
    const struct admin_problem *problems; /* the file has errors: every one of them */
    size_t n_problems;
};

/* Somebody who waits for a reload. The owner embeds it; list_remove(&r->link) takes it back, the
 * reload then happens without him or, if it has not begun, not at all. */
struct admin_reload {
    struct list link;
    void (*done)(struct admin_reload *r, const struct admin_reload_result *result);
};

/* The latest hand-over or upgrade; number 0: there was none. */
enum change_kind { CHANGE_NONE, CHANGE_RESTART, CHANGE_UPGRADE, CHANGE_KINDS };
enum change_state { CHANGE_RUNS, CHANGE_DONE, CHANGE_FAILED, CHANGE_STATES };
struct admin_change {
    uint64_t number;
    uint8_t kind, state;
    char text[256];
};

/* What became of a change of instances. */
struct admin_told {
    int code; /* 0, or a negative enum err_code */
    uint32_t added, removed, updated, drained;
    uint64_t epoch;   /* in force now */
    const char *text; /* code != 0: the sentence */
};

/* Somebody who waits until such a change is in force; as struct admin_reload. */
struct admin_telling {
    struct list link;
    void (*done)(struct admin_telling *t, const struct admin_told *told);
    struct admin_told told; /* the host's */
};

/* Lines that came over the network to say that a job lives. */
struct admin_beat_counts {
    uint64_t taken, malformed, denied, dropped;
};

/* A one-time token for a machine that joins the cluster. */
struct admin_ticket {
    struct buf text; /* owned, and secret: wiped and freed by who asked */
    uint64_t id;
    struct addr at;
    struct str cluster;
    uint64_t expires_at; /* wall ns */
};

/* The cluster's keys as this node has them, and the rotation that it drives or drove last. */
struct admin_keys {
    struct str file;
    uint32_t n;
    struct {
        uint32_t id;
        bool use;
    } keys[16];
    uint64_t number; /* 0: it drove none */
    const char *state, *step;
    bool force;
    uint32_t key;
    char text[512];
    uint32_t n_nodes;
    struct {
        struct str name;
        bool done;
    } nodes[VIEW_MAX_NODES];
};

/* What is in force for an instance. */
struct admin_verdict {
    uint8_t verdict, reason;
    bool maintenance; /* its node is, and it is kept as it was */
    uint64_t since;   /* ns */
};

/* What another node thinks of it. */
struct admin_observer {
    const char *node;
    uint8_t verdict; /* enum verdict */
    uint8_t reason;  /* may be unknown here */
    bool certain;
    bool counts;        /* fresh evidence, of one that is alive and not isolated */
    uint64_t at, since; /* ns, when it said so, and since when it thinks so */
};

/* What the senses hold against a subject. */
struct admin_held {
    enum subject_kind kind;
    const char *name;
    const struct findings *findings;
};

/* What came of all senses since control was started. */
struct admin_found {
    uint64_t raised[FINDING_KINDS];
    uint64_t refused; /* for want of room or sense */
};

/* Somebody who is told of events, since control was started. */
struct admin_notify {
    const char *name;
    uint64_t sent, failed, held, dropped, waiting;
};

struct admin_host {
    void *context;
    /* Who asks for what is done from now on; NULL: nobody does any more. May be NULL. */
    void (*asked)(void *context, const char *who);
    struct audit *(*audit)(void *context); /* NULL, or NULL of it: there is none */
    struct events *events;
    const char *node;
    const struct view *(*view)(void *context);   /* in force; NULL before the first */
    const struct cells *(*cells)(void *context); /* never NULL */
    const struct judge *(*judge)(void *context, uint32_t slot); /* NULL: nobody judges this slot */
    /* What is in force for the instance of a slot, with the evidence in sentences, and what others
     * see. All three may be NULL: then it is what the judge says. False, 0: as judge. */
    bool (*shown)(void *context, uint32_t slot, struct admin_verdict *out);
    size_t (*explain)(void *context, uint32_t slot, char *out, size_t size);
    uint32_t (*observers)(void *context, uint32_t slot, struct admin_observer *out, uint32_t size);
    /* What is held against the instance of a slot, or a subject by name, NULL: nothing; against
     * all, one after the other, with *at 0 at first; and counts. All may be NULL: nothing ever is.
     */
    const struct findings *(*held_at)(void *context, uint32_t slot);
    const struct findings *(*held)(void *context, enum subject_kind kind, struct str name);
    bool (*held_next)(void *context, size_t *at, struct admin_held *out);
    struct admin_found (*found)(void *context);
    /* The i-th; false: there are no more. May be NULL: nobody is told. */
    bool (*notify)(void *context, uint32_t i, struct admin_notify *out);
    /* Queues a reload; done is called later, never from inside. ERR_BUSY when too many wait. */
    int (*reload)(void *context, struct admin_reload *r, struct err *e);
    /* Drains (or resumes) an instance of the view. *changed: it was not so before. */
    int (*drain)(void *context, uint32_t slot, bool on, bool *changed, struct err *e);
    /* Changes what the API says of a service's instances, all of it or nothing. 0: *told is how it
     * is; 1: done is called later, never from inside. */
    int (*tell)(void *context, const struct told_change *change, struct admin_telling *waits,
                struct admin_told *told, struct err *e);
    /* The watch of the view's beat of this index; NULL: nobody watches it yet. */
    const struct beat_watch *(*beat)(void *context, uint32_t index);
    /* It came; text: of a failure. Only for one that has a watch. */
    void (*beaten)(void *context, uint32_t index, bool failed, struct str text);
    struct admin_beat_counts (*beat_counts)(void *context);
    /* gently: a new one takes over while the old one drains. */
    int (*restart_proxy)(void *context, bool gently, struct err *e);
    /* path: of the new program, or empty. How it goes is seen in `change`. */
    int (*upgrade)(void *context, struct str path, struct err *e);
    const struct admin_change *(*change)(void *context);
    /* The cluster, as this node sees it now. *out is empty before, and the caller's to free in any
     * case. ERR_ABSENT: this node is alone. The three that follow may be NULL: it always is. */
    int (*cluster)(void *context, struct admin_cluster *out, struct err *e);
    /* Says goodbye; done when the picture's `left` says so. */
    int (*leave)(void *context, struct err *e);
    /* A member's flag; node: its name, of one that `cluster` has. *changed: it was not so before.
     * ERR_BUSY when that node cannot be told now. */
    int (*maintenance)(void *context, struct str node, bool on, bool *changed, struct err *e);
    /* A token for `node`, or for any where that is empty; it lives for ttl (ns). */
    int (*ticket)(void *context, struct str node, uint64_t ttl, struct admin_ticket *out,
                  struct err *e);
    int (*keys)(void *context, struct admin_keys *out, struct err *e);
    /* Begins; how it goes is seen in `keys`. */
    int (*rotate)(void *context, bool force, struct err *e);
    /* The coordinator; NULL: the node has none to tell of. The last two begin, and how it goes
     * is seen in the first. */
    int (*coordinator)(void *context, struct admin_coordinator *out, struct err *e);
    int (*coordinator_backup)(void *context, struct err *e);
    int (*coordinator_restore)(void *context, const char *from, bool force, struct err *e);
    /* A service of kind primary of the view. *out is zeroed before. ERR_BUSY: nothing is known yet.
     * Both may be NULL: nothing ever is. */
    int (*role)(void *context, const struct view_service *s, struct admin_role *out, struct err *e);
    /* Begins; to: a place, or ADMIN_NOBODY. ERR_DENIED: not as things are, ERR_BUSY: something is
     * asked for already, or the coordinator cannot be reached. */
    int (*role_ask)(void *context, const struct view_service *s, enum admin_role_ask what, int to,
                    struct err *e);
    /* The shared configuration, as this node knows it; both may be NULL: there is none. */
    int (*config)(void *context, struct admin_config *out, struct err *e);
    /* Plans, applies, or reads what was. An error: nobody will call w->done. */
    int (*config_ask)(void *context, const struct admin_config_ask *ask,
                      struct admin_config_wait *w, struct err *e);
};

struct admin;

/* What a listening socket is for. */
enum admin_door {
    ADMIN_LOCAL,   /* the node's Unix socket: who may open it may do everything */
    ADMIN_METRICS, /* GET /metrics alone, for everybody */
    ADMIN_TOKEN,   /* every route, for who has a token with the right to it */
};

enum { ADMIN_MAX_CONNECTIONS = 64, ADMIN_MAX_STRANGERS = 48, ADMIN_MAX_BODY = 1024 * 1024 };

/* host is copied. Subscribes to host->events. */
int admin_new(struct admin **out, struct loop *l, const struct admin_host *host, struct err *e);
void admin_free(struct admin *a); /* NULL is allowed */
/* Serves a listening socket, now admin's. */
int admin_listen(struct admin *a, int fd, enum admin_door door, struct err *e);
/* Closes the listening sockets but the local one; their connections end in peace. */
void admin_unlisten_metrics(struct admin *a);

#endif
