/* A change makes a new struct told_service beside the old one, and the table points to the new one;
 * the old one is kept until the change is for good. */
#include "discover/told.h"

#include <stdio.h>

static void service_free(struct told_service *s)
{
    if (!s)
        return;
    arena_free(&s->arena);
    mem_free(s);
}

static const struct view_instance *find(const struct told_service *s, struct str name)
{
    for (uint32_t i = 0; s && i < s->n; i++)
        if (str_eq(s->list[i].name, name))
            return &s->list[i];
    return NULL;
}

static const struct told_weight *find_weight(const struct told_service *s, struct str name)
{
    for (uint32_t i = 0; s && i < s->n_weights; i++)
        if (str_eq(s->weights[i].instance, name))
            return &s->weights[i];
    return NULL;
}

/* ---- a change ---- */

struct changing {
    const struct told_change *c;
    const struct view_service *now; /* the service in force; may be NULL */
    const struct told_service *was; /* may be NULL */
    struct told_service *is;
    struct map index; /* name -> its instance in `is` */
    struct told_counts *counts;
    struct err *e;
};

static int nomem(const struct changing *g)
{
    return err_set(g->e, ERR_NOMEM, "no memory for %u instances", g->c->n);
}

static bool name_valid(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= 0x20 || name.p[i] >= 0x7f)
            return false;
    return name.n > 0 && name.n <= TOLD_NAME_MAX;
}

/* What an item calls its instance; in memory of the change's own. */
static int name_of(struct changing *g, const struct told_item *item, struct str *out)
{
    char text[ADDR_TEXT_MAX];
    struct str name = item->name;
    if (name.n == 0 && item->addr.kind == ADDR_NONE)
        return err_set(g->e, ERR_INVAL, "an instance has neither an address nor a name");
    if (name.n == 0)
        name = (struct str){text, addr_format(&item->addr, text)};
    if (!name_valid(name))
        return err_set(g->e, ERR_INVAL,
                       "'%.*s' is no name for an instance: up to %d characters without blanks",
                       (int)MIN(name.n, (size_t)60), name.p, TOLD_NAME_MAX);
    if (item->has_weight && item->weight > VIEW_MAX_WEIGHT)
        return err_set(g->e, ERR_INVAL, "a weight is 0 to %d, not %u", VIEW_MAX_WEIGHT,
                       item->weight);
    if (item->has_priority && item->priority >= POOL_GROUPS)
        return err_set(g->e, ERR_INVAL, "a priority is 0 to %d, not %u", POOL_GROUPS - 1,
                       item->priority);
    *out = arena_str(&g->is->arena, name);
    return out->p ? 0 : nomem(g);
}

static int put(struct changing *g, const struct view_instance *n)
{
    if (g->is->n == POOL_MAX)
        return err_set(g->e, ERR_LIMIT, "a service has at most %d instances", POOL_MAX);
    struct view_instance *to = &g->is->list[g->is->n];
    *to = *n;
    if (!map_put(&g->index, n->name, to))
        return nomem(g);
    g->is->n++;
    return 0;
}

static bool same(const struct view_instance *a, const struct view_instance *b)
{
    return addr_eq(&a->addr, &b->addr) && a->weight == b->weight && a->priority == b->priority;
}

static void overlay(struct view_instance *to, const struct told_item *item)
{
    if (item->addr.kind != ADDR_NONE)
        to->addr = item->addr;
    if (item->has_weight)
        to->weight = item->weight;
    else if (item->own_weight)
        to->weight = 1;
    if (item->has_priority)
        to->priority = item->priority;
}

static int add_new(struct changing *g, const struct told_item *item, struct str name)
{
    struct view_instance n = {.name = name, .weight = 1, .source = STR("")};
    if (item->addr.kind == ADDR_NONE)
        return err_set(g->e, ERR_ABSENT,
                       "instance \"%.*s\" does not exist, and no address is given", STR_ARG(name));
    overlay(&n, item);
    return put(g, &n);
}

/* The whole list anew. */
static int set_one(struct changing *g, const struct told_item *item)
{
    struct str name;
    int rc = name_of(g, item, &name);
    if (rc)
        return rc;
    if (map_get(&g->index, name))
        return err_set(g->e, ERR_INVAL, "instance \"%.*s\" is there twice", STR_ARG(name));
    rc = add_new(g, item, name);
    if (rc)
        return rc;
    const struct view_instance *was = find(g->was, name);
    g->counts->added += !was;
    g->counts->updated += was && !same(was, &g->is->list[g->is->n - 1]);
    return 0;
}

/* A weight of an instance that somebody else names. */
static int set_weight(struct changing *g, const struct told_item *item, struct str name)
{
    struct told_weight *weights = g->is->weights;
    uint32_t i = 0;
    while (i < g->is->n_weights && !str_eq(weights[i].instance, name))
        i++;
    bool there = i < g->is->n_weights;
    if (item->has_weight) {
        g->counts->updated += !there || weights[i].weight != item->weight;
        if (!there && g->is->n_weights == POOL_MAX)
            return err_set(g->e, ERR_LIMIT, "more than %d weights", POOL_MAX);
        weights[i] = (struct told_weight){name, item->weight};
        g->is->n_weights += !there;
    } else if (item->own_weight && there) {
        weights[i] = weights[--g->is->n_weights];
        g->counts->updated++;
    }
    return 0;
}

static const struct view_instance *elsewhere(const struct changing *g, struct str name)
{
    const struct view_instance *n = g->now ? view_instance_find(g->now, name) : NULL;
    return n && n->origin != ORIGIN_API ? n : NULL;
}

static int update_one(struct changing *g, const struct told_item *item)
{
    struct str name;
    int rc = name_of(g, item, &name);
    if (rc)
        return rc;
    struct view_instance *mine = map_get(&g->index, name);
    if (mine) {
        struct view_instance was = *mine;
        overlay(mine, item);
        g->counts->updated += !same(&was, mine);
        return 0;
    }
    const struct view_instance *other = elsewhere(g, name);
    if (!other) {
        g->counts->added++;
        return add_new(g, item, name);
    }
    if (item->addr.kind != ADDR_NONE && !addr_eq(&item->addr, &other->addr))
        return err_set(g->e, ERR_DENIED,
                       "instance \"%.*s\" is not the API's, and has another address",
                       STR_ARG(name));
    return set_weight(g, item, name);
}

static int remove_one(struct changing *g, const struct told_item *item)
{
    static const char *const origins[ORIGINS] = {"the configuration file", "a name",
                                                 "a drop-in file", "the API"};
    struct str name;
    int rc = name_of(g, item, &name);
    if (rc)
        return rc;
    struct view_instance *mine = map_get(&g->index, name);
    if (mine) {
        mine->addr.kind = ADDR_NONE; /* swept when all are marked */
        map_remove(&g->index, name);
        g->counts->removed++;
        return 0;
    }
    const struct view_instance *other = elsewhere(g, name);
    if (other)
        return err_set(g->e, ERR_DENIED,
                       "instance \"%.*s\" comes from %s: take it out there, or drain it",
                       STR_ARG(name), origins[other->origin]);
    return 0;
}

static void sweep(struct told_service *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->list[i].addr.kind != ADDR_NONE)
            s->list[kept++] = s->list[i];
    s->n = kept;
}

/* A copy of what was, but for TOLD_SET the list. */
static int copy_before(struct changing *g)
{
    const struct told_service *was = g->was;
    int rc = 0;
    for (uint32_t i = 0; was && g->c->mode != TOLD_SET && i < was->n && rc == 0; i++) {
        struct view_instance n = was->list[i];
        n.name = arena_str(&g->is->arena, n.name);
        rc = n.name.p ? put(g, &n) : nomem(g);
    }
    for (uint32_t i = 0; was && rc == 0 && i < was->n_weights; i++) {
        struct told_weight w = {arena_str(&g->is->arena, was->weights[i].instance),
                                was->weights[i].weight};
        if (!w.instance.p)
            return nomem(g);
        g->is->weights[g->is->n_weights++] = w;
    }
    return rc;
}

static int change_all(struct changing *g)
{
    int rc = copy_before(g);
    for (uint32_t i = 0; i < g->c->n && rc == 0; i++) {
        const struct told_item *item = &g->c->items[i];
        switch ((enum told_mode)g->c->mode) {
        case TOLD_SET: rc = set_one(g, item); break;
        case TOLD_UPDATE: rc = update_one(g, item); break;
        case TOLD_REMOVE: rc = remove_one(g, item); break;
        }
    }
    sweep(g->is);
    for (uint32_t i = 0; g->was && g->c->mode == TOLD_SET && i < g->was->n; i++)
        g->counts->removed += !map_get(&g->index, g->was->list[i].name);
    return rc;
}

/* With room for what was there and what is said now. */
static struct told_service *service_new(const struct told_change *c, const struct told_service *was)
{
    uint32_t list = MIN(c->n + (was ? was->n : 0), (uint32_t)POOL_MAX);
    uint32_t weights = MIN(c->n + (was ? was->n_weights : 0), (uint32_t)POOL_MAX);
    struct told_service *s = mem_zero(1, sizeof *s);
    if (!s)
        return NULL;
    s->name = arena_str(&s->arena, c->service);
    s->list = arena_array(&s->arena, list + 1, sizeof *s->list);
    s->weights = arena_array(&s->arena, weights + 1, sizeof *s->weights);
    if (s->name.p && s->list && s->weights)
        return s;
    service_free(s);
    return NULL;
}

int told_apply(struct told *t, const struct told_change *c, const struct view *now,
               struct told_counts *counts, struct err *e)
{
    CHECK(!t->open);
    struct told_service *was = map_get(&t->services, c->service);
    struct changing g = {.c = c,
                         .now = now ? view_service_find(now, c->service) : NULL,
                         .was = was,
                         .is = service_new(c, was),
                         .counts = counts,
                         .e = e};
    *counts = (struct told_counts){0};
    int rc = g.is ? change_all(&g) : nomem(&g);
    map_free(&g.index);
    if (rc == 0 && !map_put(&t->services, g.is->name, g.is))
        rc = nomem(&g);
    if (rc) {
        service_free(g.is);
        return rc;
    }
    t->before = was;
    t->changed = g.is->name;
    t->open = true;
    return 0;
}

void told_keep(struct told *t)
{
    if (!t->open)
        return;
    service_free(t->before);
    t->before = NULL;
    t->open = false;
    struct told_service *s = map_get(&t->services, t->changed);
    if (s->n || s->n_weights)
        return;
    map_remove(&t->services, t->changed);
    service_free(s);
}

void told_undo(struct told *t)
{
    if (!t->open)
        return;
    struct told_service *is = map_get(&t->services, t->changed);
    if (t->before) {
        bool ok = map_put(&t->services, t->before->name, t->before); /* its key is there */
        CHECK(ok);
    } else {
        map_remove(&t->services, t->changed);
    }
    service_free(is);
    t->before = NULL;
    t->open = false;
}

/* ---- what is asked ---- */

void told_give(const struct told *t, struct str service, struct merge_sink *sink)
{
    const struct told_service *s = map_get(&t->services, service);
    for (uint32_t i = 0; s && i < s->n; i++)
        merge_give(sink, &s->list[i]);
}

bool told_weight(const struct told *t, struct str service, struct str instance, uint32_t *weight)
{
    const struct told_service *s = map_get(&t->services, service);
    const struct told_weight *w = find_weight(s, instance);
    if (w)
        *weight = w->weight;
    return w != NULL;
}

uint32_t told_count(const struct told *t, struct str service)
{
    const struct told_service *s = map_get(&t->services, service);
    return s ? s->n : 0;
}

bool told_has(const struct told *t, struct str service, struct str instance)
{
    return find(map_get(&t->services, service), instance) != NULL;
}

void told_free(struct told *t)
{
    struct map_slot *slot;
    told_keep(t);
    for (size_t i = 0; (slot = map_next(&t->services, &i));)
        service_free(slot->value);
    map_free(&t->services);
}
