/* What a reload changes about logs that are read. */
#include "conf/diff.h"

static bool same_place(const struct view_read_log *a, const struct view_read_log *b)
{
    return a->subject == b->subject && str_eq(a->service, b->service) &&
           str_eq(a->instance, b->instance) && str_eq(a->path, b->path) && str_eq(a->unit, b->unit);
}

static const struct view_read_log *find(const struct view *v, const struct view_read_log *like)
{
    for (uint32_t i = 0; i < v->n_logs; i++)
        if (same_place(&v->logs[i], like))
            return &v->logs[i];
    return NULL;
}

static bool same_rule(const struct view_log_rule *a, const struct view_log_rule *b)
{
    return str_eq(a->match, b->match) && str_eq(a->except, b->except) && a->over == b->over &&
           a->window == b->window && a->verdict == b->verdict;
}

static bool same(const struct view_read_log *a, const struct view_read_log *b)
{
    bool ok = a->learn == b->learn && a->n_rules == b->n_rules && a->packs.n == b->packs.n;
    for (uint32_t i = 0; ok && i < a->n_rules; i++)
        ok = same_rule(&a->rules[i], &b->rules[i]);
    for (uint32_t i = 0; ok && i < a->packs.n; i++)
        ok = str_eq(a->packs.list[i], b->packs.list[i]);
    return ok;
}

static void line(struct diff *d, const char *sign, const struct view_read_log *l, const char *what)
{
    d->n++;
    buf_printf(d->out, "%s", sign);
    if (l->service.n)
        buf_printf(d->out, "service " STR_FMT ": ", STR_ARG(l->service));
    if (l->instance.n)
        buf_printf(d->out, "backend " STR_FMT ": ", STR_ARG(l->instance));
    buf_printf(d->out, "log %s" STR_FMT STR_FMT "%s", l->unit.n ? "journal:" : "", STR_ARG(l->path),
               STR_ARG(l->unit), what);
    diff_end(d);
}

void diff_logs(struct diff *d)
{
    for (uint32_t i = 0; i < d->now->n_logs; i++)
        if (!find(d->next, &d->now->logs[i]))
            line(d, "- ", &d->now->logs[i], "");
    for (uint32_t i = 0; i < d->next->n_logs; i++) {
        const struct view_read_log *is = &d->next->logs[i], *was = find(d->now, is);
        if (!was)
            line(d, "+ ", is, "");
        else if (!same(was, is))
            line(d, "", is, ": rules changed");
    }
}
