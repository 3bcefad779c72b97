/* The contract in quiet times. */
#include <stdio.h>

#include "coord/contract_test.h"

static void a_key_changes_only_as_it_was_read(void **state)
{
    uint64_t r0 = expect_range(k.c, "", "");
    assert_int_equal(put_now(k.c, "a", r0, "1"), 0);
    uint64_t r1 = put_now(k.c, "a", 0, "1");
    assert_true(r1 > r0);
    assert_int_equal(put_now(k.c, "a", 0, "2"), 0);
    uint64_t r2 = put_now(k.c, "a", r1, "2");
    assert_true(r2 > r1);
    assert_int_equal(put_now(k.c, "a", r1, "3"), 0);
    assert_int_equal(take_now(k.c, "a", r1), 0);
    assert_int_equal(revision_of(k.c, "a"), r2);
    assert_true(take_now(k.c, "a", r2) > r2);
    assert_int_equal(revision_of(k.c, "a"), 0);
    assert_int_equal(put_now(k.c, "a", r2, "4"), 0);
    assert_true(put_now(k.c, "a", COORD_ANY, "4") > r2);
    assert_true(put_now(k.c, "a", COORD_ANY, "5") > r2);
    assert_true(take_now(k.c, "a", COORD_ANY) > r2);
    expect_range(k.c, "", "");
}

static void several_keys_change_together_or_not_at_all(void **state)
{
    struct coord_op two[] = {put("b", 0, "1"), put("a", 0, "2")};
    uint64_t r1 = cas(k.c, two, 2);
    assert_true(r1 > 0);
    assert_int_equal(revision_of(k.c, "a"), r1);
    assert_int_equal(revision_of(k.c, "b"), r1);
    struct coord_op bad[] = {put("a", r1, "3"), take("b", r1 + 1), put("c", 0, "4")};
    assert_int_equal(cas(k.c, bad, 3), 0);
    expect_range(k.c, "", "a=2 b=1");
    struct coord_op good[] = {put("a", r1, "3"), take("b", r1), leave("c", 0)};
    uint64_t r2 = cas(k.c, good, 3);
    assert_true(r2 > r1);
    struct coord_op kept[] = {put("c", 0, "4"), leave("a", r1)};
    assert_int_equal(cas(k.c, kept, 2), 0);
    kept[1].expected = r2;
    assert_true(cas(k.c, kept, 2) > r2);
    expect_range(k.c, "", "a=3 c=4");
    assert_int_equal(revision_of(k.c, "a"), r2);
}

static void what_changes_nothing_raises_nothing(void **state)
{
    uint64_t r1 = put_now(k.c, "a", 0, "1");
    struct coord_op only = leave("a", r1);
    assert_int_equal(cas(k.c, &only, 1), r1);
    assert_int_equal(take_now(k.c, "b", 0), r1);
    assert_int_equal(take_now(k.c, "b", COORD_ANY), r1);
    assert_int_equal(expect_range(k.c, "", "a=1"), r1);
    assert_true(put_now(k.c, "a", r1, "1") > r1); /* the same value is a change */
}

static void a_range_has_all_keys_of_its_prefix_in_order(void **state)
{
    static const char *const keys[] = {"b/x", "b", "a", "b/", "b0", "b/\xff", "ab", "b/x/y"};
    uint64_t last = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        last = put_now(k.c, keys[i], 0, i % 2 ? "" : "v");
    assert_int_equal(expect_range(k.c, "b/", "b/= b/x=v b/x/y= b/\xff="), last);
    expect_range(k.c, "", "a=v ab=v b= b/= b/x=v b/x/y= b/\xff= b0=v");
    expect_range(k.c, "b/x/y", "b/x/y=");
    expect_range(k.c, "b/x/yz", "");
    expect_range(k.c, "\xff", "");
    assert_true(put_now(k.c, "\xff\xff", 0, "end") > last);
    expect_range(k.c, "\xff", "\xff\xff=end");
}

static struct buf only_value;

static void keep_value(void *context, const struct coord_answer *a)
{
    assert_int_equal(a->outcome, COORD_DONE);
    assert_int_equal(a->n, 1);
    assert_true(buf_add_str(&only_value, a->items[0].value));
    on_done(context, &(struct coord_answer){COORD_DONE, .revision = a->revision});
}

static void values_hold_any_byte_up_to_the_limit(void **state)
{
    char *value = test_malloc(COORD_VALUE_MAX), key[COORD_KEY_MAX];
    for (uint32_t i = 0; i < COORD_VALUE_MAX; i++)
        value[i] = (char)(i * 7 + i / 256);
    for (uint32_t i = 0; i < COORD_KEY_MAX; i++)
        key[i] = (char)(1 + i % 255);
    struct coord_op op = {{key, sizeof key}, {value, COORD_VALUE_MAX}, 0, COORD_PUT};
    assert_true(cas(k.c, &op, 1) > 0);
    struct got g = {0};
    struct str prefix = {key, sizeof key};
    assert_int_equal(coord_range(k.c, prefix, soon(), keep_value, &g, NULL, NULL), 0);
    await(&g);
    assert_int_equal(only_value.n, COORD_VALUE_MAX);
    assert_memory_equal(only_value.p, value, COORD_VALUE_MAX);
    buf_free(&only_value);
    test_free(value);
}

static void all_operations_fit_in_one_change(void **state)
{
    struct coord_op ops[COORD_OPS];
    char keys[COORD_OPS][4];
    for (uint32_t i = 0; i < COORD_OPS; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        ops[i] = put(keys[i], 0, "v");
    }
    assert_true(cas(k.c, ops, COORD_OPS) > 0);
    expect_range(k.c, "", "k0=v k1=v k2=v k3=v k4=v k5=v k6=v k7=v");
}

static void what_is_malformed_is_refused_at_once(void **state)
{
    struct got g = {0};
    static const char nothing[COORD_VALUE_MAX + 1];
    struct coord_op ops[COORD_OPS + 1];
    for (uint32_t i = 0; i <= COORD_OPS; i++)
        ops[i] = put(&"abcdefghi"[i], 0, "");
    uint64_t d = soon();
    assert_int_equal(coord_cas(k.c, ops, COORD_OPS + 1, d, on_done, &g, NULL, NULL), -ERR_LIMIT);
    assert_int_equal(coord_cas(k.c, ops, 0, d, on_done, &g, NULL, NULL), -ERR_INVAL);
    ops[1] = ops[0];
    assert_int_equal(coord_cas(k.c, ops, 2, d, on_done, &g, NULL, NULL), -ERR_INVAL);
    ops[0].value = (struct str){nothing, sizeof nothing};
    assert_int_equal(coord_cas(k.c, ops, 1, d, on_done, &g, NULL, NULL), -ERR_LIMIT);
    ops[0] = (struct coord_op){.key = STR("a\0"), .act = COORD_PUT};
    assert_int_equal(coord_cas(k.c, ops, 1, d, on_done, &g, NULL, NULL), -ERR_INVAL);
    assert_int_equal(coord_range(k.c, ops[0].key, d, on_done, &g, NULL, NULL), -ERR_INVAL);
    turn_for(20);
    assert_int_equal(g.times, 0);
}

static void requests_under_way_are_bounded_and_all_answered(void **state)
{
    struct got g[COORD_PENDING], more = {0};
    char key[8];
    for (uint32_t i = 0; i < COORD_PENDING; i++) {
        snprintf(key, sizeof key, "k%u", i % 7);
        struct coord_op op = put(key, COORD_ANY, "v");
        if (i % 3)
            begin_cas(k.c, &op, 1, &g[i]);
        else
            begin_range(k.c, "", &g[i]);
    }
    assert_int_equal(coord_range(k.c, STR(""), soon(), on_done, &more, NULL, NULL), -ERR_BUSY);
    for (uint32_t i = 0; i < COORD_PENDING; i++) {
        await(&g[i]);
        assert_int_equal(g[i].outcome, COORD_DONE);
        buf_free(&g[i].text);
    }
    put_now(k.c, "k", COORD_ANY, "v");
    for (uint32_t i = 0; i < COORD_PENDING; i++)
        assert_int_equal(g[i].times, 1);
    assert_int_equal(more.times, 0);
}

static void what_is_taken_back_is_never_answered(void **state)
{
    struct got g[3];
    struct coord_op op = put("a", 0, "1");
    begin_cas(k.c, &op, 1, &g[0]);
    begin_range(k.c, "", &g[1]);
    begin_range(k.c, "", &g[2]);
    coord_cancel(k.c, g[0].ticket);
    coord_cancel(k.c, g[1].ticket);
    coord_cancel(k.c, 1u << 30);
    await(&g[2]);
    buf_free(&g[2].text);
    put_now(k.c, "b", 0, "1");
    assert_int_equal(g[0].times + g[1].times, 0);
}

static void a_deadline_that_has_passed_is_answered_and_nothing_happens(void **state)
{
    struct got g[2] = {0};
    struct coord_op op = put("a", 0, "1");
    uint64_t past = clock_now() - 1;
    assert_int_equal(coord_cas(k.c, &op, 1, past, on_done, &g[0], NULL, NULL), 0);
    assert_int_equal(coord_range(k.c, STR(""), past, on_done, &g[1], NULL, NULL), 0);
    assert_int_equal(g[0].times + g[1].times, 0);
    for (uint32_t i = 0; i < 2; i++) {
        await(&g[i]);
        assert_int_equal(g[i].outcome, COORD_FAILED);
        assert_int_equal(g[i].why, -ERR_TIMEOUT);
    }
    expect_range(k.c, "", "");
}

static void freed_with_requests_under_way_it_answers_none(void **state)
{
    static struct got g[20];
    struct seen s = {0};
    struct coord_op op = put("a", COORD_ANY, "1");
    see(k.c, "", &s);
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++)
        begin_cas(k.c, &op, 1, &g[i]);
    coord_free(k.c);
    s.w = NULL;
    k.c = k.rig->open(k.loop);
    put_now(k.c, "b", 0, "1");
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++)
        assert_int_equal(g[i].times, 0);
    assert_int_equal(s.calls, 0);
    seen_free(&s);
    coord_free(NULL);
}

/* ---- Watches ---- */

static void a_watch_begins_with_all_there_is(void **state)
{
    struct seen none = {0}, some = {0}, all = {0};
    see(k.c, "b/", &none);
    await_calls(&none, 1);
    put_now(k.c, "a/1", 0, "1");
    put_now(k.c, "a/2", 0, "2");
    uint64_t last = put_now(k.c, "c", 0, "3");
    see(k.c, "a/", &some);
    see(k.c, "", &all);
    await_calls(&some, 1);
    await_calls(&all, 1);
    expect_log(&none, "*");
    expect_log(&some, "*a/1=1,a/2=2");
    expect_log(&all, "*a/1=1,a/2=2,c=3");
    assert_int_equal(all.last, last);
    assert_int_equal(all.latest, last);
    seen_free(&none);
    seen_free(&some);
    seen_free(&all);
}

static void a_watch_is_told_every_change_once_in_order(void **state)
{
    struct seen s = {0};
    see(k.c, "a", &s);
    await_calls(&s, 1);
    uint64_t r = put_now(k.c, "a1", 0, "x");
    await_revision(&s, r);
    assert_int_equal(s.latest, r);
    put_now(k.c, "b", 0, "not mine");
    r = put_now(k.c, "a1", r, "y");
    await_revision(&s, r);
    struct coord_op ops[] = {put("a2", 0, "z"), take("a1", r), put("c", 0, "")};
    r = cas(k.c, ops, 3);
    await_revision(&s, r);
    r = put_now(k.c, "a1", 0, "again");
    await_revision(&s, r);
    assert_int_equal(s.wholes, 1);
    assert_int_equal(s.changes, 5);
    expect_map(&s, "a1=again a2=z");
    assert_non_null(strstr(s.log.p, "* a1=x a1=y "));
    seen_free(&s);
}

/* All at once, without waiting: what comes together may be told together, but in order. */
static void many_changes_are_all_told(void **state)
{
    struct seen s = {0};
    struct got g[200];
    see(k.c, "", &s);
    await_calls(&s, 1);
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++) {
        struct coord_op op = put("k", COORD_ANY, "v");
        begin_cas(k.c, &op, 1, &g[i]);
    }
    uint64_t highest = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++) {
        await(&g[i]);
        assert_int_equal(g[i].outcome, COORD_DONE);
        highest = MAX(highest, g[i].revision);
    }
    await_revision(&s, highest);
    assert_int_equal(s.changes, ARRAY_LEN(g));
    assert_int_equal(s.wholes, 1);
    seen_free(&s);
}

/* What comes together is told all the same: gone, and there again. */
static void a_key_that_goes_and_comes_back_is_told_both(void **state)
{
    struct seen s = {0};
    struct got g[40];
    see(k.c, "", &s);
    uint64_t first = put_now(k.c, "k", 0, "v"), last = first;
    await_revision(&s, first);
    uint32_t before = s.changes;
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++) {
        struct coord_op op = i % 2 ? put("k", COORD_ANY, "v") : take("k", COORD_ANY);
        begin_cas(k.c, &op, 1, &g[i]);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(g); i++) {
        await(&g[i]);
        assert_int_equal(g[i].outcome, COORD_DONE);
        last = MAX(last, g[i].revision);
    }
    await_revision(&s, last);
    assert_int_equal(s.changes - before, last - first);
    assert_int_equal(s.wholes, 1);
    seen_free(&s);
}

static void end_both(struct seen *s)
{
    coord_unwatch(s[0].w);
    coord_unwatch(s[1].w);
}

static void in_a_callback_watches_may_end_and_begin(void **state)
{
    struct seen s[3] = {0};
    see(k.c, "", &s[0]);
    see(k.c, "", &s[1]);
    see(k.c, "", &s[2]);
    s[0].within = end_both;
    await_calls(&s[0], 1);
    uint64_t r = put_now(k.c, "a", 0, "1");
    await_revision(&s[2], r);
    assert_int_equal(s[0].calls, 1);
    assert_true(s[1].calls <= 1); /* it was its turn first, or never */
    for (uint32_t i = 0; i < 2; i++)
        s[i].w = NULL;
    for (uint32_t i = 0; i < 3; i++)
        seen_free(&s[i]);
}

static void ask_in_answer(void *context, const struct coord_answer *a)
{
    struct got *g = context;
    struct coord_op op = put("b", 0, "2");
    on_done(&g[0], a);
    begin_cas(k.c, &op, 1, &g[1]);
    begin_range(k.c, "", &g[2]);
    coord_cancel(k.c, g[2].ticket);
    begin_range(k.c, "", &g[3]);
}

static void in_an_answer_more_may_be_asked_and_taken_back(void **state)
{
    struct got g[4] = {0};
    struct coord_op op = put("a", 0, "1");
    assert_int_equal(coord_cas(k.c, &op, 1, soon(), ask_in_answer, g, NULL, NULL), 0);
    await(&g[0]);
    await(&g[1]);
    await(&g[3]);
    buf_free(&g[3].text);
    assert_int_equal(g[2].times, 0);
    expect_range(k.c, "", "a=1 b=2");
}

static void as_many_watches_as_are_allowed(void **state)
{
    static struct seen s[COORD_WATCHES];
    struct coord_watch *w = NULL;
    const struct coord_watcher nobody = {0};
    for (uint32_t i = 0; i < COORD_WATCHES; i++)
        see(k.c, "a", &s[i]);
    assert_int_equal(coord_watch(k.c, STR(""), &nobody, &w, NULL), -ERR_BUSY);
    uint64_t r = put_now(k.c, "a", 0, "1");
    for (uint32_t i = 0; i < COORD_WATCHES; i++) {
        await_revision(&s[i], r);
        expect_map(&s[i], "a=1");
        seen_free(&s[i]);
    }
}

static void health_tells_of_all_that_was_asked(void **state)
{
    struct coord_health h;
    struct seen s = {0};
    uint64_t r = put_now(k.c, "a", 0, "1");
    assert_int_equal(put_now(k.c, "a", 0, "1"), 0);
    see(k.c, "", &s);
    await_calls(&s, 1);
    coord_health(k.c, &h);
    assert_true(h.reachable);
    assert_string_equal(h.problem, "");
    assert_int_equal(h.revision, r);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.conflicts, 1);
    assert_int_equal(h.watched, 1);
    assert_int_equal(h.unknown + h.failed, 0);
    assert_true(h.last_ns > 0 && h.last_ns < 20 * NS_PER_S);
    assert_true(h.since > 0 && h.since <= clock_now());
    seen_free(&s);
}

/* A long row of random changes, each with the outcome that the map in memory has. */
static void it_does_what_the_map_in_memory_does(void **state)
{
    struct store model;
    struct prng r;
    struct seen s = {0};
    static uint64_t real[2000]; /* the engine's revision for each of the model's */
    char keys[6][4], value[16];
    store_init(&model);
    prng_seed(&r, 7);
    see(k.c, "", &s);
    for (uint32_t i = 0; i < 200; i++) {
        struct coord_op mine[3], its[3];
        uint32_t n = 1 + (uint32_t)prng_below(&r, 3), from = (uint32_t)prng_below(&r, 6);
        snprintf(value, sizeof value, "%u", i);
        for (uint32_t j = 0; j < n; j++) {
            struct coord_item is = {0};
            snprintf(keys[j], sizeof keys[j], "k%u", (from + j) % 6);
            store_get(&model, str_of(keys[j]), &is);
            uint64_t guess = prng_below(&r, 8) ? is.revision : prng_below(&r, 2) ? COORD_ANY : 0;
            mine[j] = (struct coord_op){str_of(keys[j]), str_of(value), guess,
                                        (enum coord_do)prng_below(&r, 3)};
            its[j] = mine[j];
            its[j].expected = guess == COORD_ANY || !guess ? guess : real[guess];
        }
        enum coord_outcome o;
        uint64_t before = model.revision;
        assert_int_equal(store_cas(&model, mine, n, &o, NULL), 0);
        uint64_t is = cas(k.c, its, n);
        assert_int_equal(is > 0, o == COORD_DONE);
        if (model.revision > before) {
            assert_true(is > real[before]);
            real[model.revision] = is;
        }
    }
    struct store_list l;
    struct buf b = {0};
    assert_int_equal(store_range(&model, STR(""), &l, NULL), 0);
    for (uint32_t i = 0; i < l.n; i++)
        assert_true(buf_printf(&b, "%s" STR_FMT "=" STR_FMT, i ? " " : "", STR_ARG(l.items[i].key),
                               STR_ARG(l.items[i].value)));
    assert_true(buf_add(&b, "", 1));
    await_revision(&s, expect_range(k.c, "", b.p));
    expect_map(&s, b.p);
    buf_free(&b);
    store_list_free(&l);
    store_free(&model);
    seen_free(&s);
}

int contract_cases(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_key_changes_only_as_it_was_read),
        CASE(several_keys_change_together_or_not_at_all),
        CASE(what_changes_nothing_raises_nothing),
        CASE(a_range_has_all_keys_of_its_prefix_in_order),
        CASE(values_hold_any_byte_up_to_the_limit),
        CASE(all_operations_fit_in_one_change),
        CASE(what_is_malformed_is_refused_at_once),
        CASE(requests_under_way_are_bounded_and_all_answered),
        CASE(what_is_taken_back_is_never_answered),
        CASE(a_deadline_that_has_passed_is_answered_and_nothing_happens),
        CASE(freed_with_requests_under_way_it_answers_none),
        CASE(a_watch_begins_with_all_there_is),
        CASE(a_watch_is_told_every_change_once_in_order),
        CASE(many_changes_are_all_told),
        CASE(a_key_that_goes_and_comes_back_is_told_both),
        CASE(in_a_callback_watches_may_end_and_begin),
        CASE(in_an_answer_more_may_be_asked_and_taken_back),
        CASE(as_many_watches_as_are_allowed),
        CASE(health_tells_of_all_that_was_asked),
        CASE(it_does_what_the_map_in_memory_does),
    };
    return cmocka_run_group_tests_name(k.rig->name, tests, NULL, NULL);
}
