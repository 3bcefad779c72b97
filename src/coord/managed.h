/* managed: what to do next about etcd's members. Pure: facts in, at most one step out.
 *
 * Each node has a record of the coordinator that it belongs to, on its disk, and says over links
 * what is in it. The record is written before what it says is done:
 *
 *   never   it has heard of no coordinator
 *   knows   it has heard of one, `line`, and has no data of it
 *   data    it has data of it, or is just about to
 *
 * While nobody has begun a line that a node knows, its `founder` says who is going to; having said
 * so is a promise to that one alone.
 *
 * Founding. The first of the voters that the file names may do it, alone, and in two rounds. It
 * draws an id when every node of the file says "never", and names it as the one that founds, too.
 * It begins when all these have written that id into their records. So a node that lost its disk,
 * or had another file, finds somebody who knows, and can never found a second coordinator beside
 * the first. Who founds and has not begun may give up; then the promises to it are void. Everybody
 * else joins: as a learner, promoted when it has caught up.
 *
 * Membership is changed by the node whose member leads, one change at a time, none while a
 * majority is not healthy or would not be afterwards. An empty disk that wants in draws a number,
 * its place: the leader adds a member for that number and no other, so that a member's id is
 * never used by two disks. (Raft must never meet a member that forgot what it acknowledged.)
 *
 * Timers (etcd_timers.h). Each node says which level its disk asks for and with which its member
 * runs; all members are to run with the one that the slowest disk asks for, since any majority may
 * be all that is left. Members that differ bear each other while they are no more than one level
 * apart, or the leader is the faster one: so the way up is one step with the leader last, and the
 * way down a level at a time. A member reads its timers when it starts, and only the leader says
 * whose turn that is: one at a time, while every member is healthy. Who leads with a much slower
 * disk than another's lets that one lead. When nobody leads for long, members start again by
 * themselves: on disks so slow that no election ends in time nothing else would help.
 *
 * A restore, asked for by an operator, begins a new generation of the line: whoever hears of a
 * later one puts its data aside and joins. Of two at once the higher draw counts.
 *
 * The caller keeps time: what it does not know freshly it leaves out (`heard`). */
#ifndef HF_COORD_MANAGED_H
#define HF_COORD_MANAGED_H

#include "base/base.h"
#include "coord/voters.h"

enum { MANAGED_NAME = VOTERS_NAME, MANAGED_NODES = 128, MANAGED_MEMBERS = 16, MANAGED_ID = 16 };
/* A learner this near to the leader, in entries, has caught up; etcd looks again itself. */
enum { MANAGED_NEAR = 1000 };

enum managed_record { MANAGED_NEVER, MANAGED_KNOWS, MANAGED_DATA, MANAGED_RECORDS };

struct managed_line {
    uint8_t id[MANAGED_ID]; /* random, of the founding; zeros: none */
    uint64_t generation;    /* rises with every restore */
    uint64_t draw;          /* random, of the restore */
};
bool managed_same_id(const struct managed_line *a, const struct managed_line *b);
/* Of one id: below, equal, above 0. */
int managed_order(const struct managed_line *a, const struct managed_line *b);

/* What a node says of itself. */
struct managed_said {
    uint8_t record; /* enum managed_record */
    struct managed_line line;
    char founder[MANAGED_NAME]; /* of a line that was promised and not begun yet; else empty */
    char expects[MANAGED_NAME]; /* whom its file makes the founder */
    uint64_t place;             /* its disk has no data and it votes: drawn; else 0 */
    uint64_t member;            /* etcd's id of its data; 0: none, or not known yet */
    uint64_t leader;        /* who leads, as its running member says; 0: nobody, or it is down */
    uint64_t term, applied; /* of its running member */
    uint8_t disk;           /* the level of timers that its disk asks for */
    uint8_t timers;         /* the level that its running member has */
    uint8_t pace;           /* the level that all should have, as it knows */
    uint64_t turn;          /* it leads: the member whose turn it is to start again at that level */
};

struct managed_node {
    struct str name;
    bool heard; /* the link is up and it has said something over it, not long ago; or it is self */
    struct managed_said said;
};

struct managed_member {
    uint64_t id;
    uint32_t node; /* whose it is; MANAGED_NODES: of none in the file */
    bool learner;
    uint64_t place; /* that it was added for by the leader who says so; 0: by another, long ago */
};

enum managed_process { MANAGED_OFF, MANAGED_RUNS };

struct managed_facts {
    const struct managed_node *nodes; /* of the file */
    uint32_t n, self;
    struct voters voters; /* in force, or, while there is no coordinator, wanted */
    struct voters wanted;
    const char *founder;       /* the first of the wanted voters in the file */
    enum managed_process etcd; /* of this node */
    bool bare; /* the record says data, and there is none, though it is no first start */
    struct managed_line listed; /* of whose the list of members is; no id: there is no list */
    const struct managed_member *members;
    uint32_t n_members;
    bool may_change_voters; /* voters_ready: as far as promises go, the set may change */
    bool leaderless;        /* its member runs and has known no leader for long */
    bool disk_steady;       /* what its disk asks for has been the same for a while */
};

enum managed_do {
    MANAGED_REST,       /* nothing is to be done, or something is waited for: `why` */
    MANAGED_INTEND,     /* draw an id; record: knows it, founder is this node */
    MANAGED_PROMISE,    /* record: knows `line`, whose founder is `node` */
    MANAGED_LEARN,      /* record: knows `line`, which was begun; draw a place */
    MANAGED_FORGET,     /* record: never */
    MANAGED_FOUND,      /* record: data of its line; start etcd as the first member */
    MANAGED_JOIN,       /* record: data, of member `member`; start etcd as one of the list */
    MANAGED_START,      /* start etcd with the data that is there */
    MANAGED_LEAVE,      /* stop etcd, put its data aside; record: knows `line`, which was begun */
    MANAGED_ADD,        /* add a learner for `node`, and keep that it is for its place `place` */
    MANAGED_PROMOTE,    /* `member` of `node` */
    MANAGED_REMOVE,     /* `member`; node: whose it was, MANAGED_NODES: nobody's */
    MANAGED_HAND_OVER,  /* leading, to `member` of `node` */
    MANAGED_SET_VOTERS, /* to `voters`, from those in force */
    MANAGED_TURN,       /* leading: say that it is the turn of `member` of `node`, to `level` */
    MANAGED_RESTART,    /* stop etcd: it starts again at `level` */
    MANAGED_DOS
};
/* "intend", "add", ... */
const char *managed_do_name(enum managed_do d);

enum managed_why {
    MANAGED_WELL,       /* nothing is missing */
    MANAGED_FOUNDER,    /* `node` is to found it, and has not begun */
    MANAGED_UNHEARD,    /* `node` must say that it never belonged to one, before this one founds */
    MANAGED_FILES,      /* the file of `node` names another founder */
    MANAGED_KNOWN,      /* `node` knows of a coordinator of which nobody who is heard has data */
    MANAGED_UNPROMISED, /* `node` has not written down yet that this one founds */
    MANAGED_TWO,        /* `node` belongs to another coordinator */
    MANAGED_PLACE,      /* this node asked for a place */
    MANAGED_CATCH_UP,   /* `node` learns */
    MANAGED_NO_QUORUM,  /* too few members are healthy to change anything */
    MANAGED_SILENT,     /* voter `node` has no member and is not heard */
    MANAGED_BELOW,      /* removing the member of `node` would leave too few healthy ones */
    MANAGED_PATIENCE,   /* voters are to change, and the last change is too young */
    MANAGED_WHYS
};

struct managed_step {
    enum managed_do act;
    enum managed_why why; /* of MANAGED_REST, else MANAGED_WELL */
    uint32_t node;        /* MANAGED_NODES: none */
    uint64_t member, place;
    uint32_t level;
    struct managed_line line;
    struct voters voters;
};
struct managed_step managed_next(const struct managed_facts *f);
/* What the step does, or is waited for, in a sentence without a full stop. */
void managed_explain(const struct managed_facts *f, const struct managed_step *s, char *out,
                     size_t size);
/* Whether a node's member takes part: it runs under the leader that this node knows. */
bool managed_healthy(const struct managed_facts *f, const struct managed_member *m);
/* The level of timers at which this node's member should start. */
uint32_t managed_pace(const struct managed_facts *f);

#endif
