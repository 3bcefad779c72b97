/* Messages between our processes; ipc.h tells the protocol.
 *
 * A connection is edge-triggered: it reads until the socket is empty, but at most TURN messages in
 * a row, so that a chatty peer cannot keep the loop from its other work; the rest is read in a
 * deferred task. Messages that do not fit the socket wait in a queue in order; as long as it is not
 * empty nothing overtakes it.
 *
 * A failure while sending is only noted and reported from the loop later: whoever sends is in the
 * middle of something and must not find its owner gone. */
#include "daemon/ipc.h"

#include <fcntl.h>
#include <unistd.h>

#include "view/view.h"

enum { TURN = 128 };

struct queued_message {
    struct list link;
    size_t n, n_fds;
    int fds[IPC_MAX_FDS];
    char bytes[];
};

/* --- one message --- */

int ipc_parse(struct str datagram, uint32_t *type, struct reader *body, struct err *e)
{
    struct reader r = reader_of(datagram.p, datagram.n);
    uint32_t t = get_u32(&r);
    uint32_t length = get_u32(&r);
    if (r.failed || length != datagram.n - IPC_HEADER)
        return err_set(e, ERR_PROTO, "a message of %zu bytes has a header that does not fit it",
                       datagram.n);
    if (t == 0 || t >= IPC_TYPES)
        return err_set(e, ERR_PROTO, "a message has the unknown type %u", t);
    *type = t;
    *body = r;
    return 0;
}

static int frame(char out[IPC_MAX_BYTES], enum ipc_type type, struct str body, struct err *e)
{
    CHECK(type > 0 && type < IPC_TYPES);
    if (body.n > IPC_MAX_BODY)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes is longer than %d", body.n,
                       IPC_MAX_BODY);
    uint32_t head[2] = {(uint32_t)type, (uint32_t)body.n};
    for (unsigned i = 0; i < IPC_HEADER; i++)
        out[i] = (char)(head[i / 4] >> (8 * (i % 4)));
    if (body.n)
        memcpy(out + IPC_HEADER, body.p, body.n);
    return 0;
}

int ipc_receive(int fd, struct ipc_message *m, struct err *e)
{
    m->n_fds = 0;
    ssize_t n =
        net_message_receive(fd, m->bytes, sizeof m->bytes, m->fds, IPC_MAX_FDS, &m->n_fds, e);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return err_set(e, ERR_ABSENT, "the peer closed the connection");
    int r = ipc_parse((struct str){(const char *)m->bytes, (size_t)n}, &m->type, &m->body, e);
    if (r)
        ipc_message_end(m);
    return r;
}

int ipc_take_fd(struct ipc_message *m)
{
    if (m->n_fds == 0)
        return -1;
    int fd = m->fds[0];
    m->fds[0] = -1;
    return fd;
}

void ipc_message_end(struct ipc_message *m)
{
    for (size_t i = 0; i < m->n_fds; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
    m->n_fds = 0;
}

int ipc_send_now(int fd, enum ipc_type type, struct str body, struct err *e)
{
    char bytes[IPC_MAX_BYTES];
    int r = frame(bytes, type, body, e);
    return r ? r : net_message_send(fd, bytes, IPC_HEADER + body.n, NULL, 0, e);
}

/* --- the queue --- */

static void queued_free(struct queued_message *q)
{
    list_remove(&q->link);
    for (size_t i = 0; i < q->n_fds; i++)
        close(q->fds[i]);
    mem_free(q);
}

static void queue_clear(struct ipc *c)
{
    while (!list_empty(&c->queue))
        queued_free(LIST_ENTRY(c->queue.next, struct queued_message, link));
    c->queued = 0;
}

/* Duplicates the descriptors: the caller may close its own before ours have left. */
static struct queued_message *queued_new(struct str bytes, const int *fds, size_t n_fds)
{
    struct queued_message *q = mem_alloc(sizeof *q + bytes.n);
    if (!q)
        return NULL;
    list_init(&q->link);
    q->n = bytes.n;
    q->n_fds = 0;
    memcpy(q->bytes, bytes.p, bytes.n);
    for (size_t i = 0; i < n_fds; i++) {
        q->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (q->fds[i] < 0) {
            queued_free(q);
            return NULL;
        }
        q->n_fds++;
    }
    return q;
}

static int enqueue(struct ipc *c, struct str bytes, const int *fds, size_t n_fds, struct err *e)
{
    if (c->queued >= IPC_QUEUE)
        return err_set(e, ERR_LIMIT, "%u messages wait for the peer", c->queued);
    struct queued_message *q = queued_new(bytes, fds, n_fds);
    if (!q)
        return err_set(e, ERR_NOMEM, "no memory or descriptors to queue a message");
    list_push_back(&c->queue, &q->link);
    c->queued++;
    return 0;
}

/* Later, from the loop: on_gone. */
static void break_off(struct ipc *c, const char *why)
{
    if (c->broken)
        return;
    c->broken = why;
    queue_clear(c);
    loop_defer(c->loop, &c->later);
}

static void flush(struct ipc *c)
{
    while (!list_empty(&c->queue)) {
        struct queued_message *q = LIST_ENTRY(c->queue.next, struct queued_message, link);
        int r = net_message_send(c->fd, q->bytes, q->n, q->fds, q->n_fds, NULL);
        if (r == -ERR_BUSY)
            return;
        if (r) {
            break_off(c, "the peer is gone");
            return;
        }
        queued_free(q);
        c->queued--;
    }
}

int ipc_send(struct ipc *c, enum ipc_type type, struct str body, const int *fds, size_t n_fds,
             struct err *e)
{
    CHECK(n_fds <= IPC_MAX_FDS);
    if (!ipc_is_open(c))
        return err_set(e, ERR_ABSENT, "the peer is gone");
    char bytes[IPC_MAX_BYTES];
    int r = frame(bytes, type, body, e);
    if (r)
        return r;
    struct str whole = {bytes, IPC_HEADER + body.n};
    if (list_empty(&c->queue)) {
        r = net_message_send(c->fd, whole.p, whole.n, fds, n_fds, e);
        if (r == 0)
            return 0;
        if (r != -ERR_BUSY) {
            break_off(c, "the peer is gone");
            return r;
        }
    }
    r = enqueue(c, whole, fds, n_fds, e);
    if (r)
        break_off(c, "the peer does not take its messages");
    return r;
}

/* --- the connection --- */

static void gone(struct ipc *c, const char *why)
{
    ipc_close(c);
    c->on_gone(c, why);
}

static void receive(struct ipc *c)
{
    struct ipc_message m;
    struct err e;
    int fd = c->fd;
    for (int i = 0; i < TURN; i++) {
        int r = ipc_receive(c->fd, &m, &e);
        if (r == -ERR_BUSY)
            return;
        if (r) {
            gone(c, e.text);
            return;
        }
        c->on_message(c, &m);
        ipc_message_end(&m);
        if (c->fd != fd || c->broken)
            return;
    }
    loop_defer(c->loop, &c->later);
}

static void on_later(struct task *t)
{
    struct ipc *c = CONTAINER_OF(t, struct ipc, later);
    if (c->broken)
        gone(c, c->broken);
    else
        receive(c);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct ipc *c = CONTAINER_OF(io, struct ipc, io);
    if (c->broken)
        return;
    if (ready & IO_WRITE)
        flush(c);
    if ((ready & (IO_READ | IO_HANGUP)) && !c->broken)
        receive(c);
}

int ipc_open(struct ipc *c, struct loop *l, int fd, struct err *e)
{
    CHECK(c->on_message && c->on_gone);
    c->loop = l;
    c->broken = NULL;
    c->queued = 0;
    list_init(&c->queue);
    task_init(&c->later, on_later);
    io_init(&c->io, on_ready);
    int r = loop_io_start(l, &c->io, fd, e);
    c->fd = r ? -1 : fd;
    if (r)
        close(fd);
    return r;
}

void ipc_close(struct ipc *c)
{
    if (c->fd < 0)
        return;
    task_cancel(&c->later);
    queue_clear(c);
    loop_io_stop(c->loop, &c->io);
    close(c->fd);
    c->fd = -1;
}

/* --- signals --- */

void ipc_put_signal(struct buf *b, const struct signal *s)
{
    put_u64(b, s->at);
    put_u32(b, s->slot);
    put_u32(b, s->count);
    put_u16(b, s->kind);
    put_u16(b, s->observer);
    put_u32(b, s->detail);
}

bool ipc_get_signal(struct reader *r, struct signal *s)
{
    s->at = get_u64(r);
    s->slot = get_u32(r);
    s->count = get_u32(r);
    s->kind = get_u16(r);
    s->observer = get_u16(r);
    s->detail = get_u32(r);
    return !r->failed && s->slot < VIEW_MAX_SLOTS && s->count > 0 && s->kind < SIGNAL_KINDS &&
           s->observer <= VIEW_MAX_WORKERS;
}

int ipc_read_view(int fd, struct view **out, struct err *e)
{
    struct buf bytes = {0};
    int r = memfd_read(fd, VIEW_MAX_BYTES, &bytes, e);
    if (r == 0)
        r = view_decode(buf_str(&bytes), out, e);
    buf_free(&bytes);
    return r;
}
