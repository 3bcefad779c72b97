/* Redis, as far as it can be had without one: its configuration, what INFO says, the sink that a
 * fenced one follows, the connection to one. */
#include "recover/agents/keeper_redis.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct agent_instance sample(void)
{
    struct agent_instance i = {.service = "cache",
                               .kind = KIND_REDIS,
                               .place = 1,
                               .n_places = 3,
                               .places = {{.name = "a"}, {.name = "b"}, {.name = "c"}},
                               .demotion = 100 * NS_PER_MS,
                               .hang_after = NS_PER_S,
                               .password = "00112233445566778899aabbccddeeff",
                               .gate_password = "ffeeddccbbaa99887766554433221100"};
    assert_true(addr_parse(STR("10.0.0.1:6379"), &i.places[0].address));
    assert_true(addr_parse(STR("10.0.0.2:6380"), &i.places[1].address));
    assert_true(addr_parse(STR("[2001:db8::3]:6379"), &i.places[2].address));
    assert_int_equal(instance_check(&i, NULL), 0);
    return i;
}

/* --- configuration --- */

static bool has(const struct buf *b, const char *line)
{
    return memmem(b->p, b->n, line, strlen(line)) != NULL;
}

static void it_is_configured_to_refuse_writes_until_it_is_promoted(void **state)
{
    struct agent_instance spec = sample();
    static const char *const own[] = {"maxmemory 1g", "save 900 1", NULL};
    struct buf b = {0};
    assert_true(redis_conf_write(&b, &spec, "/var/lib/hold \"fast\"\\\n/redis-cache", 4711, own));
    assert_true(has(&b, "\ndir \"/var/lib/hold \\\"fast\\\"\\\\\\x0a/redis-cache\"\n"));
    assert_true(has(&b, "\nbind 10.0.0.2\nport 6380\n"));
    assert_true(has(&b, "\nreplicaof 127.0.0.1 4711\n"));
    assert_true(has(&b, "\nreplica-read-only yes\n"));
    assert_true(has(&b, "\nreplica-announce-ip 10.0.0.2\nreplica-announce-port 6380\n"));
    assert_true(has(&b, "\nmasterauth 00112233445566778899aabbccddeeff\n"));
    assert_true(has(&b, "\nuser default on >ffeeddccbbaa99887766554433221100 ~* &* +@all -@admin"));
    assert_true(has(&b, "\nappendonly yes\n"));
    assert_true(has(&b, "\nmaxmemory 1g\nsave 900 1\n"));
    assert_true(has(&b, "\nreplica-ignore-disk-write-errors yes\n"));
    buf_free(&b);
}

static void memory_for_it_may_run_out(void **state)
{
    struct agent_instance spec = sample();
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        struct buf b = {0};
        mem_fail_at(n);
        bool ok = redis_conf_write(&b, &spec, "/state", 4711, NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(ok, done);
        buf_free(&b);
    }
}

/* --- INFO --- */

static void a_primary_tells_of_its_followers(void **state)
{
    struct agent_instance spec = sample();
    struct redis_info i;
    assert_true(redis_info_read(
        STR("# Replication\r\nrole:master\r\nconnected_slaves:3\r\n"
            "slave0:ip=10.0.0.1,port=6379,state=online,offset=120,lag=1\r\n"
            "slave1:ip=2001:db8::3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n"
            "slave2:ip=10.0.0.9,port=6379,state=online,offset=130,lag=0\r\n"
            "slave3:ip=10.0.0.2,port=6380,state=online,offset=130,lag=0\r\n"
            "master_replid:a08b0323cf2f6e5e0822e6decc9599edbabb5eb0\r\nmaster_repl_offset:150\r\n"),
        &spec, &i));
    assert_true(i.primary && i.position == 150);
    assert_string_equal(i.id, "a08b0323cf2f6e5e0822e6decc9599edbabb5eb0");
    assert_true(i.followers[0].connected && i.followers[0].position == 120 &&
                i.followers[0].lag == NS_PER_S);
    assert_false(i.followers[1].connected); /* itself */
    assert_false(i.followers[2].connected); /* not online yet */
}

static void a_replica_tells_of_its_link(void **state)
{
    struct agent_instance spec = sample();
    struct redis_info i;
    assert_true(redis_info_read(STR("role:slave\r\nmaster_link_status:up\r\n"
                                    "master_sync_in_progress:0\r\nslave_repl_offset:77\r\n"
                                    "master_repl_offset:99\r\n"),
                                &spec, &i));
    assert_true(!i.primary && i.link_up && !i.syncing && i.position == 77);
    assert_true(redis_info_read(STR("role:slave\r\nmaster_link_status:down\r\n"
                                    "master_sync_in_progress:1\r\nslave_repl_offset:0\r\n"),
                                &spec, &i));
    assert_true(!i.link_up && i.syncing);
}

static void what_is_no_info_is_refused(void **state)
{
    static const char *const bad[] = {"", "role", "role:slave\r\n", "role:master\r\n",
                                      "role:master\r\nmaster_repl_offset:x\r\n"};
    struct agent_instance spec = sample();
    struct redis_info i;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(redis_info_read(str_of(bad[k]), &spec, &i));
}

/* --- how long it is not well --- */

static void only_time_in_which_we_ran_counts(void **state)
{
    enum { EVERY = 25, MOST = 50, BOUND = 100 };
    uint64_t now = 1000;
    struct patience p;
    patience_good(&p, now);
    for (int i = 0; i < 10; i++)
        patience_turn(&p, now += EVERY, MOST, 0, BOUND);
    assert_int_equal(p.bad, 10 * EVERY);
    assert_int_equal(patience_turn(&p, now += 3000, MOST, 0, BOUND),
                     10 * EVERY + MOST); /* we were stopped */
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, 0, BOUND), 11 * EVERY + MOST);
    assert_int_equal(patience_turn(&p, now, MOST, 0, BOUND), 11 * EVERY + MOST);
    patience_good(&p, now += 3000);
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, 0, BOUND), EVERY);
}

/* What it waited for a processor does not count, but no more of it than the bound, and no more than
 * the turn. */
static void test_patience_spares_who_gets_no_processor(void **state)
{
    enum { EVERY = 25, MOST = 50, BOUND = 100 };
    uint64_t now = 1000;
    struct patience p;
    patience_good(&p, now);
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, 10, BOUND), 15);
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, 10 * EVERY, BOUND), 15);
    assert_int_equal(p.spared, 35);
    for (int i = 0; i < 3; i++)
        patience_turn(&p, now += EVERY, MOST, EVERY, BOUND);
    assert_int_equal(p.spared, BOUND);
    assert_int_equal(p.bad, 25);
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, EVERY, BOUND), 50);
    patience_good(&p, now);
    assert_int_equal(patience_turn(&p, now += EVERY, MOST, EVERY, BOUND), 0);
}

/* --- starved --- */

static void test_starved_reads_what_the_kernel_tells(void **state)
{
    uint64_t ran, over;
    char is;
    assert_true(starved_read(STR("46410173010 336982886147 843735\n"),
                             STR("19979 (redis) (ser) R 1 2 3\n"), &ran, &over, &is));
    assert_int_equal(ran, 46410173010);
    assert_int_equal(over, 336982886147);
    assert_int_equal(is, 'R');
    assert_false(starved_read(STR("1 2 3\n"), STR(""), &ran, &over, &is));
    assert_false(starved_read(STR("1 2 3\n"), STR("1 (redis"), &ran, &over, &is));
    assert_false(starved_read(STR("1 2 3\n"), STR("1 (redis)"), &ran, &over, &is));
    assert_false(starved_read(STR(""), STR("1 (redis) R 1"), &ran, &over, &is));
    assert_false(starved_read(STR("1"), STR("1 (redis) R 1"), &ran, &over, &is));
    assert_false(starved_read(STR("1 x"), STR("1 (redis) R 1"), &ran, &over, &is));
}

static void test_starved_is_who_is_ready_and_does_not_run(void **state)
{
    struct starved s;
    starved_init(&s);
    assert_int_equal(starved_seen(&s, 1000, 50, 700, 'S'), 0); /* what was before is not ours */
    assert_int_equal(starved_seen(&s, 1025, 51, 710, 'S'), 10);
    assert_int_equal(starved_seen(&s, 1050, 51, 710, 'R'), 0); /* since when? */
    assert_int_equal(starved_seen(&s, 1075, 51, 710, 'R'), 25);
    assert_string_equal(starved_state(&s), "it gets no processor");
    assert_int_equal(starved_seen(&s, 1100, 51, 710, 'R'), 25);
    assert_int_equal(starved_seen(&s, 1125, 52, 780, 'R'),
                     20); /* it got one: the kernel's own sum */
    assert_int_equal(starved_seen(&s, 1150, 77, 780, 'R'), 0); /* it computes */
    for (const char *other = "SDTZ"; *other; other++) {
        starved_seen(&s, 1175, 77, 780, *other);
        assert_int_equal(starved_seen(&s, 9000, 77, 780, *other), 0);
    }
    assert_int_equal(starved_seen(&s, 9025, 77, 780, 'R'), 0);
    assert_int_equal(starved_look(&s, 9050), 0); /* nothing to read */
}

/* --- a loop that ends --- */

static void on_late(struct timer *t)
{
    (void)t;
    fail_msg("nothing happened");
}

static struct loop *loop_with_end(struct timer *end)
{
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l, NULL), 0);
    timer_init(end, on_late);
    loop_timer_set(l, end, loop_now(l) + 20 * NS_PER_S);
    return l;
}

static void loop_end(struct loop *l, struct timer *end)
{
    loop_timer_stop(l, end);
    loop_free(l);
}

/* --- the sink --- */

struct asker {
    struct loop *loop;
    struct io io;
    int fd;
    char got[256];
    size_t n;
    const char *until;
    bool closed, waits;
};

static void on_asker(struct io *io, unsigned ready)
{
    struct asker *a = CONTAINER_OF(io, struct asker, io);
    ssize_t n;
    (void)ready;
    while ((n = read(a->fd, a->got + a->n, sizeof a->got - 1 - a->n)) > 0)
        a->n += (size_t)n;
    a->got[a->n] = 0;
    a->closed = a->closed || n == 0 || errno != EAGAIN;
    if (a->waits && (a->closed || (a->until && strstr(a->got, a->until))))
        loop_stop(a->loop);
}

static void ask_open(struct asker *a, struct loop *l, uint16_t port)
{
    struct addr to = {.kind = ADDR_IP4, .ip = {127, 0, 0, 1}, .port = port};
    *a = (struct asker){.loop = l, .fd = net_connect(&to, NULL)};
    assert_true(a->fd >= 0);
    io_init(&a->io, on_asker);
    assert_int_equal(loop_io_start(l, &a->io, a->fd, NULL), 0);
}

static void expect(struct asker *a, const char *request, const char *answer)
{
    a->n = 0;
    a->got[0] = 0;
    a->until = answer;
    a->waits = true;
    assert_true(send(a->fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    assert_int_equal(loop_run(a->loop, NULL), 0);
    a->waits = false;
    if (answer)
        assert_string_equal(a->got, answer);
    else
        assert_true(a->closed);
}

static void a_fenced_one_is_kept_and_a_new_one_waits(void **state)
{
    struct timer end;
    struct loop *l = loop_with_end(&end);
    struct redis_sink s;
    struct asker a;
    assert_int_equal(redis_sink_open(&s, l, NULL), 0);
    ask_open(&a, l, s.port);
    expect(&a, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    expect(&a, "*3\r\n$4\r\nAUTH\r\n$8\r\nholdfast\r\n$1\r\nx\r\n", "+OK\r\n");
    expect(&a, "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n6379\r\n", "+OK\r\n");
    expect(&a, "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n",
           "-NOMASTERLINK there is no primary yet\r\n");
    expect(&a, "*3\r\n$5\r\nPSYNC\r\n$4\r\nabcd\r\n$2\r\n51\r\n", "+CONTINUE\r\n");
    /* Acknowledgements are not answered: the next answer is the next request's. */
    expect(&a, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n50\r\n*1\r\n$4\r\nPING\r\n",
           "+PONG\r\n");
    expect(&a, "*x\r\n", NULL);
    loop_io_close(l, &a.io);
    redis_sink_close(&s);
    loop_end(l, &end);
}

static void a_sink_holds_few_and_short_ones(void **state)
{
    struct timer end;
    struct loop *l = loop_with_end(&end);
    struct redis_sink s;
    struct asker a[SINK_CLIENTS + 1];
    char line[SINK_REQUEST + 2];
    assert_int_equal(redis_sink_open(&s, l, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask_open(&a[i], l, s.port);
        expect(&a[i], "*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    }
    size_t gone = 0;
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        gone += a[i].closed || recv(a[i].fd, line, 1, MSG_DONTWAIT) == 0;
    assert_int_equal(gone, 1);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = 0;
    expect(&a[SINK_CLIENTS], line, NULL);
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        loop_io_close(l, &a[i].io);
    redis_sink_close(&s);
    loop_end(l, &end);
}

/* --- the connection --- */

/* A Redis that says what it is told to, a byte at a time. */
struct fake {
    struct loop *loop;
    struct io listen_io, io;
    int listen_fd, fd;
    struct addr addr;
    const char *says;
};

static void on_question(struct io *io, unsigned ready)
{
    struct fake *f = CONTAINER_OF(io, struct fake, io);
    char piece[512];
    bool asked = false;
    (void)ready;
    while (read(f->fd, piece, sizeof piece) > 0)
        asked = true;
    if (!asked || !f->says)
        return;
    for (const char *c = f->says; *c; c++)
        assert_true(send(f->fd, c, 1, MSG_NOSIGNAL) == 1);
    f->says = NULL;
}

static void on_caller(struct io *io, unsigned ready)
{
    struct fake *f = CONTAINER_OF(io, struct fake, listen_io);
    (void)ready;
    if (f->fd >= 0)
        return;
    f->fd = net_accept(f->listen_fd, NULL);
    if (f->fd >= 0) {
        net_set_nodelay(f->fd);
        assert_int_equal(loop_io_start(f->loop, &f->io, f->fd, NULL), 0);
    }
}

static void fake_open(struct fake *f, struct loop *l, const char *says)
{
    *f = (struct fake){.loop = l, .fd = -1, .says = says};
    f->addr = (struct addr){.kind = ADDR_IP4, .ip = {127, 0, 0, 1}};
    f->listen_fd = net_listen(&f->addr, 4, NULL);
    assert_true(f->listen_fd >= 0 && net_local_addr(f->listen_fd, &f->addr));
    io_init(&f->listen_io, on_caller);
    io_init(&f->io, on_question);
    assert_int_equal(loop_io_start(l, &f->listen_io, f->listen_fd, NULL), 0);
}

static void fake_close(struct fake *f)
{
    if (f->fd >= 0)
        loop_io_close(f->loop, &f->io);
    loop_io_close(f->loop, &f->listen_io);
}

struct heard {
    struct loop *loop;
    uint32_t replies, want;
    uint8_t tags[8];
    char texts[8][32];
    char lost[64];
};

static void on_reply(void *context, uint8_t tag, const struct resp_value *v)
{
    struct heard *h = context;
    assert_true(h->replies < ARRAY_LEN(h->tags));
    h->tags[h->replies] = tag;
    str_copy(h->texts[h->replies++], sizeof h->texts[0], v->text);
    if (h->replies == h->want)
        loop_stop(h->loop);
}

static void on_lost(void *context, const char *why)
{
    struct heard *h = context;
    str_copy(h->lost, sizeof h->lost, str_of(why));
    loop_stop(h->loop);
}

/* Asks three things of one that says so. */
static void talk(const char *says, uint32_t want, struct heard *h)
{
    struct timer end;
    struct loop *l = loop_with_end(&end);
    struct fake f;
    struct redis_link link;
    fake_open(&f, l, says);
    *h = (struct heard){.loop = l, .want = want};
    redis_link_init(&link, l);
    link.context = h;
    link.on_reply = on_reply;
    link.on_lost = on_lost;
    assert_int_equal(redis_link_open(&link, &f.addr, "holdfast", "secret", NULL), 0);
    for (uint8_t tag = 1; tag <= 3; tag++)
        resp_put_words(redis_link_ask(&link, tag), "INFO", "replication", NULL);
    redis_link_flush(&link);
    assert_int_equal(loop_run(l, NULL), 0);
    assert_int_equal(redis_link_is_open(&link), h->lost[0] == 0);
    redis_link_close(&link);
    fake_close(&f);
    loop_end(l, &end);
}

static void replies_come_in_the_order_of_requests(void **state)
{
    struct heard h;
    talk("+OK\r\n$4\r\na\r\nb\r\n:5\r\n-ERR no\r\n", 3, &h);
    assert_true(h.tags[0] == 1 && h.tags[1] == 2 && h.tags[2] == 3);
    assert_string_equal(h.texts[0], "a\r\nb");
    assert_string_equal(h.texts[2], "ERR no");
    assert_string_equal(h.lost, "");
}

static void what_is_no_redis_is_left(void **state)
{
    static const struct {
        const char *says, *why;
    } cases[] = {
        {"-WRONGPASS invalid\r\n", "it refuses us"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "its answer is not of Redis"},
        {"+OK\r\n+1\r\n+2\r\n+3\r\n+4\r\n", "it refuses us"},
        {">1\r\n+x\r\n", "it refuses us"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard h;
        talk(cases[i].says, 0, &h);
        assert_string_equal(h.lost, cases[i].why);
    }
}

static void nobody_there_is_told(void **state)
{
    struct timer end;
    struct loop *l = loop_with_end(&end);
    struct heard h = {.loop = l};
    struct redis_link link;
    struct fake f;
    fake_open(&f, l, NULL);
    fake_close(&f);
    redis_link_init(&link, l);
    link.context = &h;
    link.on_reply = on_reply;
    link.on_lost = on_lost;
    assert_null(redis_link_ask(&link, 1));
    if (redis_link_open(&link, &f.addr, "holdfast", "secret", NULL) == 0) {
        assert_int_equal(loop_run(l, NULL), 0);
        assert_string_equal(h.lost, "nobody listens there");
    }
    assert_false(redis_link_is_open(&link));
    loop_end(l, &end);
}

static void requests_are_bounded_and_memory_may_run_out(void **state)
{
    struct timer end;
    struct loop *l = loop_with_end(&end);
    struct fake f;
    struct redis_link link;
    fake_open(&f, l, NULL);
    redis_link_init(&link, l);
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        mem_fail_at(n);
        int r = redis_link_open(&link, &f.addr, "holdfast", "secret", NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, done ? 0 : -ERR_NOMEM);
        assert_int_equal(redis_link_is_open(&link), done);
    }
    for (int i = 1; i < LINK_ASKED; i++)
        assert_non_null(redis_link_ask(&link, 1));
    assert_null(redis_link_ask(&link, 1));
    redis_link_close(&link);
    fake_close(&f);
    loop_end(l, &end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_configured_to_refuse_writes_until_it_is_promoted),
        cmocka_unit_test(memory_for_it_may_run_out),
        cmocka_unit_test(a_primary_tells_of_its_followers),
        cmocka_unit_test(a_replica_tells_of_its_link),
        cmocka_unit_test(what_is_no_info_is_refused),
        cmocka_unit_test(only_time_in_which_we_ran_counts),
        cmocka_unit_test(a_fenced_one_is_kept_and_a_new_one_waits),
        cmocka_unit_test(a_sink_holds_few_and_short_ones),
        cmocka_unit_test(replies_come_in_the_order_of_requests),
        cmocka_unit_test(what_is_no_redis_is_left),
        cmocka_unit_test(nobody_there_is_told),
        cmocka_unit_test(test_patience_spares_who_gets_no_processor),
        cmocka_unit_test(test_starved_reads_what_the_kernel_tells),
        cmocka_unit_test(test_starved_is_who_is_ready_and_does_not_run),
        cmocka_unit_test(requests_are_bounded_and_memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
