#include "detect/fuse.h"

#include "detect/findings.h"

#include "base/base.h"
#include "detect/say.h"

enum { NAMES_SAID = 6 }; /* of who see the same; more are counted */

struct observation observation_of(const struct judge *j)
{
    const struct signal *last =
        j->evidence_n ? &j->evidence[(j->evidence_n - 1) % JUDGE_EVIDENCE] : NULL;
    return (struct observation){
        .at = last ? last->at : 0,
        .since = j->since,
        .verdict = (uint8_t)j->verdict,
        .reason = (uint8_t)j->reason,
        .certain = j->certain,
        .counts = true,
        .good = last && !signal_is_failure((enum signal_kind)last->kind),
    };
}

static bool is_fresh(uint64_t at, uint64_t fresh, uint64_t now)
{
    return at != 0 && (at >= now || now - at <= fresh);
}

bool observation_knows(const struct observation *o, uint64_t fresh, uint64_t now)
{
    return o->counts && o->verdict < VERDICTS && o->reason != REASON_UNCHECKED &&
           is_fresh(o->at, fresh, now);
}

/* A verdict of one's own may be old and still be what is known, but for the very first. */
static bool own_knows(const struct observation *own)
{
    return own->reason != REASON_UNCHECKED;
}

static bool works_here(const struct observation *own, uint64_t fresh, uint64_t now)
{
    return own->verdict <= VERDICT_DEGRADED && own->good && is_fresh(own->at, fresh, now);
}

static bool has_settled(const struct observation *own, uint64_t settle, uint64_t now)
{
    return now >= own->since && now - own->since >= settle;
}

static bool is_inside(const struct observation *o)
{
    enum reason r = (enum reason)o->reason;
    return reason_is_found(r) && finding_of_reason(r) < FINDING_KINDS &&
           finding_is_inside(finding_of_reason(r));
}

/* Rule 6. */
static void believe(struct fused *f, const struct observation *others, uint32_t n,
                    const struct fuse_params *p, uint64_t now)
{
    for (uint32_t i = 0; i < MIN(n, (uint32_t)FUSE_OBSERVERS); i++) {
        const struct observation *o = &others[i];
        if (!is_inside(o) || !observation_knows(o, p->fresh, now) ||
            (enum verdict)o->verdict <= f->verdict)
            continue;
        f->verdict = (enum verdict)o->verdict;
        f->reason = (enum reason)o->reason;
        f->certain = false;
        f->others = true;
    }
}

struct fused fuse(const struct observation *own, const struct observation *others, uint32_t n,
                  const struct fuse_params *p, uint64_t now)
{
    struct fused f = {
        .verdict = (enum verdict)own->verdict,
        .reason = (enum reason)own->reason,
        .certain = own->certain,
    };
    for (uint32_t i = 0; i < MIN(n, (uint32_t)FUSE_OBSERVERS); i++) {
        if (!observation_knows(&others[i], p->fresh, now))
            continue;
        f.observers++;
        f.seen[others[i].verdict]++;
    }
    uint32_t failing = f.seen[VERDICT_FAILED];
    uint32_t reaching = f.seen[VERDICT_HEALTHY] + f.seen[VERDICT_DEGRADED];
    if (own_knows(own)) {
        f.observers++;
        f.seen[own->verdict]++;
    }
    if (own->verdict == VERDICT_FAILED) {
        if (reaching > failing && !is_inside(own) && has_settled(own, p->settle, now))
            f.reason = REASON_OWN_PATH;
    } else if (failing >= 2 && failing * 2 > f.observers && !works_here(own, p->fresh, now)) {
        f.verdict = VERDICT_FAILED;
        f.reason = REASON_AGREED;
        f.certain = false;
        f.others = true;
    }
    believe(&f, others, n, p, now);
    return f;
}

void fuse_keep(struct fused *f, enum verdict good, enum reason good_reason)
{
    if (f->verdict <= good)
        return;
    f->verdict = good;
    f->reason = good_reason;
    f->certain = false;
    f->kept = true;
}

/* ---- words ---- */

struct names {
    const struct observation *others;
    uint32_t n;
    uint64_t fresh, now;
    const char *(*name)(void *context, uint64_t node);
    void *context;
};

/* "b, c and 3 more" of the others that see v. */
static void say_names(struct out *o, const struct names *all, enum verdict v, uint32_t count)
{
    uint32_t said = 0;
    for (uint32_t i = 0; i < all->n && said < MIN(count, (uint32_t)NAMES_SAID); i++) {
        const struct observation *one = &all->others[i];
        const char *name = all->name(all->context, one->node);
        if (one->verdict != v || !observation_knows(one, all->fresh, all->now) || !name)
            continue;
        bool last = said + 1 == count;
        say(o, "%s%s", said == 0 ? "" : last ? " and " : ", ", name);
        said++;
    }
    if (said < count)
        say(o, "%s%u more", said ? " and " : "", count - said);
}

size_t fuse_explain(const struct fused *f, const struct observation *own,
                    const struct observation *others, uint32_t n, uint64_t fresh, uint64_t now,
                    const char *(*name)(void *context, uint64_t node), void *context, char *out,
                    size_t size)
{
    struct out o = say_into(out, size);
    const struct names all = {others, MIN(n, (uint32_t)FUSE_OBSERVERS), fresh, now, name, context};
    bool knows = own_knows(own);
    if (f->observers == knows)
        return 0;
    say(&o, "%s here", knows ? verdict_name((enum verdict)own->verdict) : "unknown");
    for (unsigned v = VERDICT_FAILED + 1; v-- > 0;) {
        uint32_t count = f->seen[v] - (knows && own->verdict == v);
        if (count == 0)
            continue;
        say(&o, ", %s from ", verdict_name((enum verdict)v));
        say_names(&o, &all, (enum verdict)v, count);
    }
    if (f->reason == REASON_OWN_PATH)
        say(&o, ": my path");
    return o.n;
}
