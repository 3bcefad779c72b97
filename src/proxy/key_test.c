/* Units of keys: what is found where, and what a request without a key is placed by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/key.h"

static const uint8_t ip[4] = {192, 0, 2, 1};

static uint64_t key(enum hash_kind kind, const char *name, const char *request)
{
    static struct http_head h;
    const struct http_limits limits = {4096, 50};
    const struct http_refusal *why;
    struct view_hash by = {(uint8_t)kind, str_of(name)};
    assert_int_equal(http_parse_request(request, strlen(request), 0, &limits, &h, &why), HTTP_DONE);
    return key_of(&by, &h, ip, sizeof ip);
}

#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

static void equal_keys_are_equal_and_others_differ(void **state)
{
    (void)state;
    const struct {
        enum hash_kind kind;
        const char *name, *a, *same, *other;
    } rows[] = {
        {HASH_HEADER, "X-User", GET("/", "X-User: ann\r\n"), GET("/b", "x-user:  ann \r\n"),
         GET("/", "X-User: bob\r\n")},
        {HASH_COOKIE, "id", GET("/", "Cookie: a=1; id=7; b=2\r\n"), GET("/", "Cookie: id=7\r\n"),
         GET("/", "Cookie: id=8\r\n")},
        {HASH_COOKIE, "id", GET("/", "Cookie: a=1\r\nCookie: id=7\r\n"),
         GET("/", "Cookie: id=7\r\n"), GET("/", "Cookie: xid=7\r\n")},
        {HASH_PATH, "", GET("/a?x=1", ""), GET("/a?x=2", ""), GET("/b?x=1", "")},
        {HASH_QUERY, "u", GET("/a?x=1&u=9", ""), GET("/b?u=9", ""), GET("/a?u=10", "")},
        {HASH_QUERY, "u", GET("/a?u=", ""), GET("/b?u=&v", ""), GET("/a", "")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t a = key(rows[i].kind, rows[i].name, rows[i].a);
        if (a != key(rows[i].kind, rows[i].name, rows[i].same) ||
            a == key(rows[i].kind, rows[i].name, rows[i].other))
            fail_msg("row %zu", i);
    }
}

static void without_a_key_the_client_is_one(void **state)
{
    (void)state;
    uint64_t source = key_of_source(ip, sizeof ip);
    assert_int_equal(key(HASH_SOURCE, "", GET("/", "")), source);
    assert_int_equal(key(HASH_HEADER, "X-User", GET("/", "")), source);
    assert_int_equal(key(HASH_COOKIE, "id", GET("/", "Cookie: idx=1; i=2\r\n")), source);
    assert_int_equal(key(HASH_QUERY, "u", GET("/?uu=1", "")), source);
    const struct view_hash by = {HASH_HEADER, STR("X-User")};
    assert_int_equal(key_of(&by, NULL, ip, sizeof ip), source);
}

static void instances_are_told_apart_by_both_names(void **state)
{
    (void)state;
    uint64_t a = key_of_instance(STR("web"), STR("10.0.0.1:80"));
    assert_int_equal(a, key_of_instance(STR("web"), STR("10.0.0.1:80")));
    assert_true(a != key_of_instance(STR("web"), STR("10.0.0.2:80")));
    assert_true(a != key_of_instance(STR("api"), STR("10.0.0.1:80")));
    assert_true(a != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_are_equal_and_others_differ),
        cmocka_unit_test(without_a_key_the_client_is_one),
        cmocka_unit_test(instances_are_told_apart_by_both_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
