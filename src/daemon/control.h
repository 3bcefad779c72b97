/* control: judges every instance, compiles the configuration, answers operators. Inside this room.
 *
 * One process, one thread, one loop. It may die, hang or be replaced at any time without a request
 * noticing: the proxy serves its last view and reads its last verdicts from the shared cells. What
 * a successor needs lies elsewhere: the view with the supervisor, verdicts and drains in the cells,
 * epoch and drains in the state directory.
 *
 *   control.c         start, wiring, end
 *   control_message.c messages from the supervisor and the proxy; a view comes into force
 *   control_reload.c  the reload transaction
 *   control_config.c  follows the configuration that all nodes share; control_apply.c changes it
 *   control_coord.c   the coordinator that this node has
 *   control_judge.c   one judge per instance: signals in, verdict cells and events out
 *   control_discover.c backends that come and go: when views are merged, what the API changes
 *   control_mesh.c    the node among its peers
 *   control_role.c    services of kind primary: control_role.h
 *   control_gate.c    what the gates of services of kind primary are told beside the cells
 *   control_keys.c    the cluster's keys: who gets them, and when they become others
 *   control_pace.c    which instances are slower than their pool
 *   control_pacer.c   which have become slow, err more or hang, as their answers show
 *   control_findings.c what the senses hold against subjects: logs, pressure, disks
 *   control_health.c  what the other nodes see of the instances, and what is made of it
 *   control_beat.c    jobs that say themselves that they live, kept in STATE/beats.json
 *   beat_door.c       where they say it over the network: the I/O around wire/beat.h
 *   control_drain.c   operators' drains, kept in STATE/drains.json
 *   control_event.c   what happened, to the events and the log
 *   control_audit.c   what happened, with its evidence, to the audit
 *   control_evidence.c what is known when a verdict changes
 *   prober.c          active checks: the I/O around detect/probe.h
 *
 * Start: the supervisor sends ADMIN_SOCKET and then either its last good view (VIEW_BEGIN ... END:
 * this is a restart, the file is not read and verdicts go on) or NO_VIEW (a fresh start: the file
 * is read as in a reload). */
#ifndef HF_CONTROL_H
#define HF_CONTROL_H

#include "admin/admin.h"
#include "audit/audit.h"
#include "base/base.h"
#include "conf/conf.h"
#include "daemon/beat_door.h"
#include "daemon/control_config.h"
#include "daemon/control_coord.h"
#include "daemon/control_findings.h"
#include "daemon/control_role.h"
#include "daemon/ipc.h"
#include "recover/agents/instance.h"
#include "daemon/log.h"
#include "daemon/prober.h"
#include "detect/beat.h"
#include "detect/fuse.h"
#include "discover/discover.h"
#include "mesh/mesh.h"
#include "mesh/mesh_keys.h"
#include "mesh/mesh_token.h"
#include "os/os.h"
#include "view/cells.h"
#include "view/view.h"
#include "wire/health.h"

struct subject {
    bool used;
    uint64_t epoch; /* of the latest view that names it */
    struct judge judge;
    const struct finding_subject *found; /* what the senses hold against it; NULL: nothing */
    struct fused shown;   /* what is in force here: of the judge, and of what other nodes see */
    uint64_t shown_since; /* ns */
    uint8_t good, good_reason;          /* what stays while its node is in maintenance */
    bool untold;                        /* the judge has changed since the other nodes were told */
    const struct view_service *service; /* in control.view */
    const struct view_instance *instance;
    uint64_t ok_seen; /* answered requests of all workers' rows that the judge knows of */
    uint64_t ok_told; /* of those, told by signals and not yet seen in the rows */
};

/* control_health.c's own. What another node said of a slot, and the node. */
struct health_seen {
    uint64_t at, since; /* ns; at 0: nothing */
    uint8_t verdict, reason;
    bool certain;
};
struct health_peer {
    char name[64];
    struct health_seen *seen; /* owned, by slot */
    bool alive;               /* as the membership says */
    bool isolated;            /* as it says itself */
    bool resting;             /* in maintenance */
    bool gone;                /* its place may be taken */
};

/* The mesh, as control_health.c knows it. */
struct health_line {
    void *context;
    /* To a node, or to all others (empty). What does not arrive is said again later. */
    void (*send)(void *context, struct str node, struct str bytes);
    bool (*isolated)(void *context); /* whether this node hears too few to agree with; or NULL */
};

struct healthing {
    struct health_line line; /* send is NULL: this node is alone */
    struct health_peer peers[FUSE_OBSERVERS];
    uint32_t n_peers;
    uint8_t order[FUSE_OBSERVERS];       /* of peers, by name: what people read is sorted */
    struct addr resting[FUSE_OBSERVERS]; /* of nodes in maintenance */
    uint32_t n_resting;
    bool isolated, self_resting;
    struct timer soon, full, age;
    uint64_t malformed; /* messages */
};

/* control_beat.c's own: a watched job, in the order of the view. */
struct beat_row {
    char name[BEAT_NAME_MAX + 1];
    struct beat_watch watch;
};

struct beating {
    struct beat_row *rows; /* owned; of the view, or, before the first, of the file */
    uint32_t n;
    struct beat_doors *doors; /* owned */
    struct timer due, save;   /* the next deadline of a watch; what changed goes to the file */
};

/* control_pace.c's own. */
struct pacing {
    struct timer window;
    struct pace_row *rows;   /* owned, by slot */
    struct outlier *members; /* owned: of one service */
    uint64_t *scratch;       /* owned */
};

struct pacer;
struct pacer_row;

/* control_pacer.c's own. */
struct pacers {
    struct timer timer;
    uint64_t at;                 /* ns, the latest look */
    struct pacer_row **rows;     /* owned, by slot; NULL: it had no request yet */
    uint64_t *idle;              /* owned, by slot: the requests that do not count */
    struct pacer_row **services; /* owned, by the service's slot */
    struct pacer **pool;         /* owned: of one service, for a look */
    uint32_t *members;           /* owned: its instances */
    uint32_t n_rows, n_services;
};

enum reload_state {
    RELOAD_IDLE,
    RELOAD_ASKED,     /* the supervisor has the view; somebody may wait for the answer */
    RELOAD_UNDECIDED, /* it did not answer in time: the answer still counts when it comes */
};

struct reloading {
    uint8_t state;       /* enum reload_state */
    struct list waiting; /* struct admin_reload: for the next transaction */
    struct list serving; /* for the one that runs */
    struct task run;
    struct timer deadline;
    struct view *next;     /* owned while not idle */
    char by[EVENT_BY_MAX]; /* who asked last */
    struct buf changes;    /* lines of conf_diff */
    struct admin_reload hangup;
};

/* Views that are merged because a source changed go the way of a reload, at most one in MERGE_NS,
 * and fewer where a merge costs so much that control would do little else.
 */
struct discovering {
    struct discover *sources; /* owned */
    struct timer due;
    uint64_t next_at;           /* no merge before this */
    bool wanted;                /* a source changed since the last merge */
    char by[EVENT_BY_MAX];      /* who changed the API's instances last */
    uint32_t unmerged;          /* instances that the API added since */
    bool runs;                  /* the transaction under way is a merge, not a reload */
    struct list waiting;        /* struct admin_telling: for the next view */
    struct list serving;        /* for the one under way */
    struct merge_report report; /* the latest that was told */
    uint64_t *freed;            /* owned; by slot: when its instance left, 0: long ago or never */
};

struct control_options {
    const char *file, *state_dir;
    const char *node;         /* what people see */
    const char *self;         /* which of its cluster this is, before a view says it; may be NULL */
    uint64_t reload_deadline; /* ns */
    uint32_t probes;          /* in flight at most */
    uint64_t pace_window;     /* ns; 0: control_pace.c's own */
    uint64_t pacer_look;      /* ns; 0: control_pacer.c's own */
    int memory_fd;            /* of process_memory.h */
};

/* control_mesh.c's own. */
struct meshing {
    struct mesh *mesh;         /* owned; NULL: this node is alone */
    struct tokens *tokens;     /* owned; NULL without a mesh, or when STATE's file is damaged */
    struct rotation *rotation; /* owned; NULL without a mesh */
    struct timer cuts_due;
    char cuts[1024]; /* what was told of cuts last; empty: all was well */
    char seen[1024]; /* what was seen of them at the latest beat */
};

/* control_audit.c's own: what is gathered for the event under way. */
struct auditing {
    struct audit *audit; /* owned; NULL: it could not be begun */
    struct audit_signal signals[AUDIT_EVIDENCE], all[AUDIT_EVIDENCE];
    uint32_t n, n_all;
    char texts[8192]; /* of the signals */
    size_t n_texts;
    char rule[AUDIT_TEXT_MAX];
    const char *before, *after, *reason; /* names of states; NULL: as the event says */
    char by[EVENT_BY_MAX];               /* who asks just now */
};

/* A view on its way from the supervisor, and control's own sockets of it. */
struct arriving {
    struct view *view; /* NULL: the one that control asked for */
    uint64_t epoch;
    int fds[IPC_MAX_FDS];      /* owned */
    uint8_t uses[IPC_MAX_FDS]; /* enum socket_use of each */
    uint32_t n_fds;
    int gossip, link; /* owned; -1: none */
};

/* To one proxy; a line knows whose it is. */
struct proxy_line {
    struct control *owner;
    struct ipc ipc;
};

struct control {
    struct control_options o;
    struct loop *loop;
    struct log *log;
    struct cells cells;
    struct ipc supervisor;
    struct proxy_line proxies[CELLS_BANKS]; /* those that accept, start or drain */
    struct admin_change change;             /* the latest hand-over or upgrade */
    char change_by[EVENT_BY_MAX];           /* who asked for it */
    struct events events;
    struct auditing auditing;
    struct admin *admin;
    struct view *view; /* in force; NULL before the first */
    uint64_t epoch;    /* the highest ever given to a view */
    struct subject *subjects;
    uint32_t n_subjects;
    struct map drains;
    struct prober *prober;
    struct reloading reloading;
    struct discovering discovering;
    struct arriving arriving;
    struct meshing meshing;
    struct timer beat, judge;
    struct pacing pacing;
    struct pacers pacers;
    struct beating beating;
    struct configuring configuring;
    struct coordinating coordinating;
    struct rolling rolling;
    struct healthing health;
    struct notifying *notifying; /* owned; NULL: no memory */
    struct finding_out found;
    uint64_t rows_read_at;
    uint64_t nonsense; /* messages or signals from the proxy that were refused */
    bool unsaved;      /* the state directory could not be written: said once */
    int result;        /* of the process */
};

/* Takes both descriptors, on failure too; the log and the loop stay the caller's. */
int control_open(struct control *c, struct loop *l, struct log *log,
                 const struct control_options *o, int supervisor_fd, int cells_fd, struct err *e);
void control_close(struct control *c);
/* What the admin API sees of us. */
struct admin_host control_host(struct control *c);
/* control_message.c */
void control_hear_supervisor(struct ipc *ipc, struct ipc_message *m);
void control_hear_proxy(struct ipc *ipc, struct ipc_message *m);
/* Nothing has arrived. */
void arriving_init(struct arriving *a, uint64_t epoch);
/* Closes what arrived and nobody took. */
void arriving_close(struct arriving *a);
/* Which node of its cluster this one is, as a configuration is to be read; NULL: to be found out.
 * name: holds it. */
const char *control_self(const struct control *c, char name[256]);
/* `view` (now control's) is in force; its sockets are those of c->arriving. restore: verdicts and
 * drains come from the cells. */
void control_adopt(struct control *c, struct view *view, bool restore);

/* control_gate.c */
/* After each change of a role's cells that somebody may wait for: gate, hold, record, sync. */
void gate_tell_roles(struct control *c);
/* The proxy of this bank, or all, are told the gates' passwords: there is a new one, a new view or
 * a new key. */
void gate_tell_secrets(struct control *c, uint32_t bank);
void gate_tell_all_secrets(struct control *c);
/* Derived from the cluster's key: what the gate says to the instance at its node (gate; it is to go
 * into agent_instance.gate_password whenever the proxies are told), or what agents and instances
 * say to instances. The caller wipes it. */
int instance_password(const struct control *c, struct str service, bool gate,
                      char out[INSTANCE_PASSWORD], struct err *e);

/* control_reload.c */
void reloading_init(struct control *c);
void reloading_end(struct control *c);
int reload_request(struct control *c, struct admin_reload *r, struct err *e);
void reload_hangup(struct control *c); /* SIGHUP, or the first view */
void reload_refused(struct control *c, uint64_t epoch, struct str sentence);
void reload_taken(struct control *c, uint64_t epoch);
/* ERR_DENIED when the view has more services or instances than the shared tables have rows. */
int reload_check_slots(const struct control *c, const struct view *next, struct err *e);

/* Sends a view that is control's to the supervisor, as one transaction. Not while another runs. */
void reload_merged(struct control *c, struct view *next);
/* The lines of a text as an array, which mem_free ends; NULL when memory is out. */
struct str *reload_lines(struct str text, size_t *n);
/* Nothing is under way: what waits may begin. */
void reload_go_on(struct control *c);

/* control_discover.c */
void discovering_open(struct control *c); /* before anything may fail */
int discovering_init(struct control *c, struct err *e);
void discovering_end(struct control *c);
/* A view from the file as it is to be served; takes it, and *view becomes another. */
int discovering_complete(struct control *c, struct view **view, struct err *e);
/* Merges if a source changed; reload's turn is over. */
void discovering_run(struct control *c);
/* The transaction under way begins with all that was told so far; is in force; has failed. */
void discovering_begin(struct control *c);
void discovering_done(struct control *c);
void discovering_failed(struct control *c, const struct err *e);
/* Plans the next merge if one is wanted. */
void discovering_plan(struct control *c);
/* A view came into force; was: the one before, or NULL. */
void discovering_adopt(struct control *c, const struct view *was);
/* A bit for each slot whose instance left a short while ago. */
void discovering_resting(const struct control *c, uint64_t bits[VIEW_MAX_SLOTS / 64]);
int discovering_tell(struct control *c, const struct told_change *change,
                     struct admin_telling *waits, struct admin_told *told, struct err *e);

/* control_judge.c */
int judging_init(struct control *c, struct err *e);
void judging_end(struct control *c);
/* Before a view goes out: gives the cells of slots that it uses and `now` does not their first
 * verdict, so that no worker ever reads a predecessor's. */
void judging_prepare(struct control *c, const struct view *next);
/* c->view has been replaced; the old one is still valid. */
void judging_adopt(struct control *c, bool restore);
void judging_signal(struct control *c, const struct signal *s);
/* The body of IPC_SIGNALS. */
void judging_message(struct control *c, struct reader *body);
void judging_publish(struct control *c, uint32_t slot);
/* The same when what other nodes see, or time, may have changed it. */
void judging_refresh(struct control *c, uint32_t slot);
/* How the instance compares with its pool now. */
void judging_pace(struct control *c, uint32_t slot, enum pace pace, const struct pace_report *r);

/* control_pace.c, part of judging */
int pacing_init(struct control *c, struct err *e);
void pacing_end(struct control *c);
/* The slot has a new subject. */
void pacing_begin(struct control *c, uint32_t slot);

/* control_pacer.c, the same */
int pacers_init(struct control *c, struct err *e);
void pacers_end(struct control *c);
void pacers_begin(struct control *c, uint32_t slot);

/* control_health.c. For the mesh: */
/* It is there (its send and isolated are called from now on), or gone (NULL). */
void control_health_connect(struct control *c, const struct health_line *line);
/* The bytes of a MESH_HEALTH of an authenticated node. */
void control_health_message(struct control *c, struct str from, struct str bytes);
void control_health_link(struct control *c, struct str node, bool up);
/* How a member is now, this node included; with every change, and for all at the start. */
void control_health_member(struct control *c, struct str node, enum member_state state,
                           bool maintenance);
/* For judging: */
void health_init(struct control *c);
void health_end(struct control *c);
void health_adopt(struct control *c); /* after judging_adopt */
struct fused health_fuse(const struct control *c, uint32_t slot);
void health_changed(struct control *c, uint32_t slot);     /* the judge has */
void health_forget_slot(struct control *c, uint32_t slot); /* another instance has it */
/* Who sees what, and the judge's own evidence, in sentences. */
size_t health_explain(struct control *c, uint32_t slot, char *out, size_t size);
uint32_t health_observers(struct control *c, uint32_t slot, struct admin_observer *out,
                          uint32_t size);

/* control_beat.c */
int beating_init(struct control *c, struct err *e);
void beating_end(struct control *c);
/* c->view is in force. */
void beating_adopt(struct control *c);
/* One of the view's beats came, by whoever may say so. */
void beating_take(struct control *c, uint32_t index, bool failed, struct str text);
/* NULL: there is none of this index in the view. */
const struct beat_watch *beating_watch(const struct control *c, uint32_t index);

/* control_drain.c */
void drains_load(struct control *c);
void drains_end(struct control *c);
bool drains_has(const struct control *c, struct str service, struct str instance);
int drains_set(struct control *c, struct str service, struct str instance, bool on, struct err *e);
void drains_save(struct control *c);
/* Forgets those that c->view does not name. */
void drains_prune(struct control *c);

/* control_mesh.c */
void meshing_init(struct control *c); /* before anything may fail */
void meshing_end(struct control *c);
/* c->view is in force. */
void meshing_adopt(struct control *c);
/* The sockets of that view; owned from here. -1: keep what there is. */
void meshing_sockets(struct control *c, int datagram_fd, int listen_fd);
/* The set of voters in force, as it is kept on this node's disk, or this node alone. */
void meshing_voters(struct control *c);
/* So long, at most, a promise of any voter lasts (ns, by this node's clock). */
uint64_t meshing_promise(const struct control *c);
/* Control turns. */
void meshing_beat(struct control *c);
/* This node as a member; there is a mesh. */
struct member_info meshing_self(const struct control *c);
/* Sets this node's flag, or takes it back, and keeps it. by: who asked for it. */
void meshing_maintain(struct control *c, bool on, struct str by);
/* For struct admin_host. */
int meshing_cluster(void *context, struct admin_cluster *out, struct err *e);
int meshing_leave(void *context, struct err *e);
int meshing_maintenance(void *context, struct str node, bool on, bool *changed, struct err *e);

/* control_keys.c: with the mesh */
void keying_begin(struct control *c);
void keying_end(struct control *c);
void keying_beat(struct control *c);
void keying_message(struct control *c, struct str from, struct str bytes);
void keying_link(struct control *c, struct str node);
bool keying_guest_key(void *context, uint64_t token, uint8_t secret[SEAL_SECRET]);
void keying_guest(void *context, uint64_t token, const struct addr *from, struct str bytes,
                  struct buf *answer);
/* What the admin API asks. */
int keying_token(void *context, struct str node, uint64_t ttl, struct admin_ticket *out,
                 struct err *e);
int keying_keys(void *context, struct admin_keys *out, struct err *e);
int keying_rotate(void *context, bool force, struct err *e);

/* control_audit.c */
void auditing_init(struct control *c); /* after the events; what goes wrong is one of them */
void auditing_end(struct control *c);
void auditing_adopt(struct control *c); /* c->view is in force */
/* For struct admin_host. */
void auditing_asked(void *context, const char *who);
struct audit *auditing_audit(void *context);
/* Between control_event and control_event_end: a piece of evidence that the event does not hold
 * itself. signal: its stable name, a constant. at: ns, 0: not known. The rest says it in words. */
void audit_evidence(struct control *c, const char *signal, struct str observer, uint64_t at,
                    uint64_t detail, uint32_t count, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* The rule that tipped it. */
void audit_rule(struct control *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Constant names of what is no verdict (a member's states). */
void audit_states(struct control *c, const char *before, const char *after, const char *reason);

/* control_evidence.c: between control_event and control_event_end */
void evidence_verdict(struct control *c, uint32_t slot);
void evidence_member(struct control *c, const struct member_info *about, enum member_state was);

/* control_notify.c */
void notifying_init(struct control *c);
void notifying_end(struct control *c);
void notifying_adopt(struct control *c); /* c->view is in force */
/* It is committed. Makes no event itself. */
void notifying_event(struct control *c, const struct event *ev);
/* For struct admin_host. */
bool notifying_counts(void *context, uint32_t i, struct admin_notify *out);

/* control_event.c */
struct event *control_event(struct control *c, enum event_code code, enum event_level level);
void event_subject(struct event *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void event_text(struct event *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Who asked for it, where that is not who asks just now. */
void event_by(struct event *ev, const char *who);
/* Adds the event of control_event, and logs it. */
void control_event_end(struct control *c, struct event *ev);
/* A file of the state directory could not be written: said when it begins, not every time. */
void control_unsaved(struct control *c, const struct err *e);

#endif
