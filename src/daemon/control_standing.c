/* What nodes say to each other of the coordinator: what this one says, what the others said last,
 * and managed.h's facts, which are made of both. */
#include "daemon/control.h"

#define SAY_NS        (1 * NS_PER_S)
#define FRESH_NS      (3 * NS_PER_S)
#define LEADERLESS_NS (10 * NS_PER_S) /* elections that would end have ended */

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

static const struct view_cluster *cluster(const struct control *c)
{
    return &c->view->cluster;
}

/* --- who should vote --- */

static const struct view_node *at_place(const struct view_cluster *k, uint32_t place)
{
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (k->nodes[i].place == place)
            return &k->nodes[i];
    UNREACHABLE();
}

/* By the file, and who of them would found. */
static struct str wanted_of(const struct view_cluster *k, struct voters *out)
{
    struct voters_node nodes[VIEW_MAX_NODES];
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        const struct view_node *n = at_place(k, i);
        nodes[i] = (struct voters_node){n->name, n->zone, n->votes};
    }
    voters_choose(nodes, k->n_nodes, out);
    for (uint32_t i = 0; i < k->n_nodes; i++)
        if (voters_has(out, nodes[i].name))
            return nodes[i].name;
    UNREACHABLE();
}

struct str managed_wanted(const struct control *c, struct voters *out)
{
    return wanted_of(cluster(c), out);
}

/* --- what is said --- */

static struct managed_said own_said(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct managed_said s = g->record.said;
    struct voters wanted;
    str_copy(s.expects, sizeof s.expects, managed_wanted(c, &wanted));
    s.leader = g->status.leader;
    s.term = g->status.term;
    s.applied = g->status.applied;
    s.disk = (uint8_t)disk_level(c);
    s.timers = (uint8_t)disk_timers(c);
    s.pace = (uint8_t)g->pace;
    s.turn = managed_leads(c) ? g->turn : 0;
    return s;
}

bool managed_leads(const struct control *c)
{
    const struct coordinating *g = &c->coordinating;
    return g->status.member && g->status.leader == g->status.member &&
           g->record.said.member == g->status.member;
}

static void fill_standing(struct control *c, struct standing *s)
{
    struct coordinating *g = g_of(c);
    struct coord_health h = {.revision = 0};
    *s = (struct standing){.said = own_said(c),
                           .full = g->full,
                           .voters = g->voters.version,
                           .bytes = g->status.bytes,
                           .used = g->status.used};
    if (g->coord)
        coord_health(g->coord, &h);
    s->revision = h.revision;
    s->restoring = g->record.restoring || g->record.raise || g->restore_from[0];
    s->config = c->configuring.kept_most;
    if (!managed_leads(c) || !managed_same_id(&g->list.line, &s->said.line))
        return;
    s->n = g->list.n;
    memcpy(s->members, g->list.members, sizeof s->members);
}

void managed_say(struct control *c, bool again)
{
    struct coordinating *g = g_of(c);
    struct standing s;
    struct err e = {0};
    uint64_t now = loop_now(c->loop);
    if (!c->meshing.mesh || (!again && now - g->said_at < SAY_NS))
        return;
    g->said_at = now;
    fill_standing(c, &s);
    buf_clear(&g->said);
    standing_put(&s, &g->said);
    if (g->said.failed || mesh_send(c->meshing.mesh, STR(""), MESH_COORD, buf_str(&g->said), &e))
        log_debug(c->log, "how it stands to the coordinator is not told: %s", e.text);
}

static uint32_t node_index(const struct control *c, struct str name)
{
    for (uint32_t i = 0; i < cluster(c)->n_nodes; i++)
        if (str_eq(cluster(c)->nodes[i].name, name))
            return i;
    return VIEW_MAX_NODES;
}

/* Peers lie by their node's place in the view, and are found again by name when it changes. */
static struct coord_peer *peer_of(struct control *c, struct str name)
{
    struct coordinating *g = g_of(c);
    struct coord_peer *none = NULL;
    for (uint32_t i = 0; i < VIEW_MAX_NODES; i++) {
        if (str_eq(str_of(g->peers[i].name), name))
            return &g->peers[i];
        if (!none &&
            (!g->peers[i].name[0] || node_index(c, str_of(g->peers[i].name)) == VIEW_MAX_NODES))
            none = &g->peers[i];
    }
    CHECK(none); /* as many as a view has nodes */
    *none = (struct coord_peer){.at = 0};
    str_copy(none->name, sizeof none->name, name);
    return none;
}

bool managed_hears(struct control *c, uint32_t node, const struct standing **out)
{
    const struct coord_peer *p = peer_of(c, cluster(c)->nodes[node].name);
    *out = &p->said;
    return p->at && loop_now(c->loop) - p->at < FRESH_NS;
}

/* A list is as new as the term in which its teller leads; of one term the latest word counts. */
static void take_list(struct control *c, const struct standing *s)
{
    struct coordinating *g = g_of(c);
    struct coord_list *l = &g->list;
    const struct managed_line *line = &s->said.line;
    if (s->n == 0 || s->said.leader != s->said.member || s->said.record != MANAGED_DATA)
        return;
    if (managed_same_id(&l->line, line) &&
        (managed_order(line, &l->line) < 0 ||
         (managed_order(line, &l->line) == 0 && s->said.term < l->term)))
        return;
    l->line = *line;
    l->term = s->said.term;
    l->at = loop_now(c->loop);
    l->n = s->n;
    memcpy(l->members, s->members, sizeof l->members);
}

/* Whether nodes tell each other how they stand to it. */
static bool shares(const struct coordinating *g)
{
    return g->open && (g->kind == COORDINATOR_MANAGED || g->kind == COORDINATOR_EXTERNAL);
}

void coordinating_message(struct control *c, struct str from, struct str bytes)
{
    struct coordinating *g = g_of(c);
    struct standing s;
    if (!shares(g) || node_index(c, from) == VIEW_MAX_NODES)
        return;
    if (!standing_get(bytes, &s)) {
        log_warning(c->log, "node " STR_FMT " sends a malformed message about the coordinator",
                    STR_ARG(from));
        return;
    }
    struct coord_peer *p = peer_of(c, from);
    bool news = p->at == 0 || p->said.said.record != s.said.record ||
                p->said.said.leader != s.said.leader || p->said.said.place != s.said.place;
    p->said = s;
    p->at = loop_now(c->loop);
    take_list(c, &s);
    if (news)
        coord_look(c);
}

void coordinating_link(struct control *c, struct str node, bool up)
{
    struct coordinating *g = g_of(c);
    if (!shares(g) || node_index(c, node) == VIEW_MAX_NODES)
        return;
    peer_of(c, node)->at = 0;
    if (up)
        managed_say(c, true);
}

/* --- facts --- */

uint32_t managed_owner(const struct control *c, const struct standing_member *m)
{
    const struct view_cluster *k = cluster(c);
    uint32_t by_name = *m->name ? node_index(c, str_of(m->name)) : VIEW_MAX_NODES;
    if (by_name < k->n_nodes)
        return by_name;
    for (uint32_t i = 0; i < k->n_nodes && !*m->name; i++) {
        struct addr peer = coord_port(&k->nodes[i], VIEW_COORD_PEER);
        if (addr_eq(&peer, &m->peer))
            return i;
    }
    return MANAGED_NODES;
}

static uint64_t adopted(void *context, struct str name)
{
    struct control *c = context;
    const struct standing *s;
    uint32_t i = node_index(c, name);
    if (i == cluster(c)->self)
        return g_of(c)->voters.version;
    return i < VIEW_MAX_NODES && managed_hears(c, i, &s) ? s->voters : 0;
}

bool coord_may_change_voters(struct control *c)
{
    struct coordinating *g = g_of(c);
    return g->voters_known && g->voters_revision && !g->restore_from[0] &&
           voters_ready(&g->patience, &g->voters, &g->was, adopted, c, meshing_promise(c),
                        loop_now(c->loop));
}

static void gather_nodes(struct control *c, struct coord_facts *a)
{
    const struct view_cluster *k = cluster(c);
    const struct standing *s;
    for (uint32_t i = 0; i < k->n_nodes; i++) {
        a->nodes[i] = (struct managed_node){.name = k->nodes[i].name};
        a->nodes[i].heard = i == k->self || managed_hears(c, i, &s);
        if (i == k->self)
            a->nodes[i].said = own_said(c);
        else if (a->nodes[i].heard)
            a->nodes[i].said = s->said;
    }
}

void managed_gather(struct control *c, struct coord_facts *a)
{
    struct coordinating *g = g_of(c);
    const struct view_cluster *k = cluster(c);
    struct managed_facts *f = &a->f;
    *f = (struct managed_facts){.nodes = a->nodes,
                                .n = k->n_nodes,
                                .self = k->self,
                                .founder = a->founder,
                                .listed = g->list.line,
                                .members = a->members,
                                .n_members = g->list.n};
    str_copy(a->founder, sizeof a->founder, managed_wanted(c, &f->wanted));
    f->voters = g->voters.version ? g->voters : f->wanted;
    f->etcd = g->etcd.life == AGENT_RUNNING || g->etcd.life == AGENT_STOPPING ? MANAGED_RUNS
                                                                              : MANAGED_OFF;
    f->bare = g->record.said.record == MANAGED_DATA && !g->record.founding && !g->etcd.has_data;
    f->may_change_voters = coord_may_change_voters(c);
    f->leaderless = g->leader_gone && loop_now(c->loop) - g->leader_gone >= LEADERLESS_NS;
    f->disk_steady = disk_is_steady(c);
    gather_nodes(c, a);
    for (uint32_t i = 0; i < g->list.n; i++) {
        const struct standing_member *m = &g->list.members[i];
        a->members[i] = (struct managed_member){m->id, managed_owner(c, m), m->learner, m->place};
    }
}
