/* The set of voters where the coordinator is one that was there already: nobody leads its members
 * here, so that every voter sees to the key `voters`, and whose compare-and-set comes first has
 * done it. The steps, and what they wait for, are those of voters.h, as everywhere. */
#include "daemon/control.h"

static void write_set(struct control *c, const struct voters *v, const struct voters *was)
{
    struct voters next = *v;
    next.version = c->coordinating.voters.version + 1;
    coord_write_voters(c, &next, was, false);
}

void coord_voters_tick(struct control *c)
{
    struct coordinating *g = &c->coordinating;
    struct voters wanted, next, none = {0};
    if (!c->view || !c->meshing.mesh)
        return;
    managed_say(c, false);
    if (!g->coord || !g->voters_known || !g->was_reachable || g->busy != COORD_IDLE)
        return;
    const struct view_cluster *k = &c->view->cluster;
    managed_wanted(c, &wanted);
    bool votes = voters_has(g->voters.version ? &g->voters : &wanted, k->nodes[k->self].name);
    if (!votes)
        return;
    if (g->voters_in_key < g->voters.version) /* its data is older than what is known here */
        write_set(c, &g->voters, &g->voters);
    else if (!g->voters.version)
        write_set(c, &wanted, &none);
    else if (coord_may_change_voters(c) && voters_next(&g->voters, &wanted, NULL, NULL, &next))
        write_set(c, &next, &g->voters);
}
