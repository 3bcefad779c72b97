/* Messages between control and the agent about instances: what one puts the other gets, what is cut
 * or out of range is refused. */
#include "daemon/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static struct agent_instance sample(void)
{
    struct agent_instance i = {
        .service = "cache",
        .kind = KIND_REDIS,
        .slot = 3,
        .place = 1,
        .n_places = 2,
        .places = {{.name = "a"}, {.name = "b"}},
        .sync = 1,
        .vip_prefix = 24,
        .vip_interface = "eth0",
        .demotion = 100 * NS_PER_MS,
        .hang_after = NS_PER_S,
        .password = "00112233445566778899aabbccddeeff",
        .gate_password = "ffeeddccbbaa99887766554433221100",
    };
    assert_true(addr_parse(STR("10.0.0.1:6379"), &i.places[0].address));
    assert_true(addr_parse(STR("[2001:db8::2]:6379"), &i.places[1].address));
    assert_true(addr_parse(STR("10.0.0.100:1"), &i.vip));
    i.vip.port = 0;
    return i;
}

static void an_instance_comes_through(void **state)
{
    struct agent_instance in = sample(), out;
    struct buf b = {0}, again = {0};
    struct err e;
    agent_put_instance(&b, &in);
    for (size_t n = 0; n < b.n; n++) {
        struct reader r = reader_of(b.p, n);
        assert_int_equal(agent_get_instance(&r, &out, &e), -ERR_PROTO);
    }
    struct reader r = reader_of(b.p, b.n);
    assert_int_equal(agent_get_instance(&r, &out, &e), 0);
    assert_string_equal(out.service, "cache");
    assert_true(out.slot == 3 && out.place == 1 && out.n_places == 2 && out.sync == 1);
    assert_true(addr_eq(&out.places[1].address, &in.places[1].address));
    assert_true(addr_eq(&out.vip, &in.vip) && out.vip_prefix == 24);
    assert_string_equal(out.gate_password, in.gate_password);
    agent_put_instance(&again, &out);
    assert_true(str_eq(buf_str(&b), buf_str(&again)));
    buf_free(&again);
    buf_free(&b);
}

static void refused(const struct agent_instance *i, const char *word)
{
    struct agent_instance out;
    struct buf b = {0};
    struct err e = {0};
    assert_int_equal(instance_check(i, &e), -ERR_INVAL);
    if (!strstr(e.text, word))
        fail_msg("%s: %s", word, e.text);
    agent_put_instance(&b, i);
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_instance(&r, &out, &e) < 0);
    buf_free(&b);
}

static void fields_of_an_instance_are_checked(void **state)
{
    static const char *const names[] = {"", "a/b", "../x", "a b", "a\nb", "$x", "\xc3\xa9", "a;b"};
    struct agent_instance i;
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        i = sample();
        str_copy(i.service, sizeof i.service, str_of(names[k]));
        refused(&i, "name");
        i = sample();
        str_copy(i.places[0].name, sizeof i.places[0].name, str_of(names[k]));
        refused(&i, "name");
    }
    i = sample();
    str_copy(i.password, sizeof i.password, STR("00112233445566778899aabbccddee \n"));
    refused(&i, "passwords");
    i = sample();
    str_copy(i.gate_password, sizeof i.gate_password, str_of(i.password));
    refused(&i, "passwords");
    i = sample();
    str_copy(i.gate_password, sizeof i.gate_password, STR("0011"));
    refused(&i, "passwords");
    i = sample();
    str_copy(i.places[1].name, sizeof i.places[1].name, STR("a"));
    refused(&i, "two places");
    i = sample();
    str_copy(i.vip_interface, sizeof i.vip_interface, STR("eth0;rm"));
    refused(&i, "interface");
}

static void numbers_of_an_instance_are_checked(void **state)
{
    struct agent_instance i = sample();
    i.kind = KIND_NONE;
    refused(&i, "no agent 0");
    i.kind = INSTANCE_KINDS;
    refused(&i, "no agent");
    i = sample();
    i.place = 2;
    refused(&i, "place 2 of 2");
    i = sample();
    i.places[0].address.port = 0;
    refused(&i, "port");
    i.kind = KIND_PROCESS;
    assert_int_equal(instance_check(&i, NULL), 0);
    i = sample();
    i.vip_prefix = 33;
    refused(&i, "address");
    i = sample();
    i.sync = ROLE_NODES;
    refused(&i, "synchronous");
    i = sample();
    i.demotion = 0;
    refused(&i, "times");
    i = sample();
    i.hang_after = UINT64_MAX;
    refused(&i, "times");
}

static void orders_come_through(void **state)
{
    for (uint8_t what = 0; what <= INSTANCE_ORDERS; what++) {
        struct agent_role in = {.service = "cache", .what = what, .epoch = 7}, out;
        struct buf b = {0};
        uint64_t ticket = 0;
        bool names = what == ORDER_FOLLOW;
        in.primary = names ? 1 : ROLE_NOBODY;
        agent_put_role(&b, &in, 9);
        for (size_t n = 0; n < b.n; n++) {
            struct reader r = reader_of(b.p, n);
            assert_false(agent_get_role(&r, &out, &ticket));
        }
        struct reader r = reader_of(b.p, b.n);
        assert_int_equal(agent_get_role(&r, &out, &ticket), what < INSTANCE_ORDERS);
        if (what < INSTANCE_ORDERS)
            assert_true(ticket == 9 && out.epoch == 7 && out.what == what &&
                        out.primary == in.primary);
        in.primary = names ? ROLE_NODES : 0;
        buf_clear(&b);
        agent_put_role(&b, &in, 9);
        r = reader_of(b.p, b.n);
        assert_false(agent_get_role(&r, &out, &ticket));
        buf_free(&b);
    }
}

static struct agent_report sample_report(void)
{
    struct agent_report r = {.service = "cache",
                             .kind = KIND_REDIS,
                             .state = INSTANCE_PRIMARY,
                             .well = true,
                             .follows = ROLE_NOBODY,
                             .epoch = 5,
                             .history = 5,
                             .position = 1234,
                             .pid = 77,
                             .starts = 1,
                             .since = 99,
                             .n_followers = ROLE_NODES,
                             .followers = {[2] = {true, 1200, 5}},
                             .sentence = "it takes writes"};
    return r;
}

static void a_report_comes_through(void **state)
{
    struct agent_report in = sample_report(), out;
    struct buf b = {0};
    agent_put_report(&b, &in);
    for (size_t n = 0; n < b.n; n++) {
        struct reader r = reader_of(b.p, n);
        assert_false(agent_get_report(&r, &out));
    }
    struct reader r = reader_of(b.p, b.n);
    assert_true(agent_get_report(&r, &out));
    assert_true(out.state == INSTANCE_PRIMARY && out.well && out.position == 1234 && out.pid == 77);
    assert_true(out.followers[2].connected && out.followers[2].position == 1200);
    assert_true(out.follows == ROLE_NOBODY && out.history == 5 && out.since == 99);
    assert_string_equal(out.sentence, in.sentence);
    buf_clear(&b);
    in.state = INSTANCE_PRIMARY + 1;
    agent_put_report(&b, &in);
    r = reader_of(b.p, b.n);
    assert_false(agent_get_report(&r, &out));
    in = sample_report();
    in.sentence[0] = 27;
    buf_clear(&b);
    agent_put_report(&b, &in);
    r = reader_of(b.p, b.n);
    assert_false(agent_get_report(&r, &out));
    buf_free(&b);
}

/* --- control's end --- */

struct heard {
    struct loop *loop;
    uint32_t reports;
};

static void on_report(void *context, const struct agent_report *r)
{
    struct heard *h = context;
    h->reports++;
    assert_string_equal(r->service, "cache");
    loop_stop(h->loop);
}

static void control_names_orders_and_hears(void **state)
{
    struct heard h = {0};
    struct agent_line a;
    struct agent_instance i = sample(), got;
    struct agent_role role = {.service = "cache", .what = ORDER_FOLLOW, .epoch = 2}, got_role;
    struct agent_report report = sample_report();
    struct ipc_message m;
    struct buf b = {0};
    uint64_t ticket = 0, got_ticket = 0;
    int pair[2];
    assert_int_equal(loop_new(&h.loop, NULL), 0);
    assert_int_equal(net_message_pair(pair, NULL), 0);
    agent_line_init(&a, h.loop);
    a.context = &h;
    a.on_report = on_report;
    assert_int_equal(agent_line_instance(&a, &i, NULL), -ERR_ABSENT);
    assert_int_equal(agent_line_open(&a, pair[0], NULL), 0);
    assert_int_equal(agent_line_instance(&a, &i, NULL), 0);
    assert_int_equal(agent_line_role(&a, &role, &ticket, NULL), 0);
    i.kind = KIND_NONE;
    role.primary = ROLE_NOBODY;
    assert_int_equal(agent_line_instance(&a, &i, NULL), -ERR_INVAL);
    assert_int_equal(agent_line_role(&a, &role, NULL, NULL), -ERR_INVAL);
    assert_int_equal(ipc_receive(pair[1], &m, NULL), 0);
    assert_true(m.type == IPC_AGENT_INSTANCE && agent_get_instance(&m.body, &got, NULL) == 0);
    assert_int_equal(ipc_receive(pair[1], &m, NULL), 0);
    assert_true(m.type == IPC_AGENT_ROLE && agent_get_role(&m.body, &got_role, &got_ticket));
    assert_true(got_ticket == ticket && got_role.what == ORDER_FOLLOW && got_role.epoch == 2);
    agent_put_report(&b, &report);
    assert_int_equal(ipc_send_now(pair[1], IPC_AGENT_REPORT, buf_str(&b), NULL), 0);
    assert_int_equal(loop_run(h.loop, NULL), 0);
    assert_int_equal(h.reports, 1);
    buf_free(&b);
    agent_line_close(&a);
    close(pair[1]);
    loop_free(h.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_comes_through),
        cmocka_unit_test(fields_of_an_instance_are_checked),
        cmocka_unit_test(numbers_of_an_instance_are_checked),
        cmocka_unit_test(orders_come_through),
        cmocka_unit_test(a_report_comes_through),
        cmocka_unit_test(control_names_orders_and_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
