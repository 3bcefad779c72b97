/* A process: whether its memory or its descriptors grow towards their limit. */
#include "detect/vitals.h"

#include <math.h>
#include <stdlib.h>

#include "detect/vitals_gauge.h"

#define S UINT64_C(1000000000)

/* The shorter the scale, the nearer the limit must be: what grew for half a minute may stop in the
 * next. */
static const struct {
    uint64_t period;   /* ns between points */
    double horizon;    /* s until the limit */
    const char *words; /* for how long it has grown, when the ring is full */
} scales[TREND_SCALES] = {
    {S, 300, "seconds"}, {15 * S, 3600, "minutes"}, {240 * S, 86400, "hours"}};

enum { LEAK_POINTS = 16, FILES_POINTS = 4, FILES_GROWTH = 64 };
#define LEAK_TAU      0.8
#define LEAK_GROWTH   16777216.0 /* bytes, at least, and a tenth */
#define LEAK_SHARE    0.1
#define FILES_TAU     0.9
#define FILES_SHARE   0.25 /* of the limit are taken at least */
#define FILES_HORIZON 60.0
#define FILES_TAKEN   0.8 /* so many are too many, however they came */

static const struct vital_rule leak_rule = {FINDING_MEMORY_LEAK, 1, 1, 1};
static const struct vital_rule files_rule = {FINDING_DESCRIPTORS, 1, 1, 1};

static bool trend_add(struct trend *t, double value, uint64_t period, uint64_t now)
{
    if (t->n && now < t->next)
        return false;
    if (t->n == 0)
        t->from = now;
    uint32_t i = t->n++ % TREND_POINTS;
    t->value[i] = (float)value;
    t->at[i] = (float)((double)(now - t->from) / 1e9);
    t->next = now + period - period / 8;
    return true;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

struct growth {
    double slope;  /* a second */
    double tau;    /* -1..1 */
    double growth; /* over all points, by the slope */
};

/* Theil and Sen's slope, Kendall's tau. */
static struct growth growth_of(const struct trend *t)
{
    float slopes[TREND_POINTS * (TREND_POINTS - 1) / 2];
    uint32_t n = MIN(t->n, (uint32_t)TREND_POINTS), pairs = 0;
    int32_t order = 0;
    float first = INFINITY, last = 0;
    for (uint32_t i = 0; i < n; i++) {
        first = MIN(first, t->at[i]);
        last = MAX(last, t->at[i]);
        for (uint32_t k = 0; k < i; k++) {
            float dt = t->at[i] - t->at[k];
            if (fabsf(dt) < 1e-3F)
                continue;
            float slope = (t->value[i] - t->value[k]) / dt;
            order += (slope > 0) - (slope < 0);
            slopes[pairs++] = slope;
        }
    }
    if (pairs == 0)
        return (struct growth){0};
    qsort(slopes, pairs, sizeof *slopes, by_size);
    double slope = (double)slopes[pairs / 2];
    return (struct growth){slope, (double)order / pairs, slope * (double)(last - first)};
}

/* Seconds until the limit; INFINITY: never. */
static double until(const struct growth *g, double value, double most)
{
    if (most <= value)
        return 0;
    return g->slope > 0 ? (most - value) / g->slope : INFINITY;
}

static bool leaks(const struct trend *t, const struct vitals_process_sample *s, double horizon,
                  struct growth *g, double *left)
{
    if (t->n < LEAK_POINTS || s->memory_most == 0)
        return false;
    *g = growth_of(t);
    *left = until(g, (double)s->memory, (double)s->memory_most);
    double least = MAX(LEAK_GROWTH, LEAK_SHARE * (double)s->memory);
    return g->tau >= LEAK_TAU && g->growth >= least && *left <= horizon;
}

static void look_at_memory(struct vitals_process *p, const struct vital_of *of,
                           const struct vitals_process_sample *s)
{
    struct growth g = {0}, best = {0};
    double left = 0, least = INFINITY;
    bool any = false, fresh = false;
    uint32_t scale = 0;
    for (uint32_t i = 0; i < TREND_SCALES; i++) {
        fresh |= trend_add(&p->memory[i], (double)s->memory, scales[i].period, s->at);
        if (!leaks(&p->memory[i], s, scales[i].horizon, &g, &left) || left >= least)
            continue;
        any = true;
        best = g;
        least = left;
        scale = i;
    }
    if (fresh)
        vital_step(of, &p->leak, &leak_rule, any,
                   "its memory (%.0f MiB) grew steadily for %s by %.2f MiB/s: its limit of %.0f "
                   "MiB is %.0f s away",
                   (double)s->memory / 1048576, scales[scale].words, best.slope / 1048576,
                   (double)s->memory_most / 1048576, least);
}

static void look_at_files(struct vitals_process *p, const struct vital_of *of,
                          const struct vitals_process_sample *s)
{
    if (s->files_most == 0 || !trend_add(&p->files, (double)s->files, S, s->at))
        return;
    struct growth g = growth_of(&p->files);
    double taken = (double)s->files / (double)s->files_most;
    double left = until(&g, (double)s->files, (double)s->files_most);
    bool grows = p->files.n >= FILES_POINTS && g.tau >= FILES_TAU && g.growth >= FILES_GROWTH &&
                 taken >= FILES_SHARE && left <= FILES_HORIZON;
    if (grows && taken < FILES_TAKEN)
        vital_step(of, &p->descriptors, &files_rule, 1,
                   "%llu descriptors are open of %llu, %.0f more each second: %.0f s are left",
                   (unsigned long long)s->files, (unsigned long long)s->files_most, g.slope, left);
    else
        vital_step(of, &p->descriptors, &files_rule, taken >= FILES_TAKEN,
                   "%llu descriptors are open of %llu", (unsigned long long)s->files,
                   (unsigned long long)s->files_most);
}

void vitals_process_look(struct vitals_process *p, const struct vitals_host *host,
                         enum subject_kind kind, struct str name,
                         const struct vitals_process_sample *s)
{
    struct vital_of of = {host, kind, name, 0, s->at};
    look_at_memory(p, &of, s);
    look_at_files(p, &of, s);
}
