/* The contract with the faults that each engine can be ordered to have. */
#include "coord/contract_test.h"

/* ---- Several connections, and opening again ---- */

static struct coord *other;

static void open_other(void)
{
    other = k.rig->open(k.loop);
}

static void close_other(void)
{
    coord_free(other);
    other = NULL;
}

static void what_one_did_the_other_reads(void **state)
{
    open_other();
    uint64_t r = 0;
    for (uint32_t i = 0; i < 20; i++) {
        r = put_now(i % 2 ? k.c : other, "a", r, "v");
        assert_true(r > 0);
        assert_int_equal(revision_of(i % 2 ? other : k.c, "a"), r);
        assert_int_equal(put_now(other, "a", 0, "w"), 0);
    }
    close_other();
}

/* Each adds one to a number by cas, again after each conflict: none is lost, none is done twice. A
 * real coordinator may have another leader meanwhile: then an outcome may be unknown. */
struct adder {
    struct coord *c;
    uint32_t left, unknown;
    uint32_t *at_work;
};

static void add_read(void *context, const struct coord_answer *a);

static void add_done(void *context, const struct coord_answer *a)
{
    struct adder *m = context;
    assert_true(a->outcome != COORD_FAILED && (a->outcome != COORD_UNKNOWN || k.rig->restless));
    m->unknown += a->outcome == COORD_UNKNOWN;
    m->left -= a->outcome == COORD_DONE;
    if (m->left)
        assert_int_equal(coord_range(m->c, STR("sum"), soon(), add_read, m, NULL, NULL), 0);
    else
        --*m->at_work;
    loop_stop(k.loop);
}

static void add_read(void *context, const struct coord_answer *a)
{
    struct adder *m = context;
    char text[24];
    uint64_t sum = 0;
    assert_int_equal(a->outcome, COORD_DONE);
    if (a->n)
        assert_true(str_u64(a->items[0].value, UINT32_MAX, &sum));
    struct buf b = {0};
    assert_true(buf_printf(&b, "%llu", (unsigned long long)sum + 1));
    size_t n = str_copy(text, sizeof text, buf_str(&b));
    buf_free(&b);
    struct coord_op op = {STR("sum"), {text, n}, a->n ? a->items[0].revision : 0, COORD_PUT};
    assert_int_equal(coord_cas(m->c, &op, 1, soon(), add_done, m, NULL, NULL), 0);
}

static bool is_zero(void *context)
{
    return *(uint32_t *)context == 0;
}

static void no_update_is_lost(void **state)
{
    enum { ADDERS = 6, EACH = 10 };
    struct adder m[ADDERS];
    uint32_t at_work = ADDERS;
    if (k.rig->several)
        open_other();
    for (uint32_t i = 0; i < ADDERS; i++) {
        m[i] = (struct adder){i % 2 && other ? other : k.c, EACH, 0, &at_work};
        assert_int_equal(coord_range(m[i].c, STR("sum"), soon(), add_read, &m[i], NULL, NULL), 0);
    }
    turn_until(is_zero, &at_work);
    struct got g;
    uint64_t sum = 0, more = 0;
    begin_range(k.c, "sum", &g);
    await(&g);
    assert_true(g.text.n > 4); /* "sum=60" */
    assert_true(str_u64((struct str){g.text.p + 4, g.text.n - 4}, UINT32_MAX, &sum));
    for (uint32_t i = 0; i < ADDERS; i++)
        more += m[i].unknown;
    assert_true(sum >= ADDERS * EACH && sum <= ADDERS * EACH + more);
    buf_free(&g.text);
    close_other();
}

static void a_watch_is_told_what_others_do(void **state)
{
    struct seen s = {0};
    open_other();
    see(k.c, "a", &s);
    await_calls(&s, 1);
    uint64_t r = put_now(other, "a", 0, "1");
    await_revision(&s, r);
    r = take_now(other, "a", r);
    await_revision(&s, r);
    expect_log(&s, "* a=1 -a");
    seen_free(&s);
    close_other();
}

static void what_was_done_outlives_who_did_it(void **state)
{
    uint64_t r1 = put_now(k.c, "a", 0, "1"), r2 = put_now(k.c, "b", 0, "2");
    r2 = take_now(k.c, "b", r2);
    for (uint32_t i = 0; i < 3; i++) {
        coord_free(k.c);
        k.c = k.rig->open(k.loop);
        assert_int_equal(expect_range(k.c, "", "a=1"), r2); /* it does not fall */
        assert_int_equal(revision_of(k.c, "a"), r1);
    }
    assert_true(put_now(k.c, "b", 0, "3") > r2);
}

/* ---- Away and back ---- */

static void on_health(void *context)
{
    ++*(uint32_t *)context;
    loop_stop(k.loop);
}

static bool health_is(bool reachable)
{
    struct coord_health h;
    coord_health(k.c, &h);
    assert_true(h.reachable || h.problem[0]);
    return h.reachable == reachable;
}

static bool is_reachable(void *context)
{
    return health_is(true);
}

static bool is_unreachable(void *context)
{
    return health_is(false);
}

static void go_away(void)
{
    struct got g = {0};
    k.rig->away(true);
    /* Who asks finds out. */
    assert_int_equal(
        coord_range(k.c, STR(""), clock_now() + 100 * NS_PER_MS, on_done, &g, NULL, NULL), 0);
    await(&g);
    assert_int_equal(g.outcome, COORD_FAILED);
    assert_true(g.why < 0);
    turn_until(is_unreachable, NULL);
}

static void come_back(void)
{
    k.rig->away(false);
    turn_until(is_reachable, NULL);
}

static void away_every_request_is_answered_by_its_deadline(void **state)
{
    struct got g[3] = {0};
    struct coord_op op = put("a", 0, "1");
    uint32_t told = 0;
    turn_until(is_reachable, NULL);
    turn_for(5);
    coord_on_health(k.c, on_health, &told);
    go_away();
    turn_for(1);
    assert_int_equal(told, 1);
    uint64_t deadline = clock_now() + 50 * NS_PER_MS;
    assert_int_equal(coord_cas(k.c, &op, 1, deadline, on_done, &g[0], NULL, NULL), 0);
    assert_int_equal(coord_range(k.c, STR(""), deadline, on_done, &g[1], NULL, NULL), 0);
    begin_range(k.c, "", &g[2]);
    await(&g[0]);
    await(&g[1]);
    assert_true(g[0].outcome == COORD_FAILED || g[0].outcome == COORD_UNKNOWN);
    assert_int_equal(g[1].outcome, COORD_FAILED);
    come_back();
    await(&g[2]); /* a range is asked again within its deadline */
    assert_int_equal(g[2].outcome, COORD_DONE);
    buf_free(&g[2].text);
    turn_for(1);
    assert_int_equal(told, 2);
    coord_on_health(k.c, NULL, NULL);
    uint64_t r = revision_of(k.c, "a");
    assert_true(g[0].outcome == COORD_UNKNOWN || r == 0);
    assert_true(put_now(k.c, "a", r, "2") > r);
}

static void a_watch_outlives_an_outage(void **state)
{
    struct seen s = {0}, late = {0};
    see(k.c, "", &s);
    await_calls(&s, 1);
    uint64_t r = put_now(k.c, "a", 0, "1");
    await_revision(&s, r);
    go_away();
    see(k.c, "", &late); /* begun while it is away */
    come_back();
    await_calls(&late, 1);
    r = put_now(k.c, "a", r, "2");
    await_revision(&s, r);
    await_revision(&late, r);
    expect_map(&s, "a=2");
    expect_map(&late, "a=2");
    assert_int_equal(s.wholes, 1);
    seen_free(&s);
    seen_free(&late);
}

/* ---- Cut off while others go on ---- */

static void cut_off_a_watch_misses_nothing(void **state)
{
    struct seen s = {0};
    open_other();
    see(k.c, "", &s);
    uint64_t r = put_now(k.c, "a", 0, "1");
    await_revision(&s, r);
    k.rig->cut(k.c, true);
    for (uint32_t i = 0; i < 10; i++)
        r = put_now(other, "a", r, "2");
    r = take_now(other, "a", r);
    k.rig->cut(k.c, false);
    await_revision(&s, r);
    assert_int_equal(s.wholes, 1);
    assert_int_equal(s.changes, s.calls ? 12 : 0);
    expect_map(&s, "");
    seen_free(&s);
    close_other();
}

static void after_compaction_a_watch_knows_what_is_and_what_is_gone(void **state)
{
    struct seen s = {0};
    open_other();
    put_now(k.c, "kept", 0, "1");
    uint64_t gone = put_now(k.c, "gone", 0, "1"), r = put_now(k.c, "new", 0, "1");
    see(k.c, "", &s);
    await_revision(&s, r);
    k.rig->cut(k.c, true);
    take_now(other, "gone", gone);
    for (uint32_t i = 0; i < 5; i++)
        r = put_now(other, "new", r, i < 4 ? "between" : "last");
    k.rig->compact();
    k.rig->cut(k.c, false);
    await_revision(&s, r);
    expect_map(&s, "kept=1 new=last");
    r = put_now(other, "new", r, "after");
    await_revision(&s, r);
    expect_map(&s, "kept=1 new=after");
    seen_free(&s);
    close_other();
}

/* Nothing is missed by who is up to date when the history is forgotten. */
static void compaction_disturbs_nobody_who_listens(void **state)
{
    struct seen s = {0};
    see(k.c, "", &s);
    uint64_t r = put_now(k.c, "a", 0, "0");
    await_revision(&s, r);
    for (uint32_t i = 0; i < 5; i++) {
        k.rig->compact();
        r = put_now(k.c, "a", r, "1");
        assert_true(r > 0);
        await_revision(&s, r);
    }
    expect_map(&s, "a=1");
    assert_int_equal(revision_of(k.c, "a"), r);
    seen_free(&s);
}

/* ---- Outcomes that are not known ---- */

static void what_is_unknown_is_said_to_be(bool happens)
{
    struct got g = {0};
    struct coord_op op = put("a", 0, "1");
    struct seen s = {0};
    see(k.c, "", &s);
    await_calls(&s, 1);
    k.rig->unknown(happens);
    assert_int_equal(coord_cas(k.c, &op, 1, clock_now() + 100 * NS_PER_MS, on_done, &g, NULL, NULL),
                     0);
    await(&g);
    assert_int_equal(g.outcome, COORD_UNKNOWN);
    assert_true(g.why < 0);
    /* Who needs to know reads again; and what happened is told to who watches, what did not is
     * not. */
    uint64_t r = revision_of(k.c, "a");
    assert_int_equal(r > 0, happens);
    r = put_now(k.c, "b", 0, "2");
    await_revision(&s, r);
    expect_map(&s, happens ? "a=1 b=2" : "b=2");
    assert_int_equal(s.changes, happens ? 2 : 1); /* nothing was sent twice */
    struct coord_health h;
    coord_health(k.c, &h);
    assert_int_equal(h.unknown, 1);
    seen_free(&s);
}

static void unknown_and_it_happened(void **state)
{
    what_is_unknown_is_said_to_be(true);
}

static void unknown_and_it_did_not_happen(void **state)
{
    what_is_unknown_is_said_to_be(false);
}

/* ---- What fits the rig ---- */

int contract_faults(void)
{
    const struct rig *r = k.rig;
    const struct {
        bool fits;
        struct CMUnitTest test;
    } all[] = {
        {r->several, CASE(what_one_did_the_other_reads)},
        {true, CASE(no_update_is_lost)},
        {r->several, CASE(a_watch_is_told_what_others_do)},
        {r->lasting, CASE(what_was_done_outlives_who_did_it)},
        {r->away, CASE(away_every_request_is_answered_by_its_deadline)},
        {r->away, CASE(a_watch_outlives_an_outage)},
        {r->cut && r->several, CASE(cut_off_a_watch_misses_nothing)},
        {r->cut && r->compact, CASE(after_compaction_a_watch_knows_what_is_and_what_is_gone)},
        {r->compact, CASE(compaction_disturbs_nobody_who_listens)},
        {r->unknown, CASE(unknown_and_it_happened)},
        {r->unknown, CASE(unknown_and_it_did_not_happen)},
    };
    struct CMUnitTest tests[ARRAY_LEN(all)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].fits)
            tests[n++] = all[i].test;
    return _cmocka_run_group_tests(r->name, tests, n, NULL, NULL);
}
