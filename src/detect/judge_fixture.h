/* What the judge's tests share: parameters, and short words for signals. */
#ifndef HF_JUDGE_FIXTURE_H
#define HF_JUDGE_FIXTURE_H

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

static inline struct judge_params params(void)
{
    return (struct judge_params){
        .checked = true,
        .rise = 2,
        .fall = 3,
        .eject_after = 5,
        .hold = 5 * SECOND,
        .hold_max = 60 * SECOND,
        .interval = SECOND,
        .fast_interval = 200 * MS,
    };
}

static inline struct judge judge_of(struct judge_params p)
{
    struct judge j;
    judge_init(&j, &p, START);
    return j;
}

static inline bool feed(struct judge *j, uint64_t at, enum signal_kind kind, uint32_t count)
{
    struct signal s = {.at = at, .count = count, .kind = (uint16_t)kind};
    if (kind == SIGNAL_REQ_5XX)
        s.detail = 503;
    return judge_signal(j, &s);
}

static inline void checks(struct judge *j, uint64_t *at, enum signal_kind kind, int n)
{
    for (int i = 0; i < n; i++)
        feed(j, *at += judge_check_delay(j), kind, 1);
}

static inline struct judge passing(struct judge_params p, uint64_t *at)
{
    struct judge j = judge_of(p);
    *at = START;
    checks(&j, at, SIGNAL_CHECK_OK, 1);
    assert_int_equal(j.reason, REASON_CHECKS_PASS);
    return j;
}

static inline void is(const struct judge *j, enum verdict v, enum reason r)
{
    assert_string_equal(verdict_name(j->verdict), verdict_name(v));
    assert_string_equal(reason_name(j->reason), reason_name(r));
}

/* Ejected by 5xx, a subject without checks, as a proxy worker has them. */

static inline struct judge ejected(uint64_t *at)
{
    struct judge_params p = params();
    p.checked = false;
    struct judge j = judge_of(p);
    *at = START;
    feed(&j, *at, SIGNAL_REQ_OK, 1);
    feed(&j, *at, SIGNAL_REQ_5XX, 5);
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    return j;
}

/* kill -9 under load, started again half a second later: back after `rise` fast checks. */

/* The health page is fine, the real requests fail: the growing hold decides, not the checks. */

/* It starts, passes its checks, and dies with the first request, over and over. */

#endif
