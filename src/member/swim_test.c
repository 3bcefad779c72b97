/* Above 32 nodes: probing, suspicion that others confirm, rumours, and the way from one kind of
 * cluster to the other. */
#include "member/net_test.h"

#include <stdio.h>

/* Everybody who runs believes everybody who runs alive. */
static bool whole(const struct net *net)
{
    for (uint32_t i = 0; i < net->n; i++)
        for (uint32_t k = 0; net->nodes[i].m && k < net->n; k++)
            if (net->nodes[k].m && net_see(net, i, k).state != MEMBER_ALIVE)
                return false;
    return true;
}

static bool all_see(const struct net *net, uint32_t subject, enum member_state s)
{
    for (uint32_t i = 0; i < net->n; i++)
        if (i != subject && net->nodes[i].m && net_see(net, i, subject).state != s)
            return false;
    return true;
}

/* ns until it holds, at most `most`. */
static uint64_t until_all_see(struct net *net, uint32_t subject, enum member_state s, uint64_t most)
{
    uint64_t since = net->now;
    while (!all_see(net, subject, s) && net->now - since < most)
        net_run(net, 50 * MS);
    return net->now - since;
}

static uint64_t until_whole(struct net *net, uint64_t most)
{
    uint64_t since = net->now;
    while (!whole(net) && net->now - since < most)
        net_run(net, 50 * MS);
    return net->now - since;
}

static uint64_t bytes(const struct net *net)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < net->n; i++)
        n += net->nodes[i].bytes;
    return n;
}

/* They start one after the other, so that the last ones are missed at first: that is forgotten. */
static struct net *settled(uint32_t n, uint64_t seed)
{
    struct net *net = net_new(n, seed);
    assert_in_range(until_whole(net, 20 * SECOND), 0,
                    10 * SECOND); /* a suspicion may last so long */
    net_run(net, 20 * SECOND);
    assert_true(whole(net));
    net->n_seen = 0;
    return net;
}

static void a_hundred_find_each_other(void **state)
{
    struct net *net = settled(100, 1);
    net_run(net, 60 * SECOND);
    assert_int_equal(net_count(net, MEMBER_SUSPECT, 0), 0);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    assert_false(member_isolated(net->nodes[7].m));
    assert_int_equal(member_says(net->nodes[0].m, net_id(0), net_id(1)), -1);
    char out[64];
    assert_int_equal(member_explain(net->nodes[0].m, NULL, NULL, out, sizeof out), 0);
    for (uint32_t i = 1; i < 100; i++)
        assert_true(member_at(net->nodes[0].m, i - 1).id < member_at(net->nodes[0].m, i).id);
    net_free(net);
}

/* What a node sends does not depend on how many there are. */
static void bytes_stay_the_same(void **state)
{
    uint64_t each[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t n = i ? 120 : 40;
        struct net *net = settled(n, 2);
        net_run(net, 60 * SECOND);
        uint64_t before = bytes(net);
        net_run(net, 60 * SECOND);
        each[i] = (bytes(net) - before) / 60 / n;
        net_free(net);
    }
    print_message("%lu and %lu bytes/s\n", each[0], each[1]);
    assert_in_range(each[0], 100, 2000);
    assert_in_range(each[1], each[0] * 8 / 10, each[0] * 12 / 10);
}

static void a_loss_is_found_and_told(void **state)
{
    struct net *net = settled(100, 3);
    uint64_t worst = 0;
    for (uint32_t i = 0; i < 10; i++) {
        net_crash(net, i);
        uint64_t took = until_all_see(net, i, MEMBER_FAILED, 30 * SECOND);
        worst = MAX(worst, took);
        assert_in_range(took, SECOND, 10 * SECOND);
        struct member_info info = net_see(net, 50, i);
        assert_int_equal(info.reason, MEMBER_AGREED);
        net_start(net, i);
        assert_in_range(until_all_see(net, i, MEMBER_ALIVE, 30 * SECOND), 0, 3 * SECOND);
        until_whole(net, 20 * SECOND);
        assert_true(whole(net));
        assert_int_equal(net_see(net, 50, i).incarnation, net->nodes[i].incarnation);
    }
    print_message("a loss among 100 is known to all after %.1f s at most\n", (double)worst / 1e9);
    for (uint32_t i = 10; i < 100; i++)
        assert_int_equal(net_when(net, 0, i, MEMBER_FAILED), 0);
    net_free(net);
}

/* One in five messages is lost: suspected now and then, refuted, never failed. */
static void losses_fail_nobody(void **state)
{
    struct net *net = settled(60, 4);
    net->loss = 200;
    net->twice = 100;
    net->jitter = 50 * MS;
    net_run(net, 120 * SECOND);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net->loss = 0;
    until_whole(net, 10 * SECOND);
    assert_true(whole(net));
    net_free(net);
}

/* A node that does not hear another does not fail it while others do, and one that nobody answers
 * fails nobody. */
static void one_observer_does_not_suffice(void **state)
{
    struct net *net = settled(50, 5);
    for (uint32_t i = 10; i < 15; i++)
        net_cut(net, 3, i, true);
    net_run(net, 60 * SECOND);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net_cut_off(net, 3, true);
    uint64_t since = net->now;
    net_run(net, 60 * SECOND);
    assert_true(all_see(net, 3, MEMBER_FAILED));
    assert_true(member_isolated(net->nodes[3].m));
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(i == 3 ? 0 : net_when(net, 3, i, MEMBER_FAILED), 0);
    assert_true(net_count(net, MEMBER_FAILED, since) >= 49);
    assert_true(member_health(net->nodes[3].m) > 1);
    net_cut_off(net, 3, false);
    assert_in_range(until_whole(net, 60 * SECOND), 0, 15 * SECOND);
    net_free(net);
}

static void a_partition_heals(void **state)
{
    struct net *net = settled(60, 6);
    net_partition(net, 20, true);
    net_run(net, 60 * SECOND);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(member_isolated(net->nodes[i].m), i < 20);
        for (uint32_t k = 0; k < 60; k++)
            if (i >= 20 && k < 20)
                net_expect(net, i, k, MEMBER_AGREED);
            else if (i < 20 && k >= 20)
                assert_int_equal(net_see(net, i, k).state, MEMBER_SUSPECT);
            else
                assert_int_equal(net_see(net, i, k).state, MEMBER_ALIVE);
    }
    net_partition(net, 20, false);
    assert_in_range(until_whole(net, 60 * SECOND), 0, 20 * SECOND);
    net_run(net, 30 * SECOND);
    assert_true(whole(net));
    net_free(net);
}

static void goodbye_spreads(void **state)
{
    struct net *net = settled(80, 7);
    member_leave(net->nodes[9].m, net->now);
    net_run(net, 100 * MS);
    assert_true(member_left(net->nodes[9].m));
    assert_in_range(until_all_see(net, 9, MEMBER_LEFT, 20 * SECOND), 0, 3 * SECOND);
    net_run(net, 30 * SECOND);
    assert_int_equal(net_count(net, MEMBER_LEFT, 0), 80); /* 79 others and itself, once */
    net_crash(net, 9);
    net_start(net, 9);
    assert_in_range(until_all_see(net, 9, MEMBER_ALIVE, 20 * SECOND), 0, 3 * SECOND);
    net_free(net);
}

static void maintenance_is_told(void **state)
{
    struct net *net = settled(60, 8);
    member_set_maintenance(net->nodes[4].m, true, net->now);
    net_run(net, 5 * SECOND);
    for (uint32_t i = 0; i < 60; i++)
        assert_true(net_see(net, i, 4).maintenance);
    net_crash(net, 4);
    net_run(net, 60 * SECOND);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    assert_true(all_see(net, 4, MEMBER_SUSPECT));
    net_free(net);
}

static void a_pause_blames_nobody(void **state)
{
    struct net *net = settled(50, 9);
    uint64_t since = net->now;
    for (uint32_t i = 0; i < 50; i++)
        net_pause(net, i, 20 * SECOND);
    net_run(net, 40 * SECOND);
    assert_int_equal(net_count(net, MEMBER_FAILED, since), 0);
    assert_true(whole(net));
    net_free(net);
}

/* --- between the two kinds --- */

static void add_to(struct net *net, uint32_t i, uint32_t k)
{
    struct err e;
    struct member_node other = {net_id(k), 0, false};
    if (net->nodes[i].m && i != k)
        assert_int_equal(member_add(net->nodes[i].m, &other, net->now, &e), 0);
}

/* The configuration reaches one node after the other, all the way through 32 and back: nobody
 * fails, whoever is of the other kind meanwhile. */
static void a_cluster_grows_and_shrinks(void **state)
{
    struct net *net = net_new(30, 10);
    net_run(net, 5 * SECOND);
    net->n = 36;
    for (uint32_t i = 30; i < 36; i++) {
        net->nodes[i] = (struct node){.net = net, .index = i};
        net_start(net, i);
    }
    for (uint32_t i = 0; i < 30; i++) {
        net_run(net, 500 * MS);
        for (uint32_t k = 30; k < 36; k++)
            add_to(net, i, k);
    }
    until_whole(net, 30 * SECOND);
    assert_true(whole(net));
    assert_int_equal(member_says(net->nodes[0].m, net_id(0), net_id(1)), -1);
    net_run(net, 30 * SECOND);
    uint64_t since = net->now;
    assert_true(whole(net));
    for (uint32_t i = 26; i < 36; i++)
        net_crash(net, i);
    for (uint32_t i = 0; i < 26; i++) {
        for (uint32_t k = 26; k < 36; k++)
            member_remove(net->nodes[i].m, net_id(k), net->now);
        net_run(net, 300 * MS);
    }
    net->n = 26;
    net_run(net, SECOND);
    net_expect_whole(net);
    for (uint32_t i = 0; i < 26; i++)
        for (uint32_t k = 0; k < 26; k++)
            assert_in_range(net_when(net, i, k, MEMBER_FAILED), 0, since);
    net->n = 36;
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_find_each_other),
        cmocka_unit_test(bytes_stay_the_same),
        cmocka_unit_test(a_loss_is_found_and_told),
        cmocka_unit_test(losses_fail_nobody),
        cmocka_unit_test(one_observer_does_not_suffice),
        cmocka_unit_test(a_partition_heals),
        cmocka_unit_test(goodbye_spreads),
        cmocka_unit_test(maintenance_is_told),
        cmocka_unit_test(a_pause_blames_nobody),
        cmocka_unit_test(a_cluster_grows_and_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
