#include "detect/logs/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "detect/logs/literals.h"

#define SECOND UINT64_C(1000000000)

static struct logs_rule rule_of(const char *match)
{
    return (struct logs_rule){.name = "test", .match = match, .over = 1, .window = SECOND};
}

static struct rules *rules_of(const char *match)
{
    struct logs_rule one = rule_of(match);
    struct err e;
    struct rules *r = rules_new(&one, 1, &e);
    assert_non_null(r);
    return r;
}

static void mark(void *context, uint32_t rule)
{
    bool *seen = context;
    assert_false(seen[rule]);
    seen[rule] = true;
}

static bool matches(struct rules *r, struct str line)
{
    bool seen[RULES_MOST] = {0};
    rules_match(r, line, mark, seen);
    return seen[0];
}

static void a_pattern_matches_where_it_should(void **state)
{
    struct rules *r = rules_of("FATAL|PANIC");
    assert_true(rules_fast(r));
    assert_true(matches(r, STR("x FATAL: y")));
    assert_true(matches(r, STR("PANIC")));
    assert_false(matches(r, STR("fatal")));
    assert_false(matches(r, STR("FATA")));
    assert_false(matches(r, (struct str){0}));
    rules_free(r);
}

static void an_exception_takes_a_match_back(void **state)
{
    struct logs_rule one = rule_of("error");
    one.except = "no error|error=0";
    struct rules *r = rules_new(&one, 1, NULL);
    assert_true(matches(r, STR("an error")));
    assert_false(matches(r, STR("no error")));
    rules_free(r);
}

static void any_byte_may_be_in_a_line(void **state)
{
    struct rules *r = rules_of("end\\b");
    assert_true(matches(r, (struct str){"a\0\xff end", 7}));
    rules_free(r);
}

static void expect_refused(const char *pattern, const char *why)
{
    struct logs_rule one = rule_of(pattern);
    struct err e;
    assert_null(rules_new(&one, 1, &e));
    assert_non_null(strstr(e.text, why));
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    expect_refused("(open", "byte 5: missing closing parenthesis");
    expect_refused("", "empty pattern");
    expect_refused("a\\C", "byte 3");
    expect_refused("(*UTF)a", "UTF is disabled");
    char deep[400];
    memset(deep, '(', 100);
    memset(deep + 100, ')', 100);
    deep[200] = 0;
    expect_refused(deep, "parentheses are too deeply nested");
    char longer[RULES_PATTERN_MOST + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    expect_refused(longer, "pattern string is longer");
    struct logs_rule none = {.name = "x", .match = "a", .over = 0, .window = SECOND}, many[300];
    struct err e;
    assert_null(rules_new(&none, 1, &e));
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = rule_of("a");
    assert_null(rules_new(many, ARRAY_LEN(many), &e));
    assert_int_equal(e.code, -ERR_LIMIT);
}

static void a_costly_match_is_given_up(void **state)
{
    struct rules *r = rules_of("^(a+)+$");
    char line[4000];
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = 'b';
    assert_false(matches(r, (struct str){line, sizeof line}));
    assert_int_equal(rules_given_up(r), 1);
    assert_false(matches(r, STR("aaaaaaaaaaaaaaaaaab"))); /* 2^18 ways: PCRE2 itself would go on */
    assert_int_equal(rules_given_up(r), 2);
    assert_true(matches(r, STR("aaa")));
    rules_free(r);
}

static void expect_literals(const char *pattern, const char *wanted)
{
    struct literals l = literals_of(str_of(pattern));
    struct buf b = {0};
    for (uint32_t i = 0; i < l.n; i++)
        buf_printf(&b, "%s%.*s", i ? "|" : "", (int)l.all[i].n, l.all[i].p);
    buf_add(&b, "", 1);
    assert_string_equal(b.p, wanted);
    buf_free(&b);
}

static void necessary_texts_are_found(void **state)
{
    expect_literals("FATAL|PANIC", "fatal|panic");
    expect_literals("(Out|out) of memory: [Kk]ill", " of memory: ");
    expect_literals("^(?:ERROR|error): disk$", ": disk");
    expect_literals("^(?:ERROR|error): \\d", "error|error");
    expect_literals("abcdx?", "abcd");
    expect_literals("abcx*", "");
    expect_literals("abcde+fg", "abcde");
    expect_literals("(abcd)?", "");
    expect_literals("(abcd){0,2}efgh", "efgh");
    expect_literals("abcd|ef", "");
    expect_literals("a.b.c", "");
    expect_literals("\\bblocked for more than \\d+ seconds", "blocked for more than ");
    expect_literals("(?i)segfault", "segfault");
    expect_literals("(?!abcd)efgh", "");
    expect_literals("\\Qa.c\\Eabcd", "");
    expect_literals("abcd{,3}", "");
    expect_literals("a\\.b\\[c\\]", "a.b{c}"); /* folded: [ and { are alike */
    expect_literals("[]abcd]efgh", "efgh");
    expect_literals("abcd)", "");
}

/* Patterns and lines of few letters, so that they meet. */
static void pattern(struct prng *r, struct buf *b, uint32_t depth)
{
    static const char *const atoms[] = {"a", "b",    "ab",   "Ab",   "ba",   "c",
                                        ".", "[ab]", "[^a]", "\\.",  "\\w",  "\\b",
                                        "^", "$",    "aabb", "abab", "bbaa", " "};
    static const char *const times[] = {"?", "*", "+", "{0,1}", "{2}", "{1,3}", "+?", "*+"};
    for (uint64_t n = 1 + prng_below(r, 6); n; n--) {
        if (depth && prng_below(r, 5) == 0) {
            buf_printf(b, prng_below(r, 2) ? "(" : "(?:");
            pattern(r, b, depth - 1);
            buf_printf(b, ")");
        } else {
            buf_printf(b, "%s", atoms[prng_below(r, ARRAY_LEN(atoms))]);
        }
        if (prng_below(r, 4) == 0)
            buf_printf(b, "%s", times[prng_below(r, ARRAY_LEN(times))]);
        if (prng_below(r, 8) == 0)
            buf_printf(b, "|");
    }
}

static void looking_for_texts_first_changes_nothing(void **state)
{
    struct prng r;
    uint32_t compiled = 0, found = 0, known = 0;
    prng_seed(&r, 3);
    for (int i = 0; i < 3000; i++) {
        struct buf b = {0};
        if (prng_below(&r, 4) == 0)
            buf_printf(&b, "(?i)");
        pattern(&r, &b, 2);
        buf_add(&b, "", 1);
        struct logs_rule one = rule_of(b.p);
        struct rules *rules = rules_new(&one, 1, NULL);
        compiled += rules != NULL;
        known += literals_of(str_of(b.p)).n > 0;
        for (int k = 0; rules && k < 30; k++) {
            char line[40];
            size_t n = prng_below(&r, sizeof line);
            for (size_t at = 0; at < n; at++)
                line[at] = "aabbAB. c"[prng_below(&r, 9)];
            bool wanted = rules_match_one(rules, 0, (struct str){line, n});
            assert_int_equal(matches(rules, (struct str){line, n}), wanted);
            found += wanted;
        }
        rules_free(rules);
        buf_free(&b);
    }
    assert_true(compiled > 1500 && known > 800 && found > 5000);
}

static void many_rules_are_told_apart(void **state)
{
    struct logs_rule many[RULES_MOST];
    char patterns[RULES_MOST][32];
    for (uint32_t i = 0; i < RULES_MOST; i++) {
        snprintf(patterns[i], sizeof patterns[i], "number %c%c\\b", (char)('a' + i / 16),
                 (char)('a' + i % 16));
        many[i] = rule_of(patterns[i]);
    }
    struct rules *r = rules_new(many, RULES_MOST, NULL);
    for (uint32_t i = 0; i < RULES_MOST; i++) {
        bool seen[RULES_MOST] = {0};
        char line[64];
        int n = snprintf(line, sizeof line, "here is number %c%c at last", (char)('a' + i / 16),
                         (char)('a' + i % 16));
        rules_match(r, (struct str){line, (size_t)n}, mark, seen);
        for (uint32_t k = 0; k < RULES_MOST; k++)
            assert_int_equal(seen[k], k == i);
    }
    rules_free(r);
}

static void without_memory_there_are_no_rules(void **state)
{
    struct logs_rule two[] = {rule_of("FATAL|PANIC"), rule_of("(a|b)c+")};
    two[1].except = "dddd";
    bool failed = true;
    for (unsigned long at = 1; failed; at++) {
        struct err e = {0};
        mem_fail_at(at);
        struct rules *r = rules_new(two, 2, &e);
        failed = mem_failed();
        mem_fail_at(0);
        if (!r)
            assert_int_equal(e.code, -ERR_NOMEM);
        rules_free(r);
    }
}

static void a_window_counts_the_last_of_time_only(void **state)
{
    struct window w = {0};
    const uint64_t length = 10 * SECOND, start = 1000 * SECOND;
    for (uint64_t i = 0; i < 5; i++)
        window_add(&w, length, start + i * SECOND, 1);
    assert_int_equal(window_sum(&w, length, start + 4 * SECOND), 5);
    assert_int_equal(window_sum(&w, length, start + 19 * SECOND / 2), 5);
    assert_int_equal(window_sum(&w, length, start + 10 * SECOND), 4);
    assert_int_equal(window_sum(&w, length, start + 13 * SECOND), 1);
    assert_int_equal(window_sum(&w, length, start + 14 * SECOND), 0);
    window_add(&w, length, start + 14 * SECOND, 3);
    window_add(&w, length, start + 2 * SECOND, 1); /* a clock that goes back */
    assert_int_equal(window_sum(&w, length, start + 14 * SECOND), 4);
    assert_int_equal(window_sum(&w, length, start * 9), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_matches_where_it_should),
        cmocka_unit_test(an_exception_takes_a_match_back),
        cmocka_unit_test(any_byte_may_be_in_a_line),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(a_costly_match_is_given_up),
        cmocka_unit_test(necessary_texts_are_found),
        cmocka_unit_test(looking_for_texts_first_changes_nothing),
        cmocka_unit_test(many_rules_are_told_apart),
        cmocka_unit_test(without_memory_there_are_no_rules),
        cmocka_unit_test(a_window_counts_the_last_of_time_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
