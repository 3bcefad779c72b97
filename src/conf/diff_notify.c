/* What a reload changes about who is told of events: of URLs and keys, only that they are others.
 */
#include "conf/diff.h"

static const struct view_notify *find(const struct view *v, struct str name)
{
    for (uint32_t i = 0; i < v->n_notifies; i++)
        if (str_eq(v->notifies[i].name, name))
            return &v->notifies[i];
    return NULL;
}

static bool same(const struct view_notify *a, const struct view_notify *b)
{
    bool ok = str_eq(a->webhook, b->webhook) && str_eq(a->key_file, b->key_file) &&
              a->repeat == b->repeat && a->events.n == b->events.n;
    for (uint32_t i = 0; ok && i < a->events.n; i++)
        ok = str_eq(a->events.list[i], b->events.list[i]);
    return ok;
}

static void line(struct diff *d, const char *sign, struct str name, const char *what)
{
    d->n++;
    buf_printf(d->out, "%snotify " STR_FMT "%s", sign, STR_ARG(name), what);
    diff_end(d);
}

void diff_notify(struct diff *d)
{
    for (uint32_t i = 0; i < d->now->n_notifies; i++)
        if (!find(d->next, d->now->notifies[i].name))
            line(d, "- ", d->now->notifies[i].name, "");
    for (uint32_t i = 0; i < d->next->n_notifies; i++) {
        const struct view_notify *is = &d->next->notifies[i], *was = find(d->now, is->name);
        if (!was)
            line(d, "+ ", is->name, "");
        else if (!same(was, is))
            line(d, "", is->name, ": changed");
    }
}
