/* Where services of kind primary may run: their candidates, and whether their ports and addresses
 * are free there. The cluster and all services are known here; of a cluster with problems nothing
 * more is said. */
#include "conf/primary.h"

struct subject {
    struct builder *b;
    const struct primary_later *later;
    struct view_service *s;
    const struct node *agent; /* the statement, for what concerns all of it */
};

static const struct node *seen_at(const struct subject *t, const char *key)
{
    const struct node *n = settings_seen(&t->later->seen, BLOCK_SERVICE, key);
    return n ? n : t->agent;
}

/* --- candidates --- */

static void add_candidate(struct subject *t, const struct value *v)
{
    struct conf *c = t->b->c;
    struct view_primary *p = &t->s->primary;
    const struct view_cluster *k = &t->b->v->cluster;
    struct suggest near = suggest_for(v->raw);
    uint32_t at = k->n_nodes;
    if (v->bad)
        return;
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        if (k->nodes[i].role != NODE_WITNESS)
            suggest_try(&near, k->nodes[i].name);
        if (str_eq(k->nodes[i].name, v->text))
            at = i;
    }
    if (at == k->n_nodes)
        conf_complain(c, &v->place, near.n ? settings_did_you_mean(c, &near) : "",
                      "cluster " STR_FMT " has no node '" STR_FMT "'", STR_ARG(k->name),
                      STR_ARG(conf_shown(v)));
    else if (k->nodes[at].role == NODE_WITNESS)
        conf_complain(c, &v->place, "", "node " STR_FMT " is a witness: it hosts nothing",
                      STR_ARG(k->nodes[at].name));
    else if (view_place(t->s, at) >= 0)
        conf_complain(c, &v->place, "", "node " STR_FMT " stands here already",
                      STR_ARG(k->nodes[at].name));
    else if (p->n_on == VIEW_MAX_ON)
        conf_complain(c, &v->place, "", "a service runs on at most %d nodes", VIEW_MAX_ON);
    else
        p->on[p->n_on++] = at;
}

/* All that host something, in the order of the file. */
static void add_all(struct subject *t)
{
    struct view_primary *p = &t->s->primary;
    const struct view_cluster *k = &t->b->v->cluster;
    uint32_t members = 0;
    for (uint32_t place = 0; place < k->n_nodes; place++)
        for (uint32_t i = 0; i < k->n_nodes; i++) {
            if (k->nodes[i].place != place || k->nodes[i].role == NODE_WITNESS)
                continue;
            if (members++ < VIEW_MAX_ON)
                p->on[p->n_on++] = i;
        }
    if (members == 0)
        conf_complain(t->b->c, &t->agent->place, "", "all nodes are witnesses: none can host it");
    else if (members > VIEW_MAX_ON)
        conf_complain(t->b->c, &t->agent->place, "say which: 'on = {a, b, c}'",
                      "a service runs on at most %d nodes, and the cluster has %u", VIEW_MAX_ON,
                      members);
}

static void build_on(struct subject *t)
{
    const struct node *n = settings_seen(&t->later->seen, BLOCK_SERVICE, "on");
    const struct value *v = settings_value(&t->later->seen, BLOCK_SERVICE, "on");
    if (!n)
        add_all(t);
    else if (v && v->kind != VALUE_LIST)
        add_candidate(t, v);
    else if (v && !v->items)
        conf_complain(t->b->c, &v->place, "", "it may run on no node at all");
    for (const struct value *i = v && v->kind == VALUE_LIST ? v->items : NULL; i; i = i->next)
        add_candidate(t, i);
}

static void check_number(struct subject *t)
{
    struct conf *c = t->b->c;
    const struct view_primary *p = &t->s->primary;
    const struct view_cluster *k = &t->b->v->cluster;
    if (p->n_on == 1)
        conf_warn(c, &seen_at(t, "on")->place, "on = {a, b, c}",
                  "service " STR_FMT " runs on node " STR_FMT " only: nobody can take over",
                  STR_ARG(t->s->name), STR_ARG(k->nodes[p->on[0]].name));
    else if (k->n_nodes == 2)
        conf_warn(c, &t->agent->place,
                  "add a small third machine: 'node w { address = ...  role = witness }'",
                  "of two nodes none has a majority when the other is lost: nobody takes over");
    if (p->sync >= p->n_on)
        conf_complain(c, &seen_at(t, "sync")->place,
                      conf_text(c, "the primary does not count: at most %u", p->n_on - 1),
                      "sync = %u, and it runs on %u node%s", p->sync, p->n_on,
                      p->n_on == 1 ? "" : "s");
    else if (p->sync && p->strict && p->sync == p->n_on - 1)
        conf_warn(c, &seen_at(t, "strict")->place, "",
                  "writes stop when any one of the %u nodes is lost", p->n_on);
}

/* --- what is needed of the cluster --- */

static bool check_cluster(struct subject *t, const struct node *top)
{
    struct conf *c = t->b->c;
    const struct view_cluster *k = &t->b->v->cluster;
    const char *agent = view_agent_name(t->s->primary.agent);
    const struct place *at = &t->agent->place;
    if (k->n_nodes == 0) {
        if (build_count(top, "cluster") == 0) /* else what is wrong with it has been said */
            conf_complain(c, at, "add 'cluster NAME { key = file:cluster.key  node ... }'",
                          "agent = %s needs a cluster, whose nodes take each other's place", agent);
        return false;
    }
    if (k->key_file.n == 0)
        conf_complain(c, at, "add 'key = file:cluster.key' to it; 'holdfast key new' makes one",
                      "agent = %s needs a cluster with a key", agent);
    else if (k->coordinator.kind == COORDINATOR_NONE)
        conf_complain(c, at, "leave 'coordinator = none' out",
                      "agent = %s needs a coordinator, which says who is the primary", agent);
    else
        return true;
    return false;
}

/* --- ports --- */

static bool same_host(const struct addr *a, const struct addr *b)
{
    struct addr one = *a, other = *b;
    one.port = other.port = 1;
    return addr_eq(&one, &other);
}

/* What else takes the TCP port at the node's address; NULL: nothing of ours. */
static const char *port_of_cluster(const struct view_cluster *k, const struct view_node *n,
                                   uint16_t port)
{
    bool managed = k->coordinator.kind == COORDINATOR_MANAGED;
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        uint32_t own = k->nodes[i].address.port;
        if (!same_host(&k->nodes[i].address, &n->address))
            continue;
        if (port == own)
            return "the cluster's own";
        if (managed && (port == own + VIEW_COORD_CLIENT || port == own + VIEW_COORD_PEER))
            return "the coordinator's";
    }
    return NULL;
}

/* A listener that the node opens at this port, at all its addresses or at this one. */
static bool is_listened(const struct view *v, const struct view_node *n, uint16_t port)
{
    static const uint8_t zero[16];
    for (uint32_t i = 0; i < v->n_sockets; i++) {
        const struct view_socket *s = &v->sockets[i];
        bool stream = s->use == SOCKET_HTTP || s->use == SOCKET_TCP || s->use == SOCKET_METRICS ||
                      s->use == SOCKET_ADMIN || s->use == SOCKET_BEAT;
        if (!stream || s->addr.kind == ADDR_UNIX || s->addr.port != port)
            continue;
        if (same_host(&s->addr, &n->address) ||
            (s->addr.kind == n->address.kind && memcmp(s->addr.ip, zero, sizeof zero) == 0))
            return true;
    }
    return false;
}

static void check_port_at(struct subject *t, const struct view_node *n)
{
    struct conf *c = t->b->c;
    uint16_t port = t->s->primary.port;
    const struct place *at = &seen_at(t, "port")->place;
    const char *whose = port_of_cluster(&t->b->v->cluster, n, port);
    if (whose)
        conf_complain(c, at, "give it another: 'port = PORT'",
                      "port %u of node " STR_FMT " is %s already", port, STR_ARG(n->name), whose);
    else if (is_listened(t->b->v, n, port))
        conf_complain(c, at, "clients come to the listener, which leads to the instance's port",
                      "port %u of node " STR_FMT " is a listener's already", port,
                      STR_ARG(n->name));
}

static void check_port(struct subject *t)
{
    const struct view_primary *p = &t->s->primary;
    const struct view_cluster *k = &t->b->v->cluster;
    uint32_t errors = t->b->c->problems->errors;
    for (uint32_t i = 0; p->port && i < p->n_on && errors == t->b->c->problems->errors; i++) {
        const struct view_node *n = &k->nodes[p->on[i]];
        check_port_at(t, n);
        for (uint32_t j = 0; j < i; j++)
            if (same_host(&n->address, &k->nodes[p->on[j]].address))
                conf_complain(t->b->c, &seen_at(t, "on")->place, "",
                              "nodes " STR_FMT " and " STR_FMT
                              " have one address: the instances of both would have port %u there",
                              STR_ARG(k->nodes[p->on[j]].name), STR_ARG(n->name), p->port);
    }
}

/* A listener is at every address, or at the node's own: there the others look for it. Of what is
 * written as it is, more was said already. */
static void check_own(struct subject *t, const struct addr *a, const struct node *at)
{
    static const uint8_t zero[sizeof a->ip];
    const struct view_node *self = view_self(t->b->v);
    if (!self || !primary_refers(at->value) || memcmp(a->ip, zero, sizeof zero) == 0 ||
        same_host(a, &self->address))
        return;
    conf_complain(
        t->b->c, &at->place,
        conf_text(t->b->c, "write 'tcp://%s:%u'",
                  self->address.kind == ADDR_IP6 ? "[::]" : "0.0.0.0", a->port),
        "every node leads clients to the primary, and this is not the address of node " STR_FMT,
        STR_ARG(self->name));
}

/* Each listener is opened by every node of the cluster. */
static void check_listeners(struct subject *t)
{
    const struct view *v = t->b->v;
    for (uint32_t i = 0; i < t->s->n_sockets; i++) {
        const struct addr *a = &v->sockets[t->s->sockets[i]].addr;
        const struct node *at = primary_listener(&t->later->seen, t->s, i);
        check_own(t, a, at);
        for (uint32_t k = 0; k < v->cluster.n_nodes; k++) {
            const struct view_node *n = &v->cluster.nodes[k];
            const char *whose = port_of_cluster(&v->cluster, n, a->port);
            if (!whose)
                continue;
            conf_complain(t->b->c, &at->place, "listen at another",
                          "port %u of node " STR_FMT " is %s already", a->port, STR_ARG(n->name),
                          whose);
            return;
        }
    }
}

/* --- beside other services --- */

static bool share_host(const struct view *v, const struct view_primary *p,
                       const struct view_primary *q, const struct view_node **where)
{
    for (uint32_t i = 0; i < p->n_on; i++)
        for (uint32_t j = 0; j < q->n_on; j++) {
            *where = &v->cluster.nodes[p->on[i]];
            if (same_host(&(*where)->address, &v->cluster.nodes[q->on[j]].address))
                return true;
        }
    return false;
}

static void check_pair(struct subject *t, const struct view_service *other)
{
    const struct view_primary *p = &t->s->primary, *q = &other->primary;
    const struct view_node *where;
    if (p->port && p->port == q->port && share_host(t->b->v, p, q, &where))
        conf_complain(t->b->c, &seen_at(t, "port")->place, "give one of them another",
                      "port %u of node " STR_FMT " is service " STR_FMT "'s already", p->port,
                      STR_ARG(where->name), STR_ARG(other->name));
    if (p->vip.kind && addr_eq(&p->vip, &q->vip))
        conf_complain(t->b->c, &seen_at(t, "vip")->place, "give each its own",
                      "the vip is service " STR_FMT "'s already: their primaries may be apart",
                      STR_ARG(other->name));
}

static void check_vip(struct subject *t)
{
    const struct view_cluster *k = &t->b->v->cluster;
    for (uint32_t i = 0; t->s->primary.vip.kind && i < k->n_nodes; i++)
        if (same_host(&k->nodes[i].address, &t->s->primary.vip))
            conf_complain(t->b->c, &seen_at(t, "vip")->place,
                          "a vip is an address of its own, which no machine has by itself",
                          "the vip is node " STR_FMT "'s own address", STR_ARG(k->nodes[i].name));
}

static void check_apart(struct subject *t)
{
    const struct view_primary *p = &t->s->primary;
    for (uint32_t i = 0; i < p->apart.n; i++) {
        const struct view_service *s = view_service_find(t->b->v, p->apart.list[i]);
        const struct place *at = &seen_at(t, "apart")->place;
        if (!s && !map_get(&t->b->services, p->apart.list[i]))
            conf_complain(t->b->c, at, "", "there is no service '" STR_FMT "'",
                          STR_ARG(p->apart.list[i]));
        else if (s == t->s)
            conf_complain(t->b->c, at, "", "service " STR_FMT " cannot be apart from itself",
                          STR_ARG(s->name));
        else if (s && !view_is_primary(s))
            conf_complain(t->b->c, at, "", "service " STR_FMT " has no primary: it has no agent",
                          STR_ARG(s->name));
    }
}

/* --- */

static void resolve(struct subject *t)
{
    uint32_t errors = t->b->c->problems->errors;
    build_on(t);
    if (errors == t->b->c->problems->errors)
        check_number(t);
    check_port(t);
    check_listeners(t);
    check_vip(t);
    check_apart(t);
    for (uint32_t i = 0; i < t->later->service; i++)
        check_pair(t, &t->b->v->services[i]);
}

/* The list has the latest first; problems are sorted by their places later, but pairs of services
 * are looked at from the second one. */
static const struct primary_later *next_of(const struct builder *b, uint32_t least)
{
    const struct primary_later *found = NULL;
    for (const struct primary_later *l = b->primaries; l; l = l->next)
        if (l->service >= least && (!found || l->service < found->service))
            found = l;
    return found;
}

void primary_resolve(struct builder *b, const struct node *top)
{
    const struct primary_later *l;
    for (uint32_t i = 0; (l = next_of(b, i)) != NULL; i = l->service + 1) {
        struct subject t = {b, l, &b->v->services[l->service],
                            settings_seen(&l->seen, BLOCK_SERVICE, "agent")};
        if (l->service >= b->v->n_services)
            break; /* a refused one, the last */
        if (check_cluster(&t, top))
            resolve(&t);
    }
}
