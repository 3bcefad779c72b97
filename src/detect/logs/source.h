/* source: the inside of a struct logs, for logs.c and baseline.c. */
#ifndef HF_DETECT_LOGS_SOURCE_H
#define HF_DETECT_LOGS_SOURCE_H

#include "detect/logs/logs.h"

struct rule_state {
    struct window window;
    bool raised;
};

struct logs {
    struct logs_params p;
    struct miner *miner;
    struct rule_state *rules;
    uint32_t learn; /* ticks */
    uint32_t ticks; /* so far, while learning and after */
    struct rate total;
    uint32_t tick_lines;
    bool tick_shed, flood;
    uint32_t flood_quiet;
    uint32_t raised[LOGS_KINDS]; /* now, of what is learnt */
    uint64_t due, now;
    struct str line; /* at hand, for rules */
    struct logs_counts counts;
};

#endif
