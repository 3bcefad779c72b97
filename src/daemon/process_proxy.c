/* The proxy process: what stands between the proxy's threads and the other processes.
 *
 * It takes views from the supervisor and hands them to the proxy, passes evidence on to control,
 * and beats. It needs neither of them to go on: when control is gone, evidence is dropped and
 * counted; when the supervisor is gone, nobody keeps the listening sockets any more, so it stops
 * listening, drains and leaves, and a new supervisor finds the addresses free.
 *
 * On its line to control it hears that roles have changed, and what the gates say to their
 * instances (docs/gate.md).
 *
 * Evidence is sent by any worker on the descriptor of the peer. That descriptor's number never
 * changes: a new peer is put in the old one's place (dup3), so that no thread can hold a stale
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/ipc.h"
#include "daemon/log.h"
#include "daemon/process_memory.h"
#include "daemon/sandbox.h"
#include "proxy/proxy.h"
#include "view/cells.h"

#define BEAT_EVERY (250 * NS_PER_MS)

struct proxy_process {
    struct log log;
    struct loop *loop;
    struct cells cells;
    struct ipc supervisor;
    struct proxy *proxy;
    struct timer beat;
    int peer_fd; /* to control */
    struct io peer_io;
    int memory_fd;
    struct view *next; /* between VIEW_BEGIN and VIEW_END */
    int *next_fds;
    int *listening; /* duplicates of the listening sockets of the view in use */
    uint32_t n_listening;
    uint32_t bank; /* its rows in the cells */
    bool held;     /* waits for IPC_ACCEPT */
    bool leaving;  /* draining because of IPC_STOP, or without a supervisor */
};

/* --- what the proxy asks of us --- */

static struct process_row *own_row(struct proxy_process *p)
{
    return &p->cells.processes[cells_proxy_row(p->cells.workers, p->bank)];
}

static void on_view_taken(void *context, uint64_t epoch)
{
    struct proxy_process *p = context;
    struct buf b = {0};
    cell_set(&own_row(p)->epoch, epoch);
    put_u64(&b, epoch);
    if (b.failed || ipc_send(&p->supervisor, IPC_VIEW_TAKEN, buf_str(&b), NULL, 0, NULL))
        log_debug(&p->log, "nobody is told that view %llu is in use", (unsigned long long)epoch);
    buf_free(&b);
}

/* Any worker's thread. */
static bool on_evidence(void *context, const struct signal *s)
{
    const struct proxy_process *p = context;
    struct buf b = {0};
    put_u32(&b, 1);
    ipc_put_signal(&b, s);
    bool sent = !b.failed && ipc_send_now(p->peer_fd, IPC_SIGNALS, buf_str(&b), NULL) == 0;
    buf_free(&b);
    return sent;
}

/* Any thread: a line is written with one system call. */
static void on_complaint(void *context, const char *text)
{
    struct proxy_process *p = context;
    log_error(&p->log, "%s", text);
}

static void on_drained(void *context)
{
    struct proxy_process *p = context;
    loop_stop(p->loop);
}

/* --- what the supervisor says --- */

static void forget_listening(struct proxy_process *p)
{
    for (uint32_t i = 0; i < p->n_listening; i++)
        close(p->listening[i]);
    mem_free(p->listening);
    p->listening = NULL;
    p->n_listening = 0;
}

/* The proxy's threads own the sockets and close them when they can; we keep a way to end the
 * listening at any moment. Without memory for it, that moment is when the process ends. */
static void remember_listening(struct proxy_process *p, const struct view *v, const int *fds)
{
    forget_listening(p);
    p->listening = mem_alloc((v->n_sockets + 1) * sizeof(int));
    for (uint32_t i = 0; p->listening && i < v->n_sockets; i++) {
        uint8_t use = v->sockets[i].use;
        bool listens = use == SOCKET_HTTP || use == SOCKET_TCP;
        int fd = listens ? fcntl(fds[i], F_DUPFD_CLOEXEC, 0) : -1;
        if (fd >= 0)
            p->listening[p->n_listening++] = fd;
    }
}

/* Ends when the last connection has. New clients are refused at once, and a new supervisor finds
 * the addresses free. */
static void leave(struct proxy_process *p)
{
    if (p->leaving)
        return;
    p->leaving = true;
    proxy_drain(p->proxy);
    for (uint32_t i = 0; i < p->n_listening; i++)
        shutdown(p->listening[i], SHUT_RDWR);
    forget_listening(p);
}

static void forget_next(struct proxy_process *p)
{
    for (uint32_t i = 0; p->next_fds && i < p->next->n_sockets; i++)
        if (p->next_fds[i] >= 0)
            close(p->next_fds[i]);
    mem_free(p->next_fds);
    view_free(p->next);
    p->next_fds = NULL;
    p->next = NULL;
}

static int begin_view(struct proxy_process *p, struct ipc_message *m, struct err *e)
{
    uint64_t epoch = get_u64(&m->body);
    if (!reader_done(&m->body) || m->n_fds != 1)
        return err_set(e, ERR_PROTO, "the announcement of a view is malformed");
    forget_next(p);
    int r = ipc_read_view(m->fds[0], &p->next, e);
    if (r)
        return err_wrap(e, "view %llu", (unsigned long long)epoch);
    p->next_fds = mem_alloc((p->next->n_sockets + 1) * sizeof(int));
    if (!p->next_fds) {
        forget_next(p);
        return err_set(e, ERR_NOMEM, "no memory for view %llu", (unsigned long long)epoch);
    }
    for (uint32_t i = 0; i < p->next->n_sockets; i++)
        p->next_fds[i] = -1;
    return 0;
}

static int add_sockets(struct proxy_process *p, struct ipc_message *m, struct err *e)
{
    uint64_t epoch = get_u64(&m->body);
    uint32_t n = get_count(&m->body, 4);
    if (m->body.failed || !p->next || epoch != p->next->epoch || n != m->n_fds)
        return err_set(e, ERR_PROTO, "the sockets of a view are malformed");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = get_u32(&m->body);
        if (m->body.failed || index >= p->next->n_sockets || p->next_fds[index] >= 0)
            return err_set(e, ERR_PROTO, "a view was given a socket that it does not name");
        p->next_fds[index] = m->fds[i];
        m->fds[i] = -1;
    }
    return 0;
}

static int end_view(struct proxy_process *p, struct err *e)
{
    struct view *v = p->next;
    int *fds = p->next_fds;
    if (!v)
        return err_set(e, ERR_PROTO, "a view ended that never began");
    p->next = NULL;
    p->next_fds = NULL;
    uint64_t epoch = v->epoch;
    if (!p->leaving)
        remember_listening(p, v, fds);
    if (proxy_take_view(p->proxy, v, fds, e))
        return err_wrap(e, "view %llu cannot be used", (unsigned long long)epoch);
    return 0;
}

/* --- what control says --- */

static int take_secret(struct proxy_process *p, struct ipc_message *m, struct err *e)
{
    struct str service = get_str(&m->body), secret = get_str(&m->body);
    int r = reader_done(&m->body) ? proxy_set_secret(p->proxy, service, secret, e)
                                  : err_set(e, ERR_PROTO, "a service's secret is malformed");
    wipe(m->bytes, sizeof m->bytes);
    return r;
}

static void hear_control(struct proxy_process *p, struct ipc_message *m)
{
    struct err e = {0};
    if (m->type == IPC_ROLES)
        proxy_roles_changed(p->proxy);
    else if (m->type != IPC_SECRET)
        log_error(&p->log, "control sent a message of type %u, which is not for us", m->type);
    else if (take_secret(p, m, &e))
        log_error(&p->log, "%s", e.text);
}

/* Its end is left alone until there is another: evidence finds out by itself. */
static void on_peer_ready(struct io *io, unsigned ready)
{
    struct proxy_process *p = CONTAINER_OF(io, struct proxy_process, peer_io);
    struct ipc_message m;
    (void)ready;
    while (ipc_receive(p->peer_fd, &m, NULL) == 0) {
        hear_control(p, &m);
        ipc_message_end(&m);
    }
}

static int take_peer(struct proxy_process *p, struct ipc_message *m, struct err *e)
{
    if (m->n_fds != 1)
        return err_set(e, ERR_PROTO, "the line to control is missing");
    loop_io_stop(p->loop, &p->peer_io);
    if (dup3(m->fds[0], p->peer_fd, O_CLOEXEC) < 0)
        return err_errno(e, "cannot reach control");
    return loop_io_start(p->loop, &p->peer_io, p->peer_fd, e);
}

static void stop(struct proxy_process *p, struct ipc_message *m)
{
    if (get_u32(&m->body) == 1)
        leave(p);
    else
        loop_stop(p->loop);
}

static int begin_to_accept(struct proxy_process *p)
{
    p->held = false;
    proxy_accept(p->proxy);
    return 0;
}

static int handle(struct proxy_process *p, struct ipc_message *m, struct err *e)
{
    switch ((enum ipc_type)m->type) {
    case IPC_VIEW_BEGIN: return begin_view(p, m, e);
    case IPC_VIEW_SOCKET: return add_sockets(p, m, e);
    case IPC_VIEW_END: return end_view(p, e);
    case IPC_PEER: return take_peer(p, m, e);
    case IPC_STOP: stop(p, m); return 0;
    case IPC_ACCEPT: return begin_to_accept(p);
    case IPC_HAND_OVER: proxy_hand_over(p->proxy); return 0;
    case IPC_VIEW:
    case IPC_VIEW_REFUSED:
    case IPC_VIEW_TAKEN:
    case IPC_CHILD:
    case IPC_SIGNALS:
    case IPC_ADMIN_SOCKET:
    case IPC_RESTART:
    case IPC_RELOAD:
    case IPC_NO_VIEW:
    case IPC_CHANGE:
    case IPC_UPGRADE:
    case IPC_AGENT:
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
    case IPC_SENSE:
    case IPC_FINDING:
    case IPC_TYPES: break;
    }
    return err_set(e, ERR_PROTO, "a message of type %u is not for the proxy", m->type);
}

/* The supervisor and we are one binary: what we cannot use is an error in one of us, or no memory.
 * The old view goes on; the supervisor sees that the new one is not taken, and replaces us. */
static void on_message(struct ipc *c, struct ipc_message *m)
{
    struct proxy_process *p = CONTAINER_OF(c, struct proxy_process, supervisor);
    struct err e;
    if (handle(p, m, &e))
        log_error(&p->log, "%s", e.text);
}

static void on_gone(struct ipc *c, const char *why)
{
    struct proxy_process *p = CONTAINER_OF(c, struct proxy_process, supervisor);
    if (p->held) { /* never used: the sockets are not ours to shut */
        log_error(&p->log, "the supervisor is gone (%s) before there was anything to do", why);
        loop_stop(p->loop);
        return;
    }
    log_error(&p->log, "the supervisor is gone (%s): draining", why);
    leave(p);
}

/* --- the process --- */

static void on_beat(struct timer *t)
{
    struct proxy_process *p = CONTAINER_OF(t, struct proxy_process, beat);
    cell_add(&own_row(p)->beat, 1);
    cell_set(&own_row(p)->memory, process_memory_read(p->memory_fd));
    loop_timer_set(p->loop, t, loop_now(p->loop) + BEAT_EVERY);
}

static int attach_cells(struct proxy_process *p, struct err *e)
{
    void *region;
    size_t size;
    int r = memfd_map(IPC_FD_CELLS, &region, &size, e);
    if (r == 0)
        r = cells_attach(&p->cells, region, size, e);
    p->cells.bank = p->bank;
    return r;
}

/* A line whose other end is closed: evidence is dropped until control is there. */
static int reserve_peer(struct proxy_process *p, struct err *e)
{
    int pair[2];
    int r = net_message_pair(pair, e);
    if (r)
        return r;
    close(pair[1]);
    p->peer_fd = pair[0];
    return 0;
}

static int read_arguments(struct proxy_process *p, int argc, char **argv, struct err *e)
{
    uint64_t bank = 0;
    const char *level = argc >= 3 && strcmp(argv[1], "--log") == 0 ? argv[2] : NULL;
    if (argc >= 5 &&
        (strcmp(argv[3], "--bank") != 0 || !str_u64(str_of(argv[4]), CELLS_BANKS - 1, &bank)))
        return err_set(e, ERR_INVAL, "a proxy has no bank %s", argv[4]);
    p->bank = (uint32_t)bank;
    p->held = argc == 6 && strcmp(argv[5], "--wait") == 0;
    return log_open(&p->log, "proxy", level, e);
}

static int prepare(struct proxy_process *p, int argc, char **argv, struct err *e)
{
    struct sandbox_notes notes;
    int r = read_arguments(p, argc, argv, e);
    if (r == 0)
        r = sandbox_enter(SANDBOX_PROXY, &notes, e);
    if (r == 0)
        r = attach_cells(p, e);
    if (r == 0)
        r = reserve_peer(p, e);
    if (r == 0)
        r = loop_new(&p->loop, e);
    if (r)
        return r;
    if (notes.text[0])
        log_info(&p->log, "%s", notes.text);
    const struct proxy_host host = {p, on_view_taken, on_evidence, on_complaint, on_drained};
    r = proxy_new(&p->proxy, p->loop, &p->cells, &host, e);
    if (r == 0 && p->held)
        proxy_hold(p->proxy);
    return r ? r : ipc_open(&p->supervisor, p->loop, IPC_FD_SUPERVISOR, e);
}

int proxy_main(int argc, char **argv)
{
    struct proxy_process p = {
        .peer_fd = -1,
        .memory_fd = process_memory_open(),
        .supervisor = {.fd = -1, .on_message = on_message, .on_gone = on_gone},
    };
    struct err e;
    timer_init(&p.beat, on_beat);
    io_init(&p.peer_io, on_peer_ready);
    int r = prepare(&p, argc, argv, &e);
    if (r == 0) {
        on_beat(&p.beat);
        r = loop_run(p.loop, &e);
    }
    if (r)
        log_error(&p.log, "%s", e.text);
    if (p.proxy)
        proxy_free(p.proxy);
    ipc_close(&p.supervisor);
    forget_next(&p);
    forget_listening(&p);
    loop_free(p.loop);
    if (p.memory_fd >= 0)
        close(p.memory_fd);
    if (p.peer_fd >= 0)
        close(p.peer_fd);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
