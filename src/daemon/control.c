/* Control's start and wiring; control.h tells the whole. */
#include "daemon/control.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "daemon/sandbox.h"

#define BEAT_NS (250 * NS_PER_MS)

/* ---- what admin and the prober ask ---- */

static const struct view *host_view(void *context)
{
    return ((struct control *)context)->view;
}

static const struct cells *host_cells(void *context)
{
    return &((struct control *)context)->cells;
}

static const struct judge *host_judge(void *context, uint32_t slot)
{
    struct control *c = context;
    return slot < c->n_subjects && c->subjects[slot].used ? &c->subjects[slot].judge : NULL;
}

static int host_reload(void *context, struct admin_reload *r, struct err *e)
{
    return reload_request(context, r, e);
}

static int host_drain(void *context, uint32_t slot, bool on, bool *did, struct err *e)
{
    struct control *c = context;
    if (slot >= c->n_subjects || !c->subjects[slot].used)
        return err_set(e, ERR_ABSENT, "the instance has left the configuration");
    const struct subject *s = &c->subjects[slot];
    *did = drains_has(c, s->service->name, s->instance->name) != on;
    if (!*did)
        return 0;
    int r = drains_set(c, s->service->name, s->instance->name, on, e);
    if (r)
        return r;
    judging_publish(c, slot);
    struct event *ev = control_event(c, on ? EVENT_DRAIN : EVENT_RESUME, EVENT_INFO);
    event_subject(ev, "%.*s/%.*s", (int)MIN(s->service->name.n, 80u), s->service->name.p,
                  (int)MIN(s->instance->name.n, 120u), s->instance->name.p);
    event_text(ev, on ? "takes no new requests" : "takes requests again");
    control_event_end(c, ev);
    drains_save(c);
    return 0;
}

static int host_restart_proxy(void *context, struct err *e)
{
    struct control *c = context;
    struct buf body = {0};
    put_str(&body, STR("an operator asked for it"));
    int r = body.failed ? err_set(e, ERR_NOMEM, "no memory to ask for a restart")
                        : ipc_send(&c->supervisor, IPC_RESTART, buf_str(&body), NULL, 0, e);
    buf_free(&body);
    return r;
}

static void on_check(void *context, const struct signal *s)
{
    judging_signal(context, s);
}

static uint64_t check_delay(void *context, uint32_t slot)
{
    const struct judge *j = host_judge(context, slot);
    return j ? judge_check_delay(j) : NS_PER_S;
}

static void on_starved(void *context, const char *why)
{
    struct event *ev = control_event(context, EVENT_PROBES_STARVED, EVENT_ERROR);
    event_text(ev, "%s: checks wait, nobody is blamed", why);
    control_event_end(context, ev);
}

/* ---- a view comes into force ---- */

static void close_metrics(struct arriving *a)
{
    for (uint32_t i = 0; i < a->n_metrics; i++)
        if (a->metrics[i] >= 0)
            close(a->metrics[i]);
    a->n_metrics = 0;
}

static void listen_metrics(struct control *c)
{
    struct arriving *a = &c->arriving;
    struct err e = {0};
    admin_unlisten_metrics(c->admin);
    for (uint32_t i = 0; i < a->n_metrics; i++) {
        int r = admin_listen(c->admin, a->metrics[i], true, &e);
        a->metrics[i] = -1;
        if (r) {
            struct event *ev = control_event(c, EVENT_METRICS_REFUSED, EVENT_ERROR);
            event_text(ev, "%s", e.text);
            control_event_end(c, ev);
        }
    }
    a->n_metrics = 0;
}

void control_adopt(struct control *c, struct view *view, bool restore)
{
    struct view *old = c->view;
    c->view = view;
    c->epoch = MAX(c->epoch, view->epoch);
    judging_adopt(c, restore);
    view_free(old);
    drains_prune(c);
    listen_metrics(c);
    cell_set(&c->cells.processes[PROCESS_CONTROL].epoch, view->epoch);
}

static void tell_start(struct control *c, const char *text)
{
    struct event *ev = control_event(c, EVENT_CONTROL_START, EVENT_INFO);
    event_subject(ev, "control");
    event_text(ev, "%s", text);
    control_event_end(c, ev);
}

/* ---- messages ---- */

static bool view_from_fd(struct control *c, int fd, uint64_t epoch, struct view **out,
                         struct err *e)
{
    struct buf bytes = {0};
    int r = memfd_read(fd, VIEW_MAX_BYTES, &bytes, e);
    if (r == 0)
        r = view_decode(buf_str(&bytes), out, e);
    buf_free(&bytes);
    if (r)
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
    close_metrics(&c->arriving);
    view_free(c->arriving.view);
    c->arriving = (struct arriving){.epoch = epoch};
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

static void on_view_socket(struct control *c, struct ipc_message *m)
{
    struct arriving *a = &c->arriving;
    uint64_t epoch = get_u64(&m->body);
    uint32_t n = get_count(&m->body, 4);
    const struct view *v = arriving_view(c, epoch);
    if (a->epoch != epoch) {
        close_metrics(a);
        a->epoch = epoch;
    }
    for (uint32_t i = 0; v && i < n && i < m->n_fds; i++) {
        uint32_t index = get_u32(&m->body);
        bool metrics = index < v->n_sockets && v->sockets[index].use == SOCKET_METRICS;
        if (!metrics || m->body.failed || a->n_metrics == ARRAY_LEN(a->metrics))
            continue;
        a->metrics[a->n_metrics++] = m->fds[i];
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

static void on_proxy_message(struct ipc *ipc, struct ipc_message *m)
{
    struct control *c = CONTAINER_OF(ipc, struct control, proxy);
    if (m->type == IPC_SIGNALS)
        judging_message(c, &m->body);
    else
        log_warning(c->log, "the proxy sent a message of type %u, which is not for us", m->type);
}

static void on_proxy_gone(struct ipc *ipc, const char *why)
{
    struct control *c = CONTAINER_OF(ipc, struct control, proxy);
    log_debug(c->log, "the proxy is gone: %s", why);
}

static void on_peer(struct control *c, struct ipc_message *m)
{
    struct err e = {0};
    int fd = ipc_take_fd(m);
    if (fd < 0)
        return;
    ipc_close(&c->proxy);
    if (ipc_open(&c->proxy, c->loop, fd, &e))
        log_error(c->log, "the proxy's evidence cannot be heard: %s", e.text);
}

static void on_child(struct control *c, struct ipc_message *m)
{
    uint32_t process = get_u32(&m->body), pid = get_u32(&m->body), status = get_u32(&m->body);
    struct str text = get_str(&m->body);
    if (!reader_done(&m->body) || process >= PROCESS_WORKER0)
        return;
    static const char *const names[] = {"supervisor", "control", "proxy"};
    struct event *ev = control_event(c, status ? EVENT_PROCESS_EXIT : EVENT_PROCESS_START,
                                     status ? EVENT_ERROR : EVENT_INFO);
    event_subject(ev, "%s", names[process]);
    event_text(ev, "process %u: %.*s", pid, (int)MIN(text.n, 200u), text.p);
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
    if (fd >= 0 && admin_listen(c->admin, fd, false, &e))
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
    tell_start(c, "started: the configuration is read");
    reload_hangup(c);
}

static void on_supervisor_message(struct ipc *ipc, struct ipc_message *m)
{
    struct control *c = CONTAINER_OF(ipc, struct control, supervisor);
    switch ((enum ipc_type)m->type) {
    case IPC_VIEW_BEGIN: on_view_begin(c, m); return;
    case IPC_VIEW_SOCKET: on_view_socket(c, m); return;
    case IPC_VIEW_END: on_view_end(c, m); return;
    case IPC_VIEW_REFUSED: on_view_refused(c, m); return;
    case IPC_VIEW_TAKEN: on_view_taken(c, m); return;
    case IPC_NO_VIEW: on_no_view(c); return;
    case IPC_RELOAD: reload_hangup(c); return;
    case IPC_PEER: on_peer(c, m); return;
    case IPC_CHILD: on_child(c, m); return;
    case IPC_STOP: on_stop(c); return;
    case IPC_ADMIN_SOCKET: on_admin_socket(c, m); return;
    case IPC_VIEW:
    case IPC_SIGNALS:
    case IPC_RESTART:
    case IPC_TYPES: break;
    }
    log_warning(c->log, "the supervisor sent a message of type %u, which is not for us", m->type);
}

/* Without its supervisor control can change nothing and would only disagree with its successor. */
static void on_supervisor_gone(struct ipc *ipc, const char *why)
{
    struct control *c = CONTAINER_OF(ipc, struct control, supervisor);
    log_error(c->log, "the supervisor is gone: %s", why);
    c->result = 1;
    loop_stop(c->loop);
}

/* ---- start and end ---- */

static void on_beat(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, beat);
    cell_add(&c->cells.processes[PROCESS_CONTROL].beat, 1);
    loop_timer_set(c->loop, t, loop_now(c->loop) + BEAT_NS);
}

static void load_epoch(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "epoch", &e);
    if (r == 0)
        r = file_read(path, 64, &text, &e);
    struct str digits = buf_str(&text);
    if (digits.n && digits.p[digits.n - 1] == '\n')
        digits.n--;
    if (r == 0 && !str_u64(digits, UINT64_MAX - 1, &c->epoch))
        r = err_set(&e, ERR_PROTO, "%s does not hold a number", path);
    if (r && r != -ERR_ABSENT)
        log_warning(c->log, "the epoch of before is lost: %s", e.text);
    buf_free(&text);
}

static int map_cells(struct control *c, int fd, struct err *e)
{
    void *region = NULL;
    size_t size = 0;
    int r = memfd_map(fd, &region, &size, e);
    close(fd);
    if (r)
        return r;
    r = cells_attach(&c->cells, region, size, e);
    if (r) {
        munmap(region, size);
        c->cells = (struct cells){0};
    }
    return r;
}

static int open_parts(struct control *c, struct err *e)
{
    struct prober_owner owner = {c, on_check, check_delay, on_starved};
    struct admin_host host = {
        .context = c,
        .events = &c->events,
        .node = c->o.node,
        .view = host_view,
        .cells = host_cells,
        .judge = host_judge,
        .reload = host_reload,
        .drain = host_drain,
        .restart_proxy = host_restart_proxy,
    };
    int r = events_init(&c->events, EVENTS_DEFAULT, loop_now(c->loop) / NS_PER_US, e);
    if (r == 0)
        r = judging_init(c, e);
    if (r == 0)
        r = prober_new(&c->prober, c->loop, c->n_subjects, c->o.probes, &owner, e);
    if (r == 0)
        r = admin_new(&c->admin, c->loop, &host, e);
    return r;
}

int control_open(struct control *c, struct loop *l, struct log *log,
                 const struct control_options *o, int supervisor_fd, int cells_fd, struct err *e)
{
    *c = (struct control){.o = *o, .loop = l, .log = log};
    c->supervisor =
        (struct ipc){.fd = -1, .on_message = on_supervisor_message, .on_gone = on_supervisor_gone};
    c->proxy = (struct ipc){.fd = -1, .on_message = on_proxy_message, .on_gone = on_proxy_gone};
    reloading_init(c);
    timer_init(&c->beat, on_beat);
    int r = map_cells(c, cells_fd, e);
    if (r == 0)
        r = open_parts(c, e);
    if (r) {
        close(supervisor_fd);
        control_close(c);
        return r;
    }
    load_epoch(c);
    drains_load(c);
    on_beat(&c->beat);
    r = ipc_open(&c->supervisor, l, supervisor_fd, e);
    if (r)
        control_close(c);
    return r;
}

void control_close(struct control *c)
{
    loop_timer_stop(c->loop, &c->beat);
    ipc_close(&c->supervisor);
    ipc_close(&c->proxy);
    admin_free(c->admin);
    prober_free(c->prober);
    reloading_end(c);
    judging_end(c);
    drains_end(c);
    events_free(&c->events);
    close_metrics(&c->arriving);
    view_free(c->arriving.view);
    view_free(c->view);
    if (c->cells.header)
        munmap(c->cells.header, c->cells.size);
}

struct arguments {
    const char *file, *state_dir, *log;
};

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"file", required_argument, NULL, 'f'},
        {"state", required_argument, NULL, 's'},
        {"log", required_argument, NULL, 'l'},
        {0},
    };
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'f')
            a->file = optarg;
        else if (o == 's')
            a->state_dir = optarg;
        else if (o == 'l')
            a->log = optarg;
        else
            return false;
    }
    return a->file && a->state_dir && optind == argc;
}

static int run(const struct control_options *o, struct log *log, struct err *e)
{
    struct loop *loop = NULL;
    struct control *c = mem_zero(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for control");
    int r = loop_new(&loop, e);
    if (r == 0)
        r = control_open(c, loop, log, o, IPC_FD_SUPERVISOR, IPC_FD_CELLS, e);
    if (r == 0) {
        r = loop_run(loop, e);
        int result = c->result;
        control_close(c);
        if (r == 0 && result)
            r = err_set(e, ERR_IO, "control ends without its supervisor");
    }
    loop_free(loop);
    mem_free(c);
    return r;
}

int control_main(int argc, char **argv)
{
    struct arguments a = {0};
    struct log log;
    struct err e = {0};
    struct sandbox_notes notes = {0};
    char node[256] = "";
    if (!parse_arguments(argc, argv, &a) || log_open(&log, "control", a.log, &e)) {
        fprintf(stderr, "@control is started by holdfast itself: --file FILE --state DIR%s%s\n",
                e.code ? "; " : "", e.text);
        return 2;
    }
    int r = sandbox_enter(SANDBOX_CONTROL, &notes, &e);
    if (notes.text[0])
        log_info(&log, "%s", notes.text);
    if (gethostname(node, sizeof node - 1))
        str_copy(node, sizeof node, STR("unknown"));
    struct control_options o = {.file = a.file,
                                .state_dir = a.state_dir,
                                .node = node,
                                .reload_deadline = 10 * NS_PER_S,
                                .probes = PROBER_MOST};
    if (r == 0)
        r = run(&o, &log, &e);
    if (r)
        log_error(&log, "%s", e.text);
    return r ? 1 : 0;
}
