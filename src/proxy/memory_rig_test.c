/* memory_rig: see the header. */
#include "proxy/memory_rig_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 8, SERVICES = 4, HEAD_MOST = 16 * 1024, PATIENCE_MS = 20000 };

/* --- memory --- */

void *__real_mem_alloc(size_t size);
void *__real_mem_zero(size_t count, size_t size);
void *__real_mem_resize(void *p, size_t size);
void __real_mem_free(void *p);
void *__wrap_mem_alloc(size_t size);
void *__wrap_mem_zero(size_t count, size_t size);
void *__wrap_mem_resize(void *p, size_t size);
void __wrap_mem_free(void *p);

static _Thread_local bool bystander;
static atomic_ulong countdown; /* 0: disarmed */
static atomic_bool hit;
static atomic_long blocks;

static bool fails_now(void)
{
    if (bystander)
        return false;
    unsigned long n = atomic_load(&countdown);
    while (n && !atomic_compare_exchange_weak(&countdown, &n, n - 1)) {
    }
    if (n == 1)
        atomic_store(&hit, true);
    return n == 1;
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&blocks, 1);
    return p;
}

void *__wrap_mem_alloc(size_t size)
{
    return fails_now() ? NULL : counted(__real_mem_alloc(size));
}

void *__wrap_mem_zero(size_t count, size_t size)
{
    return fails_now() ? NULL : counted(__real_mem_zero(count, size));
}

void *__wrap_mem_resize(void *p, size_t size)
{
    if (fails_now())
        return NULL;
    void *q = __real_mem_resize(p, size);
    return p ? q : counted(q);
}

void __wrap_mem_free(void *p)
{
    if (p)
        atomic_fetch_sub(&blocks, 1);
    __real_mem_free(p);
}

void memory_bystander(bool on)
{
    bystander = on;
}

void memory_arm(unsigned long n)
{
    atomic_store(&hit, false);
    atomic_store(&countdown, n);
}

bool memory_disarm(void)
{
    atomic_store(&countdown, 0);
    return atomic_load(&hit);
}

bool memory_hit(void)
{
    return atomic_load(&hit);
}

long memory_blocks(void)
{
    return atomic_load(&blocks);
}

/* --- instances. Each answers with the request's body, or "hello" when there was none. By path:
 * /chunked in two chunks; /slow and /nap: `a` takes its time; /cut: `a` closes without an answer;
 * /500: `a` answers so; /login gives a session; /up changes to a tunnel that repeats what it is
 * told --- */

struct instance {
    struct addr addr;
    int listen_fd;
    char name;
    pthread_t thread;
};

struct call {
    const struct instance *in;
    int fd;
    char bytes[HEAD_MOST + 1];
    size_t have;
    char body[HEAD_MOST + 1];
};

struct rig {
    const struct conversation *conversation;
    struct loop *loop;
    struct io order_io;
    int order_fd;
    void (*order)(void *);
    void *order_argument;
    struct cells cells;
    void *region;
    struct proxy *proxy;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t epoch, taken;
    atomic_uint evidence; /* against instances */
    atomic_int calls;     /* connections of the instances */
    struct addr front, datagrams;
    int front_fd, datagrams_fd, log_fd;
    struct instance instances[INSTANCES];
    pthread_t echo;
    int echo_fd;
    struct addr echo_addr;
};
static struct rig rig = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool more(struct call *c)
{
    if (c->have == HEAD_MOST)
        return false;
    ssize_t n = recv(c->fd, c->bytes + c->have, HEAD_MOST - c->have, 0);
    if (n <= 0)
        return false;
    c->have += (size_t)n;
    c->bytes[c->have] = 0;
    return true;
}

static void used(struct call *c, size_t n)
{
    memmove(c->bytes, c->bytes + n, c->have - n + 1);
    c->have -= n;
}

/* The body that follows a head, into c->body. */
static bool plain_body(struct call *c, size_t n)
{
    while (c->have < n)
        if (!more(c))
            return false;
    memcpy(c->body, c->bytes, n);
    c->body[n] = 0;
    used(c, n);
    return true;
}

static bool chunked_body(struct call *c)
{
    for (size_t n = 0;;) {
        char *line;
        while (!(line = strstr(c->bytes, "\r\n")))
            if (!more(c))
                return false;
        size_t size = strtoul(c->bytes, NULL, 16);
        used(c, (size_t)(line - c->bytes) + 2);
        while (c->have < size + 2)
            if (!more(c))
                return false;
        memcpy(c->body + n, c->bytes, size);
        n += size;
        c->body[n] = 0;
        used(c, size + 2);
        if (!size)
            return true;
    }
}

static bool tell(int fd, const char *text)
{
    size_t n = strlen(text);
    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Whatever comes goes back. */
static void repeat(struct call *c)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: echo\r\n\r\n";
    if (!tell(c->fd, head))
        return;
    ssize_t n;
    do
        if (c->have && send(c->fd, c->bytes, c->have, MSG_NOSIGNAL) != (ssize_t)c->have)
            return;
    while ((n = recv(c->fd, c->bytes, HEAD_MOST, 0)) > 0 && (c->have = (size_t)n));
}

/* Until the other side goes away, or for this long. */
static void linger(const struct call *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    poll(&p, 1, ms);
}

static bool give_answer(struct call *c, const char *head, const char *body)
{
    char text[HEAD_MOST + 512];
    bool is_a = c->in->name == 'a';
    if (strstr(head, " /slow ") && is_a)
        linger(c, 60);
    if (strstr(head, " /nap ") && is_a)
        linger(c, 15);
    if (strstr(head, " /cut ") && is_a)
        return false;
    bool bad = strstr(head, " /500 ") && is_a;
    const char *cookie = strstr(head, " /login ") ? "Set-Cookie: SID=abc; Path=/\r\n" : "";
    const char *status = bad ? "500 Internal Server Error" : "200 OK";
    size_t n = strlen(body), half = n / 2;
    if (strstr(head, " /chunked "))
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "%zx\r\n%.*s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                 half, (int)half, body, n - half, body + half);
    else
        snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nServer: secret\r\n%sContent-Length: %zu\r\n\r\n%s", status, cookie,
                 n, body);
    return tell(c->fd, text);
}

static bool answer_one(struct call *c)
{
    char *end, head[HEAD_MOST + 1];
    while (!(end = strstr(c->bytes, "\r\n\r\n")))
        if (!more(c))
            return false;
    size_t n = (size_t)(end - c->bytes) + 4;
    memcpy(head, c->bytes, n);
    head[n] = 0;
    used(c, n);
    if (strstr(head, " /up ")) {
        repeat(c);
        return false;
    }
    strcpy(c->body, "hello");
    const char *length = strcasestr(head, "\r\ncontent-length: ");
    if (length ? !plain_body(c, strtoul(length + 18, NULL, 10))
               : strcasestr(head, "\r\ntransfer-encoding: ") && !chunked_body(c))
        return false;
    return give_answer(c, head, c->body);
}

/* --- rounds: a replica at 127.0.0.2 has everything --- */

static bool tell_picture(const struct call *c)
{
    char picture[256], text[320];
    if (rig.conversation->rounds == ROUNDS_REFUSED)
        return tell(c->fd, "-ERR not now\r\n");
    int n = snprintf(picture, sizeof picture,
                     "role:master\r\nmaster_repl_offset:7\r\n"
                     "slave0:ip=127.0.0.2,port=%u,state=online,offset=7,lag=0\r\n",
                     (unsigned)c->in->addr.port);
    snprintf(text, sizeof text, "$%d\r\n%s\r\n", n, picture);
    return tell(c->fd, text);
}

static bool asks_rounds(const struct call *c)
{
    return rig.conversation->rounds && strncmp(c->bytes, "*2\r\n$4\r\nINFO\r\n", 14) == 0;
}

/* Line by line; lengths say nothing new. */
static void answer_rounds(struct call *c)
{
    do
        for (char *end; (end = strstr(c->bytes, "\r\n"));) {
            bool info = strncmp(c->bytes, "INFO\r\n", 6) == 0;
            bool wait = strncmp(c->bytes, "WAIT ", 5) == 0;
            used(c, (size_t)(end - c->bytes) + 2);
            if ((info && !tell_picture(c)) || (wait && !tell(c->fd, ":1\r\n")))
                return;
        }
    while (more(c));
}

static void serve_bytes(struct call *c)
{
    while (more(c)) {
        if (asks_rounds(c)) {
            answer_rounds(c);
            return;
        }
        if (send(c->fd, c->bytes, c->have, MSG_NOSIGNAL) != (ssize_t)c->have)
            return;
        c->have = 0;
    }
}

static void *serve_call(void *argument)
{
    struct call *c = argument;
    bystander = true;
    if (rig.conversation->mode == VIEW_TCP) {
        serve_bytes(c);
    } else {
        while (answer_one(c)) {
        }
    }
    close(c->fd);
    free(c);
    atomic_fetch_sub(&rig.calls, 1);
    return NULL;
}

static void *serve(void *argument)
{
    const struct instance *in = argument;
    int fd;
    bystander = true;
    while ((fd = accept(in->listen_fd, NULL, NULL)) >= 0) {
        struct call *c = calloc(1, sizeof *c);
        pthread_t t;
        c->in = in;
        c->fd = fd;
        atomic_fetch_add(&rig.calls, 1);
        pthread_create(&t, NULL, serve_call, c);
        pthread_detach(t);
    }
    return NULL;
}

static void *serve_datagrams(void *argument)
{
    char bytes[2048];
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t n;
    bystander = true;
    while ((n = recvfrom(rig.echo_fd, bytes, sizeof bytes, 0, (void *)&from, &size)) > 0 &&
           bytes[0] != 'Q') {
        sendto(rig.echo_fd, bytes, (size_t)n, 0, (void *)&from, size);
        size = sizeof from;
    }
    return argument;
}

/* --- addresses: the kernel gives a port --- */

static int bound(int type, struct addr *a)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (void *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (void *)&in, &size), 0);
    char text[ADDR_TEXT_MAX];
    snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)ntohs(in.sin_port));
    assert_true(addr_parse(str_of(text), a));
    return fd;
}

static int listening(struct addr *a)
{
    int fd = bound(SOCK_STREAM, a);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void rig_open(void)
{
    memory_bystander(true);
    rig.front_fd = listening(&rig.front);
    rig.datagrams_fd = bound(SOCK_DGRAM, &rig.datagrams);
    set_nonblocking(rig.front_fd);
    set_nonblocking(rig.datagrams_fd);
    for (int i = 0; i < INSTANCES; i++) {
        struct instance *in = &rig.instances[i];
        in->name = (char)('a' + i);
        in->listen_fd = i == DEAD ? bound(SOCK_STREAM, &in->addr) : listening(&in->addr);
        if (i != DEAD)
            pthread_create(&in->thread, NULL, serve, in);
    }
    rig.echo_fd = bound(SOCK_DGRAM, &rig.echo_addr);
    pthread_create(&rig.echo, NULL, serve_datagrams, NULL);
}

void rig_close(void)
{
    for (int i = 0; i < DEAD; i++) {
        shutdown(rig.instances[i].listen_fd, SHUT_RDWR);
        pthread_join(rig.instances[i].thread, NULL);
        close(rig.instances[i].listen_fd);
    }
    int fd = net_datagram_connect(&rig.echo_addr, NULL);
    assert_int_equal(send(fd, "Q", 1, 0), 1);
    close(fd);
    pthread_join(rig.echo, NULL);
    close(rig.echo_fd);
    close(rig.instances[DEAD].listen_fd);
    close(rig.front_fd);
    close(rig.datagrams_fd);
}

/* --- the proxy --- */

static void wait_changed(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    assert_int_equal(pthread_cond_timedwait(&rig.changed, &rig.lock, &until), 0);
}

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
    atomic_fetch_add(&rig.evidence, s->kind != SIGNAL_REQ_OK);
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
}

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

/* The proxy's front door belongs to the thread of its loop. */
static void on_loop_thread(void (*order)(void *), void *argument)
{
    uint64_t one = 1;
    pthread_mutex_lock(&rig.lock);
    rig.order = order;
    rig.order_argument = argument;
    assert_int_equal(write(rig.order_fd, &one, sizeof one), sizeof one);
    while (rig.order)
        wait_changed();
    pthread_mutex_unlock(&rig.lock);
}

static void *run_loop(void *argument)
{
    bystander = !rig.conversation->reloads;
    loop_run(argument, NULL);
    return NULL;
}

static void make_service(struct view *v, struct view_service *s, uint32_t slot, struct str name)
{
    s->name = name;
    s->slot = slot;
    s->access_log = -1;
    s->mode = rig.conversation->mode;
    s->log.sample_permille = 1000;
    s->balance = ALGORITHM_ROUND_ROBIN;
    s->instances = arena_array(&v->arena, INSTANCES, sizeof *s->instances);
    s->timeouts = (struct view_timeouts){10 * NS_PER_S, 10 * NS_PER_S, 5 * NS_PER_S, 9 * NS_PER_S,
                                         10 * NS_PER_S, 10 * NS_PER_S, 2 * NS_PER_S};
    s->retry =
        (struct view_retry){RETRY_CONNECT | RETRY_RESET | RETRY_TIMEOUT, 3, 1000, 10000, 65536};
    s->eject = (struct view_eject){.share_permille = 700, .hold = NS_PER_S, .hold_max = NS_PER_S};
    s->limits = (struct view_limits){.head_bytes = 16384, .head_fields = 100};
}

static void add_instance(struct view *v, struct view_service *s, uint32_t slot,
                         const struct addr *a)
{
    char text[16]; /* the same each time: keys lead to the same ones */
    snprintf(text, sizeof text, "i%u", slot);
    s->instances[s->n_instances++] = (struct view_instance){
        .name = arena_str(&v->arena, str_of(text)), .addr = *a, .weight = 1, .slot = slot};
}

static struct view *make_view(void)
{
    struct view *v = view_new();
    v->epoch = ++rig.epoch;
    v->workers = 1;
    v->n_sockets = 2;
    v->sockets = arena_array(&v->arena, 2, sizeof *v->sockets);
    uint8_t mode = rig.conversation->mode;
    v->sockets[0] =
        (struct view_socket){view_mode_use(mode), mode == VIEW_UDP ? rig.datagrams : rig.front};
    v->sockets[1] = (struct view_socket){SOCKET_ACCESS_LOG, {.kind = ADDR_UNIX, .path = "/log"}};
    v->n_services = 2;
    v->services = arena_array(&v->arena, 2, sizeof *v->services);
    make_service(v, &v->services[0], 0, STR("web"));
    make_service(v, &v->services[1], 1, STR("other"));
    v->services[0].sockets = arena_alloc(&v->arena, sizeof *v->services[0].sockets);
    v->services[0].n_sockets = 1;
    if (mode == VIEW_UDP) {
        add_instance(v, &v->services[0], 0, &rig.echo_addr);
    } else {
        add_instance(v, &v->services[0], 0, &rig.instances[0].addr);
        add_instance(v, &v->services[0], 1, &rig.instances[1].addr);
    }
    add_instance(v, &v->services[1], 2, &rig.instances[1].addr);
    if (rig.conversation->adjust)
        rig.conversation->adjust(v);
    return v;
}

const struct addr *rig_front(void)
{
    return &rig.front;
}

const struct addr *rig_datagrams(void)
{
    return &rig.datagrams;
}

const struct addr *rig_dead(void)
{
    return &rig.instances[DEAD].addr;
}

struct offer {
    struct view *view;
    int *fds;
    struct err e;
    int r;
};

static void take(void *argument)
{
    struct offer *o = argument;
    o->r = proxy_take_view(rig.proxy, o->view, o->fds, &o->e);
}

bool rig_reload(void)
{
    struct offer o = {.view = make_view(), .fds = mem_alloc(2 * sizeof(int))};
    o.fds[0] = dup(rig.conversation->mode == VIEW_UDP ? rig.datagrams_fd : rig.front_fd);
    o.fds[1] = dup(rig.log_fd);
    uint64_t epoch = rig.epoch;
    on_loop_thread(take, &o);
    if (o.r) {
        if (!memory_hit())
            fail_msg("a view was refused: %s", o.e.text);
        return false;
    }
    pthread_mutex_lock(&rig.lock);
    while (rig.taken != epoch)
        wait_changed();
    pthread_mutex_unlock(&rig.lock);
    return true;
}

unsigned rig_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

void rig_start(const struct conversation *c)
{
    const struct proxy_host host = {NULL, on_taken, on_evidence, on_complaint, on_drained};
    size_t size = cells_size(1, SERVICES, SLOTS);
    rig.conversation = c;
    rig.epoch = rig.taken = 0;
    rig.log_fd = memfd_create("log", MFD_CLOEXEC);
    rig.region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cells_format(rig.region, 1, SERVICES, SLOTS, clock_now());
    assert_int_equal(cells_attach(&rig.cells, rig.region, size, NULL), 0);
    assert_int_equal(loop_new(&rig.loop, NULL), 0);
    assert_int_equal(proxy_new(&rig.proxy, rig.loop, &rig.cells, &host, NULL), 0);
    rig.order_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io_init(&rig.order_io, on_order);
    assert_int_equal(loop_io_start(rig.loop, &rig.order_io, rig.order_fd, NULL), 0);
    pthread_create(&rig.thread, NULL, run_loop, rig.loop);
    memory_disarm();
    atomic_store(&hit, false);
    assert_true(rig_reload());
    atomic_store(&rig.evidence, 0);
}

/* Polls: what is waited for happens within a millisecond, on another thread, and tells nobody. */
static void await(bool (*holds)(void), const char *what)
{
    uint64_t until = clock_now() + PATIENCE_MS * NS_PER_MS;
    while (!holds()) {
        if (clock_now() > until)
            fail_msg("%s", what);
        usleep(50);
    }
}

static bool nobody_calls(void)
{
    return atomic_load(&rig.calls) == 0;
}

void rig_stop(void)
{
    size_t size = rig.cells.size;
    loop_wake_and_stop(rig.loop);
    pthread_join(rig.thread, NULL);
    proxy_free(rig.proxy);
    loop_io_stop(rig.loop, &rig.order_io);
    close(rig.order_fd);
    loop_free(rig.loop);
    close(rig.log_fd);
    munmap(rig.region, size);
    await(nobody_calls, "a connection to an instance outlives the proxy");
}

static bool all_ended(void)
{
    uint64_t sum = cell_get(&rig.cells.processes[cells_proxy_row(1, 0) + 1].connections) +
                   cell_get(&cells_listener(&rig.cells, 0, 0)->open);
    for (uint32_t i = 0; i < 2; i++) {
        const struct service_row *r = cells_service(&rig.cells, 0, i);
        sum += cell_get(&r->tunnels) + cell_get(&r->waiting);
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        sum += cell_get(&cells_instance(&rig.cells, 0, i)->inflight);
    return sum == 0;
}

/* Every request has one outcome. */
static bool books_balance(void)
{
    const struct service_row *r = cells_service(&rig.cells, 0, 0);
    uint64_t told = 0;
    for (unsigned i = 0; i < ARRAY_LEN(r->status); i++)
        told += cell_get(&r->status[i]);
    return rig.conversation->mode != VIEW_HTTP ||
           told == cell_get(&r->requests) + cell_get(&r->refused_heads);
}

/* What the log holds are whole lines. */
static bool log_is_whole(void)
{
    char last = '\n';
    off_t n = lseek(rig.log_fd, 0, SEEK_END);
    return n == 0 || (pread(rig.log_fd, &last, 1, n - 1) == 1 && last == '\n');
}

void rig_settle(void)
{
    await(all_ended, "something is under way, or counted as such, when all clients have gone");
    await(books_balance, "not every request has one outcome");
    await(log_is_whole, "the log ends within a line");
}

unsigned rig_evidence(void)
{
    return atomic_exchange(&rig.evidence, 0);
}

uint64_t rig_log_bytes(void)
{
    return (uint64_t)lseek(rig.log_fd, 0, SEEK_END);
}

struct role_row *rig_role(void)
{
    return cells_role(&rig.cells, 0);
}

const struct service_row *rig_row(uint32_t slot)
{
    return cells_service(&rig.cells, 0, slot);
}
