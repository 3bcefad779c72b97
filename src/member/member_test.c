/* Up to 32 nodes: who is alive, how soon a loss is agreed, and who must not decide. */
#include "member/net_test.h"

#include <stdio.h>

static void everybody_hears_everybody(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 5, 32};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct net *net = net_new(sizes[i], i);
        net_run(net, 500 * MS);
        net_expect_whole(net);
        net_run(net, 30 * SECOND);
        net_expect_whole(net);
        assert_int_equal(net_count(net, MEMBER_SUSPECT, 0), 0);
        assert_int_equal(member_refused(net->nodes[0].m), 0);
        assert_false(member_isolated(net->nodes[0].m));
        assert_int_equal(member_health(net->nodes[0].m), 1);
        if (sizes[i] > 1) {
            struct member_info info = net_see(net, 0, 1);
            assert_in_range(info.rtt, MS, 3 * MS);
            assert_true(info.hears_me && !info.self && info.heard_at > START);
            assert_int_equal(info.hearing, sizes[i] - 1);
            assert_int_equal(info.observers, sizes[i] - 1);
            assert_int_equal(member_says(net->nodes[0].m, net_id(0), net_id(1)), 1);
        }
        net_free(net);
    }
}

/* When all who run saw the node fail; the slowest counts. */
static uint64_t agreed_after(struct net *net, uint32_t lost, uint64_t since)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < net->n; i++) {
        if (i == lost)
            continue;
        uint64_t at = net_when(net, i, lost, MEMBER_FAILED);
        if (at < since)
            return UINT64_MAX;
        last = MAX(last, at - since);
    }
    return last;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A node's link is cut in silence, 100 times; with wake-ups as late as on a busy machine. */
static void loss_of_one_is_agreed_soon(void **state)
{
    for (uint32_t n = 3; n <= 5; n += 2) {
        uint64_t took[100];
        struct net *net = net_new(n, n);
        net->jitter = 15 * MS;
        net_run(net, 5 * SECOND);
        for (uint32_t i = 0; i < ARRAY_LEN(took); i++) {
            uint32_t lost = i % n;
            net_run(net, prng_below(&net->prng, 200 * MS));
            net_cut_off(net, lost, true);
            uint64_t since = net->now;
            net_run(net, 2 * SECOND);
            took[i] = agreed_after(net, lost, since);
            assert_true(member_isolated(net->nodes[lost].m));
            for (uint32_t k = 0; k < n; k++)
                if (k != lost)
                    net_expect(net, lost, k, MEMBER_UNCONFIRMED);
            net_cut_off(net, lost, false);
            net_run(net, 200 * MS);
            net_expect_whole(net);
        }
        qsort(took, ARRAY_LEN(took), sizeof *took, compare);
        print_message("%u nodes: median %.0f ms, worst %.0f ms\n", n, (double)took[50] / 1e6,
                      (double)took[99] / 1e6);
        assert_in_range(took[0], 150 * MS, 300 * MS);
        assert_in_range(took[50], 150 * MS, 300 * MS);
        assert_in_range(took[99], 150 * MS, 500 * MS);
        net_free(net);
    }
}

/* --- partitions --- */

static void expect_split(const struct net *net, uint32_t split)
{
    for (uint32_t i = 0; i < net->n; i++) {
        uint32_t side = i < split ? split : net->n - split;
        bool majority = 2 * side > net->n;
        assert_int_equal(member_isolated(net->nodes[i].m), !majority);
        for (uint32_t k = 0; k < net->n; k++)
            if ((i < split) != (k < split))
                net_expect(net, i, k, majority ? MEMBER_AGREED : MEMBER_UNCONFIRMED);
            else if (i != k)
                net_expect(net, i, k, MEMBER_HEARD);
    }
}

static void only_a_majority_declares(void **state)
{
    for (uint32_t n = 3; n <= 7; n++)
        for (uint32_t split = 1; split < n; split++) {
            struct net *net = net_new(n, 10 * n + split);
            net_run(net, SECOND);
            net_partition(net, split, true);
            net_run(net, 3 * SECOND);
            expect_split(net, split);
            net_run(net, 10 * SECOND);
            net_partition(net, split, false);
            net_run(net, 200 * MS);
            net_expect_whole(net);
            net_free(net);
        }
}

static void two_nodes_wait_longer(void **state)
{
    struct net *net = net_new(2, 1);
    net_run(net, SECOND);
    net_cut(net, 0, 1, true);
    uint64_t since = net->now;
    net_run(net, 600 * MS);
    net_expect(net, 0, 1, MEMBER_SILENT);
    net_run(net, SECOND);
    net_expect(net, 0, 1, MEMBER_ALONE);
    net_expect(net, 1, 0, MEMBER_ALONE);
    assert_in_range(net_when(net, 0, 1, MEMBER_FAILED) - since, 740 * MS, 810 * MS);
    assert_false(member_isolated(net->nodes[0].m));
    net_cut(net, 0, 1, false);
    net_run(net, 100 * MS);
    net_expect_whole(net);
    net_free(net);
}

/* Three nodes, one of them gone: the other two are no majority without each other. */
static void the_last_one_declares_nobody(void **state)
{
    struct net *net = net_new(3, 1);
    net_run(net, SECOND);
    net_crash(net, 2);
    net_run(net, SECOND);
    net_expect(net, 0, 2, MEMBER_AGREED);
    net_crash(net, 1);
    net_run(net, 5 * SECOND);
    net_expect(net, 0, 1, MEMBER_UNCONFIRMED);
    net_expect(net, 0, 2, MEMBER_AGREED);
    assert_true(member_isolated(net->nodes[0].m));
    net_free(net);
}

static const char *name_of(void *context, uint64_t id)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++)
        if (net_id(i) == id)
            return names[i];
    return "?";
}

static void expect_story(const struct net *net, uint32_t observer, const char *want)
{
    char out[1024];
    size_t n = member_explain(net->nodes[observer].m, name_of, NULL, out, sizeof out);
    assert_int_equal(n, strlen(out));
    assert_string_equal(out, want);
}

static void a_partial_partition_is_named(void **state)
{
    struct net *net = net_new(3, 1);
    net_run(net, SECOND);
    expect_story(net, 2, "");
    net_cut(net, 0, 1, true);
    net_run(net, 2 * SECOND);
    expect_story(net, 2, "a and b cannot reach each other; c reaches both");
    expect_story(net, 0, "a does not hear b; c does");
    net_expect(net, 0, 1, MEMBER_VOUCHED);
    net_expect(net, 1, 0, MEMBER_VOUCHED);
    net_expect(net, 2, 0, MEMBER_HEARD);
    assert_int_equal(member_says(net->nodes[2].m, net_id(0), net_id(1)), 0);
    assert_int_equal(member_says(net->nodes[2].m, net_id(0), net_id(2)), 1);
    assert_int_equal(member_says(net->nodes[2].m, net_id(0), net_id(0)), -1);
    assert_int_equal(member_says(net->nodes[2].m, 4711, net_id(0)), -1);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    uint32_t seen = net->n_seen;
    net_run(net, 20 * SECOND);
    assert_int_equal(net->n_seen, seen); /* and stays so */
    net_crash(net, 1);                   /* now it is gone for all */
    net_run(net, SECOND);
    net_expect(net, 0, 1, MEMBER_AGREED);
    net_expect(net, 2, 1, MEMBER_AGREED);
    net_free(net);

    net = net_new(5, 2);
    net_run(net, SECOND);
    net_cut(net, 1, 3, true);
    net_run(net, 2 * SECOND);
    expect_story(net, 0, "b and d cannot reach each other; a, c and e reach both");
    net_cut(net, 1, 4, true);
    net_run(net, 2 * SECOND);
    expect_story(net, 2,
                 "b and d cannot reach each other; a and c reach both\n"
                 "b and e cannot reach each other; a and c reach both");
    net_partition(net, 0, false);
    net_cut(net, 1, 3, false);
    net_cut(net, 1, 4, false);
    net_run(net, 200 * MS);
    net_expect_whole(net);
    expect_story(net, 2, "");
    net_free(net);
}

static void a_one_way_partition_is_named(void **state)
{
    struct net *net = net_new(3, 1);
    net_run(net, SECOND);
    net->cut[0][1] = true; /* b does not hear a */
    net_run(net, 2 * SECOND);
    expect_story(net, 2, "b does not hear a; a hears b");
    expect_story(net, 0, "b does not hear a; a hears b");
    expect_story(net, 1, "b does not hear a; c does");
    net_expect(net, 1, 0, MEMBER_VOUCHED);
    net_expect(net, 0, 1, MEMBER_HEARD);
    assert_false(net_see(net, 0, 1).hears_me);
    assert_true(net_see(net, 0, 2).hears_me);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net->cut[2][1] = true; /* b hears nobody */
    net_run(net, 2 * SECOND);
    expect_story(net, 0, "b hears nobody; a and c hear it");
    net_expect(net, 0, 1, MEMBER_DEAF);
    net_expect(net, 2, 1, MEMBER_DEAF);
    assert_true(member_isolated(net->nodes[1].m));
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net->cut[0][1] = net->cut[2][1] = false;
    net_run(net, 200 * MS);
    net_expect_whole(net);
    net->cut[1][0] = net->cut[1][2] = true; /* nobody hears b */
    net_run(net, 2 * SECOND);
    net_expect(net, 0, 1, MEMBER_AGREED);
    net_expect(net, 2, 1, MEMBER_AGREED);
    expect_story(net, 1, "nobody hears b; it hears a and c");
    net->cut[1][0] = net->cut[1][2] = false;
    net_run(net, 200 * MS);
    net_expect_whole(net);
    net_free(net);
}

/* However small the room, what is written ends with a zero and is the beginning of all of it. */
static void a_story_is_cut_to_fit(void **state)
{
    struct net *net = net_new(3, 1);
    char all[256], out[256];
    net_run(net, SECOND);
    net_cut(net, 0, 1, true);
    net_run(net, SECOND);
    size_t n = member_explain(net->nodes[2].m, name_of, NULL, all, sizeof all);
    assert_int_equal(member_explain(net->nodes[2].m, name_of, NULL, out, 0), 0);
    for (size_t size = 1; size <= n + 1; size++) {
        memset(out, 'x', sizeof out);
        assert_int_equal(member_explain(net->nodes[2].m, name_of, NULL, out, size), size - 1);
        assert_int_equal(strlen(out), size - 1);
        assert_memory_equal(out, all, size - 1);
    }
    net_free(net);
}

/* --- nodes that go and come --- */

static void a_node_comes_back_with_its_name(void **state)
{
    struct net *net = net_new(3, 5);
    net_run(net, SECOND);
    for (uint32_t round = 0; round < 20; round++) {
        net_crash(net, 1);
        net_run(net, round % 2 ? 2 * SECOND : prng_below(&net->prng, 300 * MS));
        net_start(net, 1);
        net_run(net, 70 * MS); /* a heartbeat, and the way */
        net_expect_whole(net);
        net_run(net, prng_below(&net->prng, SECOND));
    }
    assert_int_equal(net->nodes[1].incarnation, 21);
    net_free(net);
}

/* Its memory is gone: it begins with an incarnation that others have seen the end of. */
static void a_stale_incarnation_is_learned(void **state)
{
    struct net *net = net_new(3, 6);
    for (uint32_t round = 0; round < 6; round++) {
        net_run(net, SECOND);
        if (round == 2)
            member_leave(net->nodes[1].m, net->now);
        net_run(net, SECOND);
        uint64_t last = net->nodes[1].incarnation;
        net_crash(net, 1);
        net_run(net, round % 2 ? 2 * SECOND : 0);
        net->nodes[1].incarnation = round < 3 ? 0 : last - 1; /* or it is the same again */
        net_start(net, 1);
        net_run(net, round < 3 ? 120 * MS : 600 * MS);
        net_expect_whole(net);
        assert_true(net->nodes[1].incarnation >= last);
    }
    net_free(net);
}

static void who_says_that_it_failed_is_refuted(void **state)
{
    struct net *net = net_new(3, 7);
    net_run(net, SECOND);
    uint64_t before = net->nodes[2].incarnation;
    net_cut_off(net, 2, true);
    net_run(net, SECOND);
    net_expect(net, 0, 2, MEMBER_AGREED);
    net_cut_off(net, 2, false);
    net_run(net, 60 * MS);
    net_expect(net, 0, 2, MEMBER_HEARD);
    net_run(net, 60 * MS);
    assert_true(net->nodes[2].incarnation > before);
    net_expect_whole(net);
    net_free(net);
}

static void goodbye_is_final_and_counts_once(void **state)
{
    struct net *net = net_new(5, 8);
    net->loss = 300;
    net->twice = 300;
    net->jitter = 30 * MS;
    net_run(net, SECOND);
    assert_false(member_left(net->nodes[4].m));
    member_leave(net->nodes[4].m, net->now);
    member_leave(net->nodes[4].m, net->now);
    net_expect(net, 4, 4, MEMBER_SAID_GOODBYE);
    net_run(net, SECOND);
    assert_true(member_left(net->nodes[4].m));
    assert_int_equal(member_deadline(net->nodes[4].m), UINT64_MAX);
    net_run(net, SECOND);
    for (uint32_t i = 0; i < 4; i++) {
        net_expect(net, i, 4, MEMBER_SAID_GOODBYE);
        uint32_t times = 0;
        for (uint32_t k = 0; k < net->n_seen; k++)
            times += net->seen[k].observer == i && net->seen[k].change.info.state == MEMBER_LEFT;
        assert_int_equal(times, 1);
    }
    net->loss = 0;
    net_run(net, 5 * SECOND);
    assert_int_equal(net_when(net, 0, 4, MEMBER_FAILED), 0);
    net_crash(net, 4);
    net_start(net, 4);
    net_run(net, 200 * MS);
    net_expect_whole(net);
    net_free(net);
}

static void goodbye_needs_a_majority_or_a_second(void **state)
{
    struct net *net = net_new(3, 9);
    net_run(net, SECOND);
    member_leave(net->nodes[0].m, net->now);
    net_run(net, 20 * MS);
    assert_true(member_left(net->nodes[0].m));
    net_cut_off(net, 1, true);
    member_leave(net->nodes[1].m, net->now);
    net_run(net, 900 * MS);
    assert_false(member_left(net->nodes[1].m));
    net_run(net, 200 * MS);
    assert_true(member_left(net->nodes[1].m));
    net_free(net);

    net = net_new(3, 9); /* nobody is told while it does not run */
    net_run(net, SECOND);
    net_pause(net, 2, 5 * SECOND);
    net_run(net, SECOND);
    member_leave(net->nodes[2].m, net->now);
    net_run(net, 4100 * MS);
    assert_true(member_left(net->nodes[2].m));
    net_expect(net, 0, 2, MEMBER_SAID_GOODBYE);
    net_free(net);

    net = net_new(1, 9);
    member_leave(net->nodes[0].m, net->now);
    net_run(net, MS);
    assert_true(member_left(net->nodes[0].m));
    net_free(net);
}

/* After others left, the two that remain are a cluster of two. */
static void those_that_left_do_not_count(void **state)
{
    struct net *net = net_new(5, 10);
    net_run(net, SECOND);
    for (uint32_t i = 2; i < 5; i++) {
        member_leave(net->nodes[i].m, net->now);
        net_run(net, SECOND);
    }
    assert_false(member_isolated(net->nodes[0].m));
    net_crash(net, 1);
    net_run(net, 2 * SECOND);
    net_expect(net, 0, 1, MEMBER_ALONE);
    net_free(net);
}

/* Node 0 failed node 1 alone, while node 2 had left; then node 2 is back and tells of a later life
 * of node 1, which is over too. */
static void failed_alone_and_failed_again(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct net *net = net_new(3, seed);
        net_run(net, SECOND);
        member_leave(net->nodes[2].m, net->now);
        net_run(net, SECOND);
        net_crash(net, 1);
        net_crash(net, 2);
        net_run(net, 2 * SECOND);
        net_expect(net, 0, 1, MEMBER_ALONE);
        uint64_t before = net_see(net, 0, 1).incarnation;
        net_cut_off(net, 0, true);
        net_start(net, 1);
        net_start(net, 2);
        net_run(net, SECOND);
        net_crash(net, 1);
        net_run(net, 2 * SECOND);
        net_cut_off(net, 0, false);
        net_run(net, 2 * SECOND);
        assert_int_equal(net_see(net, 0, 1).state, MEMBER_FAILED);
        assert_true(net_see(net, 0, 1).incarnation > before);
        net_free(net);
    }
}

static void nobody_fails_in_maintenance(void **state)
{
    struct net *net = net_new(3, 11);
    net_run(net, SECOND);
    member_set_maintenance(net->nodes[2].m, true, net->now);
    member_set_maintenance(net->nodes[2].m, true, net->now);
    net_run(net, 100 * MS);
    assert_true(net_see(net, 0, 2).maintenance && net_see(net, 2, 2).maintenance);
    net_expect_whole(net);
    net_crash(net, 2);
    net_run(net, 20 * SECOND);
    net_expect(net, 0, 2, MEMBER_SILENT);
    net_expect(net, 1, 2, MEMBER_SILENT);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net_start(net, 2); /* it begins without the flag */
    net_run(net, 100 * MS);
    assert_false(net_see(net, 0, 2).maintenance);
    net_expect_whole(net);
    net_crash(net, 2);
    net_run(net, SECOND);
    net_expect(net, 0, 2, MEMBER_AGREED);
    net_free(net);
}

/* --- slow nodes --- */

static void time_that_it_did_not_run_is_not_others_silence(void **state)
{
    struct net *net = net_new(5, 12);
    net_run(net, SECOND);
    for (uint32_t i = 0; i < 5; i++)
        net_pause(net, i, 3 * SECOND); /* the whole host stood still */
    net_run(net, 4 * SECOND);
    assert_int_equal(net_count(net, MEMBER_SUSPECT, 0), 0);
    net_expect_whole(net);
    net_run(net, 10 * SECOND);
    uint64_t since = net->now;
    net_pause(net, 3, 2 * SECOND);
    net_run(net, 2500 * MS);
    assert_true(net_when(net, 0, 3, MEMBER_FAILED) > since);
    assert_int_equal(net_when(net, 3, 0, MEMBER_SUSPECT), 0);
    net_expect_whole(net);
    net_free(net);
}

static void a_slow_node_trusts_itself_less(void **state)
{
    struct net *net = net_new(3, 13);
    net_run(net, SECOND);
    assert_int_equal(member_health(net->nodes[0].m), 1);
    for (uint32_t i = 0; i < 3; i++) {
        net_pause(net, 0, 110 * MS); /* 60 ms late or more */
        net_run(net, 170 * MS);
    }
    uint32_t health = member_health(net->nodes[0].m);
    assert_in_range(health, 2, 4);
    assert_int_equal(member_health(net->nodes[1].m), 1);
    net_cut_off(net, 0, true);
    uint64_t since = net->now;
    net_run(net, 2 * SECOND);
    uint64_t slow = net_when(net, 0, 1, MEMBER_SUSPECT) - since;
    uint64_t fast = net_when(net, 1, 0, MEMBER_SUSPECT) - since;
    assert_in_range(fast, 150 * MS, 210 * MS);
    assert_in_range(slow, (health - 1) * 200 * MS - 60 * MS, health * 200 * MS);
    net_run(net, 10 * SECOND);
    assert_int_equal(member_health(net->nodes[0].m), 1);
    net_free(net);
}

/* Edge sites: 100 to 200 ms there and back, one in a hundred lost, two in a hundred late. */
static void far_and_lossy_links_fail_nobody(void **state)
{
    struct net *net = net_new(5, 14);
    net->delay = 50 * MS;
    net->jitter = 50 * MS;
    net->loss = 10;
    net->twice = 10;
    net_run(net, 1800 * SECOND);
    assert_int_equal(net_count(net, MEMBER_FAILED, 0), 0);
    net_run(net, SECOND);
    net_expect_whole(net);
    assert_in_range(net_see(net, 0, 1).rtt, 100 * MS, 220 * MS);
    net_free(net);
}

/* --- everything at once --- */

static void one_fault(struct net *net, struct prng *r)
{
    uint32_t a = (uint32_t)prng_below(r, net->n), b = (uint32_t)prng_below(r, net->n);
    bool on = prng_below(r, 2);
    switch (prng_below(r, 9)) {
    case 0: net_cut(net, a, b, on); return;
    case 1: net->cut[a][b] = on; return;
    case 2: net_cut_off(net, a, on); return;
    case 3: net_partition(net, (uint32_t)prng_below(r, net->n), on); return;
    case 4: net->loss = (uint32_t)prng_below(r, 300); return;
    case 5: net->jitter = MS + prng_below(r, 200 * MS); return;
    case 6: net->twice = (uint32_t)prng_below(r, 300); return;
    case 7: net_pause(net, a, prng_below(r, 2 * SECOND)); return;
    default: break;
    }
    if (!net->nodes[a].m) {
        if (prng_below(r, 4) == 0)
            net->nodes[a].incarnation /= 2; /* it lost what it kept */
        net_start(net, a);
    } else if (on) {
        net_crash(net, a);
    } else {
        member_leave(net->nodes[a].m, net->now);
    }
}

static void mend(struct net *net)
{
    for (uint32_t i = 0; i < net->n; i++) {
        net_cut_off(net, i, false);
        net->nodes[i].paused_until = 0;
        if (net->nodes[i].m && net_see(net, i, i).state == MEMBER_LEFT)
            net_crash(net, i);
        if (!net->nodes[i].m)
            net_start(net, i);
    }
    net->loss = net->twice = 0;
    net->jitter = MS;
}

/* No failure is declared by a node that does not hear a majority. What it takes over from others
 * was declared by one that did. */
static void when_faults_end_all_is_well(void **state)
{
    for (uint32_t seed = 0; seed < 150; seed++) {
        struct net *net = net_new(seed % 6 + 2, seed);
        struct prng r;
        prng_seed(&r, seed);
        for (uint32_t i = 0; i < 40; i++) {
            one_fault(net, &r);
            net_run(net, prng_below(&r, SECOND));
        }
        mend(net);
        net_run(net, 2 * SECOND);
        net_expect_whole(net);
        uint32_t seen = net->n_seen;
        net_run(net, 5 * SECOND);
        assert_int_equal(net->n_seen, seen);
        net_free(net);
    }
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_everybody),
        cmocka_unit_test(loss_of_one_is_agreed_soon),
        cmocka_unit_test(only_a_majority_declares),
        cmocka_unit_test(two_nodes_wait_longer),
        cmocka_unit_test(the_last_one_declares_nobody),
        cmocka_unit_test(a_partial_partition_is_named),
        cmocka_unit_test(a_one_way_partition_is_named),
        cmocka_unit_test(a_story_is_cut_to_fit),
        cmocka_unit_test(a_node_comes_back_with_its_name),
        cmocka_unit_test(a_stale_incarnation_is_learned),
        cmocka_unit_test(who_says_that_it_failed_is_refuted),
        cmocka_unit_test(goodbye_is_final_and_counts_once),
        cmocka_unit_test(goodbye_needs_a_majority_or_a_second),
        cmocka_unit_test(those_that_left_do_not_count),
        cmocka_unit_test(failed_alone_and_failed_again),
        cmocka_unit_test(nobody_fails_in_maintenance),
        cmocka_unit_test(time_that_it_did_not_run_is_not_others_silence),
        cmocka_unit_test(a_slow_node_trusts_itself_less),
        cmocka_unit_test(far_and_lossy_links_fail_nobody),
        cmocka_unit_test(when_faults_end_all_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
