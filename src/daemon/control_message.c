/* What the supervisor and the proxy tell control, and how a view comes into force. Bodies are
 * checked before anything is done with them; what is malformed is dropped. */
#include <unistd.h>

#include "daemon/control.h"

void arriving_init(struct arriving *a, uint64_t epoch)
{
    *a = (struct arriving){.epoch = epoch, .gossip = -1, .link = -1};
}

static void put_fd(int *to, int fd)
{
    if (*to >= 0)
        close(*to);
    *to = fd;
}

void arriving_close(struct arriving *a)
{
    for (uint32_t i = 0; i < a->n_fds; i++)
        if (a->fds[i] >= 0)
            close(a->fds[i]);
    a->n_fds = 0;
    put_fd(&a->gossip, -1);
    put_fd(&a->link, -1);
}

/* Hands a socket to whom it belongs; takes it. */
static int listen_to(struct control *c, uint8_t use, int fd, struct err *e)
{
    switch ((enum socket_use)use) {
    case SOCKET_METRICS: return admin_listen(c->admin, fd, ADMIN_METRICS, e);
    case SOCKET_ADMIN: return admin_listen(c->admin, fd, ADMIN_TOKEN, e);
    case SOCKET_BEAT: return beat_doors_open(c->beating.doors, fd, false, e);
    case SOCKET_BEAT_DATAGRAM: return beat_doors_open(c->beating.doors, fd, true, e);
    case SOCKET_GOSSIP: /* the mesh's */
    case SOCKET_LINK:
    case SOCKET_HTTP:
    case SOCKET_ACCESS_LOG:
    case SOCKET_TCP:
    case SOCKET_UDP:
    case SOCKET_USES: break;
    }
    UNREACHABLE();
}

static void listen_all(struct control *c)
{
    struct arriving *a = &c->arriving;
    struct err e = {0};
    admin_unlisten_metrics(c->admin);
    beat_doors_close(c->beating.doors);
    for (uint32_t i = 0; i < a->n_fds; i++) {
        int r = listen_to(c, a->uses[i], a->fds[i], &e);
        a->fds[i] = -1;
        if (r) {
            struct event *ev = control_event(c, EVENT_METRICS_REFUSED, EVENT_ERROR);
            event_text(ev, "%s", e.text);
            control_event_end(c, ev);
        }
    }
    a->n_fds = 0;
}

/* Those of the view, or none. */
static void take_mesh_sockets(struct control *c)
{
    meshing_adopt(c);
    meshing_sockets(c, c->arriving.gossip, c->arriving.link);
    c->arriving.gossip = c->arriving.link = -1;
}

const char *control_self(const struct control *c, char name[256])
{
    const struct view_node *self = c->view ? view_self(c->view) : NULL;
    if (!self)
        return c->o.self;
    str_copy(name, 256, self->name);
    return name;
}

void control_adopt(struct control *c, struct view *view, bool restore)
{
    struct view *old = c->view;
    c->view = view;
    c->epoch = MAX(c->epoch, view->epoch);
    judging_adopt(c, restore);
    discovering_adopt(c, old);
    drains_prune(c);
    beating_adopt(c);
    auditing_adopt(c);
    notifying_adopt(c);
    listen_all(c);
    take_mesh_sockets(c);
    configuring_adopt(c, old);
    rolling_adopt(c);
    view_free(old);
    gate_tell_all_secrets(c);
    priority_calm(); /* it hurried up to here: process.h */
    cell_set(&c->cells.processes[PROCESS_CONTROL].epoch, view->epoch);
}

/* ---- messages ---- */

static void tell_start(struct control *c, const char *text)
{
    struct event *ev = control_event(c, EVENT_CONTROL_START, EVENT_INFO);
    event_subject(ev, "control");
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

static bool view_from_fd(struct control *c, int fd, uint64_t epoch, struct view **out,
                         struct err *e)
{
    if (ipc_read_view(fd, out, e))
        return false;
    if ((*out)->epoch == epoch && reload_check_slots(c, *out, e) == 0)
        return true;
    err_set(e, ERR_PROTO, "it is of another epoch, or does not fit the shared tables");
    view_free(*out);
    *out = NULL;
    return false;
}

static void on_view_begin(struct control *c, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    int fd = ipc_take_fd(m);
    struct err e = {0};
    arriving_close(&c->arriving);
    view_free(c->arriving.view);
    arriving_init(&c->arriving, epoch);
    c->epoch = MAX(c->epoch, epoch); /* readable or not, it was given */
    if (!reader_done(&m->body) || fd < 0)
        err_set(&e, ERR_PROTO, "the message is malformed");
    else
        view_from_fd(c, fd, epoch, &c->arriving.view, &e);
    if (e.code)
        log_error(c->log, "the view of the supervisor is refused: %s", e.text);
    if (fd >= 0)
        close(fd);
}

static const struct view *arriving_view(struct control *c, uint64_t epoch)
{
    if (c->arriving.view && c->arriving.epoch == epoch)
        return c->arriving.view;
    const struct view *next = c->reloading.next;
    return next && next->epoch == epoch ? next : NULL;
}

/* False: it is not for us. */
static bool arriving_take(struct arriving *a, uint8_t use, int fd)
{
    if (use == SOCKET_GOSSIP || use == SOCKET_LINK) {
        put_fd(use == SOCKET_GOSSIP ? &a->gossip : &a->link, fd);
        return true;
    }
    if (use >= SOCKET_USES || !socket_is_of_control(use) || a->n_fds == ARRAY_LEN(a->fds))
        return false;
    a->uses[a->n_fds] = use;
    a->fds[a->n_fds++] = fd;
    return true;
}

static void on_view_socket(struct control *c, struct ipc_message *m)
{
    struct arriving *a = &c->arriving;
    uint64_t epoch = get_u64(&m->body);
    uint32_t n = get_count(&m->body, 4);
    const struct view *v = arriving_view(c, epoch);
    if (a->epoch != epoch) {
        arriving_close(a);
        a->epoch = epoch;
    }
    for (uint32_t i = 0; v && i < n && i < m->n_fds; i++) {
        uint32_t index = get_u32(&m->body);
        uint8_t use = index < v->n_sockets ? v->sockets[index].use : (uint8_t)SOCKET_USES;
        if (!m->body.failed && arriving_take(a, use, m->fds[i]))
            m->fds[i] = -1;
    }
}

static void on_view_end(struct control *c, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    struct view *v = c->arriving.view;
    if (!reader_done(&m->body) || epoch != c->arriving.epoch)
        return;
    if (!v) {
        reload_hangup(c); /* what we were given cannot be read: compile the file instead */
        return;
    }
    c->arriving.view = NULL;
    control_adopt(c, v, c->view == NULL);
    tell_start(c, "restarted: the view in force, its verdicts and drains go on");
}

void control_hear_proxy(struct ipc *ipc, struct ipc_message *m)
{
    struct control *c = CONTAINER_OF(ipc, struct proxy_line, ipc)->owner;
    if (m->type == IPC_SIGNALS)
        judging_message(c, &m->body);
    else
        log_warning(c->log, "the proxy sent a message of type %u, which is not for us", m->type);
}

static void on_peer(struct control *c, struct ipc_message *m)
{
    struct err e = {0};
    uint32_t bank = get_u32(&m->body);
    int fd = reader_done(&m->body) && bank < CELLS_BANKS ? ipc_take_fd(m) : -1;
    if (fd < 0)
        return;
    ipc_close(&c->proxies[bank].ipc);
    if (ipc_open(&c->proxies[bank].ipc, c->loop, fd, &e))
        log_error(c->log, "the proxy's evidence cannot be heard: %s", e.text);
    else
        gate_tell_secrets(c, bank);
}

static void on_child(struct control *c, struct ipc_message *m)
{
    uint32_t process = get_u32(&m->body), now = get_u32(&m->body), pid = get_u32(&m->body);
    uint32_t status = get_u32(&m->body);
    struct str text = get_str(&m->body);
    if (!reader_done(&m->body) || process >= PROCESS_WORKER0 || now >= IPC_CHILD_STATES)
        return;
    static const char *const names[] = {"supervisor", "control", "agent", "sense", "proxy"};
    struct event *ev =
        control_event(c, now == IPC_CHILD_ENDED ? EVENT_PROCESS_EXIT : EVENT_PROCESS_START,
                      status ? EVENT_ERROR : EVENT_INFO);
    event_subject(ev, "%s", names[process]);
    event_text(ev, "process %u: %.*s", pid, (int)MIN(text.n, 200u), text.p);
    control_event_end(c, ev);
}

static void on_agent(struct control *c, struct ipc_message *m)
{
    int fd = ipc_take_fd(m);
    if (fd >= 0)
        coordinating_agent(c, fd);
}

static void on_sense(struct control *c, struct ipc_message *m)
{
    int fd = ipc_take_fd(m);
    if (fd >= 0)
        finding_line(c, fd);
}

static void on_change(struct control *c, struct ipc_message *m)
{
    struct admin_change *g = &c->change, was = *g;
    uint64_t number = get_u64(&m->body);
    uint32_t kind = get_u32(&m->body), state = get_u32(&m->body);
    struct str text = get_str(&m->body);
    if (!reader_done(&m->body) || kind >= CHANGE_KINDS || state >= CHANGE_STATES)
        return;
    *g = (struct admin_change){.number = number, .kind = (uint8_t)kind, .state = (uint8_t)state};
    str_copy(g->text, sizeof g->text, text);
    if (was.number == number && was.state == state && strcmp(was.text, g->text) == 0)
        return;
    struct event *ev =
        control_event(c, EVENT_HAND_OVER, state == CHANGE_FAILED ? EVENT_ERROR : EVENT_INFO);
    event_by(ev, c->change_by);
    if (state != CHANGE_RUNS)
        c->change_by[0] = 0;
    event_subject(ev, "%s", kind == CHANGE_UPGRADE ? "holdfast" : "proxy");
    event_text(ev, "%s", g->text);
    control_event_end(c, ev);
}

static void on_stop(struct control *c)
{
    struct event *ev = control_event(c, EVENT_STOPPING, EVENT_INFO);
    event_text(ev, "the supervisor ends control");
    control_event_end(c, ev);
    loop_stop(c->loop);
}

static void on_admin_socket(struct control *c, struct ipc_message *m)
{
    struct err e = {0};
    int fd = ipc_take_fd(m);
    if (fd >= 0 && admin_listen(c->admin, fd, ADMIN_LOCAL, &e))
        log_error(c->log, "the admin API cannot be served: %s", e.text);
}

static void on_view_refused(struct control *c, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    struct str sentence = get_str(&m->body);
    if (reader_done(&m->body))
        reload_refused(c, epoch, sentence);
}

static void on_view_taken(struct control *c, struct ipc_message *m)
{
    uint64_t epoch = get_u64(&m->body);
    if (reader_done(&m->body))
        reload_taken(c, epoch);
}

static void on_no_view(struct control *c)
{
    priority_calm();
    tell_start(c, "started: the configuration is read");
    reload_hangup(c);
}

void control_hear_supervisor(struct ipc *ipc, struct ipc_message *m)
{
    struct control *c = CONTAINER_OF(ipc, struct control, supervisor);
    switch ((enum ipc_type)m->type) {
    case IPC_VIEW_BEGIN: on_view_begin(c, m); return;
    case IPC_VIEW_SOCKET: on_view_socket(c, m); return;
    case IPC_VIEW_END: on_view_end(c, m); return;
    case IPC_VIEW_REFUSED: on_view_refused(c, m); return;
    case IPC_VIEW_TAKEN: on_view_taken(c, m); return;
    case IPC_NO_VIEW: on_no_view(c); return;
    case IPC_RELOAD:
        auditing_asked(c, "SIGHUP to the supervisor");
        reload_hangup(c);
        auditing_asked(c, NULL);
        return;
    case IPC_PEER: on_peer(c, m); return;
    case IPC_CHILD: on_child(c, m); return;
    case IPC_STOP: on_stop(c); return;
    case IPC_ADMIN_SOCKET: on_admin_socket(c, m); return;
    case IPC_CHANGE: on_change(c, m); return;
    case IPC_AGENT: on_agent(c, m); return;
    case IPC_SENSE: on_sense(c, m); return;
    case IPC_VIEW:
    case IPC_SIGNALS:
    case IPC_RESTART:
    case IPC_ACCEPT:
    case IPC_HAND_OVER:
    case IPC_UPGRADE:
    case IPC_AGENT_START:
    case IPC_AGENT_STOP:
    case IPC_AGENT_TASK:
    case IPC_AGENT_STATE:
    case IPC_AGENT_DONE:
    case IPC_AGENT_INSTANCE:
    case IPC_AGENT_ROLE:
    case IPC_AGENT_REPORT:
    case IPC_ROLES:
    case IPC_SECRET:
    case IPC_FINDING:
    case IPC_TYPES: break;
    }
    log_warning(c->log, "the supervisor sent a message of type %u, which is not for us", m->type);
}
