/* The engine for etcd against a gateway that fails to order: the contract, and what etcd alone can
 * do wrong. */
#include "coord/contract_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coord/etcd.h"
#include "coord/etcd_fake_test.h"

static struct fake fake;
static struct coord *opened[FAKE_ENDS]; /* by the endpoint that each has to itself */

static void fake_begin(struct loop *l)
{
    fake_init(&fake, l);
}

static void fragmenting_begin(struct loop *l)
{
    fake_init(&fake, l);
    fake.fragments = fake.twice = true;
}

static void fake_end_all(void)
{
    fake_free(&fake);
    memset(opened, 0, sizeof opened);
}

static struct coord *open_at(uint32_t first, uint32_t n, const char *password)
{
    const char *urls[FAKE_ENDS];
    struct coord *c = NULL;
    struct err e = {0};
    for (uint32_t i = 0; i < n; i++)
        urls[i] = fake.ends[first + i].url;
    /* The loop is k.loop, whichever the gateway runs on. */
    struct coord_etcd_options o = {.endpoints = urls,
                                   .n_endpoints = n,
                                   .prefix = "hf/",
                                   .user = password ? "holdfast" : NULL,
                                   .password = password};
    assert_int_equal(coord_etcd_new(&c, k.loop, &o, &e), 0);
    return c;
}

static struct coord *open_next(struct loop *l)
{
    static uint32_t next;
    next = (next + 1) % FAKE_ENDS;
    return opened[next] = open_at(next, 1, NULL);
}

static void all_away(bool away)
{
    for (uint32_t i = 0; i < FAKE_ENDS; i++)
        fake_fault(&fake, i, away ? FAKE_REFUSES : FAKE_GOOD);
}

static void cut_one(struct coord *c, bool away)
{
    for (uint32_t i = 0; i < FAKE_ENDS; i++)
        if (opened[i] == c)
            fake_fault(&fake, i, away ? FAKE_REFUSES : FAKE_GOOD);
}

static void compact_now(void)
{
    fake_compact(&fake);
}

static void next_unknown(bool happens)
{
    fake.txn = happens ? FAKE_TXN_DONE_AND_RESET : FAKE_TXN_LOST_AND_RESET;
}

static struct coord *open_three(struct loop *l)
{
    return open_at(0, 3, NULL);
}

static const struct rig ALONE = {"etcd",    true,     true,    fake_begin,  fake_end_all,
                                 open_next, all_away, cut_one, compact_now, next_unknown};
static const struct rig FRAGMENTS = {"etcd in fragments", true,        true,     fragmenting_begin,
                                     fake_end_all,        open_next,   all_away, cut_one,
                                     compact_now,         next_unknown};
/* Three endpoints for the cases of this file. */
static const struct rig THREE = {
    .name = "etcd of three", .begin = fake_begin, .end = fake_end_all, .open = open_three};

/* With the gateway in a thread of its own, where no allocation fails. */
static struct loop *other_loop;
static pthread_t other_thread;

static void *run_other(void *context)
{
    struct err e;
    assert_int_equal(loop_run(other_loop, &e), 0);
    return NULL;
}

static void threaded_begin(struct loop *l)
{
    assert_int_equal(loop_new(&other_loop, NULL), 0);
    fake_init(&fake, other_loop);
    assert_int_equal(pthread_create(&other_thread, NULL, run_other, NULL), 0);
}

static void threaded_end(void)
{
    loop_wake_and_stop(other_loop);
    pthread_join(other_thread, NULL);
    fake_end_all();
    loop_free(other_loop);
}

static const struct rig THREADED = {
    .name = "etcd in a thread", .begin = threaded_begin, .end = threaded_end, .open = open_three};

/* --- what the tests wait for --- */

static struct etcd *engine(void)
{
    return etcd_of(k.c);
}

static bool is_sure(void *context)
{
    return engine()->sure;
}

static uint32_t in_use(void)
{
    struct coord_health h;
    turn_until(is_sure, NULL);
    coord_health(k.c, &h);
    for (uint32_t i = 0; i < FAKE_ENDS; i++)
        if (strcmp(h.at, fake.ends[i].url) == 0)
            return i;
    fail();
    return 0;
}

static bool has_moved(void *context)
{
    return engine()->sure && in_use() != *(uint32_t *)context;
}

static bool has_found(void *context)
{
    return engine()->astray > 0;
}

/* --- endpoints --- */

/* Whatever is wrong with the endpoint in use: another one takes over, requests and watches go on.
 */
static void another_takes_over(enum fake_fault fault)
{
    struct seen s = {0};
    struct got g;
    see(k.c, "", &s);
    uint64_t r = put_now(k.c, "a", 0, "1");
    await_revision(&s, r);
    uint32_t bad = in_use();
    fake_fault(&fake, bad, fault);
    turn_until(has_moved, &bad);
    begin_range(k.c, "", &g);
    await(&g);
    assert_int_equal(g.outcome, COORD_DONE);
    text_is(&g.text, "a=1");
    buf_free(&g.text);
    fake_put(&fake, "hf/b", "2");
    await_revision(&s, fake.map.revision);
    assert_true(put_now(k.c, "a", r, "3") > r);
    await_revision(&s, fake.map.revision);
    expect_log(&s, s.calls == 4 ? "* a=1 b=2 a=3" : "*a=1 b=2 a=3");
    seen_free(&s);
}

#define TAKE_OVER(name, fault)                                                                     \
    static void name(void **state)                                                                 \
    {                                                                                              \
        another_takes_over(fault);                                                                 \
    }
TAKE_OVER(one_that_refuses_is_left, FAKE_REFUSES)
TAKE_OVER(one_that_is_silent_is_left, FAKE_SILENT)
TAKE_OVER(one_that_resets_is_left, FAKE_RESETS)
TAKE_OVER(one_without_a_leader_is_left, FAKE_503)
TAKE_OVER(one_behind_a_broken_proxy_is_left, FAKE_PROXY_503)
TAKE_OVER(one_that_says_nonsense_is_left, FAKE_GARBAGE)
TAKE_OVER(one_that_never_ends_is_left, FAKE_HUGE)

static void bytes_may_trickle(void **state)
{
    struct seen s = {0};
    for (uint32_t i = 0; i < FAKE_ENDS; i++)
        fake_fault(&fake, i, FAKE_TRICKLES);
    see(k.c, "", &s);
    await_calls(&s, 1);
    for (uint32_t i = 0; i < 20; i++) {
        put_now(k.c, "a", COORD_ANY, "1");
        await_revision(&s, fake.map.revision);
    }
    assert_int_equal(s.changes, 20);
    seen_free(&s);
}

static void endpoints_may_change(void **state)
{
    struct err e = {0};
    struct seen s = {0};
    see(k.c, "", &s);
    await_calls(&s, 1);
    const char *others[] = {fake.ends[4].url, fake.ends[5].url};
    assert_int_equal(coord_etcd_endpoints(k.c, others, 2, &e), 0);
    assert_true(in_use() >= 4);
    put_now(k.c, "a", 0, "1");
    await_revision(&s, fake.map.revision);
    for (uint32_t i = 0; i < 4; i++)
        fake_fault(&fake, i, FAKE_REFUSES);
    put_now(k.c, "b", 0, "2");
    await_revision(&s, fake.map.revision);
    expect_map(&s, "a=1 b=2");
    assert_int_equal(coord_etcd_endpoints(k.c, others, 0, &e), -ERR_INVAL);
    const char *wrong[] = {"10.0.0.1:2379", "ftp://a", "http://a/b", "http://u:p@a", "http://"};
    for (uint32_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(coord_etcd_endpoints(k.c, &wrong[i], 1, &e), -ERR_INVAL);
    assert_true(put_now(k.c, "c", 0, "3") > 0);
    seen_free(&s);
}

/* --- what is known of their machines --- */

static bool is_doubted(void *context)
{
    return !engine()->sure;
}

/* Sooner than any patience of the engine's own: what was sent to it is given up, the rest goes on.
 */
static void one_whose_machine_is_silent_is_not_waited_for(void **state)
{
    struct got g = {0}, late = {0};
    struct coord_op op = put("a", COORD_ANY, "1"), other = put("b", COORD_ANY, "2");
    uint32_t bad = in_use();
    const char *silent[] = {fake.ends[bad].url};
    fake_fault(&fake, bad, FAKE_SILENT);
    uint64_t begun = clock_now();
    begin_cas(k.c, &op, 1, &g);
    turn_for(20);
    coord_etcd_machines(k.c, NULL, silent, 1);
    assert_true(is_doubted(NULL));
    begin_cas(k.c, &other, 1, &late);
    await(&g);
    await(&late);
    assert_int_equal(g.outcome, COORD_UNKNOWN);
    assert_int_equal(late.outcome, COORD_DONE);
    assert_true(in_use() != bad);
    assert_in_range(clock_now() - begun, 0, 140 * NS_PER_MS);
    coord_etcd_machines(k.c, NULL, silent, 1); /* level-triggered: that was known */
    assert_false(is_doubted(NULL));
}

/* It may have led: who is in use is asked anew before it is given a change. */
static void another_silent_machine_makes_unsure_too(void **state)
{
    uint32_t good = in_use();
    const char *silent[] = {fake.ends[(good + 1) % 3].url};
    uint32_t before = fake.ends[good].requests;
    fake_fault(&fake, (good + 1) % 3, FAKE_SILENT);
    coord_etcd_machines(k.c, NULL, silent, 1);
    assert_true(is_doubted(NULL));
    assert_true(put_now(k.c, "a", 0, "1") > 0);
    assert_true(fake.ends[good].requests > before);
}

static bool is_near(void *context)
{
    return engine()->sure && engine()->in_use->near;
}

static void the_near_one_is_preferred(void **state)
{
    struct seen s = {0};
    uint32_t far = in_use(), near = (far + 1) % 3;
    see(k.c, "", &s);
    coord_etcd_machines(k.c, fake.ends[near].url, NULL, 0);
    turn_until(is_near, NULL);
    assert_int_equal(in_use(), near);
    fake_put(&fake, "hf/a", "1");
    await_revision(&s, fake.map.revision);
    fake_fault(&fake, near, FAKE_REFUSES); /* it is left as any other, and comes back */
    turn_until(has_moved, &near);
    fake_put(&fake, "hf/a", "2");
    await_revision(&s, fake.map.revision);
    turn_for(300); /* that it is asked and fails speaks against nobody */
    assert_true(engine()->sure);
    fake_fault(&fake, near, FAKE_GOOD);
    turn_until(is_near, NULL);
    fake_put(&fake, "hf/a", "3");
    await_revision(&s, fake.map.revision);
    expect_log(&s, s.calls == 4 ? "* a=1 a=2 a=3" : "*a=1 a=2 a=3");
    seen_free(&s);
}

/* --- changes --- */

static void outcome_of(enum fake_txn what, enum coord_outcome outcome, uint32_t done)
{
    struct got g = {0};
    struct coord_op op = put("a", 0, "1");
    in_use();
    fake.txn = what;
    assert_int_equal(coord_cas(k.c, &op, 1, clock_now() + 300 * NS_PER_MS, on_done, &g, NULL, NULL),
                     0);
    await(&g);
    assert_int_equal(g.outcome, outcome);
    turn_for(50);
    assert_int_equal(fake.txns_done, done);
}

static void a_change_is_never_sent_twice(void **state)
{
    outcome_of(FAKE_TXN_DONE_AND_RESET, COORD_UNKNOWN, 1);
    outcome_of(FAKE_TXN_LOST_AND_RESET, COORD_UNKNOWN, 1);
    outcome_of(FAKE_TXN_DONE_AND_SILENT, COORD_UNKNOWN, 2);
    outcome_of(FAKE_TXN_TIMED_OUT, COORD_UNKNOWN, 3);
    outcome_of(FAKE_TXN_GARBAGE, COORD_UNKNOWN, 4);
    assert_int_equal(engine()->broken, 1);
}

static void refusals_are_final_or_harmless(void **state)
{
    outcome_of(FAKE_TXN_NO_SPACE, COORD_FAILED, 0);
    outcome_of(FAKE_TXN_TOO_MANY, COORD_DONE, 1); /* nobody took it up: it goes out again */
}

/* A kept connection that turns out to be closed: libcurl would send again by itself. */
static void a_stale_connection_sends_nothing_twice(void **state)
{
    for (uint32_t i = 0; i < 30; i++) {
        struct got g;
        struct coord_op op = put("a", COORD_ANY, "1");
        uint32_t before = fake.txns_done, sent = 0;
        uint32_t end = in_use();
        for (uint32_t x = 0; x < FAKE_ENDS; x++)
            sent += fake.ends[x].txns;
        begin_cas(k.c, &op, 1, &g);
        fake_cut(&fake, end);
        await(&g);
        for (uint32_t x = 0; x < FAKE_ENDS; x++)
            sent -= fake.ends[x].txns;
        assert_true(sent == 0 || sent == (uint32_t)-1);
        assert_true(g.outcome == COORD_DONE ? fake.txns_done == before + 1
                                            : g.outcome == COORD_UNKNOWN);
    }
}

static void without_anybody_it_fails_for_certain(void **state)
{
    struct got g = {0};
    struct coord_op op = put("a", 0, "1");
    all_away(true);
    turn_for(100);
    assert_int_equal(coord_cas(k.c, &op, 1, clock_now() + 200 * NS_PER_MS, on_done, &g, NULL, NULL),
                     0);
    await(&g);
    assert_int_equal(g.outcome, COORD_FAILED);
    all_away(false);
    assert_int_equal(revision_of(k.c, "a"), 0);
}

/* --- ranges --- */

static void a_large_prefix_comes_in_pages(void **state)
{
    enum { KEYS = 1000 };
    struct got g;
    char name[32];
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(name, sizeof name, "hf/%04u", i);
        fake_put(&fake, name, "v");
    }
    fake.page_max = 3000; /* fewer keys at once, then */
    begin_range(k.c, "", &g);
    await(&g);
    assert_int_equal(g.outcome, COORD_DONE);
    assert_int_equal(g.n, KEYS);
    assert_int_equal(g.revision, fake.map.revision);
    buf_free(&g.text);
    struct seen s = {0};
    see(k.c, "", &s);
    await_calls(&s, 1);
    assert_int_equal(s.changes, KEYS);
    seen_free(&s);
}

/* --- watches that are not told --- */

static void what_etcd_does_not_tell_is_found(bool stalls, bool later)
{
    struct seen s = {0};
    see(k.c, "", &s);
    put_now(k.c, "a", 0, "1");
    uint64_t r = put_now(k.c, "b", 0, "1");
    await_revision(&s, r);
    fake.loses = !stalls;
    fake.stalls = stalls;
    fake_put(&fake, "hf/a", "2");
    fake_remove(&fake, "hf/b");
    fake.loses = false;
    if (later)
        fake_put(&fake, "hf/c", "3");
    turn_until(has_found, NULL);
    fake.stalls = false;
    await_revision(&s, fake.map.revision);
    expect_map(&s, later ? "a=2 c=3" : "a=2");
    r = put_now(k.c, "d", 0, "4");
    await_revision(&s, r);
    expect_map(&s, later ? "a=2 c=3 d=4" : "a=2 d=4");
    assert_int_equal(engine()->astray, 1);
    seen_free(&s);
}

/* Several changes of one key that come at once. */
static void a_key_may_go_and_come_in_one_row(void **state)
{
    struct seen s = {0};
    see(k.c, "", &s);
    uint64_t r = put_now(k.c, "a", 0, "1");
    await_revision(&s, r);
    fake.stalls = true;
    fake_remove(&fake, "hf/a");
    fake_put(&fake, "hf/a", "2");
    fake_put(&fake, "hf/b", "1");
    fake_remove(&fake, "hf/b");
    fake_put(&fake, "hf/a", "3");
    fake_remove(&fake, "hf/a");
    fake.stalls = false;
    fake_put(&fake, "hf/a", "4");
    await_revision(&s, fake.map.revision);
    expect_map(&s, "a=4");
    assert_int_equal(s.changes, 8);
    seen_free(&s);
}

static void a_lost_change_is_found(void **state)
{
    what_etcd_does_not_tell_is_found(false, true);
}

static void a_lost_last_change_is_found(void **state)
{
    what_etcd_does_not_tell_is_found(false, false);
}

static void a_stream_that_stands_still_is_found(void **state)
{
    what_etcd_does_not_tell_is_found(true, true);
}

/* --- who asks --- */

static void a_token_is_renewed(void **state)
{
    struct seen s = {0};
    fake.password = "secret \"word\"";
    coord_free(k.c);
    fake.password = "secret";
    k.c = open_at(0, 3, "secret");
    see(k.c, "", &s);
    assert_true(put_now(k.c, "a", 0, "1") > 0);
    await_revision(&s, fake.map.revision);
    uint32_t logins = fake.logins;
    fake.token++; /* as a member that started again knows none of the old ones */
    assert_true(put_now(k.c, "b", 0, "2") > 0);
    assert_true(fake.logins > logins);
    assert_int_equal(fake.txns_done, 2);
    for (uint32_t i = 0; i < 3; i++)
        fake_cut(&fake, i);
    fake_put(&fake, "hf/c", "3");
    await_revision(&s, fake.map.revision);
    expect_map(&s, "a=1 b=2 c=3");
    seen_free(&s);
}

static bool has_problem(void *context)
{
    struct coord_health h;
    coord_health(k.c, &h);
    return strstr(h.problem, context) != NULL;
}

static void a_wrong_password_is_told(void **state)
{
    char want[] = "authentication failed";
    coord_free(k.c);
    fake.password = "secret";
    k.c = open_at(0, 1, "wrong-word");
    turn_until(has_problem, want);
    struct coord_health h;
    coord_health(k.c, &h);
    assert_null(strstr(h.problem, "wrong-word"));
    assert_false(h.reachable);
}

/* --- memory --- */

/* A watch that allocates nothing itself. */
struct counted {
    uint32_t calls, changes;
    uint64_t last;
};

static void count_changes(void *context, const struct coord_item *items, uint32_t n,
                          uint64_t revision, bool whole)
{
    struct counted *c = context;
    assert_int_equal(whole, c->calls == 0);
    assert_true(whole || items[0].revision > c->last);
    c->calls++;
    c->changes += whole ? 0 : n;
    c->last = revision;
    loop_stop(k.loop);
}

static bool has_begun(void *context)
{
    return ((struct counted *)context)->calls > 0;
}

static uint64_t wanted;

static bool has_told(void *context)
{
    return ((struct counted *)context)->last >= wanted;
}

/* Each allocation of ours fails once: nothing is lost, nothing is told twice, no change happens
 * twice. */
static void memory_that_runs_out(void **state)
{
    bool failed = true;
    for (unsigned long n = 1; failed; n++) {
        struct counted seen = {0};
        struct coord_watcher watcher = {&seen, count_changes};
        struct coord_watch *w;
        struct got g = {0};
        struct coord_op op = put("a", COORD_ANY, "1");
        uint32_t before = fake.txns_done;
        assert_int_equal(coord_watch(k.c, STR(""), &watcher, &w, NULL), 0);
        turn_until(has_begun, &seen);
        mem_fail_at(n);
        int bad = coord_cas(k.c, &op, 1, soon(), on_done, &g, NULL, NULL);
        if (!bad)
            await(&g);
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(fake.txns_done <= before + !bad);
        assert_true(bad || g.outcome == COORD_UNKNOWN || fake.txns_done == before + 1);
        wanted = put_now(k.c, "b", COORD_ANY, "2");
        turn_until(has_told, &seen);
        assert_int_equal(seen.changes, fake.txns_done - before);
        coord_unwatch(w);
    }
}

/* The same while it is made, finds its endpoint and reads all there is. */
static void memory_that_runs_out_at_the_start(void **state)
{
    bool failed = true;
    put_now(k.c, "a", 0, "1");
    for (unsigned long n = 1; failed; n++) {
        struct coord *mine = k.c, *c = NULL;
        struct err e;
        const char *url = fake.ends[0].url;
        struct coord_etcd_options o = {.endpoints = &url, .n_endpoints = 1, .prefix = "hf/"};
        mem_fail_at(n);
        int bad = coord_etcd_new(&c, k.loop, &o, &e);
        if (!bad) {
            k.c = c;
            turn_until(is_sure, NULL);
        }
        failed = mem_failed();
        mem_fail_at(0);
        if (!bad)
            expect_range(c, "", "a=1");
        assert_true(!bad || failed);
        coord_free(c);
        k.c = mine;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_that_refuses_is_left),
        CASE(one_that_is_silent_is_left),
        CASE(one_that_resets_is_left),
        CASE(one_without_a_leader_is_left),
        CASE(one_behind_a_broken_proxy_is_left),
        CASE(one_that_says_nonsense_is_left),
        CASE(one_that_never_ends_is_left),
        CASE(bytes_may_trickle),
        CASE(endpoints_may_change),
        CASE(one_whose_machine_is_silent_is_not_waited_for),
        CASE(another_silent_machine_makes_unsure_too),
        CASE(the_near_one_is_preferred),
        CASE(a_change_is_never_sent_twice),
        CASE(refusals_are_final_or_harmless),
        CASE(a_stale_connection_sends_nothing_twice),
        CASE(without_anybody_it_fails_for_certain),
        CASE(a_large_prefix_comes_in_pages),
        CASE(a_key_may_go_and_come_in_one_row),
        CASE(a_lost_change_is_found),
        CASE(a_lost_last_change_is_found),
        CASE(a_stream_that_stands_still_is_found),
        CASE(a_token_is_renewed),
        CASE(a_wrong_password_is_told),
    };
    const struct CMUnitTest memory[] = {
        CASE(memory_that_runs_out),
        CASE(memory_that_runs_out_at_the_start),
    };
    int failed = 0;
    k.rig = &THREE;
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    k.rig = &THREADED;
    failed += cmocka_run_group_tests(memory, NULL, NULL);
    k.rig = &ALONE;
    failed += contract_cases() + contract_faults();
    k.rig = &FRAGMENTS;
    failed += contract_cases() + contract_faults();
    return failed;
}
