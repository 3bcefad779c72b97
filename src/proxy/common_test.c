/* What workers share of a service, over views: what stays, what is new, and memory that runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "proxy/common.h"

#define SECOND UINT64_C(1000000000)

enum { WORKERS = 3 };

/* A service with a rate, a route with two, and sessions that are learnt. */
struct words {
    struct view_rate own[1], routed[2];
    struct view_route route;
    struct view_instance instance;
    struct view_service s;
};

static void write_words(struct words *w)
{
    *w = (struct words){0};
    w->own[0] = (struct view_rate){
        .per = {HASH_HEADER, STR("x-key")}, .requests = 1, .burst = 3, .every = SECOND, .keys = 64};
    w->routed[0] = w->routed[1] = (struct view_rate){
        .per = {HASH_NONE, STR("")}, .requests = 1, .burst = 2, .every = SECOND, .keys = 64};
    w->route = (struct view_route){.name = STR("r"), .rules = {.rates = w->routed, .n_rates = 2}};
    w->instance = (struct view_instance){.name = STR("a"), .slot = 5, .max_requests = 7};
    w->s = (struct view_service){.name = STR("web"),
                                 .routes = &w->route,
                                 .n_routes = 1,
                                 .instances = &w->instance,
                                 .n_instances = 1,
                                 .rules = {.rates = w->own, .n_rates = 1},
                                 .admit = {.requests = 9, .per_instance = 4},
                                 .sticky = {STICKY_LEARN, STR("sid"), SECOND, false}};
}

static struct common *make(const struct words *w, const struct words *was, struct common *before)
{
    struct common *c;
    assert_int_equal(common_new(&w->s, was ? &was->s : NULL, before, WORKERS, &c, NULL), 0);
    return c;
}

static void what_stays_the_same_is_the_same(void **state)
{
    struct words a, b;
    write_words(&a);
    write_words(&b);
    struct common *one = make(&a, NULL, NULL), *two = make(&b, &a, one);
    assert_ptr_equal(one->live, two->live);
    assert_ptr_equal(one->sessions, two->sessions);
    assert_ptr_equal(one->rates[0].list[0], two->rates[0].list[0]);
    assert_ptr_not_equal(one->rates[1].list[0], one->rates[1].list[1]); /* two alike are two */
    assert_ptr_equal(one->rates[1].list[0], two->rates[1].list[0]);
    assert_ptr_equal(one->rates[1].list[1], two->rates[1].list[1]);
    common_unref(one);
    assert_int_equal(rate_take(shared_rate(two->rates[0].list[0]), 1, SECOND, NULL), 0);
    sticky_learn(shared_sessions(two->sessions), 1, 2, SECOND);
    assert_int_equal(sticky_find(shared_sessions(two->sessions), 1, SECOND), 2);
    common_unref(two);
}

static void what_changes_is_new(void **state)
{
    struct words a, b;
    write_words(&a);
    write_words(&b);
    b.own[0].burst = 4;
    b.route.name = STR("other");
    b.s.sticky.ttl = 2 * SECOND;
    struct common *one = make(&a, NULL, NULL), *two = make(&b, &a, one);
    assert_ptr_equal(one->live, two->live); /* whoever waits goes on waiting */
    assert_ptr_not_equal(one->sessions, two->sessions);
    assert_ptr_not_equal(one->rates[0].list[0], two->rates[0].list[0]);
    assert_ptr_not_equal(one->rates[1].list[0], two->rates[1].list[0]);
    common_unref(two);
    b = a;
    b.own[0].per.name = STR("x-kez");
    b.s.rules.rates = b.own;
    b.s.sticky.kind = STICKY_INSERT;
    two = make(&b, &a, one);
    assert_ptr_not_equal(one->rates[0].list[0], two->rates[0].list[0]);
    assert_null(two->sessions);
    common_unref(two);
    common_unref(one);
    common_unref(NULL);
}

static void limits_are_the_backend_s_own_or_the_service_s(void **state)
{
    static struct limit places[8];
    struct words a;
    write_words(&a);
    struct common *c = make(&a, NULL, NULL);
    common_limit(c, &a.s, places);
    assert_int_equal(atomic_load(&c->live->gate.limit.most), 9);
    assert_int_equal(atomic_load(&places[5].most), 7);
    a.instance.max_requests = 0;
    a.s.admit.requests = 0;
    common_limit(c, &a.s, places);
    assert_int_equal(atomic_load(&c->live->gate.limit.most), 0);
    assert_int_equal(atomic_load(&places[5].most), 4);
    common_unref(c);
}

static void memory_may_run_out_anywhere(void **state)
{
    struct words a;
    struct common *c, *before;
    struct err e;
    write_words(&a);
    before = make(&a, NULL, NULL);
    for (int again = 0; again < 2; again++) {
        unsigned long n = 1;
        for (bool failed = true; failed; n++) {
            mem_fail_at(n);
            int r = common_new(&a.s, again ? &a.s : NULL, again ? before : NULL, WORKERS, &c, &e);
            failed = mem_failed();
            mem_fail_at(0);
            assert_int_equal(r, failed ? -ERR_NOMEM : 0);
            assert_int_equal(c == NULL, failed);
        }
        common_unref(c);
        assert_true(n > (again ? 2u : 10u));
    }
    common_unref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_the_same_is_the_same),
        cmocka_unit_test(what_changes_is_new),
        cmocka_unit_test(limits_are_the_backend_s_own_or_the_service_s),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
