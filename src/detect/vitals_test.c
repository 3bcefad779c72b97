/* What is made of a machine's numbers: when something is found, when it is over, and that noise is
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "detect/vitals_fixture.h"

struct machine {
    struct ear ear;
    struct vitals v;
    struct vitals_sample s;
    struct prng draw;
};

static void set_up(struct machine *m)
{
    *m = (struct machine){0};
    prng_seed(&m->draw, 7);
    struct vitals_host h = ear_host(&m->ear);
    vitals_init(&m->v, &h, STR("b"));
    m->s = (struct vitals_sample){.at = 1000 * S,
                                  .has = VITAL_CPU | VITAL_MEMORY | VITAL_IO | VITAL_TASKS |
                                         VITAL_TASKS_MOST | VITAL_FILES | VITAL_CONNECTIONS |
                                         VITAL_OOM | VITAL_AHEAD,
                                  .processors = 2,
                                  .running = 1,
                                  .tasks = 200,
                                  .tasks_most = 32768,
                                  .files = 1000,
                                  .files_most = 100000,
                                  .connections = 10,
                                  .connections_most = 262144,
                                  .oom_kills = 4,
                                  .ahead = INT64_C(1700000000000000000)};
    vitals_look(&m->v, &m->s);
}

/* A second later, in which tasks waited for so many ms. */
static void look(struct machine *m, uint64_t cpu, uint64_t memory, uint64_t io)
{
    m->s.at += S;
    m->s.cpu_some += cpu * 1000;
    m->s.memory_some += memory * 1000;
    m->s.io_full += io * 1000;
    vitals_look(&m->v, &m->s);
}

/* Looks until that is found; their number. */
#define UNTIL(m, kind, most, step)                                                                 \
    for (int i_ = 0; heard(&(m)->ear, (m)->s.at) != (kind); i_++) {                                \
        assert_true(i_ < (most));                                                                  \
        step;                                                                                      \
    }

static void stalls_that_last_are_found_and_end(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    look(&m, 0, 900, 0); /* one bad second is none */
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_KINDS);
    for (int i = 0; i < 60; i++)
        look(&m, 0, 10, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_KINDS);
    UNTIL(&m, FINDING_MEMORY_PRESSURE, 3, look(&m, 0, 300, 0));
    assert_int_equal(m.ear.kind, SUBJECT_NODE);
    assert_string_equal(m.ear.name, "b");
    assert_non_null(strstr(findings_worst(&m.ear.f)->says, "30%"));
    for (int i = 0; i < 100; i++) { /* between the thresholds: it stays */
        look(&m, 0, 150, 0);
        assert_int_equal(heard(&m.ear, m.s.at), FINDING_MEMORY_PRESSURE);
    }
    UNTIL(&m, FINDING_KINDS, 8, look(&m, 0, 20, 0));
}

static void disks_that_hold_all_up_are_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    UNTIL(&m, FINDING_IO_PRESSURE, 9, look(&m, 0, 0, 950));
}

static void many_tasks_a_processor_are_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    m.s.running = 16;
    UNTIL(&m, FINDING_RUN_QUEUE, 5, look(&m, 1000, 0, 0));
    for (int i = 0; i < 5; i++)
        look(&m, 1000, 0, 0);
    assert_int_equal(m.ear.f.n, 2); /* the pressure too */
}

/* A machine that is well used: all its processors are busy, and one task waits. */
static void a_busy_machine_is_not_ill(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    for (int i = 0; i < 86400; i++) {
        m.s.running = 1 + prng_below(&m.draw, 5);
        look(&m, 600 + prng_below(&m.draw, 400), prng_below(&m.draw, 100),
             prng_below(&m.draw, 600));
        assert_int_equal(heard(&m.ear, m.s.at), FINDING_KINDS);
    }
}

static void tables_that_run_full_are_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    m.s.connections = 240000;
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_CONNTRACK);
    m.s.connections = 220000; /* not yet */
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_CONNTRACK);
    m.s.connections = 10;
    UNTIL(&m, FINDING_KINDS, 6, look(&m, 0, 0, 0));
    m.s.tasks = 30000;
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_PROCESSES);
    m.s.tasks = 10;
    UNTIL(&m, FINDING_KINDS, 6, look(&m, 0, 0, 0));
    m.s.files = 95000;
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_DESCRIPTORS);
}

static void a_kill_for_memory_is_found_once(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    m.s.oom_kills++;
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_OOM_KILL);
    UNTIL(&m, FINDING_KINDS, 62, look(&m, 0, 0, 0));
    assert_int_equal(m.ear.found, 1);
}

static void a_step_of_the_clock_is_found_and_slewing_is_not(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    for (int i = 0; i < 1000; i++) {
        m.s.ahead += INT64_C(500000); /* 500 ppm */
        look(&m, 0, 0, 0);
    }
    assert_int_equal(m.ear.found, 0);
    m.s.ahead -= INT64_C(3600) * INT64_C(1000000000);
    look(&m, 0, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_CLOCK_STEP);
    assert_non_null(strstr(findings_worst(&m.ear.f)->says, "-3600"));
}

/* What cannot be read is no value of nought. */
static void what_is_missing_says_nothing(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    struct vitals_sample none = {.at = m.s.at + S, .processors = 2};
    vitals_look(&m.v, &none);
    m.s.at += S;
    m.s.ahead += INT64_C(5000000000);
    m.s.oom_kills += 3;
    m.s.memory_some += 900000;
    look(&m, 0, 0, 0);
    assert_int_equal(m.ear.found, 0);
}

/* The machine slept, or this process did not run: counters of an hour say nothing of a second. */
static void a_long_gap_says_nothing_of_pressure(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    m.s.at += 3600 * S;
    look(&m, 0, 3000000, 0);
    assert_int_equal(m.ear.found, 0);
}

/* ---- interfaces ---- */

static void nic(struct machine *m, bool up, bool carrier, uint64_t packets, uint64_t bad)
{
    static const char name[] = "eth1";
    struct vitals_nic n = {.up = up, .carrier = carrier, .counts = true};
    struct vitals_nic *last = &m->v.nics[0];
    memcpy(n.name, name, sizeof name);
    n.packets = last->packets + packets;
    n.bad = last->bad + bad;
    m->s.at += S;
    vitals_nics(&m->v, &n, 1, m->s.at);
}

static void a_lost_carrier_is_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    nic(&m, true, false, 0, 0); /* it never had one */
    assert_int_equal(m.ear.found, 0);
    nic(&m, true, true, 10, 0);
    nic(&m, false, false, 0, 0); /* an operator took it down */
    assert_int_equal(m.ear.found, 0);
    nic(&m, true, false, 0, 0);
    assert_int_equal(heard(&m.ear, m.s.at), FINDING_NIC_DOWN);
    assert_non_null(strstr(findings_worst(&m.ear.f)->says, "eth1"));
    UNTIL(&m, FINDING_KINDS, 6, nic(&m, true, true, 10, 0));
    nic(&m, true, false, 0, 0);
    vitals_nics(&m.v, NULL, 0, m.s.at + S); /* it was removed */
    assert_int_equal(heard(&m.ear, m.s.at + 6 * S), FINDING_KINDS);
    assert_int_equal(m.v.n_nics, 0);
}

static void damaged_packets_are_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    nic(&m, true, true, 1000, 0);
    for (int i = 0; i < 100; i++)
        nic(&m, true, true, 100000, 5);
    assert_int_equal(m.ear.found, 0);
    UNTIL(&m, FINDING_NIC_ERRORS, 4, nic(&m, true, true, 1000, 20));
}

/* ---- devices ---- */

static void operations(struct machine *m, uint64_t n, uint64_t ms)
{
    struct vitals_device d = {
        .name = "sda", .operations = m->v.devices[0].operations + n, .ms = m->v.devices[0].ms + ms};
    m->s.at += S;
    vitals_devices(&m->v, &d, 1, m->s.at);
}

static void a_device_slower_than_it_was_is_found(void **state)
{
    (void)state;
    struct machine m;
    set_up(&m);
    operations(&m, 100, 200);
    for (int i = 0; i < 1000; i++) /* 1 to 20 ms, as it pleases */
        operations(&m, 100, 100 + prng_below(&m.draw, 1900));
    assert_int_equal(m.ear.found, 0);
    UNTIL(&m, FINDING_DISK_SLOW, 4, operations(&m, 50, 10000));
    assert_int_equal(m.ear.kind, SUBJECT_DISK);
    assert_string_equal(m.ear.name, "b:sda");
    UNTIL(&m, FINDING_KINDS, 8, operations(&m, 100, 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stalls_that_last_are_found_and_end),
        cmocka_unit_test(disks_that_hold_all_up_are_found),
        cmocka_unit_test(many_tasks_a_processor_are_found),
        cmocka_unit_test(a_busy_machine_is_not_ill),
        cmocka_unit_test(tables_that_run_full_are_found),
        cmocka_unit_test(a_kill_for_memory_is_found_once),
        cmocka_unit_test(a_step_of_the_clock_is_found_and_slewing_is_not),
        cmocka_unit_test(what_is_missing_says_nothing),
        cmocka_unit_test(a_long_gap_says_nothing_of_pressure),
        cmocka_unit_test(a_lost_carrier_is_found),
        cmocka_unit_test(damaged_packets_are_found),
        cmocka_unit_test(a_device_slower_than_it_was_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
