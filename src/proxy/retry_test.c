/* Units of the retry rules: the whole space of facts, against I4 stated anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/base.h"
#include "proxy/retry.h"
#include "view/view.h"

/* Bit i of n as a truth value. */
static bool bit(unsigned n, unsigned i)
{
    return (n >> i) & 1;
}

static void every_fact_keeps_i4(void **state)
{
    (void)state;
    unsigned yes = 0, no = 0;
    for (int failure = 0; failure < FAILURES; failure++)
        for (unsigned on = 0; on < 16; on++)
            for (unsigned attempts = 1; attempts <= 4; attempts++)
                for (unsigned n = 0; n < 32; n++) {
                    struct retry_facts f = {
                        .failure = (enum failure)failure,
                        .on = on,
                        .attempts = attempts,
                        .attempts_max = 3,
                        .written = bit(n, 0),
                        .idempotent = bit(n, 1),
                        .replayable = bit(n, 2),
                        .answered = bit(n, 3),
                        .stale_retried = bit(n, 4),
                    };
                    enum retry_verdict v = retry_decide(&f);
                    if (v != RETRY_NO) {
                        assert_false(f.answered);
                        assert_true(!f.written || (f.idempotent && f.replayable));
                        assert_true(f.failure == FAILURE_STALE || f.attempts < f.attempts_max);
                    }
                    bool unwritten = !f.written && !f.answered && f.failure != FAILURE_OURS;
                    if (unwritten && f.failure != FAILURE_STALE && f.attempts < f.attempts_max)
                        assert_int_equal(v, RETRY_FREE);
                    if (v == RETRY_NO)
                        no++;
                    else
                        yes++;
                }
    assert_true(yes > 0 && no > 0);
}

struct row {
    const char *name;
    struct retry_facts facts;
    enum retry_verdict want;
};

static void the_table_of_the_manual(void **state)
{
    (void)state;
    const uint32_t all = RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT | RETRY_5XX;
    const struct row rows[] = {
        {"refused, nothing written, POST",
         {FAILURE_REFUSED, 0, 1, 3, false, false, false, false, false},
         RETRY_FREE},
        {"reset, GET", {FAILURE_RESET, all, 1, 3, true, true, true, false, false}, RETRY_BUDGET},
        {"reset, POST", {FAILURE_RESET, all, 1, 3, true, false, true, false, false}, RETRY_NO},
        {"reset, PUT too large to keep",
         {FAILURE_RESET, all, 1, 3, true, true, false, false, false},
         RETRY_NO},
        {"time-out, not asked for",
         {FAILURE_TIMEOUT, RETRY_RESET, 1, 3, true, true, true, false, false},
         RETRY_NO},
        {"time-out",
         {FAILURE_TIMEOUT, RETRY_TIMEOUT, 1, 3, true, true, true, false, false},
         RETRY_BUDGET},
        {"5xx, last attempt", {FAILURE_5XX, all, 3, 3, true, true, true, false, false}, RETRY_NO},
        {"answer begun", {FAILURE_RESET, all, 1, 3, true, true, true, true, false}, RETRY_NO},
        {"stale, GET, last attempt",
         {FAILURE_STALE, 0, 3, 3, true, true, true, false, false},
         RETRY_FREE},
        {"stale twice", {FAILURE_STALE, all, 1, 3, true, true, true, false, true}, RETRY_NO},
        {"stale, POST, written",
         {FAILURE_STALE, all, 1, 3, true, false, true, false, false},
         RETRY_NO},
        {"no descriptor of our own",
         {FAILURE_OURS, all, 1, 3, false, true, true, false, false},
         RETRY_NO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (retry_decide(&rows[i].facts) != rows[i].want)
            fail_msg("%s: %d, want %d", rows[i].name, (int)retry_decide(&rows[i].facts),
                     (int)rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fact_keeps_i4),
        cmocka_unit_test(the_table_of_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
