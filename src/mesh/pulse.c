#include "mesh/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mesh/mesh.h"

enum {
    READ_BATCH = 256, /* datagrams read before time has its turn */
    ERRORS_MAX = 32,  /* in one batch: more are not of single datagrams */
};
#define IMPATIENT_NS (100 * NS_PER_MS) /* between looks whether the owner turns again */

struct pulse {
    struct pulse_options o;
    struct contacts *contacts;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;

    /* under the lock */
    struct engine *engine;
    struct leases *leases;
    uint64_t now; /* of what is being done */
    struct strangers strangers;
    struct pulse_counts counts;
    struct pulse_news news[PULSE_NEWS]; /* a ring */
    uint32_t first, n;
    int next_fd;       /* a socket for the thread to take; -1: none */
    uint64_t owner_at; /* when the owner turned last */

    /* the thread's */
    struct loop *loop;
    struct io io, command;
    struct timer due;
    struct task more;
    int command_fd;
    const struct addr *from; /* of the datagram under way */
    uint8_t datagram[2048];

    /* the owner's */
    struct io wake;
    int wake_fd;
};

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* full: it is awake already */
}

static void quiet(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* empty: somebody was faster */
}

/* --- news --- */

static struct pulse_news *news_add(struct pulse *p)
{
    if (p->n == PULSE_NEWS) { /* the latest count: they say how things are */
        p->first = (p->first + 1) % PULSE_NEWS;
        p->n--;
        p->counts.lost_news++;
    }
    if (p->n == 0)
        ring(p->wake_fd);
    return &p->news[(p->first + p->n++) % PULSE_NEWS];
}

static bool news_take(struct pulse *p, struct pulse_news *out)
{
    pthread_mutex_lock(&p->lock);
    bool any = p->n > 0;
    if (any) {
        *out = p->news[p->first];
        p->first = (p->first + 1) % PULSE_NEWS;
        p->n--;
    }
    pthread_mutex_unlock(&p->lock);
    return any;
}

static bool effect_take(struct pulse *p, uint64_t *role, unsigned *effects)
{
    pthread_mutex_lock(&p->lock);
    bool any = leases_effect(p->leases, role, effects);
    pthread_mutex_unlock(&p->lock);
    return any;
}

static void on_wake(struct io *io, unsigned ready)
{
    struct pulse *p = CONTAINER_OF(io, struct pulse, wake);
    struct pulse_news n;
    uint64_t role;
    unsigned effects;
    (void)ready;
    quiet(io->fd);
    while (effect_take(p, &role, &effects))
        p->o.lease(p->o.context, role, effects);
    while (news_take(p, &n))
        p->o.news(p->o.context, &n);
}

/* --- what the engine asks, with the lock --- */

static void host_send(void *context, uint64_t to, const void *datagram, size_t n)
{
    struct pulse *p = context;
    const struct contact *c = contacts_find(p->contacts, to);
    /* What the kernel does not take is lost, as on any network. */
    if (!c || p->io.fd < 0 || net_datagram_send(p->io.fd, datagram, n, &c->addr))
        return;
    p->counts.sent++;
    p->counts.sent_bytes += n;
}

static void host_changed(void *context, const struct member_change *c)
{
    struct pulse_news *n = news_add(context);
    n->kind = NEWS_CHANGE;
    n->change = *c;
}

static void host_incarnation(void *context, uint64_t incarnation)
{
    struct pulse_news *n = news_add(context);
    n->kind = NEWS_INCARNATION;
    n->incarnation = incarnation;
}

static void host_entropy(void *context, void *out, size_t n)
{
    (void)context;
    entropy(out, n);
}

static void complain(struct pulse *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct pulse *p, const char *format, ...)
{
    struct pulse_news *n = news_add(p);
    va_list args;
    n->kind = NEWS_COMPLAINT;
    va_start(args, format);
    vsnprintf(n->text, sizeof n->text, format, args);
    va_end(args);
}

static void host_refused(void *context, enum seal_result why, bool payload)
{
    struct pulse *p = context;
    char from[ADDR_TEXT_MAX];
    if (payload)
        p->counts.refused_payload++;
    else
        p->counts.refused[why]++;
    if (!p->from ||
        !strangers_tell(&p->strangers, p->from, payload ? SEAL_RESULTS : why, loop_now(p->loop)))
        return;
    addr_format(p->from, from);
    p->counts.told++;
    complain(p, "a datagram of %s was refused (%s); more like it are only counted", from,
             payload ? "malformed" : seal_result_name(why));
}

/* --- leases, with the lock --- */

static bool host_lease(void *context, uint64_t from, const void *payload, size_t n)
{
    struct pulse *p = context;
    return leases_receive(p->leases, from, payload, n, p->now);
}

static void lease_send(void *context, uint64_t to, const void *payload, size_t n)
{
    struct pulse *p = context;
    engine_send_lease(p->engine, to, payload, n, p->now);
}

static void lease_effect(void *context)
{
    struct pulse *p = context;
    ring(p->wake_fd);
}

static unsigned long long ms(uint64_t ns)
{
    return ns / NS_PER_MS;
}

static void lease_differs(void *context, uint64_t node, const struct lease_terms *theirs,
                          const struct lease_terms *ours)
{
    struct pulse *p = context;
    const struct contact *c = contacts_find(p->contacts, node);
    struct str name = c ? c->name : STR("?");
    p->counts.other_terms++;
    complain(p,
             "node " STR_FMT " has leases of %llu ms and demotions of %llu ms, this one of %llu ms "
             "and %llu ms: until both have the same configuration neither counts for the other",
             STR_ARG(name), ms(theirs->lease), ms(theirs->demote), ms(ours->lease),
             ms(ours->demote));
}

/* --- the thread --- */

/* Everything that has arrived, up to a bound. True: there may be more. The clock is read after each
 * datagram was: a voter's promise lasts from when it was asked for, at least, however long this
 * process was stopped before it read. */
static bool read_datagrams(struct pulse *p)
{
    struct addr from;
    int errors = 0;
    for (int i = 0; i < READ_BATCH && p->io.fd >= 0; i++) {
        int n = net_datagram_receive(p->io.fd, p->datagram, sizeof p->datagram, &from);
        if (n == -EAGAIN || (n < 0 && ++errors == ERRORS_MAX))
            return false;
        if (n < 0)
            continue; /* an ICMP error of an earlier datagram: silence tells more */
        p->counts.received++;
        p->counts.received_bytes += (uint64_t)n;
        p->from = &from;
        p->now = clock_now();
        engine_receive(p->engine, p->datagram, (size_t)n, p->now);
        p->from = NULL;
    }
    return p->io.fd >= 0;
}

/* Silence is judged only when all that came has been heard. */
static void turn(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    p->now = clock_now(); /* not the loop's: the engine's time must not go back */
    bool more = read_datagrams(p);
    uint64_t now = p->now;
    bool led = now - MIN(p->owner_at, now) < MESH_PATIENCE_NS;
    if (led && engine_deadline(p->engine) <= now)
        engine_tick(p->engine, now);
    if (led && leases_next(p->leases) <= now)
        leases_tick(p->leases, now);
    uint64_t at =
        led ? MIN(engine_deadline(p->engine), leases_next(p->leases)) : now + IMPATIENT_NS;
    pthread_mutex_unlock(&p->lock);
    if (more)
        loop_defer(p->loop, &p->more);
    if (at == UINT64_MAX)
        loop_timer_stop(p->loop, &p->due);
    else
        loop_timer_set(p->loop, &p->due, MAX(at, now + NS_PER_MS));
}

static void on_readable(struct io *io, unsigned ready)
{
    (void)ready;
    turn(CONTAINER_OF(io, struct pulse, io));
}

static void on_more(struct task *t)
{
    turn(CONTAINER_OF(t, struct pulse, more));
}

static void on_due(struct timer *t)
{
    turn(CONTAINER_OF(t, struct pulse, due));
}

/* The supervisor has the socket too, so the loop must be told. With the lock: the owner's calls
 * send through it as well. */
static void drop_socket(struct pulse *p)
{
    int old = p->io.fd;
    loop_io_stop(p->loop, &p->io);
    if (old >= 0)
        close(old);
}

static void take_socket(struct pulse *p)
{
    struct err e = {0};
    pthread_mutex_lock(&p->lock);
    int fd = p->next_fd;
    p->next_fd = -1;
    if (fd >= 0)
        drop_socket(p);
    if (fd >= 0 && loop_io_start(p->loop, &p->io, fd, &e)) {
        close(fd);
        complain(p, "the other nodes cannot be heard: %s", e.text);
    }
    pthread_mutex_unlock(&p->lock);
}

static void on_command(struct io *io, unsigned ready)
{
    struct pulse *p = CONTAINER_OF(io, struct pulse, command);
    (void)ready;
    quiet(io->fd);
    take_socket(p);
    turn(p);
}

static void *run(void *argument)
{
    struct pulse *p = argument;
    struct err e = {0};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL); /* signals are the owner's */
    pthread_setname_np(pthread_self(), "heartbeats");
    enum priority priority = priority_raise();
    pthread_mutex_lock(&p->lock);
    p->counts.priority = priority;
    pthread_mutex_unlock(&p->lock);
    int r = loop_run(p->loop, &e);
    CHECK(r == 0);
    return NULL;
}

/* --- start and end --- */

static int open_parts(struct pulse *p, struct err *e)
{
    struct engine_host host = {
        p, host_send, host_changed, host_incarnation, host_entropy, host_refused, host_lease};
    struct leases_host leases = {p, lease_send, lease_effect, lease_differs};
    uint64_t incarnation;
    entropy(&incarnation, sizeof incarnation);
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0 || p->command_fd < 0)
        return err_errno(e, "cannot make an event descriptor");
    int r = loop_new(&p->loop, e);
    if (r == 0)
        r = loop_io_start(p->loop, &p->command, p->command_fd, e);
    if (r == 0)
        r = loop_io_start(p->o.loop, &p->wake, p->wake_fd, e);
    if (r == 0)
        r = engine_new(&p->engine, &p->o.engine, &host, clock_now(), e);
    if (r == 0)
        r = leases_new(&p->leases, p->o.engine.self.id, &p->o.lease_params, incarnation,
                       p->o.lease_quiet, &leases, clock_now(), e);
    return r;
}

/* Whoever holds it runs as urgently as the thread that waits for it: an owner that other processes
 * keep off its processor must not hold up the heartbeats. */
static void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    int r = pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    CHECK(r == 0);
    pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
}

int pulse_new(struct pulse **out, const struct pulse_options *o, struct contacts *contacts,
              struct err *e)
{
    struct pulse *p = mem_zero(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for the heartbeats");
    p->o = *o;
    p->contacts = contacts;
    p->next_fd = p->wake_fd = p->command_fd = -1;
    p->owner_at = clock_now();
    lock_init(&p->lock);
    p->counts.priority = PRIORITY_ORDINARY;
    io_init(&p->io, on_readable);
    io_init(&p->command, on_command);
    io_init(&p->wake, on_wake);
    timer_init(&p->due, on_due);
    task_init(&p->more, on_more);
    int r = open_parts(p, e);
    if (r == 0) {
        loop_timer_set(p->loop, &p->due, engine_deadline(p->engine));
        errno = pthread_create(&p->thread, NULL, run, p);
        r = errno ? err_errno(e, "cannot start a thread for the heartbeats") : 0;
        p->running = r == 0;
    }
    keyring_wipe(&p->o.engine.keys);
    if (r) {
        pulse_free(p);
        return r;
    }
    *out = p;
    return 0;
}

void pulse_free(struct pulse *p)
{
    if (!p)
        return;
    if (p->running) {
        loop_wake_and_stop(p->loop);
        pthread_join(p->thread, NULL);
    }
    loop_io_stop(p->o.loop, &p->wake);
    if (p->loop) {
        drop_socket(p);
        loop_io_stop(p->loop, &p->command);
        loop_timer_stop(p->loop, &p->due);
        task_cancel(&p->more);
    }
    engine_free(p->engine);
    leases_free(p->leases);
    loop_free(p->loop);
    int fds[] = {p->next_fd, p->wake_fd, p->command_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* --- for the owner --- */

struct engine *pulse_lock(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    return p->engine;
}

void pulse_unlock(struct pulse *p)
{
    pthread_mutex_unlock(&p->lock);
}

struct leases *pulse_leases(struct pulse *p, uint64_t *now)
{
    *now = p->now = clock_now();
    return p->leases;
}

void pulse_stir(struct pulse *p)
{
    ring(p->command_fd);
}

void pulse_socket(struct pulse *p, int fd)
{
    pthread_mutex_lock(&p->lock);
    int unused = p->next_fd;
    p->next_fd = fd;
    pthread_mutex_unlock(&p->lock);
    if (unused >= 0)
        close(unused);
    pulse_stir(p);
}

void pulse_beat(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    p->owner_at = clock_now();
    pthread_mutex_unlock(&p->lock);
}

struct pulse_counts pulse_counts(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    struct pulse_counts c = p->counts;
    pthread_mutex_unlock(&p->lock);
    return c;
}
