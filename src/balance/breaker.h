/* breaker: a service that fails is left alone for a while, and its clients get their answer at once
 * (Nygard, "Release It!", 2007). One for each service, shared by all workers.
 *
 *   state      a request ...               and what came of it ...
 *   closed     passes                      is counted; opens when, of at least `requests` in the
 *                                          last `window`, a share of `failures` or more failed
 *   open       is stopped; the first one   of one that passed earlier: ignored
 *              after `open_for`: half-open
 *   half-open  passes as a probe while     of a probe: `probes` good ones close it, with an empty
 *              fewer than `probes` do,     window; a bad one opens it again; an abandoned one gives
 *              else is stopped             its place to another. Half-open for `open_for` without
 *                                          a decision: it begins anew with fresh probes
 *
 * Every change begins a new generation, and what comes of a request counts only in the generation
 * in which it passed: late failures of a time before do not open it again.
 *
 * Any thread, no locks: closed, a request costs two loads and, when it is told, one
 * compare-and-swap. Counts that race with the turn of a tenth of the window may be lost, never
 * doubled. */
#ifndef HF_BREAKER_H
#define HF_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "balance/balance.h"

enum { BREAKER_BUCKETS = 10, BREAKER_PROBES_MAX = 10000 };

struct breaker_params {
    uint32_t failure_permille; /* 0: it never opens */
    uint32_t requests;         /* fewer in the window say nothing; 0 acts as 1 */
    uint64_t window, open_for; /* ns */
    uint32_t probes;           /* 1..BREAKER_PROBES_MAX */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATES };
const char *breaker_state_name(enum breaker_state s); /* "closed", "open", "half-open" */

/* Zeroed: closed. */
struct breaker {
    _Atomic uint64_t word;                     /* state, generation, probes */
    _Atomic uint64_t until;                    /* ns, when open or half-open ends */
    _Atomic uint64_t opened;                   /* how often it opened */
    _Atomic uint64_t buckets[BREAKER_BUCKETS]; /* tenths of the window */
};

struct breaker_ticket {
    uint32_t generation;
    bool stopped; /* answer at once; it is not told */
    bool probe;
};

/* May this request pass? *changed (may be NULL): the state changed here, for who tells of it. */
struct breaker_ticket breaker_ask(struct breaker *b, const struct breaker_params *p, uint64_t now,
                                  bool *changed);
/* What came of it: once for each that was not stopped. True when the state changed here. */
bool breaker_tell(struct breaker *b, const struct breaker_params *p, struct breaker_ticket t,
                  enum outcome outcome, uint64_t now);

enum breaker_state breaker_state(const struct breaker *b);
/* ns until the next probe may pass, for Retry-After; 0 unless open. */
uint64_t breaker_wait(const struct breaker *b, uint64_t now);
/* Of the last window: how many failed of how many. */
void breaker_counts(const struct breaker *b, const struct breaker_params *p, uint64_t now,
                    uint64_t *failed, uint64_t *requests);

#endif
