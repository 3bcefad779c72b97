#include "proxy/common.h"

enum { SESSIONS = 65536 }; /* that are remembered of a service at most: 1.5 MiB */

struct shared_rate {
    atomic_uint refs;
    struct view_rate conf; /* per.name is owned: it outlives the view */
    struct rate *rate;
};

struct shared_sessions {
    atomic_uint refs;
    uint64_t ttl;
    char *cookie; /* owned */
    struct sticky_table *table;
};

/* True: the caller frees it. */
static bool was_last(atomic_uint *refs)
{
    unsigned before = atomic_fetch_sub(refs, 1);
    CHECK(before > 0);
    return before == 1;
}

static char *copy_of(struct str s)
{
    char *copy = mem_zero(1, s.n + 1);
    if (copy && s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

/* --- rates --- */

struct rate *shared_rate(const struct shared_rate *r)
{
    return r->rate;
}

static void rate_unref(struct shared_rate *r)
{
    if (!r || !was_last(&r->refs))
        return;
    rate_close(r->rate);
    mem_free((void *)(uintptr_t)r->conf.per.name.p);
    mem_free(r);
}

static bool same_rate(const struct view_rate *a, const struct view_rate *b)
{
    return a->per.kind == b->per.kind && str_eq(a->per.name, b->per.name) &&
           a->requests == b->requests && a->burst == b->burst && a->every == b->every &&
           a->keys == b->keys;
}

static struct shared_rate *rate_new(const struct view_rate *conf, struct err *e)
{
    struct shared_rate *r = mem_zero(1, sizeof *r);
    char *name = r ? copy_of(conf->per.name) : NULL;
    if (!name) {
        mem_free(r);
        err_set(e, ERR_NOMEM, "no memory for a rate limit");
        return NULL;
    }
    atomic_store(&r->refs, 1);
    r->conf = *conf;
    r->conf.per.name = (struct str){name, conf->per.name.n};
    uint32_t keys = conf->per.kind == HASH_NONE ? 1 : conf->keys;
    if (rate_open(&r->rate, keys, conf->requests, conf->every, conf->burst, e)) {
        rate_unref(r);
        return NULL;
    }
    return r;
}

/* The one with the same words that is in neither list yet: two alike are two limits. */
static struct shared_rate *rate_before(const struct rates *before, const struct rates *now,
                                       const struct view_rate *conf)
{
    for (uint32_t i = 0; before && i < before->n; i++) {
        bool taken = false;
        for (uint32_t k = 0; k < now->n; k++)
            taken |= now->list[k] == before->list[i];
        if (taken || !same_rate(&before->list[i]->conf, conf))
            continue;
        atomic_fetch_add(&before->list[i]->refs, 1);
        return before->list[i];
    }
    return NULL;
}

static int open_rates(struct rates *r, const struct view_rules *conf, const struct rates *before,
                      struct err *e)
{
    for (uint32_t i = 0; i < MIN(conf->n_rates, (uint32_t)VIEW_MAX_RATES); i++) {
        struct shared_rate *one = rate_before(before, r, &conf->rates[i]);
        if (!one)
            one = rate_new(&conf->rates[i], e);
        if (!one)
            return -(int)ERR_NOMEM;
        r->list[r->n++] = one;
    }
    return 0;
}

/* Those of the route of this name. */
static const struct rates *route_before(const struct view_service *was, const struct common *before,
                                        struct str name)
{
    for (uint32_t i = 0; before && i < was->n_routes; i++)
        if (str_eq(was->routes[i].name, name))
            return &before->rates[1 + i];
    return NULL;
}

/* --- sessions --- */

struct sticky_table *shared_sessions(const struct shared_sessions *s)
{
    return s->table;
}

static void sessions_unref(struct shared_sessions *s)
{
    if (!s || !was_last(&s->refs))
        return;
    sticky_close(s->table);
    mem_free(s->cookie);
    mem_free(s);
}

static int open_sessions(struct common *c, const struct view_sticky *conf,
                         const struct common *before, struct err *e)
{
    struct shared_sessions *s = before ? before->sessions : NULL;
    if (conf->kind != STICKY_LEARN)
        return 0;
    if (s && s->ttl == conf->ttl && str_eq(str_of(s->cookie), conf->cookie)) {
        atomic_fetch_add(&s->refs, 1);
        c->sessions = s;
        return 0;
    }
    s = mem_zero(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for sessions");
    c->sessions = s;
    atomic_store(&s->refs, 1);
    s->ttl = conf->ttl;
    s->cookie = copy_of(conf->cookie);
    if (!s->cookie)
        return err_set(e, ERR_NOMEM, "no memory for sessions");
    return sticky_open(&s->table, SESSIONS, MAX(conf->ttl, 1), e);
}

/* --- what lives with the name --- */

static void live_unref(struct live *l)
{
    if (l && was_last(&l->refs))
        mem_free(l);
}

static int open_live(struct common *c, const struct common *before, uint32_t n_workers,
                     struct err *e)
{
    if (before) {
        c->live = before->live;
        atomic_fetch_add(&c->live->refs, 1);
        return 0;
    }
    struct live *l = mem_zero(1, sizeof *l + n_workers * sizeof l->queues[0]);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for the queues of a service");
    atomic_store(&l->refs, 1);
    l->n_workers = n_workers;
    for (uint32_t i = 0; i < n_workers; i++) {
        queue_init(&l->queues[i].queue, &l->gate, i);
        list_init(&l->queues[i].link);
        l->queues[i].live = l;
    }
    c->live = l;
    return 0;
}

/* --- all of it --- */

static int open_all(struct common *c, const struct view_service *s, const struct view_service *was,
                    const struct common *before, uint32_t n_workers, struct err *e)
{
    c->rates = mem_zero(1 + s->n_routes, sizeof *c->rates);
    if (!c->rates)
        return err_set(e, ERR_NOMEM, "no memory for the rate limits of a service");
    c->n_rates = 1 + s->n_routes;
    int r = open_live(c, before, n_workers, e);
    if (!r)
        r = open_sessions(c, &s->sticky, before, e);
    if (!r)
        r = open_rates(&c->rates[0], &s->rules, before ? &before->rates[0] : NULL, e);
    for (uint32_t i = 0; !r && i < s->n_routes; i++)
        r = open_rates(&c->rates[1 + i], &s->routes[i].rules,
                       route_before(was, before, s->routes[i].name), e);
    return r;
}

int common_new(const struct view_service *s, const struct view_service *was,
               const struct common *before, uint32_t n_workers, struct common **out, struct err *e)
{
    struct common *c = mem_zero(1, sizeof *c);
    *out = NULL;
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for what workers share of a service");
    atomic_store(&c->refs, 1);
    int r = open_all(c, s, was, before, n_workers, e);
    if (r)
        common_unref(c);
    else
        *out = c;
    return r;
}

struct common *common_ref(struct common *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void common_unref(struct common *c)
{
    if (!c || !was_last(&c->refs))
        return;
    for (uint32_t i = 0; i < c->n_rates; i++)
        for (uint32_t k = 0; k < c->rates[i].n; k++)
            rate_unref(c->rates[i].list[k]);
    mem_free(c->rates);
    sessions_unref(c->sessions);
    live_unref(c->live);
    mem_free(c);
}

/* A cluster would say which share of each is this node's; alone, it has all. */
void common_limit(struct common *c, const struct view_service *s, struct limit *places)
{
    enum { WHOLE = 1000 };
    limit_set(&c->live->gate.limit, s->admit.requests, WHOLE);
    for (uint32_t i = 0; i < s->n_instances; i++) {
        const struct view_instance *in = &s->instances[i];
        uint32_t most = in->max_requests ? in->max_requests : s->admit.per_instance;
        limit_set(&places[in->slot], most, WHOLE);
    }
}
