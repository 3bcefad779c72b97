/* relay: bytes both ways without a look, for TCP services and connections that switched protocols.
 *
 * Each way has one block: what was read and not yet taken by the other side. A side that ends (FIN)
 * has its end passed on when its last byte has been, and the other way goes on: a half-closed
 * connection is a connection. A side that breaks ends both.
 *
 * A way whose reads fill a block several times in a row carries bulk: it is given a pipe, and from
 * then on the kernel moves its pages (splice) instead of copying them to us and back. A worker
 * keeps a few empty pipes; none to be had means to go on copying. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"

enum {
    FULL_READS = 4,
    PIPES_WIDE = 16, /* of a worker; with more pipes than these the others are of the usual width */
    PIPE_WIDE = 1024 * 1024,
    PIPE_USUAL = 256 * 1024,
    PIPE_LEAST = 64 * 1024
};

static bool has_pipe(const struct way *way)
{
    return way->pipe[1] > 0;
}

/* A pipe that is full in the middle of a packet splits it, and each split costs one more packet on
 * the way out: a wide pipe is seldom full. All pipes of a user share one limit; near it they are
 * narrower, and beyond it the kernel grants two pages, which are worse than copying. */
static bool open_pipe(int ends[2], int widest)
{
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
        return false;
    for (int bytes = widest; bytes >= PIPE_LEAST; bytes /= 2)
        if (fcntl(ends[1], F_SETPIPE_SZ, bytes) >= 0)
            return true;
    close(ends[0]);
    close(ends[1]);
    return false;
}

static void take_pipe(struct way *way, struct worker *w)
{
    way->full = 0; /* asks again after as many full reads */
    if (w->pressure.n_pipes >= MAX(2, w->max_clients / 10))
        return;
    if (w->n_pipes) {
        w->n_pipes--;
        way->pipe[0] = w->pipes[w->n_pipes][0];
        way->pipe[1] = w->pipes[w->n_pipes][1];
    } else if (!open_pipe(way->pipe, w->pressure.n_pipes < PIPES_WIDE ? PIPE_WIDE : PIPE_USUAL)) {
        way->pipe[0] = way->pipe[1] = 0;
        return;
    }
    w->pressure.n_pipes++;
}

static void give_pipe_back(struct way *way, struct worker *w)
{
    if (!has_pipe(way))
        return;
    w->pressure.n_pipes--;
    if (way->held == 0 && w->n_pipes < PIPES_KEPT) {
        w->pipes[w->n_pipes][0] = way->pipe[0];
        w->pipes[w->n_pipes][1] = way->pipe[1];
        w->n_pipes++;
    } else { /* bytes of this connection must not reach the next */
        close(way->pipe[0]);
        close(way->pipe[1]);
    }
    *way = (struct way){0};
}

void relay_end(struct exchange *x)
{
    give_pipe_back(&x->in, x->client->worker);
    give_pipe_back(&x->out, x->client->worker);
}

/* One step through the block. Returns the bytes moved; 0: nothing can be done now. */
static size_t step_copy(struct stream *from, struct stream *to, struct way *way, struct worker *w)
{
    if (!stream_bytes(from).n && !stream_fill(from, w))
        return 0;
    struct str bytes = stream_bytes(from);
    size_t n = stream_send(to, (struct str){0}, bytes);
    way->full = bytes.n == BLOCK_SIZE ? (uint8_t)MIN(way->full + 1, FULL_READS) : 0;
    stream_consume(from, w, n);
    if (way->full >= FULL_READS && !stream_bytes(from).n)
        take_pipe(way, w);
    return n;
}

static size_t step_splice(struct stream *from, struct stream *to, struct way *way)
{
    if (way->held == 0)
        way->held = (uint32_t)stream_to_pipe(from, way->pipe[1], PIPE_WIDE);
    size_t n = way->held ? stream_from_pipe(to, way->pipe[0], way->held) : 0;
    way->held -= (uint32_t)n;
    return n;
}

/* Bytes to move, or perhaps some to read. Most events concern one way only: the other costs no more
 * than this. */
static bool stirs(const struct stream *from, const struct way *way)
{
    return from->readable || from->in || way->held;
}

/* Moves what can be moved from one side to the other; adds the bytes to *moved. True: there is more
 * to do, but others wait too. */
static bool pass(struct stream *from, struct stream *to, struct way *way, struct worker *w,
                 uint64_t *moved)
{
    if (!stirs(from, way) && !from->eof)
        return false;
    size_t n = 1;
    for (int i = 0; i < READ_BATCH && n && stirs(from, way) && to->writable && !to->broken; i++) {
        n = has_pipe(way) ? step_splice(from, to, way) : step_copy(from, to, way, w);
        *moved += n;
    }
    bool empty = !stream_bytes(from).n && way->held == 0;
    if (from->eof && empty && !to->fin_sent) {
        to->fin_sent = true;
        shutdown(to->io.fd,
                 SHUT_WR); /* fails only when the side is gone, which its next event tells */
    }
    return n > 0 && stirs(from, way) && to->writable && !to->broken && !from->eof;
}

void relay_begin(struct exchange *x)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    cell_add(&x->service->row->tunnels, 1);
    c->keep = false;
    c->state = CLIENT_TUNNEL;
    x->active_at = loop_now(w->loop);
    client_deadline(c, x->service->conf->timeouts.tunnel);
}

/* An instance that takes connections and breaks them without a word is not well: being reached is
 * no answer yet. Its first byte, or an orderly end, is one; what it took to be reached is its
 * latency. */
static void judge(struct exchange *x, bool ended)
{
    bool answered = x->bytes_out > 0 || (ended && !x->up->s.broken);
    if (!x->relay || x->judged || !(answered || x->up->s.broken))
        return;
    x->judged = true;
    if (answered)
        target_ok(x->target, (x->reached_at - x->attempt_at) / NS_PER_US);
    else if (!stream_short(&x->up->s))
        target_signal(x->target, SIGNAL_REQ_RESET, 0);
}

void relay_run(struct exchange *x)
{
    struct client *c = x->client;
    struct stream *client = &c->s, *instance = &x->up->s;
    uint64_t in = 0, out = 0;
    bool more = pass(client, instance, &x->in, c->worker, &in);
    if (client_flush(c))
        more = pass(instance, client, &x->out, c->worker, &out) || more;
    x->body_bytes += in;
    x->bytes_out += out;
    if (in + out)
        x->active_at = loop_now(c->worker->loop);
    bool ended = client->fin_sent && instance->fin_sent;
    judge(x, ended);
    if (client->broken || instance->broken) {
        net_set_reset_on_close(client->io.fd); /* as the one side ended, so does the other */
        client_close(c);
    } else if (ended) {
        client_close(c);
    } else if (more) {
        loop_defer(c->worker->loop, &c->resume);
    }
}
