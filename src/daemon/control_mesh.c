/* The node among its peers: the mesh lives and ends with the view's cluster, and what it learns
 * becomes events.
 *
 * A cut between two nodes shows itself at both ends within some heartbeats of each other, so that
 * it is told of when the picture has not changed for CUTS_NS, in one sentence for each.
 *
 * This node's maintenance flag is kept in STATE/maintenance: a restart of control does not end it.
 */
#include <stdio.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/paths.h"

#define CUTS_NS (500 * NS_PER_MS)

/* --- what happened --- */

static void tell_member(struct control *c, const struct member_change *m, struct str node)
{
    static const struct {
        enum event_code code;
        enum event_level level;
    } told[MEMBER_STATES] = {
        [MEMBER_ALIVE] = {EVENT_NODE_ALIVE, EVENT_INFO},
        [MEMBER_SUSPECT] = {EVENT_NODE_SUSPECT, EVENT_WARNING},
        [MEMBER_FAILED] = {EVENT_NODE_FAILED, EVENT_ERROR},
        [MEMBER_LEFT] = {EVENT_NODE_LEFT, EVENT_INFO},
    };
    const struct member_info *i = &m->info;
    struct event *ev = control_event(c, told[i->state].code, told[i->state].level);
    event_subject(ev, "%.*s", (int)MIN(node.n, 120u), node.p);
    event_text(ev, "%s: %s; of %u others %u hear it and %u do not; incarnation %llu",
               member_state_name((enum member_state)i->state),
               member_reason_name((enum member_reason)i->reason), i->observers, i->hearing,
               i->silent, (unsigned long long)i->incarnation);
    evidence_member(c, i, (enum member_state)m->was);
    control_event_end(c, ev);
}

static void on_changed(void *context, const struct member_change *m, struct str node)
{
    struct control *c = context;
    bool another = m->was != m->info.state ||
                   (m->info.state == MEMBER_SUSPECT && m->was_reason != m->info.reason);
    if (another && !m->info.self)
        tell_member(c, m, node);
    control_health_member(c, node, (enum member_state)m->info.state, m->info.maintenance);
    coord_hear(c);
    rolling_members(c);
    loop_timer_set(c->loop, &c->meshing.cuts_due, loop_now(c->loop) + CUTS_NS);
}

static const char *name_of(void *context, uint64_t id)
{
    return mesh_name(((struct control *)context)->meshing.mesh, id).p;
}

static void explain(struct control *c, char *out, size_t size)
{
    *out = 0;
    member_explain(mesh_borrow(c->meshing.mesh), name_of, c, out, size);
    mesh_return(c->meshing.mesh);
}

/* A cut between two others, and its end, changes nobody's state here: it has to be looked for. */
static void look_for_cuts(struct control *c)
{
    struct meshing *g = &c->meshing;
    char now[sizeof g->seen];
    explain(c, now, sizeof now);
    if (strcmp(now, g->seen) == 0)
        return;
    str_copy(g->seen, sizeof g->seen, str_of(now));
    loop_timer_set(c->loop, &g->cuts_due, loop_now(c->loop) + CUTS_NS);
}

static void on_cuts_due(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, meshing.cuts_due);
    struct meshing *g = &c->meshing;
    char now[sizeof g->cuts];
    explain(c, now, sizeof now);
    if (strcmp(now, g->cuts) == 0)
        return;
    bool healed = now[0] == 0;
    struct event *ev = control_event(c, healed ? EVENT_PARTITION_HEALED : EVENT_PARTITION,
                                     healed ? EVENT_INFO : EVENT_WARNING);
    event_text(ev, "%s", healed ? "all that are alive hear each other again" : now);
    control_event_end(c, ev);
    str_copy(g->cuts, sizeof g->cuts, str_of(now));
}

static void on_message(void *context, struct str from, enum mesh_kind kind, struct str bytes)
{
    struct control *c = context;
    switch (kind) {
    case MESH_MAINTENANCE:
        if (bytes.n == 1 && (unsigned char)bytes.p[0] <= 1)
            meshing_maintain(c, bytes.p[0] != 0, from);
        return;
    case MESH_HEALTH: control_health_message(c, from, bytes); return;
    case MESH_KEYS: keying_message(c, from, bytes); return;
    case MESH_COORD: coordinating_message(c, from, bytes); return;
    case MESH_ROLE: rolling_message(c, from, bytes); return;
    case MESH_JOIN:
    case MESH_CARDS:
    case MESH_KINDS: return;
    }
}

static void on_link(void *context, struct str node, bool up)
{
    struct control *c = context;
    log_debug(c->log, "the link to node %.*s is %s", (int)node.n, node.p, up ? "up" : "gone");
    control_health_link(c, node, up);
    coordinating_link(c, node, up);
    if (up)
        rolling_link(c);
    if (up)
        keying_link(c, node);
}

static void on_lease(void *context, uint64_t role, unsigned effects)
{
    rolling_lease(context, role, effects);
}

static void on_complaint(void *context, const char *text)
{
    struct control *c = context;
    struct event *ev = control_event(c, EVENT_MESH_REFUSED, EVENT_WARNING);
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

/* --- maintenance --- */

static int flag_path(const struct control *c, char path[PATHS_MAX], struct err *e)
{
    return paths_join(path, c->o.state_dir, "maintenance", e);
}

static void load_flag(struct control *c)
{
    char path[PATHS_MAX];
    if (flag_path(c, path, NULL) == 0 && access(path, F_OK) == 0)
        mesh_maintenance(c->meshing.mesh, true);
}

static int keep_flag(struct control *c, bool on, struct err *e)
{
    char path[PATHS_MAX];
    int r = flag_path(c, path, e);
    if (r)
        return r;
    if (on)
        return file_replace(path, STR("on\n"), 0600, e);
    return unlink(path) == 0 || access(path, F_OK) ? 0 : err_errno(e, "cannot remove %s", path);
}

void meshing_maintain(struct control *c, bool on, struct str by)
{
    struct err e = {0};
    struct member_info self = meshing_self(c);
    if (self.maintenance == on)
        return;
    mesh_maintenance(c->meshing.mesh, on);
    if (keep_flag(c, on, &e))
        control_unsaved(c, &e);
    struct event *ev = control_event(c, EVENT_MAINTENANCE, EVENT_INFO);
    if (!ev->by[0])
        snprintf(ev->by, sizeof ev->by, "%.*s", (int)MIN(by.n, sizeof ev->by - 1), by.p);
    event_subject(ev, "%.*s", (int)c->view->cluster.nodes[c->view->cluster.self].name.n,
                  c->view->cluster.nodes[c->view->cluster.self].name.p);
    event_text(ev, "%s, asked for by %.*s", on ? "begins" : "ends", (int)MIN(by.n, 100u), by.p);
    control_event_end(c, ev);
}

/* --- what the nodes see of the instances --- */

/* A queue that is full means that the node is slow: it is told again with the next full telling. */
static void send_health(void *context, struct str node, struct str bytes)
{
    struct control *c = context;
    mesh_send(c->meshing.mesh, node, MESH_HEALTH, bytes, NULL);
}

static bool is_isolated(void *context)
{
    struct control *c = context;
    bool isolated = member_isolated(mesh_borrow(c->meshing.mesh));
    mesh_return(c->meshing.mesh);
    return isolated;
}

static void share_health(struct control *c)
{
    struct health_line line = {c, send_health, is_isolated};
    struct member_info all[FUSE_OBSERVERS];
    const struct membership *m = mesh_borrow(c->meshing.mesh);
    uint32_t n = MIN(member_count(m), (uint32_t)FUSE_OBSERVERS);
    for (uint32_t i = 0; i < n; i++)
        all[i] = member_at(m, i);
    mesh_return(c->meshing.mesh);
    control_health_connect(c, &line);
    for (uint32_t i = 0; i < n; i++)
        control_health_member(c, mesh_name(c->meshing.mesh, all[i].id),
                              (enum member_state)all[i].state, all[i].maintenance);
}

/* --- leases --- */

/* Where the coordinator is this node's own there is nobody else to ask. */
void meshing_voters(struct control *c)
{
    const struct view_cluster *k = &c->view->cluster;
    const struct voters *v = &c->coordinating.voters;
    struct str names[VOTERS_MAX];
    if (!c->meshing.mesh)
        return;
    if (k->coordinator.kind == COORDINATOR_LOCAL) {
        mesh_lease_voters(c->meshing.mesh, 1, &k->nodes[k->self].name, 1);
        return;
    }
    for (uint32_t i = 0; i < v->n; i++)
        names[i] = str_of(v->names[i]);
    if (v->version)
        mesh_lease_voters(c->meshing.mesh, v->version, names, v->n);
}

uint64_t meshing_promise(const struct control *c)
{
    return c->meshing.mesh ? mesh_lease_longest(c->meshing.mesh) : UINT64_MAX;
}

/* --- with the view --- */

static void refused(struct control *c, const struct err *e)
{
    struct event *ev = control_event(c, EVENT_MESH_REFUSED, EVENT_ERROR);
    event_text(ev, "%s", e->text);
    control_event_end(c, ev);
}

void meshing_init(struct control *c)
{
    timer_init(&c->meshing.cuts_due, on_cuts_due);
}

void meshing_end(struct control *c)
{
    loop_timer_stop(c->loop, &c->meshing.cuts_due);
    keying_end(c);
    mesh_free(c->meshing.mesh);
    c->meshing.mesh = NULL;
}

void meshing_adopt(struct control *c)
{
    struct meshing *g = &c->meshing;
    struct mesh_host host = {
        c, on_changed, on_message, on_link, on_complaint, keying_guest_key, keying_guest, on_lease};
    struct err e = {0};
    int r = 0;
    if (c->view->cluster.key_file.n == 0) {
        if (g->mesh)
            control_health_connect(c, NULL);
        meshing_end(c);
        return;
    }
    if (g->mesh) {
        r = mesh_set_view(g->mesh, c->view, &e);
    } else {
        r = mesh_new(&g->mesh, c->loop, c->view, str_of(c->o.state_dir), &host, &e);
        if (r == 0) {
            mesh_lease_votes(g->mesh, c->cells.votes_head, c->cells.votes);
            load_flag(c);
            share_health(c);
            keying_begin(c);
        }
    }
    if (r)
        refused(c, &e);
    meshing_voters(c);
}

void meshing_sockets(struct control *c, int datagram_fd, int listen_fd)
{
    if (c->meshing.mesh) {
        mesh_set_sockets(c->meshing.mesh, datagram_fd, listen_fd);
        return;
    }
    if (datagram_fd >= 0)
        close(datagram_fd);
    if (listen_fd >= 0)
        close(listen_fd);
}

void meshing_beat(struct control *c)
{
    if (!c->meshing.mesh)
        return;
    mesh_beat(c->meshing.mesh);
    look_for_cuts(c);
    keying_beat(c);
}

struct member_info meshing_self(const struct control *c)
{
    const struct view_cluster *v = &c->view->cluster;
    struct member_info self = {0};
    member_find(mesh_borrow(c->meshing.mesh), node_id(v->name, v->nodes[v->self].name), &self);
    mesh_return(c->meshing.mesh);
    return self;
}

/* --- for the admin API --- */

static int alone(struct err *e)
{
    return err_set(e, ERR_ABSENT, "this node is alone: its configuration has no cluster");
}

static void count(struct admin_mesh_counts *to, const struct mesh_counts *from)
{
    *to = (struct admin_mesh_counts){.sent = from->sent,
                                     .received = from->received,
                                     .sent_bytes = from->sent_bytes,
                                     .received_bytes = from->received_bytes,
                                     .links = from->links,
                                     .real_time = from->priority == PRIORITY_REAL_TIME};
    for (uint32_t r = SEAL_SHORT; r < SEAL_RESULTS; r++) {
        to->refused[to->n_refused].reason = seal_result_name((enum seal_result)r);
        to->refused[to->n_refused++].n = from->refused[r];
    }
    to->refused[to->n_refused].reason = "malformed";
    to->refused[to->n_refused++].n = from->refused_payload;
}

int meshing_cluster(void *context, struct admin_cluster *out, struct err *e)
{
    struct control *c = context;
    if (!c->meshing.mesh)
        return alone(e);
    struct mesh_counts counts = mesh_counts(c->meshing.mesh);
    int r = admin_cluster_fill(out, mesh_borrow(c->meshing.mesh), &c->view->cluster, name_of, c, e);
    mesh_return(c->meshing.mesh);
    count(&out->mesh, &counts);
    return r;
}

int meshing_leave(void *context, struct err *e)
{
    struct control *c = context;
    if (!c->meshing.mesh)
        return alone(e);
    mesh_leave(c->meshing.mesh);
    struct event *ev = control_event(c, EVENT_LEAVING, EVENT_INFO);
    event_subject(ev, "%s", c->o.node ? c->o.node : "");
    event_text(ev, "says goodbye to the others: they will not miss it");
    control_event_end(c, ev);
    return 0;
}

int meshing_maintenance(void *context, struct str node, bool on, bool *changed, struct err *e)
{
    struct control *c = context;
    if (!c->meshing.mesh)
        return alone(e);
    const struct view_cluster *v = &c->view->cluster;
    struct member_info now;
    bool known = member_find(mesh_borrow(c->meshing.mesh), node_id(v->name, node), &now);
    mesh_return(c->meshing.mesh);
    if (!known)
        return err_set(e, ERR_ABSENT, "there is no node %.*s", (int)node.n, node.p);
    *changed = now.maintenance != on;
    if (now.self)
        meshing_maintain(c, on, STR("an operator"));
    char flag = on ? 1 : 0;
    return now.self ? 0
                    : mesh_send(c->meshing.mesh, node, MESH_MAINTENANCE, (struct str){&flag, 1}, e);
}
