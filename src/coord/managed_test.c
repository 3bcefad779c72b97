/* Each step by the facts that lead to it; the histories are in managed_model_test.c. */
#include "coord/managed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { A, B, C, D };

struct scene {
    struct managed_node nodes[4];
    struct managed_member members[4];
    struct managed_facts f;
};

static const struct managed_line X = {{1}, 1, 7}, Y = {{2}, 1, 9}, LATER = {{1}, 2, 3};

/* Nodes a, b and c, which all vote, seen from `self`; all say "never". */
static struct managed_facts *scene(struct scene *s, uint32_t self)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < 4; i++) {
        s->nodes[i].name = str_of(names[i]);
        s->nodes[i].heard = true;
        str_copy(s->nodes[i].said.expects, MANAGED_NAME, STR("a"));
    }
    s->f = (struct managed_facts){.nodes = s->nodes,
                                  .n = 3,
                                  .self = self,
                                  .founder = "a",
                                  .members = s->members,
                                  .may_change_voters = true};
    for (uint32_t i = 0; i < 3; i++)
        voters_add(&s->f.wanted, s->nodes[i].name);
    s->f.voters = s->f.wanted;
    return &s->f;
}

static void knows(struct scene *s, uint32_t i, struct managed_line line, const char *founder)
{
    s->nodes[i].said.record = MANAGED_KNOWS;
    s->nodes[i].said.line = line;
    s->nodes[i].said.place = *founder ? 0 : 100 + i;
    str_copy(s->nodes[i].said.founder, MANAGED_NAME, str_of(founder));
}

/* A member of X that runs under the leader a; in the list. */
static void member(struct scene *s, uint32_t i, bool learner)
{
    struct managed_said *said = &s->nodes[i].said;
    said->record = MANAGED_DATA;
    said->line = X;
    said->place = 0;
    said->member = 10 + i;
    said->leader = 10;
    said->term = 3;
    said->applied = 5000;
    s->members[s->f.n_members++] = (struct managed_member){10 + i, i, learner, 0};
    s->f.listed = X;
    if (i == s->f.self)
        s->f.etcd = MANAGED_RUNS;
}

static void down(struct scene *s, uint32_t i)
{
    s->nodes[i].heard = false;
    memset(&s->nodes[i].said, 0, sizeof s->nodes[i].said);
}

/* What is done, and about whom: "add c", "rest: waits for ...". */
static const char *next(const struct managed_facts *f)
{
    static char text[320];
    char why[256];
    struct managed_step s = managed_next(f);
    managed_explain(f, &s, why, sizeof why);
    snprintf(text, sizeof text, "%s %.*s%s%s", managed_do_name(s.act),
             s.node < f->n ? (int)f->nodes[s.node].name.n : 1,
             s.node < f->n ? f->nodes[s.node].name.p : "-", s.act == MANAGED_REST ? ": " : "",
             s.act == MANAGED_REST ? why : "");
    return text;
}

static void one_founds_when_all_agree(void **state)
{
    struct scene s;
    struct managed_facts *f = scene(&s, A);
    assert_string_equal(next(f), "intend a");
    down(&s, C);
    assert_string_equal(next(f),
                        "rest c: waits for node c: a coordinator is founded when all nodes "
                        "have said that they never belonged to one");
    f = scene(&s, A);
    str_copy(s.nodes[B].said.expects, MANAGED_NAME, STR("b"));
    assert_string_equal(
        next(f),
        "rest b: the file of node b names other voters: the same file belongs on all nodes");
    f = scene(&s, A);
    knows(&s, C, X, "b"); /* it promised that to b, which gave up since */
    assert_string_equal(next(f),
                        "rest c: node c knows of a coordinator whose members are not heard");
    /* round two */
    f = scene(&s, A);
    knows(&s, A, X, "a");
    knows(&s, B, X, "a");
    assert_string_equal(next(f), "rest c: waits for node c to agree to the founding");
    knows(&s, C, Y, "a");
    assert_string_equal(next(f), "rest c: waits for node c to agree to the founding");
    knows(&s, C, X, "a");
    assert_string_equal(next(f), "found a");
    down(&s, B);
    assert_memory_equal(next(f), "rest b: waits for node b", 24);
}

static void others_promise_and_learn(void **state)
{
    struct scene s;
    struct managed_facts *f = scene(&s, B);
    assert_string_equal(next(f), "rest a: waits for node a to found the coordinator");
    knows(&s, A, X, "a");
    assert_string_equal(next(f), "promise a");
    f->founder = "c"; /* as this node's file has it */
    assert_string_equal(next(f), "rest c: waits for node c to found the coordinator");
    f->founder = "a";
    knows(&s, B, X, "a");
    assert_string_equal(next(f), "rest a: waits for node a to found the coordinator");
    member(&s, A, false);
    assert_string_equal(next(f), "learn a");
    f = scene(&s, B);
    member(&s, A, false);
    assert_string_equal(next(f), "learn a");
    s.nodes[C].said = s.nodes[A].said;
    s.nodes[C].said.line = Y;
    assert_memory_equal(next(f), "rest c: node c belongs to another coordinator", 45);
}

static void a_promise_ends_with_who_gave_up(void **state)
{
    struct scene s;
    struct managed_facts *f = scene(&s, B);
    knows(&s, B, X, "a");
    assert_string_equal(next(f), "forget a"); /* which says never */
    knows(&s, A, Y, "a");
    assert_string_equal(next(f), "forget a");
    down(&s, A);
    assert_string_equal(next(f), "rest a: waits for node a to found the coordinator");
    f = scene(&s, A); /* the founder itself */
    knows(&s, A, X, "a");
    f->founder = "b";
    assert_string_equal(next(f), "forget a");
    f->founder = "a";
    s.nodes[B].said = (struct managed_said){.record = MANAGED_DATA, .line = Y};
    assert_string_equal(next(f), "forget a");
}

static void an_empty_disk_asks_for_a_place(void **state)
{
    struct scene s;
    struct managed_facts *f = scene(&s, B);
    member(&s, A, false);
    knows(&s, B, X, "");
    assert_string_equal(next(f), "rest -: waits for the leader to make this node a member");
    s.members[f->n_members++] = (struct managed_member){11, B, true, 0};
    assert_memory_equal(next(f), "rest", 4); /* for whom, nobody says */
    s.members[1].place = 100;
    assert_memory_equal(next(f), "rest", 4); /* another disk's */
    s.members[1].place = 101;
    assert_string_equal(next(f), "join b");
    assert_int_equal(managed_next(f).member, 11);
    f->listed = LATER;
    assert_memory_equal(next(f), "rest", 4);
    f->listed = X;
    s.nodes[A].said.line = LATER;
    assert_string_equal(next(f), "learn a");
    s.nodes[A].said.line = X;
    voters_remove(&f->voters, STR("b"));
    assert_string_equal(next(f), "rest -: ");
}

static void a_member_runs_until_it_is_none(void **state)
{
    struct scene s;
    struct managed_facts *f = scene(&s, B);
    member(&s, A, false);
    member(&s, B, false);
    assert_string_equal(next(f), "rest -: ");
    f->etcd = MANAGED_OFF;
    s.nodes[B].said.leader = 0;
    assert_string_equal(next(f), "start b");
    f->bare = true; /* its data is gone, and what it acknowledged */
    assert_string_equal(next(f), "learn b");
    f->bare = false;
    s.members[1].id = 99;
    assert_string_equal(next(f), "leave b");
    f->listed = Y; /* not of its line */
    assert_string_equal(next(f), "start b");
    f->listed = X;
    f->etcd = MANAGED_RUNS;
    s.nodes[B].said.leader = 10; /* it takes part, whatever the list says */
    assert_string_equal(next(f), "rest -: ");
    s.nodes[A].said.line = LATER; /* somebody restored */
    assert_string_equal(next(f), "leave a");
    knows(&s, A, LATER, "");
    assert_string_equal(next(f), "leave a");
    s.nodes[A].said.line = (struct managed_line){{1}, 1, 6};
    assert_string_equal(next(f), "rest -: ");
}

/* Three members that are well, seen from the leader. */
static struct managed_facts *three(struct scene *s)
{
    struct managed_facts *f = scene(s, A);
    member(s, A, false);
    member(s, B, false);
    member(s, C, false);
    return f;
}

static void the_leader_replaces_a_lost_member(void **state)
{
    struct scene s;
    struct managed_facts *f = three(&s);
    assert_string_equal(next(f), "rest -: ");
    down(&s, C); /* nobody takes a member away because its node is away */
    assert_string_equal(next(f), "rest -: ");
    s.nodes[C].heard = true;
    knows(&s, C, X, "");
    assert_string_equal(next(f), "remove c");
    assert_int_equal(managed_next(f).member, 12);
    down(&s, B);
    assert_memory_equal(next(f), "rest -: fewer than a majority", 29);
    f = three(&s);
    knows(&s, C, X, "");
    f->n_members = 2;
    assert_string_equal(next(f), "add c");
    assert_int_equal(managed_next(f).place, 102);
    s.members[f->n_members++] = (struct managed_member){13, C, true, 102};
    assert_memory_equal(next(f), "rest c: waits for node c to catch up", 36);
    s.members[2].place = 0; /* another leader's, or another disk's */
    assert_string_equal(next(f), "remove c");
    s.members[2].place = 102;
    s.nodes[C].said = s.nodes[B].said;
    s.nodes[C].said.member = 13;
    s.nodes[C].said.applied = 3999;
    assert_memory_equal(next(f), "rest c", 6);
    s.nodes[C].said.applied = 4000;
    assert_string_equal(next(f), "promote c");
}

static void members_become_those_of_the_voters(void **state)
{
    struct scene s;
    struct managed_facts *f = three(&s);
    f->n = 4;
    voters_remove(&f->voters, STR("a"));
    f->wanted = f->voters;
    assert_string_equal(next(f), "hand-over b");
    down(&s, B);
    assert_memory_equal(next(f), "rest a: the member of node a cannot go", 38);
    f = three(&s);
    voters_remove(&f->voters, STR("b"));
    f->wanted = f->voters;
    assert_string_equal(next(f), "remove b");
    down(&s, C); /* then a alone would be half of two */
    assert_memory_equal(next(f), "rest b: the member of node b cannot go", 38);
    f = three(&s);
    f->n_members = 2;
    knows(&s, C, Y, ""); /* of another coordinator: not asked in */
    assert_memory_equal(next(f), "rest c: node c belongs to another", 33);
    f = three(&s);
    s.members[2].node = MANAGED_NODES; /* no node of the file */
    voters_remove(&f->voters, STR("c"));
    assert_string_equal(next(f), "remove -");
}

static void voters_change_one_at_a_time(void **state)
{
    struct scene s;
    struct managed_facts *f = three(&s);
    f->n = 4;
    voters_remove(&f->wanted, STR("b"));
    voters_add(&f->wanted, STR("d"));
    assert_string_equal(next(f), "set-voters d");
    assert_int_equal(managed_next(f).voters.n, 4);
    f->may_change_voters = false;
    assert_memory_equal(next(f), "rest d: voters change one at a time", 35);
    f->may_change_voters = true;
    down(&s, D);
    assert_memory_equal(next(f), "rest d: waits for node d", 24);
    s.nodes[D].heard = true;
    down(&s, C); /* of four then three are there */
    assert_string_equal(next(f), "set-voters d");
    f->voters = managed_next(f).voters;
    knows(&s, D, X, "");
    assert_string_equal(next(f), "add d"); /* before anything else */
    down(&s, D);
    assert_memory_equal(next(f), "rest b: the member of node b cannot go", 38);
    s.nodes[C].heard = true;
    s.nodes[C].said = s.nodes[B].said;
    s.nodes[C].said.member = 12;
    assert_string_equal(next(f), "set-voters b"); /* d never came: it is not in the way */
}

static void a_restore_of_two_has_one_winner(void **state)
{
    struct managed_line low = {{1}, 2, 5}, high = {{1}, 2, 6};
    assert_true(managed_order(&low, &high) < 0 && managed_order(&high, &low) > 0);
    assert_true(managed_order(&X, &low) < 0 && managed_order(&low, &low) == 0);
    assert_true(managed_same_id(&X, &LATER) && !managed_same_id(&X, &Y));
}

static struct managed_facts *three_from(struct scene *s, uint32_t self)
{
    struct managed_facts *f = three(s);
    f->self = self;
    f->etcd = MANAGED_RUNS;
    return f;
}

static void all_timers_follow_the_slowest_disk(void **state)
{
    struct scene s;
    struct managed_facts *f = three_from(&s, A);
    assert_string_equal(next(f), "rest -: ");
    s.nodes[C].said.disk = 3;
    assert_int_equal(managed_pace(f), 3);
    assert_string_equal(next(f), "turn b");
    s.nodes[B].said.timers = 3;
    assert_string_equal(next(f), "turn c");
    s.nodes[C].said.leader = 0; /* it starts again */
    assert_string_equal(next(f), "rest -: ");
    s.nodes[C].said.leader = 10;
    s.nodes[C].said.timers = 3;
    assert_string_equal(next(f), "restart a"); /* who leads is the last */
    s.nodes[A].said.timers = 3;
    assert_string_equal(next(f), "rest -: ");
    s.nodes[C].said.disk = 0; /* down a level at a time */
    assert_int_equal(managed_pace(f), 2);
    assert_string_equal(next(f), "turn b");
    s.nodes[B].said.timers = 2;
    down(&s, C); /* which may have been the slow one */
    assert_int_equal(managed_pace(f), 3);
    assert_string_equal(next(f), "rest -: ");
}

static void a_member_starts_again_when_it_is_its_turn(void **state)
{
    struct scene s;
    struct managed_facts *f = three_from(&s, B);
    s.nodes[A].said.pace = 2;
    assert_string_equal(next(f), "rest -: ");
    s.nodes[A].said.turn = 12;
    assert_string_equal(next(f), "rest -: ");
    s.nodes[A].said.turn = 11;
    assert_string_equal(next(f), "restart b");
    assert_int_equal(managed_next(f).level, 2);
    s.nodes[B].said.disk = 3; /* it knows better */
    assert_int_equal(managed_next(f).level, 3);
    s.nodes[C].said.leader = 0; /* somebody else is away */
    assert_string_equal(next(f), "rest -: ");
    s.nodes[C].said.leader = 10;
    s.nodes[A].said.leader = 12; /* who says so leads no more */
    assert_string_equal(next(f), "rest -: ");
    f = three_from(&s, B);
    s.nodes[A].said.turn = 11;
    assert_string_equal(next(f), "rest -: "); /* it has them */
}

static void without_a_leader_members_relax_by_themselves(void **state)
{
    struct scene s;
    struct managed_facts *f = three_from(&s, B);
    for (uint32_t i = 0; i < 3; i++)
        s.nodes[i].said.leader = 0;
    s.nodes[C].said.disk = 1;
    assert_int_equal(managed_pace(f), 1);
    assert_string_equal(next(f), "rest -: fewer than a majority of the members are healthy");
    f->leaderless = true;
    assert_string_equal(next(f), "restart b");
    s.nodes[B].said.timers = 1;
    assert_string_equal(next(f), "rest -: fewer than a majority of the members are healthy");
    s.nodes[C].said.disk = 0; /* and never go back then */
    assert_int_equal(managed_pace(f), 1);
}

static void a_much_better_disk_leads(void **state)
{
    struct scene s;
    struct managed_facts *f = three_from(&s, A);
    s.nodes[A].said.disk = 1;
    for (uint32_t i = 0; i < 3; i++)
        s.nodes[i].said.timers = 3;
    s.nodes[B].said.disk = 3;
    assert_string_equal(next(f), "rest -: "); /* half as fast is good enough */
    s.nodes[A].said.disk = 3;
    s.nodes[B].said.disk = 1;
    assert_string_equal(next(f), "rest -: ");
    f->disk_steady = true;
    assert_string_equal(next(f), "hand-over c");
    s.nodes[C].said.leader = 0; /* it is not there */
    assert_string_equal(next(f), "hand-over b");
    s.members[B].learner = true;
    s.nodes[B].said.applied = 0;
    s.nodes[C].said.leader = 10;
    assert_string_equal(next(f), "rest b: waits for node b to catch up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_founds_when_all_agree),
        cmocka_unit_test(others_promise_and_learn),
        cmocka_unit_test(a_promise_ends_with_who_gave_up),
        cmocka_unit_test(an_empty_disk_asks_for_a_place),
        cmocka_unit_test(a_member_runs_until_it_is_none),
        cmocka_unit_test(the_leader_replaces_a_lost_member),
        cmocka_unit_test(members_become_those_of_the_voters),
        cmocka_unit_test(voters_change_one_at_a_time),
        cmocka_unit_test(a_restore_of_two_has_one_winner),
        cmocka_unit_test(all_timers_follow_the_slowest_disk),
        cmocka_unit_test(a_member_starts_again_when_it_is_its_turn),
        cmocka_unit_test(without_a_leader_members_relax_by_themselves),
        cmocka_unit_test(a_much_better_disk_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
