/* member: who is there. Heartbeats, suspicion, agreement, incarnations: docs/mesh.md tells the
 * protocol.
 *
 * Pure: messages and time come in, messages and changes go out through `member_host`. No clock, no
 * socket, no randomness but the seed. One membership belongs to one node and one thread.
 *
 * Sources: N. Hayashibara et al., "The phi accrual failure detector", SRDS 2004; A. Das et al.,
 * "SWIM", DSN 2002; A. Dadgar et al., "Lifeguard", DSN-W 2018; Rapid (L. Suresh et al., ATC 2018)
 * for several observers before a cut. */
#ifndef HF_MEMBER_H
#define HF_MEMBER_H

#include "base/base.h"

enum member_state { MEMBER_ALIVE, MEMBER_SUSPECT, MEMBER_FAILED, MEMBER_LEFT, MEMBER_STATES };
/* "alive", "suspect", "failed", "left". */
const char *member_state_name(enum member_state s);

/* Why a member is in its state; the text is the stable `reason` of members, status and events. */
enum member_reason {
    MEMBER_SELF,         /* alive: this node */
    MEMBER_HEARD,        /* alive: heard here */
    MEMBER_VOUCHED,      /* alive: not heard here, others do (partial partition) */
    MEMBER_UNHEARD,      /* suspect: never heard since this node started */
    MEMBER_SILENT,       /* suspect: silent here, not agreed yet */
    MEMBER_UNCONFIRMED,  /* suspect: silent, and too few observers are left to agree */
    MEMBER_DEAF,         /* suspect: heard, but it says that it hears nobody (one-way partition) */
    MEMBER_AGREED,       /* failed: a majority of its observers agree */
    MEMBER_ALONE,        /* failed: silent for long, and there is no other observer */
    MEMBER_SAID_GOODBYE, /* left */
    MEMBER_REASONS
};
const char *member_reason_name(enum member_reason r);

enum {
    MEMBER_DENSE_MAX = 32, /* up to so many nodes all pairs send heartbeats */
    MEMBER_MAX = 8192,
    MEMBER_DATAGRAM_MAX = 1100, /* bytes of one message */
    MEMBER_HEALTH_MAX = 8,      /* Lifeguard's local health: 1 well .. 8 */
};

/* All times ns. Out of bounds moves to the nearest bound. */
struct member_params {
    uint64_t heartbeat;     /* 10 ms to 10 s; 50 ms */
    uint64_t suspect_after; /* at least 3 heartbeats; 200 ms */
    uint32_t phi_tenths;    /* 10 to 200: suspicion at this phi; 80 */
    uint32_t indirect;      /* SWIM: helpers asked to probe; 3 */
    uint64_t period;        /* SWIM: one probe each; 200 ms */
    uint32_t dense_max;     /* all pairs send heartbeats up to so many nodes; 32, and no more */
};
struct member_params member_defaults(void);

struct member_node {
    uint64_t id;
    uint32_t zone; /* hash of its name; 0: none */
    bool witness;
};

/* A member as this node sees it now. */
struct member_info {
    uint64_t id, incarnation;
    uint64_t since;           /* ns, when it came into this state */
    uint64_t heard_at;        /* ns, when it was heard here last; 0: never */
    uint64_t rtt;             /* ns, smoothed; 0: not known */
    uint32_t observers;       /* members that can tell, the subject not among them */
    uint32_t hearing, silent; /* of them: who say that they hear it, and that they do not */
    uint8_t state;            /* enum member_state */
    uint8_t reason;           /* enum member_reason */
    bool witness, maintenance, self;
    bool hears_me; /* it said so last */
    uint32_t zone;
};

struct member_change {
    struct member_info info; /* as it is now */
    uint8_t was;             /* enum member_state */
    uint8_t was_reason;
};

struct member_host {
    void *context;
    /* Send this message to that node; lost messages are normal. */
    void (*send)(void *context, uint64_t to, const void *p, size_t n);
    /* A state, reason, incarnation or maintenance flag has changed. Must not call back. */
    void (*changed)(void *context, const struct member_change *c);
    /* This node's incarnation is a new one: keep it before the next start. */
    void (*incarnation)(void *context, uint64_t incarnation);
};

struct membership;

/* incarnation: above any that this node has kept; seed: any. */
int member_new(struct membership **out, const struct member_params *p, const struct member_host *h,
               const struct member_node *self, uint64_t incarnation, uint64_t seed, uint64_t now,
               struct err *e);
void member_free(struct membership *m); /* NULL is allowed */
void member_set_params(struct membership *m, const struct member_params *p);

/* Nodes of the configuration. Adding one that is known changes its zone and role. */
int member_add(struct membership *m, const struct member_node *n, uint64_t now, struct err *e);
void member_remove(struct membership *m, uint64_t id, uint64_t now);

/* A message of `from`, who has been authenticated. Anything may stand in it: HTTP-style strictness,
 * a malformed one is counted (member_refused) and changes nothing. */
void member_receive(struct membership *m, uint64_t from, const void *p, size_t n, uint64_t now);
/* Lets time pass. Call with everything received before that has arrived by now: silence is judged
 * here. */
void member_tick(struct membership *m, uint64_t now);
uint64_t member_deadline(const struct membership *m); /* ns, when member_tick has something to do */

/* Says goodbye; done when `member_left` says so. */
void member_leave(struct membership *m, uint64_t now);
bool member_left(const struct membership *m);
/* This node's own flag. */
void member_set_maintenance(struct membership *m, bool on, uint64_t now);

uint32_t member_count(const struct membership *m); /* this node included */
/* In the order of ids. */
struct member_info member_at(const struct membership *m, uint32_t i);
bool member_find(const struct membership *m, uint64_t id, struct member_info *out);
uint32_t member_health(const struct membership *m); /* 1 .. MEMBER_HEALTH_MAX */
uint64_t member_refused(const struct membership *m);
/* True while this node hears so few that it cannot agree with anybody: a minority. */
bool member_isolated(const struct membership *m);
/* What `observer` said last of whether it hears `subject`: 1 yes, 0 no, -1 unknown. */
int member_says(const struct membership *m, uint64_t observer, uint64_t subject);
/* Cuts among those that are heard, one English sentence a line; "" when there is none. name: the
 * name of an id. */
size_t member_explain(const struct membership *m, const char *(*name)(void *, uint64_t),
                      void *context, char *out, size_t size);

#endif
