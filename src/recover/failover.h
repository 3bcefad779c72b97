/* failover: one service of kind primary at one node, whole. Pure; docs/failover.md has the reasons.
 *
 *   membership, record, lease, agent, other nodes  --facts-->  role.h  --one order-->  host
 *
 * The owner tells what is (failover_node, _learn, _report, _hear ...), in any order and as often
 * as it likes, and then calls failover_run, which carries out what is next through the host's
 * functions and says when it wants to be called again. The host's functions never call back into
 * this header: answers come later, by their ticket, or not at all (a deadline is the host's for
 * `cas` and `read`, and this file's for the agent and other nodes). The lease is read at each run.
 *
 *   failover.c          facts together, role.h's orders carried out, the row
 *   failover_fence.c    before a promotion: who takes nothing more from the old primary, who is the
 *                       most advanced, catching up with it
 *   failover_insync.c   the in-sync set and how many acknowledgements a reply needs meanwhile
 *   failover_say.c      what candidates tell each other
 *   failover_chain.c    what happened at the latest failover, step by step
 *   failover_record.c   the record's bytes
 *
 * What keeps acknowledged writes (I3), with S the in-sync set, n the acknowledgements that a reply
 * needs beside the primary's own, and every fenced node counted only when it still has the data
 * that it acknowledged (`data` is not 0):
 *
 *   1. A promotion needs |S| - n of S fenced under its epoch: that many meet every set of n+1 of S
 *      that can have taken a write. The most advanced of them is caught up with first: by the epoch
 *      of the history that it follows, then by position.
 *   2. S changes only by compare-and-set of its primary. While it changes, the row asks for what
 *      both sets need, and what was acknowledged before is on enough of the new set first.
 *      What all of S lost may be with those that S became smaller without: they are asked then.
 *      What was asked for may land while the record has that revision: it is not forgotten before.
 *   3. An epoch has one history: whoever began anew raises it, and takes it not again.
 *   4. A node follows only a primary that says itself that it acts: never one that may be behind.
 *
 * Times are CLOCK_BOOTTIME in ns, but `wall` (ms, for people and for damping). No allocation. */
#ifndef HF_RECOVER_FAILOVER_H
#define HF_RECOVER_FAILOVER_H

#include "base/base.h"
#include "recover/lag.h"
#include "recover/lease.h"
#include "recover/role.h"
#include "wire/role.h"

enum {
    FAILOVER_TEXT = 160,
    FAILOVER_STEPS = 40, /* of a chain */
    FAILOVER_NAME = 64,  /* bytes of a node's name, with its NUL */
};

/* --- the record: key service/NAME --- */

struct failover_record {
    struct role_record r;    /* revision: of the coordinator, not in the bytes */
    uint8_t from;            /* the place that handed over to this epoch's primary; ROLE_NOBODY */
    uint32_t flaps;          /* failovers since flaps_since */
    uint64_t flaps_since;    /* wall ms */
    uint64_t when;           /* wall ms */
    char who[FAILOVER_NAME]; /* node, or operator */
    char why[FAILOVER_TEXT];
};
/* JSON; nodes by their name. names: of the places. False: memory is out. */
bool failover_record_write(const struct failover_record *r, const struct str *names, uint32_t n,
                           struct buf *out);
/* ERR_PROTO with the reason, ERR_NOMEM. A name that has no place: of `primary` and `wanted` nobody;
 * of insync it counts as a stranger. r.known is set, r.revision is not. */
int failover_record_read(struct str text, const struct str *names, uint32_t n,
                         struct failover_record *out, struct err *e);

/* --- what an operator may want: the record that he gets, to be written by compare-and-set --- */

/* ERR_INVAL, ERR_DENIED with a sentence. `to` may be ROLE_NOBODY: the best one, which the primary
 * chooses itself. */
int failover_wants_switchover(struct failover_record *r, uint8_t to, struct err *e);
/* Whatever it may lose: `to` becomes primary and is the whole in-sync set. */
int failover_wants_force(struct failover_record *r, uint8_t to, struct err *e);
int failover_wants_pause(struct failover_record *r, bool on, struct err *e);

/* --- facts and orders --- */

struct failover_params {
    struct lease_params lease; /* the same as the mesh's */
    uint64_t role, incarnation;
    uint32_t n;   /* places */
    uint8_t self; /* ROLE_NOBODY: this node is no candidate, it looks on */
    uint32_t sync;
    bool strict;
    uint64_t lag_bytes; /* 0: no bound */
    uint64_t lag_time; /* an in-sync place that acknowledges nothing for so long is in sync no more;
                          0: a second */
    uint64_t hold;     /* ns: writers wait so long at most */
    bool rehearses;    /* an instance that answers fences at once, and a gate that tells when it is
                          quiet */
    uint64_t agent_patience; /* 0: 5 s */
    bool failback;
    uint32_t flaps; /* 0: no damping */
    uint64_t flap_window;
    uint64_t seed;
};

enum failover_outcome { FAILOVER_DONE, FAILOVER_CONFLICT, FAILOVER_UNKNOWN, FAILOVER_FAILED };

/* To the agent of this node. Answered once by failover_agent_answer. */
enum failover_act {
    FAILOVER_FOLLOW,  /* the instance at `place`, under `epoch` */
    FAILOVER_FENCE,   /* take nothing more from whoever was primary before `epoch`. The answer's
                         position is exact, and stays so until FOLLOW or PROMOTE. Of an instance that
                         follows under this epoch already, or was promoted under it: only the answer
                       */
    FAILOVER_PROMOTE, /* takes writes under `epoch` */
    FAILOVER_DEMOTE,  /* takes no more; replicas may still fetch what there is. Of one that is dead:
                         done. The answer's position is exact */
    FAILOVER_ACTS
};

/* What the agent says of the instance here. */
struct failover_report {
    uint8_t instance; /* enum role_instance */
    bool well;
    uint64_t data; /* the epoch of the primary whose history its data is a prefix of: under which
                      it was promoted, or follows and has caught up far enough to be a prefix. 0:
                      it started anew and may have lost something */
    uint64_t position; /* replication offset */
    struct failover_replica {
        bool connected;     /* follows this instance now */
        uint64_t acked;     /* it has everything up to there */
    } replicas[ROLE_NODES]; /* by place */
};

struct failover_lease { /* lease_holder's, as of now */
    enum lease_state state;
    uint64_t epoch, deadline, gate, seen;
    bool outdated;
};

struct failover_row { /* struct role_row of cells.h, what control writes of it */
    uint64_t gate, hold, epoch, primary, sync, insync, state;
};

/* What people are told. */
enum failover_what {
    FAILOVER_NEWS_RECORD,   /* the service is known in the coordinator for the first time */
    FAILOVER_NEWS_LOST,     /* the primary is lost, as seen from here */
    FAILOVER_NEWS_WAITS,    /* nothing is done about it, and why */
    FAILOVER_NEWS_BEGINS,   /* this node takes over: its compare-and-set was made */
    FAILOVER_NEWS_PROMOTED, /* this node's instance takes writes; the chain is complete */
    FAILOVER_NEWS_FAILED,   /* this node could not take over */
    FAILOVER_NEWS_DEMOTED,  /* this node's instance takes writes no more */
    FAILOVER_NEWS_YIELDS,   /* a switchover began */
    FAILOVER_NEWS_STAYS,    /* it was given up */
    FAILOVER_NEWS_INSYNC,   /* the in-sync set changed */
    FAILOVER_NEWS_TOLD,     /* `place` took over, and has told the chain that led to it */
    FAILOVER_NEWS
};
struct failover_news {
    enum failover_what what;
    uint8_t place; /* whom it is about; ROLE_NOBODY */
    uint64_t epoch;
    const char *text;
};

/* A step of what happened, for `why`. */
enum failover_step_kind {
    FAILOVER_STEP_LOST,      /* the first sign */
    FAILOVER_STEP_AGREED,    /* failed, by agreement or by its own word */
    FAILOVER_STEP_CHALLENGE, /* compare-and-set asked for */
    FAILOVER_STEP_RECORDED,  /* ... done: the record names this node */
    FAILOVER_STEP_FENCE,     /* the others were asked */
    FAILOVER_STEP_FENCED,    /* one of them, `place`, has answered */
    FAILOVER_STEP_LEASED,    /* a majority of the voters acknowledged */
    FAILOVER_STEP_CONFIRMED, /* the read under the lease found our epoch */
    FAILOVER_STEP_ENOUGH,    /* enough were fenced */
    FAILOVER_STEP_CATCH_UP,  /* `place` has more: it is followed first */
    FAILOVER_STEP_PROMOTE,   /* the agent was told */
    FAILOVER_STEP_PROMOTED,  /* ... and has done it: the gate is open */
    FAILOVER_STEP_KINDS
};
const char *failover_step_name(enum failover_step_kind k); /* "lost", "agreed", ... */
struct failover_step {
    uint8_t kind, place;
    uint64_t at;       /* ns */
    uint64_t position; /* FENCED */
};
struct failover_chain {
    uint64_t epoch;          /* 0: there is none */
    uint8_t primary, before; /* places */
    uint64_t wall;           /* ms, of the last step */
    uint32_t n;
    struct failover_step steps[FAILOVER_STEPS];
    char why[FAILOVER_TEXT]; /* the record's */
};

struct failover_host {
    void *context;
    /* False: it cannot be asked now (nothing is answered). */
    bool (*cas)(void *context, uint64_t ticket, uint64_t expected, const struct failover_record *r);
    bool (*read)(void *context, uint64_t ticket);
    bool (*agent)(void *context, uint64_t ticket, enum failover_act act, uint64_t epoch,
                  uint8_t place);
    void (*lease)(void *context, struct failover_lease *out);
    void (*want)(void *context, uint64_t epoch);
    void (*confirm)(void *context, uint64_t gate, uint64_t epoch);
    void (*drop)(void *context);
    /* place: ROLE_NOBODY are all other nodes of the cluster. What is lost is said again. */
    void (*send)(void *context, uint8_t place, const struct role_message *m);
    /* Only when something of it changed. A gate that shuts is in force when this returns. */
    void (*row)(void *context, const struct failover_row *row);
    void (*news)(void *context, const struct failover_news *news);
    /* Writers were told to wait until `hold`: nothing of theirs is under way any more. */
    bool (*quiet)(void *context, uint64_t hold);
    uint64_t (*wall)(void *context); /* ms */
};

/* --- inside; public only so that no one need allocate it --- */

/* What another place said last. */
struct failover_peer {
    bool alive, failed, maintenance;
    bool heard; /* since it came up */
    int32_t preference;
    uint64_t heard_at; /* ns: it said something last */
    struct role_message said;
};
struct failover_fence {
    uint64_t epoch; /* that the places are fenced under; 0: not begun */
    uint64_t began, asked_at, ticket;
    uint16_t asked, done; /* places */
    uint64_t data[ROLE_NODES], position[ROLE_NODES];
    uint8_t catches; /* the place that is caught up with; ROLE_NOBODY */
    uint64_t catch_data, catch_position, catch_since, catch_seen;
    bool promotes;
    const char *failed; /* why it came to nothing; NULL: the agent could not be asked */
};
struct failover_rehearsal {
    uint8_t stage, with; /* failover_rehearse.c; place */
    bool heard, read;
    uint64_t since, ticket;
    const char *failed; /* why the last one came to nothing */
};
/* A fence that another node asked of us. */
struct failover_fenced {
    uint64_t epoch;  /* the highest: nothing older is followed */
    uint64_t asked;  /* by the latest */
    uint64_t ticket; /* 0: nothing is under way */
    uint64_t since;  /* of that */
    uint8_t by;      /* ROLE_NOBODY: nobody waits for an answer */
};
enum failover_stage { INSYNC_RESTS, INSYNC_SETTLES, INSYNC_DRAINS, INSYNC_WRITES };
struct failover_insync {
    uint8_t stage;        /* enum failover_stage */
    uint16_t to, without; /* without: the record's, as it was seen last */
    uint64_t since, mark, ticket, retry_at;
    uint64_t expected;  /* revision that the compare-and-set was made against */
    uint64_t epoch;     /* of the primary that does it */
    uint64_t began;     /* ns: of that epoch */
    uint64_t shrunk_at; /* ns: there were more of them */
    bool unknown;       /* one was not answered */
    struct failover_record writing;
};
struct failover {
    struct failover_params params;
    struct failover_host host;
    struct role role;
    struct role_facts facts;
    struct failover_record record, writing; /* as it is known; as asked for */
    struct failover_peer peers[ROLE_NODES];
    struct failover_report report;
    bool reported, coordinator, isolated;
    bool unsettled; /* where it should not be is not known yet */
    bool rewrite;   /* the coordinator has less than what is known: the primary writes it again */
    uint32_t load;
    uint64_t lag_bound; /* params.lag_time as it was given; 0: none */
    struct lag lag;     /* when the primary had how much, as it was heard of here */
    uint64_t tickets;
    uint64_t cas_ticket, read_ticket, agent_ticket; /* under way; 0: nothing */
    uint64_t agent_since;
    enum role_what agent_does;
    struct failover_fence fence;
    struct failover_fenced fenced;
    struct failover_rehearsal rehearsal;
    struct failover_insync insync;
    uint64_t promoted; /* epoch: the gate is open under it; 0 */
    uint64_t resumed;  /* epoch: another process acted under it before, and left this row; 0 */
    struct failover_row before;
    uint64_t acted; /* the last epoch under which it was */
    uint64_t caught,
        caught_data;      /* under that epoch it followed one of this history, to catch up */
    uint64_t record_seen; /* ns: when the record's epoch became known here */
    uint64_t hold_until, settled_at; /* writers wait; from then on none is under way */
    uint64_t held_at; /* ns: the last time that they were held; 0: they went on here */
    struct failover_pace {
        uint64_t mark, at; /* it had everything up to the mark; told at */
    } pace[ROLE_NODES];
    uint64_t stays_at; /* a switchover was given up */
    uint64_t wake;
    struct failover_row row;
    bool row_known;
    struct role_message said; /* what was told to the others last */
    uint64_t said_at;
    bool say;
    struct failover_chain chain, drafting;
    struct failover_chain hearing; /* what another one tells of its own, as far as it has come */
    bool tells;                    /* others have not heard of ours */
    bool heard_all;    /* ... and we of `hearing`, which is told when the record is here */
    const char *waits; /* why nothing is done; NULL: nothing is to be done */
    char waits_text[FAILOVER_TEXT], told_waits[FAILOVER_TEXT];
    uint64_t better_since, lost_at;
    bool fault_told;
};

void failover_init(struct failover *f, const struct failover_params *p,
                   const struct failover_host *h, uint64_t now);
/* After failover_init: what the row says since before this process. held: the lease is, under the
 * epoch of its gate: the instance goes on as primary. Else the gate is shut. */
void failover_resume(struct failover *f, const struct failover_row *row, bool held, uint64_t now);
/* What may change while it runs: sync, strict, lag, hold, failback, damping; the rest is taken as
 * it was. */
void failover_configure(struct failover *f, const struct failover_params *p);

/* Membership. alive: it is, as far as known, and not suspect for certain; failed: agreed, or it
 * left. Also of `self` (maintenance). */
void failover_node(struct failover *f, uint8_t place, bool alive, bool failed, bool maintenance);
/* Higher is better; 0 at first. The order of the file, anti-affinity. */
void failover_prefers(struct failover *f, uint8_t place, int32_t preference);
/* Whether a service that this one should be apart from has no primary yet: a first primary waits
 * for that, a second at most. */
void failover_unsettled(struct failover *f, bool unsettled);
void failover_surroundings(struct failover *f, bool coordinator, bool isolated, uint32_t load);
/* The record as a watch brought it; absent: r->r.known with revision 0. Older ones are ignored. */
void failover_learn(struct failover *f, const struct failover_record *r, uint64_t now);
void failover_reported(struct failover *f, const struct failover_report *r, uint64_t now);
/* The agent is gone: what it was told is not answered, how the instance is is not known. */
void failover_agent_gone(struct failover *f, uint64_t now);
void failover_hear(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now);
/* A link to another node came up: it has heard nothing. */
void failover_link(struct failover *f);
/* r: after FAILOVER_DONE and of a read the record as it is now, with its revision. */
void failover_cas_answer(struct failover *f, uint64_t ticket, enum failover_outcome outcome,
                         uint64_t revision, uint64_t now);
void failover_read_answer(struct failover *f, uint64_t ticket, bool ok,
                          const struct failover_record *r, uint64_t now);
void failover_agent_answer(struct failover *f, uint64_t ticket, bool ok, uint64_t position,
                           uint64_t now);
/* Carries out what is next. Returns when it is to be called at the latest. */
uint64_t failover_run(struct failover *f, uint64_t now);

/* --- for people --- */

static inline uint8_t failover_primary(const struct failover *f)
{
    return f->record.r.primary;
}
/* Whether a place says that it acts under the record's epoch. */
bool failover_acts(const struct failover *f, uint8_t place);
/* How far a place is behind the primary. */
struct failover_behind {
    bool known;
    uint64_t bytes;
    uint64_t time; /* ns: the age of what it has, when the primary has more or is not heard */
};
struct failover_behind failover_behind(const struct failover *f, uint8_t i,
                                       uint64_t now); /* i: a place */
/* The primary is lost, no acknowledgements were waited for, and the place was so far behind when it
 * was lost, that only an operator promotes it. */
bool failover_far(const struct failover *f, uint8_t place, uint64_t now);
/* Its data may be shown to readers: it follows somebody, is well, and knows whose history it has.
 */
bool failover_readable(const struct failover *f, uint8_t place);
/* Why a lost primary is not replaced; "" when nothing is to be done. */
const char *failover_waits(const struct failover *f);

#endif
