/* The metrics of services of kind primary. A node whose view has none has no such families. */
#include "admin/exposition.h"
#include "admin/inside.h"

/* One service, as it was asked for once. */
struct known {
    const struct view_service *service;
    struct admin_role role;
};

struct set {
    const struct view *view;
    const struct cells *cells;
    uint64_t now;
    struct known *list; /* owned */
    uint32_t n;
};

static struct labels of_service(const struct known *k)
{
    return (struct labels){{{"service", k->service->name}}, 1};
}

static struct labels of_node(const struct set *s, const struct known *k, uint32_t place)
{
    struct labels l = of_service(k);
    l.list[l.n++] = (struct label){"node", role_node_name(s->view, k->service, (int)place)};
    return l;
}

static void family(const struct set *s, struct exposition *x, const char *name, const char *help,
                   uint64_t (*value)(const struct set *s, const struct known *k))
{
    exposition_family(x, name, METRIC_GAUGE, help);
    for (uint32_t i = 0; i < s->n; i++) {
        struct labels l = of_service(&s->list[i]);
        exposition_count(x, &l, value(s, &s->list[i]));
    }
}

static uint64_t epoch_of(const struct set *s, const struct known *k)
{
    return k->role.epoch;
}

static uint64_t acts(const struct set *s, const struct known *k)
{
    return k->role.acts;
}

static uint64_t paused(const struct set *s, const struct known *k)
{
    return k->role.paused;
}

static uint64_t acknowledgements(const struct set *s, const struct known *k)
{
    return k->role.sync;
}

static uint64_t insync(const struct set *s, const struct known *k)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < k->service->primary.n_on; i++)
        n += k->role.nodes[i].insync;
    return n;
}

/* As whoever carries a write looks at it. */
static uint64_t gate_open(const struct set *s, const struct known *k)
{
    if (k->service->slot >= s->cells->header->services)
        return 0;
    const struct role_row *r = cells_role(s->cells, k->service->slot);
    uint64_t gate = cell_get(&r->gate);
    return gate && gate == cell_get(&r->lease_epoch) && s->now < cell_get(&r->lease_until);
}

static void lease_left(const struct set *s, struct exposition *x)
{
    exposition_family(x, "holdfast_role_lease_seconds", METRIC_GAUGE,
                      "What is left of the lease that this node holds; 0: it holds none.");
    for (uint32_t i = 0; i < s->n; i++) {
        struct labels l = of_service(&s->list[i]);
        uint64_t until = s->list[i].role.lease_until;
        exposition_ns(x, &l, until > s->now ? until - s->now : 0);
    }
}

static void primaries(const struct set *s, struct exposition *x)
{
    exposition_family(x, "holdfast_role_primary", METRIC_GAUGE,
                      "1 for the node that is the primary of the record, as known here.");
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < s->list[i].service->primary.n_on; k++) {
            struct labels l = of_node(s, &s->list[i], k);
            exposition_count(x, &l, s->list[i].role.primary == (int)k);
        }
}

static void lags(const struct set *s, struct exposition *x)
{
    exposition_family(x, "holdfast_role_lag_bytes", METRIC_GAUGE,
                      "How far a replica is behind the primary, where it is known.");
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < s->list[i].service->primary.n_on; k++) {
            struct labels l = of_node(s, &s->list[i], k);
            if (s->list[i].role.nodes[k].lag_known)
                exposition_count(x, &l, s->list[i].role.nodes[k].lag_bytes);
        }
    exposition_family(x, "holdfast_role_lag_seconds", METRIC_GAUGE,
                      "The same by the age of what it has.");
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < s->list[i].service->primary.n_on; k++) {
            struct labels l = of_node(s, &s->list[i], k);
            if (s->list[i].role.nodes[k].lag_known)
                exposition_ns(x, &l, s->list[i].role.nodes[k].lag);
        }
}

static void families(const struct set *s, struct exposition *x)
{
    family(s, x, "holdfast_role_epoch", "The epoch of the record, as known here; it only rises.",
           epoch_of);
    primaries(s, x);
    family(s, x, "holdfast_role_acts", "1 while the primary takes writes, as known here.", acts);
    family(s, x, "holdfast_role_gate_open", "1 while this node lets writes in to its instance.",
           gate_open);
    lease_left(s, x);
    family(s, x, "holdfast_role_in_sync", "Nodes that are in sync, the primary included.", insync);
    family(s, x, "holdfast_role_acknowledgements",
           "Replicas that the reply to a write waits for now.", acknowledgements);
    family(s, x, "holdfast_role_paused", "1 while an operator lets nothing be decided about it.",
           paused);
    lags(s, x);
}

void metrics_roles(struct admin *a, struct exposition *x)
{
    struct set s = {.view = a->host.view(a->host.context),
                    .cells = a->host.cells(a->host.context),
                    .now = loop_now(a->loop)};
    uint32_t n = 0;
    for (uint32_t i = 0; s.view && i < s.view->n_services; i++)
        n += view_is_primary(&s.view->services[i]);
    if (n == 0)
        return;
    s.list = mem_zero(n, sizeof *s.list);
    if (!s.list) {
        x->out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s.view->n_services; i++) {
        if (!view_is_primary(&s.view->services[i]))
            continue;
        s.list[s.n].service = &s.view->services[i];
        role_picture(a, s.list[s.n].service, &s.list[s.n].role);
        s.n++;
    }
    families(&s, x);
    mem_free(s.list);
}
