/* upstream: a connection to an instance.
 *
 *   connecting --writable--> in use --response complete--> pooled --picked--> in use ...
 *        \                      |                            |
 *         +---- failed ---------+-------- peer closed -------+--> closed
 *
 * The pool is a stack: the connection used last is the one whose state is still in the caches, and
 * the others grow old and are closed. Pooled connections stay in the loop; whatever arrives on one
 * (the instance's FIN, or bytes nobody asked for) ends it. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"

void upstream_end(struct worker *w, struct list *link)
{
    mem_free(LIST_ENTRY(link, struct upstream, link));
}

static void leave_pool(struct upstream *u)
{
    struct target *t = u->target;
    list_remove(&u->link);
    list_remove(&u->age);
    t->worker->pressure.n_idle--;
    cell_set(&t->row->idle, --t->n_idle);
}

void upstream_close(struct upstream *u)
{
    if (u->closed)
        return;
    struct target *t = u->target;
    struct worker *w = t->worker;
    u->closed = true;
    if (u->pooled)
        leave_pool(u);
    u->x = NULL;
    u->pooled = false;
    u->on_event = NULL;
    stream_close(&u->s, w);
    worker_bury(w, GRAVE_UPSTREAM, &u->link);
    target_unref(t);
}

static void connect_decided(struct upstream *u)
{
    if (u->s.hangup) {
        int error = net_connect_result(u->s.io.fd);
        if (error) {
            u->s.broken = true;
            u->s.error = error;
            return;
        }
    }
    u->connected = true;
}

static void on_ready(struct io *io, unsigned ready)
{
    struct upstream *u = CONTAINER_OF(io, struct upstream, s.io);
    stream_ready(&u->s, ready);
    if (!u->connected && (ready & IO_WRITE))
        connect_decided(u);
    if (u->x)
        client_run(u->x->client);
    else if (u->on_event)
        u->on_event(u);
    else if (ready & (IO_READ | IO_HANGUP))
        upstream_close(u);
}

/* Nothing unread, no end announced; asked of the kernel when the caller must be sure. */
static bool still_open(struct upstream *u, bool sure)
{
    if (u->s.readable || u->s.hangup)
        return false;
    char byte;
    return !sure || (recv(u->s.io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static struct upstream *take_pooled(struct target *t, bool sure)
{
    while (!list_empty(&t->idle)) {
        struct upstream *u = LIST_ENTRY(t->idle.next, struct upstream, link);
        if (!still_open(u, sure)) {
            upstream_close(u);
            continue;
        }
        leave_pool(u);
        u->reused = true;
        u->pooled = false;
        return u;
    }
    return NULL;
}

/* Others' idle connections are given up before a request is refused. */
static int connect_to(const struct target *t, int *error)
{
    int fd;
    do {
        fd = net_connect(&t->addr, NULL);
        *error = fd < 0 ? errno : 0;
    } while ((*error == EMFILE || *error == ENFILE) && pressure_give_up(t->worker));
    return fd;
}

static struct upstream *start_new(struct target *t, int *error)
{
    struct upstream *u = mem_zero(1, sizeof *u);
    if (!u) {
        *error = ENOMEM;
        return NULL;
    }
    int fd = connect_to(t, error);
    if (fd < 0) {
        mem_free(u);
        return NULL;
    }
    stream_init(&u->s, on_ready);
    u->s.writable = false;
    list_init(&u->link);
    list_init(&u->age);
    u->target = t;
    t->refs++;
    net_set_nodelay(fd);
    if (loop_io_start(t->worker->loop, &u->s.io, fd, NULL)) {
        *error = ENOMEM;
        u->s.io.fd = -1;
        close(fd);
        target_unref(t);
        mem_free(u);
        return NULL;
    }
    cell_add(&t->row->connects, 1);
    return u;
}

struct upstream *upstream_get(struct target *t, struct exchange *x, bool fresh, bool sure,
                              int *error)
{
    struct upstream *u = fresh ? NULL : take_pooled(t, sure);
    if (!u)
        u = start_new(t, error);
    if (u)
        u->x = x;
    return u;
}

void upstream_release(struct upstream *u)
{
    struct target *t = u->target;
    if (!t->service || t->n_idle >= IDLE_PER_TARGET || u->s.in || !still_open(u, false) ||
        u->s.broken) {
        upstream_close(u);
        return;
    }
    u->x = NULL;
    u->on_event = NULL;
    u->pooled = true;
    u->idle_since = loop_now(t->worker->loop);
    list_push_front(&t->idle, &u->link);
    cell_set(&t->row->idle, ++t->n_idle);
    struct pressure *p = &t->worker->pressure;
    list_push_back(&p->idle, &u->age);
    if (++p->n_idle > t->worker->max_clients)
        upstream_close(LIST_ENTRY(p->idle.next, struct upstream, age));
}
