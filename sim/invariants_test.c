/* Each invariant is shown a world in which it is broken, and one in which it is not. Nodes do not
 * run here: what they would tell is told by the test. */
#include "invariants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { N = 5 };

struct rig {
    struct world *w;
    struct invariants *v;
    struct faults faults;
};

static struct rig rig_new(void)
{
    static const struct faults none;
    struct world_options o = {.seed = 1, .nodes = N, .params = member_defaults(), .faults = &none};
    struct rig r = {.w = world_new(&o)};
    struct bounds bounds = bounds_of(N, false, false);
    r.v = invariants_new(r.w, 50 * SEC, &bounds);
    r.w->now = 10 * SEC;
    for (uint32_t i = 0; i < N; i++) {
        r.w->nodes[i].highest = 9;
        for (uint32_t j = 0; j < N; j++)
            *sight_of(r.v, i, j) = (struct sight){.known = true,
                                                  .state = MEMBER_ALIVE,
                                                  .reason = MEMBER_HEARD,
                                                  .incarnation = 3,
                                                  .heard = 10 * SEC};
    }
    return r;
}

static void rig_free(struct rig *r)
{
    invariants_free(r->v);
    world_free(r->w);
}

/* Node i says that j is now like this; it was what it was last told. */
static enum invariant says(struct rig *r, uint32_t i, uint32_t j, enum member_state state,
                           enum member_reason reason, uint64_t incarnation)
{
    const struct sight *s = sight_of(r->v, i, j);
    struct member_change c = {.info = {.id = r->w->nodes[j].id,
                                       .state = (uint8_t)state,
                                       .reason = (uint8_t)reason,
                                       .incarnation = incarnation},
                              .was = s->state,
                              .was_reason = s->reason};
    struct happening h = {.kind = HAPPENED_CHANGED, .node = i, .change = &c};
    r->v->watch.tell(r->v, r->w, &h);
    return r->v->broken;
}

static void all_heard(struct rig *r, uint32_t j, uint64_t at)
{
    for (uint32_t i = 0; i < N; i++)
        sight_of(r->v, i, j)->heard = at;
}

static void incarnations_do_not_fall_and_come_from_somewhere(void **state)
{
    struct rig r = rig_new();
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 4), INVARIANT_NONE);
    assert_int_equal(says(&r, 2, 1, MEMBER_ALIVE, MEMBER_VOUCHED, 3), INVARIANT_NONE);
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 3), I20_INCARNATION);
    rig_free(&r);
    r = rig_new();
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 10), I20_INCARNATION);
    rig_free(&r);
}

static void left_is_final(void **state)
{
    struct rig r = rig_new();
    assert_int_equal(says(&r, 0, 1, MEMBER_LEFT, MEMBER_SAID_GOODBYE, 3), INVARIANT_NONE);
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 4), INVARIANT_NONE);
    assert_int_equal(says(&r, 0, 1, MEMBER_LEFT, MEMBER_SAID_GOODBYE, 4), INVARIANT_NONE);
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 4), I21_FINAL);
    rig_free(&r);
}

static void a_change_is_told_as_it_is(void **state)
{
    struct rig r = rig_new();
    assert_int_equal(says(&r, 0, 1, MEMBER_ALIVE, MEMBER_HEARD, 3), I29_TOLD);
    rig_free(&r);
    r = rig_new();
    r.v->sights[1].state = MEMBER_SUSPECT;
    struct member_change c = {.info = {.id = r.w->nodes[1].id, .incarnation = 3},
                              .was = MEMBER_ALIVE,
                              .was_reason = MEMBER_HEARD};
    struct happening h = {.kind = HAPPENED_CHANGED, .change = &c};
    r.v->watch.tell(r.v, r.w, &h);
    assert_int_equal(r.v->broken, I29_TOLD);
    rig_free(&r);
}

static void suspicion_needs_silence(void **state)
{
    struct rig r = rig_new();
    r.w->now = 10 * SEC + 150 * MS;
    assert_int_equal(says(&r, 0, 1, MEMBER_SUSPECT, MEMBER_SILENT, 3), I22_SUSPICION);
    rig_free(&r);
    r = rig_new();
    r.w->now = 10 * SEC + 201 * MS;
    assert_int_equal(says(&r, 0, 1, MEMBER_SUSPECT, MEMBER_SILENT, 3), INVARIANT_NONE);
    rig_free(&r);
}

static void failure_needs_a_majority(void **state)
{
    for (uint32_t hearing = 0; hearing < N - 1; hearing++) {
        struct rig r = rig_new();
        for (uint32_t i = 0; i < N; i++)
            r.w->nodes[i].engine = (struct engine *)1; /* nobody looks inside */
        r.w->now = 15 * SEC;
        all_heard(&r, 1, 10 * SEC);
        for (uint32_t k = 0; k < hearing; k++)
            sight_of(r.v, k + 2 - (k == 3), 1)->heard = 15 * SEC - 20 * MS;
        /* four observers: three must be silent */
        assert_int_equal(says(&r, 0, 1, MEMBER_FAILED, MEMBER_AGREED, 3),
                         hearing <= 1 ? INVARIANT_NONE : I23_MAJORITY);
        for (uint32_t i = 0; i < N; i++)
            r.w->nodes[i].engine = NULL;
        rig_free(&r);
    }
}

static void a_lost_node_is_noticed(void **state)
{
    for (int unwell = 0; unwell < 3; unwell++) {
        struct rig r = rig_new();
        for (uint32_t i = 0; i < N; i++)
            r.v->truths[i] = (struct truth){.well = SEC, .lost = NEVER};
        r.v->truths[4] = (struct truth){.well = NEVER, .lost = 10 * SEC};
        for (int k = 0; k < unwell; k++)
            r.v->truths[k + 2].well = 9 * SEC;
        r.w->now = 12 * SEC;
        truth_check_noticed(r.v, 0);
        assert_int_equal(r.v->broken, INVARIANT_NONE);
        r.w->now = 14 * SEC;
        truth_check_noticed(r.v, 0);
        assert_int_equal(r.v->broken, unwell < 2 ? I24_NOTICED : INVARIANT_NONE);
        rig_free(&r);
    }
}

static void every_key_in_use_is_understood(void **state)
{
    struct rig r = rig_new();
    struct packet p = {.from = 1, .sent = 8 * SEC, .kind = PACKET_GENUINE};
    struct happening h = {.kind = HAPPENED_READ, .packet = &p, .refused = true, .why = SEAL_KEY};
    r.v->watch.tell(r.v, r.w, &h);
    assert_int_equal(r.v->broken, I31_KEYS);
    rig_free(&r);
}

static void views_agree_in_the_end(void **state)
{
    struct rig r = rig_new();
    r.w->nodes[0].engine = (struct engine *)1;
    r.w->nodes[0].incarnation = 3;
    r.w->now = 52 * SEC;
    for (uint32_t j = 1; j < N; j++)
        sight_of(r.v, 0, j)->state = MEMBER_FAILED;
    truth_check_agreement(r.v);
    assert_int_equal(r.v->broken, INVARIANT_NONE);
    r.w->nodes[3].goodbye = true;
    sight_of(r.v, 0, 3)->state = MEMBER_LEFT;
    truth_check_agreement(r.v);
    assert_int_equal(r.v->broken, INVARIANT_NONE);
    sight_of(r.v, 0, 2)->state = MEMBER_LEFT;
    truth_check_agreement(r.v);
    assert_int_equal(r.v->broken, I25_AGREEMENT);
    r.w->nodes[0].engine = NULL;
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incarnations_do_not_fall_and_come_from_somewhere),
        cmocka_unit_test(left_is_final),
        cmocka_unit_test(a_change_is_told_as_it_is),
        cmocka_unit_test(suspicion_needs_silence),
        cmocka_unit_test(failure_needs_a_majority),
        cmocka_unit_test(a_lost_node_is_noticed),
        cmocka_unit_test(every_key_in_use_is_understood),
        cmocka_unit_test(views_agree_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
