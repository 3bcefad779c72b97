/* totals: the counters of one service or instance, all workers together, and what they were a
 * moment ago.
 *
 * `struct history` keeps, by slot, the counts of one to two seconds and the latency buckets of five
 * to ten seconds before now, sampled by admin's timer; status subtracts them from today's. */
#ifndef HF_ADMIN_TOTALS_H
#define HF_ADMIN_TOTALS_H

#include "view/cells.h"
#include "view/view.h"

struct service_totals {
    uint64_t requests, status[6], retries, retries_denied, refused_heads, no_instance, tunnels,
        relayed, hedges, hedges_won, mirrored, mirrors_lost;
    uint64_t rate_limited, waiting, waited, queue_full, queue_late, stuck, unstuck, broken, breaker,
        breaker_opened;
    uint64_t held, held_total, hold_refused, cut_deposed, led_on, commits;
    uint64_t read_replica, read_primary, read_left;
    uint64_t bytes_in, bytes_out, latency_us_sum;
    uint64_t latency[LATENCY_BUCKETS];
};

struct instance_totals {
    uint64_t inflight, requests, ok, refused, timeouts, resets, errors_5xx, connects, idle;
    uint64_t latency_us_sum;
    uint64_t latency[LATENCY_BUCKETS];
    enum verdict proxy_verdict; /* the worst of the workers' own */
};

struct listener_totals {
    uint64_t open, accepted, refused, bad_hellos, bad_heads, rests, bytes_in, bytes_out;
};

/* Slots come from a decoded view, but may lie outside these tables: then all is 0. */
void totals_service(const struct cells *c, uint32_t workers, uint32_t slot,
                    struct service_totals *out);
void totals_instance(const struct cells *c, uint32_t workers, uint32_t slot,
                     struct instance_totals *out);

void totals_listener(const struct cells *c, uint32_t workers, uint32_t slot,
                     struct listener_totals *out);

/* A number that another process wrote, clamped to a verdict. */
enum verdict verdict_clamp(uint64_t v);

/* us below which the share q of the counts lies, interpolated in its bucket; false when all counts
 * are 0. What lies beyond the last bound is told as that bound. */
bool latency_quantile(const uint64_t counts[LATENCY_BUCKETS], double q, double *us);

struct past {
    uint64_t requests[2], errors[2];      /* [0] is the older sample */
    uint32_t latency[2][LATENCY_BUCKETS]; /* modulo 2^32: only differences matter */
    bool seen; /* the first sample is its own past: no rate from counters of long ago */
};

struct history {
    struct past *services, *instances; /* by slot; owned */
    uint32_t n_services, n_instances;
    uint64_t fast_at[2], slow_at[2]; /* ns, when the samples were taken */
};

enum { HISTORY_FAST_S = 1, HISTORY_SLOW_S = 5 };

int history_init(struct history *h, const struct cells *c, uint64_t now, struct err *e);
void history_free(struct history *h);
/* Takes the samples that are due. */
void history_sample(struct history *h, const struct view *v, const struct cells *c, uint64_t now);

struct recent {
    double requests_per_second, errors_per_second;
    uint64_t latency[LATENCY_BUCKETS];
};
void history_service(const struct history *h, uint32_t slot, const struct service_totals *t,
                     uint64_t now, struct recent *out);
void history_instance(const struct history *h, uint32_t slot, const struct instance_totals *t,
                      uint64_t now, struct recent *out);

#endif
