/* common: what all workers of a process share of a service: its rate limits, the places and the
 * queue for requests under way, sessions that were learnt, its breaker. (balance/ has the
 * algorithms; here is who owns them.)
 *
 * The main thread makes it with each view and hands it to the workers in the shared view. What a
 * reload does not change is the same object before and after, found by the names of service and
 * route: buckets stay as empty as they were, sessions and places are kept. A limit that is changed
 * holds at once, also for workers that have not taken the view yet.
 *
 * Objects are counted by who holds them and freed by the last, any thread. Another process (an
 * upgrade) starts with empty tables. */
#ifndef HF_PROXY_COMMON_H
#define HF_PROXY_COMMON_H

#include "balance/admit.h"
#include "balance/breaker.h"
#include "balance/rate.h"
#include "balance/sticky.h"
#include "view/view.h"

/* One worker's queue at a gate. */
struct lane_queue {
    struct queue queue;
    struct list link; /* worker's, of those with waiters */
    struct live *live;
    char apart[64]; /* from the next worker's */
};

/* Of all services of a name, as long as there is one. */
struct live {
    atomic_uint refs;
    struct gate gate;
    struct breaker breaker;
    uint32_t n_workers;
    struct lane_queue queues[]; /* by worker */
};

struct shared_rate;
struct shared_sessions;

/* Those of a service or a route, in the order of its view_rules. */
struct rates {
    uint32_t n;
    struct shared_rate *list[VIEW_MAX_RATES];
};

/* Of a service that a view says something new of. */
struct common {
    atomic_uint refs;
    struct live *live;
    struct shared_sessions *sessions; /* NULL: none are learnt */
    uint32_t n_rates;
    struct rates *rates; /* owned: the service's, then those of its routes by index */
};

/* `before` is what the service of this name had, as `was` describes it; both NULL if there was
 * none. */
int common_new(const struct view_service *s, const struct view_service *was,
               const struct common *before, uint32_t n_workers, struct common **out, struct err *e);
struct common *common_ref(struct common *c);
void common_unref(struct common *c); /* NULL is allowed */

struct rate *shared_rate(const struct shared_rate *r);
struct sticky_table *shared_sessions(const struct shared_sessions *s);

/* This service's limits hold from now on. `places` is by slot. */
void common_limit(struct common *c, const struct view_service *s, struct limit *places);

#endif
