/* The managed coordinator: managed.h's facts, gathered from the other nodes, the agent and etcd,
 * and its steps, done one at a time. What is promised to the others lies in STATE/coordinator.json
 * before it is done. */
#include "daemon/control.h"
#include "daemon/paths.h"

#include <stdio.h>

#include "coord/etcd_timers.h"

#define POLL_NS    (400 * NS_PER_MS)
#define LIST_NS    (2 * NS_PER_S)
#define SAY_NS     (1 * NS_PER_S)
#define FRESH_NS   (3 * NS_PER_S)
#define ASK_NS     (1500 * NS_PER_MS)
#define CHANGE_NS  (10 * NS_PER_S)
#define COMPACT_NS (300 * NS_PER_S)

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

static const struct view_cluster *cluster(const struct control *c)
{
    return &c->view->cluster;
}

/* --- the record --- */

static int record_path(const struct control *c, char path[PATHS_MAX], struct err *e)
{
    return paths_join(path, c->o.state_dir, "coordinator.json", e);
}

static bool save(struct control *c, const struct coord_record *r)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX];
    struct err e = {0};
    int rc = record_path(c, path, &e);
    rc = rc ? rc : coord_record_save(path, r, &e);
    if (rc) {
        control_unsaved(c, &e);
        return false;
    }
    g->record = *r;
    coord_follow_line(c);
    managed_say(c, true);
    return true;
}

static uint64_t draw(void)
{
    uint64_t n = 0;
    while (n == 0)
        entropy(&n, sizeof n);
    return n;
}

static struct coord_record knows(const struct managed_line *line, struct str founder)
{
    struct coord_record r = {.said = {.record = MANAGED_KNOWS, .line = *line}};
    str_copy(r.said.founder, sizeof r.said.founder, founder);
    r.said.place = founder.n ? 0 : draw();
    return r;
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
    return s;
}

static bool leads(const struct control *c)
{
    const struct coordinating *g = &c->coordinating;
    return g->status.member && g->status.leader == g->status.member &&
           g->record.said.member == g->status.member;
}

static void fill_standing(struct control *c, struct standing *s)
{
    struct coordinating *g = g_of(c);
    struct coord_health h = {.revision = 0};
    *s = (struct standing){.said = own_said(c), .full = g->full, .voters = g->voters.version};
    if (g->coord)
        coord_health(g->coord, &h);
    s->revision = h.revision;
    s->restoring = g->record.restoring || g->restore_from[0];
    if (!leads(c) || !managed_same_id(&g->list.line, &s->said.line))
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

void coordinating_message(struct control *c, struct str from, struct str bytes)
{
    struct coordinating *g = g_of(c);
    struct standing s;
    if (!g->open || g->kind != COORDINATOR_MANAGED || node_index(c, from) == VIEW_MAX_NODES)
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
    if (!g->open || g->kind != COORDINATOR_MANAGED || node_index(c, node) == VIEW_MAX_NODES)
        return;
    peer_of(c, node)->at = 0;
    if (up)
        managed_say(c, true);
}

/* --- facts --- */

struct gathered {
    struct managed_node nodes[VIEW_MAX_NODES];
    struct managed_member members[MANAGED_MEMBERS];
    char founder[MANAGED_NAME];
    struct managed_facts f;
};

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

static void gather_nodes(struct control *c, struct gathered *a)
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

static void gather(struct control *c, struct gathered *a)
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
    f->may_change_voters =
        g->voters_known && g->voters_revision && !g->restore_from[0] &&
        voters_ready(&g->patience, &g->voters, &g->was, adopted, c, loop_now(c->loop));
    gather_nodes(c, a);
    for (uint32_t i = 0; i < g->list.n; i++) {
        const struct standing_member *m = &g->list.members[i];
        a->members[i] = (struct managed_member){m->id, managed_owner(c, m), m->learner, m->place};
    }
}

/* --- steps --- */

/* etcd stops, its data goes aside, and then this is the record. */
static bool leave(struct control *c, const struct coord_record *next)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    bool runs = g->etcd.life == AGENT_RUNNING;
    g->next = *next;
    g->leaves = true;
    if (runs ? coord_stop(c, &e) : 0) {
        coordinating_tell(c, EVENT_WARNING, "", "%s", e.text);
        g->leaves = false;
        return false;
    }
    if (!runs)
        managed_leaves(c);
    return true;
}

void managed_leaves(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    g->leaves = false;
    if (!g->etcd.has_data)
        managed_emptied(c);
    else if (coord_aside(c, &e))
        coordinating_tell(c, EVENT_WARNING, "", "its data cannot be put aside: %s", e.text);
}

void managed_emptied(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    bool start = g->start_next;
    g->start_next = false;
    g->status = (struct etcd_told){0};
    if (save(c, &g->next) && start && coord_start(c, &e))
        coordinating_tell(c, EVENT_WARNING, "", "its member cannot be started: %s", e.text);
}

/* With an empty directory: whatever is there goes aside first. */
static bool begin_with(struct control *c, const struct coord_record *next)
{
    g_of(c)->start_next = true;
    if (leave(c, next))
        return true;
    g_of(c)->start_next = false;
    return false;
}

/* An operator's: the record is written first, then etcd starts by it. */
int managed_restore(struct control *c, const struct coord_record *r, bool empty, struct err *e)
{
    struct coordinating *g = g_of(c);
    if (g->busy != COORD_IDLE)
        return err_set(e, ERR_BUSY, "a step of its members is under way: try again");
    if (empty)
        return begin_with(c, r) ? 0 : err_set(e, ERR_IO, "etcd cannot be stopped");
    if (!save(c, r))
        return err_set(e, ERR_IO, "the state directory cannot be written");
    if (g->etcd.life == AGENT_RUNNING)
        return coord_stop(c, e);
    g->backoff_until = 0;
    coord_look(c);
    return 0;
}

static bool begin_as(struct control *c, bool founding, uint64_t member)
{
    struct coord_record r = {.founding = founding, .said = g_of(c)->record.said};
    r.said.record = MANAGED_DATA;
    r.said.founder[0] = 0;
    r.said.place = 0;
    r.said.member = member;
    return begin_with(c, &r);
}

static bool intend(struct control *c)
{
    struct managed_line l = {.generation = 1, .draw = draw()};
    entropy(l.id, sizeof l.id);
    struct coord_record r = knows(&l, cluster(c)->nodes[cluster(c)->self].name);
    return save(c, &r);
}

static bool start(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct err e = {0};
    if (loop_now(c->loop) < g->backoff_until)
        return false;
    if (coord_start(c, &e) == 0)
        return true;
    g->backoff_until = loop_now(c->loop) + NS_PER_S;
    coordinating_tell(c, EVENT_WARNING, "", "its member cannot be started: %s", e.text);
    return false;
}

static bool ask(struct control *c, const struct etcd_ask *a);

static bool change_members(struct control *c, const struct managed_step *s)
{
    static const uint8_t questions[MANAGED_DOS] = {[MANAGED_ADD] = ETCD_ADD,
                                                   [MANAGED_PROMOTE] = ETCD_PROMOTE,
                                                   [MANAGED_REMOVE] = ETCD_REMOVE,
                                                   [MANAGED_HAND_OVER] = ETCD_LEAD};
    struct coordinating *g = g_of(c);
    char url[ETCD_MEMBER_URL] = "", at[ETCD_MEMBER_URL];
    if (s->act == MANAGED_ADD)
        coord_url(&cluster(c)->nodes[s->node], VIEW_COORD_PEER, url);
    coord_url(view_self(c->view), VIEW_COORD_CLIENT, at);
    struct etcd_ask a = {
        .question = questions[s->act], .at = at, .url = url, .id = s->member, .limit = CHANGE_NS};
    if (!ask(c, &a))
        return false;
    g->adding = s->node;
    g->adding_place = s->place;
    g->busy = COORD_CHANGING;
    return true;
}

static bool set_voters(struct control *c, const struct managed_step *s)
{
    struct coordinating *g = g_of(c);
    if (!g->coord)
        return false;
    coord_write_voters(c, &s->voters, &g->voters, false);
    return true;
}

static bool perform(struct control *c, const struct managed_step *s)
{
    struct coord_record r = {.founding = false};
    switch (s->act) {
    case MANAGED_INTEND: return intend(c);
    case MANAGED_PROMISE: r = knows(&s->line, cluster(c)->nodes[s->node].name); return save(c, &r);
    case MANAGED_LEARN: r = knows(&s->line, STR("")); return save(c, &r);
    case MANAGED_FORGET: return save(c, &r);
    case MANAGED_FOUND: return begin_as(c, true, 0);
    case MANAGED_JOIN: return begin_as(c, false, s->member);
    case MANAGED_START: return start(c);
    case MANAGED_LEAVE: r = knows(&s->line, STR("")); return leave(c, &r);
    case MANAGED_ADD:
    case MANAGED_PROMOTE:
    case MANAGED_REMOVE:
    case MANAGED_HAND_OVER: return change_members(c, s);
    case MANAGED_SET_VOTERS: return set_voters(c, s);
    case MANAGED_REST:
    case MANAGED_DOS: break;
    }
    return false;
}

/* The leader's own business with the keys; true: something is under way. */
static bool tend_keys(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct voters wanted, none = {0};
    if (!leads(c) || !g->cluster_known || !g->voters_known || g->restore_from[0])
        return false;
    if (!g->has_cluster && g->voters_revision == 0) {
        managed_wanted(c, &wanted);
        wanted.version = g->voters.version + 1;
        coord_write_voters(c, &wanted, &none, true);
        return true;
    }
    if (g->voters_in_key && g->voters_in_key < g->voters.version) { /* a restore went back */
        struct voters again = g->voters;
        again.version++;
        coord_write_voters(c, &again, &g->voters, false);
        return true;
    }
    return false;
}

static void note(struct control *c, const struct gathered *a, const struct managed_step *s)
{
    struct coordinating *g = g_of(c);
    char text[sizeof g->text];
    managed_explain(&a->f, s, text, sizeof text);
    bool same = strcmp(text, g->text) == 0;
    str_copy(g->text, sizeof g->text, str_of(text));
    g->step = *s;
    if (same || !*text || s->act == MANAGED_START)
        return;
    char name[MANAGED_NAME] = "";
    if (s->node < a->f.n)
        str_copy(name, sizeof name, a->f.nodes[s->node].name);
    bool rest = s->act == MANAGED_REST;
    coordinating_tell(c,
                      rest && s->why != MANAGED_PLACE && s->why != MANAGED_CATCH_UP ? EVENT_WARNING
                                                                                    : EVENT_INFO,
                      name, "%s", text);
}

/* What has been so for a moment is told; what passes is not. */
static void consider(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct gathered a;
    if (g->busy != COORD_IDLE || g->damaged || !g->agent_known || coord_restarts(c) || tend_keys(c))
        return;
    if (leads(c) && (g->list_at == 0 || loop_now(c->loop) < g->change_after))
        return; /* what was changed is looked at before anything else is */
    gather(c, &a);
    struct managed_step s = managed_next(&a.f);
    bool rest = s.act == MANAGED_REST;
    if (rest && (s.why != g->resting || g->rest_since == 0)) {
        g->resting = s.why;
        g->rest_since = loop_now(c->loop);
    }
    if (!rest)
        g->rest_since = 0;
    if (rest ? loop_now(c->loop) - g->rest_since >= 2 * NS_PER_S : perform(c, &s))
        note(c, &a, &s);
}

/* --- what etcd says --- */

static void on_told(void *context, enum etcd_question q, const struct etcd_told *t);

static bool ask(struct control *c, const struct etcd_ask *a)
{
    struct err e = {0};
    if (!g_of(c)->ask || etcd_members_ask(g_of(c)->ask, a, on_told, c, &e))
        return false;
    g_of(c)->asked_at = loop_now(c->loop);
    return true;
}

static bool ask_self(struct control *c, enum etcd_question q)
{
    char at[ETCD_MEMBER_URL];
    coord_url(view_self(c->view), VIEW_COORD_CLIENT, at);
    struct etcd_ask a = {
        .question = q, .at = at, .limit = ASK_NS, .revision = g_of(c)->status.revision};
    return ask(c, &a);
}

static void take_status(struct control *c, const struct etcd_told *t)
{
    struct coordinating *g = g_of(c);
    uint64_t leader = g->status.leader, member = g->status.member;
    g->status = *t;
    if (t->code) {
        g->status = (struct etcd_told){0};
    } else if (g->busy == COORD_IDLE &&
               (g->record.founding || g->record.restoring || g->record.said.member == 0)) {
        struct coord_record r = g->record;
        r.said.member = t->member;
        r.founding = false;
        r.restoring = g->record.restoring && t->leader != t->member;
        save(c, &r);
    }
    if (leader != g->status.leader || member != g->status.member)
        managed_say(c, true);
    if (leader != g->status.leader && g->status.leader)
        coordinating_tell(c, EVENT_INFO, "",
                          leads(c) ? "its member here leads"
                                   : "its member here follows another leader");
}

static void take_members(struct control *c, const struct etcd_told *t)
{
    struct coordinating *g = g_of(c);
    struct coord_list l = {.line = g->record.said.line, .term = g->status.term};
    for (uint32_t i = 0; i < t->n && l.n < MANAGED_MEMBERS; i++) {
        struct standing_member *m = &l.members[l.n];
        *m = (struct standing_member){.id = t->members[i].id, .learner = t->members[i].learner};
        str_copy(m->name, sizeof m->name, str_of(t->members[i].name));
        if (!coord_url_addr(t->members[i].peer, &m->peer))
            continue;
        for (uint32_t p = 0; p < VIEW_MAX_NODES; p++)
            if (g->places[p].member == m->id)
                m->place = g->places[p].place;
        l.n++;
    }
    l.at = g->list_at = loop_now(c->loop);
    bool news = l.n != g->list.n || memcmp(l.members, g->list.members, sizeof l.members) != 0;
    g->list = l;
    if (news)
        managed_say(c, true);
}

/* etcd adds nobody before all members have been connected for 5 s, and promotes nobody who has not
 * caught up: it is asked again. */
static bool is_too_early(const char *text)
{
    return strstr(text, "unhealthy cluster") || strstr(text, "in sync with leader");
}

static void changed(struct control *c, enum etcd_question q, const struct etcd_told *t)
{
    struct coordinating *g = g_of(c);
    g->busy = COORD_IDLE;
    g->list_at = 0;
    if (t->code) {
        g->change_after = loop_now(c->loop) + NS_PER_S;
        if (!is_too_early(t->why->text))
            coordinating_tell(c, EVENT_WARNING, "", "a change of the members fails: %s",
                              t->why->text);
    }
    if (t->code == 0 && q == ETCD_ADD && g->adding < VIEW_MAX_NODES)
        g->places[g->adding] = (struct coord_place){g->adding_place, t->added};
}

static void on_told(void *context, enum etcd_question q, const struct etcd_told *t)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    switch (q) {
    case ETCD_STATUS:
        take_status(c, t);
        if (leads(c) && loop_now(c->loop) - g->list_at >= LIST_NS && ask_self(c, ETCD_LIST))
            return; /* and then */
        break;
    case ETCD_LIST:
        if (t->code == 0 && leads(c))
            take_members(c, t);
        break;
    case ETCD_ADD:
    case ETCD_PROMOTE:
    case ETCD_REMOVE:
    case ETCD_LEAD: changed(c, q, t); break;
    case ETCD_ALARMS:
    case ETCD_DISARM:
    case ETCD_COMPACT:
    case ETCD_DEFRAGMENT:
    case ETCD_QUESTIONS: break;
    }
    consider(c);
}

void managed_tick(struct control *c)
{
    struct coordinating *g = g_of(c);
    uint64_t now = loop_now(c->loop);
    if (!c->view || g->damaged)
        return;
    managed_say(c, false);
    if (g->ask && etcd_members_busy(g->ask))
        return;
    bool due = now - g->asked_at >= POLL_NS || g->list_at == 0;
    if (g->etcd.life == AGENT_RUNNING && due && ask_self(c, ETCD_STATUS))
        return;
    consider(c);
}

/* --- the disk --- */

/* The disk's time for a sync sets the timers; they are the same for all members when all disks are
 * good, and etcd bears it when they are not. */
void coord_disk(struct control *c, const struct agent_disk *d)
{
    struct coordinating *g = g_of(c);
    uint32_t relax = 1;
    g->disk_ticket = 0;
    g->disk_p99 = d ? d->p99 : 0;
    while (d && relax < ETCD_RELAX && d->p99 > (uint64_t)ETCD_SYNC_GOOD_MS * relax * NS_PER_MS)
        relax *= 2;
    g->heartbeat_ms = ETCD_HEARTBEAT_MS * relax;
    g->election_ms = ETCD_ELECTION_MS * relax;
    if (relax > 1)
        coordinating_tell(c, EVENT_WARNING, "",
                          "the disk takes %llu ms to sync: elections wait %u ms",
                          (unsigned long long)(d->p99 / NS_PER_MS), g->election_ms);
}

/* --- begin --- */

int managed_begin(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX], ca[PATHS_MAX], cert[PATHS_MAX], key[PATHS_MAX];
    g->heartbeat_ms = ETCD_HEARTBEAT_MS;
    g->election_ms = ETCD_ELECTION_MS;
    int r = record_path(c, path, e);
    r = r ? r : coord_record_load(path, &g->record, e);
    if (r) {
        g->damaged = true;
        return r;
    }
    r = coord_tls(c, e);
    r = r ? r : coord_tls_files(c, ca, cert, key, e);
    if (r == 0 && !g->ask)
        r = etcd_members_new(&g->ask, c->loop, ca, cert, key, e);
    coord_restore_begin(c);
    coord_follow_line(c);
    loop_timer_set(c->loop, &g->tick, loop_now(c->loop) + NS_PER_MS);
    return r;
}
