/* events: what happened on this node, newest last, each with a stable code and the evidence for it.
 *
 * A bounded ring in memory, owned by control and read by the admin API. Sequence numbers rise by
 * one; they start at the microseconds of the boot clock, so that those of a restarted control lie
 * above those of the one before it. When the ring is full the oldest event goes. Adding never
 * fails: texts are cut to fit, never allocated. docs/events.md lists the codes; a test compares. */
#ifndef HF_ADMIN_EVENTS_H
#define HF_ADMIN_EVENTS_H

#include "audit/audit.h"
#include "base/base.h"
#include "detect/detect.h"

enum event_code {
    EVENT_CONTROL_START,    /* control runs: fresh, or with the view that was in force */
    EVENT_VIEW_TAKEN,       /* a view is in force */
    EVENT_RELOAD_REFUSED,   /* a reload changed nothing */
    EVENT_INSTANCE_VERDICT, /* a verdict or its reason changed */
    EVENT_DRAIN,            /* an operator takes an instance out */
    EVENT_RESUME,           /* and back in */
    EVENT_PROCESS_START,
    EVENT_PROCESS_EXIT,
    EVENT_PROBES_STARVED,   /* out of descriptors or memory: checks wait, nobody is blamed */
    EVENT_SIGNALS_DROPPED,  /* evidence from the proxy was lost or nonsense */
    EVENT_STATE_UNSAVED,    /* a file in the state directory could not be written */
    EVENT_METRICS_REFUSED,  /* the metrics listener cannot be served */
    EVENT_HAND_OVER,        /* a new proxy or program takes over, or could not */
    EVENT_INSTANCE_ADDED,   /* a source gives an instance that was not there */
    EVENT_INSTANCE_REMOVED, /* and no longer does */
    EVENT_SOURCE_FAILED,    /* a name or drop-in file says nothing; what it gave before stays */
    EVENT_SOURCE_BACK,
    EVENT_INSTANCES_LEFT_OUT, /* there is no place for them */
    EVENT_STATE_DAMAGED,      /* a file of the state directory was set aside */
    EVENT_ADMIN_DENIED,       /* an address tried the admin API too often without a valid token */
    EVENT_BEAT_MISSING,       /* a watched job did not say in time that it lives */
    EVENT_BEAT_FAILED,        /* it said that it failed */
    EVENT_BEAT_BACK,          /* it is well again */
    EVENT_STOPPING,           /* the node drains and ends */
    EVENT_NODE_SUSPECT,       /* a member is silent, and it is not agreed yet what that means */
    EVENT_NODE_FAILED,        /* its observers agree that it is gone */
    EVENT_NODE_ALIVE,         /* it is heard, for the first time or again */
    EVENT_NODE_LEFT,          /* it said goodbye */
    EVENT_MAINTENANCE,        /* an operator sets a node's flag, or takes it back */
    EVENT_PARTITION,          /* some nodes do not hear each other: who, as far as it is known */
    EVENT_PARTITION_HEALED,
    EVENT_MESH_REFUSED,   /* somebody sends datagrams that are not the cluster's */
    EVENT_CLUSTER_KEY,    /* a rotation of the cluster's key: what was done here, how it went */
    EVENT_JOIN,           /* a one-time token was made, used, or refused */
    EVENT_AUDIT_FAILED,   /* what happens cannot be kept (docs/audit.md) */
    EVENT_AUDIT_BACK,     /* it can again */
    EVENT_AUDIT_LOST,     /* some of it was not */
    EVENT_LEAVING,        /* an operator lets this node say goodbye */
    EVENT_CONFIG_APPLIED, /* somebody made another configuration the cluster's, here */
    EVENT_CONFIG_ADOPTED, /* this node runs another version */
    EVENT_CONFIG_REFUSED, /* it cannot, and stays with what it has */
    EVENT_COORDINATOR,    /* what is done about the coordinator, and how it is */
    EVENT_ROLE_RECORDED,  /* a service of kind primary is in the coordinator for the first time */
    EVENT_ROLE_LOST,      /* its primary is lost, as seen from here */
    EVENT_ROLE_WAITS,     /* nothing is done about that, and why */
    EVENT_ROLE_TAKEN,     /* this node takes over: it raised the epoch */
    EVENT_ROLE_PROMOTED,  /* its instance takes writes; the evidence is the chain that led to it */
    EVENT_ROLE_FAILED,    /* it could not take over */
    EVENT_ROLE_DEMOTED,   /* its instance takes writes no more */
    EVENT_ROLE_LAPSED,    /* its lease ran out */
    EVENT_ROLE_INSYNC,    /* the in-sync set shrank or grew */
    EVENT_ROLE_TOLD, /* another node's instance takes writes; the evidence is what that node tells
                      */
    EVENT_ROLE_INSTANCE,    /* the instance here came, went, hangs, or is well again */
    EVENT_ROLE_PAUSED,      /* an operator pauses decisions about a service, or lets them go on */
    EVENT_SWITCHOVER,       /* an operator wants another primary */
    EVENT_SWITCHOVER_BEGAN, /* writers are held for it */
    EVENT_SWITCHOVER_DONE,
    EVENT_SWITCHOVER_FAILED, /* it was given up: the primary goes on */
    EVENT_FAILOVER_FORCED,   /* an operator wants another primary, whatever is lost */
    EVENT_FINDING_RAISED,    /* a sense holds something against a subject */
    EVENT_FINDING_CLEARED,   /* and no longer does */
    EVENT_NOTIFY_FAILED,     /* somebody who is to be told cannot be (docs/notifications.md) */
    EVENT_NOTIFY_BACK,       /* and can be again */
    EVENT_NOTIFY_DROPPED,    /* something will not be told */
    EVENT_CODES
};
/* "instance-verdict" */
const char *event_code_name(enum event_code c);
/* What it is to the audit. */
enum audit_kind event_kind(enum event_code c);
/* What its subject is: "instance", "node", "process"; empty: it has none, or it depends. */
const char *event_subject_kind(enum event_code c);

enum event_level { EVENT_INFO, EVENT_WARNING, EVENT_ERROR, EVENT_LEVELS };
const char *event_level_name(enum event_level l);

enum { EVENT_SUBJECT_MAX = 160, EVENT_TEXT_MAX = 320, EVENT_BY_MAX = 96 };

struct event {
    uint64_t seq;
    uint64_t boot; /* ns, CLOCK_BOOTTIME */
    uint64_t wall; /* ns since 1970, UTC */
    uint64_t epoch;
    uint8_t code, level;
    uint8_t from, to, reason; /* of a verdict */
    uint8_t n_evidence;
    char subject[EVENT_SUBJECT_MAX]; /* "web/10.0.0.1:80", "proxy"; may be empty */
    char text[EVENT_TEXT_MAX];
    char by[EVENT_BY_MAX];                  /* who asked for it; empty: nobody did */
    struct signal evidence[JUDGE_EVIDENCE]; /* oldest first */
};

struct events {
    struct event *ring; /* owned */
    uint32_t size;      /* a power of two */
    uint64_t start;     /* sequence number of the first ever */
    uint64_t first;     /* of the oldest that is held */
    uint64_t next;      /* of the one to come */
    uint64_t by_code[EVENT_CODES];
    void (*on_add)(struct events *e, void *context); /* may be NULL */
    void *context;
    /* Called with each event before on_add; may be NULL. Must not add one. */
    void (*keep)(void *keeper, const struct event *ev);
    void *keeper;
};

enum { EVENTS_DEFAULT = 4096 };

int events_init(struct events *e, uint32_t size, uint64_t first, struct err *err);
void events_free(struct events *e);

/* It tells of a verdict: from, to and reason count. */
bool event_has_verdict(const struct event *ev);

/* A slot in the ring, zeroed, with its times set; the caller fills it in and calls events_commit.
 * No other event may be added between the two. */
struct event *events_begin(struct events *e, enum event_code code, enum event_level level,
                           uint64_t boot, uint64_t wall, uint64_t epoch);
void events_commit(struct events *e);
/* Copies the judge's latest evidence. */
void event_evidence(struct event *ev, const struct judge *j);

/* The first held event above `after`, or NULL. An `after` that was never given out (from another
 * boot) counts as 0. */
const struct event *events_after(const struct events *e, uint64_t after);
const struct event *events_next(const struct events *e, const struct event *ev);
/* How many above `after` are gone. */
uint64_t events_lost(const struct events *e, uint64_t after);

#endif
