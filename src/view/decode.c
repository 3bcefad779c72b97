/* A view from bytes. The bytes may come from a process that has gone mad: every count is compared
 * with what is left before anything is allocated for it, what is out of range is refused, and a
 * refused view leaves nothing behind. The shape is checked here, the meaning in verify.c. */
#include "view/decoder.h"
#include "view/format.h"

void *get_array(struct decoder *d, uint32_t *n, size_t min, size_t size)
{
    *n = get_count(&d->r, min);
    if (*n == 0)
        return NULL;
    void *p = arena_array(&d->v->arena, *n, size);
    if (!p) {
        d->nomem = true;
        d->r.failed = true;
        *n = 0;
    }
    return p;
}

struct str get_text(struct decoder *d)
{
    struct str s = get_str(&d->r);
    if (s.n == 0)
        return STR("");
    if (memchr(s.p, 0, s.n)) {
        d->r.failed = true;
        return STR("");
    }
    struct str copy = arena_str(&d->v->arena, s);
    if (!copy.p) {
        d->nomem = true;
        d->r.failed = true;
        return STR("");
    }
    return copy;
}

bool get_bool(struct decoder *d)
{
    uint8_t v = get_u8(&d->r);
    d->r.failed |= v > 1;
    return v == 1;
}

static void get_bytes(struct decoder *d, uint8_t *to, size_t n)
{
    struct reader *r = &d->r;
    if (r->failed || (size_t)(r->end - r->p) < n) {
        r->failed = true;
        return;
    }
    memcpy(to, r->p, n);
    r->p += n;
}

static void get_addr(struct decoder *d, struct addr *a)
{
    a->kind = get_u8(&d->r);
    a->port = get_u16(&d->r);
    get_bytes(d, a->ip, sizeof a->ip);
    struct str path = get_str(&d->r);
    if (path.n >= sizeof a->path || (path.n && memchr(path.p, 0, path.n)))
        d->r.failed = true;
    else
        str_copy(a->path, sizeof a->path, path);
}

static void get_instance(struct decoder *d, struct view_instance *n)
{
    n->name = get_text(d);
    get_addr(d, &n->addr);
    n->weight = get_u32(&d->r);
    n->priority = get_u32(&d->r);
    n->max_requests = get_u32(&d->r);
    n->zone = get_text(d);
    n->own_weight = get_u32(&d->r);
    n->origin = get_u8(&d->r);
    n->source = get_text(d);
    n->slot = get_u32(&d->r);
}

static void get_sources(struct decoder *d, struct view_service *s)
{
    s->dynamic = get_bool(d);
    s->sources = get_array(d, &s->n_sources, VIEW_SOURCE_MIN, sizeof *s->sources);
    for (uint32_t i = 0; i < s->n_sources && !d->r.failed; i++) {
        s->sources[i].kind = get_u8(&d->r);
        s->sources[i].name = get_text(d);
        s->sources[i].port = get_u16(&d->r);
        get_instance(d, &s->sources[i].like);
    }
}

static void get_check(struct decoder *d, struct view_check *c)
{
    c->kind = get_u8(&d->r);
    c->path = get_text(d);
    c->host = get_text(d);
    c->status_min = get_u16(&d->r);
    c->status_max = get_u16(&d->r);
    c->body = get_text(d);
    c->secret = get_bool(d);
    c->interval = get_u64(&d->r);
    c->fast_interval = get_u64(&d->r);
    c->timeout = get_u64(&d->r);
    c->rise = get_u32(&d->r);
    c->fall = get_u32(&d->r);
}

static void get_timeouts(struct decoder *d, struct view_timeouts *t)
{
    t->client_idle = get_u64(&d->r);
    t->request_head = get_u64(&d->r);
    t->connect = get_u64(&d->r);
    t->first_byte = get_u64(&d->r);
    t->idle = get_u64(&d->r);
    t->tunnel = get_u64(&d->r);
    t->flow = get_u64(&d->r);
    t->drain = get_u64(&d->r);
}

static void get_policies(struct decoder *d, struct view_service *s)
{
    s->retry.on = get_u32(&d->r);
    s->retry.attempts = get_u32(&d->r);
    s->retry.budget_permille = get_u32(&d->r);
    s->retry.reserve = get_u32(&d->r);
    s->retry.replay_max = get_u64(&d->r);
    s->eject.after = get_u32(&d->r);
    s->eject.share_permille = get_u32(&d->r);
    s->eject.hold = get_u64(&d->r);
    s->eject.hold_max = get_u64(&d->r);
    s->eject.slow_permille = get_u32(&d->r);
    s->eject.slow_least = get_u64(&d->r);
    s->limits.head_bytes = get_u32(&d->r);
    s->limits.head_fields = get_u32(&d->r);
    s->limits.body_bytes = get_u64(&d->r);
    s->limits.connections = get_u32(&d->r);
    s->limits.connections_per_address = get_u32(&d->r);
    s->limits.min_rate = get_u64(&d->r);
}

/* More candidates than there may be are damage: they have no room. */
static void get_candidates(struct decoder *d, struct view_primary *p)
{
    p->n_on = get_u32(&d->r);
    if (p->n_on > VIEW_MAX_ON) {
        d->r.failed = true;
        p->n_on = 0;
    }
    for (uint32_t i = 0; i < p->n_on; i++)
        p->on[i] = get_u32(&d->r);
}

static void get_primary(struct decoder *d, struct view_primary *p)
{
    p->vip_interface = STR("");
    p->agent = get_u8(&d->r);
    if (p->agent == AGENT_NONE)
        return;
    get_candidates(d, p);
    p->port = get_u16(&d->r);
    get_addr(d, &p->vip);
    p->vip_prefix = get_u8(&d->r);
    p->vip_interface = get_text(d);
    p->sync = get_u32(&d->r);
    p->strict = get_bool(d);
    p->lag_bytes = get_u64(&d->r);
    p->lag_time = get_u64(&d->r);
    p->n_readers = get_u32(&d->r);
    p->only_replicas = get_bool(d);
    get_words(d, &p->redis);
    get_words(d, &p->command);
    get_words(d, &p->hook);
    p->hang_after = get_u64(&d->r);
    p->hold = get_u64(&d->r);
    p->hold_clients = get_u32(&d->r);
    p->failback = get_bool(d);
    p->flaps = get_u32(&d->r);
    p->flap_window = get_u64(&d->r);
    get_words(d, &p->apart);
}

static void get_service(struct decoder *d, struct view_service *s)
{
    s->name = get_text(d);
    s->slot = get_u32(&d->r);
    s->mode = get_u8(&d->r);
    s->proxy_in = get_bool(d);
    s->proxy_out = get_u8(&d->r);
    s->replies = get_u32(&d->r);
    s->trace = get_u8(&d->r);
    s->hash.kind = get_u8(&d->r);
    s->hash.name = get_text(d);
    s->hash_bound_permille = get_u32(&d->r);
    s->group_permille = get_u32(&d->r);
    s->subset = get_u32(&d->r);
    s->slow_start = get_u64(&d->r);
    s->sockets = get_array(d, &s->n_sockets, 4, sizeof *s->sockets);
    for (uint32_t i = 0; i < s->n_sockets; i++)
        s->sockets[i] = get_u32(&d->r);
    s->access_log = (int32_t)get_u32(&d->r);
    s->log.format = get_text(d);
    s->log.sample_permille = get_u32(&d->r);
    s->log.slow = get_u64(&d->r);
    s->balance = get_u8(&d->r);
    s->instances = get_array(d, &s->n_instances, VIEW_INSTANCE_MIN, sizeof *s->instances);
    for (uint32_t i = 0; i < s->n_instances && !d->r.failed; i++)
        get_instance(d, &s->instances[i]);
    get_sources(d, s);
    get_check(d, &s->check);
    get_timeouts(d, &s->timeouts);
    get_policies(d, s);
    get_traffic(d, s);
    get_primary(d, &s->primary);
}

static void get_resolver(struct decoder *d, struct view_resolver *r)
{
    r->servers = get_array(d, &r->n_servers, VIEW_ADDR_MIN, sizeof *r->servers);
    for (uint32_t i = 0; i < r->n_servers && !d->r.failed; i++)
        get_addr(d, &r->servers[i]);
    r->timeout = get_u64(&d->r);
    r->ttl_least = get_u64(&d->r);
    r->ttl_most = get_u64(&d->r);
}

static void get_beats(struct decoder *d)
{
    struct view *v = d->v;
    v->beats = get_array(d, &v->n_beats, VIEW_BEAT_MIN, sizeof *v->beats);
    for (uint32_t i = 0; i < v->n_beats && !d->r.failed; i++) {
        v->beats[i].name = get_text(d);
        v->beats[i].every = get_u64(&d->r);
        v->beats[i].grace = get_u64(&d->r);
        v->beats[i].secret = get_bool(d);
        get_bytes(d, v->beats[i].digest, sizeof v->beats[i].digest);
    }
}

static void get_log_rules(struct decoder *d, struct view_read_log *l)
{
    l->rules = get_array(d, &l->n_rules, VIEW_LOG_RULE_MIN, sizeof *l->rules);
    for (uint32_t k = 0; k < l->n_rules && !d->r.failed; k++) {
        l->rules[k].match = get_text(d);
        l->rules[k].except = get_text(d);
        l->rules[k].over = get_u32(&d->r);
        l->rules[k].window = get_u64(&d->r);
        l->rules[k].verdict = get_u8(&d->r);
    }
}

static void get_notifies(struct decoder *d)
{
    struct view *v = d->v;
    v->notifies = get_array(d, &v->n_notifies, VIEW_NOTIFY_MIN, sizeof *v->notifies);
    for (uint32_t i = 0; i < v->n_notifies && !d->r.failed; i++) {
        struct view_notify *t = &v->notifies[i];
        t->name = get_text(d);
        t->webhook = get_text(d);
        t->key_file = get_text(d);
        get_words(d, &t->events);
        t->repeat = get_u64(&d->r);
    }
}

static void get_logs(struct decoder *d)
{
    struct view *v = d->v;
    v->logs = get_array(d, &v->n_logs, VIEW_LOG_MIN, sizeof *v->logs);
    for (uint32_t i = 0; i < v->n_logs && !d->r.failed; i++) {
        struct view_read_log *l = &v->logs[i];
        l->subject = get_u8(&d->r);
        l->service = get_text(d);
        l->instance = get_text(d);
        l->path = get_text(d);
        l->unit = get_text(d);
        get_words(d, &l->packs);
        get_log_rules(d, l);
        l->learn = get_u64(&d->r);
    }
}

static void get_coordinator(struct decoder *d, struct view_coordinator *c)
{
    c->kind = get_u8(&d->r);
    c->endpoints = get_array(d, &c->n_endpoints, 4, sizeof *c->endpoints);
    for (uint32_t i = 0; i < c->n_endpoints && !d->r.failed; i++)
        c->endpoints[i] = get_text(d);
    c->ca_file = get_text(d);
    c->cert_file = get_text(d);
    c->key_file = get_text(d);
    c->password_file = get_text(d);
    c->user = get_text(d);
}

static void get_cluster(struct decoder *d, struct view_cluster *k)
{
    k->name = get_text(d);
    k->nodes = get_array(d, &k->n_nodes, VIEW_NODE_MIN, sizeof *k->nodes);
    for (uint32_t i = 0; i < k->n_nodes && !d->r.failed; i++) {
        k->nodes[i].name = get_text(d);
        k->nodes[i].zone = get_text(d);
        get_addr(d, &k->nodes[i].address);
        k->nodes[i].role = get_u8(&d->r);
        k->nodes[i].place = get_u16(&d->r);
        k->nodes[i].votes = get_bool(d);
    }
    k->self = get_u32(&d->r);
    k->key_file = get_text(d);
    k->heartbeat = get_u64(&d->r);
    k->suspect_after = get_u64(&d->r);
    k->lease = get_u64(&d->r);
    k->demotion = get_u64(&d->r);
    k->n_voters = get_u32(&d->r);
    get_coordinator(d, &k->coordinator);
}

static void get_view(struct decoder *d)
{
    struct view *v = d->v;
    v->epoch = get_u64(&d->r);
    v->version = get_u64(&d->r);
    v->workers = get_u32(&d->r);
    v->file = get_text(d);
    v->zone = get_text(d);
    get_resolver(d, &v->resolver);
    v->audit.keep = get_u64(&d->r);
    v->audit.size = get_u64(&d->r);
    v->audit.rows = get_u32(&d->r);
    v->sockets = get_array(d, &v->n_sockets, VIEW_SOCKET_MIN, sizeof *v->sockets);
    for (uint32_t i = 0; i < v->n_sockets && !d->r.failed; i++) {
        v->sockets[i].use = get_u8(&d->r);
        get_addr(d, &v->sockets[i].addr);
        v->sockets[i].slot = get_u32(&d->r);
    }
    v->services = get_array(d, &v->n_services, VIEW_SERVICE_MIN, sizeof *v->services);
    for (uint32_t i = 0; i < v->n_services && !d->r.failed; i++)
        get_service(d, &v->services[i]);
    v->tokens = get_array(d, &v->n_tokens, VIEW_TOKEN_MIN, sizeof *v->tokens);
    for (uint32_t i = 0; i < v->n_tokens && !d->r.failed; i++) {
        v->tokens[i].name = get_text(d);
        get_bytes(d, v->tokens[i].digest, sizeof v->tokens[i].digest);
        v->tokens[i].rights = get_u32(&d->r);
    }
    get_beats(d);
    get_logs(d);
    get_notifies(d);
    get_cluster(d, &v->cluster);
}

/* Magic, format and hash; afterwards d->r stands at the first field and ends before the hash. */
static int open_bytes(struct decoder *d, struct str bytes, struct err *e)
{
    enum { HASH = 8 };
    if (bytes.n > VIEW_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a view of %zu bytes is too large", bytes.n);
    d->r = reader_of(bytes.p, bytes.n);
    if (get_u32(&d->r) != VIEW_MAGIC)
        return err_set(e, ERR_PROTO, "these bytes are not a view");
    uint32_t format = get_u32(&d->r);
    if (format != VIEW_FORMAT)
        return err_set(e, ERR_PROTO, "the view has format %u, this program reads format %d", format,
                       VIEW_FORMAT);
    if ((size_t)(d->r.end - d->r.p) < HASH)
        return err_set(e, ERR_PROTO, "the view is cut short");
    d->r.end -= HASH;
    struct reader tail = reader_of(d->r.end, HASH);
    if (get_u64(&tail) != view_sum((struct str){bytes.p, bytes.n - HASH}))
        return err_set(e, ERR_PROTO, "the view is damaged: its hash does not match");
    return 0;
}

int view_decode(struct str bytes, struct view **out, struct err *e)
{
    struct decoder d = {0};
    int rc = open_bytes(&d, bytes, e);
    if (rc)
        return rc;
    d.v = view_new();
    if (!d.v)
        return err_set(e, ERR_NOMEM, "no memory for a view");
    get_view(&d);
    if (d.nomem)
        rc = err_set(e, ERR_NOMEM, "no memory for a view of %zu bytes", bytes.n);
    else if (!reader_done(&d.r))
        rc = err_set(e, ERR_PROTO, "the view is malformed");
    else
        rc = view_verify(d.v, e);
    if (rc) {
        view_free(d.v);
        return rc;
    }
    *out = d.v;
    return 0;
}
