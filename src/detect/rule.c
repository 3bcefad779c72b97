/* The rules in words, with the thresholds that are in force: what an audit keeps beside the
 * signals. */
#include "base/base.h"
#include "detect/findings.h"
#include "detect/say.h"

static void say_seconds(struct out *o, uint64_t ns)
{
    say_span(o, 0, ns);
}

static void say_checks(struct out *o, enum reason r, const struct judge_params *p)
{
    if (r == REASON_CHECKS_PASS)
        say(o, "healthy: the first check passed, or %u in a row after failures (rise)", p->rise);
    else if (r == REASON_CHECK_FAILING)
        say(o,
            "suspect: checks fail, fewer than %u in a row (fall), or pass again, fewer than %u "
            "(rise)",
            p->fall, p->rise);
    else
        say(o, "failed: %u checks or more failed in a row (fall)", p->fall);
}

static void say_requests(struct out *o, enum reason r, const struct judge_params *p)
{
    if (r == REASON_RECOVERING) {
        say(o,
            "suspect: its hold or its failure is over; %d requests answered in a row end the "
            "trial",
            JUDGE_TRIAL_REQUESTS);
        return;
    }
    say(o, "failed: %u requests in a row failed (eject after), or one on trial; held for ",
        p->eject_after);
    say_seconds(o, p->hold);
    say(o, ", doubling up to ");
    say_seconds(o, p->hold_max);
}

size_t judge_rule(enum reason r, const struct judge_params *p, char *out, size_t size)
{
    struct out o = say_into(out, size);
    if (reason_is_found(r) && finding_of_reason(r) < FINDING_KINDS) {
        say(&o, "%s: %s", verdict_name(reason_verdict(r)), finding_meaning(finding_of_reason(r)));
        return o.n;
    }
    switch (r) {
    case REASON_UNCHECKED: say(&o, "suspect: nothing decisive is known yet"); break;
    case REASON_CHECKS_PASS:
    case REASON_CHECK_FAILING:
    case REASON_CHECKS_FAIL: say_checks(&o, r, p); break;
    case REASON_REQUESTS_FAIL:
    case REASON_RECOVERING: say_requests(&o, r, p); break;
    case REASON_ERROR_RATE:
        say(&o, "degraded: %d %% or more of at least %d requests failed in %d to %d s",
            JUDGE_RATE_HIGH / 10, JUDGE_RATE_REQUESTS, JUDGE_WINDOW_SECONDS,
            2 * JUDGE_WINDOW_SECONDS);
        break;
    case REASON_SERVING: say(&o, "healthy: real requests are answered"); break;
    case REASON_SLOW:
        say(&o, "failed: its median latency was beyond what eject { slow } allows over the median "
                "of the others, twice in a row");
        break;
    case REASON_OWN_PATH:
        say(&o, "failed: it fails from here, and more of the other nodes reach it than not");
        break;
    case REASON_AGREED:
        say(&o, "failed: two of the other nodes or more say so, more than half of those who know, "
                "and nothing newer is known here");
        break;
    case REASON_BEAT_AWAITED: say(&o, "suspect: no beat has come yet"); break;
    case REASON_BEATS: say(&o, "healthy: the job said that it is well"); break;
    case REASON_BEAT_LATE: say(&o, "suspect: overdue, within its grace"); break;
    case REASON_BEAT_MISSING: say(&o, "failed: no beat within `every` and `grace`"); break;
    case REASON_BEAT_FAILED: say(&o, "failed: the job said so"); break;
    case REASONS: break;
    }
    return o.n;
}
