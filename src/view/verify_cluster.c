/* What a view promises of its cluster: either there is none and every field is empty, or this node
 * is one of several that differ in name and address, and with a key it has the sockets to reach
 * them.
 */
#include "view/verify.h"

static bool before(struct str a, struct str b)
{
    int order = memcmp(a.p, b.p, MIN(a.n, b.n));
    return order < 0 || (order == 0 && a.n < b.n);
}

static int verify_alone(const struct view_cluster *k, struct err *e)
{
    if (k->n_nodes || k->self || k->key_file.n || k->heartbeat || k->suspect_after || k->lease ||
        k->demotion || k->n_voters || k->coordinator.kind != COORDINATOR_LOCAL ||
        k->coordinator.n_endpoints)
        return verify_bad(e, STR(""), "parts of a cluster, and no cluster");
    return 0;
}

static bool timing_valid(const struct view_cluster *k)
{
    return k->heartbeat >= VIEW_HEARTBEAT_MIN && k->heartbeat <= VIEW_HEARTBEAT_MAX &&
           k->suspect_after >= VIEW_LEAST_SILENCE * k->heartbeat &&
           k->suspect_after <= VIEW_MAX_DURATION && k->lease >= VIEW_LEAST_LEASE * k->heartbeat &&
           k->lease <= VIEW_LEASE_MAX && k->demotion > 0 && k->demotion <= k->lease;
}

static bool key_valid(const struct view_cluster *k)
{
    return k->key_file.n ? k->key_file.p[0] == '/' : k->n_nodes == 1;
}

static bool node_valid(const struct view_node *n)
{
    return n->name.n && n->role < NODE_ROLES && verify_addr(&n->address) &&
           n->address.kind != ADDR_UNIX;
}

static int verify_nodes(const struct view_cluster *k, struct err *e)
{
    struct map addresses = {0};
    uint64_t places[VIEW_MAX_NODES / 64] = {0};
    uint32_t voters = 0;
    int rc = 0;
    for (uint32_t i = 0; i < k->n_nodes && !rc; i++) {
        char text[ADDR_TEXT_MAX];
        const struct view_node *n = &k->nodes[i];
        if (!node_valid(n))
            rc = verify_bad(e, STR(""), "an invalid node");
        else if (i && !before(k->nodes[i - 1].name, n->name))
            rc = verify_bad(e, STR(""), "nodes out of order");
        else if (n->place >= k->n_nodes || places[n->place / 64] >> n->place % 64 & 1)
            rc = verify_bad(e, STR(""), "two nodes at one place of the file");
        if (rc)
            break;
        places[n->place / 64] |= 1ull << n->place % 64;
        voters += n->votes;
        struct str key = {text, addr_format(&n->address, text)};
        rc = verify_unique(&addresses, key, STR(""), "two nodes of one address", e);
    }
    map_free(&addresses);
    if (!rc && (voters != k->n_voters || (voters && voters % 2 == 0) || voters > VIEW_MAX_VOTERS))
        rc = verify_bad(e, STR(""), "an impossible number of voters");
    return rc;
}

/* Only those of a cluster, and of each as many as it has. */
static int verify_mesh_sockets(const struct view *v, struct err *e)
{
    const struct view_node *self = view_self(v);
    uint32_t gossip = 0, link = 0, each = v->cluster.key_file.n ? 1 : 0;
    for (uint32_t i = 0; i < v->n_sockets; i++) {
        const struct view_socket *s = &v->sockets[i];
        gossip += s->use == SOCKET_GOSSIP;
        link += s->use == SOCKET_LINK;
        if ((s->use == SOCKET_GOSSIP || s->use == SOCKET_LINK) &&
            (!self || !addr_eq(&s->addr, &self->address)))
            return verify_bad(e, STR(""), "a node's socket at another address");
    }
    return gossip == each && link == each
               ? 0
               : verify_bad(e, STR(""), "not the sockets that its cluster needs");
}

static bool file_valid(struct str path)
{
    return path.n == 0 || path.p[0] == '/';
}

/* Who keeps it must be there to keep it. */
static bool coordinator_valid(const struct view_cluster *k)
{
    const struct view_coordinator *c = &k->coordinator;
    bool outside = c->kind == COORDINATOR_EXTERNAL;
    bool more = c->ca_file.n || c->cert_file.n || c->key_file.n || c->password_file.n || c->user.n;
    bool named = true;
    for (uint32_t i = 0; i < c->n_endpoints; i++)
        named &= c->endpoints[i].n > 0;
    return c->kind < COORDINATOR_KINDS && named && outside == (c->n_endpoints > 0) &&
           c->n_endpoints <= VIEW_MAX_ENDPOINTS && (outside || !more) &&
           (c->cert_file.n > 0) == (c->key_file.n > 0) &&
           (c->user.n > 0) == (c->password_file.n > 0) && file_valid(c->ca_file) &&
           file_valid(c->cert_file) && file_valid(c->key_file) && file_valid(c->password_file) &&
           (c->kind != COORDINATOR_MANAGED || k->key_file.n) &&
           (c->kind != COORDINATOR_LOCAL || k->n_nodes == 1);
}

int verify_cluster(const struct view *v, struct err *e)
{
    const struct view_cluster *k = &v->cluster;
    int rc = 0;
    if (k->name.n == 0)
        rc = verify_alone(k, e);
    else if (k->n_nodes < 1 || k->n_nodes > VIEW_MAX_NODES || k->self >= k->n_nodes ||
             !key_valid(k) || !timing_valid(k) || !coordinator_valid(k))
        rc = verify_bad(e, STR(""), "an impossible cluster");
    else
        rc = verify_nodes(k, e);
    return rc ? rc : verify_mesh_sockets(v, e);
}
