/* What the files of member share.
 *
 *     member.c   its beginning and end, members that come and go, what is asked of it
 *     table.c    slots, the order of ids, room for more
 *     state.c    states and reasons, and who may follow whom
 *     self.c     this node: incarnation, maintenance, local health, time that it did not run
 *     message.c  what goes out
 *     receive.c  what comes in, and how it is taken
 *     rumour.c   what is passed on, and what is believed of it
 *     dense.c    up to 32 nodes: heartbeats to everybody, silence
 *     agree.c    what several observers make of a silence
 *     swim.c     above: probing, suspicion, what a newcomer asks
 *     probe.c    probes on behalf of others, both ways
 *     leave.c    goodbye
 *     explain.c  cuts in words
 *
 * Members live in slots 0 .. n-1, this node in slot 0; a removal moves the last one into the gap.
 * Messages change states only for the better, or as others say; silence is judged in member_tick
 * alone, after everything that has arrived was looked at. */
#ifndef HF_MEMBER_INSIDE_H
#define HF_MEMBER_INSIDE_H

#include "detect/arrival.h"
#include "member/member.h"
#include "wire/gossip.h"

/* A build with -Dplant=N has fault N (below), for the simulator to find. */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum {
    PLANT_NONE,
    PLANT_INCARNATION, /* forgotten when a failed node or one that left comes back */
    PLANT_STALE,       /* an indirect probe is answered from what this node believes anyway */
    PLANT_HEALTH,      /* a node that is slow trusts itself more */
    PLANT_LEAVE,       /* a goodbye that is repeated is applied again */
};

enum {
    SELF = 0,
    NOBODY = UINT16_MAX,
    ACCUSERS = 3,
    DENSE_AGAIN = 28, /* from above 32 nodes back to all pairs */
    PROBES = 16,
    RELAYS = 16,
    LEAVE_ASKED = 32,
};
#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum peer_flag {
    PEER_WITNESS = 1,
    PEER_MAINTENANCE = 2,
    PEER_HEARS_ME = 4,
    PEER_DENSE = 8, /* its messages say that it heartbeats to everybody */
};

/* All that is kept of a member above 32 nodes: 5,000 nodes times 5,000 members are simulated. */
struct peer {
    uint64_t id, incarnation; /* 0: none known */
    uint64_t since;           /* ns, of its state */
    uint64_t heard_at;        /* ns; 0: never */
    uint32_t rtt;             /* us; 0: not known */
    uint32_t zone;
    uint8_t state, reason, flags;
    uint8_t n_accusers;
    uint16_t accusers[ACCUSERS]; /* slots */
    uint16_t next, before;       /* in the queue of rumours, while tells > 0 */
    uint8_t tells;               /* how often it is still passed on */
};

/* What is kept besides up to 32 nodes. */
struct dense_peer {
    struct arrival arrival;
    uint64_t added_at;
    uint64_t silent_since;  /* ns; 0: not silent */
    uint64_t vouched_until; /* ns: it answered a probe through another node */
    uint64_t probed_at;
    uint64_t stamp_at; /* ns, when `stamp` came */
    uint32_t stamp;
    uint64_t life;           /* the incarnation whose messages `sequence` counts */
    uint32_t sequence;       /* its newest message */
    uint32_t hears, silent;  /* what it said last of others: bits by slot */
    uint32_t probe;          /* sequence of the last probe of it */
    uint64_t told_failed_at; /* when somebody said so last whom this node believes; 0: nobody */
};
struct dense {
    uint64_t next_round, last_round;
    bool urgent;            /* something must not wait for the next round */
    uint32_t hears, silent; /* as this node says */
    struct dense_peer peers[MEMBER_DENSE_MAX];
};

/* A probe of swim.c under way. */
struct probe {
    uint64_t target; /* id; 0: free */
    uint64_t began, helpers_at, fails_at;
    uint32_t sequence;
    uint8_t asked, denied; /* helpers; those who say that they got no answer either */
    bool vouched;          /* one got an answer */
};
/* A probe on behalf of `origin` under way. */
struct relay {
    uint64_t origin, target; /* ids; target 0: free */
    uint64_t until;
    uint32_t origin_sequence, sequence;
};

struct membership {
    struct member_params params;
    struct member_host host;
    struct prng prng;
    uint64_t now; /* never goes back */
    uint64_t due;
    uint32_t sequence;
    uint32_t n, cap;
    struct peer *peers;
    uint16_t *by_id;     /* slots in the order of ids */
    uint16_t *order;     /* swim.c: whom to probe, reshuffled each round; n - 1 of them */
    struct dense *dense; /* NULL above 32 */
    uint32_t in_state[MEMBER_STATES];
    uint32_t unheard;     /* members of which nothing is known */
    uint16_t first, last; /* the queue of rumours; NOBODY: empty */
    uint32_t health;      /* 1 .. MEMBER_HEALTH_MAX */
    uint64_t health_at;   /* ns, when it changed */
    uint64_t stale_until; /* ns: this node slept, and reads what was said long ago */
    uint32_t rtt;         /* us, of answers whoever gave them; 0: none yet */
    uint64_t refused;
    /* leave.c */
    uint64_t leave_at, goodbye_at; /* ns, when it began; of the next goodbye */
    bool leaving, left;
    uint8_t n_asked, n_acked;
    uint64_t asked[LEAVE_ASKED]; /* ids; 0: acknowledged */
    /* swim.c */
    uint64_t next_period;
    uint32_t at; /* in `order` */
    uint32_t periods;
    uint32_t again;      /* the slot to look for failed ones from */
    uint32_t pull;       /* sequence of the request under way */
    bool pulling;        /* what is heard now is an answer to it: others know it */
    uint64_t pull_from;  /* the id to go on with */
    uint16_t heard_last; /* a slot */
    struct probe probes[PROBES];
    struct relay relays[RELAYS];
};

/* table.c */
int table_init(struct membership *m, const struct member_node *self, uint64_t incarnation,
               struct err *e);
void table_free(struct membership *m);
uint16_t table_find(const struct membership *m, uint64_t id); /* NOBODY when absent */
uint32_t table_from(const struct membership *m, uint64_t id); /* in by_id: the first not below */
int table_insert(struct membership *m, const struct member_node *n, struct err *e);
void table_remove(struct membership *m, uint16_t slot);

/* state.c */
/* Slot comes into this reason's state, with this incarnation and maintenance flag; the host hears
 * of it once if anything differs. */
struct standing {
    uint64_t incarnation;
    enum member_reason reason;
    bool maintenance;
};
struct standing standing_of(const struct peer *p);
void state_set(struct membership *m, uint16_t slot, struct standing s);
static inline void state_reason(struct membership *m, uint16_t slot, enum member_reason r)
{
    struct standing s = standing_of(&m->peers[slot]);
    s.reason = r;
    state_set(m, slot, s);
}
enum member_state reason_state(enum member_reason r);
struct member_info state_info(const struct membership *m, uint16_t slot);
uint32_t members_in(const struct membership *m); /* all but those that left, this node included */

/* self.c */
/* Every call from outside begins here: time, and what this node missed of it. */
void self_observe(struct membership *m, uint64_t now);
void self_health(struct membership *m, int by);
/* Silence of `ns` is worth this much to a node of this health. */
uint64_t self_stretch(const struct membership *m, uint64_t ns);
void self_refute(struct membership *m, uint64_t claimed);
void self_told(struct membership *m, const struct gossip_rumour *r);
static inline void wake(struct membership *m, uint64_t at)
{
    m->due = MIN(m->due, MAX(at, m->now));
}

/* message.c */
struct gossip message_begin(struct membership *m, enum gossip_kind kind);
/* Adds what the receiver should know, and sends. Returns the sequence. */
uint32_t message_send(struct membership *m, uint16_t to, struct gossip *g);
uint32_t message_plain(struct membership *m, uint16_t to, enum gossip_kind kind);
/* Tells a member what is said of it, so that it can refute it. */
void message_accuse(struct membership *m, uint16_t slot, enum member_state state);
void message_add(const struct membership *m, struct gossip *g, uint16_t slot);

/* rumour.c */
uint32_t rumour_times(const struct membership *m);
void rumour_tell(struct membership *m, uint16_t slot, uint32_t times);
void rumour_forget(struct membership *m, uint16_t slot);
void rumour_fill(struct membership *m, struct gossip *g);
void rumour_round(struct membership *m); /* up to 32 nodes: all were told once */
void rumour_hear(struct membership *m, uint16_t from, const struct gossip_rumour *r);

/* dense.c */
bool dense_start(struct membership *m); /* false, and nothing has changed, when memory is out */
void dense_add(struct membership *m, uint16_t slot);
/* Forgets what was heard of it: it left, or others know a newer incarnation. */
void dense_again(struct membership *m, uint16_t slot);
void dense_drop(struct membership *m, uint16_t slot, uint16_t last);
bool dense_heard(struct membership *m, uint16_t slot, const struct gossip *g);
void dense_tick(struct membership *m);
void dense_urgent(struct membership *m);
void dense_skip(struct membership *m, uint64_t unobserved);
void dense_told_failed(struct membership *m, uint16_t from, uint16_t slot,
                       const struct gossip_rumour *r);
bool dense_told_lately(const struct membership *m, uint16_t slot);
/* How long it may be silent, and since when it is. */
uint64_t dense_silence(const struct membership *m, uint16_t slot);
uint64_t dense_silent_from(const struct membership *m, uint16_t slot);

/* agree.c */
struct tally {
    uint32_t observers, hearing, silent;
};
struct tally agree_tally(const struct membership *m, uint16_t subject);
int agree_says(const struct membership *m, uint16_t observer, uint16_t subject);
void agree_judge(struct membership *m, uint16_t slot);
bool agree_isolated(const struct membership *m);
bool agree_believed(const struct membership *m, uint16_t slot);
bool agree_deaf(const struct membership *m, uint16_t slot);

/* swim.c */
void swim_start(struct membership *m);
void swim_tick(struct membership *m);
void swim_acked(struct membership *m, uint16_t target, const struct gossip *g);
void swim_suspect(struct membership *m, uint16_t slot, uint64_t incarnation, bool maintenance,
                  uint16_t accuser);
void swim_skip(struct membership *m, uint64_t unobserved);
bool swim_fresh(const struct membership *m, const struct peer *p); /* heard a moment ago */
void swim_pulled(struct membership *m, uint16_t from, const struct gossip *g);
void swim_told_table(struct membership *m, uint16_t from, const struct gossip *g, bool news);
void swim_insert(struct membership *m);

/* probe.c */
uint32_t probe_ask_helpers(struct membership *m, uint16_t target, uint32_t sequence);
void probe_indirect(struct membership *m, uint16_t from, const struct gossip *g);
void probe_acked(struct membership *m, uint16_t from, const struct gossip *g);
void probe_tick(struct membership *m);
uint64_t probe_patience(const struct membership *m, uint16_t target);

/* leave.c */
void leave_goodbye(struct membership *m, uint16_t from, const struct gossip *g);
void leave_acked(struct membership *m, uint16_t from);
void leave_tick(struct membership *m);
void leave_apply(struct membership *m, uint16_t slot, uint64_t incarnation);

#endif
