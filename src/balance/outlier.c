#include "balance/outlier.h"

#include "base/base.h"

/* 3.5 standard deviations in median absolute deviations, of a normal distribution: 3.5 * 1.4826. */
#define SPREAD_PERMILLE 5189
#define LATENCY_MAX     (UINT64_C(1) << 43) /* ns, two hours: no product below overflows */
#define FACTOR_LEAST    1500
#define FACTOR_MOST     1000000

enum { EACH_MEASURED = 64 }; /* in a larger pool, one member less moves no median to speak of */

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t c = *a;
    *a = *b;
    *b = c;
}

/* The k-th smallest is in its place then, none smaller is behind it, none larger before it.
 * Quickselect (Hoare, "Algorithm 65: FIND", 1961) with the middle as pivot. */
static uint64_t select_nth(uint64_t *v, uint32_t n, uint32_t k)
{
    uint32_t from = 0, to = n - 1;
    while (from < to) {
        uint64_t pivot = v[from + (to - from) / 2];
        int64_t i = from, j = to;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j)
                swap(&v[i++], &v[j--]);
        }
        if ((int64_t)k <= j)
            to = (uint32_t)j;
        else if ((int64_t)k >= i)
            from = (uint32_t)i;
        else
            break;
    }
    return v[k];
}

uint64_t outlier_median(uint64_t *values, uint32_t n)
{
    CHECK(n > 0);
    uint64_t upper = select_nth(values, n, n / 2), lower = 0;
    if (n % 2)
        return upper;
    for (uint32_t i = 0; i < n / 2; i++)
        lower = MAX(lower, values[i]);
    return lower + (upper - lower) / 2;
}

/* What a member is measured against. */
struct yardstick {
    uint32_t others;
    uint64_t median, bound; /* ns */
};

struct window {
    const struct outlier_params *p;
    struct outlier *members;
    uint32_t n;
    uint64_t *scratch;
    uint64_t now;
    struct yardstick all; /* of a large pool */
};

static bool compared(const struct window *w, const struct outlier *m)
{
    return !m->absent && m->state == OUTLIER_IN && m->answers >= MAX(w->p->answers, 1);
}

static struct yardstick measure(const struct window *w, uint32_t except)
{
    struct yardstick y = {0};
    uint64_t *v = w->scratch;
    for (uint32_t i = 0; i < w->n; i++)
        if (i != except && compared(w, &w->members[i]))
            v[y.others++] = MIN(w->members[i].latency, LATENCY_MAX);
    if (y.others == 0)
        return y;
    y.median = outlier_median(v, y.others);
    y.bound = y.median * MIN(MAX(w->p->factor_permille, FACTOR_LEAST), FACTOR_MOST) / 1000;
    y.bound = MAX(y.bound, y.median + MIN(w->p->least, LATENCY_MAX));
    if (y.others < OUTLIER_SPREAD_OTHERS)
        return y;
    for (uint32_t i = 0; i < y.others; i++)
        v[i] = v[i] > y.median ? v[i] - y.median : y.median - v[i];
    y.bound = MAX(y.bound, y.median + outlier_median(v, y.others) * SPREAD_PERMILLE / 1000);
    return y;
}

static struct yardstick yardstick_of(const struct window *w, uint32_t i)
{
    return w->n > EACH_MEASURED ? w->all : measure(w, i);
}

enum level { LEVEL_FEW, LEVEL_NORMAL, LEVEL_BETWEEN, LEVEL_SLOW, LEVELS };

static enum level level_of(const struct window *w, const struct outlier *m,
                           const struct yardstick *y)
{
    uint32_t wanted = m->state == OUTLIER_TRIAL ? OUTLIER_TRIAL_ANSWERS : w->p->answers;
    if (m->absent || y->others == 0 || m->answers < MAX(wanted, 1))
        return LEVEL_FEW;
    if (m->latency > y->bound)
        return LEVEL_SLOW;
    return m->latency <= y->median + (y->bound - y->median) / 2 ? LEVEL_NORMAL : LEVEL_BETWEEN;
}

enum act { ACT_NONE, ACT_ANEW, ACT_COUNT, ACT_RETURN, ACT_OUT };
static const enum act acts[OUTLIER_STATES][LEVELS] = {
    /*                  few        normal      between     slow */
    [OUTLIER_IN] = {ACT_NONE, ACT_ANEW, ACT_ANEW, ACT_COUNT},
    [OUTLIER_OUT] = {ACT_NONE, ACT_NONE, ACT_NONE, ACT_NONE},
    [OUTLIER_TRIAL] = {ACT_NONE, ACT_RETURN, ACT_NONE, ACT_OUT},
};

static void enter(struct outlier *m, enum outlier_state state, uint64_t now)
{
    m->state = state;
    m->since = now;
    m->slow = 0;
}

static uint64_t next_hold(const struct outlier_params *p, const struct outlier *m, uint64_t now)
{
    uint64_t shortest = MAX(p->hold, 1), longest = MAX(shortest, p->hold_max);
    bool again = m->state == OUTLIER_TRIAL || now - MIN(m->since, now) < m->hold_now;
    if (!again || m->hold_now == 0)
        return shortest;
    return m->hold_now > longest / 2 ? longest : MAX(m->hold_now * 2, shortest);
}

static void put_out(const struct window *w, struct outlier *m, const struct yardstick *y)
{
    m->hold_now = next_hold(w->p, m, w->now);
    m->until = w->now + m->hold_now;
    m->said_latency = m->latency;
    m->said_median = y->median;
    m->said_answers = m->answers;
    m->said_others = y->others;
    enter(m, OUTLIER_OUT, w->now);
}

/* How many may still go. */
static uint32_t room(const struct window *w)
{
    uint32_t share = MIN(w->p->share_permille, 1000), gone = 0;
    uint32_t most = (uint32_t)((uint64_t)w->n * share / 1000);
    if (most == 0 && w->n >= 2 && share > 0)
        most = 1;
    for (uint32_t i = 0; i < w->n; i++)
        gone += w->members[i].absent || w->members[i].state == OUTLIER_OUT;
    return most > gone ? most - gone : 0;
}

static bool should_go(const struct window *w, const struct outlier *m, const struct yardstick *y)
{
    if (acts[m->state][level_of(w, m, y)] == ACT_COUNT)
        return m->slow >= MAX(w->p->after, 1);
    /* answers from before the trial say nothing about it */
    return acts[m->state][level_of(w, m, y)] == ACT_OUT && m->since < w->now;
}

/* The slowest of those who should go; n: none. */
static uint32_t next_to_go(const struct window *w, struct yardstick *why)
{
    uint32_t worst = w->n;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct outlier *m = &w->members[i];
        if ((m->slow == 0 && m->state == OUTLIER_IN) ||
            (worst < w->n && m->latency <= w->members[worst].latency))
            continue;
        struct yardstick y = yardstick_of(w, i);
        if (!should_go(w, m, &y))
            continue;
        worst = i;
        *why = y;
    }
    return worst;
}

static bool let_go(struct window *w)
{
    bool changed = false;
    for (uint32_t left = room(w); left > 0; left--) {
        struct yardstick why = {0};
        uint32_t i = next_to_go(w, &why);
        if (i == w->n)
            break;
        put_out(w, &w->members[i], &why);
        changed = true;
    }
    return changed;
}

static bool everybody_in(struct window *w)
{
    bool changed = false;
    for (uint32_t i = 0; i < w->n; i++) {
        struct outlier *m = &w->members[i];
        changed |= m->state != OUTLIER_IN;
        if (m->state != OUTLIER_IN)
            enter(m, OUTLIER_IN, w->now);
        m->slow = 0;
    }
    return changed;
}

/* What a window changes, but for those who go: they go by their slowness. */
static bool turn(struct window *w, uint32_t i)
{
    struct outlier *m = &w->members[i];
    if (m->state == OUTLIER_OUT) {
        if (w->now < m->until)
            return false;
        enter(m, OUTLIER_TRIAL, w->now);
        return true;
    }
    struct yardstick y = yardstick_of(w, i);
    switch (acts[m->state][level_of(w, m, &y)]) {
    case ACT_NONE:
    case ACT_OUT: return false;
    case ACT_ANEW: m->slow = 0; return false;
    case ACT_COUNT: m->slow += m->slow < UINT32_MAX; return false;
    case ACT_RETURN: enter(m, OUTLIER_IN, w->now); return true;
    }
    UNREACHABLE();
}

bool outlier_judge(const struct outlier_params *p, struct outlier *members, uint32_t n,
                   uint64_t *scratch, uint64_t now)
{
    struct window w = {p, members, n, scratch, now, {0}};
    if (p->factor_permille == 0)
        return everybody_in(&w);
    if (n > EACH_MEASURED)
        w.all = measure(&w, n);
    bool changed = false;
    for (uint32_t i = 0; i < n; i++)
        changed |= turn(&w, i);
    return let_go(&w) || changed;
}
