/* How signals add up, fade and are cleared, and which finding decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "detect/findings.h"

#define S UINT64_C(1000000000)

static bool say_so(struct findings *f, enum finding_kind k, double weight, uint64_t at)
{
    struct finding_signal s = {
        .at = at, .kind = k, .verdict = VERDICT_DEGRADED, .weight = weight, .says = STR("as told")};
    return findings_signal(f, &s);
}

static bool fails(struct findings *f, enum finding_kind k, uint64_t key, uint64_t at)
{
    struct finding_signal s = {.at = at,
                               .kind = k,
                               .verdict = VERDICT_FAILED,
                               .key = key,
                               .weight = 1,
                               .says = STR("5 lines matched")};
    return findings_signal(f, &s);
}

static void weak_signals_add_up(void **state)
{
    (void)state;
    struct findings f = {0};
    for (uint64_t i = 0; i < 2; i++) {
        assert_false(say_so(&f, FINDING_IO_PRESSURE, 0.4, 100 * S + i * S));
        assert_false(findings_tick(&f, 100 * S + i * S + S / 2)); /* it forgets none of them */
    }
    assert_null(findings_worst(&f));
    assert_true(say_so(&f, FINDING_IO_PRESSURE, 0.4, 102 * S));
    assert_int_equal(findings_worst(&f)->kind, FINDING_IO_PRESSURE);
    assert_int_equal(findings_worst(&f)->count, 3);
    assert_int_equal(findings_worst(&f)->since, 102 * S);
}

static void weak_signals_far_apart_do_not(void **state)
{
    (void)state;
    struct findings f = {0};
    for (uint64_t i = 0; i < 50; i++)
        assert_false(say_so(&f, FINDING_IO_PRESSURE, 0.4, 100 * S + i * 60 * S));
    assert_null(findings_worst(&f));
}

static void silence_clears_what_is_not_certain(void **state)
{
    (void)state;
    struct findings f = {0};
    say_so(&f, FINDING_IO_PRESSURE, 1, 100 * S);
    uint64_t end = findings_deadline(&f);
    assert_in_range(end, 105 * S, 111 * S);
    assert_false(findings_tick(&f, end - 1));
    assert_non_null(findings_worst(&f));
    assert_true(findings_tick(&f, end));
    assert_null(findings_worst(&f));
    assert_int_equal(findings_deadline(&f), UINT64_MAX);
}

static void a_long_condition_fades_like_a_short_one(void **state)
{
    (void)state;
    struct findings f = {0};
    for (uint64_t i = 0; i < 10000; i++)
        say_so(&f, FINDING_CPU_PRESSURE, 1, 100 * S + i * S);
    uint64_t last = 100 * S + 9999 * S;
    assert_true(findings_deadline(&f) <= last + 31 * S); /* three half-lives: from 4 to 1/2 */
}

static void the_certain_does_not_fade(void **state)
{
    (void)state;
    struct findings f = {0};
    assert_true(say_so(&f, FINDING_DISK_NEARLY_FULL, 0, 100 * S)); /* its weight is 1 */
    assert_int_equal(findings_deadline(&f), UINT64_MAX);
    assert_false(findings_tick(&f, 1000000 * S));
    assert_true(findings_clear(&f, FINDING_DISK_NEARLY_FULL, 0, 1000001 * S));
    assert_null(findings_worst(&f));
}

static void what_is_cleared_stays_for_its_hold(void **state)
{
    (void)state;
    struct findings f = {0};
    fails(&f, FINDING_LOG_RULE, 7, 100 * S);
    assert_false(findings_clear(&f, FINDING_LOG_RULE, 7, 101 * S));
    assert_non_null(findings_worst(&f));
    assert_int_equal(findings_deadline(&f), 105 * S);
    assert_false(findings_tick(&f, 105 * S - 1));
    assert_true(findings_tick(&f, 105 * S));
    assert_null(findings_worst(&f));
}

static void it_comes_back_while_held_and_nothing_changed(void **state)
{
    (void)state;
    struct findings f = {0};
    fails(&f, FINDING_LOG_RULE, 7, 100 * S);
    findings_clear(&f, FINDING_LOG_RULE, 7, 101 * S);
    assert_false(fails(&f, FINDING_LOG_RULE, 7, 102 * S));
    assert_false(findings_tick(&f, 106 * S));
    assert_int_equal(findings_worst(&f)->since, 100 * S);
}

static void clearing_what_is_not_there_changes_nothing(void **state)
{
    (void)state;
    struct findings f = {0};
    assert_false(findings_clear(&f, FINDING_LOG_RULE, 7, 101 * S));
    fails(&f, FINDING_LOG_RULE, 8, 100 * S);
    assert_false(findings_clear(&f, FINDING_LOG_RULE, 7, 200 * S));
    assert_int_equal(f.n, 1);
}

static void a_kind_asks_for_no_more_than_it_may(void **state)
{
    (void)state;
    struct findings f = {0};
    fails(&f, FINDING_MEMORY_LEAK, 0, 100 * S);
    assert_int_equal(findings_worst(&f)->verdict, VERDICT_DEGRADED);
    fails(&f, FINDING_DISK_FULL, 0, 101 * S);
    assert_int_equal(findings_worst(&f)->verdict, VERDICT_FAILED);
    assert_int_equal(findings_worst(&f)->kind, FINDING_DISK_FULL);
}

static void the_first_of_equals_decides(void **state)
{
    (void)state;
    struct findings f = {0};
    fails(&f, FINDING_LOG_RULE, 2, 100 * S);
    fails(&f, FINDING_LOG_RULE, 1, 101 * S);
    assert_int_equal(findings_worst(&f)->key, 2);
}

static void the_mildest_gives_way(void **state)
{
    (void)state;
    struct findings f = {0};
    say_so(&f, FINDING_CPU_PRESSURE, 0.1, 99 * S); /* not even raised */
    for (uint64_t i = 1; i < FINDINGS_MOST; i++)
        fails(&f, FINDING_LOG_RULE, i, 100 * S + i);
    fails(&f, FINDING_DISK_FULL, 0, 101 * S);
    assert_int_equal(f.n, FINDINGS_MOST);
    assert_int_equal(f.displaced, 1);
    for (uint32_t i = 0; i < f.n; i++)
        assert_int_not_equal(f.list[i].kind, FINDING_CPU_PRESSURE);
}

static void time_that_goes_back_changes_nothing(void **state)
{
    (void)state;
    struct findings f = {0};
    say_so(&f, FINDING_IO_PRESSURE, 0.5, 100 * S);
    say_so(&f, FINDING_IO_PRESSURE, 0.5, 50 * S);
    assert_int_equal(f.list[0].at, 100 * S);
    assert_int_equal(findings_worst(&f)->since, 100 * S);
}

static void all_that_is_raised_is_told_the_worst_first(void **state)
{
    (void)state;
    struct findings f = {0};
    char text[512];
    say_so(&f, FINDING_IO_PRESSURE, 1, 100 * S);
    fails(&f, FINDING_LOG_RULE, 7, 100 * S);
    size_t n = findings_explain(&f, 101 * S, text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, "log-rule (failed): 5 lines matched, 1.0 s ago; "
                              "io-pressure (degraded): as told, 1.0 s ago");
    assert_int_equal(findings_explain(&(struct findings){0}, 0, text, sizeof text), 0);
    assert_string_equal(text, "");
    char small[10];
    findings_explain(&f, 101 * S, small, sizeof small);
    assert_int_equal(strlen(small), 9);
}

static void names_and_reasons_go_both_ways(void **state)
{
    (void)state;
    for (unsigned k = 0; k < FINDING_KINDS; k++) {
        enum finding_kind kind = (enum finding_kind)k;
        assert_int_equal(finding_of(str_of(finding_name(kind))), k);
        assert_true(strlen(finding_meaning(kind)) > 10);
        for (int v = VERDICT_DEGRADED; v <= VERDICT_FAILED; v += 2) {
            enum reason r = finding_reason(kind, (enum verdict)v);
            assert_true(reason_is_found(r));
            assert_int_equal(finding_of_reason(r), k);
            assert_int_equal(reason_verdict(r), v);
            assert_string_equal(reason_name(r), finding_name(kind));
        }
    }
    assert_int_equal(finding_of(STR("nonsense")), FINDING_KINDS);
    assert_string_equal(reason_name((enum reason)(REASON_FOUND + 63)), "unknown");
    assert_false(reason_is_found(REASON_BEAT_FAILED));
}

static void each_kind_has_its_rule(void **state)
{
    (void)state;
    char text[512], small[8];
    for (unsigned k = 0; k < FINDING_KINDS; k++) {
        size_t n = finding_rule((enum finding_kind)k, text, sizeof text);
        assert_int_equal(n, strlen(text));
        assert_non_null(strstr(text, finding_meaning((enum finding_kind)k)));
        assert_non_null(strstr(text, verdict_name(finding_most((enum finding_kind)k))));
        assert_true(finding_is_certain((enum finding_kind)k) == !strstr(text, "add up"));
        finding_rule((enum finding_kind)k, small, sizeof small);
        assert_int_equal(strlen(small), 7);
    }
    assert_true(finding_is_inside(FINDING_LOG_RULE));
    assert_false(finding_is_inside(FINDING_SLOWER_THAN_POOL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_signals_add_up),
        cmocka_unit_test(weak_signals_far_apart_do_not),
        cmocka_unit_test(silence_clears_what_is_not_certain),
        cmocka_unit_test(a_long_condition_fades_like_a_short_one),
        cmocka_unit_test(the_certain_does_not_fade),
        cmocka_unit_test(what_is_cleared_stays_for_its_hold),
        cmocka_unit_test(it_comes_back_while_held_and_nothing_changed),
        cmocka_unit_test(clearing_what_is_not_there_changes_nothing),
        cmocka_unit_test(a_kind_asks_for_no_more_than_it_may),
        cmocka_unit_test(the_first_of_equals_decides),
        cmocka_unit_test(the_mildest_gives_way),
        cmocka_unit_test(time_that_goes_back_changes_nothing),
        cmocka_unit_test(all_that_is_raised_is_told_the_worst_first),
        cmocka_unit_test(names_and_reasons_go_both_ways),
        cmocka_unit_test(each_kind_has_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
