/* The managed coordinator: managed.h's steps, chosen from the facts and done one at a time. What is
 * promised to the others lies in STATE/coordinator.json before it is done. */
#include "daemon/control.h"
#include "daemon/paths.h"

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

bool managed_save(struct control *c, const struct coord_record *r)
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
    if (managed_save(c, &g->next) && start && coord_start(c, &e))
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
    if (!managed_save(c, r))
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
    return managed_save(c, &r);
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

static bool set_voters(struct control *c, const struct managed_step *s)
{
    struct coordinating *g = g_of(c);
    if (!g->coord)
        return false;
    coord_write_voters(c, &s->voters, &g->voters, false);
    return true;
}

/* Leading: it is announced, and the member's node does it. */
static bool give_turn(struct control *c, const struct managed_step *s)
{
    struct coordinating *g = g_of(c);
    if (g->turn == s->member && g->step.act == MANAGED_TURN && g->step.level == s->level)
        return false;
    g->turn = s->member;
    managed_say(c, true);
    return true;
}

static bool restart(struct control *c, const struct managed_step *s)
{
    struct err e = {0};
    g_of(c)->pace = s->level;
    if (coord_stop(c, &e) == 0)
        return true;
    coordinating_tell(c, EVENT_WARNING, "", "%s", e.text);
    return false;
}

static bool perform(struct control *c, const struct managed_step *s)
{
    struct coord_record r = {.founding = false};
    bool starts = s->act == MANAGED_FOUND || s->act == MANAGED_JOIN || s->act == MANAGED_START;
    if (starts && disk_awaited(c))
        return false;
    switch (s->act) {
    case MANAGED_INTEND: return intend(c);
    case MANAGED_PROMISE:
        r = knows(&s->line, cluster(c)->nodes[s->node].name);
        return managed_save(c, &r);
    case MANAGED_LEARN: r = knows(&s->line, STR("")); return managed_save(c, &r);
    case MANAGED_FORGET: return managed_save(c, &r);
    case MANAGED_FOUND: return begin_as(c, true, 0);
    case MANAGED_JOIN: return begin_as(c, false, s->member);
    case MANAGED_START: return start(c);
    case MANAGED_LEAVE: r = knows(&s->line, STR("")); return leave(c, &r);
    case MANAGED_ADD:
    case MANAGED_PROMOTE:
    case MANAGED_REMOVE:
    case MANAGED_HAND_OVER: return members_change(c, s);
    case MANAGED_SET_VOTERS: return set_voters(c, s);
    case MANAGED_TURN: return give_turn(c, s);
    case MANAGED_RESTART: return restart(c, s);
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
    if (!managed_leads(c) || !g->cluster_known || !g->voters_known || g->restore_from[0])
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

/* The node whose disk asks for the most; MANAGED_NODES: none asks for more than usual. */
static const char *slowest(const struct managed_facts *f, char name[MANAGED_NAME])
{
    uint32_t most = 0;
    str_copy(name, MANAGED_NAME, STR("all"));
    for (uint32_t i = 0; i < f->n; i++)
        if (f->nodes[i].heard && f->nodes[i].said.disk > most) {
            most = f->nodes[i].said.disk;
            str_copy(name, MANAGED_NAME, f->nodes[i].name);
        }
    return name;
}

static void note_timers(struct control *c, const struct managed_facts *f,
                        const struct managed_step *s)
{
    char name[MANAGED_NAME], for_whom[MANAGED_NAME];
    str_copy(name, sizeof name, f->nodes[s->node].name);
    coordinating_tell(c, EVENT_INFO, name,
                      "its member starts again, with a heartbeat of %u ms and elections after %u "
                      "ms, for the disk of %s",
                      etcd_heartbeat_ms(s->level), etcd_election_ms(s->level),
                      slowest(f, for_whom));
}

static void note(struct control *c, const struct coord_facts *a, const struct managed_step *s)
{
    struct coordinating *g = g_of(c);
    char text[sizeof g->text];
    managed_explain(&a->f, s, text, sizeof text);
    bool same = strcmp(text, g->text) == 0;
    str_copy(g->text, sizeof g->text, str_of(text));
    g->step = *s;
    if (s->act == MANAGED_RESTART)
        note_timers(c, &a->f, s);
    if (same || !*text || s->act == MANAGED_START || s->act == MANAGED_RESTART)
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
void managed_consider(struct control *c)
{
    struct coordinating *g = g_of(c);
    struct coord_facts a;
    if (g->busy != COORD_IDLE || g->damaged || !g->agent_known || coord_restarts(c) || tend_keys(c))
        return;
    if (managed_leads(c) && (g->list_at == 0 || loop_now(c->loop) < g->change_after))
        return; /* what was changed is looked at before anything else is */
    managed_gather(c, &a);
    g->pace = managed_pace(&a.f);
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

void managed_tick(struct control *c)
{
    if (!c->view || g_of(c)->damaged)
        return;
    disk_tick(c);
    space_tick(c);
    managed_say(c, false);
    if (!members_poll(c))
        managed_consider(c);
}

/* --- begin --- */

int managed_begin(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    char path[PATHS_MAX], ca[PATHS_MAX], cert[PATHS_MAX], key[PATHS_MAX];
    int r = record_path(c, path, e);
    r = r ? r : coord_record_load(path, &g->record, e);
    if (r) {
        g->damaged = true;
        return r;
    }
    coord_restore_begin(c);
    r = coord_tls(c, e);
    r = r ? r : coord_tls_files(c, ca, cert, key, e);
    if (r == 0 && !g->ask)
        r = etcd_members_new(&g->ask, c->loop, ca, cert, key, e);
    if (r == 0 && !g->space.ask)
        r = etcd_members_new(&g->space.ask, c->loop, ca, cert, key, e);
    coord_follow_line(c);
    loop_timer_set(c->loop, &g->tick, loop_now(c->loop) + NS_PER_MS);
    return r;
}
