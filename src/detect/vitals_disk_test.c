/* A file system's room and its writes; a process's growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "detect/vitals_fixture.h"

struct rig {
    struct ear ear;
    struct vitals_disk d;
    struct vitals_process p;
    uint64_t now;
    struct prng draw;
};

static void set_up(struct rig *r)
{
    *r = (struct rig){.now = 1000 * S};
    prng_seed(&r->draw, 11);
    struct vitals_host h = ear_host(&r->ear);
    assert_true(vitals_disk_init(&r->d, &h, STR("b:/var/lib/holdfast"), 0.95));
}

static enum finding_kind space(struct rig *r, uint64_t free, uint64_t inodes_free, bool read_only)
{
    struct vitals_space s = {1000000, free, 1000, inodes_free, read_only};
    r->now += 2 * S;
    vitals_disk_space(&r->d, &s, r->now);
    return heard(&r->ear, r->now);
}

static enum finding_kind wrote(struct rig *r, enum vitals_write how, uint64_t ms)
{
    r->now += 2 * S;
    vitals_disk_wrote(&r->d, how, ms * MS, r->now);
    return heard(&r->ear, r->now);
}

static void room_that_runs_out_is_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    assert_int_equal(space(&r, 60000, 900, false), FINDING_KINDS);
    assert_int_equal(space(&r, 45000, 900, false), FINDING_DISK_NEARLY_FULL);
    assert_int_equal(r.ear.kind, SUBJECT_DISK);
    assert_int_equal(space(&r, 60000, 900, false), FINDING_DISK_NEARLY_FULL); /* not enough */
    assert_int_equal(space(&r, 500, 900, false), FINDING_DISK_FULL);
    assert_int_equal(findings_worst(&r.ear.f)->verdict, VERDICT_FAILED);
    for (int i = 0; i < 10; i++)
        space(&r, 500000, 900, false);
    assert_int_equal(heard(&r.ear, r.now), FINDING_KINDS);
    assert_int_equal(space(&r, 500000, 10, false), FINDING_DISK_NEARLY_FULL); /* inodes */
}

static void what_was_writable_and_is_not_is_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    assert_int_equal(space(&r, 500000, 900, true), FINDING_KINDS); /* as it is meant */
    assert_int_equal(space(&r, 500000, 900, false), FINDING_KINDS);
    assert_int_equal(space(&r, 500000, 900, true), FINDING_DISK_READ_ONLY);
}

static void writes_that_fail_are_found_at_once(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    assert_int_equal(wrote(&r, WRITE_FULL, 1), FINDING_DISK_FULL);
    set_up(&r);
    assert_int_equal(wrote(&r, WRITE_READ_ONLY, 1), FINDING_DISK_READ_ONLY);
    set_up(&r);
    assert_int_equal(wrote(&r, WRITE_ERROR, 1), FINDING_DISK_ERROR);
    assert_int_equal(findings_worst(&r.ear.f)->verdict, VERDICT_FAILED);
    for (int i = 0; i < 29; i++) /* it is remembered for a minute */
        assert_int_equal(wrote(&r, WRITE_DONE, 1), FINDING_DISK_ERROR);
    wrote(&r, WRITE_DONE, 1);
    assert_int_equal(wrote(&r, WRITE_DONE, 1), FINDING_KINDS);
}

static void writes_slower_than_usual_are_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    for (int i = 0; i < 500; i++) /* and one of twenty waits for somebody */
        assert_int_equal(wrote(&r, WRITE_DONE, i % 20 ? 1 + prng_below(&r.draw, 8) : 60),
                         FINDING_KINDS);
    assert_int_equal(wrote(&r, WRITE_DONE, 100), FINDING_KINDS);
    assert_int_equal(wrote(&r, WRITE_DONE, 100), FINDING_DISK_SLOW);
    for (int i = 0; i < 1000; i++) /* it is not what is usual */
        assert_int_equal(wrote(&r, WRITE_DONE, 100), FINDING_DISK_SLOW);
    for (int i = 0; i < 3; i++)
        wrote(&r, WRITE_DONE, 3);
    assert_int_equal(heard(&r.ear, r.now), FINDING_KINDS);
}

static void a_write_that_does_not_end_is_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    wrote(&r, WRITE_DONE, 2);
    vitals_disk_waits(&r.d, 900 * MS, r.now += S);
    assert_int_equal(r.ear.found, 0);
    vitals_disk_waits(&r.d, 1900 * MS, r.now += S);
    vitals_disk_waits(&r.d, 3900 * MS, r.now += 2 * S);
    assert_int_equal(heard(&r.ear, r.now), FINDING_DISK_SLOW);
}

/* ---- processes ---- */

#define MIB UINT64_C(1048576)

static enum finding_kind grow(struct rig *r, uint64_t memory, uint64_t files)
{
    struct vitals_host h = ear_host(&r->ear);
    struct vitals_process_sample s = {r->now += S, memory, 512 * MIB, files, 1024};
    vitals_process_look(&r->p, &h, SUBJECT_INSTANCE, STR("web/10.0.0.1:80"), &s);
    return heard(&r->ear, r->now);
}

static void memory_that_grows_to_its_limit_is_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    uint64_t memory = 50 * MIB;
    int looks = 0;
    while (grow(&r, memory + prng_below(&r.draw, MIB), 20) != FINDING_MEMORY_LEAK) {
        memory += 2 * MIB;
        assert_true(++looks < 20);
    }
    assert_non_null(strstr(findings_worst(&r.ear.f)->says, "512 MiB"));
}

/* Slow leaks need long scales: 30 MiB an hour. */
static void a_slow_leak_is_found_too(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    uint64_t memory = 100 * MIB;
    for (int i = 0; i < 2 * 3600; i++, memory += 30 * MIB / 3600)
        grow(&r, memory, 20);
    assert_int_equal(heard(&r.ear, r.now), FINDING_MEMORY_LEAK);
}

/* Garbage collection, a cache that is filled and then is full, a step, and drift far from any
 * limit. */
static void other_growth_is_no_leak(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(grow(&r, (100 + (uint64_t)(i % 12) * 8) * MIB, 20), FINDING_KINDS);
    set_up(&r);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(
            grow(&r, (100 + (i > 9000 ? 80 : 0)) * MIB + prng_below(&r.draw, 10 * MIB), 20),
            FINDING_KINDS);
    set_up(&r);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(grow(&r, 100 * MIB + (uint64_t)i * 100, 20), FINDING_KINDS);
}

static void descriptors_that_run_out_are_found(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r);
    uint64_t files = 20;
    int looks = 0;
    while (grow(&r, 50 * MIB, files) != FINDING_DESCRIPTORS) {
        files += 100;
        assert_true(++looks <= 4);
    }
    set_up(&r);
    for (int i = 0; i < 100; i++) /* many at once, then no more */
        assert_int_equal(grow(&r, 50 * MIB, i < 10 ? 20 : 500), FINDING_KINDS);
    assert_int_equal(grow(&r, 50 * MIB, 900), FINDING_DESCRIPTORS);
    for (int i = 0; i < 6; i++)
        grow(&r, 50 * MIB, 100);
    assert_int_equal(heard(&r.ear, r.now), FINDING_KINDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_that_runs_out_is_found),
        cmocka_unit_test(what_was_writable_and_is_not_is_found),
        cmocka_unit_test(writes_that_fail_are_found_at_once),
        cmocka_unit_test(writes_slower_than_usual_are_found),
        cmocka_unit_test(a_write_that_does_not_end_is_found),
        cmocka_unit_test(memory_that_grows_to_its_limit_is_found),
        cmocka_unit_test(a_slow_leak_is_found_too),
        cmocka_unit_test(other_growth_is_no_leak),
        cmocka_unit_test(descriptors_that_run_out_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
