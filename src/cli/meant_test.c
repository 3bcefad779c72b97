/* Distances by hand, their laws over small words exhaustively, and what is suggested for what. */
#include "cli/meant.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static unsigned between(const char *a, const char *b)
{
    return meant_distance(str_of(a), str_of(b));
}

static void test_distances_by_hand(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } table[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"status", "status", 0},
        {"statsu", "status", 1},
        {"stats", "status", 1},
        {"sttatus", "status", 1},
        {"stetus", "status", 1},
        {"rlaod", "reload", 2},
        {"ca", "abc", 3}, /* the restricted form: no second edit inside a swap */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(between(table[i].a, table[i].b), table[i].distance);
}

static void test_long_words_are_far(void **state)
{
    assert_true(between("a", "abcdefghijklmnopqrstuvwxyzabcdef") == UINT_MAX);
    assert_int_equal(between("abcdefghijklmnopqrstuvwxyzabcde", ""), 31);
}

/* All words of up to four letters over {a, b}. */
static size_t word(unsigned k, char out[8])
{
    size_t n = 0;
    for (k++; k > 1; k >>= 1)
        out[n++] = k & 1 ? 'b' : 'a';
    return n;
}

static void test_laws_of_a_distance(void **state)
{
    char a[8] = "", b[8] = "";
    for (unsigned i = 0; i < 31; i++) {
        for (unsigned j = 0; j < 31; j++) {
            struct str x = {a, word(i, a)}, y = {b, word(j, b)};
            unsigned d = meant_distance(x, y);
            assert_int_equal(d, meant_distance(y, x));
            assert_int_equal(d == 0, str_eq(x, y));
            assert_true(d >= (x.n > y.n ? x.n - y.n : y.n - x.n));
            assert_true(d <= MAX(x.n, y.n));
        }
    }
}

static const char *suggestion(const char *given)
{
    static const char *const known[] = {"run",    "check", "reload", "status",  "top",
                                        "events", "drain", "resume", "version", "help"};
    struct meant s = meant_for(str_of(given));
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        meant_try(&s, known[i]);
    return s.best ? s.best : "-";
}

static void test_suggestions(void **state)
{
    assert_string_equal(suggestion("statsu"), "status");
    assert_string_equal(suggestion("stat"), "status");
    assert_string_equal(suggestion("relaod"), "reload");
    assert_string_equal(suggestion("evnets"), "events");
    assert_string_equal(suggestion("v"), "-");
    assert_string_equal(suggestion("frobnicate"), "-");
    assert_string_equal(suggestion(""), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances_by_hand),
        cmocka_unit_test(test_long_words_are_far),
        cmocka_unit_test(test_laws_of_a_distance),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
