/* Distances by hand, their laws over small words exhaustively, and what is suggested for what. */
#include "base/suggest.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/check.h"

static unsigned between(const char *a, const char *b)
{
    return suggest_distance(str_of(a), str_of(b));
}

static void distances_by_hand(void **state)
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
        {"First_Byte", "first-byte", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(between(table[i].a, table[i].b), table[i].distance);
}

/* All words of up to four letters over {a, b}. */
static size_t word(unsigned k, char out[8])
{
    size_t n = 0;
    for (k++; k > 1; k >>= 1)
        out[n++] = k & 1 ? 'b' : 'a';
    return n;
}

static void laws_of_a_distance(void **state)
{
    char a[8] = "", b[8] = "";
    for (unsigned i = 0; i < 31; i++) {
        for (unsigned j = 0; j < 31; j++) {
            struct str x = {a, word(i, a)}, y = {b, word(j, b)};
            unsigned d = suggest_distance(x, y);
            assert_int_equal(d, suggest_distance(y, x));
            assert_int_equal(d == 0, str_eq(x, y));
            assert_true(d >= MAX(x.n, y.n) - MIN(x.n, y.n));
            assert_true(d <= MAX(x.n, y.n));
        }
    }
}

static void long_words_are_far(void **state)
{
    char bytes[SUGGEST_LONGEST + 1];
    memset(bytes, 'a', sizeof bytes);
    struct str longest = {bytes, SUGGEST_LONGEST}, longer = {bytes, sizeof bytes};
    assert_int_equal(suggest_distance(longest, STR("")), SUGGEST_LONGEST);
    assert_int_equal(suggest_distance(longest, longest), 0);
    assert_true(suggest_distance(longer, longest) == UINT_MAX);
    assert_true(suggest_distance(longest, longer) == UINT_MAX);
    struct suggest s = suggest_for(longer);
    suggest_try(&s, longest);
    assert_int_equal(s.n, 0);
}

static struct suggest guess(const char *word, const char *const *known)
{
    struct suggest s = suggest_for(str_of(word));
    while (*known)
        suggest_try(&s, str_of(*known++));
    return s;
}

#define GUESS(word, ...) guess(word, (const char *const[]){__VA_ARGS__, NULL})

static const char *best(struct suggest s)
{
    return s.n ? s.name[0].p : "-";
}

static void what_was_meant(void **state)
{
    assert_string_equal(best(GUESS("blance", "balance", "backend")), "balance");
    assert_string_equal(best(GUESS("balancee", "balance")), "balance");
    assert_string_equal(best(GUESS("balanec", "balance")), "balance"); /* neighbours swapped */
    assert_string_equal(best(GUESS("chekc", "connect", "check")), "check");
    assert_string_equal(best(GUESS("first_byte", "first-byte")), "first-byte");
    assert_string_equal(best(GUESS("BALANCE", "balance")), "balance");
    assert_string_equal(best(GUESS("timeouts", "timeout")), "timeout");
    assert_string_equal(best(GUESS("rlaod", "run", "reload")), "reload");
    assert_string_equal(best(GUESS("stat", "state", "status")), "state");
    assert_string_equal(best(GUESS("stat", "start", "status")), "start");
    assert_string_equal(best(GUESS("stat", "version", "status")), "status");
    assert_string_equal(best(GUESS("10.0.0.1:8", "10.0.0.1:80")), "10.0.0.1:80");
    assert_string_equal(best(GUESS("reset", "rest", "reset")), "reset");
    assert_string_equal(best(GUESS("hold-mx", "hold", "hold-max")), "hold-max");
}

static void far_words_are_no_guess(void **state)
{
    assert_string_equal(best(GUESS("colour", "balance", "backend", "check")), "-");
    assert_string_equal(best(GUESS("frobnicate", "run", "events", "version")), "-");
    assert_string_equal(best(GUESS("x", "y", "on", "xy")), "-");
    assert_string_equal(best(GUESS("", "on", "balance")), "-");
    assert_string_equal(best(GUESS("on", "")), "-");
    assert_string_equal(best(GUESS("port", "path")), "-"); /* two of four letters */
    assert_string_equal(best(GUESS("prots", "ports", "parts")), "ports");
}

static void the_nearest_come_first(void **state)
{
    struct suggest s = GUESS("web", "wed", "weeb", "webby", "zebra", "wbe");
    assert_int_equal(s.n, 3); /* all one mistake away: in the order of their coming */
    assert_true(str_eq(s.name[0], STR("wed")));
    s = GUESS("webserver", "webserv", "wbeservre", "webserverr", "webservers-2", "far",
              "webserver2");
    assert_int_equal(s.n, SUGGEST_MAX);
    assert_true(str_eq(s.name[0], STR("webserverr")));
    assert_true(str_eq(s.name[1], STR("webservers-2")));
    assert_true(str_eq(s.name[2], STR("webserver2")));
    s = GUESS("webserver", "webserv", "webserverr", "wbeservre");
    assert_true(str_eq(s.name[0], STR("webserverr")) && str_eq(s.name[1], STR("webserv")) &&
                str_eq(s.name[2], STR("wbeservre")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_by_hand),      cmocka_unit_test(laws_of_a_distance),
        cmocka_unit_test(long_words_are_far),     cmocka_unit_test(what_was_meant),
        cmocka_unit_test(far_words_are_no_guess), cmocka_unit_test(the_nearest_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
