/* What holds for every judge after every step: checked over random histories and over all short
 * ones. The oracle keeps the whole history and counts for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "detect/detect.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define START  (1000 * SECOND)

/* The counts that the judge should have, kept in the simplest way. */
struct oracle {
    uint32_t bad_checks, bad_requests;
    uint64_t signals;
};

static void oracle_see(struct oracle *o, const struct signal *s)
{
    uint32_t count = s->count ? s->count : 1;
    o->signals++;
    if (s->kind <= SIGNAL_CHECK_BAD)
        o->bad_checks = s->kind == SIGNAL_CHECK_OK ? 0 : o->bad_checks + 1;
    else
        o->bad_requests = s->kind == SIGNAL_REQ_OK ? 0 : o->bad_requests + count;
}

static void holds_always(const struct judge *j, const struct oracle *o)
{
    assert_int_equal(j->verdict, reason_verdict(j->reason));
    /* I6: no verdict without evidence */
    assert_true(j->evidence_n > 0 || j->reason == REASON_UNCHECKED);
    assert_true(j->evidence_n <= o->signals);
    assert_true(j->tipped.count > 0 || j->reason == REASON_UNCHECKED || j->slow.others > 0);
    assert_true(j->reason != REASON_SLOW || j->slow.others > 0);
    assert_true(!j->certain || j->verdict == VERDICT_FAILED);
    assert_true(j->since <= j->reason_since && j->reason_since <= j->now);
    assert_in_range(j->hold_now, j->params.hold, j->params.hold_max);
    assert_true(j->hold_until == 0 || j->verdict == VERDICT_FAILED);
    assert_true(j->reason != REASON_REQUESTS_FAIL || j->hold_until > 0);
    uint64_t delay = judge_check_delay(j);
    assert_true(delay == j->params.interval || delay == j->params.fast_interval);
}

/* The deadline is neither late (nothing changes before it) nor idle (something does at it). */
static void deadline_is_honoured(const struct judge *j)
{
    uint64_t due = judge_deadline(j);
    struct judge before = *j, at = *j;
    if (due > j->now)
        assert_false(judge_tick(&before, due == UINT64_MAX ? j->now + 86400 * SECOND : due - 1));
    if (due == UINT64_MAX)
        return;
    bool changed = judge_tick(&at, due);
    assert_true(changed || judge_deadline(&at) > due);
}

static bool well_enough(enum verdict v)
{
    return v == VERDICT_HEALTHY || v == VERDICT_DEGRADED;
}

static void transition_is_allowed(const struct judge *was, const struct judge *is,
                                  const struct oracle *o, const struct signal *s)
{
    bool check = s && s->kind <= SIGNAL_CHECK_BAD;
    bool became_failed = was->verdict != VERDICT_FAILED && is->verdict == VERDICT_FAILED;
    if (check && (well_enough(was->verdict) || was->reason == REASON_UNCHECKED))
        assert_int_not_equal(is->verdict, VERDICT_FAILED); /* one failed probe never ejects */
    if (is->reason == REASON_CHECKS_FAIL && was->reason != REASON_CHECKS_FAIL)
        assert_true(check && o->bad_checks >= 2 && o->bad_checks >= is->params.fall);
    if (became_failed && is->reason == REASON_REQUESTS_FAIL) {
        assert_true(s && !check && signal_is_failure((enum signal_kind)s->kind));
        assert_true(is->params.eject_after > 0);
        assert_true(was->reason == REASON_RECOVERING || o->bad_requests >= is->params.eject_after);
        /* the hold grows while trials fail, and only then */
        uint64_t twice = MIN(2 * was->hold_now, is->params.hold_max);
        assert_int_equal(is->hold_now, was->ejections ? twice : is->params.hold);
        assert_int_equal(is->hold_until, is->now + is->hold_now);
    }
    if (was->reason == REASON_REQUESTS_FAIL && is->reason == REASON_REQUESTS_FAIL)
        assert_int_equal(is->hold_until, was->hold_until);
    if (was->reason == REASON_REQUESTS_FAIL && is->reason == REASON_RECOVERING)
        assert_true(is->now >= was->hold_until || (!was->yielded && is->yielded));
    if (was->verdict == is->verdict)
        assert_int_equal(was->since, is->since);
    else
        assert_int_equal(is->since, is->now);
    if (!s)
        assert_true(was->verdict == is->verdict || !became_failed); /* time alone fails nobody */
}

static void step(struct judge *j, struct oracle *o, const struct signal *s, uint64_t now)
{
    judge_tick(j, s ? s->at : now); /* so that one step is one transition */
    struct judge was = *j;
    bool changed;
    if (s) {
        bool stale = s->kind > SIGNAL_CHECK_BAD && s->at < was.reason_since;
        if (was.reason == REASON_RECOVERING && stale)
            o->signals++; /* not about this trial */
        else
            oracle_see(o, s);
        changed = judge_signal(j, s);
    } else {
        changed = judge_tick(j, now);
    }
    if (was.reason != REASON_RECOVERING && j->reason == REASON_RECOVERING)
        o->bad_requests = 0; /* a trial starts from nothing */
    assert_int_equal(changed, j->reason != was.reason || j->certain != was.certain);
    transition_is_allowed(&was, j, o, s);
    holds_always(j, o);
    deadline_is_honoured(j);
}

/* Only the comparison makes slow, and it never overrules a failure of another kind. */
static void pace_step(struct judge *j, struct oracle *o, enum pace pace)
{
    static const struct pace_report report = {
        .latency = 412 * MS, .median = 38 * MS, .answers = 100, .others = 4};
    struct judge was = *j;
    bool changed = judge_pace(j, pace, &report, j->now);
    assert_int_equal(changed, j->reason != was.reason);
    if (was.verdict == VERDICT_FAILED && was.reason != REASON_SLOW)
        assert_int_equal(j->reason, was.reason);
    else if (pace == PACE_SLOW)
        assert_int_equal(j->reason, REASON_SLOW);
    else
        assert_int_not_equal(j->verdict, VERDICT_FAILED);
    if (was.reason != REASON_SLOW && pace == PACE_TRIAL)
        assert_int_equal(j->reason, was.reason);
    if (was.reason != REASON_RECOVERING && j->reason == REASON_RECOVERING)
        o->bad_requests = 0;
    holds_always(j, o);
    deadline_is_honoured(j);
}

static struct judge_params random_params(struct prng *r)
{
    struct judge_params p = {
        .checked = prng_below(r, 2),
        .rise = (uint32_t)(1 + prng_below(r, 4)),
        .fall = (uint32_t)(1 + prng_below(r, 4)),
        .eject_after = (uint32_t)prng_below(r, 6),
        .hold = (1 + prng_below(r, 10)) * SECOND,
        .interval = (1 + prng_below(r, 5)) * SECOND,
        .fast_interval = (100 + prng_below(r, 900)) * MS,
    };
    p.hold_max = p.hold * (1 + prng_below(r, 16));
    return p;
}

static struct signal random_signal(struct prng *r, const struct judge *j, uint64_t bias)
{
    unsigned from = j->params.checked ? 0 : SIGNAL_REQ_OK;
    struct signal s = {
        .at = j->now + prng_below(r, 2) * prng_below(r, 1 + prng_below(r, 8 * SECOND)),
        .kind = (uint16_t)(from + prng_below(r, SIGNALS_OF_INSTANCES - from)),
        .count = (uint32_t)prng_below(r, 4),
        .observer = (uint16_t)prng_below(r, 3),
    };
    if (prng_below(r, 10) < bias)
        s.kind = prng_below(r, 2) && j->params.checked ? SIGNAL_CHECK_OK : SIGNAL_REQ_OK;
    if (prng_below(r, 20) == 0)
        s.at -= prng_below(r, 3 * SECOND);
    return s;
}

static struct judge random_judge(struct prng *r, struct oracle *o, unsigned steps)
{
    struct judge_params p = random_params(r);
    struct judge j;
    uint64_t bias = prng_below(r, 10);
    judge_init(&j, &p, START);
    for (unsigned i = 0; i < steps; i++) {
        struct signal s = random_signal(r, &j, bias);
        if (prng_below(r, 10) == 0)
            step(&j, o, NULL, j.now + prng_below(r, 20 * SECOND));
        else if (j.evidence_n > 0 && prng_below(r, 8) == 0)
            pace_step(&j, o, (enum pace)prng_below(r, 3));
        else
            step(&j, o, &s, 0);
    }
    return j;
}

static void test_random_histories(void **state)
{
    struct prng r;
    unsigned seen[REASONS_OF_JUDGES] = {0};
    prng_seed(&r, 20);
    for (int i = 0; i < 100000; i++) {
        struct oracle o = {0};
        struct judge j = random_judge(&r, &o, 1 + (unsigned)prng_below(&r, 30));
        seen[j.reason]++;
    }
    for (unsigned i = 0; i < REASONS_OF_JUDGES; i++)
        assert_true(seen[i] > 100); /* the histories reach every state */
}

/* A subject that only shows good evidence is healthy again in bounded time. */
static uint64_t time_to_recover(struct judge *j, bool with_checks, bool with_requests)
{
    uint64_t start = j->now, check = start, request = start;
    judge_pace(j, PACE_NORMAL, NULL, j->now);
    for (int i = 0; i < 1000000 && j->verdict != VERDICT_HEALTHY; i++) {
        check = MIN(check, j->now + judge_check_delay(j));
        uint64_t next = judge_deadline(j);
        next = MAX(j->now, MIN(next, MIN(with_checks ? check : UINT64_MAX,
                                         with_requests ? request : UINT64_MAX)));
        judge_tick(j, next);
        struct signal s = {.at = next, .count = 1, .kind = SIGNAL_CHECK_OK};
        if (with_checks && next >= check) {
            judge_signal(j, &s);
            check = next + judge_check_delay(j);
        }
        s.kind = SIGNAL_REQ_OK;
        if (with_requests && next >= request && j->verdict != VERDICT_FAILED)
            judge_signal(j, &s);
        if (next >= request)
            request = next + 100 * MS;
    }
    assert_int_equal(j->verdict, VERDICT_HEALTHY);
    return j->now - start;
}

static void test_good_evidence_heals_in_bounded_time(void **state)
{
    struct prng r;
    prng_seed(&r, 5);
    for (int i = 0; i < 20000; i++) {
        struct oracle o = {0};
        struct judge j = random_judge(&r, &o, 1 + (unsigned)prng_below(&r, 30)), idle = j;
        const struct judge_params *p = &j.params;
        /* docs/detection.md, bounds */
        uint64_t checks = p->checked ? p->interval + (p->rise + 1) * p->fast_interval : 0;
        uint64_t requests = JUDGE_TRIAL_REQUESTS * 100 * MS;
        uint64_t windows = 2 * JUDGE_WINDOW_SECONDS * SECOND;
        uint64_t bound = MAX(j.hold_now, checks) + checks + requests + windows;
        assert_true(time_to_recover(&j, p->checked, true) <= bound);
        if (p->checked)
            assert_true(time_to_recover(&idle, true, false) <=
                        2 * MAX(idle.hold_now, checks) + 2 * checks + windows);
    }
}

/* Every history of up to six steps from a small alphabet, for small parameters. */
static const struct {
    uint64_t after;
    enum signal_kind kind;
} alphabet[] = {
    {100 * MS, SIGNAL_CHECK_OK},      {100 * MS, SIGNAL_CHECK_REFUSED},
    {100 * MS, SIGNAL_CHECK_TIMEOUT}, {10 * MS, SIGNAL_REQ_OK},
    {10 * MS, SIGNAL_REQ_REFUSED},    {10 * MS, SIGNAL_REQ_5XX},
    {6 * SECOND, SIGNAL_CHECK_OK},    {6 * SECOND, SIGNAL_KINDS /* only time */},
};

static unsigned visit(const struct judge *j, const struct oracle *o, unsigned depth)
{
    unsigned visited = 1;
    for (size_t i = 0; depth > 0 && i < ARRAY_LEN(alphabet); i++) {
        struct judge next = *j;
        struct oracle seen = *o;
        struct signal s = {
            .at = j->now + alphabet[i].after, .count = 1, .kind = (uint16_t)alphabet[i].kind};
        bool time = alphabet[i].kind == SIGNAL_KINDS;
        step(&next, &seen, time ? NULL : &s, s.at);
        visited += visit(&next, &seen, depth - 1);
    }
    return visited;
}

static void test_all_short_histories(void **state)
{
    for (uint32_t rise = 1; rise <= 2; rise++) {
        for (uint32_t fall = 1; fall <= 3; fall += 2) {
            struct judge_params p = {
                .checked = true,
                .rise = rise,
                .fall = fall,
                .eject_after = 2,
                .hold = 5 * SECOND,
                .hold_max = 8 * SECOND,
                .interval = SECOND,
                .fast_interval = 100 * MS,
            };
            struct judge j;
            struct oracle o = {0};
            judge_init(&j, &p, START);
            assert_int_equal(visit(&j, &o, 6), (8 * 8 * 8 * 8 * 8 * 8 * 8 - 1) / 7);
        }
    }
}

static void test_every_state_explains_itself(void **state)
{
    struct prng r;
    prng_seed(&r, 9);
    for (int i = 0; i < 5000; i++) {
        struct oracle o = {0};
        struct judge j = random_judge(&r, &o, (unsigned)prng_below(&r, 12));
        char text[1024];
        size_t n = judge_explain(&j, j.now + SECOND, text, sizeof text);
        assert_int_equal(n, strlen(text));
        assert_true(n > 10 && text[n - 1] == '.' &&
                    ((text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= '1' && text[0] <= '9')));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_good_evidence_heals_in_bounded_time),
        cmocka_unit_test(test_all_short_histories),
        cmocka_unit_test(test_every_state_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
