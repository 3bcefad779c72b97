#include "detect/logs/rates.h"

#define LN_4          1.3862944F
#define FOLLOW        (1.0F / 1039.0F) /* 1 - 2^(-1 / RATES_HALF), nearly */
#define FOLLOW_CHANGE (1.0F / 174.0F)  /* six times as fast while changed */
#define GROWTH_MOST   8.0F
#define SMALLEST      1e-6F
#define SUM_MOST      200.0F
#define TICKS_MOST    1000000000U

/* ln x = e ln 2 + ln m, with m in [1, 2) by a series: no library for this room. Good to 1e-4. */
static float logarithm(double x)
{
    int e = 0;
    for (; x >= 2; x /= 2)
        e++;
    double y = (x - 1) / (x + 1), z = y * y;
    return (float)(e * 0.69314718056 + 2 * y * (1 + z / 3 + z * z / 5 + z * z * z / 7));
}

float rate_bound(uint32_t tests)
{
    return logarithm((double)RATES_QUIET * (tests + 1));
}

static void follow(struct rate *r, float x)
{
    float share = r->change == RATE_STEADY ? FOLLOW : FOLLOW_CHANGE;
    if (r->ticks < 1 / FOLLOW)
        share = MAX(share, 1.0F / (float)(r->ticks + 1)); /* the plain mean, until it is slower */
    float difference = x - r->mean;
    r->mean += share * difference;
    r->variance = (1 - share) * (r->variance + share * difference * difference);
    r->ticks += r->ticks < TICKS_MOST;
    r->active += x > 0 && r->active < TICKS_MOST;
}

static bool regular(const struct rate *r)
{
    return r->active >= r->ticks / 10 && r->active >= RATES_LEAST / 10;
}

static bool tested(const struct rate *r, const struct rate_tick *t)
{
    return r->ticks >= MAX(t->learn, RATES_LEAST) &&
           (regular(r) || (t->error && r->ticks >= RATES_LONG));
}

static float between(float x, float least, float most)
{
    return x < least ? least : x > most ? most : x;
}

static void sum_up(struct rate *r, const struct rate_tick *t, float x)
{
    float more = MAX(r->mean, SMALLEST) * between(t->growth, 1, GROWTH_MOST);
    float fewer = r->mean * between(t->growth, 0, 1);
    float width = MAX(1, r->variance / MAX(r->mean, SMALLEST));
    r->up = between(r->up + (x * LN_4 - 3 * more) / width, 0, SUM_MOST);
    r->down = between(r->down + (0.75F * fewer - x * LN_4) / width, 0, SUM_MOST);
    if (t->total)
        r->up = 0;
    if (!regular(r))
        r->down = 0;
}

static enum rate_change judge(const struct rate *r, const struct rate_tick *t, float x)
{
    float bound = rate_bound(t->tests);
    if (r->up >= bound && x - r->mean >= RATES_LINES)
        return RATE_MORE;
    /* The lines that did not come since the sum began: 3/4 of each counts. */
    float width = MAX(1, r->variance / MAX(r->mean, SMALLEST));
    if (r->down >= bound && r->down * width / 0.75F >= RATES_LINES)
        return RATE_FEWER;
    return RATE_STEADY;
}

static bool begin_change(struct rate *r, enum rate_change change)
{
    r->change = (uint8_t)change;
    r->calm = 0;
    r->was = r->mean;
    return true;
}

/* While changed: whether it is over. */
static bool calms(struct rate *r, const struct rate_tick *t, float x)
{
    float expected = r->mean * between(t->growth, 0, GROWTH_MOST);
    bool calm = r->change == RATE_MORE ? x <= 2 * expected + 1 : x >= expected / 2;
    r->calm = calm ? (uint8_t)(r->calm + 1) : 0;
    if (r->calm < RATES_CALM)
        return false;
    r->change = RATE_STEADY;
    r->up = r->down = 0;
    return true;
}

bool rate_tick(struct rate *r, const struct rate_tick *t)
{
    float x = (float)t->lines;
    bool changed = false;
    if (r->change != RATE_STEADY) {
        changed = calms(r, t, x);
    } else if (tested(r, t)) {
        sum_up(r, t, x);
        enum rate_change c = judge(r, t, x);
        changed = c != RATE_STEADY && begin_change(r, c);
    }
    follow(r, x);
    return changed;
}

void rate_join(struct rate *r, const struct rate *other)
{
    r->mean += other->mean;
    r->variance += other->variance;
    r->ticks = MAX(r->ticks, other->ticks);
    r->active = MIN(r->ticks, r->active + other->active);
}
