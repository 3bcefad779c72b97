#include "detect/vitals_gauge.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define S         UINT64_C(1000000000)
#define SAY_AGAIN (5 * S) /* what is certain need not be said at each look */
#define KEEP_WEIGHT                                                                                \
    0.1 /* of a look between the thresholds: above 1/2 for kinds that fade in 10 s */

static void found(const struct vital_of *of, struct vital_gauge *g, const struct vital_rule *r,
                  double weight, const char *says)
{
    struct finding_signal s = {.at = of->now,
                               .kind = r->kind,
                               .verdict = finding_most(r->kind),
                               .key = of->key,
                               .weight = weight,
                               .says = str_of(says)};
    g->on = true;
    g->said = of->now;
    of->host->found(of->host->context, of->kind, of->name, &s);
}

void vital_step(const struct vital_of *of, struct vital_gauge *g, const struct vital_rule *r,
                double value, const char *fmt, ...)
{
    char says[FINDING_SAYS];
    bool certain = finding_is_certain(r->kind);
    if (value < r->clear || (value < r->raise && !g->on)) {
        if (g->on)
            of->host->gone(of->host->context, of->kind, of->name, r->kind, of->key, of->now);
        *g = (struct vital_gauge){0};
        return;
    }
    if (certain && g->on && of->now - g->said < SAY_AGAIN)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(says, sizeof says, fmt, args);
    va_end(args);
    found(of, g, r, value >= r->raise ? r->weight : KEEP_WEIGHT, says);
}

void vital_learn(double *typical, uint32_t *known, double value, uint32_t most)
{
    *known += *known < most;
    double share = 1.0 / *known, l = log(MAX(value, 1e-6));
    *typical += share * (l - *typical);
}

uint64_t vital_key(const char *name)
{
    uint64_t h = str_hash(str_of(name));
    return h ? h : 1;
}
