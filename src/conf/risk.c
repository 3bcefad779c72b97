/* What of a change takes something away: whoever makes it is asked first. In words, beside the
 * whole of it that diff.c tells. */
#include "conf/diff.h"

static void line(struct diff *d, struct str service, const char *what)
{
    d->n++;
    buf_printf(d->out, "service " STR_FMT " %s\n", STR_ARG(service), what);
}

static bool has_backends(const struct view_service *s)
{
    return s->n_instances || s->n_sources;
}

static void service_risks(struct diff *d, const struct view_service *was,
                          const struct view_service *is)
{
    if (!is)
        line(d, was->name, "stops: it is removed");
    else if (was->n_sockets && !is->n_sockets)
        line(d, was->name, "stops: it listens nowhere any more");
    else if (has_backends(was) && !has_backends(is))
        line(d, was->name, "loses its last backend");
}

static const struct view_node *node_find(const struct view_cluster *k, struct str name)
{
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (str_eq(k->nodes[i].name, name))
            return &k->nodes[i];
    return NULL;
}

/* Of the nodes that there are, more than half should stay: what they have agreed on lies with a
 * majority of them. */
static void cluster_risks(struct diff *d)
{
    const struct view_cluster *was = &d->now->cluster, *is = &d->next->cluster;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < was->n_nodes; i++) {
        if (node_find(is, was->nodes[i].name))
            continue;
        gone++;
        d->n++;
        buf_printf(d->out, "node " STR_FMT " leaves the cluster\n", STR_ARG(was->nodes[i].name));
    }
    if (gone == 0 || 2 * (was->n_nodes - gone) > was->n_nodes)
        return;
    d->n++;
    buf_printf(d->out, "%u of %u nodes stay: no majority of those that there are\n",
               was->n_nodes - gone, was->n_nodes);
}

int conf_risks(const struct view *now, const struct view *next, struct buf *out)
{
    struct diff d = {.now = now, .next = next, .out = out};
    d.before.v = now;
    d.after.v = next;
    for (uint32_t i = 0; i < now->n_services; i++)
        service_risks(&d, &now->services[i], view_index_find(&d.after, i, now->services[i].name));
    cluster_risks(&d);
    view_index_free(&d.before);
    view_index_free(&d.after);
    return out->failed ? -(int)ERR_NOMEM : d.n;
}
