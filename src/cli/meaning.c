#include "cli/meaning.h"

#include "cli/term.h"

static void add_count(struct buf *out, uint32_t n, const char *what)
{
    buf_printf(out, "%u %s%s", n, what, n == 1 ? "" : "s");
}

static void add_duration(struct buf *out, uint64_t ns)
{
    uint64_t ms = ns / 1000000;
    if (ms % 1000 == 0)
        buf_printf(out, "%llus", (unsigned long long)(ms / 1000));
    else
        buf_printf(out, "%llums", (unsigned long long)ms);
}

static void add_listen(const struct view *v, const struct view_service *s, struct buf *out)
{
    char text[ADDR_TEXT_MAX];
    if (s->n_sockets == 0)
        buf_add_str(out, view_is_primary(s) ? STR("no listener")
                                            : STR("reached through other services"));
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        addr_format(&v->sockets[s->sockets[i]].addr, text);
        if (i)
            buf_add_str(out, STR(", "));
        else
            buf_printf(out, "%.*s on ", (int)strcspn(view_mode_scheme(s->mode), ":"),
                       view_mode_scheme(s->mode));
        text_clean(out, str_of(text));
        if (i + s->primary.n_readers >= s->n_sockets)
            buf_add_str(out, STR(" (readers)"));
    }
}

static void add_check(const struct view_check *c, struct buf *out)
{
    if (c->kind == CHECK_NONE) {
        buf_add_str(out, STR("no checks: judged by its requests alone"));
        return;
    }
    if (c->kind == CHECK_HTTP) {
        buf_add_str(out, STR("checked by GET "));
        text_clean(out, c->path);
    } else {
        buf_add_str(out, STR("checked by a TCP connection"));
    }
    buf_add_str(out, STR(" every "));
    add_duration(out, c->interval);
}

static void add_retry(const struct view_retry *r, struct buf *out)
{
    if (r->attempts > 1 && r->on)
        buf_printf(out, "up to %u attempts, retries within %g%% of the requests", r->attempts,
                   r->budget_permille / 10.0);
    else
        buf_add_str(out, STR("no retries"));
}

/* What gives it more while it runs. */
static void add_sources(const struct view_service *s, struct buf *out)
{
    const char *and = s->n_instances ? " and " : "";
    for (uint32_t i = 0; i < s->n_sources; i++) {
        const struct view_source *source = &s->sources[i];
        buf_printf(out, "%s%s", and,
                   source->kind == SOURCE_DIR   ? "those in "
                   : source->kind == SOURCE_SRV ? "those of srv:"
                                                : "those of ");
        text_clean(out, source->name);
        and = " and ";
    }
    if (s->dynamic)
        buf_printf(out, "%sthose that are added", and);
}

/* Its agent, where it may run, and the address that goes with it. */
static void add_primary(const struct view *v, const struct view_primary *p, struct buf *out)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(out, "; primary by %s on ", view_agent_name(p->agent));
    for (uint32_t i = 0; i < p->n_on; i++) {
        buf_add_str(out, i ? STR(", ") : STR(""));
        text_clean(out, v->cluster.nodes[p->on[i]].name);
    }
    if (p->port)
        buf_printf(out, ", port %u", p->port);
    if (p->vip.kind) {
        addr_format_ip(&p->vip, text);
        buf_printf(out, "; vip %s/%u", text, p->vip_prefix);
    }
    if (p->agent == AGENT_REDIS && p->sync)
        buf_printf(out, "; writes wait for %u replica%s", p->sync, p->sync == 1 ? "" : "s");
    else if (p->agent == AGENT_REDIS)
        buf_add_str(out, STR("; writes wait for no replica"));
}

/* Routes, then its own instances, if it has any or may get some. */
static void add_way(const struct view_service *s, struct buf *out)
{
    if (s->n_routes) {
        buf_add_str(out, STR("; "));
        add_count(out, s->n_routes, "route");
    }
    if (s->n_routes && !s->n_instances && !s->n_sources && !s->dynamic)
        return;
    buf_printf(out, "; %s over ", algorithm_name((enum algorithm)s->balance));
    if (s->n_instances || (!s->n_sources && !s->dynamic))
        add_count(out, s->n_instances, "instance");
    add_sources(s, out);
    buf_add_str(out, STR("; "));
    add_check(&s->check, out);
    buf_add_str(out, STR("; "));
    add_retry(&s->retry, out);
}

static void add_cluster(const struct view *v, struct buf *out)
{
    char text[ADDR_TEXT_MAX];
    const struct view_node *self = view_self(v);
    if (!self)
        return;
    addr_format(&self->address, text);
    buf_add_str(out, STR("  cluster "));
    text_clean(out, v->cluster.name);
    buf_add_str(out, STR(": "));
    add_count(out, v->cluster.n_nodes, "node");
    buf_add_str(out, STR(", this one is "));
    text_clean(out, self->name);
    buf_printf(out, " (%s%s)\n", text, self->role == NODE_WITNESS ? ", witness" : "");
}

void meaning_print(const struct view *v, struct buf *out)
{
    uint32_t instances = 0;
    for (uint32_t i = 0; i < v->n_services; i++)
        instances += v->services[i].n_instances;
    buf_add_str(out, STR(": "));
    add_count(out, v->n_services, "service");
    buf_add_str(out, STR(", "));
    add_count(out, instances, "instance");
    buf_add_str(out, STR("\n"));
    add_cluster(v, out);
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        buf_add_str(out, STR("  "));
        text_clean(out, s->name);
        buf_add_str(out, STR(": "));
        add_listen(v, s, out);
        if (view_is_primary(s))
            add_primary(v, &s->primary, out);
        else
            add_way(s, out);
        buf_add_str(out, STR("\n"));
    }
}

static json_t *instances_json(const struct view_service *s)
{
    json_t *all = json_array();
    char address[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < s->n_instances; i++) {
        const struct view_instance *one = &s->instances[i];
        addr_format(&one->addr, address);
        json_array_append_new(all, json_pack("{s:s%, s:s, s:i}", "name", one->name.p, one->name.n,
                                             "address", address, "weight", (int)one->weight));
    }
    return all;
}

static json_t *listen_json(const struct view *v, const struct view_service *s)
{
    json_t *all = json_array();
    char address[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        addr_format(&v->sockets[s->sockets[i]].addr, address);
        json_array_append_new(all, json_string(address));
    }
    return all;
}

json_t *meaning_json(const struct view *v)
{
    json_t *all = json_array();
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        json_array_append_new(all, json_pack("{s:s%, s:s, s:o, s:o}", "name", s->name.p, s->name.n,
                                             "balance", algorithm_name((enum algorithm)s->balance),
                                             "listen", listen_json(v, s), "instances",
                                             instances_json(s)));
    }
    return all;
}

static json_t *nodes_json(const struct view_cluster *k)
{
    json_t *all = json_array();
    char address[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        const struct view_node *n = &k->nodes[i];
        addr_format(&n->address, address);
        json_array_append_new(
            all, json_pack("{s:s%, s:s, s:s, s:o}", "name", n->name.p, n->name.n, "address",
                           address, "role", n->role == NODE_WITNESS ? "witness" : "member", "zone",
                           n->zone.n ? json_stringn(n->zone.p, n->zone.n) : json_null()));
    }
    return all;
}

json_t *meaning_cluster_json(const struct view *v)
{
    const struct view_node *self = v ? view_self(v) : NULL;
    if (!self)
        return json_null();
    const struct view_cluster *k = &v->cluster;
    return json_pack("{s:s%, s:s%, s:o, s:f, s:f, s:o}", "name", k->name.p, k->name.n, "self",
                     self->name.p, self->name.n, "key",
                     k->key_file.n ? json_stringn(k->key_file.p, k->key_file.n) : json_null(),
                     "heartbeat_ms", (double)k->heartbeat / 1e6, "suspect_after_ms",
                     (double)k->suspect_after / 1e6, "nodes", nodes_json(k));
}
