/* The kernel's texts, whole, cut and odd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "detect/vitals_parse.h"

static void pressure_is_read(void **state)
{
    (void)state;
    uint64_t some = 0, full = 0;
    struct str both = STR("some avg10=1.53 avg60=0.87 avg300=0.73 total=1234567\n"
                          "full avg10=0.00 avg60=0.13 avg300=0.11 total=89\n");
    assert_true(parse_pressure(both, &some, &full));
    assert_int_equal(some, 1234567);
    assert_int_equal(full, 89);
    struct str one = STR("some avg10=0.00 avg60=0.00 avg300=0.00 total=5");
    assert_true(parse_pressure(one, &some, NULL));
    assert_int_equal(some, 5);
    assert_false(parse_pressure(one, &some, &full));
    assert_false(parse_pressure(STR("some avg10=0.00 total="), &some, NULL));
    assert_false(parse_pressure(STR(""), &some, NULL));
}

static void counts_are_read(void **state)
{
    (void)state;
    uint64_t a = 0, b = 0;
    assert_true(parse_loadavg(STR("2.00 1.90 1.66 3/99 29008\n"), &a, &b));
    assert_int_equal(a, 3);
    assert_int_equal(b, 99);
    assert_false(parse_loadavg(STR("2.00 1.90 1.66 3 29008\n"), &a, &b));
    assert_false(parse_loadavg(STR("2.00"), &a, &b));
    assert_true(parse_field(STR("nr_free 1\noom_kill 4\noom_killer 7\n"), STR("oom_kill"), &a));
    assert_int_equal(a, 4);
    assert_false(parse_field(STR("oom_kill\n"), STR("oom_kill"), &a));
    assert_true(parse_number(STR("622\t0\t9223372036854775807\n"), 2, &a));
    assert_int_equal(a, INT64_MAX);
    assert_false(parse_number(STR("622\t0\n"), 2, &a));
    assert_true(parse_open_files(STR("Limit  Soft\nMax open files            1024                 "
                                     "1048576              files\n"),
                                 &a));
    assert_int_equal(a, 1024);
    assert_false(parse_open_files(STR("Limit Soft\n"), &a));
}

static void interfaces_are_read(void **state)
{
    (void)state;
    struct vitals_nic n[2];
    struct str text =
        STR("Inter-|   Receive                                                |  Transmit\n"
            " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
            "    lo: 42540546168 80101222    0    0    0     0          0         0 42540546168 "
            "80101222    0    0    0     0       0          0\n"
            "eth0: 1 100 2 9 0 1 0 0 1 50 3 9 0 0 4 0\n"
            "eth1: 1 100\n");
    assert_int_equal(parse_interfaces(text, n, 2), 2);
    assert_string_equal(n[0].name, "lo");
    assert_string_equal(n[1].name, "eth0");
    assert_int_equal(n[1].packets, 150);
    assert_int_equal(n[1].bad, 10);
    assert_int_equal(parse_interfaces(text, n, 1), 1);
}

static void whole_devices_are_read(void **state)
{
    (void)state;
    struct vitals_device d[8];
    struct str text = STR("   7       0 loop0 403 4 10362 227 256 123 186854 700 0 596 1185\n"
                          " 254       0 vda 100 1 10 20 300 1 1 40 0 1 1 0 0 0 0 1 1\n"
                          " 254       1 vda1 100 1 10 20 300 1 1 40 0 1 1 0 0 0 0 1 1\n"
                          " 259       0 nvme0n1 1 0 0 2 3 0 0 4 0 0 0\n"
                          " 259       1 nvme0n1p1 1 0 0 2 3 0 0 4 0 0 0\n"
                          "   8       0 sda 1 0 0\n"
                          "   8       0\n");
    assert_int_equal(parse_devices(text, d, 8), 2);
    assert_string_equal(d[0].name, "vda");
    assert_int_equal(d[0].operations, 400);
    assert_int_equal(d[0].ms, 60);
    assert_string_equal(d[1].name, "nvme0n1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pressure_is_read),
        cmocka_unit_test(counts_are_read),
        cmocka_unit_test(interfaces_are_read),
        cmocka_unit_test(whole_devices_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
