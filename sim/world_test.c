#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct world *five(uint64_t seed, const struct faults *faults, bool plain)
{
    static const struct faults none;
    struct world_options o = {.seed = seed,
                              .nodes = 5,
                              .plain = plain,
                              .params = member_defaults(),
                              .faults = faults ? faults : &none};
    return world_new(&o);
}

static struct faults schedule(const char *text)
{
    struct faults f;
    struct err e = {0};
    assert_int_equal(faults_parse(str_of(text), 5, &f, &e), 0);
    return f;
}

/* How node i sees node j; MEMBER_STATES: it does not run. */
static enum member_state view(struct world *w, uint32_t i, uint32_t j)
{
    struct member_info m;
    if (!w->nodes[i].engine)
        return MEMBER_STATES;
    assert_true(member_find(engine_members(w->nodes[i].engine), w->nodes[j].id, &m));
    return (enum member_state)m.state;
}

static void all_take_it_for(struct world *w, uint32_t j, enum member_state state)
{
    for (uint32_t i = 0; i < w->o.nodes; i++)
        if (i != j && w->nodes[i].engine)
            assert_int_equal(view(w, i, j), state);
}

static void all_are_alive(struct world *w)
{
    for (uint32_t j = 0; j < w->o.nodes; j++)
        all_take_it_for(w, j, MEMBER_ALIVE);
}

static void forms_sealed_and_plain(void **state)
{
    for (int plain = 0; plain < 2; plain++) {
        struct world *w = five(1, NULL, plain);
        world_run(w, 2 * SEC);
        all_are_alive(w);
        assert_true(w->packets > 500);
        world_free(w);
    }
}

static void one_seed_makes_one_run(void **state)
{
    struct faults f =
        schedule("1+1 loss *>* 30; 1.5+2 crash 3; 2+1 slow 1 50; 3+2 dup *-* 50; 4+1 forge 1 50");
    uint64_t digests[3];
    for (int i = 0; i < 3; i++) {
        struct world *w = five(i < 2 ? 7 : 8, &f, false);
        world_run(w, 8 * SEC);
        digests[i] = w->digest;
        world_free(w);
    }
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] != digests[2]);
}

static void a_crash_is_noticed_and_a_restart_too(void **state)
{
    struct faults f = schedule("2+3 crash 3");
    struct world *w = five(2, &f, false);
    world_run(w, 2 * SEC - 1);
    uint64_t before = w->nodes[3].incarnation;
    world_run(w, 4 * SEC);
    assert_null(w->nodes[3].engine);
    all_take_it_for(w, 3, MEMBER_FAILED);
    world_run(w, 7 * SEC);
    all_are_alive(w);
    assert_true(w->nodes[3].incarnation > before);
    world_free(w);
}

static void a_disk_keeps_what_has_landed(void **state)
{
    struct faults f = schedule("2+1 crash 0; 4+1 wipe 1; 6+9 disk-slow 2 5000; 6.1+1 crash 2;"
                               "8+1 crash 2; 10+9 disk-full 3; 10.1+1 crash 3");
    struct world *w = five(3, &f, false);
    world_run(w, 3900 * MS);
    assert_true(w->nodes[0].incarnation == 2 || w->nodes[0].incarnation == 3);
    world_run(w, 5500 * MS);
    assert_true(w->nodes[1].incarnation >= 2); /* it was told that it had been there */
    world_run(w, 9900 * MS);
    assert_true(w->nodes[2].kept == 1 && w->nodes[2].incarnation >= 2);
    world_run(w, 16 * SEC);
    assert_true(w->nodes[3].kept == 1 && w->nodes[3].incarnation >= 2);
    all_are_alive(w);
    world_free(w);
}

static void a_stopped_process_reads_later_what_came(void **state)
{
    struct faults f = schedule("2+0.15 pause 0; 4+3 pause 1");
    struct world *w = five(4, &f, false);
    world_run(w, 2150 * MS - 1);
    assert_true(w->nodes[0].waiting > 0);
    world_run(w, 3 * SEC);
    assert_int_equal(w->nodes[0].waiting, 0);
    all_are_alive(w);
    world_run(w, 6 * SEC);
    all_take_it_for(w, 1, MEMBER_FAILED);
    world_run(w, 9 * SEC);
    all_are_alive(w);
    world_free(w);
}

static void links_do_what_faults_say(void **state)
{
    struct faults f = schedule("2+2 cut 0,1-2,3,4; 6+2 cut 4>*");
    struct world *w = five(5, &f, false);
    world_run(w, 4 * SEC - 1);
    assert_int_equal(view(w, 3, 0), MEMBER_FAILED);
    assert_int_not_equal(view(w, 0, 3), MEMBER_FAILED); /* two of five agree on nothing */
    world_run(w, 8 * SEC - 1);
    assert_int_equal(view(w, 0, 4), MEMBER_FAILED);
    world_run(w, 10 * SEC);
    all_are_alive(w);
    world_free(w);
}

static void clocks_run_at_their_own_rates(void **state)
{
    struct faults f = schedule("1+8 drift 0 500; 1+8 drift 1 -500");
    struct world *w = five(6, &f, false);
    world_run(w, SEC);
    uint64_t at[3];
    for (uint32_t i = 0; i < 3; i++)
        at[i] = node_clock(&w->nodes[i]);
    world_run(w, 5 * SEC);
    assert_in_range(node_clock(&w->nodes[0]) - at[0], 4001990 * US, 4002010 * US);
    assert_in_range(node_clock(&w->nodes[1]) - at[1], 3997990 * US, 3998010 * US);
    assert_true(node_clock(&w->nodes[2]) - at[2] == 4 * SEC);
    world_free(w);
}

static void goodbye_is_heard(void **state)
{
    struct faults f = schedule("2+3 leave 2; 6+0 leave 3");
    struct world *w = five(7, &f, false);
    world_run(w, 3 * SEC);
    assert_true(!w->nodes[2].engine && w->nodes[2].left);
    all_take_it_for(w, 2, MEMBER_LEFT);
    world_run(w, 9 * SEC);
    all_take_it_for(w, 2, MEMBER_ALIVE);
    all_take_it_for(w, 3, MEMBER_LEFT);
    world_free(w);
}

/* Counts what is read, by kind. */
struct census {
    uint64_t read[PACKET_KINDS], refused[PACKET_KINDS];
};

static void count(void *context, struct world *w, const struct happening *h)
{
    struct census *c = context;
    if (h->kind != HAPPENED_READ)
        return;
    c->read[h->packet->kind]++;
    c->refused[h->packet->kind] += h->refused;
}

static void strangers_and_damage_are_there_and_refused(void **state)
{
    struct faults f =
        schedule("1+4 corrupt *-* 20; 1+4 dup *-* 20; 2+4 replay *>* 200; 2+4 forge * 200");
    struct census c = {0};
    struct watch watch = {&c, count};
    struct world *w = five(8, &f, false);
    world_watch(w, &watch);
    world_run(w, 9 * SEC);
    for (uint32_t k = 0; k < PACKET_KINDS; k++)
        assert_true(c.read[k] > 100);
    assert_int_equal(c.refused[PACKET_DAMAGED], c.read[PACKET_DAMAGED]);
    assert_int_equal(c.refused[PACKET_FORGED], c.read[PACKET_FORGED]);
    all_are_alive(w);
    world_free(w);
}

static uint32_t key_in_use(struct world *w, uint32_t i)
{
    return keyring_in_use(&w->nodes[i].keys)->id;
}

/* Nobody notices; who was away is waited for. */
static void a_rotation_goes_unnoticed(void **state)
{
    struct faults f = schedule("2+0 rotate 1; 9+4 crash 3; 9.1+0 rotate 2");
    struct world *w = five(9, &f, false);
    world_run(w, 2 * SEC);
    uint32_t first = key_in_use(w, 0);
    world_run(w, 9 * SEC);
    uint32_t second = key_in_use(w, 0);
    assert_true(second != first);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(w->nodes[i].keys.n == 1 && key_in_use(w, i) == second);
    all_are_alive(w);
    world_run(w, 13 * SEC - 1);
    assert_true(key_in_use(w, 0) == second && w->nodes[0].keys.n == 2);
    world_run(w, 19 * SEC);
    assert_true(key_in_use(w, 3) != second && w->nodes[3].keys.n == 1);
    all_are_alive(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_sealed_and_plain),
        cmocka_unit_test(one_seed_makes_one_run),
        cmocka_unit_test(a_crash_is_noticed_and_a_restart_too),
        cmocka_unit_test(a_disk_keeps_what_has_landed),
        cmocka_unit_test(a_stopped_process_reads_later_what_came),
        cmocka_unit_test(links_do_what_faults_say),
        cmocka_unit_test(clocks_run_at_their_own_rates),
        cmocka_unit_test(goodbye_is_heard),
        cmocka_unit_test(a_rotation_goes_unnoticed),
        cmocka_unit_test(strangers_and_damage_are_there_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
