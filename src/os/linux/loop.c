/* The real loop: epoll, edge-triggered, and a timer wheel.
 *
 * The wheel has SLOTS slots of SLOT_NS each; a timer lies in the slot of its time modulo the wheel.
 * When the hand passes a slot, timers that are due fire and the others, whose time lies whole turns
 * ahead, stay. So a timer costs O(1) to set and stop, and one look per turn of the wheel while it
 * waits (Varghese and Lauck 1987, scheme 6). A timer is rounded up to the end of its slot: never
 * early.
 *
 * An event of the batch that epoll_wait returned may belong to an io that an earlier handler of the
 * same batch stopped, and freed. Therefore each io remembers its place in the batch, and stopping
 * it clears that place. */
#include "os/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SLOTS = 4096, BATCH = 256 };
#define SLOT_NS (4 * NS_PER_MS)

struct loop {
    int epoll_fd;
    int wake_fd; /* an eventfd, readable after loop_wake_and_stop */
    bool stopping;
    uint64_t now;
    uint64_t turns;
    uint64_t hand; /* the next slot number (time / SLOT_NS) to be handled */
    uint64_t timers;
    uint64_t next; /* no timer lies in a slot before this one: a lower bound; UINT64_MAX for none */
    struct list wheel[SLOTS];
    struct list tasks;
    int batch_n;
    struct epoll_event batch[BATCH];
};

/* The slot in which a timer for `at` may fire: the first that ends at or after it. */
static uint64_t slot_of(uint64_t at)
{
    return at / SLOT_NS + (at % SLOT_NS != 0);
}

int loop_new(struct loop **out, struct err *e)
{
    struct loop *l = mem_zero(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for an event loop");
    for (size_t i = 0; i < SLOTS; i++)
        list_init(&l->wheel[i]);
    list_init(&l->tasks);
    l->now = clock_now();
    l->hand = slot_of(l->now);
    l->next = UINT64_MAX;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    if (l->wake_fd < 0 || l->epoll_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev)) {
        err_errno(e, "cannot make an event loop");
        loop_free(l);
        return e ? e->code : -(int)ERR_IO;
    }
    *out = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    mem_free(l);
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

uint64_t loop_refresh(struct loop *l)
{
    return l->now = clock_now();
}

uint64_t loop_turns(const struct loop *l)
{
    return l->turns;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_wake_and_stop(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof one);
    (void)n; /* it can only fail when the counter is full, and then it is readable already */
}

/* --- descriptors --- */

void io_init(struct io *io, void (*on_ready)(struct io *, unsigned))
{
    io->on_ready = on_ready;
    io->fd = -1;
    io->event = 0;
}

static int start(struct loop *l, struct io *io, int fd, uint32_t events, struct err *e)
{
    CHECK(io->fd < 0 && io->on_ready);
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
        return err_errno(e, "cannot watch descriptor %d", fd);
    io->fd = fd;
    return 0;
}

int loop_io_start(struct loop *l, struct io *io, int fd, struct err *e)
{
    return start(l, io, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, e);
}

int loop_io_start_shared(struct loop *l, struct io *io, int fd, struct err *e)
{
    return start(l, io, fd, EPOLLIN | EPOLLEXCLUSIVE, e);
}

static void forget_event(struct loop *l, struct io *io)
{
    if (!io->event)
        return;
    l->batch[io->event - 1].data.ptr = NULL;
    io->event = 0;
}

void loop_io_stop(struct loop *l, struct io *io)
{
    if (io->fd < 0)
        return;
    forget_event(l, io);
    int r = epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    CHECK(r == 0);
    io->fd = -1;
}

void loop_io_close(struct loop *l, struct io *io)
{
    if (io->fd < 0)
        return;
    forget_event(l, io);
    close(io->fd); /* epoll(7): with its last descriptor gone, it is watched no more */
    io->fd = -1;
}

static unsigned ready_of(uint32_t events)
{
    unsigned ready = 0;
    if (events & EPOLLIN)
        ready |= IO_READ;
    if (events & EPOLLOUT)
        ready |= IO_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= IO_HANGUP | IO_READ;
    if (events & (EPOLLHUP | EPOLLERR))
        ready |= IO_WRITE;
    return ready;
}

static void handle_batch(struct loop *l)
{
    for (int i = 0; i < l->batch_n; i++) {
        struct io *io = l->batch[i].data.ptr;
        if (io)
            io->event = (uint32_t)i + 1;
        else
            l->stopping = true; /* the wake descriptor has no io */
    }
    for (int i = 0; i < l->batch_n; i++) {
        struct io *io = l->batch[i].data.ptr;
        if (!io)
            continue;
        io->event = 0;
        io->on_ready(io, ready_of(l->batch[i].events));
    }
    l->batch_n = 0;
}

/* --- timers --- */

void timer_init(struct timer *t, void (*on_fire)(struct timer *))
{
    list_init(&t->link);
    t->at = 0;
    t->on_fire = on_fire;
}

void loop_timer_set(struct loop *l, struct timer *t, uint64_t at)
{
    CHECK(t->on_fire);
    if (at == 0)
        at = 1;
    if (t->at)
        list_remove(&t->link);
    else
        l->timers++;
    t->at = at;
    uint64_t slot = slot_of(at);
    if (slot < l->hand)
        slot = l->hand; /* overdue: at the next look */
    list_push_back(&l->wheel[slot % SLOTS], &t->link);
    l->next = MIN(l->next, slot);
}

void loop_timer_stop(struct loop *l, struct timer *t)
{
    if (!t->at)
        return;
    t->at = 0;
    list_remove(&t->link);
    CHECK(l->timers > 0);
    if (--l->timers == 0)
        l->next = UINT64_MAX;
}

static void fire_slot(struct loop *l, struct list *slot)
{
    struct list due = LIST_INIT(due);
    list_for_each_safe (it, slot) {
        struct timer *t = LIST_ENTRY(it, struct timer, link);
        if (t->at <= l->now) {
            list_remove(it);
            list_push_back(&due, it);
        }
    }
    /* A handler may stop or set any other timer, those in `due` included. */
    while (!list_empty(&due)) {
        struct timer *t = LIST_ENTRY(due.next, struct timer, link);
        loop_timer_stop(l, t);
        t->on_fire(t);
    }
}

/* The first slot from the hand on that will fire a timer, looked up when the known bound has
 * passed. */
static uint64_t find_next(const struct loop *l)
{
    uint64_t best = UINT64_MAX;
    for (uint64_t i = l->hand; i < l->hand + SLOTS && i < best; i++) {
        const struct list *slot = &l->wheel[i % SLOTS];
        list_for_each (it, slot) {
            uint64_t at = slot_of(LIST_ENTRY(it, struct timer, link)->at);
            best = MIN(best, MAX(at, i));
        }
    }
    return best;
}

static void handle_timers(struct loop *l)
{
    uint64_t last = l->now / SLOT_NS;
    if (last < l->next)
        return;
    if (last >= l->hand + SLOTS)
        l->hand =
            last - SLOTS + 1; /* slept longer than a turn of the wheel: each slot once is enough */
    while (l->hand <= last)
        fire_slot(l, &l->wheel[l->hand++ % SLOTS]);
    l->next = l->timers ? find_next(l) : UINT64_MAX;
}

/* --- deferred work --- */

void task_init(struct task *t, void (*run)(struct task *))
{
    list_init(&t->link);
    t->run = run;
}

void loop_defer(struct loop *l, struct task *t)
{
    if (list_empty(&t->link))
        list_push_back(&l->tasks, &t->link);
}

void task_cancel(struct task *t)
{
    list_remove(&t->link);
}

static void handle_tasks(struct loop *l)
{
    struct list now = LIST_INIT(now);
    while (!list_empty(&l->tasks)) {
        struct list *first = l->tasks.next;
        list_remove(first);
        list_push_back(&now, first);
    }
    while (!list_empty(&now)) {
        struct task *t = LIST_ENTRY(now.next, struct task, link);
        list_remove(&t->link);
        t->run(t);
    }
}

/* --- turning --- */

static int wait_ms(const struct loop *l)
{
    if (!list_empty(&l->tasks))
        return 0;
    if (l->next == UINT64_MAX)
        return -1;
    uint64_t fires = l->next * SLOT_NS;
    if (fires <= l->now)
        return 0;
    uint64_t ms = (fires - l->now + NS_PER_MS - 1) / NS_PER_MS;
    return ms > 60000 ? 60000 : (int)ms;
}

int loop_run(struct loop *l, struct err *e)
{
    l->stopping = false;
    loop_refresh(l);
    while (!l->stopping) {
        int n = epoll_wait(l->epoll_fd, l->batch, BATCH, wait_ms(l));
        if (n < 0 && errno != EINTR)
            return err_errno(e, "cannot wait for events");
        l->batch_n = n < 0 ? 0 : n;
        l->turns++;
        loop_refresh(l);
        handle_batch(l);
        handle_timers(l);
        handle_tasks(l);
    }
    uint64_t drained;
    ssize_t r = read(l->wake_fd, &drained, sizeof drained);
    (void)r; /* empty unless loop_wake_and_stop was what ended it */
    return 0;
}
