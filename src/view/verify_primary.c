/* What a view promises of a service of kind primary: candidates that exist, differ and host things,
 * fewer replicas to wait for than there are, listeners that every node can have, and of each agent
 * what it needs. */
#include "view/verify.h"

static bool is_wildcard(const struct addr *a)
{
    static const uint8_t zero[sizeof a->ip];
    return a->kind != ADDR_UNIX && memcmp(a->ip, zero, a->kind == ADDR_IP6 ? 16 : 4) == 0;
}

/* Candidates are named by their indices; what the cluster is has been looked at. */
static bool candidates_valid(const struct view *v, const struct view_primary *p)
{
    uint64_t seen[VIEW_MAX_NODES / 64] = {0};
    if (p->n_on < 1 || p->n_on > VIEW_MAX_ON)
        return false;
    for (uint32_t i = 0; i < p->n_on; i++) {
        uint32_t n = p->on[i];
        if (n >= v->cluster.n_nodes || v->cluster.nodes[n].role == NODE_WITNESS ||
            seen[n / 64] >> n % 64 & 1)
            return false;
        seen[n / 64] |= 1ull << n % 64;
    }
    return true;
}

static bool vip_valid(const struct view_primary *p)
{
    const struct addr *a = &p->vip;
    if (a->kind == 0)
        return p->vip_prefix == 0 && p->vip_interface.n == 0 && a->port == 0 && a->path[0] == 0;
    return (a->kind == ADDR_IP4 || a->kind == ADDR_IP6) && a->port == 0 && a->path[0] == 0 &&
           !is_wildcard(a) && p->vip_prefix >= 1 &&
           p->vip_prefix <= (a->kind == ADDR_IP4 ? 32 : 128);
}

static bool times_valid(const struct view_primary *p)
{
    return p->hang_after > 0 && p->hang_after <= VIEW_MAX_DURATION &&
           p->hold <= VIEW_MAX_DURATION && p->flap_window <= VIEW_MAX_DURATION &&
           p->lag_time <= VIEW_MAX_DURATION && p->hold_clients <= VIEW_MAX_CONNECTIONS;
}

/* An absolute path first, and no word empty but arguments. */
static bool command_valid(const struct view_words *w)
{
    return w->n <= VIEW_MAX_COMMAND && (w->n == 0 || (w->list[0].n && w->list[0].p[0] == '/'));
}

static bool settings_valid(const struct view_words *w)
{
    struct str name;
    bool fine = w->n <= VIEW_MAX_COMMAND;
    for (uint32_t i = 0; fine && i < w->n; i++)
        fine = view_redis_setting(w->list[i], &name) == VIEW_REDIS_FINE;
    return fine;
}

static bool agent_valid(const struct view_primary *p)
{
    bool redis = p->agent == AGENT_REDIS;
    return p->agent < AGENTS && command_valid(&p->command) && command_valid(&p->hook) &&
           (p->command.n > 0) == (p->agent == AGENT_PROCESS) &&
           (p->agent != AGENT_HOOK || p->hook.n) &&
           (redis || (p->sync == 0 && p->n_readers == 0 && p->redis.n == 0)) &&
           settings_valid(&p->redis) && (!redis || p->port) && p->sync < p->n_on;
}

/* The others look for it at the node's own address. */
static bool listener_valid(const struct view *v, const struct addr *a)
{
    const struct addr *own = &view_self(v)->address;
    return is_wildcard(a) || (a->kind == own->kind && a->kind != ADDR_UNIX &&
                              memcmp(a->ip, own->ip, a->kind == ADDR_IP6 ? 16 : 4) == 0);
}

int verify_primary(const struct view *v, const struct view_service *s, struct err *e)
{
    const struct view_primary *p = &s->primary;
    if (p->agent == AGENT_NONE)
        return 0;
    if (s->mode != VIEW_TCP || s->n_instances || s->n_sources || s->dynamic || s->n_routes)
        return verify_bad(e, s->name, "backends besides its agent");
    if (!candidates_valid(v, p))
        return verify_bad(e, s->name, "impossible candidates");
    if (!agent_valid(p) || !vip_valid(p) || !times_valid(p))
        return verify_bad(e, s->name, "an impossible agent");
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (!listener_valid(v, &v->sockets[s->sockets[i]].addr))
            return verify_bad(e, s->name, "a listener that not every node can have");
    if (p->n_readers > s->n_sockets)
        return verify_bad(e, s->name, "more listeners for readers than listeners");
    return s->n_sockets == 0 || p->port ? 0 : verify_bad(e, s->name, "listeners and no port");
}
