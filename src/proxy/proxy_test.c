/* The data plane in one process: real sockets, instances played by threads of the test, views made
 * by hand.
 *
 * What needs the whole daemon is tested in test/; here is what needs a hand inside: views that come
 * and go, cells that say what control would say, and memory that runs out at every single
 * allocation of the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"
#include "proxy/proxy.h"

enum { SLOTS = 8, SERVICES = 4 };

/* --- an instance: one thread, one connection at a time, keep-alive. "/500" answers 500, "/cut"
 * closes without an answer --- */

struct instance {
    struct addr addr;
    int listen_fd;
    char name; /* its answer's body */
    pthread_t thread;
    atomic_uint requests;
};

static bool answer_one(struct instance *in, int fd, char *head, size_t *have)
{
    char *end;
    while (!(end = memmem(head, *have, "\r\n\r\n", 4))) {
        ssize_t n = recv(fd, head + *have, 4096 - *have, 0);
        if (n <= 0)
            return false;
        *have += (size_t)n;
    }
    atomic_fetch_add(&in->requests, 1);
    if (memmem(head, *have, " /cut ", 6))
        return false;
    bool bad = memmem(head, *have, " /500 ", 6) != NULL;
    char out[160];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: 1\r\n\r\n%c",
                     bad ? "500 Internal Server Error" : "200 OK", in->name);
    size_t used = (size_t)(end - head) + 4;
    memmove(head, head + used, *have - used);
    *have -= used;
    return send(fd, out, (size_t)n, MSG_NOSIGNAL) == n;
}

struct connection {
    struct instance *in;
    int fd;
};
static atomic_int connections; /* whose threads run */

static void *serve_connection(void *argument)
{
    struct connection *c = argument;
    char head[4096];
    size_t have = 0;
    while (answer_one(c->in, c->fd, head, &have)) {
    }
    close(c->fd);
    free(c);
    atomic_fetch_sub(&connections, 1);
    return NULL;
}

static void *serve(void *argument)
{
    struct instance *in = argument;
    int fd;
    while ((fd = accept(in->listen_fd, NULL, NULL)) >= 0) {
        struct connection *c = malloc(sizeof *c);
        pthread_t t;
        *c = (struct connection){in, fd};
        atomic_fetch_add(&connections, 1);
        pthread_create(&t, NULL, serve_connection, c);
        pthread_detach(t);
    }
    return NULL;
}

static int blocking_listener(struct addr *a)
{
    static unsigned port = 21000;
    for (;; port++) {
        char text[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "127.0.0.1:%u", port + (unsigned)getpid() % 1000 * 30);
        assert_true(addr_parse(str_of(text), a));
        int fd = net_listen(a, 64, NULL);
        if (fd >= 0) {
            port++;
            return fd;
        }
        assert_true(port < 32000);
    }
}

static void instance_start(struct instance *in, char name)
{
    in->name = name;
    in->listen_fd = blocking_listener(&in->addr);
    int flags = fcntl(in->listen_fd, F_GETFL);
    fcntl(in->listen_fd, F_SETFL, flags & ~O_NONBLOCK);
    pthread_create(&in->thread, NULL, serve, in);
}

/* After the proxy: all connections have ended, and their threads do so now. */
static void instance_stop(struct instance *in)
{
    shutdown(in->listen_fd, SHUT_RDWR);
    pthread_join(in->thread, NULL);
    close(in->listen_fd);
    for (uint64_t until = clock_now() + 20 * NS_PER_S; atomic_load(&connections);) {
        assert_true(clock_now() < until);
        usleep(100);
    }
}

/* --- the proxy --- */

struct rig {
    struct loop *loop;
    struct io order_io; /* runs `order` on the loop's thread */
    int order_fd;
    void (*order)(void *);
    void *order_argument;
    struct cells cells;
    void *region;
    struct proxy *proxy;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t taken;
    bool drained;
    atomic_uint evidence[SIGNAL_KINDS];
    atomic_ulong fail_at; /* the next failing request arms this in its worker's thread */
    struct addr front;
    int front_fd;
    struct instance instances[2];
};
static struct rig rig;

static void on_taken(void *context, uint64_t epoch)
{
    (void)context;
    pthread_mutex_lock(&rig.lock);
    rig.taken = epoch;
    pthread_cond_broadcast(&rig.changed);
    pthread_mutex_unlock(&rig.lock);
}

static bool on_evidence(void *context, const struct signal *s)
{
    (void)context;
    atomic_fetch_add(&rig.evidence[s->kind], 1);
    if (s->kind == SIGNAL_REQ_5XX)
        mem_fail_at(atomic_load(&rig.fail_at));
    return true;
}

static void on_complaint(void *context, const char *text)
{
    (void)context;
    (void)text; /* memory that runs out is complained of */
}

static void on_drained(void *context)
{
    (void)context;
    pthread_mutex_lock(&rig.lock);
    rig.drained = true;
    pthread_cond_broadcast(&rig.changed);
    pthread_mutex_unlock(&rig.lock);
}

static void wait_taken(uint64_t epoch)
{
    pthread_mutex_lock(&rig.lock);
    while (rig.taken != epoch)
        pthread_cond_wait(&rig.changed, &rig.lock);
    pthread_mutex_unlock(&rig.lock);
}

/* The proxy's front door belongs to the thread of its loop. */
static void on_order(struct io *io, unsigned ready)
{
    (void)ready;
    uint64_t n;
    if (read(io->fd, &n, sizeof n) != sizeof n)
        return;
    rig.order(rig.order_argument);
    pthread_mutex_lock(&rig.lock);
    rig.order = NULL;
    pthread_cond_broadcast(&rig.changed);
    pthread_mutex_unlock(&rig.lock);
}

static void on_loop_thread(void (*order)(void *), void *argument)
{
    pthread_mutex_lock(&rig.lock);
    rig.order = order;
    rig.order_argument = argument;
    uint64_t one = 1;
    assert_int_equal(write(rig.order_fd, &one, sizeof one), sizeof one);
    while (rig.order)
        pthread_cond_wait(&rig.changed, &rig.lock);
    pthread_mutex_unlock(&rig.lock);
}

static void *run_loop(void *argument)
{
    loop_run(argument, NULL);
    return NULL;
}

/* One service on `front` with these instances. */
static struct view *make_view(uint64_t epoch, const struct addr *front,
                              const struct addr *instances, uint32_t n)
{
    struct view *v = view_new();
    assert_non_null(v);
    v->epoch = epoch;
    v->workers = 1;
    v->n_sockets = v->n_services = 1;
    v->sockets = arena_alloc(&v->arena, sizeof *v->sockets);
    v->sockets[0] = (struct view_socket){SOCKET_HTTP, *front};
    struct view_service *s = v->services = arena_alloc(&v->arena, sizeof *s);
    s->name = STR("web");
    s->sockets = arena_alloc(&v->arena, sizeof *s->sockets);
    s->n_sockets = 1;
    s->access_log = -1;
    s->balance = ALGORITHM_ROUND_ROBIN;
    s->n_instances = n;
    s->instances = arena_array(&v->arena, n, sizeof *s->instances);
    for (uint32_t i = 0; i < n; i++) {
        char text[ADDR_TEXT_MAX];
        addr_format(&instances[i], text);
        s->instances[i].name = arena_str(&v->arena, str_of(text));
        s->instances[i].addr = instances[i];
        s->instances[i].weight = 1;
        s->instances[i].slot = i;
    }
    s->timeouts = (struct view_timeouts){10 * NS_PER_S, 10 * NS_PER_S, NS_PER_S,    5 * NS_PER_S,
                                         10 * NS_PER_S, 10 * NS_PER_S, 2 * NS_PER_S};
    s->retry = (struct view_retry){RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT, 3, 200, 32, 65536};
    s->eject = (struct view_eject){0, 700, NS_PER_S, 30 * NS_PER_S};
    s->limits = (struct view_limits){16384, 100, 0};
    return v;
}

struct offer {
    struct view *view;
    int *fds;
    struct err e;
};

static void take(void *argument)
{
    struct offer *o = argument;
    proxy_take_view(rig.proxy, o->view, o->fds, &o->e);
}

static void drain(void *argument)
{
    proxy_drain(argument);
}

static void hand_over(void *argument)
{
    proxy_hand_over(argument);
}

static void give_view(uint64_t epoch, const struct addr *front, int front_fd,
                      const struct addr *instances, uint32_t n)
{
    struct offer o = {.view = make_view(epoch, front, instances, n), .fds = mem_alloc(sizeof(int))};
    o.fds[0] = dup(front_fd);
    on_loop_thread(take, &o);
    if (o.e.code)
        fail_msg("%s", o.e.text);
    wait_taken(epoch);
}

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof rig);
    pthread_mutex_init(&rig.lock, NULL);
    pthread_cond_init(&rig.changed, NULL);
    size_t size = cells_size(1, SERVICES, SLOTS);
    rig.region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cells_format(rig.region, 1, SERVICES, SLOTS, clock_now());
    assert_int_equal(cells_attach(&rig.cells, rig.region, size, NULL), 0);
    instance_start(&rig.instances[0], 'a');
    instance_start(&rig.instances[1], 'b');
    rig.front_fd = blocking_listener(&rig.front);
    const struct proxy_host host = {NULL, on_taken, on_evidence, on_complaint, on_drained};
    assert_int_equal(loop_new(&rig.loop, NULL), 0);
    assert_int_equal(proxy_new(&rig.proxy, rig.loop, &rig.cells, &host, NULL), 0);
    rig.order_fd = eventfd(0, EFD_NONBLOCK);
    io_init(&rig.order_io, on_order);
    assert_int_equal(loop_io_start(rig.loop, &rig.order_io, rig.order_fd, NULL), 0);
    pthread_create(&rig.thread, NULL, run_loop, rig.loop);
    struct addr both[2] = {rig.instances[0].addr, rig.instances[1].addr};
    give_view(1, &rig.front, rig.front_fd, both, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    size_t size = rig.cells.size;
    loop_wake_and_stop(rig.loop);
    pthread_join(rig.thread, NULL);
    proxy_free(rig.proxy);
    loop_io_stop(rig.loop, &rig.order_io);
    close(rig.order_fd);
    loop_free(rig.loop);
    instance_stop(&rig.instances[0]);
    instance_stop(&rig.instances[1]);
    close(rig.front_fd);
    munmap(rig.region, size);
    return 0;
}

/* --- a client --- */

static int dial(const struct addr *a)
{
    int fd = net_connect(a, NULL);
    if (fd < 0)
        return -1;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&p, 1, 5000), 1);
    if (net_connect_result(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends a GET and returns the status, with the body's one byte in *body; 0 when the connection ends
 * instead. */
static int get(int fd, const char *path, char *body)
{
    char text[512];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return 0;
    size_t have = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        ssize_t r = recv(fd, text + have, sizeof text - 1 - have, 0);
        if (r <= 0)
            return 0;
        have += (size_t)r;
        text[have] = 0;
        char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (!end || !length)
            continue;
        size_t whole = (size_t)(end - text) + 4 + strtoul(length + 16, NULL, 10);
        if (have < whole)
            continue;
        if (body)
            *body = end[4];
        return (int)strtol(text + 9, NULL, 10);
    }
}

static int get_once(const struct addr *a, const char *path)
{
    int fd = dial(a);
    if (fd < 0)
        return -1;
    int status = get(fd, path, NULL);
    close(fd);
    return status;
}

/* --- tests --- */

static void requests_go_round(void **state)
{
    (void)state;
    int fd = dial(&rig.front), seen[2] = {0};
    char body;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(fd, "/", &body), 200);
        seen[body == 'b']++;
    }
    assert_int_equal(seen[0], 5);
    assert_int_equal(seen[1], 5);
    close(fd);
}

static void what_control_says_is_followed(void **state)
{
    (void)state;
    int fd = dial(&rig.front);
    char body;
    struct instance_verdict *row = cells_verdict(&rig.cells, 0);
    cell_set(&row->verdict, VERDICT_FAILED);
    cell_set(&row->certain, 1);
    cell_add(&row->changes, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(fd, "/", &body), 200);
        assert_int_equal(body, 'b');
    }
    cell_set(&row->verdict, VERDICT_HEALTHY);
    cell_add(&row->changes, 1);
    row = cells_verdict(&rig.cells, 1);
    cell_set(&row->draining, 1);
    cell_set(&row->verdict, VERDICT_HEALTHY);
    cell_add(&row->changes, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(fd, "/", &body), 200);
        assert_int_equal(body, 'a');
    }
    close(fd);
}

static void a_cut_request_is_tried_elsewhere_and_told(void **state)
{
    (void)state;
    /* On fresh connections a cut is evidence; both instances cut: 502 after the attempts that there
     * are. */
    assert_int_equal(get_once(&rig.front, "/cut"), 502);
    assert_true(atomic_load(&rig.evidence[SIGNAL_REQ_RESET]) >= 2);
    assert_int_equal(get_once(&rig.front, "/"), 200);
}

static void a_refused_instance_costs_no_request(void **state)
{
    (void)state;
    struct addr dead;
    close(blocking_listener(&dead));
    struct addr both[2] = {dead, rig.instances[1].addr};
    give_view(2, &rig.front, rig.front_fd, both, 2);
    for (int i = 0; i < 10; i++)
        assert_int_equal(get_once(&rig.front, "/"), 200);
    assert_true(atomic_load(&rig.evidence[SIGNAL_REQ_REFUSED]) >= 1);
}

static void connections_outlive_views(void **state)
{
    (void)state;
    struct addr only[1] = {rig.instances[1].addr};
    int fd = dial(&rig.front);
    char body;
    assert_int_equal(get(fd, "/", &body), 200);
    for (uint64_t epoch = 2; epoch < 30; epoch++) {
        give_view(epoch, &rig.front, rig.front_fd, only, 1);
        assert_int_equal(get(fd, "/", &body), 200);
        assert_int_equal(body, 'b');
    }
    close(fd);
}

static void an_address_that_leaves_is_closed_after_its_answer(void **state)
{
    (void)state;
    struct addr other, both[2] = {rig.instances[0].addr, rig.instances[1].addr};
    int other_fd = blocking_listener(&other);
    int fd = dial(&rig.front);
    assert_int_equal(get(fd, "/", NULL), 200);
    give_view(2, &other, other_fd, both, 2);
    assert_int_equal(get(fd, "/", NULL), 200); /* one more, within the second that is given */
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0, 1);
    close(fd);
    assert_int_equal(get_once(&other, "/"), 200);
    close(other_fd);
}

static void drain_ends_when_the_last_client_has_gone(void **state)
{
    (void)state;
    int fd = dial(&rig.front);
    assert_int_equal(get(fd, "/", NULL), 200);
    on_loop_thread(drain, rig.proxy);
    assert_int_equal(get(fd, "/", NULL), 200);
    pthread_mutex_lock(&rig.lock);
    while (!rig.drained)
        pthread_cond_wait(&rig.changed, &rig.lock);
    pthread_mutex_unlock(&rig.lock);
    close(fd);
}

/* It leaves the queue to another, takes views, and lets an idle client ask once more. */
static void handed_over_it_ends_with_its_last_client(void **state)
{
    (void)state;
    struct addr both[2] = {rig.instances[0].addr, rig.instances[1].addr};
    int old = dial(&rig.front);
    assert_int_equal(get(old, "/", NULL), 200);
    on_loop_thread(hand_over, rig.proxy);
    give_view(2, &rig.front, rig.front_fd, both, 2);
    give_view(3, &rig.front, rig.front_fd, both + 1, 1); /* by now the worker has let go */
    int other = dial(&rig.front);
    char who = 0;
    assert_int_equal(get(old, "/", &who), 200);
    assert_int_equal(who, 'b');
    pthread_mutex_lock(&rig.lock);
    while (!rig.drained)
        pthread_cond_wait(&rig.changed, &rig.lock);
    pthread_mutex_unlock(&rig.lock);
    assert_int_equal(get(old, "/", NULL), 0);
    struct pollfd waits = {.fd = rig.front_fd, .events = POLLIN};
    assert_int_equal(poll(&waits, 1, 0), 1); /* the newcomer is in the queue yet */
    close(other);
    close(old);
}

/* The client has its answer a moment before the worker has done its books. */
static void wait_until_nothing_is_in_flight(void)
{
    uint64_t until = clock_now() + 5 * NS_PER_S;
    for (uint32_t slot = 0; slot < 2; slot++)
        while (cell_get(&cells_instance(&rig.cells, 0, slot)->inflight))
            assert_true(clock_now() < until);
}

/* Every allocation that a worker makes for a connection and its request fails once. The request may
 * fail; nothing else may, and when memory is back the next request is served. */
static void memory_runs_out_at_every_allocation(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (unsigned long n = 1; n <= 24; n++) {
        atomic_store(&rig.fail_at, n);
        assert_int_equal(get_once(&rig.front, "/500"), 500);
        int status = get_once(&rig.front, "/");
        if (status != 200 && status != 503 && status != 502 && status != 0)
            fail_msg("allocation %lu: status %d", n, status);
        failed += status != 200;
        atomic_store(&rig.fail_at, 0);
        assert_int_equal(get_once(&rig.front, "/500") != -1, 1); /* disarms */
        assert_int_equal(get_once(&rig.front, "/"), 200);
    }
    assert_true(failed > 0);
    wait_until_nothing_is_in_flight();
}

static void nothing_is_evidence_against_an_instance_when_we_are_short(void **state)
{
    (void)state;
    unsigned before = atomic_load(&rig.evidence[SIGNAL_REQ_RESET]) +
                      atomic_load(&rig.evidence[SIGNAL_REQ_REFUSED]);
    memory_runs_out_at_every_allocation(state);
    unsigned after = atomic_load(&rig.evidence[SIGNAL_REQ_RESET]) +
                     atomic_load(&rig.evidence[SIGNAL_REQ_REFUSED]);
    assert_int_equal(before, after);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_go_round, setup, teardown),
        cmocka_unit_test_setup_teardown(what_control_says_is_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_request_is_tried_elsewhere_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_instance_costs_no_request, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_outlive_views, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_that_leaves_is_closed_after_its_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(drain_ends_when_the_last_client_has_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(handed_over_it_ends_with_its_last_client, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out_at_every_allocation, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_evidence_against_an_instance_when_we_are_short,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
