/* The judge in words: one sentence for the rule that tipped the verdict, one for the latest
 * signals. */
#include <inttypes.h>

#include "base/base.h"
#include "detect/say.h"

static void say_signal(struct out *o, const struct signal *s, uint64_t now)
{
    switch ((enum signal_kind)s->kind) {
    case SIGNAL_CHECK_OK:
    case SIGNAL_REQ_OK:
        say(o, "answered after %u.%u ms", s->detail / 1000, s->detail % 1000 / 100);
        break;
    case SIGNAL_CHECK_REFUSED:
    case SIGNAL_REQ_REFUSED: say(o, "connection refused"); break;
    case SIGNAL_CHECK_TIMEOUT:
    case SIGNAL_REQ_TIMEOUT: say(o, "no answer in time"); break;
    case SIGNAL_CHECK_RESET:
    case SIGNAL_REQ_RESET: say(o, "connection cut before a whole answer"); break;
    case SIGNAL_CHECK_BAD:
        if (s->detail)
            say(o, "answered %u, or not the wanted body", s->detail);
        else
            say(o, "answer is not HTTP");
        break;
    case SIGNAL_REQ_5XX: say(o, "answered %u", s->detail); break;
    case SIGNAL_BEAT_OK:
    case SIGNAL_BEAT_FAILED:
    case SIGNAL_BEAT_MISSING: /* never of an instance */
    case SIGNAL_KINDS: break;
    }
    say(o, ", ");
    say_span(o, s->at, now);
    say(o, " ago");
}

static const char *plural(uint32_t n)
{
    return n == 1 ? "" : "s";
}

/* The latest failure of the kind that the reason is about; where newer signals have driven it out
 * of the ring, the one that tipped the verdict. */
static const struct signal *last_failure(const struct judge *j)
{
    bool checks = j->reason == REASON_CHECKS_FAIL || j->reason == REASON_CHECK_FAILING;
    for (uint64_t i = 0; i < MIN(j->evidence_n, JUDGE_EVIDENCE); i++) {
        const struct signal *s = &j->evidence[(j->evidence_n - 1 - i) % JUDGE_EVIDENCE];
        if (signal_is_failure((enum signal_kind)s->kind) && (s->kind <= SIGNAL_CHECK_BAD) == checks)
            return s;
    }
    return &j->tipped;
}

static void say_last(struct out *o, const struct judge *j, uint64_t now)
{
    if (j->restored) {
        say(o, ", known from before a restart");
        return;
    }
    const struct signal *s = last_failure(j);
    bool compared = j->reason == REASON_RECOVERING && j->pace == PACE_TRIAL;
    if (j->reason == REASON_SLOW || compared)
        return;
    if (j->verdict == VERDICT_HEALTHY || j->reason == REASON_UNCHECKED || s->count == 0)
        return;
    say(o, ", last failure: ");
    say_signal(o, s, now);
}

static void say_latency(struct out *o, uint64_t ns)
{
    if (ns < 10000000)
        say(o, "%" PRIu64 ".%" PRIu64 " ms", ns / 1000000, ns % 1000000 / 100000);
    else
        say(o, "%" PRIu64 " ms", ns / 1000000);
}

static void say_pace(struct out *o, const struct judge *j)
{
    if (j->slow.others == 0) /* known from before a restart */
        return;
    say_latency(o, j->slow.latency);
    say(o, " against ");
    say_latency(o, j->slow.median);
    if (j->slow.others > 1)
        say(o, ", the median of %u others", j->slow.others);
}

static void say_trial(struct out *o, const struct judge *j, uint64_t now)
{
    if (j->pace == PACE_TRIAL) {
        say(o, "Was slower than the pool (");
        say_pace(o, j);
        say(o, "), on trial for ");
    } else {
        say(o, "Was failed, on trial for ");
    }
    say_span(o, j->reason_since, now);
    say(o, " with %u of %u requests answered in a row", MIN(j->good_requests, JUDGE_TRIAL_REQUESTS),
        JUDGE_TRIAL_REQUESTS);
}

static void say_slow(struct out *o, const struct judge *j, uint64_t now)
{
    say(o, "Slower than the pool%s", j->slow.others ? ": " : "");
    say_pace(o, j);
    if (j->slow.others == 0)
        return;
    say(o, " (%u answers)", j->slow.answers);
    if (j->slow.until <= now)
        return;
    say(o, "; a trial in ");
    say_span(o, now, j->slow.until);
}

static void say_hold(struct out *o, const struct judge *j, uint64_t now)
{
    if (j->hold_until <= now)
        return;
    say(o, "; a trial in ");
    say_span(o, now, j->hold_until);
    if (j->ejections > 1)
        say(o, " (ejected %u times)", j->ejections);
}

static void say_rule(struct out *o, const struct judge *j, uint64_t now)
{
    const struct judge_params *p = &j->params;
    uint64_t bad = (uint64_t)j->window_bad + j->last_bad;
    uint64_t all = bad + j->window_ok + j->last_ok;
    switch (j->reason) {
    case REASON_UNCHECKED:
        say(o, p->checked ? "No check has ended yet" : "No request was answered yet");
        break;
    case REASON_CHECKS_PASS: say(o, "Checks pass, %u in a row", j->good_checks); break;
    case REASON_SERVING: say(o, "Requests are answered"); break;
    case REASON_CHECK_FAILING:
        if (j->bad_checks)
            say(o, "%u check%s in a row failed, failed from %u on", j->bad_checks,
                plural(j->bad_checks), p->fall);
        else
            say(o, "Checks failed, %u of the %u passes wanted are in", j->good_checks, p->rise);
        break;
    case REASON_CHECKS_FAIL:
        if (j->bad_checks)
            say(o, "%u checks in a row failed", j->bad_checks);
        else
            say(o, "Checks failed, %u of the %u passes wanted are in", j->good_checks, p->rise);
        break;
    case REASON_REQUESTS_FAIL:
        if (j->bad_requests == 1)
            say(o, "A request failed on trial");
        else if (j->bad_requests)
            say(o, "%u requests in a row failed", j->bad_requests);
        else
            say(o, "Requests failed");
        break;
    case REASON_ERROR_RATE:
        say(o, "%" PRIu64 " of the last %" PRIu64 " requests failed", bad, all);
        break;
    case REASON_RECOVERING: say_trial(o, j, now); break;
    case REASON_SLOW: say_slow(o, j, now); break;
    case REASON_OWN_PATH: /* the others are never a judge's */
    case REASON_AGREED:
    case REASON_BEAT_AWAITED:
    case REASON_BEATS:
    case REASON_BEAT_LATE:
    case REASON_BEAT_MISSING:
    case REASON_BEAT_FAILED:
    case REASONS: break;
    }
    say_last(o, j, now);
    if (j->verdict == VERDICT_FAILED)
        say_hold(o, j, now);
    say(o, ".");
}

size_t judge_explain(const struct judge *j, uint64_t now, char *out, size_t size)
{
    struct out o = say_into(out, size);
    say_rule(&o, j, now);
    say_signals(&o, j->evidence, JUDGE_EVIDENCE, j->evidence_n);
    return o.n;
}
