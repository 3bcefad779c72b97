#include "detect/findings.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "detect/say.h"

#define S UINT64_C(1000000000)

_Static_assert(REASON_FOUND + FINDING_KINDS <= REASON_FOUND_FAILED, "their reasons overlap");

/* A kind's half_life is about three looks of its sense, so that one look that failed clears
 * nothing; hold is what a person would call flapping. */
static const struct {
    const char *name;
    bool certain;
    enum verdict most;
    uint64_t half_life, hold; /* ns */
    const char *meaning;
} kinds[FINDING_KINDS] = {
#define DEGRADES(kind, name, half_life, hold, meaning)                                             \
    [FINDING_##kind] = {name, false, VERDICT_DEGRADED, half_life, hold, meaning}
#define CERTAIN(kind, name, hold, meaning)                                                         \
    [FINDING_##kind] = {name, true, VERDICT_DEGRADED, S, hold, meaning}
#define FAILS(kind, name, hold, meaning)                                                           \
    [FINDING_##kind] = {name, true, VERDICT_FAILED, S, hold, meaning}
    [FINDING_LOG_RULE] = {"log-rule", false, VERDICT_FAILED, 60 * S, 5 * S,
                          "as many lines of its log matched a rule as the rule allows"},
    DEGRADES(LOG_NEW_ERROR, "log-new-error", 60 * S, 5 * S,
             "its log has an error of a kind that was not there while learning"),
    DEGRADES(LOG_RATE, "log-rate", 60 * S, 5 * S,
             "lines of one kind come far more or far less often than they used to"),
    DEGRADES(LOG_FLOOD, "log-flood", 60 * S, 5 * S,
             "its log grows faster than it can be read; lines were skipped"),
    DEGRADES(SLOWER_THAN_POOL, "slower-than-others", 10 * S, 5 * S,
             "its answers take much longer than those of the other instances"),
    DEGRADES(SLOWER_THAN_BEFORE, "slower-than-before", 10 * S, 5 * S,
             "its answers take much longer than they used to"),
    DEGRADES(MORE_ERRORS, "more-errors", 10 * S, 5 * S,
             "more of its answers are errors than before, or than of the others"),
    DEGRADES(CPU_PRESSURE, "cpu-pressure", 10 * S, 5 * S, "work waits for a processor"),
    DEGRADES(MEMORY_PRESSURE, "memory-pressure", 10 * S, 5 * S, "work waits for memory"),
    DEGRADES(IO_PRESSURE, "io-pressure", 10 * S, 5 * S, "work waits for disks"),
    DEGRADES(RUN_QUEUE, "run-queue", 10 * S, 5 * S,
             "many more tasks want to run than there are processors"),
    CERTAIN(OOM_KILL, "oom-kill", 60 * S, "the kernel killed a process for want of memory"),
    DEGRADES(MEMORY_LEAK, "memory-leak", 120 * S, 60 * S,
             "its memory has been growing steadily and will meet its limit"),
    DEGRADES(DESCRIPTORS, "descriptors", 30 * S, 5 * S, "its file descriptors are running out"),
    DEGRADES(CONNTRACK, "conntrack", 30 * S, 5 * S,
             "the kernel's table of connections is nearly full"),
    DEGRADES(PROCESSES, "processes", 30 * S, 5 * S, "process identifiers are running out"),
    DEGRADES(DISK_SLOW, "disk-slow", 10 * S, 5 * S,
             "it answers much more slowly than it used to, or than it must"),
    FAILS(DISK_ERROR, "disk-error", 60 * S, "it returned an input/output error"),
    CERTAIN(DISK_NEARLY_FULL, "disk-nearly-full", 10 * S, "little room is left on it"),
    FAILS(DISK_FULL, "disk-full", 5 * S, "no room is left on it"),
    FAILS(DISK_READ_ONLY, "disk-read-only", 5 * S,
          "the kernel made it read-only, as it does after errors"),
    CERTAIN(DISK_AILING, "disk-ailing", 60 * S, "its own diagnosis (SMART) foretells its failure"),
    CERTAIN(CLOCK_STEP, "clock-step", 60 * S, "the time of day was set by a jump"),
    DEGRADES(NIC_ERRORS, "nic-errors", 30 * S, 5 * S,
             "a network interface damages or drops what it carries"),
    CERTAIN(NIC_DOWN, "nic-down", 5 * S, "a network interface has no carrier"),
    DEGRADES(LOSSY_LINK, "lossy-link", 10 * S, 5 * S, "a part of what is sent does not arrive"),
    DEGRADES(ONE_WAY_LINK, "one-way-link", 10 * S, 5 * S,
             "one direction works and the other does not"),
    DEGRADES(FLAPPING, "flapping", 30 * S, 10 * S, "its verdict goes to and fro"),
    DEGRADES(HANG, "hang", 10 * S, 5 * S, "it lives and does nothing"),
#undef DEGRADES
#undef CERTAIN
#undef FAILS
};

const char *subject_kind_name(enum subject_kind k)
{
    static const char *const name[SUBJECT_KINDS] = {
        [SUBJECT_NODE] = "node",       [SUBJECT_LINK] = "link", [SUBJECT_INSTANCE] = "instance",
        [SUBJECT_SERVICE] = "service", [SUBJECT_DISK] = "disk",
    };
    return (unsigned)k < SUBJECT_KINDS ? name[k] : "unknown";
}

const char *finding_name(enum finding_kind k)
{
    return (unsigned)k < FINDING_KINDS ? kinds[k].name : "unknown";
}

enum finding_kind finding_of(struct str name)
{
    unsigned k = 0;
    while (k < FINDING_KINDS && !str_eq(name, str_of(kinds[k].name)))
        k++;
    return (enum finding_kind)k;
}

bool finding_is_certain(enum finding_kind k)
{
    CHECK((unsigned)k < FINDING_KINDS);
    return kinds[k].certain;
}

enum verdict finding_most(enum finding_kind k)
{
    CHECK((unsigned)k < FINDING_KINDS);
    return kinds[k].most;
}

enum reason finding_reason(enum finding_kind k, enum verdict v)
{
    CHECK((unsigned)k < FINDING_KINDS);
    return (enum reason)((v == VERDICT_FAILED ? REASON_FOUND_FAILED : REASON_FOUND) + (unsigned)k);
}

enum finding_kind finding_of_reason(enum reason r)
{
    CHECK(reason_is_found(r));
    unsigned k =
        (unsigned)r - ((unsigned)r >= REASON_FOUND_FAILED ? REASON_FOUND_FAILED : REASON_FOUND);
    return (enum finding_kind)MIN(k, (unsigned)FINDING_KINDS);
}

const char *finding_meaning(enum finding_kind k)
{
    CHECK((unsigned)k < FINDING_KINDS);
    return kinds[k].meaning;
}

size_t finding_rule(enum finding_kind k, char *out, size_t size)
{
    CHECK((unsigned)k < FINDING_KINDS);
    struct out o = say_into(out, size);
    if (kinds[k].certain)
        say(&o, "raised at once: %s; over when its sense says so, not before ", kinds[k].meaning);
    else
        say(&o,
            "raised when its signals add up to 1, halved every %u s: %s; over when its sense "
            "says so or by silence, not before ",
            (unsigned)(kinds[k].half_life / S), kinds[k].meaning);
    say(&o, "%u s; at most %s", (unsigned)(kinds[k].hold / S), verdict_name(kinds[k].most));
    return o.n;
}

bool finding_is_inside(enum finding_kind k)
{
    switch (k) {
    case FINDING_SLOWER_THAN_POOL:
    case FINDING_SLOWER_THAN_BEFORE:
    case FINDING_MORE_ERRORS:
    case FINDING_LOSSY_LINK:
    case FINDING_ONE_WAY_LINK:
    case FINDING_FLAPPING:
    case FINDING_KINDS: return false;
    case FINDING_LOG_RULE:
    case FINDING_LOG_NEW_ERROR:
    case FINDING_LOG_RATE:
    case FINDING_LOG_FLOOD:
    case FINDING_CPU_PRESSURE:
    case FINDING_MEMORY_PRESSURE:
    case FINDING_IO_PRESSURE:
    case FINDING_RUN_QUEUE:
    case FINDING_OOM_KILL:
    case FINDING_MEMORY_LEAK:
    case FINDING_DESCRIPTORS:
    case FINDING_CONNTRACK:
    case FINDING_PROCESSES:
    case FINDING_DISK_SLOW:
    case FINDING_DISK_ERROR:
    case FINDING_DISK_NEARLY_FULL:
    case FINDING_DISK_FULL:
    case FINDING_DISK_READ_ONLY:
    case FINDING_DISK_AILING:
    case FINDING_CLOCK_STEP:
    case FINDING_NIC_ERRORS:
    case FINDING_NIC_DOWN:
    case FINDING_HANG: return true;
    }
    return false;
}

/* ---- strength ---- */

static double strength_at(const struct finding *f, uint64_t now)
{
    if (kinds[f->kind].certain || now <= f->at)
        return f->strength;
    return f->strength * exp2(-(double)(now - f->at) / (double)kinds[f->kind].half_life);
}

/* When silence has brought it to 1/2; one that is not raised yet: to so little that it helps no
 * other signal any more. */
static uint64_t fades_at(const struct finding *f)
{
    double end = f->raised ? 0.5 : 0.0625;
    if (f->gone || f->strength <= end)
        return f->at;
    if (kinds[f->kind].certain)
        return UINT64_MAX;
    return f->at + (uint64_t)(log2(f->strength / end) * (double)kinds[f->kind].half_life);
}

static uint64_t ends_at(const struct finding *f)
{
    uint64_t fades = fades_at(f);
    return f->raised ? MAX(fades, f->since + kinds[f->kind].hold) : fades;
}

/* ---- the list ---- */

static struct finding *find(struct findings *f, enum finding_kind kind, uint64_t key)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->list[i].kind == kind && f->list[i].key == key)
            return &f->list[i];
    return NULL;
}

/* Not raised is milder than raised. */
static bool is_milder(const struct finding *a, const struct finding *b)
{
    if (a->raised != b->raised)
        return !a->raised;
    if (a->verdict != b->verdict)
        return a->verdict < b->verdict;
    return a->at < b->at;
}

static struct finding *add(struct findings *f, const struct finding_signal *s)
{
    struct finding *place = &f->list[f->n];
    if (f->n == FINDINGS_MOST) {
        place = &f->list[0];
        for (uint32_t i = 1; i < f->n; i++)
            if (is_milder(&f->list[i], place))
                place = &f->list[i];
        f->displaced++;
    } else {
        f->n++;
    }
    *place = (struct finding){.kind = s->kind, .key = s->key, .first = s->at, .at = s->at};
    return place;
}

static void drop(struct findings *f, struct finding *one)
{
    *one = f->list[--f->n];
}

/* The verdict of all, to see whether it changed. */
static enum verdict verdict_of(const struct findings *f)
{
    const struct finding *worst = findings_worst(f);
    return worst ? worst->verdict : VERDICT_HEALTHY;
}

bool findings_signal(struct findings *f, const struct finding_signal *s)
{
    CHECK((unsigned)s->kind < FINDING_KINDS);
    CHECK(s->weight >= 0 && s->weight <= 1);
    enum verdict before = verdict_of(f);
    struct finding *one = find(f, s->kind, s->key);
    if (!one)
        one = add(f, s);
    double had = one->gone ? 0 : strength_at(one, s->at);
    double weight = kinds[s->kind].certain ? 1 : s->weight;
    one->strength = MIN(had + weight, (double)FINDING_MOST);
    one->at = MAX(one->at, s->at);
    one->gone = false;
    one->count++;
    one->observer = s->observer;
    one->verdict = MAX(MIN(s->verdict, kinds[s->kind].most), VERDICT_DEGRADED);
    if (one->verdict == VERDICT_SUSPECT)
        one->verdict = VERDICT_DEGRADED;
    str_copy(one->says, sizeof one->says, s->says);
    bool rises = !one->raised && one->strength >= 1;
    if (rises) {
        one->raised = true;
        one->since = one->at;
    }
    return rises || verdict_of(f) != before;
}

bool findings_clear(struct findings *f, enum finding_kind kind, uint64_t key, uint64_t now)
{
    struct finding *one = find(f, kind, key);
    if (!one)
        return false;
    one->gone = true;
    one->at = MAX(one->at, now);
    return findings_tick(f, now);
}

bool findings_tick(struct findings *f, uint64_t now)
{
    bool changed = false;
    for (uint32_t i = 0; i < f->n;) {
        struct finding *one = &f->list[i];
        if (ends_at(one) > now) {
            i++;
            continue;
        }
        changed |= one->raised;
        drop(f, one);
    }
    return changed;
}

uint64_t findings_deadline(const struct findings *f)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < f->n; i++)
        first = MIN(first, ends_at(&f->list[i]));
    return first;
}

const struct finding *findings_worst(const struct findings *f)
{
    const struct finding *worst = NULL;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct finding *one = &f->list[i];
        if (!one->raised)
            continue;
        if (!worst || one->verdict > worst->verdict ||
            (one->verdict == worst->verdict && one->since < worst->since))
            worst = one;
    }
    return worst;
}

/* ---- words ---- */

size_t findings_explain(const struct findings *f, uint64_t now, char *out, size_t size)
{
    struct out o = say_into(out, size);
    bool any = false;
    for (int v = VERDICT_FAILED; v > VERDICT_HEALTHY; v--)
        for (uint32_t i = 0; i < f->n; i++) {
            const struct finding *one = &f->list[i];
            if (!one->raised || (int)one->verdict != v)
                continue;
            say(&o, "%s%s (%s): %s, ", any ? "; " : "", finding_name(one->kind),
                verdict_name(one->verdict), one->says[0] ? one->says : kinds[one->kind].meaning);
            say_span(&o, one->at, now);
            say(&o, one->gone ? " ago, over now" : " ago");
            any = true;
        }
    return o.n;
}
