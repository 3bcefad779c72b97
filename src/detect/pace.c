#include "detect/pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define RECENT     5.0  /* s, half-life of what is recent */
#define WIDEST     4.0  /* times, that any spread may widen a bound */
#define OTHERS_MIN 10.0 /* recent answers that make somebody comparable */
#define ERRORS_MIN 100.0

enum { OTHERS_SPREAD = 5 /* that a spread can be told of */ };

/* The part of the evidence that one look adds at most, by bound. */
static const double others_step[PACER_BOUNDS] = {1.0 / 8, 1.0 / 5, 1.0 / 8};
static const double before_step[PACER_BOUNDS] = {1.0 / 16, 1.0 / 6, 1.0 / 16};
static const double errors_step[PACER_BOUNDS] = {1.0 / 4, 1.0 / 4, 1.0 / 4};

struct bound {
    unsigned bucket;
    double part; /* of this bucket, and all above it, is over the bound */
    double p0, p1;
};

/* Of all instances of one pool. */
struct pool {
    const struct pacer_params *params;
    struct sketch sum;         /* of the comparable ones' shares */
    double weight;             /* their recent answers */
    double sorted[PACER_MOST]; /* their medians */
    double surges[PACER_MOST]; /* and those of this look, times the recent one; sorted */
    double times[PACER_MOST];  /* the same over the median of the past, of those that have one */
    uint32_t n, n_surges, n_times;
    double spread;             /* times, that a bound is from the median */
    double bad, all;           /* recent answers of everybody */
    double look_bad, look_all; /* in this look */
    uint64_t good;
    uint64_t now;
};

struct pacer_params pacer_of_requests(void)
{
    return (struct pacer_params){
        .factor = 1.5, .least = 0.003, .evidence = PACER_EVIDENCE, .enough = 10};
}

/* A check comes once a second and not thousands of times, so it needs less evidence: exp(14)
 * checks are 14 days, and a check is no more than one stall. */
struct pacer_params pacer_of_checks(void)
{
    return (struct pacer_params){.factor = 2, .least = 0.005, .evidence = 14, .enough = 1};
}

void pacer_look(struct pacer *p, const struct pacer_look *l, uint64_t now)
{
    p->look = *l;
    p->seconds = p->at && now > p->at ? (double)(now - p->at) / 1e9 : 0;
    p->at = now;
    p->n = 0;
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++)
        p->n += l->answers[i];
    if (p->n || l->errors || l->lost)
        p->answered_at = now;
}

/* ---- the pool ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool is_comparable(const struct pool *pool, const struct pacer *p)
{
    return !p->look.apart && (double)p->recent.total >= MIN(OTHERS_MIN, 5 * pool->params->enough);
}

static bool has_learnt(const struct pacer *p)
{
    return (double)p->past.total >= PACER_LEARNT;
}

static double median_of(const double *sorted, uint32_t n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Of sorted numbers without this one of them. */
static double median_without(const double *sorted, uint32_t n, double without)
{
    uint32_t left = n - 1, at = 0;
    while (at < n && sorted[at] < without)
        at++;
    uint32_t high = left / 2, low = left % 2 ? high : high - 1;
    return (sorted[low + (low >= at)] + sorted[high + (high >= at)]) / 2;
}

/* 3.5 times their median absolute deviation, of logarithms. */
static double spread_of(const double *sorted, uint32_t n)
{
    double off[PACER_MOST];
    if (n < OTHERS_SPREAD)
        return 1;
    double middle = log(median_of(sorted, n));
    for (uint32_t i = 0; i < n; i++)
        off[i] = fabs(log(sorted[i]) - middle);
    qsort(off, n, sizeof *off, by_size);
    return exp(3.5 * 1.4826 * median_of(off, n));
}

/* Of this look alone, where it has some answers: what all have in common changes at once. */
static void survey_look(struct pool *pool, struct pacer *p)
{
    p->surge = p->times = 1;
    if (p->n >= 5) {
        struct sketch look = {0};
        for (unsigned i = 0; i < SKETCH_BUCKETS; i++)
            sketch_put(&look, i, p->look.answers[i]);
        p->surge = sketch_quantile(&look, 0.5) / p->median;
        pool->surges[pool->n_surges++] = p->surge;
    }
    if (has_learnt(p)) {
        p->times = p->surge * p->median / sketch_quantile(&p->past, 0.5);
        pool->times[pool->n_times++] = p->times;
    }
}

static void survey(struct pool *pool, struct pacer **all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct pacer *p = all[i];
        if (p->look.apart)
            continue;
        double bad = (double)p->look.errors + p->look.lost;
        pool->bad += (double)p->recent_bad;
        pool->all += (double)p->recent_all;
        pool->look_bad += bad;
        pool->look_all += bad + p->n;
        pool->good += p->n;
        p->median = sketch_quantile(&p->recent, 0.5);
        if (!is_comparable(pool, p))
            continue;
        pool->sorted[pool->n++] = p->median;
        pool->weight += (double)p->recent.total;
        sketch_merge(&pool->sum, &p->recent, 1 / (double)p->recent.total);
        survey_look(pool, p);
    }
    qsort(pool->sorted, pool->n, sizeof *pool->sorted, by_size);
    qsort(pool->surges, pool->n_surges, sizeof *pool->surges, by_size);
    qsort(pool->times, pool->n_times, sizeof *pool->times, by_size);
    pool->spread = spread_of(pool->sorted, pool->n);
}

/* How much slower than just now the others are in this look: at least 1. */
static double surge_of_others(const struct pool *pool, const struct pacer *p)
{
    uint32_t mine = p->n >= 5;
    if (pool->n_surges <= mine)
        return 1;
    double all = mine ? median_without(pool->surges, pool->n_surges, p->surge)
                      : median_of(pool->surges, pool->n_surges);
    return MAX(all, 1.0);
}

/* How much slower than they used to be the others are, where there are two or more. */
static double common_of_others(const struct pool *pool, const struct pacer *p)
{
    if (pool->n_times < 3)
        return 1;
    return MAX(median_without(pool->times, pool->n_times, p->times), 1.0);
}

/* ---- evidence ---- */

static double largest(const struct pacer_alarm *a)
{
    double most = 0;
    for (int i = 0; i < PACER_BOUNDS; i++)
        most = MAX(most, (double)a->score[i]);
    return most;
}

/* x of n are over the bound. */
static void add(struct pacer_alarm *a, int i, const struct bound *b, double x, double n,
                double most, double step)
{
    double gain = x * log(b->p1 / b->p0) + (n - x) * log((1 - b->p1) / (1 - b->p0));
    double score = (double)a->score[i] + MAX(MIN(gain, step * most), -step * most);
    a->score[i] = (float)MAX(MIN(score, most), 0.0);
}

/* True when it changed. */
static bool settle(struct pacer_alarm *a, double most, double low, uint64_t now)
{
    double score = largest(a);
    bool raised = a->raised ? score > low : score >= most - 1e-3;
    if (raised == a->raised)
        return false;
    a->raised = raised;
    a->since = now;
    return true;
}

static bool let_go(struct pacer_alarm *a, uint64_t now)
{
    bool was = a->raised;
    memset(a->score, 0, sizeof a->score);
    a->raised = false;
    if (was)
        a->since = now;
    return was;
}

static struct bound place(const struct pool *pool, double from, double times)
{
    double at = MAX(from * times, from + pool->params->least);
    unsigned in = sketch_bucket(at);
    double part = log2(sketch_bound(in) / at) * SKETCH_PER_DOUBLING;
    return (struct bound){.bucket = in, .part = MAX(MIN(part, 1.0), 0.0)};
}

/* `known`: answers that the share of the reference rests on. */
static struct bound bound_at(const struct pool *pool, const struct sketch *reference, double known,
                             double from, double times)
{
    struct bound b = place(pool, from, times);
    double over = sketch_above(reference, b.bucket) + b.part * (double)reference->weight[b.bucket];
    double share = MAX(over, 0.0) / MAX((double)reference->total, 1e-9);
    double unsure = pool->params->enough > 1 ? 0.02 : 0.05;
    b.p0 = MIN(1.2 * share + unsure + 1 / (known + 1), 0.5);
    b.p1 = MAX(0.5, b.p0 + 0.15);
    return b;
}

/* Half of its answers are over it: that needs no knowledge of how they spread. */
static struct bound median_bound(const struct pool *pool, double from, double times)
{
    struct bound b = place(pool, from, times);
    b.p0 = 0.42;
    b.p1 = 0.58;
    return b;
}

static void count_over(struct pacer *p, enum pacer_sense s, const struct bound *bounds,
                       const double *step, const struct pool *pool)
{
    for (int i = 0; i < PACER_BOUNDS; i++) {
        double over = bounds[i].part * p->look.answers[bounds[i].bucket];
        for (unsigned k = bounds[i].bucket + 1; k < SKETCH_BUCKETS; k++)
            over += p->look.answers[k];
        add(&p->alarm[s], i, &bounds[i], over, p->n, pool->params->evidence, step[i]);
    }
}

/* For a part of its answers: at least one of five is far out in the tail. */
static struct bound tail_bound(const struct pool *pool, const struct sketch *reference,
                               double known, double from, double times)
{
    struct bound b = bound_at(pool, reference, known, from, times);
    b.p1 = MAX(0.2, b.p0 + 0.15);
    return b;
}

static void note(struct pacer_alarm *a, const struct pacer *p, double normal, uint32_t of)
{
    a->now = (float)p->median;
    a->normal = (float)normal;
    a->answers = (uint32_t)lrint((double)p->recent.total);
    a->of = of;
}

static bool judge_others(const struct pool *pool, struct pacer *p)
{
    struct pacer_alarm *a = &p->alarm[PACER_OTHERS];
    struct sketch others = pool->sum;
    double most = pool->params->evidence;
    if (!is_comparable(pool, p) || pool->n < 2 || p->n == 0)
        return false;
    sketch_merge(&others, &p->recent, -1 / (double)p->recent.total);
    double known = pool->weight - (double)p->recent.total;
    double median = median_without(pool->sorted, pool->n, p->median);
    double surge = surge_of_others(pool, p);
    double times = MIN(MAX(pool->params->factor, pool->spread), WIDEST) * surge;
    struct bound bounds[PACER_BOUNDS] = {
        median_bound(pool, median, times),
        bound_at(pool, &others, known, median, MAX(3 * surge, 1.5 * times)),
        tail_bound(pool, &others, known, sketch_quantile(&others, 0.9), 3 * surge),
    };
    count_over(p, PACER_OTHERS, bounds, others_step, pool);
    if (largest(a) > 0)
        note(a, p, median, pool->n - 1);
    return settle(a, most, most * 0.6, pool->now);
}

static bool judge_before(const struct pool *pool, struct pacer *p)
{
    struct pacer_alarm *a = &p->alarm[PACER_BEFORE];
    double most = pool->params->evidence;
    if (!has_learnt(p) || p->n == 0)
        return false;
    double median = sketch_quantile(&p->past, 0.5);
    double habit = (double)p->habits.total > 0 ? sketch_quantile(&p->habits, 0.99) : 1;
    double common = is_comparable(pool, p) ? common_of_others(pool, p) : 1;
    double times = MIN(MAX(pool->params->factor, 1.2 * habit), WIDEST) * common;
    double known = (double)p->past_all;
    struct bound bounds[PACER_BOUNDS] = {
        median_bound(pool, median, times),
        bound_at(pool, &p->past, known, median, MAX(3 * common, 2 * times)),
        tail_bound(pool, &p->past, known, sketch_quantile(&p->past, 0.9),
                   MAX(4 * common, 1.5 * times)),
    };
    bounds[1].p1 = 0.7; /* a burst of load brings some answers over it, a fault most */
    count_over(p, PACER_BEFORE, bounds, before_step, pool);
    if (largest(a) > 0)
        note(a, p, median, 0);
    return settle(a, most, most * 0.6, pool->now);
}

static bool judge_errors(const struct pool *pool, struct pacer *p)
{
    static const double shares[PACER_BOUNDS] = {0.01, 0.1, 0.4};
    struct pacer_alarm *a = &p->alarm[PACER_ERRORS];
    double bad = p->look.errors + p->look.lost, all = bad + p->n, most = pool->params->evidence;
    double others = MAX(pool->all - (double)p->recent_all, 0.0), p0 = 0, known = 0;
    if (all <= 0)
        return false;
    if (others >= ERRORS_MIN) {
        double now = pool->look_all - all;
        p0 = MAX(pool->bad - (double)p->recent_bad, 0.0) / others;
        p0 = now > 0 ? MAX(p0, (pool->look_bad - bad) / now) : p0;
        known += others;
    }
    if ((double)p->past_all >= ERRORS_MIN) {
        p0 = MAX(p0, (double)(p->past_bad / p->past_all));
        known += (double)p->past_all;
    }
    if (known <= 0)
        return false;
    double normal = p0;
    p0 = MIN(1.5 * p0 + MAX(0.001, 1 / (known + 1)), 0.5);
    for (int i = 0; i < PACER_BOUNDS; i++) {
        struct bound b = {.p0 = p0, .p1 = MIN(MAX(shares[i], (3 + i) * p0), 0.95)};
        add(a, i, &b, bad, all, most, errors_step[i]);
    }
    if (largest(a) > 0) {
        a->now = p->recent_all > 0 ? p->recent_bad / p->recent_all : 0;
        a->normal = (float)normal;
        a->answers = (uint32_t)lrint((double)p->recent_all);
    }
    return settle(a, most, most - 6, pool->now);
}

/* How long it may be silent. */
static uint64_t patience(const struct pacer *p, bool alone)
{
    double longest = has_learnt(p) ? MAX(8 * sketch_quantile(&p->past, 0.99), 1.0) : 3;
    return (uint64_t)(MIN(longest, 60.0) * 1e9) * (alone ? 2 : 1);
}

static bool judge_hang(const struct pool *pool, struct pacer *p)
{
    struct pacer_alarm *a = &p->alarm[PACER_HANG];
    if (p->n || p->look.errors || p->look.waiting == 0) {
        p->silent_since = 0;
        p->unanswered = 0;
        p->others_answer = false;
        return let_go(a, pool->now);
    }
    if (p->look.sent && !p->silent_since)
        p->silent_since = pool->now;
    p->unanswered += p->look.sent;
    p->others_answer |= pool->good > 0;
    uint64_t silent = p->silent_since ? pool->now - p->silent_since : 0;
    bool hangs = p->unanswered >= PACER_SILENT && silent >= patience(p, !p->others_answer);
    if (!hangs || a->raised)
        return false;
    a->raised = true;
    a->since = pool->now;
    return true;
}

/* ---- what is learnt ---- */

/* How much slower than usual a look was becomes a habit some seconds later, unless there is an
 * alarm by then, or half the evidence for one: a fault must not become one while it is being
 * found. */
static void learn_habit(struct pacer *p, double times, double most, double late)
{
    uint32_t at = p->n_pending % PACER_PENDING;
    if (p->alarm[PACER_BEFORE].raised) {
        p->n_pending = 0;
        return;
    }
    if (largest(&p->alarm[PACER_BEFORE]) > most / 2)
        return;
    if (p->n_pending >= PACER_PENDING) {
        sketch_fade(&p->habits, late);
        sketch_put(&p->habits, sketch_bucket((double)p->pending[at]), 1);
    }
    p->pending[at] = (float)times;
    p->n_pending++;
}

static void learn_look(struct pacer *p, const struct pacer_params *params, double late)
{
    struct sketch look = {0};
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++)
        sketch_put(&look, i, p->look.answers[i]);
    if (p->n >= 5 && has_learnt(p))
        learn_habit(p, sketch_quantile(&look, 0.5) / sketch_quantile(&p->past, 0.5),
                    params->evidence, late);
    sketch_fade(&p->past, late);
    sketch_merge(&p->past, &look, MIN(1 / params->enough, 1 / (double)p->n));
}

static void learn(struct pacer *p, const struct pacer_params *params)
{
    double soon = exp2(-p->seconds / RECENT), late = exp2(-p->seconds / PACER_MEMORY);
    double bad = (double)p->look.errors + p->look.lost, all = bad + p->n;
    sketch_fade(&p->recent, soon);
    p->recent_bad = (float)((double)p->recent_bad * soon + bad);
    p->recent_all = (float)((double)p->recent_all * soon + all);
    for (unsigned i = 0; i < SKETCH_BUCKETS && p->n; i++)
        if (p->look.answers[i])
            sketch_put(&p->recent, i, p->look.answers[i]);
    if (all <= 0)
        return;
    p->past_bad = (float)((double)p->past_bad * late + bad);
    p->past_all = (float)((double)p->past_all * late + all);
    if (p->n)
        learn_look(p, params, late);
}

static bool judge_one(const struct pool *pool, struct pacer *p)
{
    bool changed = false;
    if (p->look.apart || pool->now - p->answered_at >= PACER_IDLE) {
        for (int s = 0; s < PACER_HANG; s++)
            changed |= let_go(&p->alarm[s], pool->now);
        if (p->look.apart)
            return let_go(&p->alarm[PACER_HANG], pool->now) || changed;
    }
    changed |= judge_others(pool, p);
    changed |= judge_before(pool, p);
    changed |= judge_errors(pool, p);
    changed |= judge_hang(pool, p);
    return changed;
}

bool pacer_judge(struct pacer **all, uint32_t n, const struct pacer_params *params, bool blind,
                 uint64_t now)
{
    CHECK(n <= PACER_MOST);
    struct pool pool = {.params = params, .now = now};
    bool changed = false;
    if (blind)
        return false;
    survey(&pool, all, n);
    for (uint32_t i = 0; i < n; i++)
        changed |= judge_one(&pool, all[i]);
    for (uint32_t i = 0; i < n; i++)
        if (!all[i]->look.apart)
            learn(all[i], params);
    return changed;
}

bool pacer_doubts(const struct pacer *p)
{
    for (int s = 0; s < PACER_HANG; s++)
        if (p->alarm[s].raised || largest(&p->alarm[s]) > 2)
            return true;
    return false;
}
