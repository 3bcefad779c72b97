/* What must not harm a membership: malformed and foreign messages, no memory, parameters out of
 * bounds, members that come and go in any order; and a member's size. */
#include "member/inside.h"

#undef MS
#undef SECOND
#include "member/net_test.h"

#include <stdio.h>

static void what_is_malformed_changes_nothing(void **state)
{
    struct net *net = net_new(3, 1);
    struct prng r;
    uint8_t junk[MEMBER_DATAGRAM_MAX + 100];
    prng_seed(&r, 1);
    net_run(net, SECOND);
    struct membership *m = net->nodes[0].m;
    uint32_t seen = net->n_seen;
    for (uint32_t i = 0; i < 20000; i++) {
        size_t n = prng_below(&r, sizeof junk);
        for (size_t k = 0; k < n; k++)
            junk[k] = (uint8_t)prng_next(&r);
        member_receive(m, net_id(1), junk, n, net->now);
    }
    assert_int_equal(member_refused(m), 20000);
    assert_int_equal(net->n_seen, seen);
    struct gossip g;
    gossip_init(&g, GOSSIP_GOODBYE);
    g.incarnation = 99;
    size_t n = gossip_write(&g, junk);
    member_receive(m, net_id(7), junk, n, net->now); /* a stranger */
    member_receive(m, net_id(0), junk, n, net->now); /* itself */
    assert_int_equal(net->n_seen, seen);
    net_run(net, SECOND);
    net_expect_whole(net);
    net_free(net);
}

/* Authenticated and well-formed, and nonsense all the same: nothing breaks, and afterwards the
 * truth wins. */
static void lies_do_not_last(void **state)
{
    for (uint32_t n = 3; n <= 40; n += 37) {
        struct net *net = net_new(n, 2);
        struct prng r;
        uint8_t out[GOSSIP_MAX];
        prng_seed(&r, n);
        net_run(net, 5 * SECOND);
        for (uint32_t i = 0; i < 3000; i++) {
            struct gossip g;
            gossip_init(&g, (enum gossip_kind)(1 + prng_below(&r, 9)));
            g.flags = (uint8_t)prng_next(&r);
            g.incarnation = 1 + prng_below(&r, 4);
            g.sequence = (uint32_t)(prng_next(&r) >> prng_below(&r, 64));
            g.answers = (uint32_t)prng_below(&r, 1000);
            g.echo = (uint32_t)prng_next(&r);
            g.has_subject = true;
            g.subject = net_id((uint32_t)prng_below(&r, n + 1));
            g.has_hearing = prng_below(&r, 2);
            g.n_hearing = (uint8_t)prng_below(&r, GOSSIP_HEARING_MAX + 1);
            g.n_rumours = (uint8_t)prng_below(&r, 4);
            for (uint32_t k = 0; k < g.n_hearing; k++) {
                g.ids[k] = (uint32_t)net_id((uint32_t)prng_below(&r, n + 1));
                g.hearing[k] = (uint8_t)prng_below(&r, 3);
            }
            for (uint32_t k = 0; k < g.n_rumours; k++)
                g.rumours[k] = (struct gossip_rumour){net_id((uint32_t)prng_below(&r, n + 1)),
                                                      prng_below(&r, 6),
                                                      net_id((uint32_t)prng_below(&r, n + 1)),
                                                      (uint8_t)prng_below(&r, 4), i % 7 == 0};
            member_receive(net->nodes[0].m, net_id((uint32_t)prng_below(&r, n)), out,
                           gossip_write(&g, out), net->now);
            net_run(net, prng_below(&r, 4 * MS));
        }
        net_run(net, 40 * SECOND);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < n; k++)
                assert_int_equal(net_see(net, i, k).state, MEMBER_ALIVE);
        assert_int_equal(member_refused(net->nodes[0].m), 0);
        net_free(net);
    }
}

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    ++*(uint32_t *)context;
}

static void on_changed(void *context, const struct member_change *c)
{
}

static void on_incarnation(void *context, uint64_t incarnation)
{
}

static struct membership *alone(uint32_t *sent)
{
    struct member_params p = member_defaults();
    struct member_host h = {sent, on_send, on_changed, on_incarnation};
    struct member_node self = {net_id(0), 0, false};
    struct membership *m;
    return member_new(&m, &p, &h, &self, 0, 1, START, NULL) ? NULL : m;
}

static void nothing_is_lost_without_memory(void **state)
{
    uint32_t sent = 0;
    bool done = false;
    for (unsigned long at = 1; !done; at++) {
        mem_fail_at(at);
        struct membership *m = alone(&sent);
        done = !mem_failed();
        mem_fail_at(0);
        assert_true(m ? done : !done);
        member_free(m);
    }
    for (unsigned long at = 1; at < 40; at++) {
        struct membership *m = alone(&sent);
        struct err e;
        mem_fail_at(at);
        uint32_t n = 1;
        for (uint32_t i = 1; i < 60; i++) {
            struct member_node node = {net_id(i), 0, false};
            int rc = member_add(m, &node, START, &e);
            assert_true(rc == 0 || rc == -ERR_NOMEM);
            n += rc == 0;
            assert_int_equal(member_count(m), n);
        }
        for (uint32_t i = 59; i > 10; i--) {
            member_remove(m, net_id(i), START + i);
            member_tick(m, START + i);
        }
        assert_true(member_deadline(m) != UINT64_MAX);
        mem_fail_at(0);
        assert_in_range(member_count(m), 10, 11);
        member_free(m);
    }
    member_free(NULL);
}

/* Without memory to heartbeat, it goes on probing, until the next member goes. */
static void it_probes_while_memory_is_out(void **state)
{
    uint32_t sent = 0;
    struct membership *m = alone(&sent);
    for (uint32_t i = 1; i < 33; i++) {
        struct member_node node = {net_id(i), 0, false};
        assert_int_equal(member_add(m, &node, START, NULL), 0);
    }
    assert_null(m->dense);
    for (uint32_t i = 32; i > DENSE_AGAIN; i--) {
        member_tick(m, START);
        assert_null(m->dense);
        member_remove(m, net_id(i), START);
    }
    member_tick(m, START);
    assert_null(m->dense);
    member_remove(m, net_id(DENSE_AGAIN), START);
    for (uint32_t i = DENSE_AGAIN; i-- > 0;) {
        mem_fail_at(1);
        member_tick(m, START + SECOND * (DENSE_AGAIN - i));
        mem_fail_at(0);
        assert_null(m->dense);
        member_remove(m, net_id(i), START);
    }
    assert_int_equal(member_count(m), 1);
    member_tick(m, START + 60 * SECOND);
    assert_non_null(m->dense);
    member_free(m);
}

static void members_come_and_go_in_any_order(void **state)
{
    uint32_t sent = 0;
    struct membership *m = alone(&sent);
    struct prng r;
    bool in[200] = {true};
    uint32_t n = 1;
    prng_seed(&r, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t k = (uint32_t)prng_below(&r, i % 1000 < 500 ? 40 : 200);
        struct member_node node = {net_id(k), k, k % 2};
        if (prng_below(&r, 2)) {
            assert_int_equal(member_add(m, &node, START + i * MS, NULL), 0);
            n += !in[k];
            in[k] = true;
        } else {
            member_remove(m, net_id(k), START + i * MS);
            n -= k && in[k];
            in[k] = k == 0;
        }
        if (i % 3 == 0)
            member_tick(m, START + i * MS);
        assert_int_equal(member_count(m), n);
        struct member_info info;
        assert_int_equal(member_find(m, net_id(k), &info), in[k]);
        if (in[k] && k)
            assert_true(info.zone == k && info.witness == k % 2 && !info.self);
        for (uint32_t a = 1; a < n; a++)
            assert_true(member_at(m, a - 1).id < member_at(m, a).id);
    }
    struct err e;
    struct member_node none = {0, 0, false};
    assert_int_equal(member_add(m, &none, START, &e), -ERR_INVAL);
    for (uint32_t i = 1000; member_count(m) < MEMBER_MAX; i++) {
        struct member_node node = {net_id(i), 0, false};
        assert_int_equal(member_add(m, &node, START, &e), 0);
    }
    struct member_node more = {net_id(100000), 0, false};
    assert_int_equal(member_add(m, &more, START, &e), -ERR_LIMIT);
    assert_in_range(m->cap * (sizeof(struct peer) + 2 * sizeof(uint16_t)) / m->n, 1, 64);
    member_free(m);
}

static void parameters_move_to_their_bounds(void **state)
{
    uint32_t sent = 0;
    struct membership *m = alone(&sent);
    struct member_params p = {0};
    member_set_params(m, &p);
    assert_int_equal(m->params.heartbeat, 10 * MS);
    assert_int_equal(m->params.suspect_after, 30 * MS);
    assert_int_equal(m->params.phi_tenths, 10);
    assert_int_equal(m->params.period, 10 * MS);
    p = (struct member_params){UINT64_MAX, 0, UINT32_MAX, UINT32_MAX, UINT64_MAX};
    member_set_params(m, &p);
    assert_int_equal(m->params.heartbeat, 10 * SECOND);
    assert_int_equal(m->params.suspect_after, 30 * SECOND);
    assert_int_equal(m->params.phi_tenths, 200);
    assert_int_equal(m->params.indirect, 8);
    for (uint64_t at = START; at < START + 60 * SECOND; at += SECOND)
        member_tick(m, at);
    member_tick(m, START); /* time does not go back */
    member_free(m);
}

static void names_are_all_there(void **state)
{
    for (uint32_t i = 0; i < MEMBER_STATES; i++)
        assert_true(strlen(member_state_name((enum member_state)i)) > 3);
    for (uint32_t i = 0; i < MEMBER_REASONS; i++)
        assert_true(strlen(member_reason_name((enum member_reason)i)) > 3);
}

/* Helpers are taken from another zone first. */
static void a_helper_is_of_another_zone(void **state)
{
    struct net *net = net_new(12, 4); /* zones 1, 2, 3 */
    net_run(net, SECOND);
    struct membership *m = net->nodes[0].m;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t before = net->queued;
        assert_int_equal(probe_ask_helpers(m, table_find(m, net_id(3)), 7), 3);
        assert_int_equal(net->queued, before + 3);
        uint32_t first = NODES;
        uint64_t order = UINT64_MAX;
        for (uint32_t k = 0; k < net->queued; k++)
            if (net->queue[k]->order >= net->order - 3 && net->queue[k]->order < order) {
                order = net->queue[k]->order;
                first = net->queue[k]->to;
            }
        assert_true(first != 3 && first % 3 != 0);
        net_run(net, 10 * MS);
    }
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_malformed_changes_nothing),
        cmocka_unit_test(lies_do_not_last),
        cmocka_unit_test(nothing_is_lost_without_memory),
        cmocka_unit_test(it_probes_while_memory_is_out),
        cmocka_unit_test(members_come_and_go_in_any_order),
        cmocka_unit_test(parameters_move_to_their_bounds),
        cmocka_unit_test(names_are_all_there),
        cmocka_unit_test(a_helper_is_of_another_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
