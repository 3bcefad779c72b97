/* What operators see of the configuration that all nodes share. */
#include "daemon/control.h"

void admin_version_of(const struct version *v, struct admin_version *out)
{
    *out = (struct admin_version){v->number, v->from, v->when, v->digest,
                                  v->who,    v->node, v->note, v->changes};
}

static bool is_alive(const struct admin_cluster *k, struct str name)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (str_eq(k->members[i].name, name))
            return k->members[i].info.state == MEMBER_ALIVE;
    return false;
}

static void picture_node(const struct control *c, struct admin_adoption *to)
{
    const struct configuring *g = &c->configuring;
    to->problem = "";
    for (uint32_t i = 0; i < g->n_said; i++)
        if (str_eq(str_of(g->said[i].name), to->node)) {
            to->told = true;
            to->number = g->said[i].says.number;
            to->problem = g->said[i].says.problem;
        }
    if (!to->self)
        return;
    to->told = to->alive = true; /* of itself a node knows without the coordinator */
    to->number = g->used.version.number;
    to->problem = configuring_problem(c);
}

static int picture_nodes(struct control *c, struct admin_config *out, struct err *e)
{
    const struct view_cluster *v = &c->view->cluster;
    struct admin_cluster k = {0};
    out->n_nodes = MAX(v->n_nodes, 1u);
    out->nodes = arena_array(&out->arena, out->n_nodes, sizeof *out->nodes);
    if (!out->nodes)
        return err_set(e, ERR_NOMEM, "no memory for the nodes");
    bool several = meshing_cluster(c, &k, NULL) == 0;
    for (uint32_t i = 0; i < out->n_nodes; i++) {
        struct admin_adoption *n = &out->nodes[i];
        n->self = v->n_nodes == 0 || i == v->self;
        n->node = v->n_nodes ? v->nodes[i].name : control_name(c);
        n->alive = several && is_alive(&k, n->node);
        picture_node(c, n);
    }
    admin_cluster_free(&k);
    return 0;
}

int configuring_picture(void *context, struct admin_config *out, struct err *e)
{
    struct control *c = context;
    const struct configuring *g = &c->configuring;
    struct coord_health health = {0};
    admin_version_of(&g->used.version, &out->used);
    admin_version_of(&g->adopter.head.version, &out->head);
    out->revision = g->adopter.head.revision;
    out->head_known = g->adopter.head_known;
    out->problem = configuring_problem(c);
    out->own_problem = g->own_problem;
    if (g->coord)
        coord_health(g->coord, &health);
    char *engine = arena_cstr(&out->arena, str_of(health.engine));
    if (!engine)
        return err_set(e, ERR_NOMEM, "no memory for the configuration");
    out->coordinator = engine;
    out->reachable = health.reachable;
    return picture_nodes(c, out, e);
}
