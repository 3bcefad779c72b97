/* front: clients of services of kind primary. docs/gate.md has the protocol, the bounds and what
 * may fail.
 *
 *   gate.c       may bytes go here, or whereto (pure)
 *   reads.c      which replicas readers may go to, and which next (pure)
 *   talk.c       where commands and replies end, and what a connection is (pure)
 *   round.c      what the replicas have (pure)
 *   door.c       a service's gate as one worker sees it: deadline, who waits, who withholds
 *   front.c      one client: found a way, led on, ended
 *   passage.c    its bytes
 *   committer.c  rounds that let withheld replies go
 *
 * A passage is one client's, for as long as the client is there; its way on, the *leg*, may change.
 *
 *   state    waits for                                 limit     ends in
 *   WAITS    somebody who takes writes                 hold      REACHES, or cut
 *   REACHES  the leg, and what it is told first        connect   PASSES, or WAITS
 *   PASSES   bytes                                     tunnel    WAITS (led on), cut, or ended
 *
 * All of it belongs to one worker's thread. Passages are freed by the graveyard. */
#ifndef HF_PROXY_FRONT_H
#define HF_PROXY_FRONT_H

#include "proxy/gate.h"
#include "proxy/internal.h"
#include "proxy/reads.h"
#include "proxy/round.h"
#include "proxy/talk.h"

enum {
    KEPT_MAX = 64 * 1024, /* bytes of unanswered commands that a hop keeps */
    PRELUDE_MAX = 128 * 1024,
    SECRET_MAX = PROXY_SECRET_MAX,
    INFO_MAX = 64 * 1024,
};
#define LOOK_NS     (5 * NS_PER_MS) /* while somebody waits */
#define COMPLAIN_NS (60 * NS_PER_S)
#define AVOID_NS    (1 * NS_PER_S) /* a replica that could not be reached is not tried again before \
                                    */
#define ROUND_MS 10                /* a replica may take so long before it is asked again */
#define ROUND_LOST                                                                                 \
    (2 * NS_PER_S) /* an instance that answers no round within this is asked on                    \
                      a new connection */

enum passage_state { PASSAGE_WAITS, PASSAGE_REACHES, PASSAGE_PASSES, PASSAGE_STATES };

struct passage {
    struct client *client;
    struct door *door;   /* holds a reference */
    struct list link;    /* door's passages, or graveyard */
    struct list waiting; /* door's, in WAITS */
    struct list round;   /* door's withheld or asked, while replies wait for a round */
    struct stream leg;   /* io.fd is -1 where there is none */
    uint8_t state;       /* enum passage_state */
    bool closed;
    bool framed;    /* commands and replies are known: talk */
    bool reads;     /* it came to a listener of readers */
    bool here;      /* the leg leads to the instance here, through the gate */
    bool replica;   /* ... to the instance at `place`, which is a replica. Neither: to a node */
    bool connected; /* the leg */
    bool marked;    /* the leg said that it took no more than it answered */
    uint8_t place;  /* of the leg's node */
    struct talk talk;
    uint32_t go;        /* client's bytes that may go: talk_ask has seen them */
    uint32_t seen;      /* the leg's bytes that talk_answer has */
    uint32_t covered;   /* of these, what may go to the client (here, with sync) */
    uint32_t in_round;  /* what the round under way will cover */
    struct buf prelude; /* what the leg is told first */
    uint32_t prelude_sent, swallow;
    struct resp_frame swallowed;
    bool authenticates; /* the first reply that is swallowed is the gate's own */
    /* hops: commands that are not answered */
    struct buf kept;
    uint64_t kept_first;   /* the number of kept's first command, from 0 */
    bool kept_lost;        /* it was too much */
    uint64_t waits_since;  /* it is held; 0: it is not */
    uint64_t astray_since; /* the leg leads where no way leads any more; 0: it does not */
    uint64_t began_at, reached_at, active_at;
    uint64_t bytes_in, bytes_out;
};

enum committer_state { COMMITTER_NONE, COMMITTER_REACHES, COMMITTER_READY, COMMITTER_ROUND };

/* One connection to the instance, for rounds. */
struct committer {
    uint8_t state; /* enum committer_state */
    struct stream s;
    struct buf out, in;
    uint32_t sent, expected; /* replies of the round under way, and what comes before them */
    uint64_t began_at;       /* the round */
    uint64_t first_at;       /* what it is to confirm is this old; 0: nothing waits */
    uint64_t offset;         /* what must be acknowledged; known once `pictured` */
    bool pictured;           /* the round's first picture has come: only acknowledgements lack */
    bool authenticates;
    uint16_t acknowledged;     /* by the latest picture */
    struct round_picture last; /* the latest picture */
    struct timer timer;
    struct task start;
};

struct door {
    uint32_t refs;    /* the service in use and each passage */
    struct list link; /* worker's doors */
    struct worker *worker;
    uint32_t slot;
    struct service *service; /* in use; NULL: the view has it no more */
    struct role_row *row;
    struct service_row *counts;
    struct gate_state seen;     /* at the last look */
    bool held;                  /* ... writers were to wait */
    int self;                   /* place of this node, or -1 */
    struct round_places places; /* addresses of the instances */
    struct list passages, waiting;
    struct list withheld; /* passages with replies that no round covers yet */
    struct list asked;    /* those that the round under way covers */
    uint32_t n_waiting, n_here;
    struct reads reads;            /* at the last look */
    uint32_t readers[GATE_PLACES]; /* passages whose legs lead to the replica there */
    uint64_t avoid_until[GATE_PLACES];
    uint64_t complained; /* of a password that is refused; 0: never */
    struct timer deadline, look;
    struct task settle; /* while writers wait: is nothing under way any more? */
    struct committer committer;
};

static inline const struct view_primary *door_conf(const struct door *d)
{
    return &d->service->conf->primary;
}

/* The leg leads to another node, which leads on. */
static inline bool passage_hops(const struct passage *p)
{
    return !p->here && !p->replica;
}

/* --- door.c --- */

/* A look at the cells; what has changed is done. */
void door_look(struct door *d);
/* Is it open at this very moment? */
bool door_open(const struct door *d);
/* The instance at this place refuses the gate's password: said once a minute. */
void door_refused(struct door *d, int place);
/* The replica for one more reader; -1: there is none now. */
int door_replica(struct door *d);
/* A passage begins or ceases to lead to a replica. */
void door_reader(struct passage *p, bool replica);
/* A passage begins or ceases to wait, or to lead to the instance. */
void door_wait(struct passage *p);
void door_wait_over(struct passage *p);
void door_here(struct passage *p, bool here);
/* One more may wait. */
bool door_has_room(const struct door *d);
/* The address of this place's node, with this port. */
bool door_node(const struct door *d, int place, uint16_t port, struct addr *out);

/* --- front.c --- */

/* It has no leg any more: sought anew. */
void passage_lead(struct passage *p);
void passage_drop_leg(struct passage *p);
/* Ends it so that nobody takes it for complete. */
void passage_cut(struct passage *p);
/* The passage is from another node, and ends so that it can go on elsewhere. */
void passage_return(struct passage *p);

/* --- passage.c --- */

/* Moves what can be moved; may end the client. */
void passage_pump(struct passage *p);
/* Nothing is under way, and it can be led on. */
bool passage_movable(const struct passage *p);
/* Nothing that a hold has to wait for. */
bool passage_quiet(const struct passage *p);
/* Drops the answered commands of what is kept. */
void passage_trim(struct passage *p);

/* --- committer.c --- */

void committer_init(struct committer *m);
/* Somebody withholds replies: a round begins if none is under way. */
void committer_wake(struct door *d);
/* Somebody does not wait any more. */
void committer_note(struct door *d);
/* What is needed has changed. */
void committer_judge(struct door *d);
void committer_end(struct door *d);

/* --- proxy.c --- */

/* What the gate of this service says to its instance; its length, 0: nothing. */
size_t proxy_gate_secret(struct proxy *p, struct str service, char out[SECRET_MAX]);

#endif
