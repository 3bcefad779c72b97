/* Messages over real socketpairs, on a real loop: order, bounds, descriptors, and what ends a
 * connection. */
#include "daemon/ipc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct end {
    struct ipc ipc;
    unsigned got, gone;
    uint32_t next;     /* the number that the next message must carry */
    unsigned stop_at;  /* stops the loop at this many messages */
    unsigned close_at; /* closes itself at this many */
    int kept;          /* a descriptor taken out of a message */
    size_t last_n, last_fds;
    char why[128];
};

static struct loop *loop;
static struct end a, b;

static void on_message(struct ipc *c, struct ipc_message *m)
{
    struct end *e = CONTAINER_OF(c, struct end, ipc);
    e->got++;
    e->last_fds = m->n_fds;
    e->last_n = (size_t)(m->body.end - m->body.p);
    if (m->type == IPC_PEER)
        e->kept = ipc_take_fd(m);
    if (m->type == IPC_STOP)
        assert_int_equal(get_u32(&m->body), e->next++);
    if (e->close_at == e->got)
        ipc_close(c);
    if (e->stop_at == e->got)
        loop_stop(loop);
}

static void on_gone(struct ipc *c, const char *why)
{
    struct end *e = CONTAINER_OF(c, struct end, ipc);
    assert_int_equal(c->fd, -1);
    e->gone++;
    str_copy(e->why, sizeof e->why, str_of(why));
    loop_stop(loop);
}

static void open_end(struct end *e, int fd)
{
    *e = (struct end){.kept = -1, .ipc = {.fd = -1, .on_message = on_message, .on_gone = on_gone}};
    assert_int_equal(ipc_open(&e->ipc, loop, fd, NULL), 0);
}

static int set_up(void **state)
{
    int pair[2];
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(net_message_pair(pair, NULL), 0);
    open_end(&a, pair[0]);
    open_end(&b, pair[1]);
    return 0;
}

static int tear_down(void **state)
{
    ipc_close(&a.ipc);
    ipc_close(&b.ipc);
    loop_free(loop);
    return 0;
}

static void turn(void)
{
    assert_int_equal(loop_run(loop, NULL), 0);
}

static struct str number(uint32_t v, char out[4])
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (char)(v >> (8 * i));
    return (struct str){out, 4};
}

static void send_numbers(struct end *e, uint32_t from, uint32_t to)
{
    char bytes[4];
    for (uint32_t i = from; i < to; i++)
        assert_int_equal(ipc_send(&e->ipc, IPC_STOP, number(i, bytes), NULL, 0, NULL), 0);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void carries_bytes_and_descriptors(void **state)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    b.stop_at = 1;
    assert_int_equal(ipc_send(&a.ipc, IPC_PEER, STR("hello"), &pipe_fds[1], 1, NULL), 0);
    turn();
    assert_int_equal(b.last_n, 5);
    assert_true(b.kept >= 0);
    assert_int_equal(fcntl(b.kept, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(b.kept, "x", 1), 1);
    char got;
    assert_int_equal(read(pipe_fds[0], &got, 1), 1);
    close(b.kept);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void closes_descriptors_that_nobody_takes(void **state)
{
    unsigned before = open_descriptors();
    int many[IPC_MAX_FDS];
    for (unsigned i = 0; i < IPC_MAX_FDS; i++)
        many[i] = STDERR_FILENO;
    b.stop_at = 1;
    assert_int_equal(ipc_send(&a.ipc, IPC_VIEW_SOCKET, STR(""), many, IPC_MAX_FDS, NULL), 0);
    turn();
    assert_int_equal(b.last_fds, IPC_MAX_FDS);
    assert_int_equal(open_descriptors(), before);
}

/* More than a socket holds and more than one turn's share, so that queue, flush and the deferred
 * rest all take part; and room in the socket while messages wait must let nothing overtake them. */
static void keeps_order_through_the_queue(void **state)
{
    enum { MANY = 1000, READ = 100, MORE = 50 };
    send_numbers(&a, 0, MANY);
    assert_true(a.ipc.queued > 0);
    for (uint32_t i = 0; i < READ; i++) {
        struct ipc_message m;
        assert_int_equal(ipc_receive(b.ipc.fd, &m, NULL), 0);
        assert_int_equal(get_u32(&m.body), b.next++);
        ipc_message_end(&m);
    }
    send_numbers(&a, MANY, MANY + MORE);
    b.stop_at = MANY + MORE - READ;
    turn();
    assert_int_equal(b.next, MANY + MORE);
    assert_int_equal(a.ipc.queued, 0);
}

static void queued_descriptors_outlive_the_senders(void **state)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    unsigned sent = 0;
    for (char bytes[4]; a.ipc.queued == 0; sent++)
        assert_int_equal(ipc_send(&a.ipc, IPC_STOP, number(sent, bytes), NULL, 0, NULL), 0);
    assert_int_equal(ipc_send(&a.ipc, IPC_PEER, STR(""), &pipe_fds[1], 1, NULL), 0);
    close(pipe_fds[1]);
    b.stop_at = sent + 1;
    turn();
    assert_int_equal(write(b.kept, "x", 1), 1);
    close(b.kept);
    close(pipe_fds[0]);
}

static void a_full_queue_ends_the_connection_later(void **state)
{
    unsigned before = open_descriptors();
    int r = 0;
    int fd = STDERR_FILENO;
    for (unsigned i = 0; i < 100000 && r == 0; i++)
        r = ipc_send(&a.ipc, IPC_PEER, STR("x"), &fd, 1, NULL);
    assert_int_equal(r, -ERR_LIMIT);
    assert_int_equal(a.gone, 0);
    assert_false(ipc_is_open(&a.ipc));
    assert_int_equal(ipc_send(&a.ipc, IPC_PEER, STR(""), NULL, 0, NULL), -ERR_ABSENT);
    ipc_close(&b.ipc);
    turn();
    assert_int_equal(a.gone, 1);
    assert_int_equal(open_descriptors(), before - 2);
}

static void a_closed_peer_is_gone(void **state)
{
    ipc_close(&b.ipc);
    turn();
    assert_int_equal(a.gone, 1);
    assert_int_equal(a.got, 0);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
    send_numbers(&b, 0, 3);
    ipc_close(&b.ipc);
    turn();
    assert_int_equal(a.next, 3);
    assert_int_equal(a.gone, 1);
}

static void sending_to_a_closed_peer_fails_without_surprise(void **state)
{
    ipc_close(&b.ipc);
    assert_int_equal(ipc_send(&a.ipc, IPC_STOP, STR("...."), NULL, 0, NULL), -ERR_IO);
    assert_int_equal(a.gone, 0);
    turn();
    assert_int_equal(a.gone, 1);
}

static void a_handler_may_close(void **state)
{
    send_numbers(&a, 0, 5);
    b.close_at = 2;
    turn(); /* a finds its peer gone */
    assert_int_equal(b.got, 2);
    assert_int_equal(b.gone, 0);
}

static void malformed_bytes_end_the_connection(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } cases[] = {
        {"\1", 1},
        {"\1\0\0\0\0\0\0", 7},
        {"\0\0\0\0\0\0\0\0", 8},              /* type 0 */
        {"\377\0\0\0\0\0\0\0", 8},            /* a type beyond the last */
        {"\1\0\0\0\1\0\0\0", 8},              /* a body that is not there */
        {"\1\0\0\0\0\0\0\0x", 9},             /* a body that is not announced */
        {"\1\0\0\0\377\377\377\377xxxx", 12}, /* a length that overflows */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int pair[2];
        struct end c;
        assert_int_equal(net_message_pair(pair, NULL), 0);
        open_end(&c, pair[0]);
        c.stop_at = 1; /* it must not be taken for a message */
        assert_int_equal(net_message_send(pair[1], cases[i].p, cases[i].n, NULL, 0, NULL), 0);
        turn();
        assert_int_equal(c.got, 0);
        assert_int_equal(c.gone, 1);
        assert_non_null(strstr(c.why, "message"));
        close(pair[1]);
    }
}

static void too_long_is_refused_on_both_sides(void **state)
{
    static char bytes[IPC_MAX_BYTES + 1];
    assert_int_equal(
        ipc_send(&a.ipc, IPC_STOP, (struct str){bytes, IPC_MAX_BODY + 1}, NULL, 0, NULL),
        -ERR_LIMIT);
    assert_true(ipc_is_open(&a.ipc));
    b.stop_at = 1;
    assert_int_equal(ipc_send(&a.ipc, IPC_VIEW, (struct str){bytes, IPC_MAX_BODY}, NULL, 0, NULL),
                     0);
    turn();
    assert_int_equal(b.last_n, IPC_MAX_BODY);
    assert_int_equal(net_message_send(a.ipc.fd, bytes, sizeof bytes, NULL, 0, NULL), 0);
    turn();
    assert_int_equal(b.gone, 1);
}

static void send_now_drops_instead_of_waiting(void **state)
{
    int r;
    unsigned sent = 0;
    while ((r = ipc_send_now(a.ipc.fd, IPC_SIGNALS, STR("evidence"), NULL)) == 0)
        sent++;
    assert_int_equal(r, -ERR_BUSY);
    b.stop_at = sent;
    turn();
    assert_int_equal(b.got, sent);
}

static void memory_that_is_out_ends_the_connection(void **state)
{
    char bytes[4];
    for (uint32_t i = 0; a.ipc.queued == 0; i++)
        assert_int_equal(ipc_send(&a.ipc, IPC_STOP, number(i, bytes), NULL, 0, NULL), 0);
    mem_fail_at(1);
    assert_int_equal(ipc_send(&a.ipc, IPC_STOP, STR("...."), NULL, 0, NULL), -ERR_NOMEM);
    assert_true(mem_failed());
    turn();
    assert_int_equal(a.gone, 1);
}

static void signals_survive_the_wire_and_bad_ones_do_not(void **state)
{
    struct signal s = {.at = 1234567890123,
                       .slot = 99,
                       .count = 7,
                       .kind = SIGNAL_REQ_5XX,
                       .observer = 3,
                       .detail = 503};
    struct buf out = {0};
    ipc_put_signal(&out, &s);
    assert_int_equal(out.n, IPC_SIGNAL_BYTES);
    struct signal got;
    struct reader r = reader_of(out.p, out.n);
    assert_true(ipc_get_signal(&r, &got));
    assert_true(reader_done(&r));
    assert_memory_equal(&got, &s, sizeof s);

    const struct signal bad[] = {
        {.slot = 16384, .count = 1},
        {.count = 0},
        {.count = 1, .kind = SIGNAL_KINDS},
        {.count = 1, .observer = 65},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_clear(&out);
        ipc_put_signal(&out, &bad[i]);
        r = reader_of(out.p, out.n);
        assert_false(ipc_get_signal(&r, &got));
    }
    r = reader_of(out.p, IPC_SIGNAL_BYTES - 1);
    assert_false(ipc_get_signal(&r, &got));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_bytes_and_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closes_descriptors_that_nobody_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_order_through_the_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(queued_descriptors_outlive_the_senders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_ends_the_connection_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_peer_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_sent_before_the_end_arrives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sending_to_a_closed_peer_fails_without_surprise, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_handler_may_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed_bytes_end_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_long_is_refused_on_both_sides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(send_now_drops_instead_of_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_that_is_out_ends_the_connection, set_up, tear_down),
        cmocka_unit_test(signals_survive_the_wire_and_bad_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
