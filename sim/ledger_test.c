/* Each invariant of the coordinator is shown a world in which it is broken. What the coordinator
 * and the nodes would tell is told by the test. */
#include "ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { N = 3 };

struct rig {
    struct faults faults;
    struct world *w;
    struct invariants *v;
    struct ledger *l;
};

static struct rig *rig_new(void)
{
    struct rig *r = sim_zero(1, sizeof *r);
    struct bounds bounds = bounds_of(N, false, false);
    r->faults = (struct faults){.n = 1, .v = {{.at = SEC, .kind = FAULT_APPLY}}};
    struct world_options o = {
        .seed = 1, .nodes = N, .params = member_defaults(), .faults = &r->faults};
    r->w = world_new(&o);
    r->v = invariants_new(r->w, 50 * SEC, &bounds);
    r->l = ledger_new(r->w, r->v, 50 * SEC);
    r->w->now = 10 * SEC;
    return r;
}

static void rig_free(struct rig *r)
{
    ledger_free(r->l);
    invariants_free(r->v);
    world_free(r->w);
    mem_free(r);
}

static enum invariant tell(struct rig *r, struct happening h)
{
    r->l->watch.tell(r->l, r->w, &h);
    return r->v->broken;
}

/* The application of one version by `who`, planned with the one before. */
static void plan(struct application *a, uint64_t number, char who)
{
    struct versions_head base = {.revision = number, .version = {.number = number - 1}};
    struct version w = {.when = 1, .who = "op", .node = "n0"};
    struct err e = {0};
    memset(w.id, who, VERSION_ID - 1);
    assert_int_equal(application_begin(a, &base, 0, &w, str_of(w.id), &e), 0);
}

/* It is done, whatever is there. */
static enum invariant decide(struct rig *r, const struct coord_op *ops, uint32_t n)
{
    struct coord_op any[3];
    enum coord_outcome outcome;
    struct err e = {0};
    for (uint32_t i = 0; i < n; i++) {
        any[i] = ops[i];
        any[i].expected = COORD_ANY;
    }
    assert_int_equal(store_cas(&r->w->coordinator->store, any, n, &outcome, &e), 0);
    return tell(r, (struct happening){.kind = HAPPENED_DECIDED,
                                      .ops = ops,
                                      .n = n,
                                      .revision = r->w->coordinator->store.revision});
}

static struct version apply(struct rig *r, uint64_t number, char who)
{
    struct application a;
    plan(&a, number, who);
    struct version v = a.version;
    decide(r, a.ops, a.n_ops);
    application_free(&a);
    return v;
}

static enum invariant force(struct rig *r, uint32_t node, const struct version *v)
{
    r->w->coordinator->followers[node].force = *v;
    return tell(r, (struct happening){.kind = HAPPENED_FORCE, .node = node, .version = v});
}

static enum invariant end(struct rig *r, const struct version *v, enum application_end end)
{
    return tell(r, (struct happening){.kind = HAPPENED_APPLIED, .version = v, .end = (int)end});
}

static void versions_are_one_row(void **state)
{
    struct rig *r = rig_new();
    apply(r, 1, 'a');
    apply(r, 2, 'a');
    assert_int_equal(r->v->broken, INVARIANT_NONE);
    apply(r, 2, 'b');
    assert_int_equal(r->v->broken, I40_ORDER);
    rig_free(r);
    r = rig_new();
    apply(r, 1, 'a');
    apply(r, 3, 'a'); /* two is missing */
    assert_int_equal(r->v->broken, I40_ORDER);
    rig_free(r);
    r = rig_new();
    apply(r, 1, 'a');
    struct application again, old;
    plan(&again, 1, 'a');
    plan(&old, 2, 'a');
    assert_int_equal(decide(r, again.ops, 1), INVARIANT_NONE); /* head once more, as a fence */
    decide(r, old.ops, 2);
    assert_int_equal(decide(r, again.ops, 1), I40_ORDER);
    application_free(&again);
    application_free(&old);
    rig_free(r);
}

static void applications_are_as_they_were_told(void **state)
{
    struct rig *r = rig_new();
    struct version v = apply(r, 1, 'a');
    assert_int_equal(end(r, &v, APPLICATION_DONE), INVARIANT_NONE);
    assert_int_equal(end(r, &v, APPLICATION_OPEN), INVARIANT_NONE);
    assert_int_equal(end(r, &v, APPLICATION_CONFLICT), I41_APPLIED);
    rig_free(r);
    r = rig_new();
    struct application a;
    plan(&a, 1, 'b');
    assert_int_equal(end(r, &a.version, APPLICATION_FAILED), INVARIANT_NONE);
    assert_int_equal(decide(r, a.ops, a.n_ops), I41_APPLIED); /* it came all the same */
    rig_free(r);
    r = rig_new();
    assert_int_equal(end(r, &a.version, APPLICATION_DONE), I41_APPLIED); /* lost */
    application_free(&a);
    rig_free(r);
    r = rig_new();
    apply(r, 1, 'a');
    struct coord_op removal = {.key = STR("config/version/0000000001"), .act = COORD_REMOVE};
    assert_int_equal(decide(r, &removal, 1), I41_APPLIED);
    rig_free(r);
}

static void nodes_go_upwards(void **state)
{
    struct rig *r = rig_new();
    struct version none = {0}, one = apply(r, 1, 'a'), two = apply(r, 2, 'a');
    assert_int_equal(force(r, 0, &none), INVARIANT_NONE);
    assert_int_equal(force(r, 0, &two), INVARIANT_NONE);
    assert_int_equal(force(r, 0, &two), INVARIANT_NONE); /* a restart */
    assert_int_equal(force(r, 0, &one), I42_UPWARDS);
    rig_free(r);
    r = rig_new();
    apply(r, 1, 'a');
    apply(r, 2, 'a');
    force(r, 0, &two);
    tell(r, (struct happening){.kind = HAPPENED_WIPED, .node = 0});
    assert_int_equal(force(r, 0, &none), INVARIANT_NONE);
    rig_free(r);
}

static void what_runs_was_in_force(void **state)
{
    struct rig *r = rig_new();
    struct application a, b;
    plan(&a, 1, 'a');
    plan(&b, 1, 'b');
    decide(r, a.ops, a.n_ops);
    assert_int_equal(force(r, 0, &a.version), INVARIANT_NONE);
    assert_int_equal(force(r, 1, &b.version), I43_FORCE);
    application_free(&a);
    application_free(&b);
    rig_free(r);
}

static void what_runs_changes_by_adopting(void **state)
{
    struct rig *r = rig_new();
    struct version one = apply(r, 1, 'a');
    struct happening followed = {.kind = HAPPENED_FOLLOWED};
    force(r, 0, &one);
    assert_int_equal(tell(r, followed), INVARIANT_NONE);
    r->w->coordinator->followers[0].force = (struct version){0};
    assert_int_equal(tell(r, followed), I46_STATIC);
    rig_free(r);
}

/* What a watch of everything tells, from the store's own history. */
static enum invariant told(struct rig *r, uint64_t after, uint32_t leave_out, bool whole)
{
    struct store_list l;
    struct err e = {0};
    const struct store *s = &r->w->coordinator->store;
    int failed = whole ? store_range(s, STR(""), &l, &e) : store_since(s, STR(""), after, &l, &e);
    assert_int_equal(failed, 0);
    enum invariant broken = tell(r, (struct happening){.kind = HAPPENED_TOLD,
                                                       .which = WATCH_ALL,
                                                       .items = l.items,
                                                       .n = l.n - leave_out,
                                                       .revision = l.revision,
                                                       .whole = whole});
    store_list_free(&l);
    return broken;
}

static void watches_miss_and_repeat_nothing(void **state)
{
    for (int k = 0; k < 7; k++) {
        struct rig *r = rig_new();
        apply(r, 1, 'a');
        uint64_t first = r->w->coordinator->store.revision;
        enum invariant broken = told(r, STORE_FIRST, k == 1, k != 2);
        assert_int_equal(broken, k == 1 || k == 2 ? I44_WATCHES : INVARIANT_NONE);
        apply(r, 2, 'a');
        apply(r, 3, 'a');
        if (k == 0)
            assert_int_equal(told(r, first, 0, false), INVARIANT_NONE);
        else if (k == 3)
            assert_int_equal(told(r, first + 1, 0, false), I44_WATCHES); /* misses */
        else if (k == 4)
            assert_int_equal(told(r, first - 1, 0, false), I44_WATCHES); /* repeats */
        else if (k == 5)
            assert_int_equal(told(r, 0, 0, true), I44_WATCHES); /* for no reason */
        else if (k == 6)
            assert_int_equal(told(r, first, 1, false), I44_WATCHES); /* not all of a revision */
        rig_free(r);
    }
    struct rig *r = rig_new();
    apply(r, 1, 'a');
    told(r, 0, 0, true);
    apply(r, 2, 'a');
    store_compact(&r->w->coordinator->store, r->w->coordinator->store.revision);
    assert_int_equal(told(r, 0, 0, true), INVARIANT_NONE);
    rig_free(r);
}

static void all_run_the_same_in_the_end(void **state)
{
    struct rig *r = rig_new();
    struct happening followed = {.kind = HAPPENED_FOLLOWED};
    struct version one = apply(r, 1, 'a');
    for (uint32_t i = 0; i < N; i++) {
        r->l->nodes[i].seen[WATCH_HEAD] = r->l->nodes[i].seen[WATCH_ALL] = 2;
        if (i)
            force(r, i, &one);
    }
    r->w->now = 60 * SEC;
    assert_int_equal(tell(r, followed), INVARIANT_NONE); /* n0 does not run */
    r->w->coordinator->followers[0].runs = true;
    r->w->now = 53 * SEC;
    assert_int_equal(tell(r, followed), INVARIANT_NONE);
    r->w->now = 54 * SEC;
    assert_int_equal(tell(r, followed), I45_SAME);
    r->w->coordinator->followers[0].runs = false;
    rig_free(r);
}

static enum invariant vote(struct rig *r, const char *record)
{
    struct coord_op op = {.key = STR(VOTING_KEY), .value = str_of(record), .act = COORD_PUT};
    return decide(r, &op, 1);
}

static enum invariant keeps(struct rig *r, uint32_t node, uint64_t version)
{
    return tell(r, (struct happening){.kind = HAPPENED_VOTING, .node = node, .revision = version});
}

/* With n0, n1, n2 first, then n0, n1, which a majority has adopted. */
static struct rig *voting(void)
{
    struct rig *r = rig_new();
    assert_int_equal(vote(r, "1 n0,n1,n2 "), INVARIANT_NONE);
    assert_int_equal(keeps(r, 0, 1), INVARIANT_NONE);
    assert_int_equal(vote(r, "2 n0,n1 n0,n1,n2"), INVARIANT_NONE);
    assert_int_equal(keeps(r, 0, 2), INVARIANT_NONE);
    return r;
}

static void voters_change_by_one_and_wait(void **state)
{
    static const struct {
        const char *next;
        uint32_t kept_by;
        uint64_t waits;
        enum invariant broken;
    } cases[] = {
        {"3 n0 n0,n1", 2, 5 * SEC, INVARIANT_NONE},
        {"3 n0,n1,n2 n0,n1", 2, 5 * SEC, INVARIANT_NONE},
        {"3 n0 n0,n1", 2, 5 * SEC - 1, I47_VOTERS},
        {"3 n0 n0,n1", 1, 9 * SEC, I47_VOTERS},    /* no majority */
        {"3 n0,n2 n0,n1", 2, 5 * SEC, I47_VOTERS}, /* two at once */
        {"4 n0 n0,n1", 2, 5 * SEC, I47_VOTERS},    /* three is missing */
        {"3 n0 n0,n1,n2", 2, 5 * SEC, I47_VOTERS}, /* not those before */
        {"3 n0,n1,n2,n3,n4,n5 n0,n1", 2, 5 * SEC, I47_VOTERS},
        {"3  n0,n1", 2, 5 * SEC, I47_VOTERS},
        {"x", 2, 5 * SEC, I47_VOTERS},
    };
    for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *r = voting();
        for (uint32_t k = 1; k < cases[i].kept_by; k++)
            keeps(r, k, 2);
        r->w->now += cases[i].waits;
        assert_int_equal(vote(r, cases[i].next), cases[i].broken);
        rig_free(r);
    }
}

static void a_node_refuses_older_voters(void **state)
{
    struct rig *r = voting();
    assert_int_equal(keeps(r, 0, 1), I47_VOTERS);
    rig_free(r);
    r = voting();
    tell(r, (struct happening){.kind = HAPPENED_WIPED, .node = 0});
    assert_int_equal(keeps(r, 0, 1), INVARIANT_NONE);
    assert_int_equal(keeps(r, 0, 3), I47_VOTERS); /* which nobody has decided */
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_one_row),
        cmocka_unit_test(applications_are_as_they_were_told),
        cmocka_unit_test(nodes_go_upwards),
        cmocka_unit_test(what_runs_was_in_force),
        cmocka_unit_test(what_runs_changes_by_adopting),
        cmocka_unit_test(watches_miss_and_repeat_nothing),
        cmocka_unit_test(all_run_the_same_in_the_end),
        cmocka_unit_test(voters_change_by_one_and_wait),
        cmocka_unit_test(a_node_refuses_older_voters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
