/* From statements to a view: what the table of settings cannot say. Which blocks must be there and
 * how often, what refers to what, and which settings do not go together. */
#include "conf/address.h"
#include "conf/backends.h"
#include "conf/builder.h"
#include "conf/logs.h"
#include "conf/policies.h"
#include "conf/primary.h"

#include <stdio.h>

/* A socket of the view, and who asked for it first. */
struct socket_owner {
    uint32_t index;
    struct place place;
    const char *who;
};

bool build_is(const struct node *n, const char *name)
{
    return n->name.n && n->name.p[0] == name[0] && str_eq(n->name, str_of(name));
}

uint32_t build_count(const struct node *children, const char *name)
{
    uint32_t count = 0;
    for (const struct node *n = children; n; n = n->next)
        count += build_is(n, name);
    return count;
}

bool build_has_backends(const struct node *n, const struct view_service *s)
{
    return s->n_instances || s->n_sources || s->dynamic || build_count(n->children, "backend");
}

void *build_array(struct builder *b, size_t n, size_t size)
{
    void *p = n ? arena_array(&b->v->arena, n, size) : NULL;
    b->c->nomem |= n && !p;
    return p;
}

void build_remember(struct builder *b, struct map *m, struct str key, const void *value)
{
    /* The map hands out what it was given; nobody writes through it. */
    if (!map_put(m, key, (void *)(uintptr_t)value))
        b->c->nomem = true;
}

/* Looks a socket up or makes it; NULL when there is no room. *fresh tells which. */
static struct socket_owner *socket_for(struct builder *b, enum socket_use use,
                                       const struct addr *addr, const struct place *at,
                                       const char *who, bool *fresh)
{
    char key[ADDR_TEXT_MAX + 1];
    key[0] = use == SOCKET_ACCESS_LOG ? 'F' : socket_is_datagram(use) ? 'U' : 'L';
    struct str k = {key, addr_format(addr, key + 1) + 1};
    struct socket_owner *owner = map_get(&b->sockets, k);
    *fresh = !owner;
    if (owner)
        return owner;
    if (b->v->n_sockets == VIEW_MAX_SOCKETS) {
        conf_complain(b->c, at, "", "more than %d listeners and logs", VIEW_MAX_SOCKETS);
        return NULL;
    }
    owner = arena_alloc(&b->c->arena, sizeof *owner);
    if (!owner || b->v->n_sockets >= b->cap_sockets) {
        b->c->nomem = true;
        return NULL;
    }
    *owner = (struct socket_owner){b->v->n_sockets, *at, who};
    b->v->sockets[b->v->n_sockets++] = (struct view_socket){(uint8_t)use, *addr};
    build_remember(b, &b->sockets, k, owner);
    return owner;
}

static enum socket_use beat_use(enum view_mode mode)
{
    return mode == VIEW_UDP ? SOCKET_BEAT_DATAGRAM : mode == VIEW_TCP ? SOCKET_BEAT : SOCKET_USES;
}

static struct socket_owner *listener(struct builder *b, enum socket_use use, enum view_mode *mode,
                                     const struct value *v, const char *who)
{
    struct addr addr;
    bool fresh;
    if (!address_listen(b->c, v, mode, &addr))
        return NULL;
    if (use == SOCKET_BEAT)
        use = beat_use(*mode);
    else if (*mode != VIEW_HTTP)
        use = use == SOCKET_HTTP ? view_mode_use(*mode) : SOCKET_USES;
    if (use == SOCKET_USES) {
        bool http = *mode == VIEW_HTTP;
        conf_complain(b->c, &v->place,
                      http ? "listen to 'udp://' or 'tcp://'" : "listen to 'http://'",
                      http ? "%s does not speak HTTP" : "%s speaks HTTP only", who);
        return NULL;
    }
    struct socket_owner *owner = socket_for(b, use, &addr, &v->place, who, &fresh);
    if (!owner || fresh)
        return owner;
    const char *where = conf_where(b->c, &owner->place);
    if (strcmp(owner->who, who) == 0)
        conf_complain(b->c, &v->place, "", "%s listens to '" STR_FMT "' twice (first at %s)", who,
                      STR_ARG(conf_shown(v)), where);
    else
        conf_complain(b->c, &v->place, "", "%s cannot listen to '" STR_FMT "': %s does (%s)", who,
                      STR_ARG(conf_shown(v)), owner->who, where);
    return NULL;
}

bool build_socket(struct builder *b, enum socket_use use, const struct addr *addr,
                  const struct node *n, const char *who)
{
    char text[ADDR_TEXT_MAX];
    bool fresh;
    const struct socket_owner *owner = socket_for(b, use, addr, &n->place, who, &fresh);
    addr_format(addr, text);
    if (owner && !fresh)
        conf_complain(b->c, &n->place, "give one of them another port",
                      "%s cannot listen to '%s': %s does (%s)", who, text, owner->who,
                      conf_where(b->c, &owner->place));
    return owner && fresh;
}

uint32_t build_count_items(const struct value *v)
{
    uint32_t n = 0;
    if (!v || v->kind != VALUE_LIST)
        return v != NULL;
    for (const struct value *i = v->items; i; i = i->next)
        n++;
    return n;
}

static void add_listener(struct builder *b, struct view_service *s, const struct value *v,
                         const char *who)
{
    enum view_mode mode;
    const struct socket_owner *owner = listener(b, SOCKET_HTTP, &mode, v, who);
    if (!owner)
        return;
    if (s->n_sockets && s->mode != mode) {
        conf_complain(b->c, &v->place, "make two services of it",
                      "%s listens to several protocols at once", who);
        return;
    }
    s->mode = (uint8_t)mode;
    s->sockets[s->n_sockets++] = owner->index;
}

static void add_listeners(struct builder *b, const struct node *service, const char *key,
                          struct view_service *s, const char *who)
{
    for (const struct node *k = service->children; k; k = k->next) {
        if (!build_is(k, key) || !k->value)
            continue;
        if (k->value->kind != VALUE_LIST)
            add_listener(b, s, k->value, who);
        for (const struct value *i = k->value->items; i; i = i->next)
            add_listener(b, s, i, who);
    }
}

/* Those of readers are the last. needed: it is a mistake to have none. */
static void build_listeners(struct builder *b, const struct node *service, bool needed,
                            struct view_service *s, const char *who)
{
    uint32_t n = 0;
    for (const struct node *k = service->children; k; k = k->next)
        n += build_is(k, "listen") || build_is(k, "replicas") ? build_count_items(k->value) : 0;
    s->sockets = build_array(b, n, sizeof *s->sockets);
    if (n && !s->sockets)
        return;
    add_listeners(b, service, "listen", s, who);
    uint32_t before = s->n_sockets;
    add_listeners(b, service, "replicas", s, who);
    s->primary.n_readers = s->n_sockets - before;
    if (n == 0 && needed && !links_lead_to(b, s->name))
        conf_complain(b->c, &service->place, "add 'listen = http://ADDRESS:PORT'",
                      "%s listens nowhere", who);
}

static void build_log(struct builder *b, const struct node *n, struct view_service *s,
                      const char *who)
{
    struct addr addr;
    bool fresh;
    if (!n || !n->value || n->value->bad || n->value->kind == VALUE_LIST ||
        str_eq(n->value->text, STR("off")) || !address_file(b->c, n->value, &addr))
        return;
    const struct socket_owner *owner =
        socket_for(b, SOCKET_ACCESS_LOG, &addr, &n->value->place, who, &fresh);
    if (owner)
        s->access_log = (int32_t)owner->index;
}

struct str build_name(struct builder *b, const struct value *v, const char *what)
{
    struct str none = {NULL, 0};
    if (!settings_name_valid(v->text)) {
        conf_complain(b->c, &v->place, "a name has up to 63 letters, digits, '.', '_' and '-'",
                      "'" STR_FMT "' is no name for a %s", STR_ARG(conf_shown(v)), what);
        return none;
    }
    if (v->secret) { /* it would show everywhere */
        conf_complain(b->c, &v->place, "", "a %s's name cannot be a reference", what);
        return none;
    }
    struct str name = arena_str(&b->v->arena, v->text);
    b->c->nomem |= !name.p;
    return name;
}

/* A valid name that no service before has; false after a problem. */
static bool name_service(struct builder *b, const struct node *n, struct view_service *s)
{
    const struct value *arg = backends_argument(b->c, n, BLOCK_SERVICE);
    struct str name = arg ? build_name(b, arg, "service") : (struct str){NULL, 0};
    if (!name.p)
        return false;
    s->name = name;
    const struct node *first = map_get(&b->services, s->name);
    if (first) {
        conf_complain(b->c, &arg->place, "", "a second service '" STR_FMT "' (the first is at %s)",
                      STR_ARG(s->name), conf_where(b->c, &first->place));
        return false;
    }
    build_remember(b, &b->services, s->name, n);
    return true;
}

/* Settings that only one kind of service has. */
/* Settings of a log that is not there. */
static void check_log(struct conf *c, const struct seen *seen, const struct view_service *s)
{
    static const char *const keys[] = {"access-log-format", "access-log-sample"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct node *n = settings_seen(seen, BLOCK_SERVICE, keys[i]);
        if (n && s->access_log < 0)
            conf_warn(c, &n->place, "add 'access-log = /PATH'", "%s is not used: there is no log",
                      keys[i]);
    }
    const struct node *slow = settings_seen(seen, BLOCK_SERVICE, "slow-log");
    if (slow && s->log.slow && s->n_sockets && s->mode != VIEW_HTTP)
        conf_warn(c, &slow->place, "", "slow-log is not used: only HTTP has requests");
}

static void check_mode(struct conf *c, const struct seen *seen, const struct view_service *s)
{
    const struct node *in = settings_seen(seen, BLOCK_SERVICE, "accept-proxy");
    const struct node *hash = settings_seen(seen, BLOCK_SERVICE, "hash-key");
    const struct node *bound = settings_seen(seen, BLOCK_SERVICE, "hash-balance-factor");
    if (hash && s->hash.kind != HASH_SOURCE && s->n_sockets && s->mode != VIEW_HTTP)
        conf_complain(c, &hash->place, "hash-key = source",
                      "a service without HTTP has no other key");
    if (bound && s->hash_bound_permille && s->hash_bound_permille < 1000)
        conf_complain(c, &bound->place, "125% is usual; 0% is no bound",
                      "hash-balance-factor is less than 100%%");
    if (hash && !algorithm_by_key((enum algorithm)s->balance))
        conf_warn(c, &hash->place, "balance = consistent-hash uses it",
                  "hash-key is not used: balance is %s",
                  algorithm_name((enum algorithm)s->balance));
    const struct node *replies = settings_seen(seen, BLOCK_SERVICE, "replies");
    if (in && s->proxy_in && s->mode == VIEW_UDP)
        conf_complain(c, &in->place, "", "accept-proxy is not for UDP services");
    if (replies && s->replies && s->n_sockets && s->mode != VIEW_UDP)
        conf_complain(c, &replies->place, "", "replies is for UDP services only");
    const struct node *trace = settings_seen(seen, BLOCK_SERVICE, "traceparent");
    if (trace && s->trace && s->mode != VIEW_HTTP)
        conf_complain(c, &trace->place, "", "traceparent is for HTTP services only");
    const struct node *n = settings_seen(seen, BLOCK_SERVICE, "send-proxy");
    if (n && s->proxy_out && s->n_sockets && s->mode != VIEW_TCP)
        conf_complain(c, &n->place, "backends get X-Forwarded-For and Forwarded",
                      "send-proxy is for TCP services only");
}

/* Rules look at requests, and only HTTP has them. */
static void check_http(struct conf *c, const struct node *service, const struct view_service *s)
{
    const struct block *b = schema_block(BLOCK_SERVICE);
    for (const struct node *n = service->children; n && s->mode != VIEW_HTTP; n = n->next) {
        enum block_id id = schema_child(BLOCK_SERVICE, n->name);
        size_t i = schema_find(b, n->name);
        bool rule = i != NO_FIELD && schema_owner(b, i) == schema_block(BLOCK_RULES);
        uint8_t only = id == BLOCKS ? ANY_MODE : schema_block(id)->only;
        if (only == NOT_UDP && s->mode == VIEW_UDP)
            conf_complain(c, &n->place, "", STR_FMT " is for HTTP and TCP services",
                          STR_ARG(n->name));
        else if (rule || only == ONLY_HTTP)
            conf_complain(c, &n->place, "", STR_FMT " is for HTTP services only", STR_ARG(n->name));
    }
}

/* What only a service with backends has. */
static void build_balanced(struct builder *b, const struct node *n, const struct seen *seen,
                           bool complete, struct view_service *s, const char *who)
{
    check_mode(b->c, seen, s);
    backends_build(b->c, n, complete && !build_count(n->children, "route"), s, who);
    b->instances += s->n_instances;
}

static void build_service(struct builder *b, const struct node *n)
{
    struct view_service *s = &b->v->services[b->v->n_services];
    struct seen seen;
    *s = (struct view_service){.access_log = -1}; /* a refused one may have been here */
    bool named = name_service(b, n, s);
    const char *who = named ? conf_text(b->c, "service " STR_FMT, STR_ARG(s->name)) : "the service";
    if (named && !n->block && !n->damaged) {
        conf_complain(b->c, &n->place, "write 'service NAME { listen = ...  backend ... }'",
                      "%s has no block", who);
        return;
    }
    uint32_t errors = b->c->problems->errors;
    settings_apply(b->c, BLOCK_SERVICE, n->children, s, &seen);
    /* A misspelt statement is not missing as well. */
    bool complete = !n->damaged && b->c->problems->errors == errors;
    build_listeners(b, n, complete && !view_is_primary(s), s, who);
    policies_build(b->c, n, s);
    if (primary_build(b, n, &seen, complete, s))
        s->check.kind = CHECK_NONE;
    else
        build_balanced(b, n, &seen, complete, s, who);
    check_http(b->c, n, s);
    rules_build(b, n, BLOCK_SERVICE, &seen, s, &s->rules);
    routes_build(b, n, s);
    pages_build(b, n, s);
    if (named)
        logs_of_service(b, n, s);
    b->c->logs = NULL;
    build_log(b, settings_seen(&seen, BLOCK_SERVICE, "access-log"), s, who);
    check_log(b->c, &seen, s);
    b->v->n_services += named;
}

static void build_services(struct builder *b, const struct node *top, bool damaged)
{
    uint32_t n = build_count(top, "service"), used = 0;
    uint32_t room = MIN(n, (uint32_t)VIEW_MAX_SERVICES);
    b->v->services = build_array(b, room, sizeof *b->v->services);
    for (const struct node *k = top; k && b->v->services && !b->c->nomem; k = k->next) {
        if (!build_is(k, "service"))
            continue;
        if (used++ == room) {
            conf_complain(b->c, &k->place, "", "more than %d services", VIEW_MAX_SERVICES);
            break;
        }
        build_service(b, k);
    }
    struct place start = {0, 0, 0};
    if (n == 0 && !damaged && !b->c->env->partial && b->c->problems->errors == 0 &&
        !build_count(top, "cluster"))
        conf_complain(b->c, &start, "add 'service NAME { ... }'", "there is no service");
    if (b->instances > VIEW_MAX_SLOTS)
        conf_complain(b->c, &start, "", "%u backends in all services, more than %d", b->instances,
                      VIEW_MAX_SLOTS);
}

void build_listen(struct builder *b, const struct node *block, const char *key, enum socket_use use,
                  const char *who)
{
    enum view_mode mode;
    for (const struct node *k = block ? block->children : NULL; k; k = k->next) {
        if (!build_is(k, key) || !k->value)
            continue;
        if (k->value->kind != VALUE_LIST)
            listener(b, use, &mode, k->value, who);
        for (const struct value *i = k->value->items; i; i = i->next)
            listener(b, use, &mode, i, who);
    }
}

bool build_is_near(const struct addr *a)
{
    static const uint8_t six[16] = {[15] = 1};
    return a->kind == ADDR_UNIX || (a->kind == ADDR_IP4 && a->ip[0] == 127) ||
           (a->kind == ADDR_IP6 && memcmp(a->ip, six, sizeof six) == 0);
}

/* Tokens are no use without a listener, and the other way round; and plain HTTP is readable. */
static void check_admin(struct builder *b, const struct node *listen, bool complete)
{
    bool far = false;
    for (uint32_t i = 0; i < b->v->n_sockets; i++)
        far |= b->v->sockets[i].use == SOCKET_ADMIN && !build_is_near(&b->v->sockets[i].addr);
    if (far)
        conf_warn(b->c, &listen->place, "listen on 127.0.0.1, behind a tunnel or a proxy with TLS",
                  "the admin API's tokens cross the network in the clear");
    if (listen && b->v->n_tokens == 0 && complete)
        conf_complain(b->c, &listen->place, "add 'token NAME { secret = file:/PATH }'",
                      "nobody can use the admin API here: there is no token");
}

static void build_admin(struct builder *b, const struct node *top)
{
    struct node parent = {.children = (struct node *)(uintptr_t)top};
    struct seen seen;
    uint32_t errors = b->c->problems->errors;
    const struct node *n = settings_block(b->c, &parent, BLOCK_ADMIN);
    settings_apply(b->c, BLOCK_ADMIN, n ? n->children : NULL, b->v, &seen);
    build_listen(b, n, "metrics", SOCKET_METRICS, "admin metrics");
    build_listen(b, n, "listen", SOCKET_ADMIN, "admin listen");
    tokens_build(b, n);
    check_admin(b, settings_seen(&seen, BLOCK_ADMIN, "listen"),
                n && !n->damaged && b->c->problems->errors == errors);
}

/* No more sockets than this can come out of these statements. */
static uint32_t sockets_at_most(const struct node *top)
{
    uint32_t n = 0;
    for (const struct node *k = top; k; k = k->next)
        for (const struct node *i = k->children; i; i = i->next)
            n += build_count_items(i->value);
    return MIN(n + 2, (uint32_t)VIEW_MAX_SOCKETS); /* and those of the cluster */
}

/* A witness votes and observes. The file was checked whole, but what serves is not its to open. */
static void host_nothing(struct view *v)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < v->n_sockets; i++)
        if (socket_is_of_control(v->sockets[i].use))
            v->sockets[kept++] = v->sockets[i];
    v->n_sockets = kept;
    v->n_services = 0;
    kept = 0;
    for (uint32_t i = 0; i < v->n_logs; i++)
        if (v->logs[i].subject == SUBJECT_NODE)
            v->logs[kept++] = v->logs[i];
    v->n_logs = kept;
}

void conf_build(struct conf *c, const struct node *top, bool damaged)
{
    struct builder b = {.c = c, .v = c->view};
    struct seen seen;
    settings_apply(c, BLOCK_TOP, top, c->view, &seen);
    if (!settings_seen(&seen, BLOCK_TOP, "workers"))
        c->view->workers = MIN(MAX(c->env->cpus, 1u), (uint32_t)VIEW_MAX_WORKERS);
    c->view->file = arena_str(&c->view->arena, c->sources[0].path);
    c->nomem |= !c->view->file.p;
    b.cap_sockets = sockets_at_most(top);
    c->view->sockets = build_array(&b, b.cap_sockets, sizeof *c->view->sockets);
    build_admin(&b, top);
    resolver_build(c, top);
    audit_build(c, top);
    beats_build(&b, top);
    notify_build(&b, top);
    logs_expect(&b, top);
    logs_of_node(&b, top);
    links_expect(&b, top);
    build_services(&b, top, damaged);
    links_resolve(&b);
    cluster_build(&b, top, settings_seen(&seen, BLOCK_TOP, "zone"));
    primary_resolve(&b, top);
    const struct view_node *self = view_self(c->view);
    if (self && self->role == NODE_WITNESS && !c->env->whole)
        host_nothing(c->view);
    map_free(&b.services);
    map_free(&b.led);
    map_free(&b.sockets);
    map_free(&b.files);
}

void conf_build_backends(struct conf *c, const struct node *top)
{
    struct view_service *s = arena_alloc(&c->view->arena, sizeof *s);
    if (!s) {
        c->nomem = true;
        return;
    }
    *s = (struct view_service){.name = STR("drop-in"), .access_log = -1};
    c->view->services = s;
    c->view->n_services = 1;
    backends_build_dropin(c, top, s);
}
