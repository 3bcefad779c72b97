#include "coord/etcd.h"

#include <stdio.h>

static void etcd_free(struct coord *c)
{
    struct etcd *t = etcd_of(c);
    etcd_ends_free(t);
    etcd_http_free(t->http);
    etcd_token_refused(t); /* wipes it */
    buf_free(&t->token);
    if (t->password)
        wipe(t->password, strlen(t->password));
    mem_free(t->password);
    mem_free(t->user);
    mem_free(t->prefix);
    mem_free(t);
}

static const struct coord_engine ENGINE = {
    .name = "etcd",
    .begin = etcd_begin,
    .drop = etcd_drop,
    .watch = etcd_watch_begin,
    .unwatch = etcd_watch_end,
    .free = etcd_free,
};

static int copy(char **out, const char *text, struct err *e)
{
    if (!text)
        return 0;
    *out = mem_alloc(strlen(text) + 1);
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for a connection to etcd");
    memcpy(*out, text, strlen(text) + 1);
    return 0;
}

static int check(const struct coord_etcd_options *o, struct err *e)
{
    if (strlen(o->prefix) > COORD_KEY_MAX)
        return err_set(e, ERR_LIMIT, "the prefix of all keys has more than %d characters",
                       COORD_KEY_MAX);
    if (!o->cert != !o->key)
        return err_set(e, ERR_INVAL, "a certificate needs its key, and a key its certificate");
    return 0;
}

int coord_etcd_new(struct coord **out, struct loop *l, const struct coord_etcd_options *o,
                   struct err *e)
{
    struct etcd_http_options http = {o->ca, o->cert, o->key};
    uint64_t seed;
    int bad = check(o, e);
    if (bad)
        return bad;
    struct etcd *t = mem_zero(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for a connection to etcd");
    coord_init(&t->coord, &ENGINE, l);
    etcd_ends_init(t);

    entropy(&seed, sizeof seed);
    prng_seed(&t->prng, seed);
    bad = copy(&t->prefix, o->prefix, e);
    bad = bad ? bad : copy(&t->user, o->user, e);
    bad = bad ? bad : copy(&t->password, o->password, e);
    bad = bad ? bad : etcd_http_new(&t->http, l, &http, e);
    bad = bad ? bad : etcd_ends_set(t, o->endpoints, o->n_endpoints, e);
    if (bad) {
        coord_free(&t->coord);
        return bad;
    }
    etcd_ends_start(t);
    *out = &t->coord;
    return 0;
}

int coord_etcd_endpoints(struct coord *c, const char *const *endpoints, uint32_t n, struct err *e)
{
    CHECK(c->engine == &ENGINE);
    struct etcd *t = etcd_of(c);
    int bad = etcd_ends_set(t, endpoints, n, e);
    if (!bad)
        etcd_ends_start(t);
    return bad;
}

void coord_etcd_machines(struct coord *c, const char *near, const char *const *unheard, uint32_t n)
{
    CHECK(c->engine == &ENGINE);
    etcd_ends_machines(etcd_of(c), near, unheard, n);
}
