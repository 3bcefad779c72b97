/* The names that are followed, what they give, and what of them outlives this process. */
#include "discover/names_inside.h"

#include <stdio.h>

#define SOON_NS NS_PER_MS /* a new name is asked for at the next turn of the loop */

/* ---- the table ---- */

static struct str key_of(struct str text, bool srv, char to[NAME_TEXT_MAX + 8])
{
    int n = snprintf(to, NAME_TEXT_MAX + 8, "%s:" STR_FMT, srv ? "srv" : "host",
                     (int)MIN(text.n, (size_t)NAME_TEXT_MAX - 1), text.p);
    return (struct str){to, (size_t)n};
}

struct name *names_find(const struct names *n, struct str text, bool srv)
{
    char key[NAME_TEXT_MAX + 8];
    return map_get(&n->map, key_of(text, srv, key));
}

static struct name *name_new(struct names *n, struct str text, bool srv)
{
    char key[NAME_TEXT_MAX + 8];
    struct name *m = n->map.n < NAMES_MAX ? mem_zero(1, sizeof *m) : NULL;
    if (!m)
        return NULL;
    m->names = n;
    m->srv = srv;
    str_copy(m->text, sizeof m->text, text);
    list_init(&m->link);
    round_init(m);
    if (!map_put(&n->map, key_of(text, srv, key), m)) {
        mem_free(m);
        return NULL;
    }
    if (srv)
        list_push_back(&n->services, &m->link);
    return m;
}

static bool is_scheduled(const struct name *m)
{
    if (timer_is_set(&m->due))
        return true;
    for (uint32_t i = 0; i < m->n_lookups; i++)
        if (m->lookups[i].in_flight || !list_empty(&m->lookups[i].queue))
            return true;
    return false;
}

static void schedule(struct name *m)
{
    if (!is_scheduled(m))
        loop_timer_set(m->names->loop, &m->due, loop_now(m->names->loop) + SOON_NS);
}

struct name *names_get(struct names *n, struct str text, bool srv)
{
    struct name *m = names_find(n, text, srv);
    if (!m)
        m = name_new(n, text, srv);
    if (m)
        schedule(m);
    return m;
}

static void name_free(struct name *m)
{
    round_end(m);
    list_remove(&m->link);
    mem_free(m);
}

int names_new(struct names **out, struct loop *l, const struct names_options *o,
              const struct names_owner *owner, struct err *e)
{
    struct names *n = mem_zero(1, sizeof *n);
    uint64_t seed;
    if (!n)
        return err_set(e, ERR_NOMEM, "no memory to look up names");
    n->loop = l;
    n->o = *o;
    n->owner = *owner;
    n->timeout = n->ttl_least = NS_PER_S;
    n->ttl_most = 300 * NS_PER_S;
    list_init(&n->queue);
    list_init(&n->services);
    entropy(&seed, sizeof seed);
    prng_seed(&n->prng, seed);
    *out = n;
    return 0;
}

void names_free(struct names *n)
{
    struct map_slot *slot;
    if (!n)
        return;
    for (size_t i = 0; (slot = map_next(&n->map, &i));)
        name_free(slot->value);
    map_free(&n->map);
    buf_free(&n->hosts);
    mem_free(n);
}

/* ---- following ---- */

/* True: what was asked before may have another answer now. */
static bool configure(struct names *n, const struct view_resolver *r)
{
    bool same = n->servers.n == r->n_servers;
    for (uint32_t i = 0; same && i < r->n_servers; i++)
        same = addr_eq(&n->servers.list[i], &r->servers[i]);
    n->servers.n = MIN(r->n_servers, (uint32_t)ASK_MAX_SERVERS);
    for (uint32_t i = 0; i < n->servers.n; i++)
        n->servers.list[i] = r->servers[i];
    n->timeout = r->timeout ? r->timeout : NS_PER_S;
    n->ttl_least = r->ttl_least ? r->ttl_least : NS_PER_S;
    n->ttl_most = r->ttl_most ? r->ttl_most : 300 * NS_PER_S;
    return !same;
}

static void mark_targets(struct names *n, const struct records *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        struct name *host = names_get(n, str_of(r->list[i].target), false);
        if (host)
            host->used = true;
    }
}

static int mark(struct names *n, const struct view *v, struct err *e)
{
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        for (uint32_t k = 0; k < s->n_sources; k++) {
            const struct view_source *source = &s->sources[k];
            if (source->kind == SOURCE_DIR)
                continue;
            struct name *m = names_get(n, source->name, source->kind == SOURCE_SRV);
            if (!m)
                return err_set(e, ERR_LIMIT, "more than %d names of backends, or no memory",
                               NAMES_MAX);
            m->used = true;
        }
    }
    return 0;
}

static void mark_all_targets(struct names *n)
{
    list_for_each (it, &n->services) {
        const struct name *m = LIST_ENTRY(it, struct name, link);
        if (!m->used)
            continue;
        mark_targets(n, &m->good);
        mark_targets(n, &m->next);
    }
}

/* One at a time: what is removed moves others. */
static bool sweep_one(struct names *n)
{
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&n->map, &i));) {
        struct name *m = slot->value;
        if (m->used)
            continue;
        map_remove(&n->map, (struct str){slot->key, slot->key_n});
        name_free(m);
        return true;
    }
    return false;
}

static void ask_all_again(struct names *n)
{
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&n->map, &i));) {
        struct name *m = slot->value;
        if (timer_is_set(&m->due))
            loop_timer_set(n->loop, &m->due, loop_now(n->loop) + SOON_NS);
    }
}

int names_follow(struct names *n, const struct view *v, const struct view *also, struct err *e)
{
    struct map_slot *slot;
    bool other = configure(n, &v->resolver);
    for (size_t i = 0; (slot = map_next(&n->map, &i));)
        ((struct name *)slot->value)->used = false;
    int rc = mark(n, v, e);
    if (rc == 0 && also)
        rc = mark(n, also, e);
    mark_all_targets(n);
    while (rc == 0 && sweep_one(n)) {
    }
    if (other)
        ask_all_again(n);
    return rc;
}

/* ---- giving ---- */

static void give_host(const struct name *host, struct view_instance *like, uint16_t port,
                      struct merge_sink *sink)
{
    for (uint32_t i = 0; i < host->good.n; i++) {
        like->addr = host->good.list[i].addr;
        like->addr.port = port;
        merge_give(sink, like);
    }
}

static void give_service(struct names *n, const struct name *m, const struct view_source *source,
                         struct merge_sink *sink)
{
    for (uint32_t i = 0; i < m->good.n; i++) {
        const struct record *target = &m->good.list[i];
        const struct name *host = names_find(n, str_of(target->target), false);
        struct view_instance like = source->like;
        uint32_t group, weight;
        if (!host)
            continue;
        records_place(&m->good, i, &group, &weight);
        like.priority = MIN(like.priority + group, POOL_GROUPS - 1u);
        like.weight = MIN(like.weight * weight, (uint32_t)VIEW_MAX_WEIGHT);
        give_host(host, &like, target->addr.port, sink);
    }
}

void names_give(struct names *n, const struct view_source *source, struct merge_sink *sink)
{
    bool srv = source->kind == SOURCE_SRV;
    const struct name *m = names_find(n, source->name, srv);
    struct view_instance like = source->like;
    if (m && srv)
        give_service(n, m, source, sink);
    else if (m)
        give_host(m, &like, source->port, sink);
}

/* ---- what outlives this process ---- */

static json_t *record_json(const struct name *m, const struct record *r)
{
    char text[ADDR_TEXT_MAX];
    if (m->srv)
        return json_pack("{s:s,s:i,s:i,s:i}", "target", r->target, "port", r->addr.port, "priority",
                         r->priority, "weight", r->weight);
    addr_format_ip(&r->addr, text);
    return json_string(text);
}

static json_t *name_json(const struct name *m)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (uint32_t i = 0; ok && i < m->good.n; i++)
        ok = json_array_append_new(list, record_json(m, &m->good.list[i])) == 0;
    if (!ok) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s,s:s,s:o}", "name", m->text, "type", m->srv ? "srv" : "host", "records",
                     list);
}

json_t *names_json(const struct names *n)
{
    json_t *list = json_array();
    const struct map_slot *slot;
    bool ok = list != NULL;
    for (size_t i = 0; ok && (slot = map_next(&n->map, &i));) {
        const struct name *m = slot->value;
        if (m->good.n)
            ok = json_array_append_new(list, name_json(m)) == 0;
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static uint16_t number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* False: not a record that we wrote. */
static bool record_read(bool srv, const json_t *from, struct record *out)
{
    char text[ADDR_TEXT_MAX];
    *out = (struct record){0};
    if (srv) {
        const char *target = json_string_value(json_object_get(from, "target"));
        size_t n = target ? strlen(target) : 0;
        out->addr.port = number(from, "port");
        out->priority = number(from, "priority");
        out->weight = number(from, "weight");
        if (n < 2 || n >= sizeof out->target || target[n - 1] != '.' || !out->addr.port)
            return false;
        memcpy(out->target, target, n);
        return true;
    }
    const char *ip = json_string_value(from);
    if (!ip)
        return false;
    snprintf(text, sizeof text, strchr(ip, ':') ? "[%.45s]:1" : "%.45s:1", ip);
    bool ok = addr_parse(str_of(text), &out->addr);
    out->addr.port = 0;
    return ok && out->addr.kind != ADDR_UNIX;
}

static void name_load(struct names *n, const json_t *from)
{
    const char *text = json_string_value(json_object_get(from, "name"));
    const char *type = json_string_value(json_object_get(from, "type"));
    const json_t *list = json_object_get(from, "records"), *item;
    size_t i;
    if (!text || !*text || strlen(text) >= NAME_TEXT_MAX || !type)
        return;
    bool srv = strcmp(type, "srv") == 0;
    struct name *m = names_find(n, str_of(text), srv);
    if (!m)
        m = name_new(n, str_of(text), srv);
    json_array_foreach(list, i, item)
    {
        struct record r;
        if (!m || !record_read(srv, item, &r))
            continue;
        struct lookup *l = &m->lookups[!srv && r.addr.kind == ADDR_IP6];
        records_add(&m->good, &r);
        records_add(&l->latest, &r);
    }
}

void names_load(struct names *n, const json_t *root)
{
    const json_t *item;
    size_t i;
    json_array_foreach(root, i, item) name_load(n, item);
}
