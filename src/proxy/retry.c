#include "proxy/retry.h"

#include "base/check.h"
#include "view/view.h"

/* What each failure needs of `retry { on = }` once bytes were written. */
static const uint32_t needs[FAILURES] = {
    [FAILURE_REFUSED] = RETRY_CONNECT,
    [FAILURE_CONNECT_TIMEOUT] = RETRY_CONNECT,
    [FAILURE_STALE] = 0,
    [FAILURE_RESET] = RETRY_RESET,
    [FAILURE_TIMEOUT] = RETRY_TIMEOUT,
    [FAILURE_5XX] = RETRY_5XX,
    [FAILURE_OURS] = 0,
};

enum retry_verdict retry_decide(const struct retry_facts *f)
{
    CHECK(f->failure < FAILURES);
    if (f->answered || f->failure == FAILURE_OURS)
        return RETRY_NO;
    if (f->written && !(f->idempotent && f->replayable))
        return RETRY_NO;
    if (f->failure == FAILURE_STALE)
        return f->stale_retried ? RETRY_NO : RETRY_FREE;
    if (f->attempts >= f->attempts_max)
        return RETRY_NO;
    if (!f->written)
        return RETRY_FREE;
    return (f->on & needs[f->failure]) ? RETRY_BUDGET : RETRY_NO;
}
