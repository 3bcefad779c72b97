/* tail: how long silences are, and how rare the very long ones would be.
 *
 * A histogram of silences, and a generalised Pareto distribution fitted to those above a high
 * threshold (peaks over threshold), by probability-weighted moments: J. Hosking and J. Wallis,
 * "Parameter and quantile estimation for the generalized Pareto distribution", Technometrics 1987.
 * With shape 0 it is an exponential tail. */
#ifndef HF_SIM_TAIL_H
#define HF_SIM_TAIL_H

#include "sim.h"

enum {
    TAIL_BIN_US = 10,
    TAIL_BINS = 200000,  /* to 2 s; longer ones are in the last */
    TAIL_FITTED = 20000, /* at most so many are fitted, and one in 20,000, but not below */
    TAIL_FEWEST = 1000,
};
struct tail {
    uint64_t bins[TAIL_BINS];
    uint64_t n;
    uint64_t worst; /* ns */
};
struct tail_fit {
    uint64_t over;       /* silences above the threshold */
    double threshold;    /* ns */
    double scale, shape; /* ns; above 0 heavier than exponential, below 0 bounded */
    double mean;         /* excess, ns: the exponential fit's only parameter */
};

void tail_add(struct tail *t, uint64_t ns);
void tail_merge(struct tail *t, const struct tail *more);
double tail_quantile(const struct tail *t, double q);      /* ns */
bool tail_fit(const struct tail *t, struct tail_fit *out); /* false: too few */
/* The share of silences that are longer than ns, by the fit and by the exponential one. */
double tail_beyond(const struct tail *t, const struct tail_fit *f, double ns, bool exponential);

#endif
