/* The arithmetic, against numbers worked out by hand and against a simulation of the same chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "base/base.h"
#include "detect/availability.h"

#define HOUR 3600.0
#define DAY  (24 * HOUR)

static struct availability_plan usual(void)
{
    return (struct availability_plan){.mtbf = 90 * DAY,
                                      .repair = 4 * HOUR,
                                      .detect = 0.4,
                                      .failover = 0.1,
                                      .data_mtbf = 1000 * DAY,
                                      .resync = HOUR,
                                      .lag = 0.5,
                                      .copies = 3,
                                      .voters = 3,
                                      .sync = 1};
}

static void is_near(double is, double should, double share)
{
    if (fabs(is - should) > share * fabs(should))
        fail_msg("%g where %g was expected", is, should);
}

static void by_hand(void **state)
{
    (void)state;
    struct availability_plan p = usual();
    struct availability r = availability_of(&p);
    double u = 4.0 / (90 * 24 + 4); /* 0.00184843 */
    is_near(r.failovers, 365.25 / 90, 1e-9);
    is_near(r.switching, 365.25 / 90 * 0.5, 1e-9);
    is_near(r.copies, 365.25 * DAY * u * u * u, 1e-9);
    is_near(r.voters, 365.25 * DAY * (3 * u * u * (1 - u) + u * u * u), 1e-9);
    is_near(r.available, 1 - (r.switching + r.copies + r.voters) / (365.25 * DAY), 1e-12);
    is_near(r.loss, 3 * pow(1.0 / 24000, 2) * 365.25 / 1000, 1e-9);
    is_near(r.loss_probability, r.loss, 1e-6);
    assert_true(r.lost_writes == 0);
    p.sync = 0;
    is_near(availability_of(&p).lost_writes, 365.25 / 90 * 0.5, 1e-9);
}

static void one_copy_is_the_machine_itself(void **state)
{
    (void)state;
    struct availability_plan p = usual();
    p.copies = 1;
    p.voters = 1;
    p.sync = 0;
    struct availability r = availability_of(&p);
    assert_true(r.failovers == 0 && r.switching == 0 && r.voters == 0);
    is_near(r.available, 90.0 * 24 / (90 * 24 + 4), 1e-12);
    is_near(r.loss, 365.25 / 1000, 1e-12);
}

static void more_never_hurts(void **state)
{
    (void)state;
    struct availability_plan p = usual();
    p.voters = 5;
    struct availability five = availability_of(&p), before = five;
    assert_true(five.voters < 3600);
    for (p.copies = 2; p.copies <= AVAILABILITY_COPIES; p.copies++) {
        struct availability r = availability_of(&p);
        assert_true(p.copies == 2 || (r.loss < before.loss && r.copies < before.copies));
        before = r;
    }
}

static void absurd_input_stays_within_bounds(void **state)
{
    (void)state;
    struct availability_plan p = usual();
    p.mtbf = p.data_mtbf = 1e-3;
    p.repair = p.resync = 1e12;
    struct availability r = availability_of(&p);
    assert_true(r.available >= 0 && r.available <= 1);
    assert_true(r.loss_probability >= 0 && r.loss_probability <= 1);
    assert_true(r.downtime <= AVAILABILITY_YEAR);
}

static double exponential(struct prng *g, double mean)
{
    return -mean * log1p(-prng_unit(g));
}

/* Two copies that fail and are made again, many times: the mean time until both are gone. */
static void loss_is_what_a_simulation_says(void **state)
{
    (void)state;
    struct availability_plan p = usual();
    p.copies = 2;
    p.data_mtbf = 100;
    p.resync = 2;
    struct prng g;
    prng_seed(&g, 7);
    double at = 0;
    enum { LOSSES = 2000 };
    for (int n = 0; n < LOSSES;) {
        at += exponential(&g, p.data_mtbf / 2);
        double copied = exponential(&g, p.resync), other = exponential(&g, p.data_mtbf);
        at += MIN(copied, other);
        n += other < copied;
    }
    is_near(availability_of(&p).loss, AVAILABILITY_YEAR / (at / LOSSES), 0.12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(one_copy_is_the_machine_itself),
        cmocka_unit_test(more_never_hurts),
        cmocka_unit_test(absurd_input_stays_within_bounds),
        cmocka_unit_test(loss_is_what_a_simulation_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
