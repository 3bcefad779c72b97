/* The states of a link. link.h tells the whole.
 *
 *     CONNECTING -> PROVING -> GREETING -> UP -> FINISHING
 *
 * Whatever goes wrong is noted (link_fail) where it happens; the link ends when the work in which
 * it happened leaves the stack, in `turn`: so no function has to wonder whether its link is still
 * there, except behind a callback. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/link_inside.h"

enum {
    CHUNK = 16 * 1024,     /* a record of TLS */
    READ_TURN = 256 * 1024 /* bytes before others get their turn */
};
#define FINISH_NS (2 * NS_PER_S)

const char *link_why_name(enum link_why w)
{
    static const char *const names[LINK_WHYS] = {
        "goodbye",   "unreachable", "late",   "plain",  "key",   "flood",
        "malformed", "version",     "silent", "broken", "nomem", "dropped",
    };
    CHECK(w < LINK_WHYS);
    return names[w];
}

void link_fail(struct link *k, enum link_why why, const char *format, ...)
{
    va_list args;
    if (k->failed)
        return;
    k->failed = true;
    k->why = (uint8_t)why;
    va_start(args, format);
    vsnprintf(k->text, sizeof k->text, format, args);
    va_end(args);
}

/* --- its end --- */

/* Keys travel in messages. */
static void forget(struct buf *b)
{
    if (b->cap)
        wipe(b->p, b->cap);
    buf_free(b);
}

static void release(struct link *k)
{
    SSL_free(k->ssl);
    forget(&k->in);
    forget(&k->out);
    wipe(k->secret, sizeof k->secret);
    mem_free(k);
}

static void shut(struct link *k)
{
    k->ended = true;
    loop_io_close(k->loop, &k->io);
    k->fd = -1;
    loop_timer_stop(k->loop, &k->timer);
    task_cancel(&k->task);
}

void link_end(struct link *k)
{
    if (k->ended)
        return;
    if (!k->failed)
        link_tls_close(k);
    shut(k);
    if (!k->busy)
        release(k);
}

/* Does some work of a link, and what follows from it. */
static void turn(struct link *k, void (*work)(struct link *))
{
    CHECK(!k->busy && !k->ended);
    k->busy = true;
    work(k);
    if (k->failed && !k->ended) {
        shut(k);
        k->host->gone(k, (enum link_why)k->why, k->text);
    }
    if (k->ended)
        release(k);
    else
        k->busy = false;
}

static bool is_over(const struct link *k)
{
    return k->failed || k->ended;
}

/* --- sending --- */

static void finish_sending(struct link *k)
{
    if (k->state != LINK_FINISHING || k->drained)
        return;
    k->drained = true;
    link_tls_close(k);
    shutdown(k->fd, SHUT_WR);
}

static void send_out(struct link *k)
{
    while (k->out_at < k->out.n) {
        size_t n = MIN(k->out.n - k->out_at, (size_t)CHUNK);
        size_t put = link_tls_write(k, k->out.p + k->out_at, n);
        if (put == 0)
            return;
        k->out_at += put;
        k->said_at = loop_now(k->loop);
    }
    k->out_at = 0;
    if (k->out.cap > 4 * CHUNK)
        forget(&k->out);
    else
        buf_clear(&k->out);
    finish_sending(k);
}

static int queue(struct link *k, uint16_t kind, uint16_t version, struct str body, struct err *e)
{
    if (k->out_at > k->out.n / 2) {
        buf_drop_front(&k->out, k->out_at);
        k->out_at = 0;
    }
    link_frame_write(&k->out, kind, version, body);
    if (k->out.failed) {
        k->out.failed = false;
        return err_set(e, ERR_NOMEM, "no memory for a message of %zu bytes", body.n);
    }
    return 0;
}

size_t link_queued(const struct link *k)
{
    return k->out.n - k->out_at;
}

int link_send(struct link *k, uint16_t kind, struct str bytes, struct err *e)
{
    CHECK(kind < LINK_KINDS_OWN);
    if (k->state != LINK_UP || is_over(k))
        return err_set(e, ERR_ABSENT, "the link is not up");
    if (bytes.n > LINK_MESSAGE_MAX)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes is longer than %d", bytes.n,
                       LINK_MESSAGE_MAX);
    if (link_queued(k) + LINK_FRAME_HEADER + bytes.n > LINK_QUEUE_MAX)
        return err_set(e, ERR_BUSY, "%zu bytes wait for the node already", link_queued(k));
    int r = queue(k, kind, k->version, bytes, e);
    if (r == 0)
        loop_defer(k->loop, &k->task);
    return r;
}

void link_finish(struct link *k)
{
    if (k->state != LINK_UP || is_over(k))
        return;
    k->state = LINK_FINISHING;
    k->finish_by = loop_now(k->loop) + FINISH_NS;
    loop_timer_set(k->loop, &k->timer, k->finish_by);
    loop_defer(k->loop, &k->task);
}

/* --- receiving --- */

static void take_hello(struct link *k, const struct link_frame *f)
{
    struct greeting ours = {k->tls->low, k->tls->high, STR("")}, theirs;
    if (f->kind != LINK_HELLO || f->version != 0 || !greeting_read(f->body, &theirs)) {
        link_fail(k, LINK_MALFORMED, "it does not begin with a hello");
        return;
    }
    k->version = greeting_agree(&ours, &theirs);
    if (k->version == 0) {
        link_fail(k, LINK_VERSION,
                  "it (" STR_FMT ") speaks versions %u to %u, this node %u to %u: upgrade one",
                  STR_ARG(theirs.program), theirs.low, theirs.high, ours.low, ours.high);
        return;
    }
    k->state = LINK_UP;
    loop_timer_set(k->loop, &k->timer, loop_now(k->loop) + k->tls->ping / 2);
    k->host->up(k);
}

static void take_message(struct link *k, const struct link_frame *f)
{
    if (f->version != k->version)
        link_fail(k, LINK_MALFORMED, "a message of version %u after %u was agreed", f->version,
                  k->version);
    else if (f->kind == LINK_HELLO)
        link_fail(k, LINK_MALFORMED, "a second hello");
    else if (f->kind < LINK_KINDS_OWN && k->state == LINK_UP)
        k->host->message(k, f->kind, f->body);
}

static void take_frames(struct link *k)
{
    size_t at = 0;
    while (!is_over(k)) {
        struct link_frame f;
        size_t max = k->state == LINK_GREETING ? LINK_HELLO_MAX : LINK_MESSAGE_MAX;
        enum link_frame_result r =
            link_frame_read((struct str){k->in.p + at, k->in.n - at}, max, &f);
        if (r == LINK_FRAME_TOO_LONG)
            link_fail(k, LINK_MALFORMED, "a message is longer than %zu bytes", max);
        if (r != LINK_FRAME_WHOLE)
            break;
        at += f.bytes;
        if (k->state == LINK_GREETING)
            take_hello(k, &f);
        else
            take_message(k, &f);
    }
    buf_drop_front(&k->in, at);
    if (k->in.n == 0 && k->in.cap > 4 * CHUNK)
        forget(&k->in);
}

static void read_in(struct link *k)
{
    for (size_t left = READ_TURN; left && !is_over(k);) {
        if (!buf_reserve(&k->in, CHUNK)) {
            link_fail(k, LINK_NOMEM, "no memory for what comes");
            return;
        }
        size_t got = link_tls_read(k, k->in.p + k->in.n, CHUNK);
        if (got == 0)
            return;
        k->in.n += got;
        k->heard_at = loop_now(k->loop);
        left -= MIN(left, got);
        take_frames(k);
    }
    if (!is_over(k))
        loop_defer(k->loop, &k->task);
}

/* --- the way up --- */

static void prove(struct link *k)
{
    struct buf hello = {0};
    if (!link_tls_prove(k))
        return;
    wipe(k->secret, sizeof k->secret);
    k->state = LINK_GREETING;
    struct greeting h = {k->tls->low, k->tls->high, STR("holdfast " HF_VERSION)};
    greeting_write(&hello, &h);
    if (hello.failed || queue(k, LINK_HELLO, 0, buf_str(&hello), NULL))
        link_fail(k, LINK_NOMEM, "no memory for a hello");
    buf_free(&hello);
}

static void advance(struct link *k)
{
    if (k->state == LINK_PROVING)
        prove(k);
    if (k->state < LINK_GREETING || is_over(k))
        return;
    send_out(k);
    if (!is_over(k))
        read_in(k);
}

static void connected(struct link *k)
{
    int error = net_connect_result(k->fd);
    if (error) {
        link_fail(k, LINK_UNREACHABLE, "%s", strerror(error));
        return;
    }
    k->state = LINK_PROVING;
    advance(k);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct link *k = CONTAINER_OF(io, struct link, io);
    if (k->state != LINK_CONNECTING)
        turn(k, advance);
    else if (ready & IO_WRITE)
        turn(k, connected);
}

static void on_task(struct task *t)
{
    turn(CONTAINER_OF(t, struct link, task), advance);
}

/* --- time --- */

static void look_after(struct link *k)
{
    uint64_t now = loop_now(k->loop);
    if (k->state < LINK_UP) {
        link_fail(k, k->state == LINK_CONNECTING ? LINK_UNREACHABLE : LINK_LATE,
                  "no answer within %llu ms", (unsigned long long)(k->tls->handshake / NS_PER_MS));
        return;
    }
    if (k->state == LINK_FINISHING && now >= k->finish_by)
        link_fail(k, LINK_DROPPED, "it was finished");
    else if (now - k->heard_at >= k->tls->silence)
        link_fail(k, LINK_SILENT, "it said nothing for %llu ms",
                  (unsigned long long)((now - k->heard_at) / NS_PER_MS));
    else if (k->state == LINK_UP && now - k->said_at >= k->tls->ping && link_queued(k) == 0 &&
             queue(k, LINK_PING, k->version, STR(""), NULL) == 0)
        send_out(k);
    loop_timer_set(k->loop, &k->timer, now + k->tls->ping / 2);
}

static void on_timer(struct timer *t)
{
    turn(CONTAINER_OF(t, struct link, timer), look_after);
}

/* --- its beginning --- */

/* Takes fd. */
static int begin(struct link **out, struct link *k, int fd, struct err *e)
{
    k->fd = fd;
    io_init(&k->io, on_ready);
    timer_init(&k->timer, on_timer);
    task_init(&k->task, on_task);
    k->heard_at = k->said_at = loop_now(k->loop);
    int r = link_tls_begin(k, e);
    if (r == 0)
        r = loop_io_start(k->loop, &k->io, fd, e);
    if (r) {
        close(fd);
        release(k);
        return r;
    }
    loop_timer_set(k->loop, &k->timer, loop_now(k->loop) + k->tls->handshake);
    *out = k;
    return 0;
}

int link_connect(struct link **out, struct link_tls *t, struct loop *l, const struct addr *at,
                 struct str identity, const uint8_t secret[LINK_SECRET], const struct link_host *h,
                 void *owner, struct err *e)
{
    CHECK(identity.n <= LINK_IDENTITY_MAX);
    int fd = net_connect(at, e);
    if (fd < 0)
        return fd;
    net_set_nodelay(fd);
    struct link *k = mem_zero(1, sizeof *k);
    if (!k) {
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory for a link");
    }
    *k = (struct link){
        .tls = t, .loop = l, .host = h, .owner = owner, .peer = *at, .state = LINK_CONNECTING};
    k->identity_n = identity.n;
    memcpy(k->identity, identity.p, identity.n);
    memcpy(k->secret, secret, LINK_SECRET);
    return begin(out, k, fd, e);
}

int link_accept(struct link **out, struct link_tls *t, struct loop *l, int fd,
                const struct addr *from, const struct link_host *h, void *owner, struct err *e)
{
    struct link *k = mem_zero(1, sizeof *k);
    if (!k) {
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory for a link");
    }
    *k = (struct link){.tls = t,
                       .loop = l,
                       .host = h,
                       .owner = owner,
                       .peer = *from,
                       .state = LINK_PROVING,
                       .accepted = true};
    return begin(out, k, fd, e);
}

/* --- what is known of it --- */

bool link_is_up(const struct link *k)
{
    return k->state == LINK_UP && !is_over(k);
}

bool link_is_proven(const struct link *k)
{
    return k->state >= LINK_GREETING;
}

void *link_owner(const struct link *k)
{
    return k->owner;
}

const struct addr *link_peer(const struct link *k)
{
    return &k->peer;
}

struct str link_identity(const struct link *k)
{
    return (struct str){k->identity, k->identity_n};
}

uint16_t link_version(const struct link *k)
{
    return k->version;
}
