/* vitals_gauge: one condition with two thresholds. Inside vitals only. */
#ifndef HF_DETECT_VITALS_GAUGE_H
#define HF_DETECT_VITALS_GAUGE_H

#include "detect/vitals.h"

struct vital_rule {
    enum finding_kind kind;
    double raise, clear;
    double weight; /* of a look at or above `raise` */
};

/* Of whom. */
struct vital_of {
    const struct vitals_host *host;
    enum subject_kind kind;
    struct str name;
    uint64_t key; /* tells conditions of one kind apart */
    uint64_t now;
};

/* fmt: in words, with the numbers. */
void vital_step(const struct vital_of *of, struct vital_gauge *g, const struct vital_rule *r,
                double value, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The mean of logarithms of what is usual, fading; `known` is raised to `most`. */
void vital_learn(double *typical, uint32_t *known, double value, uint32_t most);
/* A number for a name, to tell conditions of one subject apart; never 0. */
uint64_t vital_key(const char *name);

#endif
