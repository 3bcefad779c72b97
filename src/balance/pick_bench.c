/* pick_bench: nanoseconds per request, pool_pick and pool_end together, and per pool_update, for
 * every algorithm and some sizes. No test: it measures, and judges nothing.
 * Usage: bench_balance_pick [picks] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "balance/balance.h"

enum { WINDOW = 32, ROUNDS = 15 }; /* requests in flight; measurements */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Of several rounds the fastest: what else the machine does only ever adds. */
#define FASTEST(RESULT, MEASURE)                                                                   \
    do {                                                                                           \
        double least = (MEASURE);                                                                  \
        for (int round = 1; round < ROUNDS; round++) {                                             \
            double again = (MEASURE);                                                              \
            least = MIN(least, again);                                                             \
        }                                                                                          \
        (RESULT) = least;                                                                          \
    } while (0)

/* With weights all alike, or from 1 to 4. */
static struct pool pool_of(enum algorithm a, uint32_t n, bool uneven)
{
    struct pool p;
    struct err e;
    if (pool_init(&p, a, n, 500, 1, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    for (uint32_t i = 0; i < n; i++)
        p.members[i].weight = uneven ? 1 + i % 4 : 1;
    pool_update(&p);
    return p;
}

struct load {
    struct pool *pool;
    uint32_t with[WINDOW];
    uint64_t hash, now;
};

static struct load load_of(struct pool *p)
{
    struct load l = {.pool = p, .now = 1000000000};
    for (uint32_t k = 0; k < WINDOW; k++)
        l.with[k] = (uint32_t)pool_pick(p, NULL, l.hash += UINT64_C(0x9e3779b97f4a7c15), l.now);
    return l;
}

static double requests(struct load *l, uint32_t picks)
{
    double before = now_ns();
    for (uint32_t k = 0; k < picks; k++) {
        uint32_t i = l->with[k % WINDOW];
        l->now += 20000;
        pool_end(l->pool, i, OUTCOME_OK, 500000 + (l->hash >> 45), l->now);
        l->hash += UINT64_C(0x9e3779b97f4a7c15);
        l->with[k % WINDOW] = (uint32_t)pool_pick(l->pool, NULL, l->hash, l->now);
    }
    return (now_ns() - before) / picks;
}

/* What of it is for learning. */
static double observations(struct load *l, uint32_t times)
{
    double before = now_ns();
    for (uint32_t k = 0; k < times; k++) {
        l->now += 20000;
        l->hash += UINT64_C(0x9e3779b97f4a7c15);
        pool_observe(l->pool, l->with[k % WINDOW], OUTCOME_OK, 500000 + (l->hash >> 45), l->now);
    }
    return (now_ns() - before) / times;
}

/* A verdict changes: the table stays. */
static double updates(struct pool *p)
{
    enum { UPDATES = 50 };
    double before = now_ns();
    for (int k = 0; k < UPDATES; k++) {
        p->members[0].draining = k % 2;
        pool_update(p);
    }
    return (now_ns() - before) / UPDATES;
}

/* A weight changes: the table is built. */
static double builds(struct pool *p)
{
    enum { BUILDS = 2 };
    double before = now_ns();
    for (int k = 0; k < BUILDS; k++) {
        p->members[p->n - 1].weight = 1 + (uint32_t)k % 2;
        pool_update(p);
    }
    return (now_ns() - before) / BUILDS;
}

static void row(enum algorithm a, uint32_t picks)
{
    static const uint32_t sizes[] = {3, 10, 64, POOL_MAX};
    double ns;
    printf("| %s ", algorithm_name(a));
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct pool p = pool_of(a, sizes[s], false);
        struct load l = load_of(&p);
        FASTEST(ns, requests(&l, picks));
        printf("| %.0f ", ns);
        pool_free(&p);
    }
    struct pool p = pool_of(a, 10, true);
    struct load l = load_of(&p);
    FASTEST(ns, requests(&l, picks));
    printf("| %.0f ", ns);
    FASTEST(ns, observations(&l, picks));
    printf("| %.0f ", ns);
    FASTEST(ns, updates(&p));
    printf("| %.1f ", ns / 1000);
    FASTEST(ns, builds(&p));
    printf("| %.1f ", ns / 1000);
    pool_free(&p);
    p = pool_of(a, POOL_MAX, true);
    FASTEST(ns, builds(&p));
    printf("| %.0f |\n", ns / 1000);
    pool_free(&p);
}

int main(int argc, char **argv)
{
    uint32_t picks = argc > 1 ? (uint32_t)atoi(argv[1]) : 20000;
    printf("| ns a request | 3 | 10 | 64 | 1024 | 10, weights 1 to 4 | of it learning | us: new "
           "verdict of 10 "
           "| new weight of 10 | of 1024 |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (int a = 0; a < ALGORITHMS; a++)
        row((enum algorithm)a, picks);
    return 0;
}
