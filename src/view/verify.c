/* What every view promises its readers, checked once so that they need not: names are there and
 * unique, numbers within the bounds of view.h, indices inside their tables, no slot used twice. */
#include "view/log_format.h"
#include "view/verify.h"

int verify_bad(struct err *e, struct str where, const char *what)
{
    if (where.n == 0)
        return err_set(e, ERR_PROTO, "the view has %s", what);
    return err_set(e, ERR_PROTO, "service %.*s of the view has %s", (int)MIN(where.n, 60u), where.p,
                   what);
}

bool verify_addr(const struct addr *a)
{
    switch (a->kind) {
    case ADDR_IP4:
    case ADDR_IP6: return a->port != 0 && a->path[0] == 0;
    case ADDR_UNIX: return a->port == 0 && (a->path[0] == '/' || a->path[0] == '@');
    default: return false;
    }
}

/* Puts a key into the set; 1 when it was there, -1 when memory is out. */
static int set_add(struct map *set, struct str key)
{
    static char present;
    if (map_get(set, key))
        return 1;
    return map_put(set, key, &present) ? 0 : -1;
}

int verify_unique(struct map *set, struct str key, struct str where, const char *what,
                  struct err *e)
{
    int seen = set_add(set, key);
    if (seen < 0)
        return err_set(e, ERR_NOMEM, "no memory to check a view");
    return seen ? verify_bad(e, where, what) : 0;
}

static int verify_sockets(const struct view *v, struct err *e)
{
    struct map seen = {0};
    int rc = 0;
    if (v->n_sockets > VIEW_MAX_SOCKETS)
        return verify_bad(e, STR(""), "too many sockets");
    for (uint32_t i = 0; i < v->n_sockets && !rc; i++) {
        const struct view_socket *s = &v->sockets[i];
        bool file = s->use == SOCKET_ACCESS_LOG;
        if (s->use >= SOCKET_USES || !verify_addr(&s->addr) || s->slot >= VIEW_MAX_SOCKETS ||
            (file && (s->addr.kind != ADDR_UNIX || s->addr.path[0] != '/')) ||
            ((socket_is_datagram(s->use) || s->use == SOCKET_LINK) && s->addr.kind == ADDR_UNIX)) {
            rc = verify_bad(e, STR(""), "an invalid socket");
            break;
        }
        char key[ADDR_TEXT_MAX + 1];
        /* a log file, a datagram socket and a listener never collide */
        key[0] = file ? 'F' : socket_is_datagram(s->use) ? 'U' : 'L';
        size_t n = addr_format(&s->addr, key + 1);
        rc = verify_unique(&seen, (struct str){key, n + 1}, STR(""), "a socket twice", e);
    }
    map_free(&seen);
    return rc;
}

static bool check_valid(const struct view_check *c)
{
    if (c->kind == CHECK_NONE)
        return true;
    if (c->kind > CHECK_HTTP || c->rise < 1 || c->rise > 100 || c->fall < 1 || c->fall > 100)
        return false;
    const uint64_t times[] = {c->interval, c->fast_interval, c->timeout};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (times[i] == 0 || times[i] > VIEW_MAX_DURATION)
            return false;
    if (c->kind == CHECK_TCP)
        return true;
    return c->path.n && c->path.p[0] == '/' && c->status_min >= 100 &&
           c->status_min <= c->status_max && c->status_max <= 599;
}

static bool timeouts_valid(const struct view_timeouts *t)
{
    const uint64_t times[] = {t->client_idle, t->request_head, t->connect, t->first_byte,
                              t->idle,        t->tunnel,       t->flow,    t->drain};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (times[i] > VIEW_MAX_DURATION)
            return false;
    return true;
}

static bool retry_valid(const struct view_retry *r)
{
    const uint32_t all = RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT | RETRY_5XX;
    return (r->on & ~all) == 0 && r->attempts >= 1 && r->attempts <= VIEW_MAX_ATTEMPTS &&
           r->budget_permille <= 1000 && r->reserve <= 1000000 && r->replay_max <= VIEW_MAX_REPLAY;
}

static bool limits_valid(const struct view_limits *l)
{
    return l->head_bytes <= VIEW_MAX_HEAD && l->head_fields <= VIEW_MAX_HEAD_FIELDS &&
           l->connections <= VIEW_MAX_CONNECTIONS &&
           l->connections_per_address <= VIEW_MAX_CONNECTIONS && l->min_rate <= VIEW_MAX_MIN_RATE;
}

static bool eject_valid(const struct view_eject *j)
{
    return j->after <= 1000 && j->share_permille <= 1000 && j->hold <= VIEW_MAX_DURATION &&
           j->hold_max <= VIEW_MAX_DURATION && j->slow_permille <= 1000000 &&
           j->slow_least <= VIEW_MAX_DURATION;
}

static bool placement_valid(const struct view_service *s)
{
    bool named =
        s->hash.kind == HASH_HEADER || s->hash.kind == HASH_COOKIE || s->hash.kind == HASH_QUERY;
    bool http = s->mode == VIEW_HTTP || s->hash.kind == HASH_SOURCE;
    return s->balance < ALGORITHMS && s->hash.kind < HASH_NONE && named == (s->hash.name.n > 0) &&
           http && (s->hash_bound_permille == 0 || s->hash_bound_permille >= 1000) &&
           s->hash_bound_permille <= 10000 && s->group_permille <= 1000 && s->subset <= POOL_MAX &&
           s->slow_start <= VIEW_MAX_DURATION;
}

/* Services have one form mostly: it is looked at once. */
static bool log_format_valid(const struct view *v, const struct view_service *s)
{
    struct log_format format;
    bool again = s > v->services && str_eq(s[-1].log.format, s->log.format);
    return again || s->log.format.n == 0 || log_format_compile(s->log.format, &format, NULL) == 0;
}

static int verify_links(const struct view *v, const struct view_service *s, struct err *e)
{
    if (s->mode >= VIEW_MODES || s->proxy_out > 2 || (s->proxy_out && s->mode != VIEW_TCP) ||
        (s->proxy_in && s->mode == VIEW_UDP) || s->replies > VIEW_MAX_REPLIES ||
        s->trace >= TRACES || (s->trace && s->mode != VIEW_HTTP))
        return verify_bad(e, s->name, "an unknown mode");
    if (!placement_valid(s))
        return verify_bad(e, s->name, "an impossible placement");
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (s->sockets[i] >= v->n_sockets ||
            v->sockets[s->sockets[i]].use != view_mode_use(s->mode))
            return verify_bad(e, s->name, "a listener that does not exist");
    if (s->access_log < -1 ||
        (s->access_log >= 0 && ((uint32_t)s->access_log >= v->n_sockets ||
                                v->sockets[s->access_log].use != SOCKET_ACCESS_LOG)))
        return verify_bad(e, s->name, "an access log that does not exist");
    if (s->log.sample_permille > 1000 || s->log.slow > VIEW_MAX_DURATION || !log_format_valid(v, s))
        return verify_bad(e, s->name, "an access log of an unknown form");
    return 0;
}

static int verify_service(const struct view *v, const struct view_service *s, struct err *e)
{
    if (s->name.n == 0)
        return verify_bad(e, STR(""), "a service without a name");
    if (s->slot >= VIEW_MAX_SERVICES || s->n_instances > POOL_MAX || s->balance >= ALGORITHMS)
        return verify_bad(e, s->name, "a number out of range");
    if (!check_valid(&s->check))
        return verify_bad(e, s->name, "an invalid check");
    if (!timeouts_valid(&s->timeouts) || !retry_valid(&s->retry) || !eject_valid(&s->eject) ||
        !limits_valid(&s->limits))
        return verify_bad(e, s->name, "a setting out of range");
    int rc = verify_links(v, s, e);
    rc = rc ? rc : verify_traffic(v, s, e);
    rc = rc ? rc : verify_sources(s, e);
    rc = rc ? rc : verify_primary(v, s, e);
    return rc ? rc : verify_instances(s, e);
}

static bool taken(uint64_t *bits, uint32_t i)
{
    uint64_t bit = 1ull << (i % 64);
    bool was = (bits[i / 64] & bit) != 0;
    bits[i / 64] |= bit;
    return was;
}

/* Called when every slot is known to be in range. */
static int verify_slots(const struct view *v, struct err *e)
{
    uint64_t services[VIEW_MAX_SERVICES / 64] = {0}, slots[VIEW_MAX_SLOTS / 64] = {0};
    uint64_t sockets[VIEW_MAX_SOCKETS / 64] = {0};
    if (v->epoch == 0)
        return 0;
    for (uint32_t i = 0; i < v->n_sockets; i++)
        if (taken(sockets, v->sockets[i].slot))
            return verify_bad(e, STR(""), "two sockets of one slot");
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        if (taken(services, s->slot))
            return verify_bad(e, s->name, "the slot of another service");
        for (uint32_t k = 0; k < s->n_instances; k++)
            if (taken(slots, s->instances[k].slot))
                return verify_bad(e, s->name, "a slot twice");
    }
    return 0;
}

static int verify_tokens(const struct view *v, struct err *e)
{
    struct map names = {0};
    int rc = v->n_tokens > VIEW_MAX_TOKENS ? verify_bad(e, STR(""), "too many tokens") : 0;
    for (uint32_t i = 0; i < v->n_tokens && !rc; i++) {
        const struct view_token *t = &v->tokens[i];
        if (t->name.n == 0 || t->rights >= 1u << RIGHTS)
            rc = verify_bad(e, STR(""), "an invalid token");
        else
            rc = verify_unique(&names, t->name, STR(""), "two tokens of one name", e);
    }
    map_free(&names);
    return rc;
}

static int verify_beats(const struct view *v, struct err *e)
{
    struct map names = {0};
    int rc = v->n_beats > VIEW_MAX_BEATS ? verify_bad(e, STR(""), "too many beats") : 0;
    for (uint32_t i = 0; i < v->n_beats && !rc; i++) {
        const struct view_beat *b = &v->beats[i];
        if (b->name.n == 0 || b->every == 0 || b->every > VIEW_MAX_DURATION ||
            b->grace > VIEW_MAX_DURATION)
            rc = verify_bad(e, STR(""), "an invalid beat");
        else
            rc = verify_unique(&names, b->name, STR(""), "two beats of one name", e);
    }
    map_free(&names);
    return rc;
}

static int verify_notifies(const struct view *v, struct err *e)
{
    struct map names = {0};
    int rc = v->n_notifies > VIEW_MAX_NOTIFIES ? verify_bad(e, STR(""), "too much to notify") : 0;
    for (uint32_t i = 0; i < v->n_notifies && !rc; i++) {
        const struct view_notify *t = &v->notifies[i];
        if (t->name.n == 0 || t->webhook.n == 0 || t->webhook.n > VIEW_MAX_WEBHOOK ||
            t->events.n > VIEW_MAX_NOTIFY_EVENTS || t->repeat > VIEW_MAX_DURATION)
            rc = verify_bad(e, STR(""), "an invalid notify");
        else
            rc = verify_unique(&names, t->name, STR(""), "two notifies of one name", e);
    }
    map_free(&names);
    return rc;
}

int view_verify(const struct view *v, struct err *e)
{
    if (v->workers < 1 || v->workers > VIEW_MAX_WORKERS || v->n_services > VIEW_MAX_SERVICES)
        return verify_bad(e, STR(""), "a number out of range");
    int rc = verify_sockets(v, e);
    rc = rc ? rc : verify_tokens(v, e);
    rc = rc ? rc : verify_beats(v, e);
    rc = rc ? rc : verify_logs(v, e);
    rc = rc ? rc : verify_notifies(v, e);
    rc = rc ? rc : verify_resolver(&v->resolver, e);
    rc = rc ? rc : verify_audit(&v->audit, e);
    rc = rc ? rc : verify_cluster(v, e);
    struct map names = {0};
    uint32_t total = 0;
    for (uint32_t i = 0; i < v->n_services && !rc; i++) {
        const struct view_service *s = &v->services[i];
        rc = verify_service(v, s, e);
        if (!rc)
            rc = verify_unique(&names, s->name, STR(""), "two services of one name", e);
        total += s->n_instances;
        if (!rc && total > VIEW_MAX_SLOTS)
            rc = verify_bad(e, STR(""), "too many instances");
    }
    map_free(&names);
    return rc ? rc : verify_slots(v, e);
}
