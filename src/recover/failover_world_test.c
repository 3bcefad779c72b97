/* Whatever happens at most one node acts (I1), epochs that are promoted only rise (I2), no
 * acknowledged write is lost while one failure at a time takes an instance's memory (I3), and when
 * faults have ended one acts and all others follow it in sync (I5). A rule that is left out is
 * found. */
#include "recover/failover_world_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FAULTY = 8000, CALM = 6000 };

static uint64_t seeds(uint64_t otherwise)
{
    const char *many = getenv("HOLDFAST_LEASE_SEEDS");
    return many ? strtoull(many, NULL, 10) : otherwise;
}

struct sums {
    uint64_t promotions, acknowledged, serving, catch_ups, switchovers;
};

static const char *one(uint64_t seed, uint32_t sync, enum plant plant, struct sums *s)
{
    struct world *w = world_make(seed, sync, plant);
    world_run(w, FAULTY);
    world_calm(w);
    for (int i = 0; i < CALM / 50 && !w->broken && !world_is_well(w); i++)
        world_run(w, 50);
    const char *broken = w->broken ? w->broken : world_is_well(w) ? NULL : "all is calm, not well";
    s->promotions += w->promotions;
    s->acknowledged += w->acknowledged;
    s->serving += w->serving_ticks;
    s->catch_ups += w->catch_ups;
    s->switchovers += w->switchovers;
    free(w);
    return broken;
}

static void all(uint32_t sync)
{
    struct sums s = {0};
    const char *only = getenv("HOLDFAST_SEED"); /* with HOLDFAST_TRACE it is told line by line */
    uint64_t n = seeds(60), first = only ? strtoull(only, NULL, 10) : 1;
    for (uint64_t seed = first; seed <= n || seed == first; seed++) {
        const char *broken = one(seed, sync, PLANT_NONE, &s);
        if (broken)
            fail_msg("seed %lu, sync %u: %s", (unsigned long)seed, sync, broken);
    }
    print_message("sync %u: %lu promotions (%lu caught up first), %lu switchovers, %lu "
                  "acknowledged; somebody served in %lu%%\n",
                  sync, (unsigned long)s.promotions, (unsigned long)s.catch_ups,
                  (unsigned long)s.switchovers, (unsigned long)s.acknowledged,
                  (unsigned long)(100 * s.serving / n / FAULTY));
    assert_true(s.promotions > 3 * n);
    assert_true(s.serving > n * FAULTY / 3);
    assert_true(s.acknowledged > n * 500);
}

static void whatever_happens_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    all(1);
}

static void whatever_happens_with_two_acknowledgements(void **state)
{
    (void)state;
    all(2);
}

static void whatever_happens_without_acknowledgements(void **state)
{
    (void)state;
    all(0);
}

static void a_rule_that_is_left_out_is_found(void **state)
{
    (void)state;
    for (enum plant p = PLANT_NONE + 1; p < PLANTS; p++) {
        struct sums s = {0};
        const char *found = NULL;
        uint64_t seed = 0;
        while (!found && ++seed <= 300)
            found = one(seed, 1, p, &s);
        print_message("plant %d: seed %lu, %s\n", (int)p, (unsigned long)seed,
                      found ? found : "NOT FOUND");
        assert_non_null(found);
    }
}

/* --- how long --- */

static struct world *calm_world(uint32_t sync)
{
    struct world *w = world_make(1, sync, PLANT_NONE);
    world_calm(w);
    world_run(w, 3000);
    assert_null(w->broken);
    assert_true(world_is_well(w));
    return w;
}

static uint64_t until_acts(struct world *w, uint8_t not_this)
{
    for (uint64_t ticks = 0; ticks < 2000; ticks++) {
        uint8_t acts = world_acts(w);
        if (acts != ROLE_NOBODY && acts != not_this)
            return ticks;
        world_run(w, 1);
        assert_null(w->broken);
    }
    fail_msg("nobody takes over");
    return 0;
}

static void a_lost_node_is_replaced_after_its_promise(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t lost = w->record.r.primary;
    world_crash(w, lost, 5000);
    uint64_t took = until_acts(w, lost);
    print_message("a lost node: %lu ms, promise %u\n", (unsigned long)took, LEASE + DEMOTE);
    assert_in_range(took, LEASE, LEASE + DEMOTE + 30);
    free(w);
}

static void a_killed_instance_is_replaced_at_once(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t lost = w->record.r.primary;
    world_break(w, lost, 5000);
    uint64_t took = until_acts(w, lost);
    print_message("a killed instance: %lu ms\n", (unsigned long)took);
    assert_in_range(took, 1, 40);
    free(w);
}

static void a_switchover_loses_nothing_and_is_short(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t before = w->record.r.primary, wanted = (uint8_t)((before + 1) % NODES);
    struct err e;
    assert_int_equal(failover_wants_switchover(&w->record, wanted, &e), 0);
    w->record.r.revision = ++w->revision;
    uint64_t served = w->serving_ticks, held = 0;
    for (int i = 0; i < 1000; i++) {
        world_run(w, 1);
        held += w->nodes[before].row.hold != 0;
    }
    print_message("a switchover: %lu ms without a primary, writers held %lu ms before\n",
                  (unsigned long)(1000 - (w->serving_ticks - served)), (unsigned long)held);
    assert_in_range(1000 - (w->serving_ticks - served), 1, 40);
    assert_int_equal(w->record.r.primary, wanted);
    assert_null(w->broken);
    world_run(w, 1000);
    assert_true(world_is_well(w));
    assert_in_range(held, 1, 12);
    free(w);
}

/* Every attempt holds writers for 20 ms; then they go on, and in the end it is given up. */
static void a_switchover_cuts_no_command_under_way(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t before = w->record.r.primary, wanted = (uint8_t)((before + 1) % NODES);
    uint32_t held = 0, longest = 0;
    struct err e;
    w->busy = true;
    assert_int_equal(failover_wants_switchover(&w->record, wanted, &e), 0);
    w->record.r.revision = ++w->revision;
    uint64_t served = w->serving_ticks;
    for (int i = 0; i < 4000; i++) {
        world_run(w, 1);
        held = w->nodes[before].row.hold ? held + 1 : 0;
        longest = MAX(longest, held);
    }
    assert_in_range(longest, 18, 22);
    assert_int_equal(w->serving_ticks - served, 4000);
    assert_int_equal(w->record.r.primary, before);
    assert_int_equal(w->record.r.wanted, ROLE_NOBODY);
    free(w);
}

/* Its agent does not answer: neither is it named, nor does any writer wait. */
static void a_switchover_to_one_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t before = w->record.r.primary, wanted = (uint8_t)((before + 1) % NODES);
    struct err e;
    assert_int_equal(failover_wants_switchover(&w->record, wanted, &e), 0);
    w->record.r.revision = ++w->revision;
    uint64_t served = w->serving_ticks;
    for (int i = 0; i < 4000; i++) {
        w->nodes[wanted].deaf = true;
        world_run(w, 1);
        assert_int_equal(w->nodes[before].row.hold, 0);
    }
    assert_int_equal(w->serving_ticks - served, 4000);
    assert_int_equal(w->record.r.primary, before);
    free(w);
}

/* The answer to the compare-and-set is lost, or comes when nobody waits for it any more: the one
 * that acts goes on until it knows. */
static void a_giver_that_is_not_answered_goes_on(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t before = w->record.r.primary, wanted = (uint8_t)((before + 1) % NODES);
    struct err e;
    assert_int_equal(failover_wants_switchover(&w->record, wanted, &e), 0);
    w->record.r.revision = ++w->revision;
    uint64_t served = w->serving_ticks;
    while (w->nodes[before].core.role.state != ROLE_HANDS_OVER)
        world_run(w, 1);
    w->away_until = w->tick + 3 * LEASE; /* what was asked is lost */
    uint32_t held = 0;
    for (int i = 0; i < 3 * LEASE; i++) {
        world_run(w, 1);
        held += w->nodes[before].row.hold != 0;
    }
    assert_in_range(held, 1, 30);
    assert_true(w->serving_ticks - served >= 3 * LEASE);
    assert_int_equal(w->record.r.primary, before);
    world_run(w, 3000);
    assert_int_equal(w->record.r.primary, wanted); /* it was wanted still */
    assert_null(w->broken);
    free(w);
}

static void without_a_coordinator_the_primary_stays_and_nobody_is_promoted(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    w->away_until = AWAY;
    uint64_t served = w->serving_ticks;
    world_run(w, 2000);
    assert_int_equal(w->serving_ticks - served, 2000);
    world_crash(w, primary, 20000);
    served = w->serving_ticks;
    world_run(w, 3000);
    assert_int_equal(w->serving_ticks, served);
    assert_true(w->waits > 0);
    w->away_until = 0; /* it is back: so is the service */
    until_acts(w, primary);
    free(w);
}

/* Hung, as far as the agent can tell: a judgement. Who steps down when nobody may take over,
 * whether for want of a coordinator, of another one that is well, or of time since the last
 * failover, would lose what the instance still does; and as soon as somebody may, he does. */
static void stays_though_ill(struct world *w, uint8_t primary, uint64_t ticks)
{
    uint32_t promotions = w->promotions, demotions = w->demotions;
    w->waits = 0;
    world_ail(w, primary, ticks);
    world_run(w, ticks);
    uint64_t served = w->serving_ticks;
    world_run(w, 500);
    assert_int_equal(w->serving_ticks - served, 500);
    assert_int_equal(world_acts(w), primary);
    assert_int_equal(w->promotions, promotions);
    assert_int_equal(w->demotions, demotions);
    assert_true(w->waits > 0);
}

static void an_ill_one_waits_for_the_coordinator(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    w->away_until = AWAY;
    stays_though_ill(w, primary, 3000);
    world_ail(w, primary, 100000); /* once more, and it is back meanwhile */
    world_run(w, 2000);
    assert_int_equal(w->nodes[primary].core.role.state, ROLE_PRIMARY);
    w->away_until = 0;
    uint64_t took = until_acts(w, primary);
    print_message("an ill one, the coordinator is back: %lu ms\n", (unsigned long)took);
    assert_in_range(took, 1, 40);
    free(w);
}

static void an_ill_one_waits_for_another_that_is_well(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    for (uint8_t i = 0; i < NODES; i++)
        if (i != primary)
            world_ail(w, i, 2500);
    stays_though_ill(w, primary, 2400);
    free(w);
}

static void an_ill_one_goes_on_while_the_next_failover_waits(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    w->record.flaps = 6; /* 32 s */
    w->record.flaps_since = 1000000;
    w->record.r.revision = ++w->revision;
    for (uint8_t i = 0; i < NODES; i++) {
        w->nodes[i].core.params.flaps = 1;
        w->nodes[i].core.params.flap_window = 1000000 * TICK;
    }
    world_run(w, 50);
    stays_though_ill(w, primary, 1200);
    free(w);
}

/* What has ended cannot act: it neither keeps the role nor takes it again with what may be less. */
static void a_dead_one_leaves_at_once_and_does_not_act_again(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    w->away_until = AWAY;
    world_run(w, 100);
    world_break(w, primary, 50);
    world_run(w, 3000);
    assert_int_equal(world_acts(w), ROLE_NOBODY);
    assert_int_equal(w->nodes[primary].holder.state, LEASE_IDLE);
    assert_true(w->waits > 0);
    w->away_until = 0;
    until_acts(w, primary);
    free(w);
}

/* The two that are left must both be fenced; the agent of the one that may not take over itself
 * swallows the order. */
static void an_agent_that_swallows_a_fence_is_asked_again(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary, other = (uint8_t)((primary + 1) % NODES);
    w->nodes[other].deaf = true;
    world_ail(w, other, 100000);
    world_crash(w, primary, 100000);
    uint64_t took = until_acts(w, primary);
    print_message("a fence that is not answered: %lu ms\n", (unsigned long)took);
    free(w);
}

static void too_few_that_have_it_promote_nobody_until_forced(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary, a = (uint8_t)((primary + 1) % NODES),
            b = (uint8_t)((primary + 2) % NODES);
    w->nodes[a].cut_until = w->tick + 100000; /* two of three at once */
    world_crash(w, primary, 3000);
    world_run(w, 200);
    world_crash(w, primary, 100000);
    w->nodes[a].cut_until = 0;
    world_break(w, a, 50); /* what it had is gone */
    world_run(w, 4000);
    assert_int_equal(world_acts(w), ROLE_NOBODY);
    struct err e;
    assert_int_equal(failover_wants_force(&w->record, b, &e), 0);
    w->record.r.revision = ++w->revision;
    memset(w->acked_at, 0, sizeof w->acked_at); /* the operator said so */
    world_run(w, 2000);
    assert_int_equal(world_acts(w), b);
    free(w);
}

/* A primary that loses sight of the others asks for a set without them and dies, and that is
 * written after its death. */
static struct world *alone_too_late(uint8_t *primary)
{
    struct world *w = calm_world(1);
    *primary = w->record.r.primary;
    w->record.r.without = w->record.r.insync & (uint16_t) ~(1u << *primary);
    w->record.r.insync = (uint16_t)(1u << *primary);
    w->record.r.revision = ++w->revision;
    world_break(w, *primary, 50);
    return w;
}

static void a_set_that_is_smaller_too_late_loses_nothing(void **state)
{
    (void)state;
    uint8_t primary;
    struct world *w = alone_too_late(&primary);
    uint64_t took = until_acts(w, primary);
    print_message("who is in sync no more takes over: %lu ms\n", (unsigned long)took);
    world_run(w, 2000);
    assert_null(w->broken);
    assert_true(world_is_well(w));
    assert_int_equal(w->record.r.without, 0);
    free(w);
}

/* The one that is cut off may have more than the one that is there. */
static void all_that_a_smaller_set_is_without_are_waited_for(void **state)
{
    (void)state;
    uint8_t primary;
    struct world *w = alone_too_late(&primary);
    w->nodes[(primary + 1) % NODES].cut_until = w->tick + 5000;
    world_run(w, 4900);
    assert_int_equal(world_acts(w), ROLE_NOBODY);
    assert_true(w->waits > 0);
    world_run(w, 100);
    until_acts(w, ROLE_NOBODY);
    assert_null(w->broken);
    free(w);
}

/* Not in sync when it was promoted: before the record says that it is, its promise is nobody's. */
static void who_is_not_in_sync_yet_acknowledges_nothing(void **state)
{
    (void)state;
    uint8_t primary;
    struct world *w = alone_too_late(&primary);
    uint8_t next = ROLE_NOBODY;
    uint32_t before = w->acknowledged, looked = 0;
    for (int i = 0; i < 1000 && !(next < NODES && w->record.r.insync >> next & 1); i++) {
        world_run(w, 1);
        next = world_acts(w);
        looked += next < NODES;
        assert_true(w->record.r.insync >> (next % NODES) & 1 || w->acknowledged == before);
    }
    assert_true(looked > 1);
    free(w);
}

static void who_acted_alone_for_a_while_is_waited_for_by_nobody(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary;
    uint16_t others = w->record.r.insync & (uint16_t) ~(1u << primary);
    for (uint8_t i = 0; i < NODES; i++)
        if (i != primary)
            world_break(w, i, 100000);
    world_run(w, 9000);
    assert_int_equal(w->record.r.insync, 1u << primary);
    assert_int_equal(w->record.r.without, others);
    world_run(w, 2000);
    assert_int_equal(w->record.r.without, 0);
    memset(w->acked_at, 0, sizeof w->acked_at); /* they were in one place */
    world_break(w, primary, 50);
    world_run(w, 60);
    assert_in_range(until_acts(w, ROLE_NOBODY), 0, 2 * LEASE);
    free(w);
}

static void a_late_challenge_is_answered_without_a_pause(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary, other = (uint8_t)((primary + 1) % NODES);
    world_crash(w, other, 100000);
    w->record.r.epoch++;
    w->record.r.revision = ++w->revision;
    w->record.r.primary = other;
    uint64_t served = w->serving_ticks;
    world_run(w, 1000);
    assert_int_equal(w->record.r.primary, primary);
    assert_in_range(w->serving_ticks - served, 990, 1000);
    assert_null(w->broken);
    free(w);
}

/* The watch of one who carries clients may be late: by what the new primary says they are led. */
static void who_acts_under_a_later_epoch_is_led_to(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t primary = w->record.r.primary, next = (uint8_t)((primary + 1) % NODES),
            third = (uint8_t)((primary + 2) % NODES);
    struct member *m = &w->nodes[third];
    struct role_message said = m->core.peers[next].said;
    assert_int_equal(m->row.primary, 1 + primary);
    said.epoch = m->row.epoch - 1;
    failover_hear(&m->core, next, &said, w->tick * TICK);
    world_run(w, 1);
    assert_int_equal(m->row.primary, 1 + primary);
    said.epoch = w->record.r.epoch + 1;
    failover_hear(&m->core, next, &said, w->tick * TICK);
    world_run(w, 1);
    assert_int_equal(m->row.primary, 1 + next);
    assert_int_equal(m->row.epoch, w->record.r.epoch + 1);
    free(w);
}

static struct member *who_challenges(struct world *w)
{
    for (uint64_t ticks = 0; ticks < 500; ticks++) {
        for (uint8_t i = 0; i < NODES; i++)
            if (w->nodes[i].core.role.state == ROLE_CHALLENGE)
                return &w->nodes[i];
        world_run(w, 1);
    }
    fail_msg("nobody challenges");
    abort();
}

/* For certain: not as after one that another was faster with, who is given time. */
static void a_challenge_that_did_not_happen_is_soon_repeated(void **state)
{
    (void)state;
    for (enum failover_outcome o = FAILOVER_CONFLICT; o <= FAILOVER_FAILED; o++) {
        if (o == FAILOVER_UNKNOWN)
            continue;
        struct world *w = calm_world(1);
        world_crash(w, w->record.r.primary, 5000);
        struct member *m = who_challenges(w);
        uint64_t now = w->tick * TICK;
        failover_cas_answer(&m->core, m->core.cas_ticket, o, 0, now);
        failover_run(&m->core, now);
        assert_int_equal(m->core.role.state, ROLE_REPLICA);
        uint64_t least = o == FAILOVER_FAILED ? BEAT : LEASE / 2;
        assert_in_range(m->core.role.quiet - now, least * TICK, 2 * least * TICK);
        free(w);
    }
}

/* The old primary is back, empty, before anybody may challenge: it does not take its lease again to
 * wait for what those who still follow it have. */
static void damping_outlasts_a_restart_and_no_more(void **state)
{
    (void)state;
    struct world *w = calm_world(1);
    uint8_t lost = w->record.r.primary;
    w->record.flaps = 3;
    w->record.flaps_since = 1000000;
    w->record.r.revision = ++w->revision;
    for (uint8_t i = 0; i < NODES; i++) {
        w->nodes[i].core.params.flaps = 1;
        w->nodes[i].core.params.flap_window = 1000000 * TICK;
    }
    uint64_t due = w->nodes[lost].core.record_seen / TICK + 4000; /* 1 s, 2 s, then 4 s */
    world_run(w, 50);
    world_break(w, lost, 100);
    world_run(w, 10);
    assert_int_equal(world_acts(w), ROLE_NOBODY);
    until_acts(w, lost);
    uint64_t now = w->nodes[lost].core.record_seen / TICK;
    print_message("damped: acts %ld ms after it may\n", (long)(now - due));
    assert_in_range(now - due, 0, 100);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_node_is_replaced_after_its_promise),
        cmocka_unit_test(a_killed_instance_is_replaced_at_once),
        cmocka_unit_test(a_switchover_loses_nothing_and_is_short),
        cmocka_unit_test(a_switchover_cuts_no_command_under_way),
        cmocka_unit_test(a_switchover_to_one_that_does_not_answer_is_given_up),
        cmocka_unit_test(a_giver_that_is_not_answered_goes_on),
        cmocka_unit_test(without_a_coordinator_the_primary_stays_and_nobody_is_promoted),
        cmocka_unit_test(an_ill_one_waits_for_the_coordinator),
        cmocka_unit_test(an_ill_one_waits_for_another_that_is_well),
        cmocka_unit_test(an_ill_one_goes_on_while_the_next_failover_waits),
        cmocka_unit_test(a_dead_one_leaves_at_once_and_does_not_act_again),
        cmocka_unit_test(an_agent_that_swallows_a_fence_is_asked_again),
        cmocka_unit_test(too_few_that_have_it_promote_nobody_until_forced),
        cmocka_unit_test(a_set_that_is_smaller_too_late_loses_nothing),
        cmocka_unit_test(all_that_a_smaller_set_is_without_are_waited_for),
        cmocka_unit_test(who_is_not_in_sync_yet_acknowledges_nothing),
        cmocka_unit_test(who_acted_alone_for_a_while_is_waited_for_by_nobody),
        cmocka_unit_test(a_late_challenge_is_answered_without_a_pause),
        cmocka_unit_test(who_acts_under_a_later_epoch_is_led_to),
        cmocka_unit_test(a_challenge_that_did_not_happen_is_soon_repeated),
        cmocka_unit_test(damping_outlasts_a_restart_and_no_more),
        cmocka_unit_test(whatever_happens_nothing_acknowledged_is_lost),
        cmocka_unit_test(whatever_happens_with_two_acknowledgements),
        cmocka_unit_test(whatever_happens_without_acknowledgements),
        cmocka_unit_test(a_rule_that_is_left_out_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
