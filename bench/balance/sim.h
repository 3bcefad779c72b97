/* sim: a service behind several workers in virtual time, for comparing balancing algorithms.
 *
 * Instances have some cores and one queue, first come first served; a request needs a core for a
 * while. Workers are what the proxy's are: each has a pool of its own and sees only its own
 * requests. Requests arrive at given times (an open loop: users do not wait for each other), or
 * each client sends its next one when the last was answered (a closed loop: load tools, pools of
 * application threads). Nothing fails: this is about time.
 *
 * All draws come from the seed: equal seeds give equal requests, whatever the algorithm. */
#ifndef HF_BENCH_BALANCE_SIM_H
#define HF_BENCH_BALANCE_SIM_H

#include "balance/balance.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

enum { INSTANCES_MOST = 64 };

struct scenario {
    const char *name, *what;
    uint32_t instances, workers;
    uint32_t clients; /* closed loop; 0: open */
    double load;      /* open loop: of what all cores could do if none were slow */
    uint32_t cores;   /* of each instance, but where some are listed: */
    uint8_t cores_of[INSTANCES_MOST];
    bool weigh_cores;    /* weights are the cores; else all are 1 */
    uint32_t slow;       /* so many instances, the first ones, */
    double slow_times;   /* are so many times slower, */
    uint64_t slow_every; /* for slow_for of every so long, each at a time of its own; 0: always */
    uint64_t slow_for;
    uint64_t burst_every, burst_for; /* open loop: arrivals are */
    double burst_times;              /* so many times as frequent then */
    uint64_t length;
};

/* What requests took, of one or several runs. Zeroed at first; free ns with mem_free. */
struct samples {
    double *ns;
    size_t n, room;
    bool failed; /* memory was out */
    uint64_t picks, slow_picks;
    double imbalance; /* sum over runs of the busiest instance's utilisation over the mean */
    uint32_t runs;
};
void samples_add(struct samples *s, double ns);
void samples_sort(struct samples *s);
double samples_at(const struct samples *s, double quantile); /* sorted */

struct variant {
    const char *name;
    enum algorithm algorithm;
    uint32_t bound_permille;
    uint64_t half_life;
};

/* Adds one run. unloaded, if not NULL, gets what the requests would have taken without waiting, on
 * cores that are not slow. False when memory is out. */
bool simulate(const struct scenario *s, const struct variant *v, uint64_t seed, struct samples *out,
              struct samples *unloaded);

#endif
