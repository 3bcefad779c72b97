#include "detect/arrival.h"

#include "base/base.h"

/* A sample is at most 10 s, so that sums of 200 squares fit. */
#define SAMPLE_MAX UINT32_C(10000000)
#define US         UINT64_C(1000)

/* Deviations above the mean, in 1/10,000, at which the upper tail of the normal distribution is
 * 10^-phi, for whole phi from 0 (not used below 1) to 20; straight lines between. */
static const uint32_t tail[] = {0,     12816, 23263, 30902, 37190, 42649, 47534,
                                51993, 56120, 59978, 63613, 67060, 70345, 73488,
                                76506, 79413, 82221, 84938, 87573, 90133, 92623};

void arrival_init(struct arrival *a)
{
    *a = (struct arrival){0};
}

static void add_sample(struct arrival *a, uint32_t us)
{
    if (a->n == ARRIVAL_WINDOW) {
        uint64_t old = a->samples[a->at];
        a->sum -= old;
        a->squares -= old * old;
    } else {
        a->n++;
    }
    a->samples[a->at] = us;
    a->sum += us;
    a->squares += (uint64_t)us * us;
    a->at = (uint16_t)((a->at + 1) % ARRIVAL_WINDOW);
}

void arrival_heard(struct arrival *a, uint64_t now, bool regular, uint64_t longest)
{
    if (a->last && now < a->last)
        return;
    if (regular && a->regular && a->last && now - a->last <= longest)
        add_sample(a, (uint32_t)MIN((now - a->last) / US, SAMPLE_MAX));
    a->last = MAX(now, 1);
    a->regular = regular;
}

void arrival_break(struct arrival *a)
{
    a->regular = false;
}

void arrival_skip(struct arrival *a, uint64_t unobserved, uint64_t now)
{
    if (a->last && a->last < now)
        a->last += MIN(unobserved, now - a->last);
}

/* Newton's method, from above. */
static uint64_t square_root(uint64_t v)
{
    if (v < 2)
        return v;
    uint64_t x = UINT64_C(1) << ((64 - __builtin_clzll(v)) / 2 + 1), next;
    while ((next = (x + v / x) / 2) < x)
        x = next;
    return x;
}

uint32_t arrival_mean(const struct arrival *a)
{
    return a->n ? (uint32_t)(a->sum / a->n) : 0;
}

uint32_t arrival_deviation(const struct arrival *a)
{
    if (a->n < 2)
        return 0;
    uint64_t n = a->n;
    return (uint32_t)square_root((n * a->squares - a->sum * a->sum) / (n * (n - 1)));
}

static uint64_t deviations(uint32_t phi_tenths)
{
    uint32_t phi = MIN(MAX(phi_tenths, ARRIVAL_PHI_MIN), ARRIVAL_PHI_MAX), whole = phi / 10;
    uint32_t next = MIN(whole + 1, ARRIVAL_PHI_MAX / 10);
    return tail[whole] + (tail[next] - tail[whole]) * (phi % 10) / 10;
}

/* The window as if heartbeats had come as they should before it, up to ARRIVAL_PRIOR of them while
 * it has room: one late sign among the first few must not blind for seconds. */
static struct arrival with_prior(const struct arrival *a, uint64_t interval_us)
{
    uint32_t more = MIN((uint32_t)ARRIVAL_PRIOR, (uint32_t)ARRIVAL_WINDOW - a->n);
    uint64_t spread = interval_us / 4;
    return (struct arrival){
        .n = (uint16_t)(a->n + more),
        .sum = a->sum + more * interval_us,
        .squares = a->squares + more * (interval_us * interval_us + spread * spread),
    };
}

uint64_t arrival_suspect_at(const struct arrival *a, const struct arrival_params *p)
{
    if (!a->last)
        return UINT64_MAX;
    struct arrival w = with_prior(a, p->interval / US);
    uint64_t mean = MAX(arrival_mean(&w) * US, p->interval);
    uint64_t deviation = MAX(arrival_deviation(&w) * US, p->interval / 4);
    uint64_t silence = mean + deviation / 10000 * deviations(p->phi_tenths);
    silence = MIN(MAX(silence, p->suspect_after), p->suspect_after * ARRIVAL_STRETCH);
    return a->last + silence;
}
