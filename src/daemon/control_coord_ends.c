/* Where etcd is asked that holdfast runs itself: the members of the voters. */
#include <stdio.h>

#include "daemon/control.h"

static bool may_vote(struct control *c, const struct voters *wanted, uint32_t node)
{
    struct str name = c->view->cluster.nodes[node].name;
    return voters_has(wanted, name) || voters_has(&c->coordinating.voters, name);
}

/* Of this node first. */
uint32_t coord_voter_urls(struct control *c, char urls[VIEW_MAX_ENDPOINTS][ETCD_MEMBER_URL])
{
    const struct view_cluster *k = &c->view->cluster;
    struct voters wanted;
    uint32_t n = 0;
    managed_wanted(c, &wanted);
    for (uint32_t turn = 0; turn < k->n_nodes && n < VIEW_MAX_ENDPOINTS; turn++) {
        uint32_t i = (k->self + turn) % k->n_nodes;
        if (may_vote(c, &wanted, i))
            coord_url(&k->nodes[i], VIEW_COORD_CLIENT, urls[n++]);
    }
    return n;
}

/* ... as were set last; they are noted. */
bool coord_same_endpoints(struct coordinating *g, char urls[][ETCD_MEMBER_URL], uint32_t n)
{
    char all[sizeof g->endpoints] = "";
    for (uint32_t i = 0, at = 0; i < n && at < sizeof all; i++)
        at += (uint32_t)snprintf(all + at, sizeof all - at, "%s ", urls[i]);
    if (strcmp(all, g->endpoints) == 0)
        return true;
    memcpy(g->endpoints, all, sizeof all);
    return false;
}

void coord_endpoints(struct control *c)
{
    struct coordinating *g = &c->coordinating;
    char urls[VIEW_MAX_ENDPOINTS][ETCD_MEMBER_URL];
    const char *list[VIEW_MAX_ENDPOINTS];
    struct err e = {0};
    if (g->kind != COORDINATOR_MANAGED || !g->coord)
        return;
    uint32_t n = coord_voter_urls(c, urls);
    for (uint32_t i = 0; i < n; i++)
        list[i] = urls[i];
    if (n && !coord_same_endpoints(g, urls, n) && coord_etcd_endpoints(g->coord, list, n, &e))
        log_error(c->log, "the coordinator: %s", e.text);
    coord_hear(c);
}

/* Who has fallen silent here, whatever others hear: each node has its own way to etcd. */
void coord_hear(struct control *c)
{
    struct coordinating *g = &c->coordinating;
    const struct view_cluster *k = &c->view->cluster;
    char urls[VIEW_MAX_ENDPOINTS][ETCD_MEMBER_URL], own[ETCD_MEMBER_URL];
    const char *unheard[VIEW_MAX_ENDPOINTS];
    struct voters wanted;
    uint32_t n = 0;
    if (g->kind != COORDINATOR_MANAGED || !g->coord || !c->meshing.mesh)
        return;
    managed_wanted(c, &wanted);
    const struct membership *m = mesh_borrow(c->meshing.mesh);
    for (uint32_t i = 0; i < k->n_nodes && n < VIEW_MAX_ENDPOINTS; i++) {
        struct member_info is;
        if (!may_vote(c, &wanted, i) || !member_find(m, node_id(k->name, k->nodes[i].name), &is) ||
            is.self || is.state == MEMBER_ALIVE)
            continue;
        coord_url(&k->nodes[i], VIEW_COORD_CLIENT, urls[n]);
        unheard[n] = urls[n];
        n++;
    }
    mesh_return(c->meshing.mesh);
    coord_url(&k->nodes[k->self], VIEW_COORD_CLIENT, own);
    coord_etcd_machines(g->coord, own, unheard, n);
}
