#include "detect/beat.h"

#include "base/base.h"
#include "detect/say.h"

static const uint64_t longest = UINT64_C(366) * 24 * 3600 * 1000000000;

enum event {
    EVENT_OK,
    EVENT_FAILED,  /* the job says so */
    EVENT_LATE,    /* half of the grace is over */
    EVENT_MISSING, /* all of it */
    EVENTS
};

enum { STAY = REASONS };

#define FIRST REASON_BEAT_AWAITED

static const uint8_t transition[REASONS - FIRST][EVENTS] = {
/* clang-format off */
#define ROW(ok, failed, late, missing) \
    {[EVENT_OK] = ok, [EVENT_FAILED] = failed, [EVENT_LATE] = late, [EVENT_MISSING] = missing}
    /*                                     a beat        a failure           late              missing */
    [REASON_BEAT_AWAITED - FIRST] = ROW(REASON_BEATS, REASON_BEAT_FAILED, STAY,             REASON_BEAT_MISSING),
    [REASON_BEATS - FIRST]        = ROW(STAY,         REASON_BEAT_FAILED, REASON_BEAT_LATE, REASON_BEAT_MISSING),
    [REASON_BEAT_LATE - FIRST]    = ROW(REASON_BEATS, REASON_BEAT_FAILED, STAY,             REASON_BEAT_MISSING),
    [REASON_BEAT_MISSING - FIRST] = ROW(REASON_BEATS, REASON_BEAT_FAILED, STAY,             STAY),
    [REASON_BEAT_FAILED - FIRST]  = ROW(REASON_BEATS, STAY,               STAY,             REASON_BEAT_MISSING),
#undef ROW
    /* clang-format on */
};

static bool is_ours(uint8_t reason)
{
    return reason >= FIRST && reason < REASONS;
}

void beat_set_params(struct beat_watch *w, const struct beat_params *p)
{
    w->params.every = MIN(p->every, longest);
    w->params.grace = MIN(p->grace, longest);
}

void beat_init(struct beat_watch *w, const struct beat_params *p, uint64_t now)
{
    *w = (struct beat_watch){
        .reason = REASON_BEAT_AWAITED,
        .verdict = reason_verdict(REASON_BEAT_AWAITED),
        .since = (int64_t)now,
        .from = (int64_t)now,
        .not_before = INT64_MIN,
        .now = now,
    };
    beat_set_params(w, p);
}

/* Times are those of a clock that began with the boot: far from where they would overflow. */
static uint64_t span(int64_t from, uint64_t to)
{
    int64_t passed = (int64_t)to - from;
    return passed > 0 ? (uint64_t)passed : 0;
}

uint64_t beat_age(const struct beat_watch *w, uint64_t now)
{
    return span(w->from, MAX(now, w->now));
}

uint64_t beat_since(const struct beat_watch *w, uint64_t now)
{
    return span(w->since, MAX(now, w->now));
}

void beat_remember(const struct beat_watch *w, uint64_t now, struct beat_memory *out)
{
    *out = (struct beat_memory){
        .age = beat_age(w, now),
        .since_age = beat_since(w, now),
        .heard = w->heard,
        .reason = (uint8_t)w->reason,
        .beats = w->beats,
        .failures = w->failures,
        .missed = w->missed,
    };
    str_copy(out->text, sizeof out->text, str_of(w->text));
}

/* What a job says ends in logs and on terminals. */
static void take_text(struct beat_watch *w, struct str text)
{
    str_copy(w->text, sizeof w->text, text);
    for (char *p = w->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

void beat_restore(struct beat_watch *w, const struct beat_memory *m)
{
    if (!is_ours(m->reason))
        return;
    w->reason = (enum reason)m->reason;
    w->verdict = reason_verdict(w->reason);
    w->from = (int64_t)w->now - (int64_t)MIN(m->age, 16 * longest);
    w->since = (int64_t)w->now - (int64_t)MIN(m->since_age, 16 * longest);
    w->not_before = (int64_t)w->now;
    w->heard = m->heard;
    w->beats = m->beats;
    w->failures = m->failures;
    w->missed = m->missed;
    take_text(w, str_of(m->text));
}

static void record(struct beat_watch *w, const struct signal *s)
{
    struct signal *last = w->evidence_n ? &w->evidence[(w->evidence_n - 1) % BEAT_EVIDENCE] : NULL;
    if (last && last->kind == s->kind && last->observer == s->observer) {
        last->count += last->count < UINT32_MAX;
        last->at = s->at;
        return;
    }
    w->evidence[w->evidence_n++ % BEAT_EVIDENCE] = *s;
}

static bool apply(struct beat_watch *w, enum event e)
{
    uint8_t to = transition[w->reason - FIRST][e];
    if (to == STAY)
        return false;
    w->reason = (enum reason)to;
    if (w->verdict != reason_verdict(w->reason))
        w->since = (int64_t)w->now;
    w->verdict = reason_verdict(w->reason);
    return true;
}

static int64_t late_at(const struct beat_watch *w)
{
    return w->from + (int64_t)(w->params.every + w->params.grace / 2);
}

static int64_t missing_at(const struct beat_watch *w)
{
    int64_t due = w->from + (int64_t)(w->params.every + w->params.grace);
    if (w->not_before == INT64_MIN)
        return due;
    return MAX(due, w->not_before + (int64_t)w->params.grace);
}

bool beat_tick(struct beat_watch *w, uint64_t now)
{
    w->now = MAX(w->now, now);
    if ((int64_t)w->now < missing_at(w))
        return (int64_t)w->now >= late_at(w) && apply(w, EVENT_LATE);
    if (!apply(w, EVENT_MISSING))
        return false;
    struct signal s = {.at = w->now, .count = 1, .kind = SIGNAL_BEAT_MISSING};
    record(w, &s);
    w->missed++;
    return true;
}

bool beat_signal(struct beat_watch *w, const struct signal *s, struct str text)
{
    bool failed = s->kind == SIGNAL_BEAT_FAILED;
    if (!failed && s->kind != SIGNAL_BEAT_OK)
        return false;
    bool changed = beat_tick(w, s->at); /* what was missed until now was missed */
    struct signal one = *s;
    one.at = w->now;
    one.count = 1;
    record(w, &one);
    w->from = (int64_t)w->now;
    w->heard = true;
    w->beats++;
    w->failures += failed;
    take_text(w, failed ? text : STR(""));
    return apply(w, failed ? EVENT_FAILED : EVENT_OK) || changed;
}

uint64_t beat_deadline(const struct beat_watch *w)
{
    int64_t at = 0;
    switch (w->reason) {
    case REASON_BEATS: at = MIN(late_at(w), missing_at(w)); break;
    case REASON_BEAT_AWAITED:
    case REASON_BEAT_LATE:
    case REASON_BEAT_FAILED: at = missing_at(w); break;
    case REASON_BEAT_MISSING: return UINT64_MAX;
    case REASON_UNCHECKED: /* none of a watch's, from here on */
    case REASON_CHECKS_PASS:
    case REASON_CHECK_FAILING:
    case REASON_CHECKS_FAIL:
    case REASON_REQUESTS_FAIL:
    case REASON_ERROR_RATE:
    case REASON_RECOVERING:
    case REASON_SERVING:
    case REASON_SLOW:
    case REASON_OWN_PATH:
    case REASON_AGREED:
    case REASONS: UNREACHABLE();
    }
    return at > 0 ? (uint64_t)at : 0;
}

static void say_left(struct out *o, const struct beat_watch *w, uint64_t now)
{
    say(o, "failed in ");
    say_span(o, now, (uint64_t)MAX(missing_at(w), INT64_C(0)));
    say(o, " if none comes.");
}

static void say_last(struct out *o, const struct beat_watch *w, uint64_t now)
{
    say(o, w->heard ? "the last beat came " : "none came since the watch began ");
    say_span(o, 0, beat_age(w, now));
    say(o, " ago, ");
}

static void say_missing(struct out *o, const struct beat_watch *w, uint64_t now)
{
    say(o, w->heard ? "No beat for " : "No beat has ever come, in ");
    say_span(o, 0, beat_age(w, now));
    say(o, ", one was due every ");
    say_span(o, 0, w->params.every);
    say(o, " with ");
    say_span(o, 0, w->params.grace);
    say(o, " of grace.");
    if (w->text[0])
        say(o, " The last one said: %s.", w->text);
}

static void say_rule(struct out *o, const struct beat_watch *w, uint64_t now)
{
    if (w->reason == REASON_BEAT_MISSING) {
        say_missing(o, w, now);
    } else if (w->reason == REASON_BEAT_FAILED) {
        say(o, "It said that it failed, ");
        say_span(o, 0, beat_age(w, now));
        say(o, " ago%s%s.", w->text[0] ? ": " : "", w->text);
    } else {
        say(o, w->reason == REASON_BEATS       ? "It beats: "
               : w->reason == REASON_BEAT_LATE ? "Late: "
                                               : "Awaited: ");
        say_last(o, w, now);
        say_left(o, w, now);
    }
}

size_t beat_explain(const struct beat_watch *w, uint64_t now, char *out, size_t size)
{
    struct out o = say_into(out, size);
    say_rule(&o, w, MAX(now, w->now));
    say_signals(&o, w->evidence, BEAT_EVIDENCE, w->evidence_n);
    return o.n;
}
