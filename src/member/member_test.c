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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_everybody),
        cmocka_unit_test(loss_of_one_is_agreed_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
