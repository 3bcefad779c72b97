/* The judge: counts signals, turns counts into events, and events into a reason by one table.
 *
 * The reason is the state; the verdict follows from it (names.c). Checks and requests each have
 * their counters "in a row". An ejection by requests holds for a time that doubles while trials
 * fail, as Envoy's outlier detection does it; passing checks end a hold early only for a first
 * ejection that looks like a crash, so that a gray failure (checks pass, requests fail) is
 * answered by growing holds and not by flapping. docs/detection.md tells the whole of it. */
#include "detect/detect.h"

#include "base/base.h"

#define SECOND UINT64_C(1000000000)
#define WINDOW (JUDGE_WINDOW_SECONDS * SECOND)

static const uint64_t longest = 24 * 3600 * SECOND; /* of every duration */
static const uint64_t hold_least = SECOND / 1000;
static const uint64_t interval_least = SECOND / 100;

/* What counts and clocks add up to. */
enum event {
    EVENT_PASS,      /* a check passed */
    EVENT_RISE,      /* enough of them in a row */
    EVENT_MISS,      /* a check failed */
    EVENT_FALL,      /* enough of them in a row */
    EVENT_PROBATION, /* a failure has ended, but requests had failed too: try some */
    EVENT_ANSWERED,  /* a request was answered, and there are no checks */
    EVENT_PROVEN,    /* the trial is over */
    EVENT_ERROR,     /* a request failed, and requests may eject */
    EVENT_EJECT,     /* enough of them in a row */
    EVENT_RATE_HIGH, /* a large share of requests fails */
    EVENT_RATE_LOW,  /* no longer */
    EVENT_SLOW,      /* it is slower than its pool */
    EVENT_PACE,      /* it keeps pace with it again */
    EVENTS
};

/* Targets beside the reasons. */
enum { STAY = REASONS_OF_JUDGES, WELL /* healthy, for the reason that evidence gives */ };

static const uint8_t transition[REASONS_OF_JUDGES][EVENTS] = {
/* clang-format off */
#define ROW(pass, rise, miss, fall, probation, answered, proven, error, eject, high, low, slow, pace) \
    {[EVENT_PASS] = pass, [EVENT_RISE] = rise, [EVENT_MISS] = miss, [EVENT_FALL] = fall, \
     [EVENT_PROBATION] = probation, [EVENT_ANSWERED] = answered, [EVENT_PROVEN] = proven, \
     [EVENT_ERROR] = error, [EVENT_EJECT] = eject, [EVENT_RATE_HIGH] = high, [EVENT_RATE_LOW] = low, \
     [EVENT_SLOW] = slow, [EVENT_PACE] = pace}
#define PASSING REASON_CHECKS_PASS
#define MISSING REASON_CHECK_FAILING
#define DOWN REASON_CHECKS_FAIL
#define EJECTED REASON_REQUESTS_FAIL
#define ERRORS REASON_ERROR_RATE
#define TRIAL REASON_RECOVERING
#define SERVES REASON_SERVING
#define SLOW REASON_SLOW
    /*                               pass     rise     miss     fall     probat. answered proven error    eject    high    low   slow  pace */
    [REASON_UNCHECKED]     = ROW(PASSING, PASSING, MISSING, MISSING, STAY,  SERVES,  STAY, STAY,    EJECTED, STAY,   STAY,  SLOW, STAY),
    [REASON_CHECKS_PASS]   = ROW(STAY,    STAY,    MISSING, MISSING, STAY,  SERVES,  STAY, STAY,    EJECTED, ERRORS, STAY,  SLOW, STAY),
    [REASON_SERVING]       = ROW(PASSING, PASSING, MISSING, MISSING, STAY,  STAY,    STAY, STAY,    EJECTED, ERRORS, STAY,  SLOW, STAY),
    [REASON_ERROR_RATE]    = ROW(STAY,    STAY,    MISSING, MISSING, STAY,  STAY,    STAY, STAY,    EJECTED, STAY,   WELL,  SLOW, STAY),
    [REASON_CHECK_FAILING] = ROW(STAY,    PASSING, STAY,    DOWN,    STAY,  SERVES,  STAY, STAY,    EJECTED, STAY,   STAY,  SLOW, STAY),
    [REASON_CHECKS_FAIL]   = ROW(STAY,    PASSING, STAY,    STAY,    TRIAL, TRIAL,   STAY, STAY,    STAY,    STAY,   STAY,  STAY, STAY),
    [REASON_REQUESTS_FAIL] = ROW(STAY,    STAY,    STAY,    DOWN,    TRIAL, STAY,    STAY, STAY,    STAY,    STAY,   STAY,  STAY, STAY),
    [REASON_RECOVERING]    = ROW(STAY,    STAY,    STAY,    DOWN,    STAY,  STAY,    WELL, EJECTED, EJECTED, STAY,   STAY,  SLOW, STAY),
    [REASON_SLOW]          = ROW(STAY,    STAY,    STAY,    DOWN,    TRIAL, STAY,    STAY, STAY,    EJECTED, STAY,   STAY,  STAY, WELL),
#undef ROW
#undef PASSING
#undef MISSING
#undef DOWN
#undef EJECTED
#undef ERRORS
#undef TRIAL
#undef SERVES
#undef SLOW
    /* clang-format on */
};

static uint64_t later(uint64_t at, uint64_t by)
{
    return at > UINT64_MAX - 1 - by ? UINT64_MAX - 1 : at + by;
}

static void count_up(uint32_t *counter, uint32_t by)
{
    *counter = *counter > UINT32_MAX - by ? UINT32_MAX : *counter + by;
}

#define CLAMP(v, low, high) ((v) < (low) ? (low) : (v) > (high) ? (high) : (v))

static struct judge_params clamped(const struct judge_params *p)
{
    struct judge_params c = *p;
    c.rise = CLAMP(c.rise, 1, 100);
    c.fall = CLAMP(c.fall, 2, 100); /* one failed probe never ejects */
    c.eject_after = MIN(c.eject_after, 1000);
    c.hold = CLAMP(c.hold, hold_least, longest);
    c.hold_max = CLAMP(c.hold_max, c.hold, longest);
    c.interval = CLAMP(c.interval, interval_least, longest);
    c.fast_interval = CLAMP(c.fast_interval, interval_least, c.interval);
    return c;
}

void judge_init(struct judge *j, const struct judge_params *p, uint64_t now)
{
    *j = (struct judge){
        .params = clamped(p),
        .reason = REASON_UNCHECKED,
        .verdict = reason_verdict(REASON_UNCHECKED),
        .since = now,
        .reason_since = now,
        .window_start = now,
        .now = now,
    };
    j->hold_now = j->params.hold;
}

/* A failure that nothing but a trial can end gets one. */
static void ensure_trial(struct judge *j)
{
    bool stuck = j->reason == REASON_REQUESTS_FAIL ||
                 (j->reason == REASON_CHECKS_FAIL && !j->params.checked);
    if (stuck && j->hold_until == 0)
        j->hold_until = later(j->since, j->hold_now);
}

void judge_restore(struct judge *j, enum verdict v, enum reason r, uint64_t since)
{
    if ((unsigned)r >= REASONS_OF_JUDGES || r == REASON_UNCHECKED || reason_verdict(r) != v)
        return;
    j->reason = r;
    j->verdict = v;
    j->since = j->reason_since = MIN(since, j->now);
    j->restored = true;
    if (r == REASON_REQUESTS_FAIL || r == REASON_RECOVERING)
        j->ejections = 1;
    ensure_trial(j);
}

void judge_set_params(struct judge *j, const struct judge_params *p)
{
    j->params = clamped(p);
    j->hold_now =
        j->ejections == 0 ? j->params.hold : CLAMP(j->hold_now, j->params.hold, j->params.hold_max);
    if (!j->params.checked)
        j->good_checks = j->bad_checks = j->refused_checks = 0;
    ensure_trial(j);
}

/* A healthy reason that fits what is known. */
static enum reason well(const struct judge *j)
{
    return j->params.checked && j->good_checks > 0 ? REASON_CHECKS_PASS : REASON_SERVING;
}

static void begin_hold(struct judge *j, const struct signal *s)
{
    j->hold_now = j->ejections == 0 ? j->params.hold
                                    : MIN(later(j->hold_now, j->hold_now), j->params.hold_max);
    count_up(&j->ejections, 1);
    j->hold_until = later(j->now, j->hold_now);
    j->good_checks = 0; /* only checks from here on speak about what happens now */
    j->good_requests = 0;
    j->crashed = s && (s->kind == SIGNAL_REQ_REFUSED || s->kind == SIGNAL_REQ_RESET);
}

/* Applies one event; s is the signal behind it, NULL when time is. */
static void apply(struct judge *j, enum event e, const struct signal *s)
{
    uint8_t target = transition[j->reason][e];
    if (target == STAY)
        return;
    enum reason to = target == WELL ? well(j) : (enum reason)target;
    enum verdict v = reason_verdict(to);
    j->reason = to;
    j->reason_since = j->now;
    if (v != j->verdict)
        j->since = j->now;
    j->verdict = v;
    j->restored = false;
    if (s)
        j->tipped = *s;
    if (to == REASON_REQUESTS_FAIL)
        begin_hold(j, s);
    if (to == REASON_RECOVERING)
        j->bad_requests = j->good_requests = 0;
    if (v != VERDICT_FAILED) {
        j->hold_until = 0;
        j->certain = j->crashed = false;
    }
    if (v == VERDICT_HEALTHY)
        j->bad_requests = j->refused_requests = 0;
}

/* May passing checks end this failure before its hold does? If checks saw an outage, or the
 * requests failed as those to a dead process do: it may have been restarted. But once only until
 * the subject has recovered, so that the growing hold wins over flapping. */
static bool hold_yields(const struct judge *j)
{
    if (j->now >= j->hold_until)
        return true;
    return !j->yielded && (j->reason == REASON_CHECKS_FAIL || j->crashed);
}

static void end_failure(struct judge *j, enum event e)
{
    j->yielded |= j->now < j->hold_until;
    apply(j, e, NULL);
}

/* Ends failures and trials whose time has come. */
static void settle(struct judge *j)
{
    const struct judge_params *p = &j->params;
    bool risen = j->good_checks >= p->rise;
    switch (j->reason) {
    case REASON_CHECKS_FAIL:
        if (p->checked ? risen && hold_yields(j) : j->now >= j->hold_until)
            end_failure(j, p->checked && j->ejections == 0 ? EVENT_RISE : EVENT_PROBATION);
        break;
    case REASON_REQUESTS_FAIL: /* while checks fail too, the next ones decide */
        if (j->bad_checks == 0 && (j->now >= j->hold_until || (risen && hold_yields(j))))
            end_failure(j, EVENT_PROBATION);
        break;
    case REASON_RECOVERING: /* no request came for as long as the hold was: checks suffice */
        if (j->good_checks > 0 && j->now >= later(j->reason_since, j->hold_now))
            apply(j, EVENT_PROVEN, NULL);
        break;
    case REASON_UNCHECKED:
    case REASON_CHECKS_PASS:
    case REASON_CHECK_FAILING:
    case REASON_ERROR_RATE:
    case REASON_SERVING:
    case REASON_SLOW: break; /* who compares ends it */
    case REASON_OWN_PATH:    /* none of a judge's, from here on */
    case REASON_AGREED:
    case REASON_BEAT_AWAITED:
    case REASON_BEATS:
    case REASON_BEAT_LATE:
    case REASON_BEAT_MISSING:
    case REASON_BEAT_FAILED:
    case REASONS: UNREACHABLE();
    }
}

/* Moves time on, closes windows. */
static void advance(struct judge *j, uint64_t now)
{
    if (now > j->now)
        j->now = now;
    uint64_t passed = j->now - j->window_start;
    if (passed < WINDOW)
        return;
    bool next = passed < 2 * WINDOW;
    j->last_ok = next ? j->window_ok : 0;
    j->last_bad = next ? j->window_bad : 0;
    j->window_ok = j->window_bad = 0;
    j->window_start = j->now - passed % WINDOW;
    uint64_t total = (uint64_t)j->last_ok + j->last_bad;
    if (j->last_bad * UINT64_C(1000) <= total * JUDGE_RATE_LOW)
        apply(j, EVENT_RATE_LOW, NULL);
}

static void record(struct judge *j, const struct signal *s)
{
    if (j->evidence_n > 0) {
        struct signal *last = &j->evidence[(j->evidence_n - 1) % JUDGE_EVIDENCE];
        bool alike = last->kind == s->kind && last->observer == s->observer &&
                     (last->detail == s->detail || !signal_is_failure((enum signal_kind)s->kind));
        if (alike) {
            count_up(&last->count, s->count);
            last->at = s->at;
            last->detail = s->detail;
            return;
        }
    }
    j->evidence[j->evidence_n++ % JUDGE_EVIDENCE] = *s;
}

/* Certain: the last failures were refusals. What is certain of an ejection stays so until it ends;
 * of failing checks, the latest ones say. */
static void weigh_certainty(struct judge *j)
{
    if (j->verdict != VERDICT_FAILED)
        return;
    uint32_t requests = CLAMP(j->params.eject_after, 1, JUDGE_CERTAIN_AFTER);
    bool by_checks = j->refused_checks >= JUDGE_CERTAIN_AFTER;
    bool by_requests = j->refused_requests >= requests;
    if (j->reason == REASON_CHECKS_FAIL)
        j->certain = by_checks;
    else
        j->certain |= by_checks || by_requests;
}

static void on_check(struct judge *j, const struct signal *s)
{
    bool failed = signal_is_failure((enum signal_kind)s->kind);
    bool refused = signal_is_certain((enum signal_kind)s->kind);
    j->refused_checks = refused ? MIN(j->refused_checks, UINT32_MAX - 1) + 1 : 0;
    if (failed) {
        j->good_checks = 0;
        count_up(&j->bad_checks, 1);
        if (refused && j->reason == REASON_REQUESTS_FAIL)
            j->crashed = true;
        apply(j, j->bad_checks >= j->params.fall ? EVENT_FALL : EVENT_MISS, s);
        return;
    }
    j->bad_checks = 0;
    count_up(&j->good_checks, 1);
    if (j->verdict != VERDICT_FAILED) /* else settle decides, as a hold may be left */
        apply(j, j->good_checks >= j->params.rise ? EVENT_RISE : EVENT_PASS, s);
}

static void on_answer(struct judge *j, const struct signal *s)
{
    j->refused_requests = 0;
    count_up(&j->window_ok, s->count);
    if (j->reason == REASON_REQUESTS_FAIL)
        return; /* an answer that was under way; the hold decides */
    j->bad_requests = 0;
    count_up(&j->good_requests, s->count);
    if (!j->params.checked)
        apply(j, EVENT_ANSWERED, s);
    if (j->good_requests < JUDGE_TRIAL_REQUESTS || j->verdict == VERDICT_FAILED)
        return;
    j->ejections = 0;
    j->yielded = false;
    j->hold_now = j->params.hold;
    if (j->bad_checks == 0 && j->pace != PACE_TRIAL)
        apply(j, EVENT_PROVEN, s);
}

static void on_error(struct judge *j, const struct signal *s)
{
    bool refused = signal_is_certain((enum signal_kind)s->kind);
    j->refused_requests = refused ? MIN(j->refused_requests, UINT32_MAX - s->count) + s->count : 0;
    j->good_requests = 0;
    count_up(&j->window_bad, s->count);
    count_up(&j->bad_requests, s->count);
    uint64_t bad = (uint64_t)j->window_bad + j->last_bad;
    uint64_t total = bad + j->window_ok + j->last_ok;
    if (j->params.eject_after > 0)
        apply(j, j->bad_requests >= j->params.eject_after ? EVENT_EJECT : EVENT_ERROR, s);
    if (total >= JUDGE_RATE_REQUESTS && bad * 1000 >= total * JUDGE_RATE_HIGH)
        apply(j, EVENT_RATE_HIGH, s);
}

bool judge_signal(struct judge *j, const struct signal *s)
{
    if (s->kind >= SIGNALS_OF_INSTANCES)
        return false;
    enum reason reason = j->reason;
    bool certain = j->certain;
    advance(j, s->at);
    settle(j);
    struct signal one = *s;
    bool check = s->kind <= SIGNAL_CHECK_BAD;
    one.count = check ? 1 : MAX(s->count, 1);
    record(j, &one);
    if (check)
        on_check(j, &one);
    else if (j->reason == REASON_RECOVERING && s->at < j->reason_since)
        ; /* sent before the trial began: it says nothing about it */
    else if (signal_is_failure((enum signal_kind)s->kind))
        on_error(j, &one);
    else
        on_answer(j, &one);
    weigh_certainty(j);
    enum reason between = j->reason;
    settle(j);
    if (j->reason != between) /* the signal was the last thing that was missing */
        j->tipped = one;
    return j->reason != reason || j->certain != certain;
}

bool judge_tick(struct judge *j, uint64_t now)
{
    enum reason reason = j->reason;
    advance(j, now);
    settle(j);
    return j->reason != reason;
}

bool judge_hear(struct judge *j, enum verdict other, uint64_t now)
{
    enum reason reason = j->reason;
    advance(j, now);
    settle(j);
    if (j->heard == VERDICT_FAILED && other != VERDICT_FAILED)
        apply(j, EVENT_PROBATION, NULL);
    j->heard = other;
    return j->reason != reason;
}

static enum event pace_event(const struct judge *j, enum pace pace)
{
    switch (pace) {
    case PACE_SLOW: return EVENT_SLOW;
    case PACE_TRIAL: return j->reason == REASON_SLOW ? EVENT_PROBATION : EVENTS;
    case PACE_NORMAL: break;
    }
    if (j->reason == REASON_SLOW)
        return EVENT_PACE;
    bool proven = j->good_requests >= JUDGE_TRIAL_REQUESTS && j->bad_checks == 0;
    return j->pace == PACE_TRIAL && proven ? EVENT_PROVEN : EVENTS;
}

bool judge_pace(struct judge *j, enum pace pace, const struct pace_report *r, uint64_t now)
{
    enum reason reason = j->reason;
    advance(j, now);
    settle(j);
    enum event e = pace_event(j, pace);
    if (pace == PACE_SLOW)
        j->slow = *r;
    if (e != EVENTS)
        apply(j, e, NULL);
    j->pace = pace;
    return j->reason != reason;
}

uint64_t judge_deadline(const struct judge *j)
{
    switch (j->reason) {
    case REASON_CHECKS_FAIL:
        return !j->params.checked || j->good_checks >= j->params.rise ? j->hold_until : UINT64_MAX;
    case REASON_REQUESTS_FAIL: return j->bad_checks == 0 ? j->hold_until : UINT64_MAX;
    case REASON_RECOVERING:
        return j->good_checks > 0 ? later(j->reason_since, j->hold_now) : UINT64_MAX;
    case REASON_ERROR_RATE: return later(j->window_start, WINDOW);
    case REASON_UNCHECKED:
    case REASON_CHECKS_PASS:
    case REASON_CHECK_FAILING:
    case REASON_SERVING:
    case REASON_SLOW: return UINT64_MAX;
    case REASON_OWN_PATH: /* none of a judge's, from here on */
    case REASON_AGREED:
    case REASON_BEAT_AWAITED:
    case REASON_BEATS:
    case REASON_BEAT_LATE:
    case REASON_BEAT_MISSING:
    case REASON_BEAT_FAILED:
    case REASONS: break;
    }
    UNREACHABLE();
}

uint64_t judge_check_delay(const struct judge *j)
{
    bool settled = j->reason == REASON_CHECKS_PASS || j->reason == REASON_SERVING ||
                   j->reason == REASON_ERROR_RATE || j->reason == REASON_SLOW ||
                   (j->reason == REASON_CHECKS_FAIL && j->good_checks == 0);
    return settled && j->bad_requests == 0 ? j->params.interval : j->params.fast_interval;
}
