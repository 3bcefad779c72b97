/* Bundles: what is written reads the same, equal files are equal bytes, and nothing else is taken.
 */
#include "coord/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void add(struct bundle *b, const char *name, const char *text)
{
    struct err e = {0};
    if (bundle_add(b, str_of(name), str_of(text), &e))
        fail_msg("%s", e.text);
}

static void encode(const struct bundle *b, struct buf *out)
{
    struct err e = {0};
    if (bundle_encode(b, out, &e))
        fail_msg("%s", e.text);
}

static void what_is_written_reads_the_same(void **state)
{
    struct bundle b = {0}, back = {0};
    struct buf bytes = {0}, again = {0};
    add(&b, "web.conf", "include \"conf.d/*.conf\"\n");
    add(&b, "conf.d/b.conf", "");
    add(&b, "/srv/503.html", "<p>sorry\n");
    encode(&b, &bytes);
    assert_int_equal(bundle_decode(buf_str(&bytes), &back, NULL), 0);
    assert_true(str_eq(back.main, STR("web.conf")));
    assert_int_equal(back.n, 3);
    assert_true(str_eq(bundle_find(&back, STR("/srv/503.html"))->text, STR("<p>sorry\n")));
    assert_int_equal(bundle_find(&back, STR("conf.d/b.conf"))->text.n, 0);
    assert_null(bundle_find(&back, STR("conf.d")));
    encode(&back, &again);
    assert_true(str_eq(buf_str(&bytes), buf_str(&again)));
    bundle_free(&b);
    bundle_free(&back);
    buf_free(&bytes);
    buf_free(&again);
}

static void equal_files_are_equal_bytes_in_any_order(void **state)
{
    struct bundle a = {0}, b = {0};
    struct buf x = {0}, y = {0};
    char p[BUNDLE_DIGEST], q[BUNDLE_DIGEST];
    add(&a, "m", "1");
    add(&a, "b", "2");
    add(&a, "c", "3");
    add(&b, "m", "1");
    add(&b, "c", "3");
    add(&b, "b", "2");
    add(&b, "c", "3");
    encode(&a, &x);
    encode(&b, &y);
    assert_true(str_eq(buf_str(&x), buf_str(&y)));
    assert_true(bundle_digest(buf_str(&x), p) && bundle_digest(buf_str(&y), q));
    assert_string_equal(p, q);
    assert_int_equal(strlen(p), 64);
    bundle_free(&b);
    b = (struct bundle){0};
    add(&b, "c", "3"); /* another main file */
    add(&b, "m", "1");
    add(&b, "b", "2");
    buf_clear(&y);
    encode(&b, &y);
    assert_true(bundle_digest(buf_str(&y), q));
    assert_string_not_equal(p, q);
    bundle_free(&a);
    bundle_free(&b);
    buf_free(&x);
    buf_free(&y);
}

static void what_does_not_belong_is_refused(void **state)
{
    struct bundle b = {0};
    struct err e = {0};
    char name[BUNDLE_NAME + 2];
    memset(name, 'n', sizeof name);
    add(&b, "m", "1");
    assert_int_equal(bundle_add(&b, STR("m"), STR("2"), &e), -ERR_BUSY);
    assert_string_equal(e.text, "m changed while the configuration was read");
    assert_int_equal(bundle_add(&b, STR(""), STR("2"), &e), -ERR_INVAL);
    assert_int_equal(bundle_add(&b, STR("a\nb"), STR("2"), &e), -ERR_INVAL);
    assert_int_equal(bundle_add(&b, (struct str){name, BUNDLE_NAME + 1}, STR(""), &e), -ERR_INVAL);
    assert_int_equal(bundle_add(&b, (struct str){name, BUNDLE_NAME}, STR(""), &e), 0);
    assert_int_equal(b.n, 2);
    bundle_free(&b);
}

static void what_is_too_large_is_named(void **state)
{
    struct bundle b = {0};
    struct buf bytes = {0};
    struct err e = {0};
    size_t n = BUNDLE_MAX - 100;
    char *big = calloc(1, n + 1);
    memset(big, 'x', n);
    add(&b, "m", "1");
    add(&b, "pages/big.html", big);
    encode(&b, &bytes);
    assert_true(bytes.n <= BUNDLE_MAX);
    add(&b, "small", "0123456789012345678901234567890123456789012345678901234567890123456789");
    buf_clear(&bytes);
    assert_int_equal(bundle_encode(&b, &bytes, &e), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "the largest is pages/big.html with 560 KiB"));
    assert_int_equal(bytes.n, 0);
    free(big);
    bundle_free(&b);
    buf_free(&bytes);
}

/* From memory that ends where the bytes do, so that a read beyond is found. */
static bool takes(const char *p, size_t n)
{
    struct bundle b = {0};
    char *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    bool ok = bundle_decode((struct str){exact, n}, &b, NULL) == 0;
    assert_true(ok || (b.n == 0 && b.files == NULL));
    if (ok) { /* then it is what the encoder writes */
        struct buf again = {0};
        encode(&b, &again);
        assert_true(str_eq(buf_str(&again), (struct str){exact, n}));
        buf_free(&again);
    }
    free(exact);
    bundle_free(&b);
    return ok;
}

static void only_one_form_is_taken(void **state)
{
    struct bundle b = {0};
    struct buf bytes = {0};
    add(&b, "m", "text");
    add(&b, "a", "other");
    encode(&b, &bytes);
    assert_true(takes(bytes.p, bytes.n));
    for (size_t n = 0; n < bytes.n; n++)
        assert_false(takes(bytes.p, n));
    buf_add(&bytes, "", 1);
    assert_false(takes(bytes.p, bytes.n));
    bytes.n--;
    for (size_t i = 0; i < 8 * bytes.n; i++) {
        bytes.p[i / 8] ^= (char)(1 << i % 8);
        takes(bytes.p, bytes.n);
        bytes.p[i / 8] ^= (char)(1 << i % 8);
    }
    static const char out_of_order[] = "HFB1\1\0\0\0m\2\0\0\0\1\0\0\0m\0\0\0\0\1\0\0\0a\0\0\0";
    assert_false(takes(out_of_order, sizeof out_of_order));
    static const char twice[] = "HFB1\1\0\0\0m\2\0\0\0\1\0\0\0m\0\0\0\0\1\0\0\0m\0\0\0";
    assert_false(takes(twice, sizeof twice));
    static const char without_main[] = "HFB1\1\0\0\0m\1\0\0\0\1\0\0\0a\0\0\0";
    assert_false(takes(without_main, sizeof without_main));
    static const char good[] = "HFB1\1\0\0\0m\1\0\0\0\1\0\0\0m\0\0\0";
    assert_true(takes(good, sizeof good));
    bundle_free(&b);
    buf_free(&bytes);
}

static bool all_of_it(struct err *e)
{
    struct bundle b = {0}, back = {0};
    struct buf bytes = {0};
    int r = 0;
    for (char name[2] = "a"; r == 0 && name[0] < 'm'; name[0]++)
        r = bundle_add(&b, str_of(name), STR("text"), e);
    r = r ? r : bundle_encode(&b, &bytes, e);
    r = r ? r : bundle_decode(buf_str(&bytes), &back, e);
    bundle_free(&b);
    bundle_free(&back);
    buf_free(&bytes);
    return r == 0;
}

static void memory_may_end_anywhere(void **state)
{
    for (unsigned long n = 1;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        bool ok = all_of_it(&e), failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(ok, !failed);
        assert_int_equal(e.code, failed ? -ERR_NOMEM : 0);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(equal_files_are_equal_bytes_in_any_order),
        cmocka_unit_test(what_does_not_belong_is_refused),
        cmocka_unit_test(what_is_too_large_is_named),
        cmocka_unit_test(only_one_form_is_taken),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
