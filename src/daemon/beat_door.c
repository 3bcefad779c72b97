#include "daemon/beat_door.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/access.h"

#define LINE_NS  (10 * NS_PER_S) /* that a connection may be silent */
#define PAUSE_NS (100 * NS_PER_MS)

enum { A_TURN = 64 /* datagrams, connections or lines that one event takes */ };

struct door {
    struct list link;
    struct beat_doors *owner;
    struct io io;
    struct timer pause; /* accepting rests */
    struct task more;   /* datagrams are left over */
    int fd;             /* owned */
    bool datagrams;
};

struct caller {
    struct list link;
    struct beat_doors *owner;
    struct io io;
    struct timer limit;
    struct addr from;
    int fd; /* owned */
    uint32_t n;
    char in[BEAT_LINE_MAX];
};

struct beat_doors {
    struct loop *loop;
    struct beat_door_owner host;
    struct list doors, callers;
    uint32_t n_callers;
    uint64_t second; /* that `lines` counts, in seconds of the loop's clock */
    uint32_t lines;
    struct beat_door_counts counts;
    struct access access;
};

/* ---- lines ---- */

static bool within_rate(struct beat_doors *d)
{
    uint64_t second = loop_now(d->loop) / NS_PER_S;
    if (second != d->second) {
        d->second = second;
        d->lines = 0;
    }
    if (d->lines < BEAT_DOOR_LINES_A_SECOND) {
        d->lines++;
        return true;
    }
    d->counts.dropped++;
    return false;
}

/* NULL: taken. Else what is wrong; *denied: it could be a guess. */
static const char *take_line(struct beat_doors *d, struct str text, bool *denied)
{
    struct beat_line l;
    *denied = false;
    if (!within_rate(d))
        return "too many beats at once, come back later";
    enum beat_result r = beat_read(text, &l);
    if (r != BEAT_LINE_OK) {
        d->counts.malformed++;
        return beat_result_text(r);
    }
    if (d->host.line(d->host.context, &l)) {
        d->counts.taken++;
        return NULL;
    }
    d->counts.denied++;
    *denied = true;
    return "there is no such beat here, or this is not its token";
}

/* ---- datagrams ---- */

static void read_datagrams(struct door *k)
{
    char line[BEAT_LINE_MAX + 1]; /* one more byte tells what is too long */
    bool denied;
    int n = 0;
    for (int i = 0; i < A_TURN; i++) {
        n = net_datagram_receive(k->fd, line, sizeof line, NULL);
        if (n == -EAGAIN)
            return;
        if (n >= 0) /* else an error of an earlier one: the next may be well */
            take_line(k->owner, (struct str){line, (size_t)n}, &denied);
    }
    if (n >= 0)
        loop_defer(k->owner->loop, &k->more);
}

static void on_more(struct task *t)
{
    read_datagrams(CONTAINER_OF(t, struct door, more));
}

static void on_datagrams(struct io *io, unsigned ready)
{
    (void)ready;
    read_datagrams(CONTAINER_OF(io, struct door, io));
}

/* ---- connections ---- */

static void caller_close(struct caller *c)
{
    loop_timer_stop(c->owner->loop, &c->limit);
    loop_io_stop(c->owner->loop, &c->io);
    close(c->fd);
    list_remove(&c->link);
    c->owner->n_callers--;
    mem_free(c);
}

static void on_limit(struct timer *t)
{
    caller_close(CONTAINER_OF(t, struct caller, limit));
}

/* An answer is shorter than any socket's buffer: who does not read it is not waited for. */
static bool answer(struct caller *c, const char *wrong)
{
    struct buf b = {.limit = 256};
    if (wrong)
        buf_printf(&b, "error: %s\n", wrong);
    else
        buf_add_str(&b, STR("ok\n"));
    bool sent = !b.failed && send(c->fd, b.p, b.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.n;
    buf_free(&b);
    return sent && !wrong;
}

static bool serve_line(struct caller *c, struct str line)
{
    struct beat_doors *d = c->owner;
    uint64_t now = loop_now(d->loop);
    bool denied = false;
    if (access_barred(&d->access, &c->from, now)) {
        d->counts.denied++;
        return answer(c, "too many wrong lines from this address, come back later");
    }
    const char *wrong = take_line(d, line, &denied);
    if (denied)
        access_refused(&d->access, &c->from, now);
    return answer(c, wrong);
}

/* Every whole line that has come; at the end of the stream also one without its end. */
static bool serve(struct caller *c, bool ended)
{
    for (;;) {
        const char *end = c->n ? memchr(c->in, '\n', c->n) : NULL;
        uint32_t n = end ? (uint32_t)(end - c->in) + 1 : c->n;
        if (!end && (!ended || n == 0))
            break;
        if (!serve_line(c, (struct str){c->in, n}))
            return false;
        memmove(c->in, c->in + n, c->n - n);
        c->n -= n;
    }
    return c->n < sizeof c->in || answer(c, beat_result_text(BEAT_LINE_LONG));
}

/* Edge-triggered: all that is there is read, and who sends without end is not served without end.
 */
static void on_caller(struct io *io, unsigned ready)
{
    (void)ready;
    struct caller *c = CONTAINER_OF(io, struct caller, io);
    bool open = true;
    for (int i = 0; open; i++) {
        ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n > 0) {
            c->n += (uint32_t)n;
            loop_timer_set(c->owner->loop, &c->limit, loop_now(c->owner->loop) + LINE_NS);
        }
        open = serve(c, n == 0) && n > 0 && i < A_TURN;
    }
    if (!open)
        caller_close(c);
}

static void caller_open(struct beat_doors *d, int fd, const struct addr *from)
{
    struct caller *c = d->n_callers < BEAT_DOOR_CONNECTIONS ? mem_zero(1, sizeof *c) : NULL;
    if (!c) {
        d->counts.dropped++;
        close(fd);
        return;
    }
    c->owner = d;
    c->fd = fd;
    c->from = *from;
    io_init(&c->io, on_caller);
    timer_init(&c->limit, on_limit);
    list_push_back(&d->callers, &c->link);
    d->n_callers++;
    loop_timer_set(d->loop, &c->limit, loop_now(d->loop) + LINE_NS);
    if (loop_io_start(d->loop, &c->io, fd, NULL))
        caller_close(c);
}

/* Level-triggered: what is left over is offered again. */
static void on_callers(struct io *io, unsigned ready)
{
    (void)ready;
    struct door *k = CONTAINER_OF(io, struct door, io);
    for (int i = 0; i < A_TURN; i++) {
        struct addr from = {0};
        int fd = net_accept(k->fd, &from);
        if (fd < 0 && fd != -EAGAIN) { /* out of descriptors: to go on would turn without end */
            loop_io_stop(k->owner->loop, io);
            loop_timer_set(k->owner->loop, &k->pause, loop_now(k->owner->loop) + PAUSE_NS);
        }
        if (fd < 0)
            return;
        caller_open(k->owner, fd, &from);
    }
}

static void on_pause(struct timer *t)
{
    struct door *k = CONTAINER_OF(t, struct door, pause);
    if (loop_io_start_shared(k->owner->loop, &k->io, k->fd, NULL))
        loop_timer_set(k->owner->loop, t, loop_now(k->owner->loop) + PAUSE_NS);
}

/* ---- doors ---- */

static void door_close(struct door *k)
{
    loop_io_stop(k->owner->loop, &k->io);
    loop_timer_stop(k->owner->loop, &k->pause);
    task_cancel(&k->more);
    close(k->fd);
    list_remove(&k->link);
    mem_free(k);
}

int beat_doors_open(struct beat_doors *d, int fd, bool datagrams, struct err *e)
{
    struct door *k = mem_zero(1, sizeof *k);
    if (!k) {
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory to listen for beats");
    }
    *k = (struct door){.owner = d, .fd = fd, .datagrams = datagrams};
    io_init(&k->io, datagrams ? on_datagrams : on_callers);
    timer_init(&k->pause, on_pause);
    task_init(&k->more, on_more);
    list_push_back(&d->doors, &k->link);
    int r = datagrams ? loop_io_start(d->loop, &k->io, fd, e)
                      : loop_io_start_shared(d->loop, &k->io, fd, e);
    if (r)
        door_close(k);
    return r;
}

void beat_doors_close(struct beat_doors *d)
{
    list_for_each_safe (it, &d->doors)
        door_close(LIST_ENTRY(it, struct door, link));
}

int beat_doors_new(struct beat_doors **out, struct loop *l, const struct beat_door_owner *owner,
                   struct err *e)
{
    struct beat_doors *d = mem_zero(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to listen for beats");
    d->loop = l;
    d->host = *owner;
    list_init(&d->doors);
    list_init(&d->callers);
    *out = d;
    return 0;
}

void beat_doors_free(struct beat_doors *d)
{
    if (!d)
        return;
    beat_doors_close(d);
    list_for_each_safe (it, &d->callers)
        caller_close(LIST_ENTRY(it, struct caller, link));
    mem_free(d);
}

struct beat_door_counts beat_doors_counts(const struct beat_doors *d)
{
    return d->counts;
}
