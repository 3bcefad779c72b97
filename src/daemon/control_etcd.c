/* etcd of this node: its certificates, its process by the agent, and what it says of itself. */
#include "daemon/control.h"
#include "daemon/paths.h"
#include "os/cert.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STOP_NS        (10 * NS_PER_S)
#define BACKOFF_LEAST  (100 * NS_PER_MS)
#define BACKOFF_MOST   (5 * NS_PER_S)
#define STEADY_NS      (10 * NS_PER_S) /* so long it ran: the next end is the first again */
#define RESTART_NS     (3 * NS_PER_S)  /* between the restarts of two members */
#define RESTART_ANYHOW (60 * NS_PER_S)

static struct coordinating *g_of(struct control *c)
{
    return &c->coordinating;
}

static const struct view_cluster *cluster(const struct control *c)
{
    return &c->view->cluster;
}

/* --- where things are --- */

struct addr coord_port(const struct view_node *n, uint16_t more)
{
    struct addr a = n->address;
    a.port = (uint16_t)(a.port + more);
    return a;
}

void coord_url(const struct view_node *n, uint16_t more, char out[ETCD_MEMBER_URL])
{
    char text[ADDR_TEXT_MAX];
    struct addr a = coord_port(n, more);
    addr_format(&a, text);
    snprintf(out, ETCD_MEMBER_URL, "https://%s", text);
}

bool coord_url_addr(const char *url, struct addr *out)
{
    struct str s = str_of(url), scheme = STR("https://");
    if (!str_starts(s, scheme))
        return false;
    return addr_parse((struct str){s.p + scheme.n, s.n - scheme.n}, out) &&
           (out->kind == ADDR_IP4 || out->kind == ADDR_IP6);
}

int coord_tls_files(const struct control *c, char ca[PATHS_MAX], char cert[PATHS_MAX],
                    char key[PATHS_MAX], struct err *e)
{
    int r = paths_join(ca, c->o.state_dir, "etcd/tls/ca.pem", e);
    r = r ? r : paths_join(cert, c->o.state_dir, "etcd/tls/node.pem", e);
    return r ? r : paths_join(key, c->o.state_dir, "etcd/tls/node.key", e);
}

/* --- certificates --- */

/* The node's certificate stays that of the oldest key for as long as there is one: whoever has not
 * heard of the newest yet knows that one. */
static int write_tls(struct control *c, struct cert_changes *changes, struct err *e)
{
    const struct view_node *self = view_self(c->view);
    struct cert_node node = {self->name, &self->address, 1};
    uint8_t secrets[CERT_SECRETS][CERT_SECRET];
    struct keyring ring = {0};
    char dir[PATHS_MAX], file[PATHS_MAX];
    str_copy(file, sizeof file, cluster(c)->key_file);
    int r = keyring_load(file, &ring, e);
    uint32_t n = MIN(ring.n, (uint32_t)CERT_SECRETS);
    for (uint32_t i = 0; i < n; i++)
        memcpy(secrets[i], ring.keys[i].secret, CERT_SECRET);
    r = r ? r : paths_join(dir, c->o.state_dir, "etcd", e);
    if (r == 0 && mkdir(dir, 0700) && errno != EEXIST)
        r = err_errno(e, "cannot make %s", dir);
    r = r ? r : paths_join(dir, c->o.state_dir, "etcd/tls", e);
    if (r == 0)
        r = n ? cert_write(dir, (const uint8_t(*)[CERT_SECRET])secrets, n, n - 1, &node, changes, e)
              : err_set(e, ERR_ABSENT, "the cluster's key file has no key");
    keyring_wipe(&ring);
    wipe(secrets, sizeof secrets);
    return r;
}

static void plan_restart(struct control *c)
{
    struct coordinating *g = g_of(c);
    uint32_t turn = 0;
    for (uint32_t i = 0; i < cluster(c)->self; i++)
        turn += voters_has(&g->voters, cluster(c)->nodes[i].name);
    g->restart_at = loop_now(c->loop) + RESTART_NS * (turn + 1);
}

/* A control that is new cannot know what the member read when it started: times tell. */
static bool is_behind(struct control *c)
{
    char ca[PATHS_MAX], cert[PATHS_MAX], key[PATHS_MAX];
    struct stat at;
    if (coord_tls_files(c, ca, cert, key, NULL) || stat(ca, &at))
        return false;
    uint64_t written = (uint64_t)at.st_mtim.tv_sec * NS_PER_S + (uint64_t)at.st_mtim.tv_nsec;
    return written > clock_wall() - (clock_now() - g_of(c)->etcd.since);
}

int coord_tls(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    struct cert_changes changes = {false, false};
    int r = write_tls(c, &changes, e);
    if (r == 0 && changes.authorities && g->etcd.life == AGENT_RUNNING)
        plan_restart(c);
    if (r == 0 && g->ask)
        r = etcd_members_refresh(g->ask, e);
    if (r == 0 && g->space.ask)
        r = etcd_members_refresh(g->space.ask, e);
    return r;
}

void coordinating_keys(struct control *c)
{
    struct err e = {0};
    if (g_of(c)->kind == COORDINATOR_MANAGED && coord_tls(c, &e))
        coordinating_tell(c, EVENT_ERROR, "", "the certificates of its members: %s", e.text);
}

bool coordinating_keys_known(struct control *c)
{
    const struct coordinating *g = g_of(c);
    return g->kind != COORDINATOR_MANAGED || g->damaged ||
           (g->agent_known && (g->authorities_known || g->etcd.life != AGENT_RUNNING) &&
            g->restart_at == 0 && g->busy != COORD_STOPPING && g->busy != COORD_STARTING);
}

/* Members read new authorities when they start: one after the other, while the others are well. */
bool coord_restarts(struct control *c)
{
    struct coordinating *g = g_of(c);
    uint64_t now = loop_now(c->loop);
    if (!g->authorities_known && g->etcd.life == AGENT_RUNNING) {
        g->authorities_known = true;
        if (is_behind(c))
            plan_restart(c);
    }
    if (g->restart_at == 0 || now < g->restart_at)
        return false;
    if (g->etcd.life != AGENT_RUNNING) {
        g->restart_at = 0;
        return false;
    }
    for (uint32_t i = 0; i < cluster(c)->n_nodes && now < g->restart_at + RESTART_ANYHOW; i++) {
        const struct standing *s;
        if (i != cluster(c)->self && voters_has(&g->voters, cluster(c)->nodes[i].name) &&
            (!managed_hears(c, i, &s) || s->said.leader == 0))
            return false;
    }
    struct err e = {0};
    if (agent_line_stop(&g->agent, AGENT_ETCD, STOP_NS, &g->ticket, &e) == 0) {
        coordinating_tell(c, EVENT_INFO, "",
                          "its member restarts, for the cluster's keys are others");
        g->restart_at = 0;
        g->busy = COORD_STOPPING;
        g->leaves = false;
    }
    return true;
}

/* --- the agent --- */

static void fill_members(struct control *c, struct agent_etcd *a)
{
    struct coordinating *g = g_of(c);
    const struct view_cluster *k = cluster(c);
    bool self = false;
    if (!g->record.founding && managed_same_id(&g->list.line, &g->record.said.line))
        for (uint32_t i = 0; i < g->list.n && a->n_members < AGENT_MEMBERS; i++) {
            const struct standing_member *m = &g->list.members[i];
            struct agent_member *to = &a->members[a->n_members];
            const char *name = m->name;
            to->peer = m->peer;
            for (uint32_t j = 0; j < k->n_nodes && !*name; j++) {
                struct addr peer = coord_port(&k->nodes[j], VIEW_COORD_PEER);
                if (addr_eq(&peer, &m->peer))
                    name = k->nodes[j].name.p;
            }
            str_copy(to->name, sizeof to->name, *name ? str_of(name) : STR("unknown"));
            self |= addr_eq(&to->peer, &a->peer);
            if (addr_eq(&to->peer, &a->peer))
                str_copy(to->name, sizeof to->name, str_of(a->name));
            a->n_members++;
        }
    if (!self && a->n_members < AGENT_MEMBERS) {
        struct agent_member *to = &a->members[a->n_members++];
        str_copy(to->name, sizeof to->name, str_of(a->name));
        to->peer = a->peer;
    }
}

int coord_start(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    const struct view_node *self = view_self(c->view);
    const struct managed_line *l = &g->record.said.line;
    struct agent_etcd a = {.client = coord_port(self, VIEW_COORD_CLIENT),
                           .peer = coord_port(self, VIEW_COORD_PEER),
                           .existing = !g->record.founding,
                           .force_new = g->record.restoring && !g->record.founding,
                           .heartbeat_ms = etcd_heartbeat_ms(g->pace),
                           .election_ms = etcd_election_ms(g->pace)};
    str_copy(a.name, sizeof a.name, self->name);
    snprintf(a.token, sizeof a.token, "%02x%02x%02x%02x%02x%02x-%llu", l->id[0], l->id[1], l->id[2],
             l->id[3], l->id[4], l->id[5], (unsigned long long)l->generation);
    fill_members(c, &a);
    int r = coord_tls(c, e);
    r = r ? r : agent_line_start(&g->agent, &a, &g->ticket, e);
    if (r == 0)
        g->busy = COORD_STARTING;
    return r;
}

int coord_stop(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    int r = agent_line_stop(&g->agent, AGENT_ETCD, STOP_NS, &g->ticket, e);
    if (r == 0)
        g->busy = COORD_STOPPING;
    return r;
}

int coord_aside(struct control *c, struct err *e)
{
    struct coordinating *g = g_of(c);
    int r = agent_line_task(&g->agent, AGENT_DATA_ASIDE, &g->ticket, e);
    if (r == 0)
        g->busy = COORD_ASIDE;
    return r;
}

static void ended(struct control *c, const struct agent_state *s)
{
    struct coordinating *g = g_of(c);
    uint64_t now = loop_now(c->loop), ran = g->ran_since ? now - g->ran_since : 0;
    g->backoff =
        ran > STEADY_NS || g->backoff == 0 ? BACKOFF_LEAST : MIN(2 * g->backoff, BACKOFF_MOST);
    g->backoff_until = s->wanted ? 0 : now + g->backoff;
    g->ran_since = 0;
    g->status = (struct etcd_told){0};
    if (s->wanted)
        return;
    /* Who was killed did not say why. */
    const char *last = s->n_lines && !(s->status & 0x7f) ? s->lines[s->n_lines - 1] : "";
    const char *msg = strstr(last, "\"msg\":\""); /* it logs JSON: the words in it */
    last = msg ? msg + strlen("\"msg\":\"") : last;
    coordinating_tell(c, EVENT_WARNING, "", "its member ended by %s %u%s%.*s",
                      s->status & 0x7f ? "signal" : "exit status",
                      s->status & 0x7f ? s->status & 0x7f : s->status >> 8 & 0xff,
                      *last ? ": " : "", (int)strcspn(last, msg ? "\"" : ""), last);
}

static void on_state(void *context, const struct agent_state *s)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    enum agent_life was = g->etcd.life;
    if (s->kind != AGENT_ETCD)
        return;
    bool known = g->agent_known;
    g->etcd = *s;
    g->agent_known = true;
    if (s->life == AGENT_RUNNING && was != AGENT_RUNNING)
        g->ran_since = g->leader_gone = loop_now(c->loop);
    if (s->life != AGENT_RUNNING)
        g->leader_gone = 0;
    if (s->life == AGENT_RUNNING && was == AGENT_ENDED)
        coordinating_tell(c, EVENT_INFO, "", "its member is started again");
    if (s->life == AGENT_ENDED && was != AGENT_ENDED && known)
        ended(c, s);
    coord_look(c);
}

static void on_answer(void *context, const struct agent_answer *a)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    if (rolling_answer(c, a))
        return;
    if (a->ticket == g->disk.ticket) {
        disk_measured(c, a->code == 0 ? &a->disk : NULL);
        return;
    }
    if (a->ticket != g->ticket)
        return;
    enum coord_busy was = g->busy;
    g->busy = COORD_IDLE;
    if (a->code) {
        coordinating_tell(c, EVENT_WARNING, "", "the agent refuses: %s", a->sentence);
        g->backoff_until = loop_now(c->loop) + NS_PER_S;
        g->leaves = g->start_next = false;
    } else if (was == COORD_STOPPING && g->leaves) {
        managed_leaves(c);
    } else if (was == COORD_ASIDE) {
        managed_emptied(c);
    }
    coord_look(c);
}

static void on_gone(void *context, const char *why)
{
    struct control *c = context;
    struct coordinating *g = g_of(c);
    g->agent_known = false;
    disk_forget_agent(c);
    g->busy = g->busy == COORD_CHANGING || g->busy == COORD_VOTING ? g->busy : COORD_IDLE;
    g->leaves = g->start_next = false;
    g->etcd.life = AGENT_NEVER;
    g->status = (struct etcd_told){0};
    rolling_agent_gone(c);
    if (g->kind == COORDINATOR_MANAGED)
        log_warning(c->log, "the agent is gone: %s", why);
}

static void on_report(void *context, const struct agent_report *r)
{
    rolling_report(context, r);
}

void coord_agent_init(struct control *c)
{
    struct coordinating *g = g_of(c);
    agent_line_init(&g->agent, c->loop);
    g->agent.context = c;
    g->agent.on_state = on_state;
    g->agent.on_answer = on_answer;
    g->agent.on_report = on_report;
    g->agent.on_gone = on_gone;
}

void coordinating_agent(struct control *c, int fd)
{
    struct err e = {0};
    on_gone(c, "another one is there");
    if (agent_line_open(&g_of(c)->agent, fd, &e))
        log_error(c->log, "the agent: %s", e.text);
    rolling_agent(c);
}
