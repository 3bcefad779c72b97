/* What is local to a node, once all nodes share one configuration (docs/coordinator.md), and how a
 * node's own file and the shared one become one tree of statements.
 *
 * Two kinds. What describes the machine or lets somebody in is the own file's alone: a shared
 * configuration can neither open nor close a node's admin API, and what it says of `workers` or
 * `zone` means the machine that it was written on. What is the same nearly everywhere but may
 * differ (where the key lies, where a log is written) is the own file's only if that says
 * something. */
#include "conf/schema.h"
#include "conf/tree.h"

static const struct {
    enum block_id block;
    const char *name; /* of a setting, or of a block: all of it */
    enum locality locality;
} locals[] = {
    {BLOCK_TOP, "workers", LOCAL_OWN},
    {BLOCK_TOP, "zone", LOCAL_OWN},
    {BLOCK_TOP, "admin", LOCAL_OWN},
    {BLOCK_CLUSTER, "key", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator-ca", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator-cert", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator-key", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator-user", LOCAL_FIRST},
    {BLOCK_CLUSTER, "coordinator-password", LOCAL_FIRST},
    {BLOCK_SERVICE, "access-log", LOCAL_FIRST},
    {BLOCK_SERVICE, "vip-interface", LOCAL_FIRST},
};

enum locality schema_locality(enum block_id id, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(locals); i++)
        if (locals[i].block == id && str_eq(str_of(locals[i].name), name))
            return locals[i].locality;
    return LOCAL_NOT;
}

/* Settings that mean nothing without each other are the own file's together. */
static struct str family(struct str name)
{
    static const struct str coordinator = {"coordinator", 11};
    return str_starts(name, coordinator) ? coordinator : name;
}

static bool has(const struct node *list, struct str name)
{
    for (; list; list = list->next)
        if (str_eq(family(list->name), family(name)))
            return true;
    return false;
}

/* Whether a statement of the own file takes part, and one of the shared one. */
static bool takes_own(enum block_id id, struct str name)
{
    return schema_locality(id, name) != LOCAL_NOT;
}

static bool takes_shared(enum block_id id, struct str name, const struct node *own)
{
    switch (schema_locality(id, name)) {
    case LOCAL_NOT: return true;
    case LOCAL_OWN: return false;
    case LOCAL_FIRST: return !has(own, name);
    }
    UNREACHABLE();
}

/* Moves those of *list that are wanted behind *tail. */
static struct node *merge(enum block_id id, struct node *shared, struct node *own)
{
    struct node *first = NULL, **tail = &first, *next;
    for (struct node *n = shared; n; n = next) {
        next = n->next;
        if (!takes_shared(id, n->name, own))
            continue;
        *tail = n;
        tail = &n->next;
        n->next = NULL;
    }
    for (struct node *n = own; n; n = next) {
        next = n->next;
        if (!takes_own(id, n->name))
            continue;
        *tail = n;
        tail = &n->next;
        n->next = NULL;
    }
    return first;
}

static const struct node *block_of(const struct node *list, const char *name)
{
    for (; list; list = list->next)
        if (str_eq(list->name, str_of(name)))
            return list;
    return NULL;
}

static bool is(const struct node *n, const char *name)
{
    return str_eq(n->name, str_of(name));
}

static bool map_services(struct map *m, const struct node *own)
{
    for (const struct node *n = own; n; n = n->next)
        if (is(n, "service") && n->args && !map_put(m, n->args->text, (void *)(uintptr_t)n))
            return false;
    return true;
}

static void resolve_values(struct conf *c, struct value *v)
{
    for (; v; v = v->next) {
        conf_resolve_now(c, v);
        resolve_values(c, v->items);
    }
}

/* What counts is known now. Blocks are nested CONF_MAX_NESTING deep at most. */
static void resolve_all(struct conf *c, struct node *list)
{
    for (; list; list = list->next) {
        resolve_values(c, list->args);
        resolve_values(c, list->value);
        resolve_all(c, list->children);
    }
}

struct node *conf_local_merge(struct conf *c, struct node *shared, struct node *own)
{
    struct map services = {0};
    const struct node *cluster = block_of(own, "cluster");
    c->nomem |= !map_services(&services, own);
    for (struct node *n = shared; n; n = n->next) {
        const struct node *mine = NULL;
        if (is(n, "service") && n->args)
            mine = map_get(&services, n->args->text);
        else if (is(n, "cluster"))
            mine = cluster;
        if (mine)
            n->children = merge(is(n, "service") ? BLOCK_SERVICE : BLOCK_CLUSTER, n->children,
                                mine->children);
    }
    map_free(&services);
    struct node *all = merge(BLOCK_TOP, shared, own);
    resolve_all(c, all);
    return all;
}
