/* The merge. A copy of the base is made through its bytes, so that whatever a view will hold is
 * copied too; then the instances of each service are written anew. */
#include "discover/merge.h"

struct merge_sink {
    struct view *v;
    struct view_service *s;
    const struct merge_sources *from;
    struct merge_report *report;
    struct map names; /* of this service's instances so far */
    uint32_t room;    /* instances that the service may have */
    uint32_t counted; /* without a place to put them: how many are given */
    uint8_t origin;
    struct str source;
    bool counting, nomem;
};

static bool leads_to_itself(const struct merge_sink *k, const struct addr *a)
{
    for (uint32_t i = 0; i < k->s->n_sockets; i++)
        if (addr_eq(&k->v->sockets[k->s->sockets[i]].addr, a))
            return true;
    return false;
}

static struct str copied(struct merge_sink *k, struct str s)
{
    if (s.n == 0)
        return STR("");
    struct str copy = arena_str(&k->v->arena, s);
    k->nomem |= !copy.p;
    return copy;
}

static void left_out(uint32_t *count, char first[64], struct str service)
{
    if ((*count)++ == 0)
        str_copy(first, 64, service);
}

static void put(struct merge_sink *k, const struct view_instance *n, struct str name)
{
    static char present;
    struct view_instance *to = &k->s->instances[k->s->n_instances];
    uint32_t weight;
    *to = *n;
    to->name = copied(k, name);
    to->origin = k->origin;
    to->source = copied(k, k->source);
    to->slot = 0;
    if (k->nomem)
        return;
    if (k->from->weight(k->from->self, k->s->name, to->name, &weight))
        to->weight = MIN(weight, (uint32_t)VIEW_MAX_WEIGHT);
    if (map_put(&k->names, to->name, &present))
        k->s->n_instances++;
    else
        k->nomem = true;
}

static void give(struct merge_sink *k, const struct view_instance *n)
{
    char text[ADDR_TEXT_MAX];
    struct str name = n->name;
    if (name.n == 0)
        name = (struct str){text, addr_format(&n->addr, text)};
    if (map_get(&k->names, name))
        return;
    if (leads_to_itself(k, &n->addr))
        left_out(&k->report->itself, k->report->first_itself, k->s->name);
    else if (k->s->n_instances == k->room)
        left_out(&k->report->surplus, k->report->first_surplus, k->s->name);
    else
        put(k, n, name);
}

void merge_give(struct merge_sink *k, const struct view_instance *n)
{
    if (k->counting) {
        k->counted += k->counted < POOL_MAX;
        return;
    }
    if (k->nomem)
        return;
    struct view_instance own = *n;
    if (own.source.n)
        k->source = own.source; /* a directory says which file */
    own.own_weight = own.weight = MIN(own.weight, (uint32_t)VIEW_MAX_WEIGHT);
    own.priority = MIN(own.priority, POOL_GROUPS - 1u);
    give(k, &own);
}

static void give_all(struct merge_sink *k)
{
    for (uint32_t i = 0; i < k->s->n_sources; i++) {
        const struct view_source *source = &k->s->sources[i];
        k->origin = source->kind == SOURCE_DIR ? ORIGIN_DROPIN : ORIGIN_DNS;
        k->source = source->name;
        k->from->source(k->from->self, source, k);
    }
    k->origin = ORIGIN_API;
    k->source = STR("");
    k->from->told(k->from->self, k->s->name, k);
}

/* The file's own come first and always fit. */
static void give_configured(struct merge_sink *k, const struct view_instance *was, uint32_t n)
{
    k->origin = ORIGIN_FILE;
    k->source = STR("");
    for (uint32_t i = 0; i < n && !k->nomem; i++) {
        struct view_instance own = was[i];
        if (own.origin != ORIGIN_FILE)
            continue;
        own.weight = own.own_weight;
        put(k, &own, own.name);
    }
}

static uint32_t count_configured(const struct view_service *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_instances; i++)
        n += s->instances[i].origin == ORIGIN_FILE;
    return n;
}

/* free: what other services leave of all rows. Returns how many instances the service has now. */
static uint32_t merge_service(struct view *v, struct view_service *s, uint32_t free,
                              const struct merge_sources *from, struct merge_report *report,
                              bool *nomem)
{
    struct merge_sink k = {.v = v, .s = s, .from = from, .report = report, .counting = true};
    const struct view_instance *was = s->instances;
    uint32_t n = s->n_instances, configured = count_configured(s);
    give_all(&k);
    k.counting = false;
    k.room = MIN(MIN(configured + free, (uint32_t)POOL_MAX), configured + k.counted);
    s->n_instances = 0;
    s->instances = k.room ? arena_array(&v->arena, k.room, sizeof *s->instances) : NULL;
    k.nomem = k.room && !s->instances;
    give_configured(&k, was, n);
    if (!k.nomem)
        give_all(&k);
    map_free(&k.names);
    *nomem |= k.nomem;
    return s->n_instances;
}

static int copy_view(const struct view *base, struct view **out, struct err *e)
{
    struct buf bytes = {.limit = VIEW_MAX_BYTES};
    view_encode(base, &bytes);
    int rc = bytes.failed ? err_set(e, ERR_NOMEM, "no memory to copy the view")
                          : view_decode(buf_str(&bytes), out, e);
    buf_free(&bytes);
    return rc;
}

/* What a view is given when it is to be served. */
static void forget_rows(struct view *v)
{
    v->epoch = 0;
    for (uint32_t i = 0; i < v->n_sockets; i++)
        v->sockets[i].slot = 0;
    for (uint32_t i = 0; i < v->n_services; i++) {
        v->services[i].slot = 0;
        for (uint32_t k = 0; k < v->services[i].n_instances; k++)
            v->services[i].instances[k].slot = 0;
    }
}

int merge(const struct view *base, const struct merge_sources *from, struct view **out,
          struct merge_report *report, struct err *e)
{
    struct view *v = NULL;
    bool nomem = false;
    *report = (struct merge_report){0};
    int rc = copy_view(base, &v, e);
    if (rc)
        return rc;
    forget_rows(v);
    uint32_t configured = 0;
    for (uint32_t i = 0; i < v->n_services; i++)
        configured += count_configured(&v->services[i]);
    uint32_t free = VIEW_MAX_SLOTS - configured;
    for (uint32_t i = 0; i < v->n_services && !nomem; i++) {
        uint32_t own = count_configured(&v->services[i]);
        free -= merge_service(v, &v->services[i], free, from, report, &nomem) - own;
    }
    rc = nomem ? err_set(e, ERR_NOMEM, "no memory to merge a view") : view_verify(v, e);
    if (rc)
        view_free(v);
    else
        *out = v;
    return rc;
}

/* ---- comparison ---- */

bool merge_same(struct view *next, const struct view *now)
{
    struct buf x = {0}, y = {0};
    if (view_assign_slots(next, now, NULL))
        return false;
    next->epoch = now->epoch;
    view_encode(next, &x);
    view_encode(now, &y);
    bool same = !x.failed && !y.failed && str_eq(buf_str(&x), buf_str(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}
