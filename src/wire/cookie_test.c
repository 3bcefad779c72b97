/* Cookies as browsers and servers write them, and what must not be written. */
#include <stdio.h>

#include "wire/http1_test.h"

#include "wire/cookie.h"

static struct http_head h;

static void parse(enum http1_case_kind kind, const char *fields)
{
    static char in[1024];
    const struct http_refusal *why = NULL;
    snprintf(in, sizeof in, "%s\r\n%s\r\n",
             kind == CASE_REQUEST ? "GET / HTTP/1.1\r\nHost: a" : "HTTP/1.1 200 OK", fields);
    if (http1_case_parse(kind, in, strlen(in), 0, &h, &why) != HTTP_DONE)
        fail_msg("refused: %s", why ? why->code : "more");
}

static const char *text(bool found, struct str value)
{
    static char out[256];
    if (!found)
        return "none";
    str_copy(out, sizeof out, value);
    return out;
}

static const char *sent(const char *fields, const char *name)
{
    struct str value = {NULL, 0};
    parse(CASE_REQUEST, fields);
    bool found = cookie_find(&h, str_of(name), &value);
    return text(found, value);
}

static void a_cookie_is_found_by_name(void **state)
{
    assert_string_equal(sent("Cookie: a=1; b=2\r\n", "a"), "1");
    assert_string_equal(sent("Cookie: a=1; b=2\r\n", "b"), "2");
    assert_string_equal(sent("Cookie: a=1; b=2\r\n", "c"), "none");
    assert_string_equal(sent("Cookie: a=1; b=2\r\n", "A"), "none");
    assert_string_equal(sent("Cookie: aa=1; a=2\r\n", "a"), "2");
    assert_string_equal(sent("x: y\r\n", "a"), "none");
    assert_string_equal(sent("Cookie:\r\n", "a"), "none");
}

static void odd_but_met(void **state)
{
    assert_string_equal(sent("Cookie: a=1;b=2;;  ;c=3;\r\n", "c"), "3");
    assert_string_equal(sent("Cookie:  a = 1 \r\n", "a"), "1");
    assert_string_equal(sent("Cookie: a=\"1 2\"\r\n", "a"), "1 2");
    assert_string_equal(sent("Cookie: a=\"\r\n", "a"), "\"");
    assert_string_equal(sent("Cookie: a=\"\"\r\n", "a"), "");
    assert_string_equal(sent("Cookie: a=\"1;a=2\"\r\n", "a"), "\"1");
    assert_string_equal(sent("Cookie: a=b=c\r\n", "a"), "b=c");
    assert_string_equal(sent("Cookie: a; =x; b=2\r\n", "a"), "none");
    assert_string_equal(sent("Cookie: a; =x; b=2\r\n", ""), "none");
    assert_string_equal(sent("Cookie: a=\r\n", "a"), "");
}

static void several_fields_and_several_of_a_name(void **state)
{
    assert_string_equal(sent("Cookie: a=1\r\nx: y\r\ncookie: b=2\r\n", "b"), "2");
    assert_string_equal(sent("Cookie: a=1\r\nCookie: a=2\r\n", "a"), "1");
    assert_string_equal(sent("Cookie: a=1; a=2\r\n", "a"), "1");
}

static const char *received(const char *fields, const char *name)
{
    struct str value = {NULL, 0};
    parse(CASE_RESPONSE, fields);
    bool found = set_cookie_find(&h, str_of(name), &value);
    return text(found, value);
}

static void a_cookie_that_is_set(void **state)
{
    assert_string_equal(received("Set-Cookie: a=1; Path=/; b=2\r\n", "a"), "1");
    assert_string_equal(received("Set-Cookie: a=1; Path=/; b=2\r\n", "b"), "none");
    assert_string_equal(received("Set-Cookie: a=1\r\nset-cookie: b=2; Secure\r\n", "b"), "2");
    assert_string_equal(received("Set-Cookie: a=1\r\nset-cookie: a=\"2\"\r\n", "a"), "2");
    assert_string_equal(received("Set-Cookie: a; b=2\r\n", "a"), "none");
    assert_string_equal(received("Set-Cookie: =1\r\n", ""), "none");
    assert_string_equal(received("Set-Cookie: ; a=1\r\n", "a"), "none");
    assert_string_equal(received("Cookie: a=1\r\n", "a"), "none");
}

static const char *written(const struct set_cookie *c)
{
    static char to[256];
    to[set_cookie_write(c, to, sizeof to - 1)] = 0;
    return to;
}

static void cookies_are_written(void **state)
{
    struct set_cookie c = {.name = STR("hf"), .value = STR("i-1"), .max_age = -1};
    assert_string_equal(written(&c), "hf=i-1");
    c.path = STR("/");
    c.http_only = true;
    c.same_site = COOKIE_SAME_SITE_LAX;
    assert_string_equal(written(&c), "hf=i-1; Path=/; HttpOnly; SameSite=Lax");
    c.max_age = 3600;
    c.secure = true;
    c.same_site = COOKIE_SAME_SITE_STRICT;
    assert_string_equal(written(&c), "hf=i-1; Path=/; Max-Age=3600; HttpOnly; Secure; "
                                     "SameSite=Strict");
    c.same_site = COOKIE_SAME_SITE_NONE;
    c.max_age = 0;
    c.value = STR("");
    assert_string_equal(written(&c), "hf=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None");
}

static void what_is_never_written(void **state)
{
    static const struct set_cookie rows[] = {
        {.name = {"", 0}},
        {.name = {"a b", 3}},
        {.name = {"a=b", 3}},
        {.name = {"a", 1}, .value = {"b c", 3}},
        {.name = {"a", 1}, .value = {"b;c", 3}},
        {.name = {"a", 1}, .value = {"b\r\nc", 4}},
        {.name = {"a", 1}, .value = {"\"b\"", 3}},
        {.name = {"a", 1}, .value = {"\xc3\xa9", 2}},
        {.name = {"a", 1}, .path = {"a", 1}},
        {.name = {"a", 1}, .path = {"/;x", 3}},
        {.name = {"a", 1}, .path = {"/\r\n", 3}},
        {.name = {"a", 1}, .same_site = COOKIE_SAME_SITE_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_non_null(set_cookie_wrong(&rows[i]));
        assert_string_equal(written(&rows[i]), "");
    }
    const struct set_cookie c = {
        .name = STR("a"), .value = STR("b"), .path = STR("/"), .max_age = 7};
    char *to = malloc(64);
    size_t whole = set_cookie_write(&c, to, 64);
    free(to);
    for (size_t size = 0; size <= whole; size++) {
        char *exact = malloc(size ? size : 1);
        assert_int_equal(set_cookie_write(&c, exact, size), size == whole ? whole : 0);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_is_found_by_name),
        cmocka_unit_test(odd_but_met),
        cmocka_unit_test(several_fields_and_several_of_a_name),
        cmocka_unit_test(a_cookie_that_is_set),
        cmocka_unit_test(cookies_are_written),
        cmocka_unit_test(what_is_never_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
