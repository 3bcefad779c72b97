/* arrival: how surprising a silence is, given how heartbeats came so far.
 *
 * The phi accrual failure detector (N. Hayashibara, X. Defago, R. Yared, T. Katayama, SRDS 2004):
 * phi(t) = -log10 of the chance that a heartbeat comes later than t after the last one, where the
 * intervals are taken as normally distributed with the mean and deviation of the last 200. Instead
 * of phi at a time, arrival_suspect_at tells the time at which phi reaches a threshold, so that a
 * timer can wait for it.
 *
 * Pure, integers only (the same run gives the same answer everywhere), no allocation: a plain
 * struct that its owner embeds. Time that the owner itself did not run is nobody's silence and is
 * taken out by arrival_skip. */
#ifndef HF_ARRIVAL_H
#define HF_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ARRIVAL_WINDOW = 200,
    ARRIVAL_PRIOR = 20,  /* intervals as they should be that count before any was seen */
    ARRIVAL_STRETCH = 5, /* silence of suspect_after times this is suspect in any case */
    ARRIVAL_PHI_MIN = 10,
    ARRIVAL_PHI_MAX = 200, /* tenths */
};

struct arrival {
    uint64_t last;                    /* ns, the last sign of life; 0: none yet */
    uint64_t sum, squares;            /* of the samples: us, us^2 */
    uint32_t samples[ARRIVAL_WINDOW]; /* us, a ring */
    uint16_t n, at;
    bool regular; /* the last sign was a heartbeat in its turn: the next one gives a sample */
};

struct arrival_params {
    uint64_t interval;      /* ns between heartbeats: the least mean; a quarter of it is the least
                               deviation */
    uint64_t suspect_after; /* ns: never suspect before */
    uint32_t phi_tenths;
};

void arrival_init(struct arrival *a);
/* A sign of life; regular: a heartbeat in its turn, otherwise it tells nothing about intervals.
 * longest: a longer interval was an outage and is none, so that it does not blind for the next. */
void arrival_heard(struct arrival *a, uint64_t now, bool regular, uint64_t longest);
/* The last sign is no measure for the next one: after a failure. */
void arrival_break(struct arrival *a);
/* For `unobserved` ns up to now the owner did not run. */
void arrival_skip(struct arrival *a, uint64_t unobserved, uint64_t now);
/* ns, when silence since the last sign reaches phi: not before suspect_after, at the latest after
 * ARRIVAL_STRETCH of them. UINT64_MAX when there was no sign yet. */
uint64_t arrival_suspect_at(const struct arrival *a, const struct arrival_params *p);
/* Mean and deviation of the window, us. */
uint32_t arrival_mean(const struct arrival *a);
uint32_t arrival_deviation(const struct arrival *a);

#endif
