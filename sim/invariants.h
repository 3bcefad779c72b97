/* invariants: what must hold in every cluster at every moment, whatever goes wrong. The numbers are
 * those of docs/invariants.md.
 *
 * A watch of a world (world.h). It keeps a picture of its own of what really happened: who was
 * heard by whom and when, who ran, which links were whole. The views of the nodes are held against
 * that after each event. The first violation ends the run. */
#ifndef HF_SIM_INVARIANTS_H
#define HF_SIM_INVARIANTS_H

#include "world.h"

enum invariant {
    INVARIANT_NONE = 0,
    I1_LEASE = 1,         /* at most one acts */
    I2_EPOCHS = 2,        /* only rise */
    I3_WRITES = 3,        /* that were acknowledged survive a failure */
    I5_SERVICE = 5,       /* when faults end there is a primary again */
    I20_INCARNATION = 20, /* never falls, and never comes from nowhere */
    I21_FINAL = 21,       /* left is final for an incarnation, and told once */
    I22_SUSPICION = 22,   /* needs silence */
    I23_MAJORITY = 23,    /* failed by no minority */
    I24_NOTICED = 24,     /* a lost node is failed in bounded time */
    I25_AGREEMENT = 25,   /* after the last fault */
    I26_STRANGERS = 26,   /* change nothing */
    I27_MEMORY = 27,      /* is bounded */
    I28_PROGRESS = 28,    /* nobody stands still or spins */
    I29_TOLD = 29,        /* every change once, as it was */
    I31_KEYS = 31,        /* whatever key one uses, all understand */
    I40_ORDER = 40,       /* one row of versions */
    I41_APPLIED = 41,     /* what is told of an application is so */
    I42_UPWARDS = 42,     /* no node runs an older version than it did */
    I43_FORCE = 43,       /* nor one that never was in force */
    I44_WATCHES = 44,     /* miss nothing and repeat nothing */
    I45_SAME = 45,        /* after the last fault all run head */
    I46_STATIC = 46,      /* what a node runs changes by adopting alone */
    I47_VOTERS = 47,      /* change one at a time, and wait */
};

/* How one node sees another. */
struct sight {
    bool known; /* the rest is what the node was last seen to have */
    uint8_t state, reason;
    bool maintenance;
    uint64_t incarnation;
    bool left; /* with this incarnation: */
    uint64_t left_at;
    uint64_t heard;  /* world time of the last that it read of him; 0: none in this life */
    uint64_t silent; /* when the last long silence ended; 0: never */
};
/* A node as it really is. */
struct truth {
    uint64_t well; /* since when it runs and nothing slows it; NEVER: it is not well */
    uint64_t lost; /* since when nobody can hear it; NEVER: somebody can */
    uint64_t started, sent_before;
    struct sim_heap settled; /* its memory when all had settled */
    uint64_t failed_until;   /* when somebody last took it for failed and does no more; 0: never */
};
/* How long things may take, ns. */
struct bounds {
    uint64_t notice; /* until a sound majority has failed a lost node */
    uint64_t agree;  /* after the last fault, until all views are the same */
    uint64_t quiet;  /* after the last fault, to the end of a run */
};
struct bounds bounds_of(uint32_t nodes, bool probing, bool wan);

struct invariants {
    struct world *world;
    struct watch watch;
    uint32_t n;
    struct sight *sights; /* [observer * n + subject] */
    uint64_t *whole;      /* [from * n + to]: since when the link is whole; NEVER: it is not */
    struct truth *truths;
    uint32_t *by_id;              /* nodes in the order of their ids */
    struct member_info *snapshot; /* of the reader, before a stranger's datagram */
    uint32_t turn;
    uint64_t healed;
    struct bounds bounds;
    bool settled, remembered;

    enum invariant broken;
    uint64_t broken_at;
    char text[512];
};

/* Watches w from now on. healed: when the last fault ends. */
struct invariants *invariants_new(struct world *w, uint64_t healed, const struct bounds *b);
void invariants_end(struct invariants *v); /* what holds at the end of a run */
void invariants_free(struct invariants *v);

/* Within: says what is wrong, once. */
void violated(struct invariants *v, enum invariant number, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct sight *sight_of(struct invariants *v, uint32_t observer, uint32_t subject);
void truth_stopped(struct invariants *v, uint32_t observer);
void truth_conditions(struct invariants *v);
void truth_heard(struct invariants *v, uint32_t observer, uint32_t subject, uint64_t sent);
void truth_changed(struct invariants *v, uint32_t observer, const struct member_change *c);
void truth_check_noticed(struct invariants *v, uint32_t observer);
void truth_check_agreement(struct invariants *v);

#endif
