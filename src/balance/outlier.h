/* outlier: which instances are slow, measured against their own pool.
 *
 * A fixed bound on latency ejects everybody when the database behind them is slow, and nobody when
 * one of ten takes thrice as long as the rest. So a member is compared with the others. In a window
 * it is slow when its latency is over the bound, the largest of
 *
 *   `factor` times the median of the others';
 *   that median and `least`;
 *   with four others or more: that median and 3.5 times their spread (the median absolute
 *   deviation, scaled to a standard deviation): where all differ much, that is normal.
 *
 * Median and deviation stay what they are while less than half of the pool is sick (Hampel 1974;
 * the modified z-score and its 3.5 are Iglewicz and Hoaglin's, 1993). The others, not all, so that
 * it works in a pool of two as well.
 *
 * A member that is slow in `after` windows in a row is out, the slowest first, never more than
 * `share` of the pool (at least one where there are two or more); absent members count as out. It
 * stays out for `hold`, which doubles each time up to `hold_max`; then it is on trial. It returns
 * only below the middle between median and bound (hysteresis), else it is out again. Once it was in
 * for as long as it was out, it starts with the short hold again.
 *
 *              a window's answers are ...
 *   state      too few        normal         between        slow
 *   in         as before      count anew     count anew     count; at `after`: out
 *   out        out; when the hold ends: on trial
 *   trial      trial          in             trial          out, hold doubles
 *
 * Pure: whoever sees all of a pool's answers owns the members' state, and calls outlier_judge once
 * a window. */
#ifndef HF_OUTLIER_H
#define HF_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

enum { OUTLIER_TRIAL_ANSWERS = 3, OUTLIER_SPREAD_OTHERS = 4 };

struct outlier_params {
    uint32_t factor_permille; /* 0: nobody is an outlier; else at least 1500: 1.5 times */
    uint32_t answers;         /* that a window needs to say something; on trial a few are enough */
    uint64_t least;           /* ns, a smaller difference from the median is none */
    uint32_t share_permille;  /* of the pool at most */
    uint32_t after;           /* slow windows in a row; 0 acts as 1 */
    uint64_t hold, hold_max;  /* ns */
};

enum outlier_state { OUTLIER_IN, OUTLIER_OUT, OUTLIER_TRIAL, OUTLIER_STATES };

struct outlier {
    /* set by the owner for each window */
    uint64_t latency; /* ns, typical of its answers (their median, best) */
    uint32_t answers;
    bool absent; /* it drains or failed: it is not compared, nor are others with it */
    /* kept here */
    enum outlier_state state;
    uint64_t since;    /* ns, when it got this state */
    uint64_t until;    /* ns, OUTLIER_OUT: when its trial begins */
    uint64_t hold_now; /* ns, of the last time it was out; 0: never, or long ago */
    uint32_t slow;     /* windows in a row */
    /* what it was measured at when it last went out: for explanations */
    uint64_t said_latency, said_median; /* ns */
    uint32_t said_answers, said_others;
};

/* One window is over. `scratch` has room for n. True when some member's state changed. */
bool outlier_judge(const struct outlier_params *p, struct outlier *members, uint32_t n,
                   uint64_t *scratch, uint64_t now);

/* The median of n numbers, n > 0, which are put into another order. */
uint64_t outlier_median(uint64_t *values, uint32_t n);

#endif
