/* etcd as it answers: how the member here is, the list of all, and what is asked of it to change
 * them. One question at a time; after each answer the next step is chosen. */
#include "daemon/control.h"

#define POLL_NS   (400 * NS_PER_MS)
#define LIST_NS   (2 * NS_PER_S)
#define ASK_NS    (1500 * NS_PER_MS)
#define CHANGE_NS (10 * NS_PER_S)
#define LATE_NS   (250 * NS_PER_MS)

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

static const struct view_cluster *cluster(const struct control *c)
{
    return &c->view->cluster;
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

/* Whoever leads, since when its member knows none, and what is told of it: an election, not that
 * somebody did not answer for a while. */
static void take_leader(struct control *c, uint64_t was)
{
    struct coordinating *g = g_of(c);
    const struct etcd_told *s = &g->status;
    if (!managed_leads(c))
        g->turn = 0;
    if (s->leader == 0) {
        g->leader_gone = g->leader_gone ? g->leader_gone : loop_now(c->loop);
        if (was)
            disk_look(c); /* perhaps it is why */
        return;
    }
    g->leader_gone = 0;
    if (s->leader == g->told_leader && s->term == g->told_term)
        return;
    g->told_leader = s->leader;
    g->told_term = s->term;
    disk_look(c);
    coordinating_tell(c, EVENT_INFO, "",
                      managed_leads(c) ? "its member here leads"
                                       : "its member here follows another leader");
}

static void take_status(struct control *c, const struct etcd_told *t)
{
    struct coordinating *g = g_of(c);
    uint64_t leader = g->status.leader, member = g->status.member;
    if (t->code && loop_now(c->loop) - g->asked_at > ASK_NS + LATE_NS)
        return; /* this process stood still itself, in a sync: it cannot say */
    g->status = *t;
    if (t->code) {
        g->status = (struct etcd_told){0};
    } else if (g->busy == COORD_IDLE &&
               (g->record.founding || g->record.restoring || g->record.said.member == 0)) {
        struct coord_record r = g->record;
        r.said.member = t->member;
        r.founding = false;
        r.restoring = g->record.restoring && t->leader != t->member;
        managed_save(c, &r);
    }
    if (leader != g->status.leader || member != g->status.member)
        managed_say(c, true);
    take_leader(c, leader);
    space_alarms(c);
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
        if (managed_leads(c) && loop_now(c->loop) - g->list_at >= LIST_NS && ask_self(c, ETCD_LIST))
            return; /* and then */
        break;
    case ETCD_LIST:
        if (t->code == 0 && managed_leads(c))
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
    managed_consider(c);
}

/* How it is, when that is due. False: nothing is asked, and nothing was before. */
bool members_poll(struct control *c)
{
    struct coordinating *g = g_of(c);
    bool due = loop_now(c->loop) - g->asked_at >= POLL_NS || g->list_at == 0;
    if (g->ask && etcd_members_busy(g->ask))
        return true;
    return g->etcd.life == AGENT_RUNNING && due && ask_self(c, ETCD_STATUS);
}

bool members_change(struct control *c, const struct managed_step *s)
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
