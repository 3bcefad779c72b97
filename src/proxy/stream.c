/* stream: one non-blocking socket, edge-triggered, with at most one block of unread bytes.
 *
 * A read that returns less than it asked for has emptied the socket: later bytes make a new edge,
 * so no second read is needed to see EAGAIN. Only the end of the stream has no edge of its own once
 * its hangup was reported; `hangup` remembers it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"

void stream_init(struct stream *s, void (*on_ready)(struct io *, unsigned))
{
    *s = (struct stream){.writable = true};
    io_init(&s->io, on_ready);
}

void stream_ready(struct stream *s, unsigned ready)
{
    if (ready & IO_READ)
        s->readable = true;
    if (ready & IO_WRITE)
        s->writable = true;
    if (ready & IO_HANGUP)
        s->hangup = true;
}

static void break_stream(struct stream *s, int error)
{
    s->broken = true;
    s->readable = s->writable = false;
    s->error = error;
}

bool stream_compact(struct stream *s)
{
    struct block *b = s->in;
    if (!b || b->end < BLOCK_SIZE)
        return true;
    if (b->start == 0)
        return false;
    memmove(b->data, b->data + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
    return true;
}

static bool has_bytes(const struct stream *s)
{
    return s->in && s->in->end > s->in->start;
}

void stream_park(struct stream *s, struct worker *w)
{
    struct block *b = s->in;
    uint32_t n = b ? b->end - b->start : 0;
    if (n == 0 || n > PARKED_MAX || b->cap < BLOCK_SIZE)
        return;
    struct block *small = block_new(w, n);
    if (!small)
        return;
    memcpy(small->data, b->data + b->start, n);
    small->end = n;
    block_put(w, b);
    s->in = small;
}

static bool unpark(struct stream *s, struct worker *w)
{
    struct block *small = s->in;
    if (small->cap == BLOCK_SIZE)
        return true;
    struct block *b = block_get(w);
    if (!b)
        return false;
    b->end = small->end - small->start;
    memcpy(b->data, small->data + small->start, b->end);
    block_put(w, small);
    s->in = b;
    return true;
}

bool stream_fill(struct stream *s, struct worker *w)
{
    if (!s->readable || s->eof || s->broken)
        return has_bytes(s);
    if ((!s->in && !(s->in = block_get(w))) || !unpark(s, w)) {
        break_stream(s, ENOMEM);
        return false;
    }
    struct block *b = s->in;
    size_t room = BLOCK_SIZE - b->end;
    if (room == 0)
        return true;
    ssize_t n;
    do
        n = recv(s->io.fd, b->data + b->end, room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        b->end += (uint32_t)n;
        s->readable = (size_t)n == room || s->hangup;
        return true;
    }
    if (n == 0)
        s->eof = true;
    else if (errno == EAGAIN)
        s->readable = false;
    else
        break_stream(s, errno);
    if (has_bytes(s))
        return true;
    stream_consume(s, w, 0);
    return false;
}

/* One part goes without a message header, which the kernel would have to copy and check: that costs
 * as much as copying 2 KiB. */
static ssize_t send_parts(int fd, struct str a, struct str b)
{
    if (b.n == 0 || a.p + a.n == b.p)
        return send(fd, a.p, a.n + b.n, MSG_NOSIGNAL);
    if (a.n == 0)
        return send(fd, b.p, b.n, MSG_NOSIGNAL);
    struct iovec parts[2] = {{(void *)(uintptr_t)a.p, a.n}, {(void *)(uintptr_t)b.p, b.n}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

size_t stream_send(struct stream *s, struct str a, struct str b)
{
    if (s->broken || !s->writable || a.n + b.n == 0)
        return 0;
    ssize_t n;
    do
        n = send_parts(s->io.fd, a, b);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        s->writable = (size_t)n == a.n + b.n;
        return (size_t)n;
    }
    if (errno == EAGAIN)
        s->writable = false;
    else
        break_stream(s, errno);
    return 0;
}

size_t stream_to_pipe(struct stream *s, int pipe_in, size_t most)
{
    if (!s->readable || s->eof || s->broken)
        return 0;
    ssize_t n;
    do
        n = splice(s->io.fd, NULL, pipe_in, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return (size_t)
            n; /* the pipe may have been the limit: only EAGAIN says that the socket is empty */
    if (n == 0)
        s->eof = true;
    else if (errno == EAGAIN)
        s->readable = false;
    else
        break_stream(s, errno);
    return 0;
}

size_t stream_from_pipe(struct stream *s, int pipe_out, size_t n)
{
    if (s->broken || !s->writable)
        return 0;
    ssize_t sent;
    do
        sent = splice(pipe_out, NULL, s->io.fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        s->writable = (size_t)sent == n;
        return (size_t)sent;
    }
    if (errno == EAGAIN)
        s->writable = false;
    else
        break_stream(s, errno);
    return 0;
}

const char *stream_put_before(struct stream *s, const char *p, size_t n)
{
    struct block *b = s->in;
    if (!b || n > b->start + sizeof b->room)
        return p;
    return memcpy((char *)b + offsetof(struct block, data) + b->start - n, p, n);
}

void stream_consume(struct stream *s, struct worker *w, size_t n)
{
    struct block *b = s->in;
    if (!b)
        return;
    CHECK(n <= b->end - b->start);
    b->start += (uint32_t)n;
    if (b->start < b->end)
        return;
    block_put(w, b);
    s->in = NULL;
}

void stream_close(struct stream *s, struct worker *w)
{
    loop_io_close(w->loop, &s->io);
    if (s->in)
        block_put(w, s->in);
    s->in = NULL;
    s->readable = s->writable = false;
}
