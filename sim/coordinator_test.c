/* A coordinator in a world: schedules written by hand, and what the nodes run then. */
#include "coordinator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { N = 5 };

struct rig {
    struct faults faults;
    struct world *w;
    struct watch watch;
    uint32_t ends[4];              /* applications, by their end */
    uint32_t wholes, told, forced; /* of the watches of head; versions that began to run */
};

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct rig *r = context;
    if (h->kind == HAPPENED_APPLIED)
        r->ends[h->end]++;
    if (h->kind == HAPPENED_TOLD && h->which == WATCH_HEAD)
        *(h->whole ? &r->wholes : &r->told) += 1;
    if (h->kind == HAPPENED_FORCE)
        r->forced++;
}

static struct rig *rig_new(uint64_t seed, const char *schedule)
{
    struct rig *r = sim_zero(1, sizeof *r);
    struct err e = {0};
    assert_int_equal(faults_parse(str_of(schedule), N, &r->faults, &e), 0);
    struct world_options o = {
        .seed = seed, .nodes = N, .params = member_defaults(), .faults = &r->faults};
    r->w = world_new(&o);
    r->watch = (struct watch){r, tell};
    world_watch(r->w, &r->watch);
    return r;
}

static void rig_free(struct rig *r)
{
    world_free(r->w);
    mem_free(r);
}

static uint64_t runs(const struct rig *r, uint32_t node)
{
    const struct follower *f = &r->w->coordinator->followers[node];
    return f->runs ? f->force.number : UINT64_MAX;
}

static void all_run(const struct rig *r, uint64_t version)
{
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(runs(r, i), version);
}

static void there_is_none_unless_a_schedule_asks(void **state)
{
    struct rig *r = rig_new(1, "1+1 crash 3");
    assert_null(r->w->coordinator);
    rig_free(r);
}

static void what_one_applies_all_run(void **state)
{
    struct rig *r = rig_new(1, "2+0 apply 3; 4+0 apply 1");
    world_run(r->w, 2 * SEC - 1);
    all_run(r, 0);
    world_run(r->w, 3 * SEC);
    all_run(r, 1);
    world_run(r->w, 5 * SEC);
    all_run(r, 2);
    assert_int_equal(r->ends[APPLICATION_DONE], 2);
    rig_free(r);
}

static void of_several_at_once_one_is_first(void **state)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct rig *r = rig_new(seed, "2+0 apply 0,2,4");
        world_run(r->w, 12 * SEC);
        uint64_t done = r->ends[APPLICATION_DONE], conflicts = r->ends[APPLICATION_CONFLICT];
        assert_true(done >= 1 && done + conflicts + r->ends[APPLICATION_OPEN] == 3);
        all_run(r, done);
        rig_free(r);
    }
}

static void a_node_that_was_away_catches_up(void **state)
{
    struct rig *r = rig_new(2, "1.5+6 coord-away 0; 1.5+6 crash 1; 1.5+6 pause 2; 2+0 apply 3; 3+0 "
                               "apply 4; 4+0 apply 3");
    world_run(r->w, 7 * SEC);
    assert_int_equal(runs(r, 0), 0);
    assert_int_equal(runs(r, 1), UINT64_MAX);
    assert_int_equal(runs(r, 2), 0);
    assert_int_equal(runs(r, 3), 3);
    world_run(r->w, 10 * SEC);
    all_run(r, 3);
    rig_free(r);
}

static void unavailable_to_all_nothing_changes_and_nothing_stops(void **state)
{
    struct rig *r = rig_new(3, "2+0 apply 0; 4+8 coord-away *; 5+0 apply 0; 5+0 apply 1");
    world_run(r->w, 12 * SEC - 1);
    all_run(r, 1);
    world_run(r->w, 24 * SEC);
    uint64_t done = r->ends[APPLICATION_DONE];
    all_run(r, runs(r, 0));
    assert_true(runs(r, 0) >= done && runs(r, 0) <= 3);
    rig_free(r);
}

static void a_disk_keeps_what_was_applied(void **state)
{
    struct rig *r = rig_new(4, "2+0 apply 0; 4+9 coord-away *; 4.5+1 crash 1; 4.5+1 wipe 2");
    world_run(r->w, 7 * SEC);
    assert_int_equal(runs(r, 1), 1);
    assert_int_equal(runs(r, 2), 0);
    world_run(r->w, 16 * SEC);
    all_run(r, 1);
    rig_free(r);
}

/* It is not used before it is kept; a crash before that is as if it never came. */
static void a_slow_disk_delays(void **state)
{
    struct rig *r = rig_new(5, "1.5+9 disk-slow 1 2000; 1.5+4 disk-full 2; 2+0 apply 0");
    world_run(r->w, 3500 * MS);
    assert_int_equal(runs(r, 0), 1);
    assert_int_equal(runs(r, 1), 0);
    assert_int_equal(runs(r, 2), 0);
    world_run(r->w, 8 * SEC);
    all_run(r, 1);
    rig_free(r);
}

static void a_machine_that_cannot_take_it_stays_until_it_can(void **state)
{
    struct rig *r =
        rig_new(6, "2+0 apply 0; 3+5 refuse 1; 4+0 apply 0; 6+0 apply 3; 7+0.1 crash 1");
    world_run(r->w, 7900 * MS);
    assert_int_equal(runs(r, 0), 3);
    assert_int_equal(runs(r, 1), 1); /* also after its restart */
    world_run(r->w, 10 * SEC);
    all_run(r, 3);
    rig_free(r);
}

static void watches_resume_and_after_compaction_begin_again(void **state)
{
    struct rig *r = rig_new(7, "2+0 apply 0; 3+0 coord-break *; 6+1 coord-away 4; 6.2+0 apply 0");
    world_run(r->w, 9 * SEC);
    assert_int_equal(r->wholes, N);
    all_run(r, 2);
    rig_free(r);
    r = rig_new(7, "2+0 apply 0; 6+1 coord-away 4; 6.2+0 apply 0; 6.5+0 coord-compact *");
    world_run(r->w, 9 * SEC);
    assert_int_equal(r->wholes, N + 1);
    all_run(r, 2);
    rig_free(r);
}

/* Answers are lost: an application learns what became of it all the same. */
static void lost_answers_are_found_out(void **state)
{
    uint32_t done = 0, conflicts = 0, open = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig *r =
            rig_new(seed, "2+0 apply 1; 4+3 coord-loss 0 60; 4.1+0 apply 0; 4.2+0 apply 1");
        world_run(r->w, 20 * SEC);
        done += r->ends[APPLICATION_DONE];
        conflicts += r->ends[APPLICATION_CONFLICT];
        open += r->ends[APPLICATION_OPEN];
        all_run(r, r->ends[APPLICATION_DONE]);
        rig_free(r);
    }
    assert_int_equal(done + conflicts, 180);
    assert_int_equal(open, 0);
    assert_true(conflicts > 20);
}

static uint64_t voters(const struct rig *r, uint32_t node, char *names)
{
    const struct voters *v = &r->w->coordinator->followers[node].votes.kept;
    names[0] = '\0';
    for (uint32_t i = 0; i < v->n; i++)
        strcat(names, v->names[i]);
    return v->version;
}

/* One at a time, and no faster than promises run out. */
static void voters_change_step_by_step(void **state)
{
    char names[64];
    struct rig *r = rig_new(8, "2+0 voters 1,2,4; 9+3 coord-away *; 13+1 crash 1");
    world_run(r->w, 2 * SEC - 1);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(voters(r, i, names), 1);
        assert_string_equal(names, "n0n1n2n3n4");
    }
    world_run(r->w, 6 * SEC);
    assert_int_equal(voters(r, 3, names), 2);
    world_run(r->w, 11 * SEC);
    assert_int_equal(voters(r, 3, names), 3);
    world_run(r->w, 20 * SEC);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(voters(r, i, names), 3);
        assert_string_equal(names, "n1n2n4");
    }
    rig_free(r);
}

static void one_seed_makes_one_run(void **state)
{
    uint64_t digests[3], members[3];
    for (int i = 0; i < 3; i++) {
        struct rig *r =
            rig_new(i < 2 ? 7 : 8, "1+1 crash 3; 2+9 coord-loss * 40; 2+0 apply 0,1,2,3; "
                                   "3+0 apply *; 4+1 coord-away *; 5+0 apply 1,2");
        world_run(r->w, 9 * SEC);
        digests[i] = r->w->coordinator->digest;
        members[i] = r->w->digest;
        rig_free(r);
    }
    assert_true(digests[0] == digests[1] && digests[0] != digests[2]);
    assert_true(members[0] == members[1] && members[0] != members[2]);
}

static void membership_does_not_notice(void **state)
{
    uint64_t digests[2];
    for (int i = 0; i < 2; i++) {
        struct rig *r = rig_new(9, i ? "1+1 crash 3; 2+2 slow 1 50; 2+3 coord-away 1; 2+0 apply *; "
                                       "3+0 coord-break *; 4+0 voters 1,2"
                                     : "1+1 crash 3; 2+2 slow 1 50");
        world_run(r->w, 7 * SEC);
        digests[i] = r->w->digest;
        rig_free(r);
    }
    assert_true(digests[0] == digests[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_none_unless_a_schedule_asks),
        cmocka_unit_test(what_one_applies_all_run),
        cmocka_unit_test(of_several_at_once_one_is_first),
        cmocka_unit_test(a_node_that_was_away_catches_up),
        cmocka_unit_test(unavailable_to_all_nothing_changes_and_nothing_stops),
        cmocka_unit_test(a_disk_keeps_what_was_applied),
        cmocka_unit_test(a_slow_disk_delays),
        cmocka_unit_test(a_machine_that_cannot_take_it_stays_until_it_can),
        cmocka_unit_test(watches_resume_and_after_compaction_begin_again),
        cmocka_unit_test(lost_answers_are_found_out),
        cmocka_unit_test(voters_change_step_by_step),
        cmocka_unit_test(one_seed_makes_one_run),
        cmocka_unit_test(membership_does_not_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
