/* A world of three candidates for failover_world_test.c: the whole core of each with lease and
 * voter, a coordinator, a membership that is late and sometimes wrong, and instances that keep a
 * log of writes, which is lost when they die. A tick is a millisecond. */
#ifndef HF_RECOVER_FAILOVER_WORLD_TEST_H
#define HF_RECOVER_FAILOVER_WORLD_TEST_H

#include "recover/failover.h"

enum {
    NODES = 3,
    QUEUE = 2048,
    LOG = 16384,
    LEASE = 60,
    DEMOTE = 12,
    BEAT = 10,
    FAILED_AFTER = 60
};
#define TICK UINT64_C(1000000)
#define AWAY UINT64_MAX

enum parcel_kind { TO_VOTER, TO_HOLDER, TO_NODE, TO_COORDINATOR, FROM_COORDINATOR };
struct parcel {
    uint64_t at;
    uint8_t from, to, kind;
    struct lease_message lease;
    struct role_message role;
    bool cas, conflict, lost_answer;
    uint64_t ticket, expected, incarnation;
    struct failover_record record;
};

struct instance {
    bool promoted, joined;
    uint8_t follows;
    uint64_t epoch; /* heard */
    uint64_t history, follows_epoch, join_at, join_until;
    uint32_t n, life, joined_life;
    uint32_t log[LOG];
    uint64_t down_until, ill_until; /* ill: it takes no write, and obeys */
    /* the order under way */
    uint64_t ticket, due, order_epoch;
    uint8_t act, place;
};

struct world;
struct member {
    struct world *world;
    uint8_t place;
    struct failover core;
    struct lease_holder holder;
    struct lease_voter voter;
    struct instance instance;
    struct failover_row row;
    uint64_t incarnation, asked_ticket, asked_at;
    bool outdated, asked_cas, deaf; /* its agent never answers the next fence */
    uint64_t asks[8], asks_at[8];
    bool asks_cas[8];
    uint64_t down_until, cut_until, paused_until;
    uint32_t pending; /* the first position that is not acknowledged */
    uint64_t gate_was;
};

/* A rule that is left out, for a test of the test. */
enum plant {
    PLANT_NONE,
    PLANT_NO_HISTORY,  /* the agent names one history for all */
    PLANT_FENCE_LIES,  /* who is fenced does not say how much it has */
    PLANT_ACKS_LIE,    /* the agent says that all have everything */
    PLANT_FIRST_COME,  /* replies wait for one less */
    PLANT_OLD_SET,     /* the row's set is not looked at */
    PLANT_ALWAYS_HELD, /* the lease is not waited for */
    PLANTS
};

struct world {
    struct prng prng;
    uint64_t tick, revision, away_until;
    bool calm, traced, busy; /* busy: commands never end by themselves */
    double loss, slow, crash, breaks, cut, pause, wrong, away, unknown, operator, ill;
    enum plant plant;
    uint32_t sync;
    bool strict;
    struct member nodes[NODES];
    struct parcel queue[QUEUE];
    uint32_t queued;
    struct failover_record record; /* the coordinator's */
    uint32_t acked_at[LOG];        /* by position: the write that was acknowledged there */
    uint32_t acknowledged, written, promotions, catch_ups, switchovers, waits, demotions;
    uint64_t promoted_epoch, serving_ticks;
    const char *broken;
};

struct world *world_make(uint64_t seed, uint32_t sync, enum plant plant);
void world_run(struct world *w, uint64_t ticks);
void world_calm(struct world *w);
/* One acts, the recorded one, all others follow it and are in sync. */
bool world_is_well(const struct world *w);
/* Who acts: a promoted instance behind an open gate; ROLE_NOBODY. */
uint8_t world_acts(const struct world *w);
void world_crash(struct world *w, uint8_t i, uint64_t ticks);
void world_break(struct world *w, uint8_t i, uint64_t ticks);
void world_ail(struct world *w, uint8_t i, uint64_t ticks);

#endif
