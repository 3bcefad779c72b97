/* The life of a view, and the slots that tie it to the shared tables.
 *
 * A slot is a row number. It stays with its service (by name) and its instance (by service and
 * instance name) for as long as they stay in the file, because counters and verdicts live in that
 * row. A slot that the current view uses is not given to anybody else in the next one: during a
 * reload both views are served for a moment, and two instances must not write one row. */
#include "view/view.h"

struct view *view_new(void)
{
    struct view *v = mem_zero(1, sizeof *v);
    if (v) {
        v->workers = 1;
        v->file = STR("");
    }
    return v;
}

void view_free(struct view *v)
{
    if (!v)
        return;
    arena_free(&v->arena);
    mem_free(v);
}

const char *view_right_name(unsigned i)
{
    static const char *const names[RIGHTS] = {"read",   "metrics", "drain",   "instances",
                                              "reload", "restart", "upgrade", "cluster",
                                              "beat",   "keys",    "apply",   "roles"};
    CHECK(i < RIGHTS);
    return names[i];
}

const struct view_node *view_self(const struct view *v)
{
    return v->cluster.n_nodes ? &v->cluster.nodes[v->cluster.self] : NULL;
}

const char *view_agent_name(uint8_t agent)
{
    static const char *const names[AGENTS] = {"none", "redis", "process", "hook"};
    CHECK(agent < AGENTS);
    return names[agent];
}

int view_place(const struct view_service *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->primary.n_on; i++)
        if (s->primary.on[i] == node)
            return (int)i;
    return -1;
}

/* Also one that does not vote, and hosts no instance now: what it has may have to be stopped. */
bool view_wants_agent(const struct view *v)
{
    bool primaries = false;
    for (uint32_t i = 0; i < v->n_services; i++)
        primaries |= view_is_primary(&v->services[i]);
    return primaries || v->cluster.coordinator.kind == COORDINATOR_MANAGED;
}

bool view_wants_sense(const struct view *v)
{
    return v->n_logs > 0;
}

const struct view_node *view_node_find(const struct view *v, struct str name)
{
    for (uint32_t i = 0; i < v->cluster.n_nodes; i++)
        if (str_eq(v->cluster.nodes[i].name, name))
            return &v->cluster.nodes[i];
    return NULL;
}

const struct view_service *view_service_find(const struct view *v, struct str name)
{
    for (uint32_t i = 0; i < v->n_services; i++)
        if (str_eq(v->services[i].name, name))
            return &v->services[i];
    return NULL;
}

static void fill(struct view_index *x)
{
    for (uint32_t i = 0; i < x->v->n_services && !x->linear; i++)
        x->linear = !map_put(&x->names, x->v->services[i].name, &x->v->services[i]);
}

const struct view_service *view_index_find(struct view_index *x, uint32_t at, struct str name)
{
    const struct view *v = x->v;
    if (!v)
        return NULL;
    if (at < v->n_services && str_eq(v->services[at].name, name))
        return &v->services[at];
    if (x->names.n == 0 && !x->linear)
        fill(x);
    return x->linear ? view_service_find(v, name) : map_get(&x->names, name);
}

void view_index_free(struct view_index *x)
{
    map_free(&x->names);
}

const struct view_instance *view_instance_find(const struct view_service *s, struct str name)
{
    for (uint32_t i = 0; i < s->n_instances; i++)
        if (str_eq(s->instances[i].name, name))
            return &s->instances[i];
    return NULL;
}

/* One bit a row, and where the search for the next free one goes on: what lies before was taken. */
struct rows {
    uint64_t *bits;
    uint32_t n, next;
};

static void rows_take(struct rows *r, uint32_t i)
{
    CHECK(i < r->n);
    r->bits[i / 64] |= 1ull << (i % 64);
}

/* The lowest free row, or n when there is none. */
static uint32_t rows_find(struct rows *r)
{
    while (r->next < r->n && (r->bits[r->next / 64] >> (r->next % 64) & 1))
        r->next++;
    if (r->next < r->n)
        rows_take(r, r->next);
    return r->next;
}

static void take_used(const struct view *now, struct rows *services, struct rows *slots)
{
    for (uint32_t i = 0; i < now->n_services; i++) {
        const struct view_service *s = &now->services[i];
        rows_take(services, s->slot);
        for (uint32_t k = 0; k < s->n_instances; k++)
            rows_take(slots, s->instances[k].slot);
    }
}

/* Names usually keep their order over a reload: look at the same place first. */
static const struct view_instance *same_instance(const struct view_service *was, uint32_t at,
                                                 struct str name)
{
    if (at < was->n_instances && str_eq(was->instances[at].name, name))
        return &was->instances[at];
    return view_instance_find(was, name);
}

static int assign_instances(struct view_service *s, const struct view_service *was,
                            struct rows *slots, struct err *e)
{
    for (uint32_t k = 0; k < s->n_instances; k++) {
        struct view_instance *n = &s->instances[k];
        const struct view_instance *old = was ? same_instance(was, k, n->name) : NULL;
        n->slot = old ? old->slot : rows_find(slots);
        if (n->slot >= slots->n)
            return err_set(
                e, ERR_LIMIT,
                "no free row for instance %.*s of service %.*s: at most %u instances fit, "
                "those that this change removes included",
                STR_ARG(n->name), STR_ARG(s->name), slots->n);
    }
    return 0;
}

static const struct view_socket *same_socket(const struct view *now, uint32_t at,
                                             const struct view_socket *s)
{
    for (uint32_t i = 0; i < now->n_sockets; i++) {
        /* the same place first */
        const struct view_socket *o = &now->sockets[(at + i) % now->n_sockets];
        if (o->use == s->use && addr_eq(&o->addr, &s->addr))
            return o;
    }
    return NULL;
}

static int assign_sockets(struct view *next, const struct view *now, struct err *e)
{
    uint64_t bits[VIEW_MAX_SOCKETS / 64] = {0};
    struct rows rows = {bits, VIEW_MAX_SOCKETS, 0};
    for (uint32_t i = 0; now && i < now->n_sockets; i++)
        rows_take(&rows, now->sockets[i].slot);
    for (uint32_t i = 0; i < next->n_sockets; i++) {
        const struct view_socket *was = now ? same_socket(now, i, &next->sockets[i]) : NULL;
        next->sockets[i].slot = was ? was->slot : rows_find(&rows);
        if (next->sockets[i].slot >= rows.n)
            return err_set(e, ERR_LIMIT,
                           "no free row for a listener: at most %u fit, those that this change "
                           "removes included",
                           rows.n);
    }
    return 0;
}

static int assign(struct view *next, const struct view *now, const uint64_t *resting, struct err *e)
{
    uint64_t service_bits[VIEW_MAX_SERVICES / 64] = {0}, slot_bits[VIEW_MAX_SLOTS / 64] = {0};
    struct rows services = {service_bits, VIEW_MAX_SERVICES, 0};
    struct rows slots = {slot_bits, VIEW_MAX_SLOTS, 0};
    struct view_index before = {.v = now};
    int rc = assign_sockets(next, now, e);
    for (size_t i = 0; resting && i < ARRAY_LEN(slot_bits); i++)
        slot_bits[i] = resting[i];
    if (now)
        take_used(now, &services, &slots);
    for (uint32_t i = 0; rc == 0 && i < next->n_services; i++) {
        struct view_service *s = &next->services[i];
        const struct view_service *was = view_index_find(&before, i, s->name);
        s->slot = was ? was->slot : rows_find(&services);
        if (s->slot >= services.n)
            rc = err_set(e, ERR_LIMIT,
                         "no free row for service %.*s: at most %u services fit, those that this "
                         "change removes included",
                         STR_ARG(s->name), services.n);
        else
            rc = assign_instances(s, was, &slots, e);
    }
    view_index_free(&before);
    return rc;
}

int view_assign_slots(struct view *next, const struct view *now, struct err *e)
{
    return assign(next, now, NULL, e);
}

int view_assign_slots_but(struct view *next, const struct view *now, const uint64_t *resting,
                          struct err *e)
{
    return assign(next, now, resting, NULL) == 0 ? 0 : assign(next, now, NULL, e);
}
