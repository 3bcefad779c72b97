#include "detect/logs/logs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

struct story {
    uint32_t raised[LOGS_KINDS], cleared[LOGS_KINDS];
    char text[256];
    bool failed;
};

static void hear(void *context, const struct logs_finding *f)
{
    struct story *s = context;
    if (f->raised) {
        s->raised[f->kind]++;
        str_copy(s->text, sizeof s->text, f->text);
        s->failed = f->rule && f->rule->failed;
    } else {
        s->cleared[f->kind]++;
    }
}

static struct logs *source(struct story *s, struct rules *rules, bool learn)
{
    struct logs_params p = {.rules = rules, .learn = learn, .found = hear, .context = s};
    struct logs *l = logs_new(&p, 0);
    assert_non_null(l);
    return l;
}

static void say(struct logs *l, const char *text, uint64_t at)
{
    logs_line(l, str_of(text), at);
}

/* Seconds of a quiet program: two lines a second, of two kinds, with an error now and then. */
static uint64_t normal(struct logs *l, uint64_t from, uint64_t seconds)
{
    char text[80];
    for (uint64_t i = from; i < from + seconds; i++) {
        snprintf(text, sizeof text, "request %u served in 3 ms", (unsigned)i);
        say(l, text, i * SECOND);
        say(l, i % 10 ? "cache is warm" : "lookup failed, trying again", i * SECOND);
    }
    return from + seconds;
}

static void a_rule_is_raised_at_its_count_and_cleared_at_half(void **state)
{
    struct story s = {0};
    struct logs_rule five = {
        .name = "dying", .match = "FATAL|PANIC", .over = 5, .window = 10 * SECOND, .failed = true};
    struct rules *rules = rules_new(&five, 1, NULL);
    struct logs *l = source(&s, rules, false);
    for (uint64_t i = 1; i <= 40; i += 3)
        say(l, "FATAL: now and then", i * SECOND);
    assert_int_equal(s.raised[LOGS_RULE], 0);
    for (uint64_t i = 100; i < 105; i++) {
        assert_int_equal(s.raised[LOGS_RULE], 0);
        say(l, "PANIC: at once", i * SECOND);
    }
    assert_int_equal(s.raised[LOGS_RULE], 1);
    assert_true(s.failed);
    assert_string_equal(s.text, "PANIC: at once");
    say(l, "PANIC: again", 106 * SECOND);
    logs_tell(l);
    assert_int_equal(s.raised[LOGS_RULE], 2);
    assert_int_equal(s.cleared[LOGS_RULE], 0);
    logs_tick(l, 120 * SECOND);
    assert_int_equal(s.cleared[LOGS_RULE], 1);
    assert_int_equal(logs_counts(l)->matched, 14 + 5 + 1);
    assert_int_equal(logs_counts(l)->raised[LOGS_RULE], 1);
    logs_free(l);
    rules_free(rules);
}

static void an_error_of_a_new_kind_is_told_once_learnt(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 100);
    say(l, "segfault in worker", t * SECOND);
    t = normal(l, t, 300);
    assert_true(logs_learnt(l));
    say(l, "segfault in worker", t * SECOND);
    say(l, "a new line that is fine", t * SECOND);
    assert_int_equal(s.raised[LOGS_NEW_ERROR], 0);
    say(l, "disk 7 is corrupt", t * SECOND);
    assert_int_equal(s.raised[LOGS_NEW_ERROR], 1);
    assert_string_equal(s.text, "disk <*> is corrupt");
    say(l, "disk 8 is corrupt", t * SECOND);
    t = normal(l, t, 50);
    assert_int_equal(s.cleared[LOGS_NEW_ERROR], 0);
    t = normal(l, t, 30);
    assert_int_equal(s.raised[LOGS_NEW_ERROR], 1);
    assert_int_equal(s.cleared[LOGS_NEW_ERROR], 1);
    assert_int_equal(s.raised[LOGS_RATE], 0);
    logs_free(l);
}

static void what_returns_again_and_again_is_known(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 400);
    for (int i = 0; i < LOGS_TIMES + 3; i++) {
        say(l, "disk 7 is corrupt", t * SECOND);
        t = normal(l, t, 80);
    }
    assert_int_equal(s.raised[LOGS_NEW_ERROR], LOGS_TIMES);
    assert_int_equal(s.cleared[LOGS_NEW_ERROR], LOGS_TIMES);
    logs_free(l);
}

static void a_storm_of_new_errors_has_a_bound(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    struct prng r;
    prng_seed(&r, 1);
    uint64_t t = normal(l, 0, 400);
    for (int i = 0; i < 2000; i++) {
        char text[100];
        for (uint32_t k = 0; k < 60; k++)
            text[k] = k % 7 == 6 ? ' ' : (char)('a' + prng_below(&r, 26));
        memcpy(text + 59, " error", 7);
        say(l, text, t * SECOND);
    }
    assert_int_equal(s.raised[LOGS_NEW_ERROR], LOGS_RAISED_MOST);
    normal(l, t, 100);
    assert_int_equal(s.cleared[LOGS_NEW_ERROR], LOGS_RAISED_MOST);
    logs_free(l);
}

static void a_rate_that_changes_is_told_and_its_end(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 400);
    for (uint64_t i = 0; i < 200; i++)
        say(l, "lookup failed, trying again", (t + i / 20) * SECOND);
    t = normal(l, t + 10, 20);
    assert_int_equal(s.raised[LOGS_RATE], 1);
    assert_string_equal(s.text, "lookup failed, trying again");
    t = normal(l, t, 60);
    assert_int_equal(s.cleared[LOGS_RATE], 1);
    assert_int_equal(s.raised[LOGS_NEW_ERROR], 0);
    logs_free(l);
}

static void silence_is_told(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 400);
    for (uint64_t i = 0; i < 60; i++)
        logs_tick(l, (t + i) * SECOND);
    assert_true(s.raised[LOGS_RATE] >= 1);
    assert_string_equal(s.text, "all lines");
    logs_free(l);
}

static void a_pause_of_the_process_is_no_silence(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 400);
    logs_tick(l, (t + 500) * SECOND);
    assert_true(logs_due(l) > (t + 500) * SECOND);
    normal(l, t + 500, 100);
    assert_int_equal(s.raised[LOGS_RATE], 0);
    logs_free(l);
}

static void shedding_is_told_and_stops_the_judging_of_rates(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    uint64_t t = normal(l, 0, 400);
    for (uint64_t i = 0; i < 100; i++)
        logs_shed(l, 1000, (t + i) * SECOND);
    assert_int_equal(s.raised[LOGS_FLOOD], 1);
    assert_int_equal(s.raised[LOGS_RATE], 0);
    assert_int_equal(logs_counts(l)->shed, 100000);
    normal(l, t + 100, 100);
    assert_int_equal(s.cleared[LOGS_FLOOD], 1);
    logs_free(l);
}

static void bytes_of_several_files_are_one_source(void **state)
{
    struct story s = {0};
    struct logs *l = source(&s, NULL, true);
    struct lines a = {0}, b = {0};
    logs_feed(l, &a, STR("one li"), SECOND);
    logs_feed(l, &b, STR("one line\nand a la"), SECOND);
    logs_feed(l, &a, STR("ne\n"), SECOND);
    logs_end(l, &b, SECOND);
    logs_end(l, &a, SECOND);
    assert_int_equal(logs_counts(l)->lines, 3);
    assert_int_equal(miner_templates(logs_miner(l)), 2);
    lines_free(&a);
    lines_free(&b);
    logs_free(l);
}

static void what_was_learnt_survives(void **state)
{
    struct story s = {0};
    struct logs *a = source(&s, NULL, true), *b = source(&s, NULL, true);
    struct buf one = {0}, two = {0};
    uint64_t t = normal(a, 0, 400);
    logs_baseline_put(a, &one);
    assert_false(one.failed);
    assert_int_equal(logs_baseline_get(b, buf_str(&one), NULL), 0);
    assert_true(logs_learnt(b));
    logs_baseline_put(b, &two);
    assert_int_equal(one.n, two.n);
    logs_tick(b, t * SECOND);
    t = normal(b, t, 100);
    assert_int_equal(logs_counts(b)->founded, 0);
    say(b, "disk 7 is corrupt", t * SECOND);
    assert_int_equal(s.raised[LOGS_NEW_ERROR], 1);
    assert_int_equal(s.raised[LOGS_RATE], 0);
    logs_free(a);
    logs_free(b);
    buf_free(&one);
    buf_free(&two);
}

static void a_damaged_baseline_is_refused(void **state)
{
    struct story s = {0};
    struct logs *a = source(&s, NULL, true), *b = source(&s, NULL, true);
    struct buf whole = {0};
    normal(a, 0, 400);
    logs_baseline_put(a, &whole);
    for (size_t n = 0; n < whole.n; n++)
        assert_true(logs_baseline_get(b, (struct str){whole.p, n}, NULL) < 0);
    for (size_t i = 0; i < whole.n; i++) {
        whole.p[i] ^= 4;
        assert_true(logs_baseline_get(b, buf_str(&whole), NULL) < 0);
        whole.p[i] ^= 4;
    }
    assert_int_equal(miner_templates(logs_miner(b)), 0);
    assert_false(logs_learnt(b));
    logs_free(a);
    logs_free(b);
    buf_free(&whole);
}

static void without_memory_there_is_no_source(void **state)
{
    struct logs_params p = {.learn = true};
    for (unsigned long at = 1; at <= 4; at++) {
        mem_fail_at(at);
        assert_null(logs_new(&p, 0));
        mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_raised_at_its_count_and_cleared_at_half),
        cmocka_unit_test(an_error_of_a_new_kind_is_told_once_learnt),
        cmocka_unit_test(what_returns_again_and_again_is_known),
        cmocka_unit_test(a_storm_of_new_errors_has_a_bound),
        cmocka_unit_test(a_rate_that_changes_is_told_and_its_end),
        cmocka_unit_test(silence_is_told),
        cmocka_unit_test(a_pause_of_the_process_is_no_silence),
        cmocka_unit_test(shedding_is_told_and_stops_the_judging_of_rates),
        cmocka_unit_test(bytes_of_several_files_are_one_source),
        cmocka_unit_test(what_was_learnt_survives),
        cmocka_unit_test(a_damaged_baseline_is_refused),
        cmocka_unit_test(without_memory_there_is_no_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
