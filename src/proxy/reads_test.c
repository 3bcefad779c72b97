/* Which replicas readers are led to, cell by cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/reads.h"

#define NOW (100 * NS_PER_S)

static const struct reads_bounds none = {0};

static void set(struct role_row *r, uint32_t place, uint64_t lag, uint64_t bytes)
{
    cell_set(&r->known_at, NOW);
    cell_set(&r->replicas[place], cells_replica(lag, bytes));
}

static void a_cell_has_both_and_its_ends(void **state)
{
    (void)state;
    uint64_t v = cells_replica(1234 * NS_PER_MS + 5, 77);
    assert_int_equal(cells_replica_lag(v), 1234 * NS_PER_MS);
    assert_int_equal(cells_replica_bytes(v), 77);
    assert_true(cells_replica(0, 0) != 0);
    v = cells_replica(UINT64_MAX, UINT64_MAX);
    assert_int_equal(cells_replica_lag(v), UINT64_C(0x7ffffff) * NS_PER_MS);
    assert_int_equal(cells_replica_bytes(v), UINT64_C(0xfffffffff));
}

static void those_that_are_told_of_are_fit_but_the_primary(void **state)
{
    (void)state;
    struct role_row r = {0};
    assert_int_equal(reads_look(&r, 3, &none, 0, NOW).fit, 0);
    for (uint32_t i = 0; i < 4; i++)
        set(&r, i, NS_PER_S, 1000);
    cell_set(&r.primary, 2);
    assert_int_equal(reads_look(&r, 3, &none, 0, NOW).fit, 1 << 0 | 1 << 2);
    assert_int_equal(reads_look(&r, 99, &none, 0, NOW).fit, 1 << 0 | 1 << 2 | 1 << 3);
    cell_set(&r.replicas[0], 0);
    assert_int_equal(reads_look(&r, 3, &none, 7, NOW).fit, 1 << 2);
}

static void bounds_hold_and_half_of_them_brings_back(void **state)
{
    (void)state;
    struct role_row r = {0};
    static const struct {
        uint64_t ms, bytes;
        bool stays, comes;
    } rows[] = {
        {0, 0, true, true},       {500, 0, true, true},       {501, 0, true, false},
        {1000, 0, true, false},   {1001, 0, false, false},    {0, 2048, true, true},
        {0, 2049, true, false},   {0, 4096, true, false},     {0, 4097, false, false},
        {501, 2049, true, false}, {1001, 4097, false, false},
    };
    const struct reads_bounds b = {.bytes = 4096, .time = NS_PER_S};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set(&r, 1, rows[i].ms * NS_PER_MS, rows[i].bytes);
        assert_int_equal(reads_look(&r, 3, &b, 2, NOW).fit, rows[i].stays ? 2 : 0);
        assert_int_equal(reads_look(&r, 3, &b, 0, NOW).fit, rows[i].comes ? 2 : 0);
        assert_int_equal(reads_look(&r, 3, &none, 0, NOW).fit, 2);
    }
}

static void what_is_not_said_again_grows_old(void **state)
{
    (void)state;
    struct role_row r = {0};
    const struct reads_bounds time = {.time = 5 * NS_PER_S}, bytes = {.bytes = 4096};
    set(&r, 1, 0, 0);
    assert_int_equal(reads_look(&r, 3, &time, 2, NOW + READS_LATE).lag[1], 0);
    assert_int_equal(reads_look(&r, 3, &time, 2, NOW + 5 * NS_PER_S).lag[1], 5 * NS_PER_S);
    assert_int_equal(reads_look(&r, 3, &time, 2, NOW + 5 * NS_PER_S).fit, 2);
    assert_int_equal(reads_look(&r, 3, &time, 2, NOW + 5 * NS_PER_S + 1).fit, 0);
    assert_int_equal(reads_look(&r, 3, &bytes, 2, NOW + READS_UNKNOWN).fit, 2);
    assert_int_equal(reads_look(&r, 3, &bytes, 2, NOW + READS_UNKNOWN + 1).fit, 0);
    assert_int_equal(reads_look(&r, 3, &none, 2, NOW + 3600 * NS_PER_S).fit, 2);
}

static void the_least_loaded_is_next_and_lag_is_load(void **state)
{
    (void)state;
    uint32_t load[GATE_PLACES] = {0};
    struct reads s = {0};
    assert_int_equal(reads_pick(&s, load, 3), -1);
    s.fit = 1 << 1 | 1 << 2 | 1 << 4;
    for (uint32_t i = 0; i < 30; i++)
        load[reads_pick(&s, load, i * 7)]++;
    assert_int_equal(load[1], 10);
    assert_int_equal(load[2], 10);
    assert_int_equal(load[4], 10);
    s.lag[4] = 4 * NS_PER_S; /* a fifth of the others' share */
    for (uint32_t i = 0; i < 190; i++)
        load[reads_pick(&s, load, i)]++;
    assert_in_range(load[1], 99, 101);
    assert_in_range(load[2], 99, 101);
    assert_in_range(load[4], 19, 21);
}

static void equal_ones_are_drawn(void **state)
{
    (void)state;
    const uint32_t load[GATE_PLACES] = {0};
    const struct reads s = {.fit = 1 << 0 | 1 << 9};
    assert_int_equal(reads_pick(&s, load, 0), 0);
    assert_int_equal(reads_pick(&s, load, 1), 9);
    assert_int_equal(reads_pick(&s, load, 9), 9);
    assert_int_equal(reads_pick(&s, load, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_has_both_and_its_ends),
        cmocka_unit_test(those_that_are_told_of_are_fit_but_the_primary),
        cmocka_unit_test(bounds_hold_and_half_of_them_brings_back),
        cmocka_unit_test(what_is_not_said_again_grows_old),
        cmocka_unit_test(the_least_loaded_is_next_and_lag_is_load),
        cmocka_unit_test(equal_ones_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
