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

/* Whoever had the data is no candidate any more, or is the only one. */
static void candidates_risks(struct diff *d, const struct view_service *was,
                             const struct view_service *is)
{
    const struct view_cluster *k = &d->now->cluster, *l = &d->next->cluster;
    uint32_t stay = 0;
    for (uint32_t i = 0; i < was->primary.n_on; i++)
        for (uint32_t j = 0; j < is->primary.n_on; j++)
            stay += str_eq(k->nodes[was->primary.on[i]].name, l->nodes[is->primary.on[j]].name);
    if (stay == 0)
        line(d, was->name, "leaves all of its nodes: its data stays behind");
    else if (was->primary.n_on > 1 && is->primary.n_on == 1)
        line(d, was->name, "runs on one node only: nobody can take over");
}

static void primary_risks(struct diff *d, const struct view_service *was,
                          const struct view_service *is)
{
    if (was->primary.agent != is->primary.agent)
        line(d, was->name, "stops its instances: it gets another agent, or none");
    else
        candidates_risks(d, was, is);
    if (was->primary.sync > is->primary.sync && view_is_primary(is))
        line(d, was->name,
             is->primary.sync ? "waits for fewer replicas"
                              : "waits for no replica: what was acknowledged may be "
                                "lost with the primary");
}

static void service_risks(struct diff *d, const struct view_service *was,
                          const struct view_service *is)
{
    if (!is)
        line(d, was->name,
             view_is_primary(was) ? "stops: it is removed, and its instances stop; data stays"
                                  : "stops: it is removed");
    else if (view_is_primary(was))
        primary_risks(d, was, is);
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

static void nodes_risks(struct diff *d)
{
    const struct view_cluster *was = &d->now->cluster, *is = &d->next->cluster;
    for (uint32_t i = 0; i < was->n_nodes; i++) {
        if (node_find(is, was->nodes[i].name))
            continue;
        d->n++;
        buf_printf(d->out, "node " STR_FMT " leaves the cluster\n", STR_ARG(was->nodes[i].name));
    }
}

/* What has been agreed on lies with a majority of those that vote now. */
static void voters_risks(struct diff *d, const struct str *voters, uint32_t n)
{
    uint32_t stay = 0;
    for (uint32_t i = 0; i < n; i++)
        stay += node_find(&d->next->cluster, voters[i]) != NULL;
    if (n == 0 || 2 * stay > n)
        return;
    d->n++;
    buf_printf(d->out, "%u of %u voters stay: no majority of those that vote now\n", stay, n);
}

int conf_risks(const struct view *now, const struct view *next, const struct str *voters,
               uint32_t n_voters, struct buf *out)
{
    struct diff d = {.now = now, .next = next, .out = out};
    d.before.v = now;
    d.after.v = next;
    for (uint32_t i = 0; i < now->n_services; i++)
        service_risks(&d, &now->services[i], view_index_find(&d.after, i, now->services[i].name));
    nodes_risks(&d);
    voters_risks(&d, voters, n_voters);
    view_index_free(&d.before);
    view_index_free(&d.after);
    return out->failed ? -(int)ERR_NOMEM : d.n;
}
