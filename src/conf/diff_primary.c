/* What changes of a service of kind primary: where it may run, node by node, and what its agent
 * does. Nodes are compared by their names: their indices are each view's own. */
#include "conf/diff.h"
#include "conf/print.h"

static struct str node_at(const struct view *v, const struct view_primary *p, uint32_t place)
{
    return v->cluster.nodes[p->on[place]].name;
}

static bool runs_on(const struct view *v, const struct view_primary *p, struct str node)
{
    for (uint32_t i = 0; i < p->n_on; i++)
        if (str_eq(node_at(v, p, i), node))
            return true;
    return false;
}

void diff_print_on(const struct view *v, const struct view_primary *p, struct buf *out)
{
    for (uint32_t i = 0; i < p->n_on; i++)
        buf_printf(out, "%s" STR_FMT, i ? ", " : "", STR_ARG(node_at(v, p, i)));
}

/* The same nodes in another order are preferred otherwise. */
static void diff_order(struct diff *d, const struct view_service *was,
                       const struct view_service *is)
{
    const struct view_primary *p = &was->primary, *q = &is->primary;
    uint32_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < p->n_on && !runs_on(d->next, q, node_at(d->now, p, i)))
            i++;
        while (j < q->n_on && !runs_on(d->now, p, node_at(d->next, q, j)))
            j++;
        if (i == p->n_on || j == q->n_on)
            return;
        if (!str_eq(node_at(d->now, p, i), node_at(d->next, q, j)))
            break;
    }
    diff_line(d, is->name, "prefers ", STR(""));
    diff_print_on(d->next, q, d->out);
    diff_end(d);
}

static void diff_on(struct diff *d, const struct view_service *was, const struct view_service *is)
{
    const struct view_primary *p = &was->primary, *q = &is->primary;
    for (uint32_t i = 0; i < p->n_on; i++) {
        struct str node = node_at(d->now, p, i);
        if (runs_on(d->next, q, node))
            continue;
        diff_line(d, is->name, "runs no more on ", node);
        buf_printf(d->out, "(its instance there stops)");
        diff_end(d);
    }
    for (uint32_t i = 0; i < q->n_on; i++) {
        struct str node = node_at(d->next, q, i);
        if (runs_on(d->now, p, node))
            continue;
        diff_line(d, is->name, "may now run on ", STR(""));
        buf_add_str(d->out, node);
        diff_end(d);
    }
    diff_order(d, was, is);
}

static void print_vip(const struct view_primary *p, struct buf *out)
{
    char text[ADDR_TEXT_MAX];
    if (p->vip.kind == 0) {
        buf_printf(out, "-");
        return;
    }
    addr_format_ip(&p->vip, text);
    buf_printf(out, "%s/%u", text, p->vip_prefix);
}

static void diff_vip(struct diff *d, const struct view_service *was, const struct view_service *is)
{
    const struct view_primary *p = &was->primary, *q = &is->primary;
    if (addr_eq(&p->vip, &q->vip) && p->vip_prefix == q->vip_prefix)
        return;
    diff_line(d, is->name, "vip ", STR(""));
    print_vip(p, d->out);
    buf_printf(d->out, " -> ");
    print_vip(q, d->out);
    diff_end(d);
}

static bool same_words(const struct view_words *a, const struct view_words *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = str_eq(a->list[i], b->list[i]);
    return same;
}

static void diff_words(struct diff *d, const struct view_service *is, const char *what,
                       const struct view_words *was, const struct view_words *now)
{
    if (same_words(was, now))
        return;
    diff_line(d, is->name, what, STR(""));
    buf_printf(d->out, " changed");
    diff_end(d);
}

static void diff_agent(struct diff *d, const struct view_service *was,
                       const struct view_service *is)
{
    diff_line(d, is->name, "agent ", STR(""));
    buf_printf(d->out, "%s -> %s", view_agent_name(was->primary.agent),
               view_agent_name(is->primary.agent));
    if (view_is_primary(is)) {
        buf_printf(d->out, ", on ");
        diff_print_on(d->next, &is->primary, d->out);
    }
    diff_end(d);
}

void diff_primary(struct diff *d, const struct view_service *was, const struct view_service *is)
{
    const struct view_primary *p = &was->primary, *q = &is->primary;
    if (p->agent != q->agent)
        diff_agent(d, was, is);
    if (p->agent != q->agent || q->agent == AGENT_NONE)
        return;
    diff_on(d, was, is);
    diff_settings(d, schema_block(BLOCK_PRIMARY), is->name, "", STR(""), p, q, false, NULL);
    diff_vip(d, was, is);
    diff_words(d, is, "redis", &p->redis, &q->redis);
    diff_words(d, is, "command", &p->command, &q->command);
    diff_words(d, is, "hook", &p->hook, &q->hook);
    diff_words(d, is, "apart", &p->apart, &q->apart);
}
