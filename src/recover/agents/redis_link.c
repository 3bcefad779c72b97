#include "recover/agents/redis_link.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 16 * 1024 };

static void forget(struct redis_link *l)
{
    task_cancel(&l->later);
    if (l->fd >= 0)
        loop_io_close(l->loop, &l->io);
    l->fd = -1;
    if (l->out.p)
        wipe(l->out.p, l->out.cap); /* it may hold the password */
    buf_free(&l->out);
    buf_free(&l->in);
    l->frame = (struct resp_frame){0};
    l->framed = 0;
    l->first = l->asked = 0;
    l->connected = false;
}

static void lost(struct redis_link *l, const char *why)
{
    forget(l);
    l->on_lost(l->context, why);
}

/* --- replies --- */

static bool hand_over(struct redis_link *l, struct str message)
{
    struct resp_reader r = resp_reader_of(message);
    struct resp_value v;
    if (!resp_get(&r, &v) || v.type == RESP_PUSH || v.type == RESP_ATTRIBUTE)
        return false;
    if (l->asked == 0)
        return false;
    uint8_t tag = l->tags[l->first];
    l->first = (l->first + 1) % LINK_ASKED;
    l->asked--;
    if (tag != LINK_AUTH) {
        l->on_reply(l->context, tag, &v);
        return true;
    }
    /* While it loads its data it knows its users already. */
    return !resp_is_error(&v);
}

/* False: the link is gone. */
static bool read_replies(struct redis_link *l)
{
    while (l->fd >= 0 && l->framed < l->in.n) {
        size_t used = 0;
        int r = resp_frame_reply(&l->frame, l->in.p + l->framed, l->in.n - l->framed, &used);
        l->framed += used;
        if (r == RESP_MORE)
            break;
        if (r == RESP_BAD || !hand_over(l, (struct str){l->in.p, l->framed})) {
            if (l->fd >= 0)
                lost(l, r == RESP_BAD ? "its answer is not of Redis" : "it refuses us");
            return false;
        }
        if (l->fd < 0)
            return false;
        buf_drop_front(&l->in, l->framed);
        l->framed = 0;
    }
    if (l->fd >= 0 && l->in.n >= LINK_REPLY) {
        lost(l, "its answer is too long");
        return false;
    }
    return l->fd >= 0;
}

static void read_some(struct redis_link *l)
{
    for (int turn = 0; l->fd >= 0; turn++) {
        if (turn == 8) {
            loop_defer(l->loop, &l->later);
            return;
        }
        if (!buf_reserve(&l->in, PIECE)) {
            lost(l, "no memory for its answer");
            return;
        }
        ssize_t n = read(l->fd, l->in.p + l->in.n, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(l, n == 0 ? "it closed the connection" : "the connection broke");
            return;
        }
        l->in.n += (size_t)n;
        if (!read_replies(l))
            return;
    }
}

static void on_later(struct task *t)
{
    struct redis_link *l = CONTAINER_OF(t, struct redis_link, later);
    /* A request that did not fit memory cannot be unsaid: replies would be taken for others'. */
    if (l->out.failed)
        lost(l, "no memory to ask it");
    else
        read_some(l);
}

/* --- requests --- */

static void write_some(struct redis_link *l)
{
    while (l->fd >= 0 && l->connected && !l->out.failed && l->out.n) {
        ssize_t n = write(l->fd, l->out.p, l->out.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* later; what is wrong will be read */
        buf_drop_front(&l->out, (size_t)n);
    }
}

static void on_ready(struct io *io, unsigned ready)
{
    struct redis_link *l = CONTAINER_OF(io, struct redis_link, io);
    if (!l->connected && ready & (IO_WRITE | IO_HANGUP)) {
        int r = net_connect_result(l->fd);
        if (r) {
            lost(l, r == ECONNREFUSED ? "nobody listens there" : "it cannot be reached");
            return;
        }
        l->connected = true;
    }
    if (l->connected) {
        write_some(l);
        read_some(l);
    }
}

void redis_link_init(struct redis_link *l, struct loop *loop)
{
    *l = (struct redis_link){.loop = loop, .fd = -1};
    io_init(&l->io, on_ready);
    task_init(&l->later, on_later);
}

struct buf *redis_link_ask(struct redis_link *l, uint8_t tag)
{
    if (l->fd < 0 || l->asked == LINK_ASKED)
        return NULL;
    l->tags[(l->first + l->asked) % LINK_ASKED] = tag;
    l->asked++;
    return &l->out;
}

int redis_link_open(struct redis_link *l, const struct addr *to, const char *user,
                    const char *password, struct err *e)
{
    CHECK(l->fd < 0);
    int fd = net_connect(to, e);
    if (fd < 0)
        return fd;
    int r = loop_io_start(l->loop, &l->io, fd, e);
    if (r) {
        close(fd);
        return r;
    }
    l->fd = fd;
    net_set_nodelay(fd);
    if (password) {
        struct buf *b = redis_link_ask(l, LINK_AUTH);
        resp_put_words(b, "AUTH", user, password, NULL);
    }
    if (!l->out.failed)
        return 0;
    forget(l);
    return err_set(e, ERR_NOMEM, "no memory to talk to Redis");
}

void redis_link_close(struct redis_link *l)
{
    forget(l);
}

void redis_link_flush(struct redis_link *l)
{
    if (l->fd >= 0 && l->out.failed)
        loop_defer(l->loop, &l->later);
    else
        write_some(l);
}
