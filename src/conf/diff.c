/* What a reload changes, in words. One change a line; services in the order of the new file, then
 * those that are gone. Values whose text came from a variable or another file are not shown. */
#include "conf/diff.h"
#include "conf/print.h"

void diff_line(struct diff *d, struct str service, const char *part, struct str name)
{
    d->n++;
    buf_printf(d->out, "service " STR_FMT ": %s" STR_FMT "%s", STR_ARG(service), part,
               STR_ARG(name), name.n ? " " : "");
}

static void line_for(struct diff *d, struct str service)
{
    diff_line(d, service, "", STR(""));
}

void diff_end(struct diff *d)
{
    buf_add(d->out, "\n", 1);
}

/* Those that may hold what came from a variable or another file. */
static bool is_text(const struct setting *s)
{
    return schema_field(s) == FIELD_WORDS ||
           (schema_field(s) == FIELD_TEXT && s->kind != KIND_NAME && s->kind != KIND_COOKIE);
}

static bool is_one_of(const char *const *keys, const char *key)
{
    for (; keys && *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

void diff_settings(struct diff *d, const struct block *b, struct str service, const char *part,
                   struct str name, const void *was, const void *is, bool hidden,
                   const char *const *skip)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct setting *s = &b->settings[i];
        if (!has_field(s) || same_setting(s, was, is) || is_one_of(skip, s->key))
            continue;
        diff_line(d, service, part, name);
        if (hidden && is_text(s)) {
            buf_printf(d->out, "%s changed", s->key);
        } else {
            buf_printf(d->out, "%s ", s->key);
            print_setting(s, was, d->out);
            buf_printf(d->out, " -> ");
            print_setting(s, is, d->out);
        }
        diff_end(d);
    }
}

/* A block that a service has once. */
static void diff_block(struct diff *d, enum block_id id, const struct view_service *was,
                       const struct view_service *is)
{
    const struct block *b = schema_block(id);
    diff_settings(d, b, is->name, "", str_of(b->name), (const char *)was + b->offset,
                  (const char *)is + b->offset, was->check.secret || is->check.secret, NULL);
}

static const char *check_name(const struct view_check *c)
{
    return c->kind == CHECK_NONE ? "none" : c->kind == CHECK_TCP ? "tcp" : "http";
}

/* Of a check that is off, the rest does not matter. */
static void diff_check(struct diff *d, const struct view_service *was,
                       const struct view_service *is)
{
    if (was->check.kind != is->check.kind) {
        line_for(d, is->name);
        buf_printf(d->out, "check %s -> %s", check_name(&was->check), check_name(&is->check));
        diff_end(d);
    }
    if (was->check.kind != CHECK_NONE && is->check.kind != CHECK_NONE)
        diff_block(d, BLOCK_CHECK, was, is);
}

/* Its clients read at replicas. */
static bool is_for_readers(const struct view_service *s, uint32_t i)
{
    return i + s->primary.n_readers >= s->n_sockets;
}

static bool listens(const struct view *v, const struct view_service *s, const struct view_socket *a,
                    bool reads)
{
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        const struct view_socket *b = &v->sockets[s->sockets[i]];
        if (b->use == a->use && addr_eq(&b->addr, &a->addr) && is_for_readers(s, i) == reads)
            return true;
    }
    return false;
}

/* The listeners of one that the other has not. */
static void diff_listeners(struct diff *d, char sign, const struct view *v,
                           const struct view_service *s, const struct view *other,
                           const struct view_service *o)
{
    char text[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        const struct view_socket *a = &v->sockets[s->sockets[i]];
        bool reads = is_for_readers(s, i);
        if (listens(other, o, a, reads))
            continue;
        addr_format(&a->addr, text);
        line_for(d, s->name);
        buf_printf(d->out, "%c %s %s%s", sign, reads ? "replicas" : "listen",
                   view_mode_scheme(s->mode), text);
        diff_end(d);
    }
}

static void backdiff_end(struct diff *d, char sign, struct str service,
                         const struct view_instance *i)
{
    char text[ADDR_TEXT_MAX];
    addr_format(&i->addr, text);
    line_for(d, service);
    buf_printf(d->out, "%c backend " STR_FMT, sign, STR_ARG(i->name));
    if (!str_eq(i->name, str_of(text)))
        buf_printf(d->out, " (%s)", text);
    diff_end(d);
}

static void backend_number(struct diff *d, struct str service, const struct view_instance *is,
                           const char *what, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    line_for(d, service);
    buf_printf(d->out, "backend " STR_FMT " %s %u -> %u", STR_ARG(is->name), what, from, to);
    diff_end(d);
}

/* "a", or - for none. */
static void add_zone(struct buf *out, struct str zone)
{
    buf_add_str(out, zone.n ? zone : STR("-"));
}

static void backend_zone(struct diff *d, struct str service, const struct view_instance *was,
                         const struct view_instance *is)
{
    if (str_eq(was->zone, is->zone))
        return;
    line_for(d, service);
    buf_printf(d->out, "backend " STR_FMT " zone ", STR_ARG(is->name));
    add_zone(d->out, was->zone);
    buf_printf(d->out, " -> ");
    add_zone(d->out, is->zone);
    diff_end(d);
}

static void backend_changes(struct diff *d, struct str service, const struct view_instance *was,
                            const struct view_instance *is)
{
    char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    if (!addr_eq(&was->addr, &is->addr)) {
        addr_format(&was->addr, from);
        addr_format(&is->addr, to);
        line_for(d, service);
        buf_printf(d->out, "backend " STR_FMT " address %s -> %s", STR_ARG(is->name), from, to);
        diff_end(d);
    }
    backend_number(d, service, is, "weight", was->weight, is->weight);
    backend_number(d, service, is, "priority", was->priority, is->priority);
    backend_number(d, service, is, "max-requests", was->max_requests, is->max_requests);
    backend_zone(d, service, was, is);
    if (was->weight == is->weight)
        backend_number(d, service, is, "configured weight", was->own_weight, is->own_weight);
    if (was->origin == is->origin && str_eq(was->source, is->source))
        return;
    line_for(d, service);
    buf_printf(d->out, "backend " STR_FMT " comes from elsewhere", STR_ARG(is->name));
    diff_end(d);
}

static bool same_source(const struct view_source *a, const struct view_source *b)
{
    return a->kind == b->kind && a->port == b->port && str_eq(a->name, b->name) &&
           a->like.weight == b->like.weight && a->like.priority == b->like.priority &&
           a->like.max_requests == b->like.max_requests;
}

/* What gives one of them instances, and not the other. */
static void diff_sources(struct diff *d, char sign, const struct view_service *s,
                         const struct view_service *other)
{
    for (uint32_t i = 0; i < s->n_sources; i++) {
        const struct view_source *a = &s->sources[i];
        bool there = false;
        for (uint32_t k = 0; k < other->n_sources; k++)
            there |= same_source(a, &other->sources[k]);
        if (there)
            continue;
        line_for(d, s->name);
        buf_printf(d->out, "%c %s" STR_FMT, sign,
                   a->kind == SOURCE_DIR   ? "backends-from "
                   : a->kind == SOURCE_SRV ? "backends srv:"
                                           : "backends ",
                   STR_ARG(a->name));
        if (a->kind == SOURCE_HOST)
            buf_printf(d->out, ":%u", a->port);
        diff_end(d);
    }
}

static void diff_backends(struct diff *d, const struct view_service *was,
                          const struct view_service *is)
{
    for (uint32_t i = 0; i < was->n_instances; i++)
        if (!view_instance_find(is, was->instances[i].name))
            backdiff_end(d, '-', is->name, &was->instances[i]);
    for (uint32_t i = 0; i < is->n_instances; i++) {
        const struct view_instance *old = view_instance_find(was, is->instances[i].name);
        if (old)
            backend_changes(d, is->name, old, &is->instances[i]);
        else
            backdiff_end(d, '+', is->name, &is->instances[i]);
    }
}

static const char *log_of(const struct view *v, const struct view_service *s)
{
    return s->access_log < 0 ? "off" : v->sockets[s->access_log].addr.path;
}

static void diff_log(struct diff *d, const struct view_service *was, const struct view_service *is)
{
    const char *from = log_of(d->now, was), *to = log_of(d->next, is);
    if (strcmp(from, to) == 0)
        return;
    line_for(d, is->name);
    buf_printf(d->out, "access-log %s -> %s", from, to);
    diff_end(d);
}

static void diff_service(struct diff *d, const struct view_service *was,
                         const struct view_service *is)
{
    diff_listeners(d, '-', d->now, was, d->next, is);
    diff_listeners(d, '+', d->next, is, d->now, was);
    diff_settings(d, schema_block(BLOCK_SERVICE), is->name, "", STR(""), was, is, false, NULL);
    diff_sources(d, '-', was, is);
    diff_sources(d, '+', is, was);
    diff_backends(d, was, is);
    diff_check(d, was, is);
    for (int i = BLOCK_CHECK + 1; i <= BLOCK_STICKY; i++)
        diff_block(d, (enum block_id)i, was, is);
    diff_primary(d, was, is);
    diff_rules(d, was, is);
    diff_log(d, was, is);
}

bool diff_has_socket(const struct view *v, const struct view_socket *s)
{
    for (uint32_t i = 0; i < v->n_sockets; i++)
        if (v->sockets[i].use == s->use && addr_eq(&v->sockets[i].addr, &s->addr))
            return true;
    return false;
}

static void diff_admin(struct diff *d, char sign, const struct view *v, const struct view *other)
{
    char text[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < v->n_sockets; i++) {
        const struct view_socket *s = &v->sockets[i];
        if ((s->use != SOCKET_METRICS && s->use != SOCKET_ADMIN) || diff_has_socket(other, s))
            continue;
        addr_format(&s->addr, text);
        d->n++;
        buf_printf(d->out, "admin: %c %s http://%s\n", sign,
                   s->use == SOCKET_METRICS ? "metrics" : "listen", text);
    }
}

static const struct view_token *token_find(const struct view *v, struct str name)
{
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (str_eq(v->tokens[i].name, name))
            return &v->tokens[i];
    return NULL;
}

static void token_line(struct diff *d, const struct view_token *t, const char *what)
{
    d->n++;
    buf_printf(d->out, "admin: %s" STR_FMT "%s\n", what[0] == ' ' ? "token " : what,
               STR_ARG(t->name), what[0] == ' ' ? what : "");
}

/* Of a secret, only that it is another one. */
static void diff_tokens(struct diff *d)
{
    for (uint32_t i = 0; i < d->now->n_tokens; i++)
        if (!token_find(d->next, d->now->tokens[i].name))
            token_line(d, &d->now->tokens[i], "- token ");
    for (uint32_t i = 0; i < d->next->n_tokens; i++) {
        const struct view_token *t = &d->next->tokens[i], *was = token_find(d->now, t->name);
        if (!was)
            token_line(d, t, "+ token ");
        else if (memcmp(was->digest, t->digest, sizeof t->digest) != 0)
            token_line(d, t, " secret changed");
        if (was && was->rights != t->rights)
            token_line(d, t, " rights changed");
    }
}

static void diff_resolver(struct diff *d)
{
    const struct view_resolver *a = &d->now->resolver, *b = &d->next->resolver;
    bool same = a->n_servers == b->n_servers && a->timeout == b->timeout &&
                a->ttl_least == b->ttl_least && a->ttl_most == b->ttl_most;
    for (uint32_t i = 0; same && i < a->n_servers; i++)
        same = addr_eq(&a->servers[i], &b->servers[i]);
    if (same)
        return;
    d->n++;
    buf_printf(d->out, "resolver: changed\n");
}

static void diff_audit(struct diff *d)
{
    const struct view_audit *a = &d->now->audit, *b = &d->next->audit;
    if (a->keep == b->keep && a->size == b->size && a->rows == b->rows)
        return;
    d->n++;
    buf_printf(d->out, "audit: changed\n");
}

static void added(struct diff *d, const struct view_service *s)
{
    line_for(d, s->name);
    buf_printf(d->out, "added, ");
    if (view_is_primary(s)) {
        buf_printf(d->out, "%s on ", view_agent_name(s->primary.agent));
        diff_print_on(d->next, &s->primary, d->out);
    } else {
        buf_printf(d->out, "%u backend%s", s->n_instances, s->n_instances == 1 ? "" : "s");
    }
    diff_end(d);
}

int conf_diff(const struct view *now, const struct view *next, struct buf *out)
{
    static const struct view nothing;
    struct diff d = {.now = now ? now : &nothing, .next = next, .out = out};
    d.before.v = d.now;
    d.after.v = next;
    if (now && now->workers != next->workers) {
        d.n++;
        buf_printf(out, "workers %u -> %u\n", now->workers, next->workers);
    }
    if (now && !str_eq(now->zone, next->zone)) {
        d.n++;
        buf_printf(out, "zone ");
        add_zone(out, now->zone);
        buf_printf(out, " -> ");
        add_zone(out, next->zone);
        buf_printf(out, "\n");
    }
    if (now) {
        diff_resolver(&d);
        diff_audit(&d);
    }
    diff_cluster(&d);
    diff_admin(&d, '-', d.now, next);
    diff_admin(&d, '+', next, d.now);
    diff_tokens(&d);
    diff_beats(&d);
    diff_logs(&d);
    diff_notify(&d);
    for (uint32_t i = 0; i < next->n_services; i++) {
        const struct view_service *s = &next->services[i];
        const struct view_service *was = view_index_find(&d.before, i, s->name);
        if (was)
            diff_service(&d, was, s);
        else
            added(&d, s);
    }
    for (uint32_t i = 0; i < d.now->n_services; i++) {
        if (view_index_find(&d.after, i, d.now->services[i].name))
            continue;
        line_for(&d, d.now->services[i].name);
        buf_printf(out, "removed");
        diff_end(&d);
    }
    view_index_free(&d.before);
    view_index_free(&d.after);
    return out->failed ? -(int)ERR_NOMEM : d.n;
}
