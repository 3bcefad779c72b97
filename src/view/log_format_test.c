#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "view/log_format.h"

static struct log_format good(const char *text)
{
    struct log_format f;
    struct err e = {0};
    if (log_format_compile(str_of(text), &f, &e))
        fail_msg("%s: %s", text, e.text);
    return f;
}

static void bad(const char *text, const char *why)
{
    struct log_format f;
    struct err e = {0};
    assert_int_equal(log_format_compile(str_of(text), &f, &e), -ERR_INVAL);
    if (!strstr(e.text, why))
        fail_msg("%s: %s", text, e.text);
}

static void literal_is(const struct log_item *i, const char *text)
{
    assert_int_equal(i->field, LOG_LITERAL);
    assert_true(str_eq((struct str){i->p, i->n}, str_of(text)));
}

static void fields_and_literals_in_order(void **state)
{
    struct log_format f = good("a {client}{status} {header:Accept} {header:accept} z");
    assert_int_equal(f.n, 8);
    literal_is(&f.items[0], "a ");
    assert_int_equal(f.items[1].field, LOG_CLIENT);
    assert_int_equal(f.items[2].field, LOG_STATUS);
    literal_is(&f.items[3], " ");
    assert_int_equal(f.items[4].field, LOG_HEADER);
    assert_int_equal(f.items[6].field, LOG_HEADER);
    literal_is(&f.items[7], " z");
    assert_int_equal(f.n_headers, 1); /* the same field twice is kept once */
    assert_false(f.request || f.json);
}

static void doubled_braces_are_braces(void **state)
{
    struct log_format f = good("{{\"s\":{status},\"o\":{{}}}}");
    assert_true(f.json);
    literal_is(&f.items[0], "{\"s\":");
    assert_int_equal(f.items[1].field, LOG_STATUS);
    literal_is(&f.items[2], ",\"o\":");
    literal_is(&f.items[3], "{");
    literal_is(&f.items[4], "}");
    literal_is(&f.items[5], "}");
    assert_int_equal(f.n, 6);
}

static void every_field_has_a_name_and_every_form_compiles(void **state)
{
    char text[64];
    for (unsigned i = LOG_LITERAL + 1; i < LOG_FIELDS; i++) {
        assert_non_null(log_field_name(i));
        assert_true(i == LOG_LITERAL + 1 || strcmp(log_field_name(i - 1), log_field_name(i)) < 0);
        snprintf(text, sizeof text, "{%s}", log_field_name(i));
        struct log_format f = good(text);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.items[0].field, i);
    }
    assert_null(log_field_name(LOG_LITERAL));
    assert_null(log_field_name(LOG_FIELDS));
    unsigned forms = 0;
    for (; log_form_name(forms); forms++) {
        struct log_format f = good(log_form_name(forms));
        assert_true(f.n > 5);
        assert_int_equal(f.json, strcmp(log_form_name(forms), "json") == 0);
        assert_true(f.request);
    }
    assert_int_equal(forms, 4);
}

static void mistakes_are_explained(void **state)
{
    char many[4096] = "", headers[1024] = "";
    bad("", "neither a known form");
    bad("combind", "did you mean combined?");
    bad("{clinet}", "did you mean {client}?");
    bad("{}", "no field {}");
    bad("{nothing-like-it}", "no field {nothing-like-it}");
    bad("{client", "'{' without its partner");
    bad("client}{status}", "'}' without its partner");
    bad("{header:}", "no name of a header field");
    bad("{header:a b}", "no name of a header field");
    bad("{client}\n", "control character");
    for (int i = 0; i < LOG_ITEMS_MAX + 1; i++)
        strcat(many, "{status}");
    bad(many, "more than 64 parts");
    for (int i = 0; i < LOG_HEADERS_MAX + 1; i++)
        snprintf(headers + strlen(headers), 32, "{header:h%d}", i);
    bad(headers, "more than 16 header fields");
    memset(many, '{', sizeof many - 1);
    bad(many, "longer than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_literals_in_order),
        cmocka_unit_test(doubled_braces_are_braces),
        cmocka_unit_test(every_field_has_a_name_and_every_form_compiles),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
