/* The prober against small servers in the same process, on the same loop: no thread, no sleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/prober.h"

enum manner { ANSWERS, SILENT, HANGS_UP, RESETS };

struct peer {
    struct list link;
    struct io io;
    int fd;
};

struct bench {
    struct loop *loop;
    struct prober *prober;
    struct timer limit;
    bool over; /* the limit fired */
    /* the server */
    struct io listener;
    int listen_fd;
    struct addr addr;
    enum manner manner;
    const char *answer;
    struct list peers;
    unsigned n_peers, most_peers, accepted;
    struct buf request; /* the latest */
    /* what the owner heard */
    struct signal signals[256];
    unsigned n_signals, wanted, starved;
    uint64_t delay;
};

static void peer_end(struct bench *b, struct peer *p)
{
    loop_io_stop(b->loop, &p->io);
    close(p->fd);
    list_remove(&p->link);
    b->n_peers--;
    mem_free(p);
}

static struct bench *the_bench; /* a peer's way back */

static void on_peer(struct io *io, unsigned ready)
{
    struct peer *p = CONTAINER_OF(io, struct peer, io);
    struct bench *b = the_bench;
    char bytes[4096];
    ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        peer_end(b, p);
        return;
    }
    buf_clear(&b->request);
    assert_true(buf_add(&b->request, bytes, (size_t)n) && buf_add(&b->request, "", 1));
    if (b->manner == SILENT)
        return;
    if (b->manner == RESETS)
        net_set_reset_on_close(p->fd);
    if (b->manner == ANSWERS)
        assert_int_equal(send(p->fd, b->answer, strlen(b->answer), MSG_NOSIGNAL),
                         strlen(b->answer));
    peer_end(b, p);
}

static void on_listener(struct io *io, unsigned ready)
{
    struct bench *b = CONTAINER_OF(io, struct bench, listener);
    for (int fd; (fd = net_accept(b->listen_fd, NULL)) >= 0;) {
        struct peer *p = mem_zero(1, sizeof *p);
        assert_non_null(p);
        p->fd = fd;
        list_init(&p->link);
        list_push_back(&b->peers, &p->link);
        b->accepted++;
        b->n_peers++;
        b->most_peers = MAX(b->most_peers, b->n_peers);
        io_init(&p->io, on_peer);
        assert_int_equal(loop_io_start(b->loop, &p->io, fd, NULL), 0);
    }
}

static void on_signal(void *context, const struct signal *s)
{
    struct bench *b = context;
    if (b->n_signals < ARRAY_LEN(b->signals))
        b->signals[b->n_signals++] = *s;
    if (b->n_signals == b->wanted)
        loop_stop(b->loop);
}

static uint64_t delay(void *context, uint32_t slot)
{
    return ((struct bench *)context)->delay;
}

static void on_starved(void *context, const char *why)
{
    struct bench *b = context;
    assert_non_null(strstr(why, "Too many open files"));
    b->starved++;
    loop_stop(b->loop);
}

static void on_limit(struct timer *t)
{
    struct bench *b = CONTAINER_OF(t, struct bench, limit);
    b->over = true;
    loop_stop(b->loop);
}

/* Turns the loop until so many signals have come in all, or for ns. */
static bool run_until(struct bench *b, unsigned signals, uint64_t ns)
{
    struct err e = {0};
    b->wanted = signals;
    b->over = false;
    if (b->n_signals >= signals)
        return true;
    loop_timer_set(b->loop, &b->limit, loop_refresh(b->loop) + ns);
    assert_int_equal(loop_run(b->loop, &e), 0);
    loop_timer_stop(b->loop, &b->limit);
    return !b->over;
}

static void bench_open(struct bench *b, uint32_t most)
{
    struct err e = {0};
    *b = (struct bench){.delay = 3600 * NS_PER_S, .answer = ""};
    the_bench = b;
    list_init(&b->peers);
    timer_init(&b->limit, on_limit);
    assert_int_equal(loop_new(&b->loop, &e), 0);
    struct prober_owner owner = {b, on_signal, delay, on_starved};
    assert_int_equal(prober_new(&b->prober, b->loop, 128, most, &owner, &e), 0);
    assert_true(addr_parse(STR("127.0.0.1:1"), &b->addr));
    b->addr.port = 0;
    b->listen_fd = net_listen(&b->addr, 256, &e);
    assert_true(b->listen_fd >= 0);
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    assert_int_equal(getsockname(b->listen_fd, (struct sockaddr *)&in, &n), 0);
    b->addr.port = ntohs(in.sin_port);
    io_init(&b->listener, on_listener);
    assert_int_equal(loop_io_start(b->loop, &b->listener, b->listen_fd, &e), 0);
}

static void bench_stop_listening(struct bench *b)
{
    if (b->listen_fd < 0)
        return;
    loop_io_stop(b->loop, &b->listener);
    close(b->listen_fd);
    b->listen_fd = -1;
}

static void bench_close(struct bench *b)
{
    prober_free(b->prober);
    while (!list_empty(&b->peers))
        peer_end(b, LIST_ENTRY(b->peers.next, struct peer, link));
    bench_stop_listening(b);
    buf_free(&b->request);
    loop_free(b->loop);
}

static struct view_check http(const char *body)
{
    return (struct view_check){.kind = CHECK_HTTP,
                               .path = STR("/health"),
                               .status_min = 200,
                               .status_max = 399,
                               .body = str_of(body),
                               .timeout = 5 * NS_PER_S};
}

static struct signal one_check(struct bench *b, const struct view_check *c)
{
    unsigned before = b->n_signals;
    prober_remove(b->prober, 3);
    prober_set(b->prober, 3, &b->addr, c);
    assert_true(run_until(b, before + 1, 10 * NS_PER_S));
    struct signal s = b->signals[before];
    assert_int_equal(s.slot, 3);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.observer, 0);
    return s;
}

static void answers_become_signals(void **state)
{
    static const struct {
        const char *answer;
        enum signal_kind kind;
        uint32_t detail;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", SIGNAL_CHECK_OK, 0},
        {"HTTP/1.1 200 OK\r\n\r\nsay hello", SIGNAL_CHECK_OK, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
         SIGNAL_CHECK_OK, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo", SIGNAL_CHECK_BAD, 200},
        {"HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n", SIGNAL_CHECK_BAD, 503},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", SIGNAL_CHECK_BAD, 0},
        {"", SIGNAL_CHECK_RESET, 0},
    };
    static struct bench b;
    bench_open(&b, 4);
    struct view_check c = http("hello");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        b.answer = cases[i].answer;
        struct signal s = one_check(&b, &c);
        if (s.kind != cases[i].kind)
            fail_msg("%s: %s", cases[i].answer, signal_name(s.kind));
        if (s.kind != SIGNAL_CHECK_OK)
            assert_int_equal(s.detail, cases[i].detail);
        assert_true(s.kind != SIGNAL_CHECK_OK || s.detail < 5000000);
    }
    assert_int_equal(strncmp(b.request.p, "GET /health HTTP/1.1\r\n", 22), 0);
    char host[ADDR_TEXT_MAX + 16], address[ADDR_TEXT_MAX];
    addr_format(&b.addr, address);
    snprintf(host, sizeof host, "\r\nHost: %s\r\n", address);
    assert_non_null(strstr(b.request.p, host));
    c.host = STR("web.example");
    one_check(&b, &c);
    assert_non_null(strstr(b.request.p, "\r\nHost: web.example\r\n"));
    bench_close(&b);
}

static void broken_connections_become_signals(void **state)
{
    static struct bench b;
    bench_open(&b, 4);
    struct view_check c = http(""), tcp = {.kind = CHECK_TCP, .timeout = 5 * NS_PER_S};
    assert_int_equal(one_check(&b, &tcp).kind, SIGNAL_CHECK_OK);
    b.manner = RESETS;
    assert_int_equal(one_check(&b, &c).kind, SIGNAL_CHECK_RESET);
    b.manner = HANGS_UP;
    assert_int_equal(one_check(&b, &c).kind, SIGNAL_CHECK_RESET);
    b.manner = SILENT;
    c.timeout = 50 * NS_PER_MS;
    uint64_t before = clock_now();
    assert_int_equal(one_check(&b, &c).kind, SIGNAL_CHECK_TIMEOUT);
    assert_true(clock_now() - before >= 50 * NS_PER_MS);
    bench_stop_listening(&b);
    assert_int_equal(one_check(&b, &c).kind, SIGNAL_CHECK_REFUSED);
    assert_int_equal(one_check(&b, &tcp).kind, SIGNAL_CHECK_REFUSED);
    assert_true(addr_parse(STR("unix:/nonexistent/holdfast.sock"), &b.addr));
    assert_int_equal(one_check(&b, &tcp).kind, SIGNAL_CHECK_REFUSED);
    bench_close(&b);
}

/* Twenty subjects, four at a time; the others wait and are all served. */
static void few_are_in_flight_and_none_is_forgotten(void **state)
{
    static struct bench b;
    bench_open(&b, 4);
    struct view_check c = http("");
    c.timeout = 30 * NS_PER_MS;
    b.manner = SILENT;
    for (uint32_t slot = 0; slot < 20; slot++)
        prober_set(b.prober, slot, &b.addr, &c);
    assert_true(run_until(&b, 20, 10 * NS_PER_S));
    uint32_t seen = 0;
    for (unsigned i = 0; i < 20; i++)
        seen |= 1u << b.signals[i].slot;
    assert_int_equal(seen, (1u << 20) - 1);
    assert_in_range(b.most_peers, 1, 8); /* the server hears of an end a moment later */
    assert_int_equal(b.accepted, 20);
    bench_close(&b);
}

/* The first check at once, the second somewhere in the interval, the others in step with it. */
static void checks_are_spread(void **state)
{
    static struct bench b;
    bench_open(&b, 64);
    b.answer = "HTTP/1.1 204 No\r\n\r\n";
    b.delay = NS_PER_S;
    struct view_check c = http("");
    for (uint32_t slot = 0; slot < 32; slot++)
        prober_set(b.prober, slot, &b.addr, &c);
    assert_true(run_until(&b, 32, 900 * NS_PER_MS));
    unsigned halves[2] = {0};
    assert_true(run_until(&b, 96, 10 * NS_PER_S));
    uint64_t first[32] = {0};
    bool second[32] = {0};
    for (unsigned i = 0; i < 96; i++) {
        const struct signal *s = &b.signals[i];
        if (!first[s->slot])
            first[s->slot] = s->at;
        else if (!second[s->slot])
            halves[s->at - first[s->slot] > NS_PER_S / 2]++, second[s->slot] = true;
    }
    /* 32 fair coins: fewer than 5 on one side happens once in 60,000 runs */
    assert_true(halves[0] >= 5 && halves[1] >= 5);
    bench_close(&b);
}

static void hurry_brings_the_next_check_forward(void **state)
{
    static struct bench b;
    bench_open(&b, 4);
    b.answer = "HTTP/1.1 204 No\r\n\r\n";
    struct view_check c = http("");
    one_check(&b, &c);
    assert_false(run_until(&b, 2, 20 * NS_PER_MS));
    b.delay = 10 * NS_PER_MS;
    prober_hurry(b.prober, 3);
    assert_true(run_until(&b, 2, NS_PER_S));
    bench_close(&b);
}

/* A reload that changes nothing of a check leaves one in flight alone; one that does starts anew.
 */
static void a_check_in_flight_survives_an_equal_set(void **state)
{
    static struct bench b;
    bench_open(&b, 4);
    b.manner = SILENT;
    struct view_check c = http("");
    char path[] = "/health";
    c.path = str_of(path);
    prober_set(b.prober, 3, &b.addr, &c);
    while (!b.request.n)
        run_until(&b, 1, NS_PER_MS);
    struct view_check same = http("");
    path[1] = 'X'; /* the strings are the prober's own */
    prober_set(b.prober, 3, &b.addr, &same);
    assert_false(run_until(&b, 1, 20 * NS_PER_MS));
    assert_int_equal(b.accepted, 1);
    same.path = STR("/other");
    buf_clear(&b.request);
    prober_set(b.prober, 3, &b.addr, &same);
    while (!b.request.n)
        run_until(&b, 1, NS_PER_MS);
    assert_int_equal(b.accepted, 2);
    assert_non_null(strstr(b.request.p, "GET /other "));
    assert_int_equal(b.n_signals, 0); /* the one given up is no evidence */
    same.kind = CHECK_NONE;
    prober_set(b.prober, 3, &b.addr, &same);
    while (b.n_peers)
        run_until(&b, 1, NS_PER_MS);
    assert_int_equal(b.n_signals, 0);
    bench_close(&b);
}

/* Out of descriptors: no signal, said once, and checks go on when there are some again. */
static void starving_blames_nobody(void **state)
{
    static struct bench b;
    struct rlimit before, none;
    bench_open(&b, 4);
    b.answer = "HTTP/1.1 204 No\r\n\r\n";
    struct view_check c = http("");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    none = before;
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    prober_set(b.prober, 3, &b.addr, &c);
    prober_set(b.prober, 4, &b.addr, &c);
    run_until(&b, 1, 5 * NS_PER_S);
    assert_int_equal(b.starved, 1);
    assert_false(run_until(&b, 1, 1200 * NS_PER_MS)); /* it tried again, and again in vain */
    assert_int_equal(b.starved, 1);
    assert_int_equal(b.n_signals, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(run_until(&b, 2, 5 * NS_PER_S));
    assert_int_equal(b.signals[0].kind, SIGNAL_CHECK_OK);
    assert_int_equal(b.signals[1].kind, SIGNAL_CHECK_OK);
    bench_close(&b);
}

/* The process was stopped while an answer lay unread: that is no time-out of the instance. */
static void our_own_lateness_is_no_evidence(void **state)
{
    static struct bench b;
    bench_open(&b, 4);
    b.manner = SILENT;
    struct view_check c = http("");
    c.timeout = 200 * NS_PER_MS;
    prober_set(b.prober, 3, &b.addr, &c);
    while (!b.request.n)
        run_until(&b, 1, NS_PER_MS);
    struct timespec stopped = {.tv_sec = 1};
    nanosleep(&stopped, NULL); /* stands for SIGSTOP */
    b.manner = ANSWERS;
    b.answer = "HTTP/1.1 204 No\r\n\r\n";
    assert_true(run_until(&b, 1, 5 * NS_PER_S));
    assert_int_equal(b.signals[0].kind, SIGNAL_CHECK_OK);
    bench_close(&b);
}

static void making_one_may_fail(void **state)
{
    struct loop *l;
    struct err e = {0};
    struct prober_owner owner = {0};
    assert_int_equal(loop_new(&l, &e), 0);
    for (unsigned long n = 1; n <= 2; n++) {
        struct prober *p = NULL;
        mem_fail_at(n);
        assert_int_equal(prober_new(&p, l, 4, 4, &owner, &e), -ERR_NOMEM);
        assert_true(mem_failed());
        mem_fail_at(0);
    }
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_become_signals),
        cmocka_unit_test(broken_connections_become_signals),
        cmocka_unit_test(few_are_in_flight_and_none_is_forgotten),
        cmocka_unit_test(checks_are_spread),
        cmocka_unit_test(hurry_brings_the_next_check_forward),
        cmocka_unit_test(a_check_in_flight_survives_an_equal_set),
        cmocka_unit_test(starving_blames_nobody),
        cmocka_unit_test(our_own_lateness_is_no_evidence),
        cmocka_unit_test(making_one_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
