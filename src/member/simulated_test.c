/* What the simulator has found (sim/seeds.txt), each in its smallest form. */
#include "member/net_test.h"

/* Node 0 is stopped while node 4 dies, and reads afterwards what that sent before. */
static void what_was_sent_before_brings_nobody_back(void **state)
{
    struct net *net = net_new(5, 1);
    net_run(net, SECOND);
    net_pause(net, 0, 8 * SECOND);
    net_run(net, 3 * SECOND);
    net_crash(net, 4);
    net_run(net, 2 * SECOND);
    uint64_t since = net->now;
    for (uint32_t i = 1; i < 4; i++)
        net_expect(net, i, 4, MEMBER_AGREED);
    net_run(net, 5 * SECOND);
    for (uint32_t i = 1; i < 4; i++)
        assert_true(net_when(net, i, 4, MEMBER_ALIVE) < since);
    for (uint32_t i = 0; i < 4; i++)
        net_expect(net, i, 4, MEMBER_AGREED);
    net_free(net);
}

/* But who is back, and heard by one of them only, is alive for all: he says so himself. */
static void who_is_heard_by_one_says_that_he_is_back(void **state)
{
    struct net *net = net_new(5, 2);
    net_run(net, SECOND);
    net_cut_off(net, 4, true);
    net_run(net, SECOND);
    for (uint32_t i = 0; i < 4; i++)
        net_expect(net, i, 4, MEMBER_AGREED);
    net_cut(net, 4, 3, false);
    net_run(net, SECOND);
    net_expect(net, 3, 4, MEMBER_HEARD);
    for (uint32_t i = 0; i < 3; i++)
        net_expect(net, i, 4, MEMBER_VOUCHED);
    net_free(net);
}

/* Node 0 hears the lost one last, and so suspects it last: what the others agreed meanwhile does
 * not spare it the two heartbeats in which the suspect may answer. */
static void each_waits_after_its_own_suspicion(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct net *net = net_new(5, seed);
        net_run(net, SECOND);
        for (uint32_t i = 1; i < 4; i++)
            net_cut(net, 4, i, true);
        net_run(net, 60 * MS);
        net_cut(net, 4, 0, true);
        net_run(net, SECOND);
        uint64_t suspected = net_when(net, 0, 4, MEMBER_SUSPECT);
        assert_true(net_when(net, 0, 4, MEMBER_FAILED) >= suspected + 100 * MS);
        assert_true(net_when(net, 1, 4, MEMBER_FAILED) < suspected + 90 * MS); /* it was told */
        net_free(net);
    }
}

/* By waking up late. */
static void make_patient(struct net *net, uint32_t i)
{
    for (int k = 0; k < 30; k++) {
        net_pause(net, i, 150 * MS);
        net_run(net, 160 * MS);
    }
    assert_int_equal(member_health(net->nodes[i].m), MEMBER_HEALTH_MAX);
}

/* The others need not wait for a patient one. */
static void a_slow_node_does_not_delay_the_others(void **state)
{
    struct net *net = net_new(5, 3);
    net_run(net, SECOND);
    make_patient(net, 3);
    uint64_t since = net->now;
    net_crash(net, 4);
    net_run(net, 500 * MS);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(net_when(net, i, 4, MEMBER_FAILED), since, since + 400 * MS);
    net_free(net);
}

/* Who restarts learns from the others that a dead node had been in maintenance. */
static void a_newcomer_hears_of_maintenance(void **state)
{
    struct net *net = net_new(5, 4);
    net_run(net, SECOND);
    member_set_maintenance(net->nodes[4].m, true, net->now);
    net_run(net, SECOND);
    net_crash(net, 4);
    net_run(net, SECOND);
    net_crash(net, 3);
    net_start(net, 3);
    net_run(net, 10 * SECOND);
    for (uint32_t i = 0; i < 4; i++) {
        struct member_info info = net_see(net, i, 4);
        assert_true(info.maintenance && info.state == MEMBER_SUSPECT);
    }
    net_free(net);
}

/* A probe that began in a cut ends after it, at a node whose patience is long. */
static void who_was_heard_since_is_not_suspected(void **state)
{
    struct member_params p = member_defaults();
    p.dense_max = 0;
    struct net *net = net_with(5, 6, &p);
    net_run(net, 5 * SECOND);
    net_cut_off(net, 0, true);
    net_run(net, 20 * SECOND);
    assert_true(member_health(net->nodes[0].m) > 4);
    net_cut_off(net, 0, false);
    net_run(net, 4 * SECOND);
    uint64_t since = net->now;
    net_run(net, 20 * SECOND);
    assert_int_equal(net_count(net, MEMBER_SUSPECT, since), 0);
    net_free(net);
}

/* Both have said that nobody hears node 2, while nobody was there to hear that. */
static void what_nobody_heard_is_said_again(void **state)
{
    struct member_params p = member_defaults();
    p.dense_max = 0;
    struct net *net = net_with(3, 7, &p);
    net_crash(net, 0);
    net_crash(net, 1);
    net_crash(net, 2);
    net_cut(net, 0, 1, true);
    net_start(net, 0);
    net_start(net, 1);
    net_run(net, 30 * SECOND);
    net_cut(net, 0, 1, false);
    net_run(net, 30 * SECOND);
    net_expect(net, 0, 2, MEMBER_AGREED);
    net_expect(net, 1, 2, MEMBER_AGREED);
    net_free(net);
}

/* Node 0 sleeps for long and reads first that node 1 has failed, which is back since. */
static void who_slept_does_not_judge_by_old_letters(void **state)
{
    struct net *net = net_new(5, 8);
    net_run(net, SECOND);
    net->cut[1][0] = true;
    net_run(net, SECOND);
    net_pause(net, 0, 8 * SECOND);
    net_pause(net, 1, 4 * SECOND);
    net_run(net, SECOND);
    for (uint32_t i = 2; i < 5; i++) {
        net_expect(net, i, 1, MEMBER_AGREED);
        net->cut[i][0] = true; /* its buffer is full */
    }
    net_run(net, 7 * SECOND - MS);
    for (uint32_t i = 1; i < 5; i++)
        net->cut[i][0] = false;
    net_expect(net, 2, 1, MEMBER_HEARD);
    net_run(net, 3 * SECOND);
    assert_int_equal(net_when(net, 0, 1, MEMBER_FAILED), 0);
    net_expect_whole(net);
    net_free(net);
}

/* ... nor when newer ones do not come, for it is cut off. */
static void who_slept_and_is_cut_off_does_not_judge_by_old_letters(void **state)
{
    struct net *net = net_new(5, 8);
    net_run(net, SECOND);
    net->cut[1][0] = true;
    net_run(net, SECOND);
    net_pause(net, 0, 8 * SECOND);
    net_pause(net, 1, 4 * SECOND);
    net_run(net, SECOND);
    for (uint32_t i = 2; i < 5; i++) {
        net_expect(net, i, 1, MEMBER_AGREED);
        net->cut[i][0] = true;
    }
    net_run(net, 10 * SECOND);
    assert_int_equal(net_when(net, 0, 1, MEMBER_FAILED), 0);
    for (uint32_t i = 1; i < 5; i++)
        net->cut[i][0] = false;
    net_run(net, 3 * SECOND);
    net_expect_whole(net);
    net_free(net);
}

/* Nobody knows an incarnation of node 0, which died before all others restarted. */
static void who_never_was_there_has_failed_for_newcomers_too(void **state)
{
    struct member_params p = member_defaults();
    p.dense_max = 0;
    struct net *net = net_with(3, 9, &p);
    for (uint32_t i = 0; i < 3; i++)
        net_crash(net, i);
    net_start(net, 1);
    net_start(net, 2);
    net_run(net, 20 * SECOND);
    net_expect(net, 1, 0, MEMBER_AGREED);
    net_crash(net, 1);
    net_start(net, 1);
    net_run(net, 20 * SECOND);
    net_expect(net, 1, 0, MEMBER_AGREED);
    net_free(net);
}

/* A patient node does not hold out against what all others have agreed. */
static void a_patient_node_follows_the_others(void **state)
{
    struct net *net = net_new(5, 10);
    net_run(net, SECOND);
    make_patient(net, 3);
    uint64_t since = net->now;
    net_crash(net, 4);
    net_run(net, 700 * MS);
    assert_in_range(net_when(net, 3, 4, MEMBER_FAILED), since, since + 700 * MS);
    net_run(net, 10 * SECOND);
    net_expect(net, 3, 4, MEMBER_AGREED);
    assert_true(net_when(net, 3, 4, MEMBER_ALIVE) < since);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_before_brings_nobody_back),
        cmocka_unit_test(who_is_heard_by_one_says_that_he_is_back),
        cmocka_unit_test(each_waits_after_its_own_suspicion),
        cmocka_unit_test(a_slow_node_does_not_delay_the_others),
        cmocka_unit_test(a_newcomer_hears_of_maintenance),
        cmocka_unit_test(who_was_heard_since_is_not_suspected),
        cmocka_unit_test(what_nobody_heard_is_said_again),
        cmocka_unit_test(who_slept_does_not_judge_by_old_letters),
        cmocka_unit_test(who_slept_and_is_cut_off_does_not_judge_by_old_letters),
        cmocka_unit_test(who_never_was_there_has_failed_for_newcomers_too),
        cmocka_unit_test(a_patient_node_follows_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
