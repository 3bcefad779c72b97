/* quiet: days in which nothing goes wrong but that processes run late, and that some datagrams are
 * lost on a wide area. Whoever is declared failed there is so falsely.
 *
 * The silence that matters is that of a majority: a node is failed when more than half of its
 * observers have not heard it for as long as suspicion takes at least. Each time such a silence
 * ends its length is noted; the tail of these lengths says how often it would be fatal. */
#include "measure.h"

#include <stdio.h>

#include "jobs.h"
#include "tail.h"
#include "world.h"

enum { SETTLING_S = 20, NODES_MOST = 16 };
static const double year_s = 365.25 * 86400;

struct record {
    uint64_t failures, suspicions, packets;
    double seconds; /* of each node */
    struct tail tail;
};
struct observer {
    struct record *r;
    uint64_t heard[NODES_MOST][NODES_MOST]; /* [subject][observer] */
};

/* When the last of the majority that has waited longest has heard j. */
static uint64_t majority_heard(const struct observer *o, uint32_t j, uint32_t n)
{
    uint64_t sorted[NODES_MOST];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = count;
        if (i == j)
            continue;
        for (; at > 0 && sorted[at - 1] > o->heard[j][i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = o->heard[j][i];
        count++;
    }
    return sorted[count / 2];
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct observer *o = context;
    if (h->kind == HAPPENED_CHANGED && w->now > SETTLING_S * SEC) {
        o->r->failures += h->change->info.state == MEMBER_FAILED;
        o->r->suspicions +=
            h->change->info.state == MEMBER_SUSPECT && h->change->was == MEMBER_ALIVE;
    }
    if (h->kind != HAPPENED_ARRIVED)
        return;
    uint32_t j = h->packet->from, n = w->o.nodes;
    uint64_t before = majority_heard(o, j, n);
    o->heard[j][h->node] = w->now;
    uint64_t after = majority_heard(o, j, n);
    if (after != before && w->now > SETTLING_S * SEC)
        tail_add(&o->r->tail, w->now - before);
}

static void work(void *context, const struct job *j)
{
    const struct quiet *q = *(const struct quiet **)context;
    struct record *r = sim_zero(1, sizeof *r);
    struct observer o = {.r = r};
    struct watch watch = {&o, tell};
    struct world_options options = {.seed = q->seed + j->index,
                                    .nodes = q->nodes,
                                    .plain = true,
                                    .wan = q->wan,
                                    .params = member_defaults(),
                                    .jitter = q->jitter,
                                    .spread = SEC};
    struct world *w = world_new(&options);
    world_watch(w, &watch);
    world_run(w, SETTLING_S * SEC + q->length / j->count);
    r->packets = w->packets;
    r->seconds = (double)(q->length / j->count) / 1e9;
    job_write(j, r, sizeof *r);
    world_free(w);
    mem_free(r);
}

struct gathering {
    const struct quiet *q;
    struct record *sum;
};

static bool gather(void *context, const void *record)
{
    struct gathering *g = context;
    const struct record *r = record;
    g->sum->failures += r->failures;
    g->sum->suspicions += r->suspicions;
    g->sum->packets += r->packets;
    g->sum->seconds += r->seconds;
    tail_merge(&g->sum->tail, &r->tail);
    return true;
}

static void put_text(const struct quiet *q, const struct record *r, const struct tail_fit *f,
                     double heavy, double light)
{
    double ms = 1e6, limit = (double)member_defaults().suspect_after;
    printf("%.1f node-days (%u nodes, %.2f days), %s, %s\n", r->seconds * q->nodes / 86400,
           q->nodes, r->seconds / 86400, q->recording,
           q->wan ? "100 to 200 ms round trip, 1% loss" : "LAN");
    printf("false failures %llu, suspicions that passed %llu, datagrams %llu\n",
           (unsigned long long)r->failures, (unsigned long long)r->suspicions,
           (unsigned long long)r->packets);
    printf("silence of a majority: p50 %.1f ms, p99 %.1f ms, p99.99 %.1f ms, worst %.1f ms\n",
           tail_quantile(&r->tail, 0.5) / ms, tail_quantile(&r->tail, 0.99) / ms,
           tail_quantile(&r->tail, 0.9999) / ms, (double)r->tail.worst / ms);
    if (!f)
        printf("too few silences for a fit\n");
    else
        printf("tail above %.1f ms (%llu silences): scale %.3f ms, shape %.3f\n"
               "beyond %.0f ms: %.2g false failures per node-year (generalised Pareto), %.2g "
               "(exponential)\n",
               f->threshold / ms, (unsigned long long)f->over, f->scale / ms, f->shape, limit / ms,
               heavy, light);
}

static void put_json(const struct quiet *q, const struct record *r, const struct tail_fit *f,
                     double heavy, double light)
{
    printf("{\"node_days\": %.3f, \"nodes\": %u, \"wan\": %s, \"recording\": \"%s\", "
           "\"false_failures\": %llu, \"suspicions\": %llu, \"datagrams\": %llu, "
           "\"silence_ms\": {\"p50\": %.2f, \"p99\": %.2f, \"p9999\": %.2f, \"worst\": %.2f}",
           r->seconds * q->nodes / 86400, q->nodes, q->wan ? "true" : "false", q->recording,
           (unsigned long long)r->failures, (unsigned long long)r->suspicions,
           (unsigned long long)r->packets, tail_quantile(&r->tail, 0.5) / 1e6,
           tail_quantile(&r->tail, 0.99) / 1e6, tail_quantile(&r->tail, 0.9999) / 1e6,
           (double)r->tail.worst / 1e6);
    if (f)
        printf(", \"tail\": {\"threshold_ms\": %.3f, \"over\": %llu, \"scale_ms\": %.4f, "
               "\"shape\": %.4f, \"per_node_year\": %.4g, \"per_node_year_exponential\": %.4g}",
               f->threshold / 1e6, (unsigned long long)f->over, f->scale / 1e6, f->shape, heavy,
               light);
    printf("}\n");
}

bool measure_quiet(const struct quiet *q)
{
    CHECK(q->nodes >= 2 && q->nodes <= NODES_MOST);
    struct record *sum = sim_zero(1, sizeof *sum);
    struct gathering g = {q, sum};
    struct tail_fit f;
    if (!jobs_run(q->jobs, sizeof *sum, work, gather, &g, NULL))
        sim_die("a job has died");
    bool fitted = tail_fit(&sum->tail, &f);
    double heavy = 0, light = 0, limit = (double)member_defaults().suspect_after;
    if (fitted) {
        double a_year = (double)sum->tail.n / (sum->seconds * q->nodes) * year_s;
        heavy = a_year * tail_beyond(&sum->tail, &f, limit, false);
        light = a_year * tail_beyond(&sum->tail, &f, limit, true);
    }
    (q->json ? put_json : put_text)(q, sum, fitted ? &f : NULL, heavy, light);
    bool none = sum->failures == 0;
    mem_free(sum);
    return none;
}
