/* nemesis: what goes wrong, and when. A schedule is drawn from a seed, printed one fault a line,
 * and read back, so that a run can be replayed and its schedule made smaller.
 *
 *     12.340+2.500 cut 0,1-2,3,4        from 12.34 s on for 2.5 s nothing passes between them
 *     20.000+1.000 loss 0>* 30          30% of what node 0 sends is lost
 *     31.000+4.000 slow 2 80            node 2 runs 80 ms late on average
 *
 * "A>B" is one way, "A-B" both; "*" is everybody. Faults may overlap: chances add up as
 * independent ones do, times add up, and a node runs while nothing keeps it down. A length of 0
 * means for good. docs/simulator.md lists them all. */
#ifndef HF_SIM_NEMESIS_H
#define HF_SIM_NEMESIS_H

#include "sim.h"

enum { FAULT_NODES = 64, FAULTS_MOST = 256 };

enum fault_kind {
    FAULT_CUT,         /* A>B: nothing passes */
    FAULT_LOSS,        /* A>B, percent */
    FAULT_DELAY,       /* A>B, ms on average, on top */
    FAULT_DUP,         /* A>B, percent come twice */
    FAULT_REORDER,     /* A>B, percent are held back */
    FAULT_CORRUPT,     /* A>B, percent have bits flipped */
    FAULT_REPLAY,      /* A>B, a second: what A sent before is sent again, to B or to anybody */
    FAULT_FORGE,       /* A>B, a second: strangers pretend to be A */
    FAULT_CRASH,       /* A; restarts at the end */
    FAULT_WIPE,        /* A; the same, and its disk is empty then */
    FAULT_PAUSE,       /* A; as SIGSTOP and SIGCONT */
    FAULT_SLOW,        /* A, ms that it runs late on average */
    FAULT_DRIFT,       /* A, ppm that its clock is fast; negative: slow */
    FAULT_DISK_SLOW,   /* A, ms until a write has landed */
    FAULT_DISK_FULL,   /* A: writes fail */
    FAULT_LEAVE,       /* A says goodbye and ends; restarts at the end */
    FAULT_MAINTENANCE, /* A */
    FAULT_ROTATE,      /* no fault: A begins to change the cluster's key; at once */
    /* Of the coordinator. Those without a length happen at once. */
    FAULT_COORD_AWAY,    /* from A */
    FAULT_COORD_LOSS,    /* A, percent of what A asks, and of the answers */
    FAULT_COORD_DELAY,   /* A, ms on average, on top */
    FAULT_COORD_BREAK,   /* A's watches end; of all: it has restarted */
    FAULT_COORD_COMPACT, /* it forgets its history */
    FAULT_REFUSE,        /* A's machine cannot take a new version */
    FAULT_VOTERS,        /* no fault: A should vote from now on (the first five) */
    FAULT_APPLY,         /* no fault: all of A apply a configuration of their own at once */
    FAULT_KINDS
};
const char *fault_name(enum fault_kind k);
bool fault_of_pair(enum fault_kind k);
static inline bool fault_of_coordinator(enum fault_kind k)
{
    return k >= FAULT_COORD_AWAY;
}

struct fault {
    uint64_t at, length; /* ns; length 0: for good */
    enum fault_kind kind;
    bool both;     /* ways, of a pair */
    uint64_t a, b; /* sets of nodes */
    int64_t value;
};
struct faults {
    uint32_t n;
    struct fault v[FAULTS_MOST];
};

struct nemesis_options {
    uint64_t seed, length;
    uint64_t quiet; /* so long before the end nothing is wrong any more */
    uint32_t nodes;
    bool sealed; /* attacks make sense */
    bool tame;   /* links are slow already: milder loss and delay */
    bool coordinator;
    bool rotate; /* and the key changes now and then; others are drawn all the same */
};

/* At least 20 faults in 60 seconds. */
void nemesis_draw(struct faults *out, const struct nemesis_options *o);
/* One line, without its end. */
void fault_print(const struct fault *f, uint32_t nodes, struct buf *out);
/* All of them with "; " between, for a command line. */
void faults_print(const struct faults *f, uint32_t nodes, struct buf *out);
/* Lines or ";"; blanks and lines with "#" are skipped. */
int faults_parse(struct str text, uint32_t nodes, struct faults *out, struct err *e);
/* When the last that ends has ended: of the coordinator, or of the rest. */
uint64_t faults_healed(const struct faults *f, bool coordinator);

#endif
