/* A picture of the cluster from a membership: names, addresses and who says what of whom. */
#include "admin/cluster.h"

#include <stdlib.h>

static const struct view_node *configured(const struct view_cluster *v, struct str name)
{
    for (uint32_t from = 0, to = v->n_nodes; from < to;) {
        uint32_t middle = from + (to - from) / 2;
        const struct view_node *n = &v->nodes[middle];
        int c = memcmp(name.p, n->name.p, MIN(name.n, n->name.n));
        if (c == 0 && name.n == n->name.n)
            return n;
        if (c < 0 || (c == 0 && name.n < n->name.n))
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

static int by_name(const void *one, const void *other)
{
    struct str a = ((const struct admin_member *)one)->name;
    struct str b = ((const struct admin_member *)other)->name;
    int c = memcmp(a.p, b.p, MIN(a.n, b.n));
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* One that is known to nobody by name is called by its id. */
static bool name_member(struct admin_cluster *out, struct admin_member *one,
                        const struct view_cluster *v, const char *name)
{
    char id[24];
    struct buf text = {.limit = sizeof id};
    if (!*name)
        buf_printf(&text, "#%016llx", (unsigned long long)one->info.id);
    one->name = arena_str(&out->arena, *name ? str_of(name) : buf_str(&text));
    bool ok = one->name.p && !text.failed;
    buf_free(&text);
    const struct view_node *n = ok ? configured(v, one->name) : NULL;
    if (n) {
        one->address = n->address;
        one->zone = n->zone;
    }
    return ok;
}

/* What somebody said who is not heard now is old: it does not count. */
static bool speaks(const struct member_info *i)
{
    return i->self || (i->state == MEMBER_ALIVE && i->reason == MEMBER_HEARD);
}

/* Who says that he hears it, and who that he does not. Above the size where all nodes hear each
 * other there are no such lists. */
static bool add_observers(struct admin_cluster *out, const struct membership *m,
                          struct admin_member *one)
{
    if (out->n > MEMBER_DENSE_MAX)
        return true;
    one->hearing = arena_array(&out->arena, CLUSTER_OBSERVERS_MAX, sizeof *one->hearing);
    one->silent = arena_array(&out->arena, CLUSTER_OBSERVERS_MAX, sizeof *one->silent);
    if (!one->hearing || !one->silent)
        return false;
    for (uint32_t i = 0; i < out->n; i++) {
        const struct admin_member *who = &out->members[i];
        if (who == one || !speaks(&who->info))
            continue;
        int says = member_says(m, who->info.id, one->info.id);
        if (says > 0 && one->n_hearing < CLUSTER_OBSERVERS_MAX)
            one->hearing[one->n_hearing++] = who->name;
        if (says == 0 && one->n_silent < CLUSTER_OBSERVERS_MAX)
            one->silent[one->n_silent++] = who->name;
    }
    return true;
}

static bool add_members(struct admin_cluster *out, const struct membership *m,
                        const struct view_cluster *v, const char *(*name)(void *, uint64_t),
                        void *context)
{
    uint32_t n = member_count(m);
    out->members = arena_array(&out->arena, n, sizeof *out->members);
    if (!out->members)
        return false;
    out->n = n;
    for (uint32_t i = 0; i < n; i++) {
        out->members[i].info = member_at(m, i);
        if (!name_member(out, &out->members[i], v, name(context, out->members[i].info.id)))
            return false;
    }
    qsort(out->members, n, sizeof *out->members, by_name);
    for (uint32_t i = 0; i < n; i++) {
        if (out->members[i].info.self)
            out->self = i;
        if (!add_observers(out, m, &out->members[i]))
            return false;
    }
    return true;
}

static bool add_explanation(struct admin_cluster *out, const struct membership *m,
                            const char *(*name)(void *, uint64_t), void *context)
{
    char *text = arena_alloc(&out->arena, CLUSTER_EXPLAIN_MAX);
    if (!text)
        return false;
    member_explain(m, name, context, text, CLUSTER_EXPLAIN_MAX);
    out->explain = str_of(text);
    return true;
}

int admin_cluster_fill(struct admin_cluster *out, const struct membership *m,
                       const struct view_cluster *v, const char *(*name)(void *, uint64_t),
                       void *context, struct err *e)
{
    out->name = v->name;
    out->health = member_health(m);
    out->isolated = member_isolated(m);
    out->left = member_left(m);
    if (!add_members(out, m, v, name, context) || !add_explanation(out, m, name, context))
        return err_set(e, ERR_NOMEM, "no memory to tell of %u nodes", member_count(m));
    return 0;
}

void admin_cluster_free(struct admin_cluster *c)
{
    arena_free(&c->arena);
    *c = (struct admin_cluster){.n = 0};
}
