/* pace: found when it should be, and not found when it should not, over simulated hours. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/prng.h"
#include "detect/pace.h"

#define MS   UINT64_C(1000000)
#define S    UINT64_C(1000000000)
#define LOOK (500 * MS)

enum { MOST = 10, DRAWS = 8192, NEVER = 1000000 };

/* A pool under load: log-normal latencies around `base`, that wander (an AR(1) of each instance
 * and one of all), bursts of load and stalls of single instances. */
struct load {
    uint32_t n;
    double rate;  /* answers a second of each */
    double base;  /* s */
    double sigma; /* of the logarithm */
    double noise; /* share of errors of all */
    bool bursts, stalls, checks;
    /* the fault, of instance 0 */
    double slow, errors;
    bool hangs;
};

struct world {
    struct load load;
    struct prng prng;
    struct pacer pacer[MOST], *all[MOST];
    double wander[MOST + 1];
    uint32_t burst_left, stalled, stall_left;
    uint64_t now, stalls_at;
    uint32_t raised[PACER_SENSES]; /* times */
};

static double normals[DRAWS];

static int prepare(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 1);
    for (int i = 0; i < DRAWS; i++)
        normals[i] = sqrt(-2 * log(1 - prng_unit(&r))) * cos(2 * M_PI * prng_unit(&r));
    return 0;
}

static double normal(struct prng *r)
{
    return normals[prng_next(r) % DRAWS];
}

static void begin(struct world *w, const struct load *load, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->load = *load;
    w->now = 1000 * S;
    prng_seed(&w->prng, seed);
    for (uint32_t i = 0; i < load->n; i++)
        w->all[i] = &w->pacer[i];
}

static uint32_t poisson(struct prng *r, double mean)
{
    if (mean > 30) {
        double n = mean + sqrt(mean) * normal(r);
        return n > 0 ? (uint32_t)n : 0;
    }
    double limit = exp(-mean), p = prng_unit(r);
    uint32_t k = 0;
    for (; p > limit; k++)
        p *= prng_unit(r);
    return k;
}

static void wander(struct world *w)
{
    for (uint32_t i = 0; i <= w->load.n; i++)
        w->wander[i] = 0.95 * w->wander[i] + 0.03 * normal(&w->prng);
    if (!w->load.bursts)
        return;
    if (w->burst_left)
        w->burst_left--;
    else if (prng_unit(&w->prng) < 1.0 / 120) /* once a minute */
        w->burst_left = 1 + (uint32_t)prng_below(&w->prng, 8);
}

/* A stall of up to 1.5 s about once a minute: what comes in it takes up to a second more. */
static bool stalls(struct world *w, uint32_t i)
{
    if (!w->load.stalls)
        return false;
    if (w->stalled == i && w->stall_left) {
        w->stall_left--;
        return true;
    }
    if (w->now < w->stalls_at || prng_unit(&w->prng) >= 1.0 / 120 / w->load.n)
        return false;
    w->stalls_at = w->now + 5 * S;
    w->stalled = i;
    w->stall_left = (uint32_t)prng_below(&w->prng, 3);
    return true;
}

static void answer(struct world *w, uint32_t i, struct pacer_look *l, bool faulty)
{
    const struct load *load = &w->load;
    double shift = w->wander[i] + w->wander[load->n];
    bool stalled = stalls(w, i), ill = faulty && i == 0;
    double rate = load->rate * (w->burst_left ? 3 : 1) / 2;
    uint32_t n = load->checks ? w->now / LOOK % 2 : poisson(&w->prng, rate);
    double bad = load->noise + (ill ? load->errors : 0);
    double base = load->base * exp(shift) * (w->burst_left ? 2 : 1);
    if (ill && load->slow > 1)
        base *= load->slow;
    l->sent = n;
    l->waiting = ill && load->hangs ? 50 : 1;
    for (uint32_t k = 0; k < n && !(ill && load->hangs); k++) {
        double took = base * exp(load->sigma * normal(&w->prng));
        if (stalled && !load->checks)
            took += prng_unit(&w->prng);
        if (bad > 0 && prng_unit(&w->prng) < bad)
            l->errors++;
        else
            l->answers[sketch_bucket(took)]++;
    }
}

/* One look of all. */
static void step(struct world *w, bool faulty)
{
    bool was[MOST][PACER_SENSES];
    struct pacer_params params = w->load.checks ? pacer_of_checks() : pacer_of_requests();
    wander(w);
    w->now += LOOK;
    for (uint32_t i = 0; i < w->load.n; i++) {
        struct pacer_look l = {0};
        answer(w, i, &l, faulty);
        for (int s = 0; s < PACER_SENSES; s++)
            was[i][s] = w->pacer[i].alarm[s].raised;
        pacer_look(&w->pacer[i], &l, w->now);
    }
    pacer_judge(w->all, w->load.n, &params, false, w->now);
    for (uint32_t i = 0; i < w->load.n; i++)
        for (int s = 0; s < PACER_SENSES; s++)
            w->raised[s] += !was[i][s] && w->pacer[i].alarm[s].raised;
}

static void run(struct world *w, uint32_t seconds, bool faulty)
{
    for (uint32_t i = 0; i < 2 * seconds; i++)
        step(w, faulty);
}

/* ms until instance 0 has an alarm of this sense; NEVER after two minutes. */
static uint32_t delay(struct world *w, enum pacer_sense s)
{
    for (uint32_t i = 1; i <= 240; i++) {
        step(w, true);
        if (w->pacer[0].alarm[s].raised)
            return i * 500;
    }
    return NEVER;
}

/* ---- no false alarm ---- */

static void says_nothing_over_hours_of_load(void **state)
{
    (void)state;
    static const struct load loads[] = {
        {.n = 1, .rate = 100, .base = 0.020, .sigma = 1.0, .bursts = true, .stalls = true},
        {.n = 2, .rate = 100, .base = 0.005, .sigma = 0.5, .bursts = true, .stalls = true},
        {.n = 3, .rate = 400, .base = 0.010, .sigma = 0.3, .noise = 0.002, .stalls = true},
        {.n = 4, .rate = 30, .base = 0.050, .sigma = 1.5, .noise = 0.01, .bursts = true},
        {.n = 10, .rate = 3, .base = 0.100, .sigma = 1.0, .noise = 0.05, .bursts = true},
        {.n = 10, .rate = 200, .base = 0.0005, .sigma = 0.7, .bursts = true, .stalls = true},
        {.n = 3, .checks = true, .base = 0.001, .sigma = 1.0},
        {.n = 10, .checks = true, .base = 0.020, .sigma = 0.7},
    };
    uint32_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        struct world w;
        uint32_t hours = loads[i].checks ? 24 : 2;
        begin(&w, &loads[i], 11 + i);
        run(&w, hours * 3600, false);
        printf("load %zu: %u instances, %u hours: others %u, before %u, errors %u, hang %u\n", i,
               loads[i].n, hours, w.raised[0], w.raised[1], w.raised[2], w.raised[3]);
        for (int s = 0; s < PACER_SENSES; s++)
            sum += w.raised[s];
    }
    assert_int_equal(sum, 0);
}

/* ---- found in time ---- */

static uint32_t median_delay(struct load load, enum pacer_sense s, uint32_t *worst)
{
    uint32_t all[15], n = ARRAY_LEN(all);
    for (uint32_t i = 0; i < n; i++) {
        struct world w;
        begin(&w, &load, 100 + i);
        run(&w, 90, false);
        uint32_t d = delay(&w, s), at = i;
        for (; at > 0 && all[at - 1] > d; at--)
            all[at] = all[at - 1];
        all[at] = d;
    }
    *worst = all[n - 1];
    return all[n / 2];
}

/* A factor of two, against a past that wandered by a third: not every time. */
static void expect_mostly(const char *what, struct load load, enum pacer_sense s, uint32_t most)
{
    uint32_t worst = 0, median = median_delay(load, s, &worst);
    printf("%-34s rate %4.0f/s sigma %.1f: median %u ms\n", what, load.rate, load.sigma, median);
    assert_true(median <= most);
}

static void expect(const char *what, struct load load, enum pacer_sense s, uint32_t most)
{
    uint32_t worst = 0, median = median_delay(load, s, &worst);
    printf("%-34s rate %4.0f/s sigma %.1f: median %u ms, worst %u ms\n", what, load.rate,
           load.sigma, median, worst);
    assert_true(worst <= most);
}

static void finds_slowness_in_seconds(void **state)
{
    (void)state;
    static const double rates[] = {20, 100, 500};
    for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
        struct load l = {.n = 4, .rate = rates[r], .base = 0.010, .sigma = 0.5, .bursts = true};
        l.slow = 5;
        expect("5 times, others", l, PACER_OTHERS, 5000);
        expect_mostly("5 times, before", l, PACER_BEFORE, 5000);
        l.slow = 20;
        l.rate = rates[r] / 4;
        expect("20 times, others", l, PACER_OTHERS, l.rate < 10 ? 6000 : 5000);
        expect_mostly("20 times, before", l, PACER_BEFORE, l.rate < 10 ? 7000 : 5000);
    }
    for (size_t r = 1; r < ARRAY_LEN(rates); r++) {
        struct load l = {.n = 4, .rate = rates[r], .base = 0.010, .sigma = 0.3, .slow = 2};
        expect("2 times, others", l, PACER_OTHERS, 10000);
        expect_mostly("2 times, before", l, PACER_BEFORE, 15000);
    }
    struct load wide = {.n = 4, .rate = 100, .base = 0.010, .sigma = 1.0, .slow = 5};
    expect("5 times, others, wide", wide, PACER_OTHERS, 5000);
    struct load pair = {.n = 2, .rate = 50, .base = 0.010, .sigma = 0.5, .slow = 5};
    expect("5 times, of a pair", pair, PACER_OTHERS, 5000);
    struct load alone = {.n = 1, .rate = 50, .base = 0.010, .sigma = 0.5, .slow = 5};
    expect("5 times, alone", alone, PACER_BEFORE, 5000);
}

static void finds_slow_checks_when_nobody_asks(void **state)
{
    (void)state;
    struct load l = {.n = 3, .base = 0.005, .sigma = 0.3, .checks = true, .slow = 5};
    expect("checks, 5 times, others", l, PACER_OTHERS, 16000);
    l.slow = 20;
    expect("checks, 20 times, others", l, PACER_OTHERS, 12000);
}

static void finds_errors(void **state)
{
    (void)state;
    struct load l = {.n = 3, .rate = 600, .base = 0.010, .sigma = 0.5, .errors = 0.01};
    expect("1 % errors", l, PACER_ERRORS, 15000);
    l.rate = 2000;
    expect("1 % errors, busy", l, PACER_ERRORS, 5000);
    l.rate = 100, l.errors = 0.1;
    expect("10 % errors", l, PACER_ERRORS, 5000);
    l.rate = 40;
    expect("10 % errors, few requests", l, PACER_ERRORS, 12000);
    l.rate = 20, l.errors = 0.5;
    expect("50 % errors", l, PACER_ERRORS, 5000);
    l.n = 1;
    expect("50 % errors, alone", l, PACER_ERRORS, 5000);
}

static void finds_a_hang(void **state)
{
    (void)state;
    struct load l = {.n = 3, .rate = 20, .base = 0.010, .sigma = 0.5, .hangs = true};
    expect("hang", l, PACER_HANG, 3000);
    l.n = 1;
    expect("hang, alone", l, PACER_HANG, 4500);
}

/* ---- other properties ---- */

static void ends_when_the_fault_does(void **state)
{
    (void)state;
    struct world w;
    struct load l = {.n = 4, .rate = 50, .base = 0.010, .sigma = 0.5, .slow = 5, .errors = 0.3};
    begin(&w, &l, 5);
    run(&w, 90, false);
    run(&w, 20, true);
    assert_true(w.pacer[0].alarm[PACER_OTHERS].raised && w.pacer[0].alarm[PACER_BEFORE].raised);
    assert_true(w.pacer[0].alarm[PACER_ERRORS].raised);
    run(&w, 15, false);
    for (int s = 0; s < PACER_SENSES; s++)
        assert_false(w.pacer[0].alarm[s].raised);
    assert_int_equal(w.raised[PACER_OTHERS], 1);
    assert_int_equal(w.raised[PACER_BEFORE], 1);
    assert_int_equal(w.raised[PACER_ERRORS], 1);
}

static void what_stays_becomes_normal(void **state)
{
    (void)state;
    struct world w;
    struct load l = {.n = 1, .rate = 20, .base = 0.010, .sigma = 0.5, .slow = 3};
    begin(&w, &l, 6);
    run(&w, 3600, false);
    run(&w, 120, true);
    assert_true(w.pacer[0].alarm[PACER_BEFORE].raised);
    run(&w, 1200, true);
    assert_false(w.pacer[0].alarm[PACER_BEFORE].raised);
}

/* All of them ten times slower: the database. And half of all answers are errors. */
static void blames_nobody_for_what_all_share(void **state)
{
    (void)state;
    struct world w;
    struct load l = {.n = 4, .rate = 50, .base = 0.010, .sigma = 0.5};
    begin(&w, &l, 8);
    run(&w, 120, false);
    w.load.base = 0.100;
    w.load.noise = 0.5;
    run(&w, 120, false);
    assert_int_equal(w.raised[PACER_OTHERS], 0);
    assert_int_equal(w.raised[PACER_BEFORE], 0);
    assert_int_equal(w.raised[PACER_ERRORS], 0);
}

static void little_differences_are_none(void **state)
{
    (void)state;
    struct world w;
    struct load l = {.n = 4, .rate = 200, .base = 0.0002, .sigma = 0.3, .slow = 5};
    begin(&w, &l, 9);
    run(&w, 90, false);
    run(&w, 60, true);
    for (int s = 0; s < PACER_SENSES; s++)
        assert_int_equal(w.raised[s], 0);
}

static void one_who_is_apart_or_idle_has_no_alarm(void **state)
{
    (void)state;
    struct world w;
    struct load l = {.n = 2, .rate = 50, .base = 0.010, .sigma = 0.5, .slow = 20};
    struct pacer_params params = pacer_of_requests();
    begin(&w, &l, 10);
    run(&w, 90, false);
    run(&w, 10, true);
    assert_true(w.pacer[0].alarm[PACER_OTHERS].raised);
    struct pacer_look apart = {.apart = true};
    struct pacer p = w.pacer[0], *one = &p;
    pacer_look(&p, &apart, w.now + LOOK);
    assert_true(pacer_judge(&one, 1, &params, false, w.now + LOOK));
    assert_false(p.alarm[PACER_OTHERS].raised);
    p = w.pacer[0];
    pacer_look(&p, &(struct pacer_look){0}, w.now + PACER_IDLE);
    assert_true(pacer_judge(&one, 1, &params, false, w.now + PACER_IDLE));
    assert_false(p.alarm[PACER_OTHERS].raised);
}

static void speaks(void **state)
{
    (void)state;
    struct world w;
    char text[192];
    struct load l = {.n = 3, .rate = 50, .base = 0.010, .sigma = 0.3, .slow = 20};
    begin(&w, &l, 12);
    run(&w, 90, false);
    run(&w, 15, true);
    pacer_say(&w.pacer[0], PACER_OTHERS, "answers", w.now, text, sizeof text);
    printf("%s\n", text);
    assert_non_null(strstr(text, "half of its answers take over "));
    assert_non_null(strstr(text, "the median of 2 others ("));
    pacer_say(&w.pacer[0], PACER_BEFORE, "answers", w.now, text, sizeof text);
    printf("%s\n", text);
    assert_non_null(strstr(text, " before ("));
    pacer_say(&w.pacer[0], PACER_ERRORS, "answers", w.now, text, sizeof text);
    assert_non_null(strstr(text, "errors"));
    assert_int_equal(pacer_say(&w.pacer[0], PACER_HANG, "answers", w.now, text, 8), 7);
}

static void counts_to_and_fro(void **state)
{
    (void)state;
    struct flaps f = {0};
    flaps_departure(&f, 10 * S);
    flaps_departure(&f, 100 * S);
    flaps_departure(&f, 110 * S);
    assert_false(flaps_judge(&f, 110 * S));
    flaps_departure(&f, 120 * S);
    assert_true(flaps_judge(&f, 120 * S));
    assert_true(f.raised);
    assert_false(flaps_judge(&f, 140 * S));
    assert_true(flaps_judge(&f, 200 * S));
    assert_false(f.raised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_nothing_over_hours_of_load),
        cmocka_unit_test(finds_slowness_in_seconds),
        cmocka_unit_test(finds_slow_checks_when_nobody_asks),
        cmocka_unit_test(finds_errors),
        cmocka_unit_test(finds_a_hang),
        cmocka_unit_test(ends_when_the_fault_does),
        cmocka_unit_test(what_stays_becomes_normal),
        cmocka_unit_test(blames_nobody_for_what_all_share),
        cmocka_unit_test(little_differences_are_none),
        cmocka_unit_test(one_who_is_apart_or_idle_has_no_alarm),
        cmocka_unit_test(speaks),
        cmocka_unit_test(counts_to_and_fro),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
