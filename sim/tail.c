#include "tail.h"

#include <math.h>

void tail_add(struct tail *t, uint64_t ns)
{
    uint64_t bin = ns / (TAIL_BIN_US * US);
    t->bins[MIN(bin, TAIL_BINS - 1)]++;
    t->n++;
    t->worst = MAX(t->worst, ns);
}

void tail_merge(struct tail *t, const struct tail *more)
{
    for (uint32_t i = 0; i < TAIL_BINS; i++)
        t->bins[i] += more->bins[i];
    t->n += more->n;
    t->worst = MAX(t->worst, more->worst);
}

static double value(uint32_t bin)
{
    return ((double)bin + 0.5) * (double)(TAIL_BIN_US * US);
}

double tail_quantile(const struct tail *t, double q)
{
    uint64_t want = (uint64_t)ceil(q * (double)t->n), seen = 0;
    for (uint32_t i = 0; i < TAIL_BINS; i++)
        if ((seen += t->bins[i]) >= want && seen)
            return value(i);
    return (double)t->worst;
}

/* The bin above which there are at most this many. */
static uint32_t threshold_bin(const struct tail *t, uint64_t most, uint64_t *over)
{
    uint32_t bin = TAIL_BINS;
    *over = 0;
    while (bin > 0 && *over + t->bins[bin - 1] <= most)
        *over += t->bins[--bin];
    return bin;
}

bool tail_fit(const struct tail *t, struct tail_fit *out)
{
    uint64_t over, rank = 0;
    uint32_t from = threshold_bin(t, MAX(TAIL_FEWEST, MIN(TAIL_FITTED, t->n / 20000)), &over);
    if (over < TAIL_FEWEST / 2 || from == 0)
        return false;
    double threshold = (double)from * (double)(TAIL_BIN_US * US), a0 = 0, a1 = 0;
    for (uint32_t i = from; i < TAIL_BINS; i++)
        for (uint64_t k = 0; k < t->bins[i]; k++) {
            double excess = value(i) - threshold;
            double p = ((double)++rank - 0.35) / (double)over;
            a0 += excess / (double)over;
            a1 += (1 - p) * excess / (double)over;
        }
    if (a0 <= 2 * a1)
        return false; /* no mean: nothing to go by */
    *out = (struct tail_fit){.over = over,
                             .threshold = threshold,
                             .scale = 2 * a0 * a1 / (a0 - 2 * a1),
                             .shape = 2 - a0 / (a0 - 2 * a1),
                             .mean = a0};
    return true;
}

double tail_beyond(const struct tail *t, const struct tail_fit *f, double ns, bool exponential)
{
    double share = (double)f->over / (double)t->n, x = ns - f->threshold;
    if (x <= 0)
        return share;
    if (exponential || fabs(f->shape) < 1e-9)
        return share * exp(-x / (exponential ? f->mean : f->scale));
    double inside = 1 + f->shape * x / f->scale;
    return inside <= 0 ? 0 : share * pow(inside, -1 / f->shape);
}
