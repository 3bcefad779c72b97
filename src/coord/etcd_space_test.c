#include "coord/etcd_space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { A, B, C };

struct scene {
    struct space_member m[3];
    struct space_facts f;
};

/* Three members that are well, with files of so many MiB, of which so many are used; 1 leads. */
static struct space_facts *scene(struct scene *s, uint64_t mib, uint64_t used)
{
    memset(s, 0, sizeof *s);
    for (uint64_t i = 0; i < 3; i++)
        s->m[i] = (struct space_member){.id = i + 1,
                                        .healthy = true,
                                        .known = true,
                                        .bytes = mib * SPACE_MIB,
                                        .used = used * SPACE_MIB};
    s->f = (struct space_facts){.members = s->m, .n = 3, .own = 1, .quota = SPACE_QUOTA};
    return &s->f;
}

static const char *next(const struct space_facts *f)
{
    static const char *const names[SPACE_DOS] = {"rest",       "compact", "defragment", "hand over",
                                                 "ask alarms", "disarm",  "full"};
    static char text[64];
    struct space_step s = space_next(f);
    snprintf(text, sizeof text, "%s%c%s", names[s.act], s.member ? ' ' : 0,
             (const char *[]){"", "a", "b", "c"}[s.member]);
    return text;
}

static void a_small_file_is_left_alone(void **state)
{
    struct scene s;
    assert_string_equal(next(scene(&s, 1, 0)), "rest");
    assert_string_equal(next(scene(&s, 60, 1)), "rest");
    assert_string_equal(next(scene(&s, 200, 110)), "rest");
    assert_string_equal(next(scene(&s, 1000, 900)), "rest");
}

static void history_goes_before_it_fills_half_of_the_quota(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 1100, 1025);
    assert_string_equal(next(f), "compact");
    f->compacted = true;
    assert_string_equal(next(f), "rest");
    s.m[A].known = false;
    f->compacted = false;
    assert_string_equal(next(f), "rest");
}

static void members_are_defragmented_one_at_a_time_the_leader_last(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 300, 100);
    assert_string_equal(next(f), "defragment b");
    s.m[B].healthy = false; /* it is at it */
    assert_string_equal(next(f), "rest");
    s.m[B].healthy = true;
    s.m[B].bytes = s.m[B].used;
    assert_string_equal(next(f), "defragment c");
    s.m[C].tried = true; /* it did not help */
    assert_string_equal(next(f), "hand over b");
    f->own = 2;
    assert_string_equal(next(f), "defragment a");
    s.m[A].bytes = s.m[A].used;
    assert_string_equal(next(f), "rest");
}

static void a_majority_is_never_risked(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 300, 100);
    f->no_space = f->compacted = true;
    s.m[C].healthy = false;
    assert_string_equal(next(f), "ask alarms"); /* it does without */
    s.m[C].learner = true;                      /* of two, none can be spared */
    assert_string_equal(next(f), "ask alarms");
    f->no_space = false;
    assert_string_equal(next(f), "rest");
    f->n = 2;
    s.m[C].healthy = true;
    assert_string_equal(next(f), "rest");
    f->n = 1; /* alone: somebody has to */
    assert_string_equal(next(f), "defragment a");
    f->n = 3; /* a learner can be spared */
    assert_string_equal(next(f), "defragment c");
}

static void an_alarm_ends_when_there_is_room(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 17, 10);
    f->no_space = true;
    f->quota = 17 * SPACE_MIB;
    assert_string_equal(next(f), "compact");
    f->compacted = true;
    assert_string_equal(next(f), "defragment b");
    s.m[B].bytes = s.m[B].used;
    assert_string_equal(next(f), "defragment c");
    s.m[C].bytes = s.m[C].used;
    assert_string_equal(next(f), "hand over b");
    f->own = 2;
    assert_string_equal(next(f), "defragment a");
    s.m[A].bytes = s.m[A].used;
    assert_string_equal(next(f), "ask alarms");
    f->whose = s.m[C].full = true;
    assert_string_equal(next(f), "disarm c");
    s.m[C].full = false;
    assert_string_equal(next(f), "rest");
}

static void an_alarm_that_nothing_helps_against_stays(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 2047, 2047);
    f->no_space = f->compacted = f->whose = s.m[A].full = true;
    assert_string_equal(next(f), "full");
    s.m[A].known = s.m[B].known = s.m[C].known = false;
    assert_string_equal(next(f), "rest"); /* nothing is known */
    s.m[A].known = true;
    s.m[A].bytes = 100;
    assert_string_equal(next(f), "disarm a");
}

static void who_does_not_lead_does_nothing(void **state)
{
    struct scene s;
    struct space_facts *f = scene(&s, 1100, 1025);
    f->own = 7;
    assert_string_equal(next(f), "rest");
    f->own = 1;
    s.m[A].healthy = false;
    assert_string_equal(next(f), "rest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_is_left_alone),
        cmocka_unit_test(history_goes_before_it_fills_half_of_the_quota),
        cmocka_unit_test(members_are_defragmented_one_at_a_time_the_leader_last),
        cmocka_unit_test(a_majority_is_never_risked),
        cmocka_unit_test(an_alarm_ends_when_there_is_room),
        cmocka_unit_test(an_alarm_that_nothing_helps_against_stays),
        cmocka_unit_test(who_does_not_lead_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
