#include "daemon/prober.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "detect/probe.h"

enum { REQUEST_MAX = 8192 };

#define STARVED_NS (NS_PER_S / 2) /* until the next try when we lack something */

#define LATE_NS (NS_PER_S / 2) /* a time-out noticed this late is our own lateness */

enum entry_state {
    ENTRY_WAITING,    /* the timer says when to check */
    ENTRY_QUEUED,     /* due, but enough are in flight */
    ENTRY_CONNECTING, /* in flight: the timer is the time-out */
    ENTRY_TALKING,    /* in flight: connected */
};

struct entry {
    struct prober *prober;
    uint32_t slot;
    uint8_t state; /* enum entry_state */
    bool steady;   /* it has been checked: later checks have their own phase */
    struct addr addr;
    struct view_check check; /* its strings lie in `strings` */
    char *strings;           /* owned */
    struct list queue;       /* in prober.queue */
    struct timer timer;
    struct io io;
    int fd;           /* owned; -1 when not in flight */
    uint64_t started; /* of the latest check */
    struct buf out;   /* the request */
    size_t sent;
    struct probe *probe; /* owned; in flight only, as it holds a head */
};

struct prober {
    struct loop *loop;
    struct prober_owner owner;
    struct entry **entries; /* by slot; owned */
    uint32_t slots, most, in_flight;
    struct list queue; /* entries that are due */
    struct task pump;
    struct prng prng;
    bool starved; /* said once, until a check can be made again */
};

/* ---- the time of the next check ---- */

static uint64_t delay_of(struct entry *en)
{
    const struct prober_owner *o = &en->prober->owner;
    return MAX(o->delay(o->context, en->slot), NS_PER_MS);
}

/* The second check comes at a random point of the interval, the others within a twentieth of it. */
static void plan(struct entry *en)
{
    struct prober *p = en->prober;
    uint64_t delay = delay_of(en);
    uint64_t spread = en->steady ? delay / 20 : delay;
    en->steady = true;
    en->state = ENTRY_WAITING;
    uint64_t at = en->started + delay - prng_below(&p->prng, spread + 1);
    loop_timer_set(p->loop, &en->timer, MAX(at, loop_now(p->loop) + NS_PER_MS));
}

void prober_hurry(struct prober *p, uint32_t slot)
{
    struct entry *en = slot < p->slots ? p->entries[slot] : NULL;
    if (!en || en->state != ENTRY_WAITING)
        return;
    uint64_t due = MAX(en->started + delay_of(en), loop_now(p->loop) + NS_PER_MS);
    if (due < en->timer.at)
        loop_timer_set(p->loop, &en->timer, due);
}

/* ---- one check ---- */

static void leave_flight(struct entry *en)
{
    struct prober *p = en->prober;
    loop_timer_stop(p->loop, &en->timer);
    loop_io_stop(p->loop, &en->io);
    if (en->fd >= 0) {
        close(en->fd);
        p->in_flight--;
        loop_defer(p->loop, &p->pump);
    }
    en->fd = -1;
    mem_free(en->probe);
    en->probe = NULL;
}

static void finish(struct entry *en, enum signal_kind kind, uint32_t detail)
{
    struct prober *p = en->prober;
    uint64_t now = loop_refresh(p->loop);
    leave_flight(en);
    p->starved = false;
    struct signal s = {
        .at = now, .slot = en->slot, .count = 1, .kind = (uint16_t)kind, .detail = detail};
    if (kind == SIGNAL_CHECK_OK)
        s.detail = (uint32_t)MIN((now - en->started) / NS_PER_US, (uint64_t)UINT32_MAX);
    /* Planned after it is judged: the delay depends on it. */
    p->owner.on_signal(p->owner.context, &s);
    plan(en);
}

/* What we lack is nobody's failure. */
static void starve(struct entry *en, int error)
{
    struct prober *p = en->prober;
    leave_flight(en);
    en->state = ENTRY_WAITING;
    loop_timer_set(p->loop, &en->timer,
                   loop_now(p->loop) + STARVED_NS + prng_below(&p->prng, STARVED_NS));
    if (p->starved)
        return;
    p->starved = true;
    char why[128];
    snprintf(why, sizeof why, "no check could be made: %s", strerror(error));
    p->owner.on_starved(p->owner.context, why);
}

static bool our_own_lack(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
           error == EADDRNOTAVAIL || error == ENOSPC;
}

/* A failed connect, or a connection that broke. */
static enum signal_kind signal_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EACCES:
    case EPERM: return SIGNAL_CHECK_REFUSED;
    case ETIMEDOUT:
    case EAGAIN: return SIGNAL_CHECK_TIMEOUT; /* a Unix listener whose queue is full */
    default: return SIGNAL_CHECK_RESET;
    }
}

static void broke(struct entry *en, int error)
{
    if (our_own_lack(error))
        starve(en, error);
    else
        finish(en, signal_of(error), 0);
}

/* ---- what is said: an HTTP check ---- */

/* 0, or why not. */
static int talk_begin(struct entry *en)
{
    const struct view_check *c = &en->check;
    char host[ADDR_TEXT_MAX] = "localhost", request[REQUEST_MAX];
    if (c->kind != CHECK_HTTP)
        return 0;
    if (en->addr.kind != ADDR_UNIX)
        addr_format(&en->addr, host);
    size_t n = probe_request(c->path, c->host.n ? c->host : str_of(host), request, sizeof request);
    if (!en->probe)
        en->probe = mem_alloc(sizeof *en->probe);
    buf_clear(&en->out);
    if (!en->probe || !buf_add(&en->out, request, n))
        return ENOMEM;
    return n && probe_init(en->probe, c->status_min, c->status_max, c->body) ? 0 : EINVAL;
}

/* True when the answer is decided. An end before any answer is a cut, not a wrong answer. */
static bool talk(struct entry *en, const char *p, size_t n, enum signal_kind *kind,
                 uint32_t *detail)
{
    int r = n ? probe_feed(en->probe, p, n) : probe_end(en->probe);
    if (r == PROBE_MORE)
        return false;
    *detail = en->probe->status;
    if (r == PROBE_OK)
        *kind = SIGNAL_CHECK_OK;
    else
        *kind = n == 0 && en->probe->status == 0 ? SIGNAL_CHECK_RESET : SIGNAL_CHECK_BAD;
    return true;
}

/* True: more is to be written when the socket takes it, or all was. */
static bool write_request(struct entry *en)
{
    while (en->sent < en->out.n) {
        ssize_t n =
            send(en->fd, en->out.p + en->sent, en->out.n - en->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
            en->sent += (size_t)n;
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR) {
            broke(en, errno);
            return false;
        }
    }
    return true;
}

static void read_answer(struct entry *en)
{
    char bytes[16 * 1024];
    for (;;) {
        ssize_t n = recv(en->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            broke(en, errno);
            return;
        }
        enum signal_kind kind = SIGNAL_CHECK_OK;
        uint32_t detail = 0;
        if (talk(en, bytes, (size_t)n, &kind, &detail)) {
            finish(en, kind, detail);
            return;
        }
    }
}

static void connected(struct entry *en)
{
    int error = net_connect_result(en->fd);
    if (error) {
        broke(en, error);
        return;
    }
    if (en->check.kind == CHECK_TCP) {
        net_set_reset_on_close(en->fd); /* said nothing: nothing is lost, and no port waits */
        finish(en, SIGNAL_CHECK_OK, 0);
        return;
    }
    net_set_nodelay(en->fd);
    en->state = ENTRY_TALKING;
    if (write_request(en))
        read_answer(en);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct entry *en = CONTAINER_OF(io, struct entry, io);
    if (en->state == ENTRY_CONNECTING) {
        if (ready & (IO_WRITE | IO_HANGUP))
            connected(en);
        return;
    }
    if (en->sent == en->out.n || write_request(en))
        read_answer(en);
}

static void start(struct entry *en)
{
    struct prober *p = en->prober;
    struct err e = {0};
    en->started = loop_now(p->loop);
    en->sent = 0;
    int lack = talk_begin(en);
    if (lack) {
        starve(en, lack);
        return;
    }
    errno = 0;
    int fd = net_connect(&en->addr, &e);
    if (fd < 0) {
        broke(en, errno);
        return;
    }
    en->fd = fd;
    p->in_flight++;
    en->state = ENTRY_CONNECTING;
    loop_timer_set(p->loop, &en->timer, en->started + MAX(en->check.timeout, NS_PER_MS));
    if (loop_io_start(p->loop, &en->io, fd, &e))
        starve(en, ENOMEM);
}

/* ---- whose turn it is ---- */

static void enqueue(struct entry *en)
{
    en->state = ENTRY_QUEUED;
    loop_timer_stop(en->prober->loop, &en->timer);
    list_push_back(&en->prober->queue, &en->queue);
    loop_defer(en->prober->loop, &en->prober->pump);
}

static void on_timer(struct timer *t)
{
    struct entry *en = CONTAINER_OF(t, struct entry, timer);
    uint64_t due = en->started + en->check.timeout;
    if (en->state != ENTRY_WAITING && loop_now(en->prober->loop) < due + LATE_NS) {
        finish(en, SIGNAL_CHECK_TIMEOUT, 0);
        return;
    }
    /* Due; or we are so late ourselves (stopped, suspended) that the answer may lie unread. */
    leave_flight(en);
    enqueue(en);
}

static void on_pump(struct task *t)
{
    struct prober *p = CONTAINER_OF(t, struct prober, pump);
    while (p->in_flight < p->most && !list_empty(&p->queue)) {
        struct entry *en = LIST_ENTRY(p->queue.next, struct entry, queue);
        list_remove(&en->queue);
        start(en);
    }
}

/* ---- what is checked ---- */

static bool same_check(const struct view_check *a, const struct view_check *b)
{
    return a->kind == b->kind && str_eq(a->path, b->path) && str_eq(a->host, b->host) &&
           str_eq(a->body, b->body) && a->status_min == b->status_min &&
           a->status_max == b->status_max && a->timeout == b->timeout;
}

static struct str keep(char **at, struct str s)
{
    struct str kept = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static bool copy_check(struct entry *en, const struct addr *addr, const struct view_check *c)
{
    char *strings = mem_alloc(c->path.n + c->host.n + c->body.n + 1);
    if (!strings)
        return false;
    mem_free(en->strings);
    en->strings = strings;
    en->addr = *addr;
    en->check = *c;
    char *at = strings;
    en->check.path = keep(&at, c->path);
    en->check.host = keep(&at, c->host);
    en->check.body = keep(&at, c->body);
    return true;
}

static void entry_free(struct entry *en)
{
    leave_flight(en);
    list_remove(&en->queue);
    buf_free(&en->out);
    mem_free(en->strings);
    mem_free(en);
}

static struct entry *entry_new(struct prober *p, uint32_t slot)
{
    struct entry *en = mem_zero(1, sizeof *en);
    if (!en)
        return NULL;
    en->prober = p;
    en->slot = slot;
    en->fd = -1;
    list_init(&en->queue);
    io_init(&en->io, on_ready);
    timer_init(&en->timer, on_timer);
    p->entries[slot] = en;
    return en;
}

void prober_remove(struct prober *p, uint32_t slot)
{
    if (slot >= p->slots || !p->entries[slot])
        return;
    entry_free(p->entries[slot]);
    p->entries[slot] = NULL;
}

void prober_set(struct prober *p, uint32_t slot, const struct addr *addr,
                const struct view_check *check)
{
    struct entry *en = slot < p->slots ? p->entries[slot] : NULL;
    if (check->kind == CHECK_NONE) {
        prober_remove(p, slot);
        return;
    }
    if (en && addr_eq(&en->addr, addr) && same_check(&en->check, check)) {
        prober_hurry(p, slot); /* the interval may have changed */
        return;
    }
    bool fresh = !en || !addr_eq(&en->addr, addr);
    CHECK(slot < p->slots);
    if (!en)
        en = entry_new(p, slot);
    if (!en || !copy_check(en, addr, check)) {
        p->owner.on_starved(p->owner.context, "no memory for a check");
        if (en && !en->strings)
            prober_remove(p, slot);
        return;
    }
    leave_flight(en);
    list_remove(&en->queue);
    if (fresh)
        en->steady = false;
    enqueue(en);
}

int prober_new(struct prober **out, struct loop *l, uint32_t slots, uint32_t most,
               const struct prober_owner *owner, struct err *e)
{
    struct prober *p = mem_zero(1, sizeof *p);
    struct entry **entries = mem_zero(MAX(slots, 1u), sizeof(struct entry *));
    if (!p || !entries) {
        mem_free(p);
        mem_free(entries);
        return err_set(e, ERR_NOMEM, "no memory for active checks");
    }
    *p = (struct prober){
        .loop = l, .owner = *owner, .entries = entries, .slots = slots, .most = MAX(most, 1u)};
    list_init(&p->queue);
    task_init(&p->pump, on_pump);
    uint64_t seed;
    entropy(&seed, sizeof seed);
    prng_seed(&p->prng, seed);
    *out = p;
    return 0;
}

void prober_free(struct prober *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->slots; i++)
        prober_remove(p, i);
    task_cancel(&p->pump);
    mem_free(p->entries);
    mem_free(p);
}
