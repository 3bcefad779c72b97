/* Messages between control and the agent: what one puts the other gets, what is cut or out of range
 * is refused, and no field of a start can become more than it is. */
#include "daemon/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static struct agent_etcd sample(void)
{
    struct agent_etcd a = {.name = "b",
                           .token = "0123456789abcdef",
                           .existing = true,
                           .heartbeat_ms = 100,
                           .election_ms = 1000,
                           .n_members = 2,
                           .members = {{.name = "a"}, {.name = "b"}}};
    assert_true(addr_parse(STR("10.0.0.2:7301"), &a.client));
    assert_true(addr_parse(STR("10.0.0.2:7302"), &a.peer));
    assert_true(addr_parse(STR("[2001:db8::1]:7302"), &a.members[0].peer));
    a.members[1].peer = a.peer;
    return a;
}

static void same_etcd(const struct agent_etcd *x, const struct agent_etcd *y)
{
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->token, y->token);
    assert_true(addr_eq(&x->client, &y->client) && addr_eq(&x->peer, &y->peer));
    assert_int_equal(x->existing, y->existing);
    assert_int_equal(x->force_new, y->force_new);
    assert_int_equal(x->heartbeat_ms, y->heartbeat_ms);
    assert_int_equal(x->election_ms, y->election_ms);
    assert_int_equal(x->n_members, y->n_members);
    for (uint32_t i = 0; i < x->n_members; i++) {
        assert_string_equal(x->members[i].name, y->members[i].name);
        assert_true(addr_eq(&x->members[i].peer, &y->members[i].peer));
    }
}

static void a_start_comes_through(void **state)
{
    struct agent_start in = {.ticket = 7, .kind = AGENT_ETCD, .etcd = sample()}, out;
    struct buf b = {0};
    struct err e;
    agent_put_start(&b, &in);
    for (size_t n = 0; n < b.n; n++) {
        struct reader r = reader_of(b.p, n);
        assert_int_equal(agent_get_start(&r, &out, &e), -ERR_PROTO);
    }
    struct reader r = reader_of(b.p, b.n);
    assert_int_equal(agent_get_start(&r, &out, &e), 0);
    assert_int_equal(out.ticket, 7);
    same_etcd(&out.etcd, &in.etcd);
    put_u8(&b, 0);
    r = reader_of(b.p, b.n);
    assert_int_equal(agent_get_start(&r, &out, &e), -ERR_PROTO);
    buf_free(&b);
}

static void refused(const struct agent_etcd *a, const char *word)
{
    struct agent_start s = {.kind = AGENT_ETCD, .etcd = *a}, out;
    struct buf b = {0};
    struct err e = {0};
    assert_int_equal(agent_etcd_check(a, &e), -ERR_INVAL);
    assert_non_null(strstr(e.text, word));
    agent_put_start(&b, &s);
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_start(&r, &out, &e) < 0);
    buf_free(&b);
}

static void fields_of_etcd_are_checked(void **state)
{
    static const char *const names[] = {"",     "-flag", ".",      "..",   "../a", "a/b",
                                        "a,b",  "a=b",   "a b",    "a\nb", "\x7f", "\xc3\xa9",
                                        "a;rm", "$x",    "https:", "a\tb", "--"};
    struct agent_etcd a = sample();
    assert_int_equal(agent_etcd_check(&a, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        a = sample();
        str_copy(a.name, sizeof a.name, str_of(names[i]));
        refused(&a, "member name");
        a = sample();
        str_copy(a.token, sizeof a.token, str_of(names[i]));
        refused(&a, "token");
        a = sample();
        str_copy(a.members[0].name, sizeof a.members[0].name, str_of(names[i]));
        refused(&a, "member 1");
    }
    a = sample();
    memset(a.name, 'x', sizeof a.name);
    assert_int_equal(agent_etcd_check(&a, NULL), -ERR_INVAL);
}

static void addresses_of_etcd_are_checked(void **state)
{
    struct agent_etcd a = sample();
    a.client.port = 0;
    refused(&a, "addresses");
    a = sample();
    a.client = a.peer;
    refused(&a, "addresses");
    a = sample();
    a.peer = (struct addr){.kind = ADDR_UNIX, .path = "/tmp/x"};
    refused(&a, "addresses");
    a = sample();
    a.members[0].peer.kind = ADDR_NONE;
    refused(&a, "no address");
    a = sample();
    a.members[0].peer = a.peer;
    refused(&a, "two members");
    a = sample();
    str_copy(a.members[0].name, sizeof a.members[0].name, STR("b"));
    refused(&a, "two members");
    a = sample();
    a.members[1].peer.port++;
    refused(&a, "itself");
}

static void numbers_of_etcd_are_checked(void **state)
{
    struct agent_etcd a = sample();
    a.heartbeat_ms = 9;
    refused(&a, "heartbeat");
    a.heartbeat_ms = 5001;
    refused(&a, "heartbeat");
    a = sample();
    a.election_ms = 499;
    refused(&a, "election");
    a.election_ms = 50001;
    refused(&a, "election");
    a = sample();
    a.n_members = 0;
    refused(&a, "0 members");
    a.n_members = AGENT_MEMBERS + 1;
    assert_int_equal(agent_etcd_check(&a, NULL), -ERR_INVAL);
}

static struct agent_state sample_state(void)
{
    struct agent_state s = {.kind = AGENT_ETCD,
                            .life = AGENT_ENDED,
                            .wanted = true,
                            .has_data = true,
                            .starts = 3,
                            .status = 9,
                            .since = UINT64_C(1) << 50,
                            .lines_lost = 5,
                            .etcd = sample(),
                            .n_lines = 2,
                            .lines = {"one", "two \xc3\xa9"}};
    return s;
}

static void a_state_comes_through(void **state)
{
    struct agent_state in = sample_state(), out;
    struct buf b = {0};
    agent_put_state(&b, &in);
    for (size_t n = 0; n < b.n; n++) {
        struct reader r = reader_of(b.p, n);
        assert_false(agent_get_state(&r, &out));
    }
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_state(&r, &out));
    same_etcd(&out.etcd, &in.etcd);
    assert_int_equal(out.life, AGENT_ENDED);
    assert_int_equal(out.starts, 3);
    assert_int_equal(out.status, 9);
    assert_true(out.wanted && out.has_data && out.since == in.since && out.lines_lost == 5);
    assert_int_equal(out.n_lines, 2);
    assert_string_equal(out.lines[1], in.lines[1]);
    buf_free(&b);
}

static void the_longest_state_fits_a_message(void **state)
{
    struct agent_state in = sample_state(), out;
    struct buf b = {0};
    in.n_lines = AGENT_LINES;
    for (uint32_t i = 0; i < AGENT_LINES; i++) {
        memset(in.lines[i], 'x', AGENT_LINE_MAX - 1);
        in.lines[i][AGENT_LINE_MAX - 1] = 0;
    }
    in.etcd.n_members = AGENT_MEMBERS;
    for (uint32_t i = 2; i < AGENT_MEMBERS; i++) {
        in.etcd.members[i] = in.etcd.members[0];
        in.etcd.members[i].peer.port = (uint16_t)(1000 + i);
        snprintf(in.etcd.members[i].name, AGENT_NAME_MAX, "%063u", i);
    }
    agent_put_state(&b, &in);
    assert_true(!b.failed && b.n <= IPC_MAX_BODY);
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_state(&r, &out));
    assert_string_equal(out.lines[AGENT_LINES - 1], in.lines[0]);
    buf_free(&b);
}

static void what_cannot_be_shown_is_refused(void **state)
{
    struct agent_state in = sample_state(), out;
    struct buf b = {0};
    str_copy(in.lines[0], sizeof in.lines[0], STR("\x1b[2J"));
    agent_put_state(&b, &in);
    struct reader r = reader_of(b.p, b.n);
    assert_false(agent_get_state(&r, &out));
    buf_free(&b);
}

static void stops_orders_and_answers_come_through(void **state)
{
    struct buf b = {0};
    struct agent_stop stop = {8, AGENT_ETCD, 5 * NS_PER_S}, stop2;
    agent_put_stop(&b, &stop);
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_stop(&r, &stop2) && stop2.ticket == 8 && stop2.grace == 5 * NS_PER_S);
    buf_clear(&b);
    stop.grace = AGENT_STOP_MOST + 1;
    agent_put_stop(&b, &stop);
    r = reader_of(b.p, b.n);
    assert_false(agent_get_stop(&r, &stop2));
    for (uint32_t task = 0; task <= AGENT_TASKS; task++) {
        struct agent_order o = {9, task}, o2;
        buf_clear(&b);
        agent_put_order(&b, &o);
        r = reader_of(b.p, b.n);
        assert_int_equal(agent_get_order(&r, &o2), task < AGENT_TASKS);
    }
    struct agent_answer a = {10, -ERR_BUSY, "etcd runs", {100, 1, 2, 3}}, a2;
    buf_clear(&b);
    agent_put_answer(&b, &a);
    r = reader_of(b.p, b.n);
    assert_true(agent_get_answer(&r, &a2) && a2.ticket == 10 && a2.code == -ERR_BUSY);
    assert_string_equal(a2.sentence, "etcd runs");
    assert_true(a2.disk.writes == 100 && a2.disk.median == 1 && a2.disk.worst == 3);
    buf_free(&b);
}

/* --- control's end --- */

struct heard {
    struct loop *loop;
    uint32_t states, answers, gone;
    uint64_t ticket;
};

static void on_state(void *context, const struct agent_state *s)
{
    struct heard *h = context;
    h->states++;
    assert_int_equal(s->life, AGENT_ENDED);
}

static void on_answer(void *context, const struct agent_answer *a)
{
    struct heard *h = context;
    h->answers++;
    h->ticket = a->ticket;
    loop_stop(h->loop);
}

static void on_gone(void *context, const char *why)
{
    struct heard *h = context;
    h->gone++;
    loop_stop(h->loop);
}

static void tell(int fd, enum ipc_type type, struct buf *b)
{
    assert_int_equal(ipc_send_now(fd, type, buf_str(b), NULL), 0);
    buf_free(b);
}

static void open_line(struct agent_line *a, struct heard *h, int pair[2])
{
    assert_int_equal(loop_new(&h->loop, NULL), 0);
    assert_int_equal(net_message_pair(pair, NULL), 0);
    agent_line_init(a, h->loop);
    a->context = h;
    a->on_state = on_state;
    a->on_answer = on_answer;
    a->on_gone = on_gone;
    assert_false(agent_line_is_open(a));
    assert_int_equal(agent_line_task(a, AGENT_DISK, NULL, NULL), -ERR_ABSENT);
    assert_int_equal(agent_line_open(a, pair[0], NULL), 0);
}

static void control_asks_and_is_answered(void **state)
{
    struct heard h = {0};
    struct agent_line a;
    struct agent_etcd etcd = sample();
    struct agent_state s = sample_state();
    struct ipc_message m;
    struct buf b = {0};
    uint64_t t1, t2, t3;
    int pair[2];
    open_line(&a, &h, pair);
    assert_int_equal(agent_line_start(&a, &etcd, &t1, NULL), 0);
    assert_int_equal(agent_line_stop(&a, AGENT_ETCD, UINT64_MAX, &t2, NULL), 0);
    assert_int_equal(agent_line_task(&a, AGENT_DISK, &t3, NULL), 0);
    assert_true(t1 != t2 && t2 != t3);
    struct agent_start start;
    struct agent_stop stop;
    assert_int_equal(ipc_receive(pair[1], &m, NULL), 0);
    assert_true(m.type == IPC_AGENT_START && agent_get_start(&m.body, &start, NULL) == 0);
    assert_int_equal(start.ticket, t1);
    assert_int_equal(ipc_receive(pair[1], &m, NULL), 0);
    assert_true(m.type == IPC_AGENT_STOP && agent_get_stop(&m.body, &stop));
    assert_true(stop.grace == AGENT_STOP_MOST);
    agent_put_state(&b, &s);
    tell(pair[1], IPC_AGENT_STATE, &b);
    b = (struct buf){0};
    agent_put_answer(&b, &(struct agent_answer){.ticket = t2});
    tell(pair[1], IPC_AGENT_DONE, &b);
    assert_int_equal(loop_run(h.loop, NULL), 0);
    assert_true(h.states == 1 && h.answers == 1 && h.ticket == t2 && h.gone == 0);
    close(pair[1]);
    assert_int_equal(loop_run(h.loop, NULL), 0);
    assert_int_equal(h.gone, 1);
    assert_false(agent_line_is_open(&a));
    agent_line_close(&a);
    loop_free(h.loop);
}

static void nonsense_ends_the_line(void **state)
{
    struct heard h = {0};
    struct agent_line a;
    int pair[2];
    open_line(&a, &h, pair);
    assert_int_equal(ipc_send_now(pair[1], IPC_AGENT_STATE, STR("x"), NULL), 0);
    assert_int_equal(loop_run(h.loop, NULL), 0);
    assert_true(h.gone == 1 && h.states == 0 && !agent_line_is_open(&a));
    close(pair[1]);
    loop_free(h.loop);
}

static void memory_may_run_out(void **state)
{
    struct heard h = {0};
    struct agent_line a;
    struct agent_etcd etcd = sample();
    int pair[2];
    open_line(&a, &h, pair);
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        mem_fail_at(n);
        int r = agent_line_start(&a, &etcd, NULL, NULL);
        done = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, done ? 0 : -ERR_NOMEM);
    }
    agent_line_close(&a);
    close(pair[1]);
    loop_free(h.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_comes_through),
        cmocka_unit_test(fields_of_etcd_are_checked),
        cmocka_unit_test(addresses_of_etcd_are_checked),
        cmocka_unit_test(numbers_of_etcd_are_checked),
        cmocka_unit_test(a_state_comes_through),
        cmocka_unit_test(the_longest_state_fits_a_message),
        cmocka_unit_test(what_cannot_be_shown_is_refused),
        cmocka_unit_test(stops_orders_and_answers_come_through),
        cmocka_unit_test(control_asks_and_is_answered),
        cmocka_unit_test(nonsense_ends_the_line),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
