#include "recover/agents/redis_sink.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void leave(struct sink_client *c)
{
    if (c->fd >= 0)
        loop_io_close(c->sink->loop, &c->io);
    c->fd = -1;
    wipe(c->in, sizeof c->in); /* AUTH */
}

/* What is not answered: the acknowledgements that a replica sends each second. */
static struct str answer_to(const struct str *words, size_t n)
{
    if (n == 0)
        return STR("");
    if (str_eq_nocase(words[0], STR("PING")))
        return STR("+PONG\r\n");
    if (str_eq_nocase(words[0], STR("REPLCONF")))
        return n > 1 && str_eq_nocase(words[1], STR("ACK")) ? STR("") : STR("+OK\r\n");
    if (str_eq_nocase(words[0], STR("AUTH")))
        return STR("+OK\r\n");
    if (str_eq_nocase(words[0], STR("PSYNC")) && n == 3 && !str_eq(words[1], STR("?")))
        return STR("+CONTINUE\r\n");
    if (str_eq_nocase(words[0], STR("PSYNC")))
        return STR("-NOMASTERLINK there is no primary yet\r\n");
    return STR("-ERR there is no primary here\r\n");
}

/* A few bytes into an empty socket: they fit, or the client is none. */
static bool serve(struct sink_client *c, struct str request)
{
    struct str words[4];
    size_t n = resp_words(request.p, request.n, words, ARRAY_LEN(words));
    struct str a = answer_to(words, n);
    return a.n == 0 || send(c->fd, a.p, a.n, MSG_NOSIGNAL) == (ssize_t)a.n;
}

/* False: it has gone, or is to. */
static bool take(struct sink_client *c, uint32_t more)
{
    uint32_t at = c->n; /* of which the frame has not seen what follows */
    c->n += more;
    while (at < c->n) {
        size_t used = 0;
        int r = resp_frame_command(&c->frame, c->in + at, c->n - at, &used);
        at += (uint32_t)used;
        if (r == RESP_MORE)
            return c->n < sizeof c->in;
        if (r == RESP_BAD || !serve(c, (struct str){c->in, at}))
            return false;
        memmove(c->in, c->in + at, c->n - at);
        c->n -= at;
        at = 0;
    }
    return true;
}

static void on_client(struct io *io, unsigned ready)
{
    struct sink_client *c = CONTAINER_OF(io, struct sink_client, io);
    (void)ready;
    for (;;) {
        ssize_t n = read(c->fd, c->in + c->n, sizeof c->in - c->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || !take(c, (uint32_t)n)) {
            leave(c);
            return;
        }
    }
}

static struct sink_client *place(struct redis_sink *s)
{
    struct sink_client *oldest = &s->clients[0];
    for (size_t i = 0; i < SINK_CLIENTS; i++) {
        struct sink_client *c = &s->clients[i];
        if (c->fd < 0)
            return c;
        if (c->at < oldest->at)
            oldest = c;
    }
    leave(oldest);
    return oldest;
}

static void on_listen(struct io *io, unsigned ready)
{
    struct redis_sink *s = CONTAINER_OF(io, struct redis_sink, io);
    (void)ready;
    for (int fd; (fd = net_accept(s->fd, NULL)) >= 0;) {
        struct sink_client *c = place(s);
        c->frame = (struct resp_frame){0};
        c->n = 0;
        c->at = loop_now(s->loop);
        if (loop_io_start(s->loop, &c->io, fd, NULL))
            close(fd);
        else
            c->fd = fd;
    }
}

int redis_sink_open(struct redis_sink *s, struct loop *l, struct err *e)
{
    struct addr any = {.kind = ADDR_IP4, .ip = {127, 0, 0, 1}};
    *s = (struct redis_sink){.loop = l, .fd = -1};
    io_init(&s->io, on_listen);
    for (size_t i = 0; i < SINK_CLIENTS; i++) {
        s->clients[i].sink = s;
        s->clients[i].fd = -1;
        io_init(&s->clients[i].io, on_client);
    }
    int fd = net_listen(&any, SINK_CLIENTS, e);
    if (fd < 0)
        return fd;
    int r = net_local_addr(fd, &any) ? loop_io_start(l, &s->io, fd, e)
                                     : err_set(e, ERR_IO, "a socket has no address");
    if (r) {
        close(fd);
        return r;
    }
    s->fd = fd;
    s->port = any.port;
    return 0;
}

void redis_sink_close(struct redis_sink *s)
{
    if (s->fd < 0)
        return;
    for (size_t i = 0; i < SINK_CLIENTS; i++)
        leave(&s->clients[i]);
    loop_io_close(s->loop, &s->io);
    s->fd = -1;
}
