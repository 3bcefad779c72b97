/* worker: one thread of the data plane.
 *
 * It shares little with the others on the data path (common.h): loop, connections, pools and judges
 * are its own. The main thread reaches it through an inbox (a view, "drain", "stop") under a lock,
 * and an eventfd. Listening sockets are shared; the kernel wakes one thread per connection.
 *
 * If memory is out while it takes a view (adopt.c), it keeps its old one and tries again at its
 * next tick. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proxy/internal.h"

/* --- blocks, dates, graves --- */

static void count_bytes(struct worker *w, const struct block *b, bool more)
{
    uint64_t n = sizeof *b + b->cap;
    cell_add(&w->row->buffers, more ? n : 0 - n);
}

struct block *block_new(struct worker *w, uint32_t cap)
{
    struct block *b = mem_alloc(sizeof *b + cap);
    if (!b)
        return NULL;
    *b = (struct block){.cap = cap};
    count_bytes(w, b, true);
    return b;
}

struct block *block_get(struct worker *w)
{
    struct block *b = w->free_blocks;
    if (!b)
        return block_new(w, BLOCK_SIZE);
    w->free_blocks = b->next;
    w->n_free_blocks--;
    b->next = NULL;
    b->start = b->end = 0;
    return b;
}

void block_put(struct worker *w, struct block *b)
{
    if (b->cap < BLOCK_SIZE || w->n_free_blocks + 1 > BLOCKS_KEPT) {
        count_bytes(w, b, false);
        mem_free(b);
        return;
    }
    b->next = w->free_blocks;
    w->free_blocks = b;
    w->n_free_blocks++;
}

struct str worker_date(struct worker *w)
{
    uint64_t second = loop_now(w->loop) / NS_PER_S;
    if (second != w->date_second) {
        time_t wall = (time_t)(clock_wall() / NS_PER_S);
        struct tm utc;
        if (!gmtime_r(&wall, &utc))
            return (struct str){"", 0};
        strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        w->date_second = second;
    }
    return str_of(w->date);
}

void worker_bury(struct worker *w, enum grave kind, struct list *link)
{
    list_push_back(&w->graves[kind], link);
    loop_defer(w->loop, &w->bury);
}

static void on_bury(struct task *task)
{
    static void (*const end[GRAVES])(struct worker *,
                                     struct list *) = {[GRAVE_CLIENT] = client_end,
                                                       [GRAVE_EXCHANGE] = exchange_end,
                                                       [GRAVE_UPSTREAM] = upstream_end,
                                                       [GRAVE_MIRROR] = mirror_end,
                                                       [GRAVE_PASSAGE] = passage_end};
    struct worker *w = CONTAINER_OF(task, struct worker, bury);
    for (int kind = 0; kind < GRAVES; kind++)
        while (!list_empty(&w->graves[kind])) {
            struct list *link = w->graves[kind].next;
            list_remove(link);
            end[kind](w, link);
        }
}

/* --- listeners --- */

void worker_on_acceptable(struct io *io, unsigned ready)
{
    if (ready & (IO_READ | IO_HANGUP))
        client_accept(CONTAINER_OF(io, struct listener, io));
}

int listener_start(struct worker *w, struct listener *l, struct err *e)
{
    if (l->udp)
        return udp_listener_read(l->udp, e);
    return l->io.fd >= 0 ? 0 : loop_io_start_shared(w->loop, &l->io, l->fd, e);
}

bool listener_may_start(const struct worker *w, const struct listener *l)
{
    return !w->held && !w->draining && (l->udp || !w->accept_paused);
}

void worker_listen_again(struct worker *w)
{
    if (!w->accept_paused || w->held || w->draining ||
        (w->n_clients >= w->max_clients && !pressure_has_room(w)))
        return;
    w->accept_paused = false;
    list_for_each (it, &w->listeners) {
        struct listener *l = LIST_ENTRY(it, struct listener, link);
        if (listener_start(w, l, NULL))
            w->accept_paused = true; /* the next tick tries again */
    }
}

static void stop_listening(struct worker *w)
{
    list_for_each (it, &w->listeners)
        loop_io_stop(w->loop, &LIST_ENTRY(it, struct listener, link)->io);
}

void worker_pause_accept(struct worker *w)
{
    w->accept_paused = true;
    stop_listening(w);
}

/* The last connection has ended, and the last question was answered. */
static void check_drained(struct worker *w)
{
    uint32_t flows = 0;
    if (!w->draining || w->told_drained || w->n_clients)
        return;
    list_for_each (it, &w->listeners) {
        const struct udp_listener *u = LIST_ENTRY(it, struct listener, link)->udp;
        flows += u ? udp_listener_flows(u) : 0;
    }
    if (flows)
        return;
    w->told_drained = true;
    proxy_worker_drained(w->proxy);
}

void worker_client_gone(struct worker *w)
{
    CHECK(w->n_clients > 0);
    cell_set(&w->row->connections, --w->n_clients);
    if (w->accept_paused && w->n_clients < w->max_clients - w->max_clients / 16)
        worker_listen_again(w); /* not for each one that goes: there may be many listeners */
    check_drained(w);
}

void listener_unref(struct listener *l)
{
    CHECK(l->refs > 0);
    if (--l->refs)
        return;
    CHECK(l->io.fd < 0);
    if (l->udp)
        udp_listener_free(l->udp);
    list_remove(&l->link);
    service_unref(l->service);
    mem_free(l);
}

/* --- commands and housekeeping --- */

/* Out of the queue first, then what still lies in it: the kernel may have woken us alone for it. */
static void leave_queue(struct worker *w, struct listener *l)
{
    if (l->io.fd < 0)
        return;
    loop_io_stop(w->loop, &l->io);
    uint64_t before;
    do {
        before = cell_get(&w->row->accepted);
        client_accept(l);
    } while (cell_get(&w->row->accepted) - before >= ACCEPT_BATCH);
}

static void drain_listener(struct worker *w, struct listener *l, bool hand_over)
{
    if (!l->udp)
        leave_queue(w, l);
    else if (hand_over)
        udp_listener_hand_over(l->udp);
    else
        udp_listener_drain(l->udp);
}

/* A hand-over may be followed by a drain: what was left time is hurried then. */
static void start_drain(struct worker *w, bool hand_over)
{
    if (w->draining && (hand_over || !w->handed_over))
        return;
    list_for_each (it, &w->listeners)
        drain_listener(w, LIST_ENTRY(it, struct listener, link), hand_over);
    if (!w->draining) {
        uint64_t longest = 0;
        for (uint32_t i = 0; w->view && i < w->view->view->n_services; i++)
            longest = MAX(longest, w->view->view->services[i].timeouts.drain);
        w->drain_began = loop_now(w->loop);
        w->drain_deadline = w->drain_began + longest;
    }
    w->draining = true;
    w->handed_over = hand_over;
    list_for_each_safe (it, &w->clients)
        client_drain(LIST_ENTRY(it, struct client, link));
    check_drained(w);
}

static void start_accepting(struct worker *w)
{
    if (!w->held)
        return;
    w->held = false;
    w->accept_paused = true;
    worker_listen_again(w);
}

static void handle_commands(struct worker *w)
{
    pthread_mutex_lock(&w->command_lock);
    struct shared_view *sv = w->inbox;
    w->inbox = NULL;
    unsigned orders = w->orders;
    pthread_mutex_unlock(&w->command_lock);
    struct err e = {0};
    if (sv && worker_take_view(w, sv, &e)) {
        proxy_complain(w->proxy, "worker %u keeps its old view: %s", w->index, e.text);
        worker_command(w, sv, 0); /* the tick tries again */
    }
    if (orders & ORDER_ACCEPT)
        start_accepting(w);
    if (orders & ORDER_HAND_OVER)
        start_drain(w, true);
    if (orders & ORDER_DRAIN)
        start_drain(w, false);
    if (orders & ORDER_STOP)
        loop_stop(w->loop);
}

static void on_admit(struct task *task)
{
    admission_serve(CONTAINER_OF(task, struct worker, admit));
}

static void on_command(struct io *io, unsigned ready)
{
    uint64_t count;
    ssize_t n = read(io->fd, &count, sizeof count);
    (void)n; /* empty: somebody was faster */
    handle_commands(CONTAINER_OF(io, struct worker, command_io));
    doors_look(CONTAINER_OF(io, struct worker, command_io));
    admission_serve(CONTAINER_OF(io, struct worker, command_io));
}

void worker_wake(struct worker *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->command_fd, &one, sizeof one);
    (void)n; /* full: it will wake in any case */
}

void worker_command(struct worker *w, struct shared_view *sv, unsigned orders)
{
    pthread_mutex_lock(&w->command_lock);
    struct shared_view *old = NULL;
    if (sv && w->inbox)
        old = w->inbox; /* never seen: the newer one is enough */
    if (sv)
        w->inbox = sv;
    w->orders |= orders;
    pthread_mutex_unlock(&w->command_lock);
    if (old)
        shared_view_unref(old);
    worker_wake(w);
}

static void close_clients(struct worker *w)
{
    list_for_each_safe (it, &w->clients)
        client_close(LIST_ENTRY(it, struct client, link));
}

static bool is_late(const struct worker *w, const struct service *s, uint64_t now)
{
    return now >= w->drain_deadline || now - w->drain_began >= s->conf->timeouts.drain;
}

/* What is left of a service whose time to drain is over ends. */
static void cut_late(struct worker *w, uint64_t now)
{
    uint32_t cut = 0;
    list_for_each (it, &w->listeners) {
        struct udp_listener *u = LIST_ENTRY(it, struct listener, link)->udp;
        if (u && is_late(w, udp_listener_service(u), now))
            udp_listener_end_flows(u);
    }
    list_for_each_safe (it, &w->clients) {
        struct client *c = LIST_ENTRY(it, struct client, link);
        if (!is_late(w, c->listener->service, now))
            continue;
        client_close(c);
        cut++;
    }
    if (cut) {
        cell_add(&w->row->drain_cut, cut);
        proxy_complain(w->proxy, "worker %u: %u connection%s cut: the time to drain is over",
                       w->index, cut, cut == 1 ? " was" : "s were");
    }
    check_drained(w);
}

static void on_tick(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, tick);
    uint64_t now = loop_now(w->loop);
    cell_set(&w->row->beat, loop_turns(w->loop));
    loop_timer_set(w->loop, t, now + TICK_NS);
    list_for_each (it, &w->services)
        service_tick(LIST_ENTRY(it, struct service, link));
    admission_serve(w);
    doors_look(w);
    list_for_each (it, &w->listeners)
        if (LIST_ENTRY(it, struct listener, link)->udp)
            udp_listener_tick(LIST_ENTRY(it, struct listener, link)->udp);
    pressure_tick(w);
    check_drained(w);
    worker_listen_again(w);
    if (w->draining)
        cut_late(w, now);
    pthread_mutex_lock(&w->command_lock);
    bool waiting = w->inbox != NULL;
    pthread_mutex_unlock(&w->command_lock);
    if (waiting)
        handle_commands(w);
}

/* --- the thread --- */

static void *run(void *argument)
{
    struct worker *w = argument;
    struct err e = {0};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL); /* signals are the main thread's */
    int r = loop_run(w->loop, &e);
    if (r)
        proxy_complain(w->proxy, "worker %u: %s", w->index, e.text);
    CHECK(r == 0);
    return NULL;
}

/* Of the descriptors that this process may open and does not need itself, nine twentieths are for
 * clients and as many for their connections to instances; the rest is for pipes. */
static uint32_t client_bound(uint32_t workers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return 1u << 20;
    uint64_t usable = limit.rlim_cur > 256 ? limit.rlim_cur - 128 : limit.rlim_cur / 2;
    return (uint32_t)MAX(1, usable * 9 / 20 / workers);
}

static int prepare(struct worker *w, struct err *e)
{
    list_init(&w->services);
    list_init(&w->listeners);
    list_init(&w->retired);
    list_init(&w->clients);
    list_init(&w->free_exchanges);
    pressure_init(&w->pressure);
    list_init(&w->mirrors);
    list_init(&w->doors);
    list_init(&w->waiting);
    task_init(&w->admit, on_admit);
    for (int i = 0; i < GRAVES; i++)
        list_init(&w->graves[i]);
    timer_init(&w->tick, on_tick);
    task_init(&w->bury, on_bury);
    io_init(&w->command_io, on_command);
    uint64_t seed = 0;
    entropy(&seed, sizeof seed);
    prng_seed(&w->prng, seed);
    w->max_clients = client_bound(w->cells.header->workers);
    w->targets = mem_zero(w->cells.header->slots, sizeof *w->targets);
    w->by_slot = mem_zero(w->cells.header->services, sizeof *w->by_slot);
    if (!w->targets || !w->by_slot)
        return err_set(e, ERR_NOMEM, "no memory for a worker");
    w->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->command_fd < 0)
        return err_errno(e, "cannot make an event descriptor");
    int r = loop_new(&w->loop, e);
    return r ? r : loop_io_start(w->loop, &w->command_io, w->command_fd, e);
}

int worker_start(struct worker *w, struct proxy *p, uint32_t index, struct err *e)
{
    w->proxy = p;
    w->index = index;
    w->command_fd = -1;
    pthread_mutex_init(&w->command_lock, NULL);
    int r = prepare(w, e);
    if (r)
        return r;
    loop_timer_set(w->loop, &w->tick, loop_now(w->loop) + TICK_NS);
    cell_set(&w->row->connections, 0);
    errno = pthread_create(&w->thread, NULL, run, w);
    if (errno)
        return err_errno(e, "cannot start a worker thread");
    w->running = true;
    return 0;
}

void worker_end(struct worker *w)
{
    if (w->running) {
        worker_command(w, NULL, ORDER_STOP);
        pthread_join(w->thread, NULL);
        w->draining = false; /* nobody is told any more */
        w->ending = true;
        close_clients(w);
        mirror_end_all(w);
        worker_leave_view(w);
        on_bury(&w->bury);
    }
    if (w->loop)
        loop_io_stop(w->loop, &w->command_io);
    if (w->command_fd >= 0)
        close(w->command_fd);
    while (w->n_pipes) {
        w->n_pipes--;
        close(w->pipes[w->n_pipes][0]);
        close(w->pipes[w->n_pipes][1]);
    }
    if (w->loop)
        exchange_pool_free(w);
    while (w->free_blocks) {
        struct block *next = w->free_blocks->next;
        mem_free(w->free_blocks);
        w->free_blocks = next;
    }
    if (w->inbox)
        shared_view_unref(w->inbox);
    if (w->view)
        shared_view_unref(w->view);
    mem_free(w->targets);
    mem_free(w->by_slot);
    mem_free(w->by_number);
    loop_free(w->loop);
    pthread_mutex_destroy(&w->command_lock);
}
