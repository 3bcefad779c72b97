#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void what_is_an_address(void **state)
{
    static const struct {
        const char *text, *back; /* NULL: the same */
        int kind, port;
    } rows[] = {
        {"10.0.0.1:80", NULL, ADDR_IP4, 80},
        {"0.0.0.0:1", NULL, ADDR_IP4, 1},
        {"255.255.255.255:65535", NULL, ADDR_IP4, 65535},
        {"[::]:8080", NULL, ADDR_IP6, 8080},
        {"[2001:db8::1]:80", NULL, ADDR_IP6, 80},
        {"[2001:0DB8:0:0:0:0:0:1]:80", "[2001:db8::1]:80", ADDR_IP6, 80},
        {"[::ffff:10.0.0.1]:80", NULL, ADDR_IP6, 80},
        {"unix:/run/x.sock", NULL, ADDR_UNIX, 0},
        {"unix:@abstract", NULL, ADDR_UNIX, 0},
        {"10.0.0.1:0080", "10.0.0.1:80", ADDR_IP4, 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr a, again;
        char text[ADDR_TEXT_MAX];
        assert_true(addr_parse(str_of(rows[i].text), &a));
        assert_int_equal(a.kind, rows[i].kind);
        assert_int_equal(a.port, rows[i].port);
        size_t n = addr_format(&a, text);
        assert_string_equal(text, rows[i].back ? rows[i].back : rows[i].text);
        assert_int_equal(n, strlen(text));
        assert_true(addr_parse(str_of(text), &again));
        assert_true(addr_eq(&a, &again));
    }
}

static void what_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        ":80",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:0",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "256.0.0.1:80",
        "10.0.0.1:65536",
        "10.0.0.1:+1",
        "10.0.0.1:8 ",
        " 10.0.0.1:80",
        "::1:80",
        "[::1]",
        "[::1]:",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[:]:80",
        "[10.0.0.1]:80",
        "[::1%lo]:80",
        "host:80",
        "localhost:80",
        "unix:",
        "unix:x",
        "unix:./x",
        "UNIX:/x",
        "[[::1]]:80",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr a = {.kind = 77};
        if (addr_parse(str_of(rows[i]), &a))
            fail_msg("'%s' was taken for an address", rows[i]);
        assert_int_equal(a.kind, 77); /* untouched */
    }
    struct addr a;
    assert_false(addr_parse((struct str){"unix:/a\0b", 9}, &a));
    assert_false(addr_parse((struct str){"10.0.0.1\0:80", 12}, &a));
}

static void long_paths(void **state)
{
    char text[200] = "unix:/";
    struct addr a;
    memset(text + 6, 'x', 106);
    text[5 + 107] = 0;
    assert_true(addr_parse(str_of(text), &a)); /* 107 and the terminator */
    assert_int_equal(strlen(a.path), 107);
    char back[ADDR_TEXT_MAX];
    addr_format(&a, back);
    assert_string_equal(back, text);
    text[5 + 107] = 'x';
    text[5 + 108] = 0;
    assert_false(addr_parse(str_of(text), &a));
}

static void parts_and_equality(void **state)
{
    struct addr a, b;
    char text[ADDR_TEXT_MAX];
    assert_true(addr_parse(str_of("[2001:db8::1]:80"), &a));
    assert_int_equal(addr_format_ip(&a, text), strlen("2001:db8::1"));
    assert_string_equal(text, "2001:db8::1");
    assert_true(addr_parse(str_of("[2001:db8::1]:81"), &b));
    assert_false(addr_eq(&a, &b));
    assert_true(addr_parse(str_of("[2001:db8::2]:80"), &b));
    assert_false(addr_eq(&a, &b));
    assert_true(addr_parse(str_of("10.0.0.1:80"), &a));
    assert_true(addr_parse(str_of("10.0.0.1:80"), &b));
    memset(b.ip + 4, 9, 12); /* beyond an IPv4 address nothing counts */
    assert_true(addr_eq(&a, &b));
    assert_true(addr_parse(str_of("unix:/a"), &a));
    assert_true(addr_parse(str_of("unix:/b"), &b));
    assert_false(addr_eq(&a, &b));
    addr_format_ip(&a, text);
    assert_string_equal(text, "unix:/a");
    struct addr none = {0};
    assert_int_equal(addr_format(&none, text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_an_address),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(long_paths),
        cmocka_unit_test(parts_and_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
