/* pace in words, and verdicts that go to and fro. */
#include <math.h>

#include "base/base.h"
#include "detect/pace.h"
#include "detect/say.h"

/* ---- words ---- */

static void say_seconds(struct out *o, double s)
{
    if (s < 0.01)
        say(o, "%.1f ms", s * 1000);
    else if (s < 1)
        say(o, "%.0f ms", s * 1000);
    else
        say(o, "%.1f s", s);
}

static void say_pace(struct out *o, const struct pacer_alarm *a, const char *whose)
{
    say(o, "half of its %s take over ", whose);
    say_seconds(o, (double)a->now);
    say(o, ", against ");
    say_seconds(o, (double)a->normal);
}

size_t pacer_say(const struct pacer *p, enum pacer_sense s, const char *whose, uint64_t now,
                 char *out, size_t size)
{
    struct out o = say_into(out, size);
    const struct pacer_alarm *a = &p->alarm[s];
    switch (s) {
    case PACER_OTHERS:
        say_pace(&o, a, whose);
        say(&o, ", the median of %u other%s (%u %s lately)", a->of, a->of == 1 ? "" : "s",
            a->answers, whose);
        break;
    case PACER_BEFORE:
        say_pace(&o, a, whose);
        say(&o, " before (%u %s lately)", a->answers, whose);
        break;
    case PACER_ERRORS:
        say(&o, "%.1f %% of %u %s lately are errors, against %.2f %% before and of the others",
            100 * (double)a->now, a->answers, whose, 100 * (double)a->normal);
        break;
    case PACER_HANG:
        say(&o, "%u requests were sent and nothing was answered for ", p->unanswered);
        say_span(&o, p->silent_since, now);
        say(&o, p->others_answer ? ", while others answer" : "");
        break;
    case PACER_SENSES: break;
    }
    return o.n;
}

/* ---- to and fro ---- */

static void flaps_fade(struct flaps *f, uint64_t now)
{
    if (now > f->at)
        f->count *= exp2(-(double)(now - f->at) / (double)PACER_FLAP_NS);
    f->at = MAX(f->at, now);
}

void flaps_departure(struct flaps *f, uint64_t now)
{
    flaps_fade(f, now);
    f->count = MIN(f->count + 1, 6.0);
}

bool flaps_judge(struct flaps *f, uint64_t now)
{
    flaps_fade(f, now);
    bool raised = f->count >= (f->raised ? 1.5 : 2.4);
    if (raised == f->raised)
        return false;
    f->raised = raised;
    f->since = now;
    return true;
}
