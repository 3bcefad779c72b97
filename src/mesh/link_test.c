/* Units of one link, over socket pairs and real loops: the proof, its refusals, messages, bounds,
 * silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/link_inside.h"

static const struct str IDENTITY = {"who I am", 8};

/* One end, and what it was told. */
struct end {
    struct rig *rig;
    struct link *k; /* NULL when it has gone */
    uint8_t secret[LINK_SECRET];
    unsigned ups, messages;
    size_t bytes;
    bool gone, knows;
    enum link_why why;
    char text[128];
    uint16_t kind;
    char last[64];
    void (*on_message)(struct end *x);
};

struct rig {
    struct loop *loop;
    struct link_tls *tls, *other_tls;
    struct end client, server;
    struct timer tick;
    uint64_t until;
    bool timed_out;
};

static bool on_secret(struct link *k, struct str identity, uint8_t out[LINK_SECRET])
{
    struct end *x = link_owner(k);
    memcpy(out, x->secret, LINK_SECRET);
    return x->knows && str_eq(identity, IDENTITY);
}

static void settle(struct end *x)
{
    loop_stop(x->rig->loop);
}

static void on_up(struct link *k)
{
    struct end *x = link_owner(k);
    x->ups++;
    settle(x);
}

static void on_message(struct link *k, uint16_t kind, struct str bytes)
{
    struct end *x = link_owner(k);
    x->messages++;
    x->bytes += bytes.n;
    x->kind = kind;
    str_copy(x->last, sizeof x->last, bytes);
    if (x->on_message)
        x->on_message(x);
    settle(x);
}

static void on_gone(struct link *k, enum link_why why, const char *text)
{
    struct end *x = link_owner(k);
    assert_false(x->gone);
    x->gone = true;
    x->k = NULL;
    x->why = why;
    str_copy(x->text, sizeof x->text, str_of(text));
    settle(x);
}

static const struct link_host host = {on_secret, on_up, on_message, on_gone};

/* Conditions are looked at again and again: some are about what the loop does not know. */
static void on_tick(struct timer *t)
{
    struct rig *r = CONTAINER_OF(t, struct rig, tick);
    r->timed_out = loop_now(r->loop) > r->until;
    loop_stop(r->loop);
}

/* Turns until the condition holds. */
#define UNTIL(r, condition)                                                                        \
    do {                                                                                           \
        (r)->timed_out = false;                                                                    \
        (r)->until = loop_refresh((r)->loop) + 30 * NS_PER_S;                                      \
        while (!(condition) && !(r)->timed_out)                                                    \
            turn(r);                                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static void turn(struct rig *r)
{
    loop_timer_set(r->loop, &r->tick, loop_now(r->loop) + 8 * NS_PER_MS);
    assert_int_equal(loop_run(r->loop, NULL), 0);
    loop_timer_stop(r->loop, &r->tick);
}

static void rig_open(struct rig *r)
{
    *r = (struct rig){0};
    assert_int_equal(loop_new(&r->loop, NULL), 0);
    assert_int_equal(link_tls_new(&r->tls, NULL), 0);
    assert_int_equal(link_tls_new(&r->other_tls, NULL), 0);
    timer_init(&r->tick, on_tick);
    r->client = (struct end){.rig = r, .secret = "0123456789abcdef0123456789abcde"};
    r->server = r->client;
    r->server.knows = true;
}

static void end_close(struct end *x)
{
    if (x->k)
        link_end(x->k);
    x->k = NULL;
}

static void rig_close(struct rig *r)
{
    end_close(&r->client);
    end_close(&r->server);
    link_tls_free(r->tls);
    link_tls_free(r->other_tls);
    loop_free(r->loop);
}

/* The accepting end on one side of a pair; the other side is returned, bare. */
static int serve(struct rig *r)
{
    int fds[2];
    struct addr nowhere = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(
        link_accept(&r->server.k, r->other_tls, r->loop, fds[1], &nowhere, &host, &r->server, NULL),
        0);
    return fds[0];
}

/* The connecting end of a connection; the other side is returned, bare. */
static int ask_bare(struct rig *r)
{
    char path[] = "/tmp/link-test-XXXXXX";
    struct addr at = {.kind = ADDR_UNIX};
    assert_true(mkdtemp(path) != NULL);
    snprintf(at.path, sizeof at.path, "%s/s", path);
    int listener = net_listen(&at, 4, NULL);
    assert_true(listener >= 0);
    assert_int_equal(link_connect(&r->client.k, r->tls, r->loop, &at, IDENTITY, r->client.secret,
                                  &host, &r->client, NULL),
                     0);
    int fd = net_accept(listener, NULL);
    assert_true(fd >= 0);
    close(listener);
    unlink(at.path);
    rmdir(path);
    return fd;
}

static void ask(struct rig *r)
{
    struct addr nowhere = {0};
    int fd = ask_bare(r);
    assert_int_equal(
        link_accept(&r->server.k, r->other_tls, r->loop, fd, &nowhere, &host, &r->server, NULL), 0);
}

static void both_up(struct rig *r)
{
    ask(r);
    UNTIL(r, (r->client.ups && r->server.ups) || r->client.gone || r->server.gone);
    assert_false(r->client.gone || r->server.gone);
}

static void say(struct end *x, uint16_t kind, const char *text)
{
    assert_int_equal(link_send(x->k, kind, str_of(text), NULL), 0);
}

/* --- the proof --- */

static void two_ends_with_one_secret_meet(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    assert_true(link_is_proven(r.client.k) && link_is_proven(r.server.k));
    assert_true(str_eq(link_identity(r.server.k), IDENTITY));
    assert_int_equal(link_version(r.client.k), LINK_VERSION_HIGH);
    say(&r.client, 7, "hello");
    UNTIL(&r, r.server.messages);
    assert_int_equal(r.server.kind, 7);
    assert_string_equal(r.server.last, "hello");
    say(&r.server, 9, "hello yourself");
    UNTIL(&r, r.client.messages);
    assert_int_equal(r.client.kind, 9);
    assert_string_equal(r.client.last, "hello yourself");
    assert_int_equal(r.client.ups, 1);
    assert_int_equal(r.server.ups, 1);
    rig_close(&r);
}

static void it_is_tls_1_3_with_fresh_keys_and_nothing_else(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    for (unsigned i = 0; i < 2; i++) {
        SSL *ssl = i ? r.client.k->ssl : r.server.k->ssl;
        assert_string_equal(SSL_get_version(ssl), "TLSv1.3");
        assert_string_equal(SSL_get_cipher_name(ssl), "TLS_AES_256_GCM_SHA384");
        assert_int_equal(SSL_session_reused(ssl), 1);
        assert_int_equal(SSL_get_negotiated_group(ssl), NID_X25519); /* psk_dhe_ke */
        assert_int_equal(SSL_get_early_data_status(ssl), SSL_EARLY_DATA_NOT_SENT);
    }
    rig_close(&r);
}

static void neither_message_nor_up_comes_without_the_secret(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    r.client.secret[0] ^= 1;
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_int_equal(r.server.why, LINK_KEY);
    assert_int_equal(r.client.why, LINK_KEY);
    assert_int_equal(r.server.ups + r.client.ups, 0);
    rig_close(&r);
}

static void who_is_not_known_learns_no_more_than_who_has_another_secret(void **state)
{
    struct rig r;
    char wrong_secret[128];
    (void)state;
    rig_open(&r);
    r.client.secret[0] ^= 1;
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    str_copy(wrong_secret, sizeof wrong_secret, str_of(r.client.text));
    rig_close(&r);
    rig_open(&r);
    r.server.knows = false;
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_int_equal(r.server.why, LINK_KEY);
    assert_string_equal(r.client.text, wrong_secret);
    rig_close(&r);
}

static void a_certificate_is_no_proof(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    /* An accepting end that takes anybody, as a web server does: here, one without a secret. */
    SSL_CTX_set_psk_find_session_callback(r.other_tls->server, NULL);
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_int_equal(r.client.why, LINK_KEY);
    assert_int_equal(r.client.ups, 0);
    rig_close(&r);
}

static void who_names_no_secret_is_refused(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    SSL_CTX_set_psk_use_session_callback(r.tls->client, NULL);
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_int_equal(r.server.why, LINK_PLAIN);
    assert_int_equal(r.server.ups, 0);
    rig_close(&r);
}

static void older_tls_is_refused(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    SSL_CTX_set_min_proto_version(r.tls->client, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(r.tls->client, TLS1_2_VERSION);
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_int_equal(r.server.why, LINK_PLAIN);
    rig_close(&r);
}

/* --- who does not speak TLS --- */

static void plain_text_is_refused(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    int fd = serve(&r);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), 27);
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_PLAIN);
    close(fd);
    rig_close(&r);
}

static void noise_is_refused(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 64; seed++) {
        struct rig r;
        struct prng dice;
        uint8_t noise[512];
        rig_open(&r);
        prng_seed(&dice, seed);
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)prng_next(&dice);
        if (seed % 2)
            memcpy(noise, (uint8_t[]){0x16, 3, 1, 1, 0xfb, 1, 0, 1, 0xf7, 3, 3}, 11);
        int fd = serve(&r);
        assert_int_equal(write(fd, noise, sizeof noise), sizeof noise);
        shutdown(fd, SHUT_WR);
        UNTIL(&r, r.server.gone);
        assert_true(r.server.why == LINK_PLAIN || r.server.why == LINK_BROKEN);
        assert_int_equal(r.server.ups, 0);
        close(fd);
        rig_close(&r);
    }
}

static void who_sends_much_and_proves_nothing_is_cut(void **state)
{
    struct rig r;
    static uint8_t much[6 * 3000]; /* a hello that never ends, one byte to a record */
    (void)state;
    rig_open(&r);
    int fd = serve(&r);
    for (size_t i = 0; i < sizeof much; i += 6)
        memcpy(much + i, (uint8_t[]){0x16, 3, 1, 0, 1, 3}, 6);
    much[5] = 1;     /* client hello */
    much[5 + 6] = 0; /* of 0x3000 bytes */
    much[5 + 12] = 0x30;
    assert_int_equal(write(fd, much, sizeof much), sizeof much);
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_FLOOD);
    close(fd);
    rig_close(&r);
}

static void a_cut_hello_is_broken(void **state)
{
    struct rig r;
    char hello[2048];
    (void)state;
    rig_open(&r);
    int mine = ask_bare(&r);
    UNTIL(&r, recv(mine, hello, sizeof hello, MSG_PEEK | MSG_DONTWAIT) > 0);
    ssize_t n = recv(mine, hello, sizeof hello, MSG_DONTWAIT);
    assert_true(n > 100);
    close(mine);
    UNTIL(&r, r.client.gone);
    for (ssize_t cut = 1; cut < n; cut += 13) {
        struct rig s;
        rig_open(&s);
        int fd = serve(&s);
        assert_int_equal(write(fd, hello, (size_t)cut), cut);
        close(fd);
        UNTIL(&s, s.server.gone);
        assert_int_equal(s.server.why, LINK_BROKEN);
        rig_close(&s);
    }
    rig_close(&r);
}

/* A recorded hello says nothing new the second time: its sender has not the answer's keys. */
static void a_replayed_hello_comes_to_nothing(void **state)
{
    struct rig r;
    char hello[2048];
    (void)state;
    rig_open(&r);
    int mine = ask_bare(&r);
    UNTIL(&r, recv(mine, hello, sizeof hello, MSG_PEEK | MSG_DONTWAIT) > 0);
    ssize_t n = recv(mine, hello, sizeof hello, MSG_DONTWAIT);
    close(mine);
    UNTIL(&r, r.client.gone);
    int fd = serve(&r);
    assert_int_equal(write(fd, hello, (size_t)n), n);
    char answer[4096];
    UNTIL(&r, recv(fd, answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT) >
                  0); /* the server's first flight */
    assert_int_equal(write(fd, hello, (size_t)n), n);
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.ups, 0);
    assert_int_equal(r.server.why, LINK_KEY);
    close(fd);
    rig_close(&r);
}

static void who_says_nothing_is_not_waited_for(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    link_tls_times(r.other_tls, 200 * NS_PER_MS, NS_PER_S, NS_PER_S);
    uint64_t began = loop_refresh(r.loop);
    int fd = serve(&r);
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_LATE);
    assert_true(clock_now() - began >= 200 * NS_PER_MS);
    close(fd);
    rig_close(&r);
}

/* --- versions --- */

static void adjacent_releases_agree(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    link_tls_versions(r.tls, 1, 3);
    link_tls_versions(r.other_tls, 2, 2);
    both_up(&r);
    assert_int_equal(link_version(r.client.k), 2);
    assert_int_equal(link_version(r.server.k), 2);
    say(&r.client, 1, "across");
    UNTIL(&r, r.server.messages);
    rig_close(&r);
}

static void distant_releases_part(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    link_tls_versions(r.tls, 1, 2);
    link_tls_versions(r.other_tls, 3, 4);
    ask(&r);
    UNTIL(&r, r.client.gone && r.server.gone);
    assert_true(r.client.why == LINK_VERSION || r.server.why == LINK_VERSION);
    assert_int_equal(r.client.ups + r.server.ups, 0);
    rig_close(&r);
}

static void wrong_frame(struct rig *r, uint16_t kind, uint16_t version, struct str body)
{
    link_frame_write(&r->client.k->out, kind, version, body);
    loop_defer(r->loop, &r->client.k->task);
}

static void a_message_of_another_version_ends_the_link(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    wrong_frame(&r, 1, 2, STR("x"));
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_MALFORMED);
    assert_int_equal(r.server.messages, 0);
    rig_close(&r);
}

static void a_second_hello_ends_the_link(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    wrong_frame(&r, LINK_HELLO, 1, STR("x"));
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_MALFORMED);
    rig_close(&r);
}

static void kinds_of_a_later_release_are_passed_over(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    wrong_frame(&r, 0xff77, 1, STR("x"));
    say(&r.client, 5, "after it");
    UNTIL(&r, r.server.messages || r.server.gone);
    assert_string_equal(r.server.last, "after it");
    rig_close(&r);
}

static void a_length_beyond_the_bound_ends_the_link(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    put_u32(&r.client.k->out, LINK_MESSAGE_MAX + 1);
    put_u32(&r.client.k->out, 0x00010001);
    loop_defer(r.loop, &r.client.k->task);
    UNTIL(&r, r.server.gone);
    assert_int_equal(r.server.why, LINK_MALFORMED);
    rig_close(&r);
}

/* --- messages --- */

static void long_messages_arrive_whole_and_in_order(void **state)
{
    struct rig r;
    static char bytes[LINK_MESSAGE_MAX];
    (void)state;
    rig_open(&r);
    both_up(&r);
    memset(bytes, 'x', sizeof bytes);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(link_send(r.client.k, 1, (struct str){bytes, sizeof bytes}, NULL), 0);
    say(&r.client, 2, "last");
    UNTIL(&r, r.server.messages == 4);
    assert_int_equal(r.server.bytes, 3 * sizeof bytes + 4);
    assert_string_equal(r.server.last, "last");
    assert_int_equal(link_queued(r.client.k), 0);
    assert_int_equal(link_send(r.client.k, 1, (struct str){bytes, sizeof bytes + 1}, NULL),
                     -ERR_LIMIT);
    rig_close(&r);
}

static void a_queue_is_bounded(void **state)
{
    struct rig r;
    static char bytes[LINK_MESSAGE_MAX];
    struct err e = {0};
    unsigned took = 0;
    (void)state;
    rig_open(&r);
    both_up(&r);
    while (link_send(r.client.k, 1, (struct str){bytes, sizeof bytes}, &e) == 0)
        assert_true(++took < 100);
    assert_int_equal(e.code, -ERR_BUSY);
    assert_true(link_queued(r.client.k) <= LINK_QUEUE_MAX);
    UNTIL(&r, r.server.messages == took); /* and drains */
    assert_int_equal(link_send(r.client.k, 1, (struct str){bytes, sizeof bytes}, NULL), 0);
    rig_close(&r);
}

static void answer(struct end *x)
{
    say(x, 3, "answer");
}

static void an_answer_may_be_sent_from_within(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    r.server.on_message = answer;
    say(&r.client, 1, "question");
    UNTIL(&r, r.client.messages);
    assert_string_equal(r.client.last, "answer");
    rig_close(&r);
}

static void quit(struct end *x)
{
    link_end(x->k);
    x->k = NULL;
}

static void a_link_may_be_ended_from_within(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    both_up(&r);
    r.server.on_message = quit;
    say(&r.client, 1, "one");
    say(&r.client, 1, "two");
    UNTIL(&r, r.client.gone);
    assert_int_equal(r.client.why, LINK_GOODBYE);
    assert_int_equal(r.server.messages, 1);
    assert_false(r.server.gone);
    rig_close(&r);
}

static void finishing_says_all_first(void **state)
{
    struct rig r;
    static char bytes[LINK_MESSAGE_MAX];
    (void)state;
    rig_open(&r);
    both_up(&r);
    assert_int_equal(link_send(r.client.k, 1, (struct str){bytes, sizeof bytes}, NULL), 0);
    link_finish(r.client.k);
    assert_int_equal(link_send(r.client.k, 1, STR("late"), NULL), -ERR_ABSENT);
    UNTIL(&r, r.server.gone && r.client.gone);
    assert_int_equal(r.server.messages, 1);
    assert_int_equal(r.server.bytes, sizeof bytes);
    assert_int_equal(r.server.why, LINK_GOODBYE);
    rig_close(&r);
}

/* --- time --- */

static void a_dead_link_is_noticed(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    link_tls_times(r.tls, 5 * NS_PER_S, 100 * NS_PER_MS, 400 * NS_PER_MS);
    both_up(&r);
    uint64_t began = clock_now();
    /* The accepting end is stopped: it hears and says nothing any more. */
    loop_io_stop(r.loop, &r.server.k->io);
    loop_timer_stop(r.loop, &r.server.k->timer);
    UNTIL(&r, r.client.gone);
    assert_int_equal(r.client.why, LINK_SILENT);
    assert_true(clock_now() - began >= 300 * NS_PER_MS);
    int fd = r.server.k->fd;
    link_end(r.server.k);
    r.server.k = NULL;
    close(fd);
    rig_close(&r);
}

static void who_has_nothing_to_say_says_so(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    link_tls_times(r.tls, 5 * NS_PER_S, 100 * NS_PER_MS, 2 * NS_PER_S);
    link_tls_times(r.other_tls, 5 * NS_PER_S, 100 * NS_PER_MS, 2 * NS_PER_S);
    both_up(&r);
    uint64_t began = clock_now();
    UNTIL(&r, clock_now() - began > 3 * NS_PER_S);
    assert_false(r.client.gone || r.server.gone);
    assert_int_equal(r.client.messages + r.server.messages, 0);
    say(&r.client, 1, "still here");
    UNTIL(&r, r.server.messages);
    rig_close(&r);
}

/* --- memory --- */

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned long at = 1;; at++) {
        struct rig r;
        rig_open(&r);
        struct addr nowhere = {0};
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        close(fds[0]);
        mem_fail_at(at);
        struct err e = {0};
        int rc =
            link_accept(&r.server.k, r.other_tls, r.loop, fds[1], &nowhere, &host, &r.server, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true(failed == (rc == -ERR_NOMEM));
        if (rc)
            r.server.k = NULL;
        rig_close(&r);
        if (!failed)
            break;
    }
    for (unsigned long at = 1; at < 100; at++) {
        struct rig r;
        rig_open(&r);
        ask(&r);
        mem_fail_at(at);
        UNTIL(&r, (r.client.ups && r.server.ups) || r.client.gone || r.server.gone);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (failed && (r.client.gone || r.server.gone))
            assert_true(r.client.why == LINK_NOMEM || r.server.why == LINK_NOMEM);
        rig_close(&r);
        if (!failed)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ends_with_one_secret_meet),
        cmocka_unit_test(it_is_tls_1_3_with_fresh_keys_and_nothing_else),
        cmocka_unit_test(neither_message_nor_up_comes_without_the_secret),
        cmocka_unit_test(who_is_not_known_learns_no_more_than_who_has_another_secret),
        cmocka_unit_test(a_certificate_is_no_proof),
        cmocka_unit_test(who_names_no_secret_is_refused),
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(plain_text_is_refused),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(who_sends_much_and_proves_nothing_is_cut),
        cmocka_unit_test(a_cut_hello_is_broken),
        cmocka_unit_test(a_replayed_hello_comes_to_nothing),
        cmocka_unit_test(who_says_nothing_is_not_waited_for),
        cmocka_unit_test(adjacent_releases_agree),
        cmocka_unit_test(distant_releases_part),
        cmocka_unit_test(a_message_of_another_version_ends_the_link),
        cmocka_unit_test(a_second_hello_ends_the_link),
        cmocka_unit_test(kinds_of_a_later_release_are_passed_over),
        cmocka_unit_test(a_length_beyond_the_bound_ends_the_link),
        cmocka_unit_test(long_messages_arrive_whole_and_in_order),
        cmocka_unit_test(a_queue_is_bounded),
        cmocka_unit_test(an_answer_may_be_sent_from_within),
        cmocka_unit_test(a_link_may_be_ended_from_within),
        cmocka_unit_test(finishing_says_all_first),
        cmocka_unit_test(a_dead_link_is_noticed),
        cmocka_unit_test(who_has_nothing_to_say_says_so),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
