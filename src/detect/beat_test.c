/* The watch of a job: what comes, what does not, what outlives a restart, and what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/prng.h"
#include "detect/beat.h"

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)

static const struct beat_params minute = {60 * SECOND, 30 * SECOND};

static struct beat_watch watch(void)
{
    struct beat_watch w;
    beat_init(&w, &minute, START);
    return w;
}

static bool beats(struct beat_watch *w, uint64_t at)
{
    struct signal s = {.at = at, .count = 1, .kind = SIGNAL_BEAT_OK};
    return beat_signal(w, &s, STR("not looked at"));
}

static bool fails(struct beat_watch *w, uint64_t at, const char *text)
{
    struct signal s = {.at = at, .count = 1, .kind = SIGNAL_BEAT_FAILED};
    return beat_signal(w, &s, str_of(text));
}

static void is(const struct beat_watch *w, enum verdict v, enum reason r)
{
    assert_int_equal(w->reason, r);
    assert_int_equal(w->verdict, v);
}

static void says(const struct beat_watch *w, uint64_t after, const char *text)
{
    char out[512];
    size_t n = beat_explain(w, START + after, out, sizeof out);
    assert_int_equal(n, strlen(out));
    assert_string_equal(out, text);
}

static void test_a_job_that_beats(void **state)
{
    struct beat_watch w = watch();
    is(&w, VERDICT_SUSPECT, REASON_BEAT_AWAITED);
    says(&w, 5 * SECOND,
         "Awaited: none came since the watch began 5.0 s ago, failed in 85 s if none comes.");
    assert_true(beats(&w, START + 10 * SECOND));
    is(&w, VERDICT_HEALTHY, REASON_BEATS);
    assert_int_equal(w.since, START + 10 * SECOND);
    for (int i = 2; i < 100; i++)
        assert_false(beats(&w, START + (uint64_t)i * 10 * SECOND));
    assert_int_equal(w.beats, 99);
    assert_int_equal(w.since, START + 10 * SECOND);
    says(&w, 995 * SECOND,
         "It beats: the last beat came 5.0 s ago, failed in 85 s if none comes. Latest signals: "
         "beat-ok x99.");
}

/* Late from 75 s on, missing from 90 s on; to the nanosecond, and at the deadlines that it names.
 */
static void test_a_job_that_falls_silent(void **state)
{
    struct beat_watch w = watch();
    beats(&w, START);
    assert_int_equal(beat_deadline(&w), START + 75 * SECOND);
    assert_false(beat_tick(&w, START + 75 * SECOND - 1));
    assert_true(beat_tick(&w, START + 75 * SECOND));
    is(&w, VERDICT_SUSPECT, REASON_BEAT_LATE);
    assert_int_equal(beat_deadline(&w), START + 90 * SECOND);
    assert_false(beat_tick(&w, START + 90 * SECOND - 1));
    assert_int_equal(w.missed, 0);
    assert_true(beat_tick(&w, START + 90 * SECOND));
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    assert_int_equal(w.missed, 1);
    assert_int_equal(beat_deadline(&w), UINT64_MAX);
    assert_false(beat_tick(&w, START + 1000 * SECOND));
    says(&w, 120 * SECOND,
         "No beat for 1000 s, one was due every 60 s with 30 s of grace. Latest signals: "
         "beat-missing, beat-ok.");
    assert_true(beats(&w, START + 2000 * SECOND));
    is(&w, VERDICT_HEALTHY, REASON_BEATS);
}

static void test_late_is_no_failure(void **state)
{
    struct beat_watch w = watch();
    beats(&w, START);
    beat_tick(&w, START + 80 * SECOND);
    says(&w, 80 * SECOND,
         "Late: the last beat came 80 s ago, failed in 10 s if none comes. Latest "
         "signals: beat-ok.");
    assert_true(beats(&w, START + 80 * SECOND));
    is(&w, VERDICT_HEALTHY, REASON_BEATS);
    assert_int_equal(w.missed, 0);
}

/* A job that never said anything is not well for that. */
static void test_a_job_that_never_beats(void **state)
{
    struct beat_watch w = watch();
    assert_int_equal(beat_deadline(&w), START + 90 * SECOND);
    assert_false(beat_tick(&w, START + 80 * SECOND));
    assert_true(beat_tick(&w, START + 90 * SECOND));
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    says(&w, 90 * SECOND,
         "No beat has ever come, in 90 s, one was due every 60 s with 30 s of grace. Latest "
         "signals: beat-missing.");
}

static void test_a_job_that_says_it_failed(void **state)
{
    struct beat_watch w = watch();
    beats(&w, START);
    assert_true(fails(&w, START + SECOND, "disk\tfull\x7f"));
    is(&w, VERDICT_FAILED, REASON_BEAT_FAILED);
    says(&w, 4 * SECOND,
         "It said that it failed, 3.0 s ago: disk?full?. Latest signals: "
         "beat-failed, beat-ok.");
    assert_false(fails(&w, START + 2 * SECOND, ""));
    says(&w, 4 * SECOND,
         "It said that it failed, 2.0 s ago. Latest signals: beat-failed x2, beat-ok.");
    assert_true(beat_tick(&w, START + 92 * SECOND)); /* and then nothing: that is worse */
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    assert_int_equal(w.since, START + SECOND);
    assert_true(beats(&w, START + 93 * SECOND));
    assert_int_equal(w.failures, 2);
    assert_string_equal(w.text, "");
}

static void test_other_signals_are_not_heard(void **state)
{
    struct beat_watch w = watch(), before = w;
    for (unsigned k = 0; k <= SIGNAL_KINDS; k++) {
        struct signal s = {.at = START + SECOND, .count = 1, .kind = (uint16_t)k};
        if (k != SIGNAL_BEAT_OK && k != SIGNAL_BEAT_FAILED)
            assert_false(beat_signal(&w, &s, STR("")));
    }
    assert_memory_equal(&w, &before, sizeof w);
}

/* Over a restart, in ages: the new process may have another clock. */
static struct beat_watch restarted(const struct beat_watch *was, uint64_t at, uint64_t gap,
                                   uint64_t now)
{
    struct beat_memory m;
    struct beat_watch w;
    beat_remember(was, at, &m);
    m.age += gap;
    m.since_age += gap;
    beat_init(&w, &minute, now);
    beat_restore(&w, &m);
    return w;
}

static void test_a_restart_is_not_a_missed_beat(void **state)
{
    struct beat_watch was = watch();
    beats(&was, START);
    /* short: nothing changes */
    struct beat_watch w = restarted(&was, START + 20 * SECOND, SECOND, START + 21 * SECOND);
    is(&w, VERDICT_HEALTHY, REASON_BEATS);
    assert_int_equal(w.beats, 1);
    assert_int_equal(beat_deadline(&w), START + 75 * SECOND);
    assert_true(beat_tick(&w, START + 90 * SECOND));
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    /* long, and the machine was started anew: a beat may have been lost, so it has its grace */
    w = restarted(&was, START + 20 * SECOND, 3600 * SECOND, 5 * SECOND);
    assert_int_equal(beat_age(&w, 5 * SECOND), 3620 * SECOND);
    assert_true(beat_tick(&w, 5 * SECOND));
    is(&w, VERDICT_SUSPECT, REASON_BEAT_LATE);
    assert_int_equal(beat_deadline(&w), 35 * SECOND);
    assert_false(beat_tick(&w, 35 * SECOND - 1));
    struct beat_watch heard = w;
    assert_true(beat_tick(&w, 35 * SECOND));
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    assert_true(beats(&heard, 20 * SECOND));
    is(&heard, VERDICT_HEALTHY, REASON_BEATS);
}

static void test_what_failed_stays_failed_over_a_restart(void **state)
{
    struct beat_watch was = watch();
    fails(&was, START, "disk full");
    struct beat_watch w = restarted(&was, START + 5 * SECOND, SECOND, START + 6 * SECOND);
    is(&w, VERDICT_FAILED, REASON_BEAT_FAILED);
    says(&w, 6 * SECOND, "It said that it failed, 6.0 s ago: disk full.");
    assert_int_equal(beat_since(&w, START + 6 * SECOND), 6 * SECOND);
    assert_int_equal(w.failures, 1);
}

static void test_a_damaged_memory_does_no_harm(void **state)
{
    static const uint8_t reasons[] = {REASON_SERVING, REASON_AGREED, REASONS, 255};
    struct beat_watch w = watch(), before = w;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct beat_memory m = {.reason = reasons[i], .beats = 7};
        beat_restore(&w, &m);
        assert_memory_equal(&w, &before, sizeof w);
    }
    struct beat_memory m = {.age = UINT64_MAX, .since_age = UINT64_MAX, .reason = REASON_BEATS};
    beat_restore(&w, &m);
    assert_false(beat_tick(&w, START) && w.verdict == VERDICT_FAILED);
    assert_true(beat_deadline(&w) <= START + 30 * SECOND);
}

static void test_a_reload_keeps_what_is_known(void **state)
{
    struct beat_watch w = watch();
    beats(&w, START);
    struct beat_params p = {10 * SECOND, 0};
    beat_set_params(&w, &p);
    assert_int_equal(beat_deadline(&w), START + 10 * SECOND);
    assert_true(beat_tick(&w, START + 10 * SECOND)); /* without grace, nothing is late */
    is(&w, VERDICT_FAILED, REASON_BEAT_MISSING);
    struct beat_params huge = {UINT64_MAX, UINT64_MAX};
    beat_set_params(&w, &huge);
    beats(&w, START + 11 * SECOND);
    assert_true(beat_deadline(&w) < UINT64_MAX && beat_deadline(&w) > START);
}

static void test_cut_to_fit(void **state)
{
    char cut[12], text[300];
    struct beat_watch w = watch();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    fails(&w, START, text);
    assert_int_equal(strlen(w.text), BEAT_TEXT_MAX - 1);
    size_t n = beat_explain(&w, START, cut, sizeof cut);
    assert_int_equal(n, sizeof cut - 1);
    assert_string_equal(cut, "It said tha");
    assert_int_equal(beat_explain(&w, START, cut, 0), 0);
}

/* Whatever comes: a verdict is its reason's, healthy only with a beat within its time, failed only
 * after a failure or the whole wait, and a deadline is neither late nor idle. */
static void test_random_histories(void **state)
{
    struct prng r;
    prng_seed(&r, 7);
    for (int round = 0; round < 20000; round++) {
        struct beat_watch w = watch();
        uint64_t now = START, last = START;
        bool failure = false;
        for (int i = 0; i < 30; i++) {
            uint64_t step = prng_below(&r, 2) ? prng_below(&r, 40 * SECOND) : 0;
            uint64_t due = beat_deadline(&w);
            now = step == 0 && due != UINT64_MAX ? MAX(now, due) : now + step;
            bool at_deadline = now == due;
            bool moved = beat_tick(&w, now);
            assert_true(!at_deadline || moved);
            uint64_t kind = prng_below(&r, 4);
            if (kind < 2) {
                failure = kind == 1;
                last = now;
                if (failure)
                    fails(&w, now, "why");
                else
                    beats(&w, now);
            }
            assert_int_equal(w.verdict, reason_verdict(w.reason));
            bool over = now - last >= 90 * SECOND;
            assert_true((w.reason == REASON_BEAT_MISSING) == over);
            assert_true((w.reason == REASON_BEAT_FAILED) == (failure && !over));
            assert_true(w.verdict != VERDICT_HEALTHY || now - last < 75 * SECOND);
            assert_true(beat_deadline(&w) > now);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_that_beats),
        cmocka_unit_test(test_a_job_that_falls_silent),
        cmocka_unit_test(test_late_is_no_failure),
        cmocka_unit_test(test_a_job_that_never_beats),
        cmocka_unit_test(test_a_job_that_says_it_failed),
        cmocka_unit_test(test_other_signals_are_not_heard),
        cmocka_unit_test(test_a_restart_is_not_a_missed_beat),
        cmocka_unit_test(test_what_failed_stays_failed_over_a_restart),
        cmocka_unit_test(test_a_damaged_memory_does_no_harm),
        cmocka_unit_test(test_a_reload_keeps_what_is_known),
        cmocka_unit_test(test_cut_to_fit),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
