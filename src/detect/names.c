/* The stable names of verdicts, reasons and signals: JSON, events and metrics use them. */
#include "detect/detect.h"

#include "base/base.h"
#include "detect/findings.h"

const char *verdict_name(enum verdict v)
{
    static const char *const name[VERDICTS] = {
        [VERDICT_HEALTHY] = "healthy",
        [VERDICT_DEGRADED] = "degraded",
        [VERDICT_SUSPECT] = "suspect",
        [VERDICT_FAILED] = "failed",
    };
    return (unsigned)v < VERDICTS ? name[v] : "unknown";
}

static const struct {
    const char *name;
    bool failure, certain;
} signals[SIGNAL_KINDS] = {
    [SIGNAL_CHECK_OK] = {"check-ok", false, false},
    [SIGNAL_CHECK_REFUSED] = {"check-refused", true, true},
    [SIGNAL_CHECK_TIMEOUT] = {"check-timeout", true, false},
    [SIGNAL_CHECK_RESET] = {"check-reset", true, false},
    [SIGNAL_CHECK_BAD] = {"check-bad", true, false},
    [SIGNAL_REQ_OK] = {"request-ok", false, false},
    [SIGNAL_REQ_REFUSED] = {"request-refused", true, true},
    [SIGNAL_REQ_TIMEOUT] = {"request-timeout", true, false},
    [SIGNAL_REQ_RESET] = {"request-reset", true, false},
    [SIGNAL_REQ_5XX] = {"request-5xx", true, false},
    [SIGNAL_BEAT_OK] = {"beat-ok", false, false},
    [SIGNAL_BEAT_FAILED] = {"beat-failed", true, true},
    [SIGNAL_BEAT_MISSING] = {"beat-missing", true, false},
};

const char *signal_name(enum signal_kind k)
{
    return (unsigned)k < SIGNAL_KINDS ? signals[k].name : "unknown";
}

bool signal_is_failure(enum signal_kind k)
{
    return (unsigned)k < SIGNAL_KINDS && signals[k].failure;
}

bool signal_is_certain(enum signal_kind k)
{
    return (unsigned)k < SIGNAL_KINDS && signals[k].certain;
}

static const struct {
    const char *name;
    enum verdict verdict;
} reasons[REASONS] = {
    [REASON_UNCHECKED] = {"unchecked", VERDICT_SUSPECT},
    [REASON_CHECKS_PASS] = {"checks-pass", VERDICT_HEALTHY},
    [REASON_CHECK_FAILING] = {"check-failing", VERDICT_SUSPECT},
    [REASON_CHECKS_FAIL] = {"checks-fail", VERDICT_FAILED},
    [REASON_REQUESTS_FAIL] = {"requests-fail", VERDICT_FAILED},
    [REASON_ERROR_RATE] = {"error-rate", VERDICT_DEGRADED},
    [REASON_RECOVERING] = {"recovering", VERDICT_SUSPECT},
    [REASON_SERVING] = {"serving", VERDICT_HEALTHY},
    [REASON_SLOW] = {"slower-than-pool", VERDICT_FAILED},
    [REASON_OWN_PATH] = {"own-path", VERDICT_FAILED},
    [REASON_AGREED] = {"observers-agree", VERDICT_FAILED},
    [REASON_BEAT_AWAITED] = {"beat-awaited", VERDICT_SUSPECT},
    [REASON_BEATS] = {"beats", VERDICT_HEALTHY},
    [REASON_BEAT_LATE] = {"beat-late", VERDICT_SUSPECT},
    [REASON_BEAT_MISSING] = {"beat-missing", VERDICT_FAILED},
    [REASON_BEAT_FAILED] = {"beat-failed", VERDICT_FAILED},
};

const char *reason_name(enum reason r)
{
    if (reason_is_found(r))
        return finding_name(finding_of_reason(r));
    return (unsigned)r < REASONS ? reasons[r].name : "unknown";
}

enum verdict reason_verdict(enum reason r)
{
    if (reason_is_found(r))
        return (unsigned)r >= REASON_FOUND_FAILED ? VERDICT_FAILED : VERDICT_DEGRADED;
    CHECK((unsigned)r < REASONS);
    return reasons[r].verdict;
}
