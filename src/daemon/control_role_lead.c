/* Where the managed coordinator's leader is: rather not where a primary is. With a node that is
 * lost its member of etcd is lost too, and when that leads nothing can be recorded until the others
 * have elected another one (docs/coordinator.md, "Timers"): that time is saved when the leader is
 * elsewhere. So a node that leads and is primary hands leading on to one that is not, where there
 * is one. Nothing depends on it. */
#include "daemon/control.h"

#define LOOK_NS  (1 * NS_PER_S)
#define AGAIN_NS (10 * NS_PER_S) /* after it was handed on, or could not be */

static bool has_primary(const struct control *c, struct str node)
{
    for (uint32_t i = 0; i < c->rolling.n; i++) {
        const struct role_here *r = c->rolling.rows[i];
        uint8_t primary = failover_primary(&r->core);
        if (primary < r->n && str_eq(r->places[primary], node))
            return true;
    }
    return false;
}

/* A full member on a node that is heard and is primary of nothing; 0: there is none. */
static uint64_t better_leader(struct control *c)
{
    const struct view_cluster *k = &c->view->cluster;
    const struct coord_list *l = &c->coordinating.list;
    const struct standing *said;
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t node = managed_owner(c, &l->members[i]);
        if (l->members[i].learner || node >= k->n_nodes || node == k->self)
            continue;
        if (managed_hears(c, node, &said) && !has_primary(c, k->nodes[node].name))
            return l->members[i].id;
    }
    return 0;
}

static void on_led(void *context, enum etcd_question q, const struct etcd_told *t)
{
    struct control *c = context;
    (void)q;
    if (t->code)
        log_debug(c->log, "the coordinator's lead stays here: %s", t->why->text);
    else
        log_info(c->log, "the coordinator's lead goes to a node that is primary of nothing");
}

void rolling_lead(struct control *c)
{
    const struct view_cluster *k = &c->view->cluster;
    const struct coordinating *g = &c->coordinating;
    uint64_t now = loop_now(c->loop), to = 0;
    char at[ETCD_MEMBER_URL];
    bool leads = g->kind == COORDINATOR_MANAGED && g->busy == COORD_IDLE && g->status.member &&
                 g->status.leader == g->status.member;
    if (now < c->rolling.lead_at)
        return;
    c->rolling.lead_at = now + LOOK_NS;
    if (leads && g->space.ask && has_primary(c, k->nodes[k->self].name))
        to = better_leader(c);
    if (!to || etcd_members_busy(g->space.ask))
        return;
    c->rolling.lead_at = now + AGAIN_NS;
    coord_url(&k->nodes[k->self], VIEW_COORD_CLIENT, at);
    struct etcd_ask a = {.question = ETCD_LEAD, .at = at, .id = to, .limit = 5 * NS_PER_S};
    etcd_members_ask(g->space.ask, &a, on_led, c, NULL);
}
