#include "shrink.h"

struct search {
    struct faults *best;
    const struct shrink_test *test;
    uint32_t tried, most;
};

/* Takes it if it still breaks. */
static bool attempt(struct search *s, const struct faults *candidate)
{
    if (s->tried == s->most)
        return false;
    s->tried++;
    if (!s->test->breaks(s->test->context, candidate))
        return false;
    *s->best = *candidate;
    return true;
}

static void without(const struct faults *f, uint32_t from, uint32_t count, struct faults *out)
{
    out->n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        if (i < from || i >= from + count)
            out->v[out->n++] = f->v[i];
}

/* Leaves out pieces of half the schedule, then of a quarter, to single faults, until none of these
 * can be spared. */
static void leave_out(struct search *s)
{
    struct faults smaller;
    for (uint32_t piece = MAX(s->best->n / 2, 1); piece > 0 && s->tried < s->most;) {
        bool removed = false;
        for (uint32_t from = 0; from < s->best->n && s->tried < s->most;) {
            without(s->best, from, piece, &smaller);
            if (attempt(s, &smaller))
                removed = true;
            else
                from += piece;
        }
        if (!removed || piece > s->best->n)
            piece /= 2;
    }
}

static void shorten(struct search *s, uint32_t i)
{
    struct faults f;
    do {
        f = *s->best;
        f.v[i].length = f.v[i].length / 2 / MS * MS;
    } while (f.v[i].length >= MS && attempt(s, &f));
}

/* One node less on a side. */
static void narrow(struct search *s, uint32_t i, bool first)
{
    struct faults f;
    for (uint32_t node = 0; node < FAULT_NODES; node++) {
        f = *s->best;
        uint64_t *set = first ? &f.v[i].a : &f.v[i].b;
        if (!(*set >> node & 1) || *set == UINT64_C(1) << node)
            continue;
        *set &= ~(UINT64_C(1) << node);
        attempt(s, &f);
    }
}

static void one_way(struct search *s, uint32_t i)
{
    struct faults f = *s->best;
    if (!f.v[i].both)
        return;
    f.v[i].both = false;
    if (attempt(s, &f))
        return;
    uint64_t a = f.v[i].a;
    f.v[i].a = f.v[i].b;
    f.v[i].b = a;
    attempt(s, &f);
}

uint32_t shrink(struct faults *f, const struct shrink_test *t, uint32_t tries)
{
    struct search s = {f, t, 0, tries};
    leave_out(&s);
    for (uint32_t i = 0; i < f->n; i++) {
        shorten(&s, i);
        one_way(&s, i);
        narrow(&s, i, true);
        narrow(&s, i, false);
    }
    leave_out(&s);
    return s.tried;
}
