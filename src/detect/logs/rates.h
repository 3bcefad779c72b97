/* rates: whether a template's lines come more often or less often than they used to.
 *
 * Time goes in ticks of RATES_TICK. Of each template its mean count a tick m and the variance v are
 * kept: while it is learnt, over all ticks; then as moving averages with a half-life of RATES_HALF
 * ticks. Counts of logs come in bunches, so they are compared with a Poisson distribution that is
 * wider by F = max(1, v / m). Page's CUSUM of the logarithm of the likelihood ratio looks for a
 * rate of r = 4 times, and of a quarter of, what is expected:
 *
 *     up   <- max(0, up   + (x ln 4 - 3 e) / F)
 *     down <- max(0, down + (3/4 e - x ln 4) / F)
 *
 * with x lines in the tick where e were expected. A sum over h is a change. For what the model
 * holds of, the mean time between false alarms of one test is at least exp(h) ticks (Lorden 1971),
 * so h = ln(RATES_QUIET * tests) gives one false alarm in RATES_QUIET ticks of a whole source: 30
 * days.
 *
 * Where the whole source has more lines than it used to, more of each template are expected, in
 * proportion (a busy hour is no change), and fewer where it has fewer: e = m * total / its mean, at
 * most 8 times; up looks at growth only, down at decline only. That the whole
 * source falls silent is told by a test of its total, down alone.
 *
 * Tested is a template that was seen in at least a tenth of RATES_LEAST ticks or more; one that
 * tells of errors also if it was rarer, upwards, from RATES_LONG ticks on. A change must also be of
 * RATES_LINES lines. It is over when RATES_CALM ticks in a row had no more than twice and no less
 * than half of what is expected; meanwhile the mean follows, so a change that stays is normal after
 * some time. Sources: E. S. Page, "Continuous Inspection Schemes", Biometrika 1954; G. Lorden,
 * "Procedures for Reacting to a Change in Distribution", 1971. Pure. */
#ifndef HF_DETECT_LOGS_RATES_H
#define HF_DETECT_LOGS_RATES_H

#include "base/base.h"

#define RATES_TICK UINT64_C(5000000000) /* ns */
enum {
    RATES_LEAST = 60,     /* ticks: 5 minutes */
    RATES_LONG = 720,     /* an hour */
    RATES_HALF = 720,     /* an hour */
    RATES_QUIET = 518400, /* 30 days */
    RATES_LINES = 20,
    RATES_CALM = 6
};

enum rate_change { RATE_STEADY, RATE_MORE, RATE_FEWER, RATE_CHANGES };

struct rate {
    float mean, variance; /* of the lines in a tick */
    float up, down;
    uint32_t ticks, active; /* counted, up to a bound; with lines in them */
    uint8_t change;         /* enum rate_change */
    uint8_t calm;           /* ticks in a row, while changed */
    float was;              /* lines a tick before the change, for explanations */
};

struct rate_tick {
    uint32_t lines;
    float growth;   /* of the source's total against its mean; 1 for the total itself */
    uint32_t learn; /* ticks until it is tested; at least RATES_LEAST */
    uint32_t tests; /* how many rates the source has */
    bool error;     /* its template tells of errors */
    bool total;     /* it is the source's total: only a decline counts */
};

/* One tick is over. True: the change changed. */
bool rate_tick(struct rate *r, const struct rate_tick *t);
/* The sum over which there is a change. */
float rate_bound(uint32_t tests);
/* Adds what another one counted, at the same times. */
void rate_join(struct rate *r, const struct rate *other);

#endif
