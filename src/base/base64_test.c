#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* RFC 4648, section 10. */
static void as_the_rfc_has_it(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct buf text = {0}, bytes = {0};
        assert_true(base64_write(str_of(pairs[i][0]), &text));
        assert_true(str_eq(buf_str(&text), str_of(pairs[i][1])));
        assert_true(base64_read(str_of(pairs[i][1]), &bytes));
        assert_true(str_eq(buf_str(&bytes), str_of(pairs[i][0])));
        buf_free(&text);
        buf_free(&bytes);
    }
}

static void any_bytes_come_back(void **state)
{
    struct prng r;
    prng_seed(&r, 1);
    for (size_t n = 0; n < 300; n++) {
        char random[300];
        struct buf text = {0}, bytes = {0};
        for (size_t i = 0; i < n; i++)
            random[i] = (char)prng_next(&r);
        assert_true(base64_write((struct str){random, n}, &text));
        assert_true(base64_read(buf_str(&text), &bytes));
        assert_true(str_eq(buf_str(&bytes), (struct str){random, n}));
        buf_free(&text);
        buf_free(&bytes);
    }
}

static void there_is_one_text_only(void **state)
{
    static const char *const wrong[] = {"Z",    "Zg",   "Zg=",  "Zh==",     "Zm9=",
                                        "Zm8",  "====", "Z===", "Zg==Zg==", "Zm9v\nZg",
                                        "Zm 8", "Zm-_", "=Zm8", "Z=g="};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out = {0};
        buf_add_str(&out, STR("kept"));
        assert_false(base64_read(str_of(wrong[i]), &out));
        assert_true(str_eq(buf_str(&out), STR("kept")));
        buf_free(&out);
    }
}

static void memory_and_bounds(void **state)
{
    struct buf out = {.limit = 7};
    assert_false(base64_write(STR("foobar"), &out));
    assert_true(out.failed);
    buf_free(&out);
    out = (struct buf){0};
    mem_fail_at(1);
    assert_false(base64_read(STR("Zm9v"), &out));
    mem_fail_at(0);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_rfc_has_it),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(there_is_one_text_only),
        cmocka_unit_test(memory_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
