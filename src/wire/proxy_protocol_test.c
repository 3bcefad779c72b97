/* Units of the PROXY protocol: what the specification shows, what must be refused, and every split
 * point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/proxy_protocol.h"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define V2 "\r\n\r\n\0\r\nQUIT\n"

struct row {
    const char *name;
    struct str bytes;
    int want;
    const char *from, *to; /* NULL: local */
};

static const struct row rows[] = {
    {"v1 TCP4", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), PROXY_DONE,
     "192.0.2.1:56324", "198.51.100.7:443"},
    {"v1 TCP6", BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), PROXY_DONE,
     "[2001:db8::1]:1", "[2001:db8::2]:65535"},
    {"v1 unknown", BYTES("PROXY UNKNOWN\r\n"), PROXY_DONE, NULL, NULL},
    {"v1 unknown with anything", BYTES("PROXY UNKNOWN ffff:f ::1 65535 65535\r\n"), PROXY_DONE,
     NULL, NULL},
    {"v1 port with zero", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 0563 443\r\n"), PROXY_REFUSED,
     NULL, NULL},
    {"v1 port too large", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n"), PROXY_REFUSED,
     NULL, NULL},
    {"v1 two spaces", BYTES("PROXY TCP4  192.0.2.1 198.51.100.7 1 443\r\n"), PROXY_REFUSED, NULL,
     NULL},
    {"v1 trailing space", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 1 443 \r\n"), PROXY_REFUSED,
     NULL, NULL},
    {"v1 bare LF", BYTES("PROXY TCP4 192.0.2.1 198.51.100.7 1 443\n"), PROXY_REFUSED, NULL, NULL},
    {"v1 families mixed", BYTES("PROXY TCP4 2001:db8::1 198.51.100.7 1 443\r\n"), PROXY_REFUSED,
     NULL, NULL},
    {"v1 no family", BYTES("PROXY \r\n"), PROXY_REFUSED, NULL, NULL},
    {"v1 too long",
     BYTES("PROXY UNKNOWN "
           "01234567890123456789012345678901234567890123456789"
           "01234567890123456789012345678901234567890123456789\r\n"),
     PROXY_REFUSED, NULL, NULL},
    {"http", BYTES("GET / HTTP/1.1\r\n"), PROXY_REFUSED, NULL, NULL},
    {"v2 TCP4", BYTES(V2 "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"),
     PROXY_DONE, "192.0.2.1:56324", "198.51.100.7:443"},
    {"v2 TCP4 with an extension",
     BYTES(V2 "\x21\x11\0\x11\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb\x04\0\x02\0\0"),
     PROXY_DONE, "192.0.2.1:56324", "198.51.100.7:443"},
    {"v2 extension too long",
     BYTES(V2 "\x21\x11\0\x11\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb\x04\0\x03\0\0"),
     PROXY_REFUSED, NULL, NULL},
    {"v2 local", BYTES(V2 "\x20\0\0\0"), PROXY_DONE, NULL, NULL},
    {"v2 local with bytes to skip", BYTES(V2 "\x20\0\0\x02xx"), PROXY_DONE, NULL, NULL},
    {"v2 unspecified", BYTES(V2 "\x21\0\0\0"), PROXY_DONE, NULL, NULL},
    {"v2 short addresses", BYTES(V2 "\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01"),
     PROXY_REFUSED, NULL, NULL},
    {"v2 version 1", BYTES(V2 "\x11\x11\0\0"), PROXY_REFUSED, NULL, NULL},
    {"v2 command 2", BYTES(V2 "\x22\x11\0\0"), PROXY_REFUSED, NULL, NULL},
    {"v2 family 4", BYTES(V2 "\x21\x41\0\0"), PROXY_REFUSED, NULL, NULL},
    {"v2 transport 3", BYTES(V2 "\x21\x13\0\0"), PROXY_REFUSED, NULL, NULL},
    {"v2 too long", BYTES(V2 "\x21\x11\x10\0"), PROXY_REFUSED, NULL, NULL},
};

static void expect_address(const struct row *r, const struct addr *a, const char *want)
{
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    if (strcmp(text, want))
        fail_msg("%s: %s, want %s", r->name, text, want);
}

static void expect_row(const struct row *r)
{
    struct proxy_header h;
    const char *why = NULL;
    int got = proxy_header_parse(r->bytes.p, r->bytes.n, &h, &why);
    if (got != r->want)
        fail_msg("%s: %d (%s)", r->name, got, why ? why : "");
    if (got == PROXY_REFUSED)
        assert_non_null(why);
    if (got != PROXY_DONE)
        return;
    assert_int_equal(h.bytes, r->bytes.n);
    assert_int_equal(h.local, r->from == NULL);
    if (r->from) {
        expect_address(r, &h.from, r->from);
        expect_address(r, &h.to, r->to);
    }
}

static void each_row_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(&rows[i]);
}

static void a_part_of_a_header_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t n = 0; rows[i].want == PROXY_DONE && n < rows[i].bytes.n; n++) {
            struct proxy_header h;
            const char *why = NULL;
            if (proxy_header_parse(rows[i].bytes.p, n, &h, &why) != PROXY_MORE)
                fail_msg("%s: cut to %zu bytes", rows[i].name, n);
        }
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    const char *pairs[][2] = {{"192.0.2.1:56324", "198.51.100.7:443"},
                              {"[2001:db8::1]:1", "[2001:db8::2]:65535"},
                              {"unix:/run/a", "unix:@b"}};
    for (uint8_t version = 1; version <= 2; version++)
        for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
            struct addr from, to;
            struct proxy_header h;
            const char *why;
            char out[PROXY_HEADER_WRITTEN_MAX];
            assert_true(addr_parse(str_of(pairs[i][0]), &from) &&
                        addr_parse(str_of(pairs[i][1]), &to));
            size_t n = proxy_header_write(version, &from, &to, out);
            assert_true(n <= sizeof out);
            assert_int_equal(proxy_header_parse(out, n, &h, &why), PROXY_DONE);
            assert_int_equal(h.version, version);
            assert_int_equal(h.bytes, n);
            bool nameless = version == 1 && from.kind == ADDR_UNIX;
            assert_int_equal(h.local, nameless);
            if (!nameless)
                assert_true(addr_eq(&h.from, &from) && addr_eq(&h.to, &to));
        }
}

/* A client that came through another proxy to a listener of another family: who it is is not lost.
 */
static void the_client_is_told_whatever_the_listener_is(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"[2001:db8::1]:1", "198.51.100.7:443", "[::ffff:198.51.100.7]:443"},
        {"192.0.2.1:7", "[::ffff:198.51.100.7]:443", "198.51.100.7:443"},
        {"192.0.2.1:7", "[2001:db8::2]:443", "0.0.0.0:443"},
        {"192.0.2.1:7", "unix:/run/a", "0.0.0.0:0"},
        {"[2001:db8::1]:1", "", "[::]:0"},
    };
    for (uint8_t version = 1; version <= 2; version++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct addr from, to = {0};
            struct proxy_header h;
            const char *why;
            char out[PROXY_HEADER_WRITTEN_MAX], text[ADDR_TEXT_MAX];
            assert_true(addr_parse(str_of(cases[i][0]), &from));
            assert_int_equal(addr_parse(str_of(cases[i][1]), &to), cases[i][1][0] != 0);
            size_t n = proxy_header_write(version, &from, &to, out);
            assert_int_equal(proxy_header_parse(out, n, &h, &why), PROXY_DONE);
            assert_false(h.local);
            assert_true(addr_eq(&h.from, &from));
            addr_format(&h.to, text);
            assert_string_equal(text, cases[i][2]);
        }
}

/* The mark that keeps a connection from being passed on twice. */
static void a_hop_is_known_by_its_mark(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"192.0.2.1:65535", "198.51.100.7:1"},
                                           {"192.0.2.1:7", "[2001:db8::2]:443"},
                                           {"[2001:db8::1]:1", "198.51.100.7:443"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct addr from, to;
        struct proxy_header h;
        const char *why;
        char out[PROXY_HEADER_WRITTEN_MAX];
        assert_true(addr_parse(str_of(pairs[i][0]), &from) && addr_parse(str_of(pairs[i][1]), &to));
        size_t n = proxy_header_write_hop(&from, &to, PROXY_HOP_MARKED, out);
        assert_true(n <= sizeof out);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(proxy_header_parse(out, cut, &h, &why), PROXY_MORE);
        assert_int_equal(proxy_header_parse(out, n, &h, &why), PROXY_DONE);
        assert_int_equal(h.bytes, n);
        assert_true(h.hop && addr_eq(&h.from, &from));
        assert_int_equal(h.hop_flags, PROXY_HOP_MARKED);
        out[n - 2] = 9; /* a version of later days */
        assert_int_equal(proxy_header_parse(out, n, &h, &why), PROXY_DONE);
        assert_false(h.hop);
        assert_int_equal(proxy_header_parse(out, proxy_header_write(2, &from, &to, out), &h, &why),
                         PROXY_DONE);
        assert_false(h.hop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_table),
        cmocka_unit_test(a_part_of_a_header_asks_for_more),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(the_client_is_told_whatever_the_listener_is),
        cmocka_unit_test(a_hop_is_known_by_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
