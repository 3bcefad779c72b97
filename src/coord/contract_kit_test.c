/* How the cases of the contract ask, wait and compare. */
#include <stdio.h>
#include <stdlib.h>

#include "coord/contract_test.h"

struct contract k;

static uint64_t patience(void)
{
    const char *factor = getenv("HOLDFAST_PATIENCE");
    return 20 * NS_PER_S * (uint64_t)MAX(factor ? atoi(factor) : 1, 1);
}

static void on_tick(struct timer *t)
{
    loop_stop(k.loop);
}

/* Whatever comes stops the loop, so that the condition is looked at. */
void turn_until(bool (*until)(void *context), void *context)
{
    uint64_t end = clock_now() + patience();
    while (!until(context)) {
        assert_true(clock_now() < end);
        loop_timer_set(k.loop, &k.tick, clock_now() + 20 * NS_PER_MS);
        assert_int_equal(loop_run(k.loop, NULL), 0);
    }
}

static bool is_past(void *context)
{
    return clock_now() >= *(uint64_t *)context;
}

void turn_for(uint64_t ms)
{
    uint64_t end = clock_now() + ms * NS_PER_MS;
    turn_until(is_past, &end);
}

/* ---- Asking ---- */

uint64_t soon(void)
{
    return clock_now() + patience() / 2;
}

struct coord_op put(const char *key, uint64_t expected, const char *value)
{
    return (struct coord_op){str_of(key), str_of(value), expected, COORD_PUT};
}

struct coord_op take(const char *key, uint64_t expected)
{
    return (struct coord_op){.key = str_of(key), .expected = expected, .act = COORD_REMOVE};
}

struct coord_op leave(const char *key, uint64_t expected)
{
    return (struct coord_op){.key = str_of(key), .expected = expected, .act = COORD_LEAVE};
}

static void print_items(struct buf *b, const struct coord_item *items, uint32_t n,
                        const char *between)
{
    for (uint32_t i = 0; i < n; i++)
        if (items[i].gone)
            assert_true(buf_printf(b, "%s-" STR_FMT, i ? between : "", STR_ARG(items[i].key)));
        else
            assert_true(buf_printf(b, "%s" STR_FMT "=" STR_FMT, i ? between : "",
                                   STR_ARG(items[i].key), STR_ARG(items[i].value)));
}

void on_done(void *context, const struct coord_answer *a)
{
    struct got *g = context;
    g->times++;
    g->outcome = a->outcome;
    g->revision = a->revision;
    g->why = a->why ? a->why->code : 0;
    g->n = a->n;
    g->first = a->n ? a->items[0].revision : 0;
    buf_free(&g->text);
    print_items(&g->text, a->items, a->n, " ");
    loop_stop(k.loop);
}

void begin_cas(struct coord *c, const struct coord_op *ops, uint32_t n, struct got *g)
{
    struct err e = {0};
    *g = (struct got){0};
    int bad = coord_cas(c, ops, n, soon(), on_done, g, &g->ticket, &e);
    if (bad)
        print_error("%s\n", e.text);
    assert_int_equal(bad, 0);
    assert_int_equal(g->times, 0); /* never from within */
}

void begin_range(struct coord *c, const char *prefix, struct got *g)
{
    *g = (struct got){0};
    assert_int_equal(coord_range(c, str_of(prefix), soon(), on_done, g, &g->ticket, NULL), 0);
    assert_int_equal(g->times, 0);
}

static bool is_answered(void *context)
{
    return ((struct got *)context)->times > 0;
}

void await(struct got *g)
{
    turn_until(is_answered, g);
    assert_int_equal(g->times, 1);
}

uint64_t cas(struct coord *c, const struct coord_op *ops, uint32_t n)
{
    struct got g;
    begin_cas(c, ops, n, &g);
    await(&g);
    if (g.outcome == COORD_CONFLICT)
        return 0;
    assert_int_equal(g.outcome, COORD_DONE);
    assert_true(g.revision > 0);
    assert_int_equal(g.n, 0);
    return g.revision;
}

uint64_t put_now(struct coord *c, const char *key, uint64_t expected, const char *value)
{
    struct coord_op op = put(key, expected, value);
    return cas(c, &op, 1);
}

uint64_t take_now(struct coord *c, const char *key, uint64_t expected)
{
    struct coord_op op = take(key, expected);
    return cas(c, &op, 1);
}

void text_is(const struct buf *b, const char *want)
{
    char *is = test_malloc(b->n + 1);
    snprintf(is, b->n + 1, "%.*s", (int)b->n, b->p ? b->p : "");
    assert_string_equal(is, want);
    test_free(is);
}

uint64_t expect_range(struct coord *c, const char *prefix, const char *want)
{
    struct got g;
    begin_range(c, prefix, &g);
    await(&g);
    assert_int_equal(g.outcome, COORD_DONE);
    text_is(&g.text, want);
    buf_free(&g.text);
    assert_true(g.revision > 0);
    return g.revision;
}

uint64_t revision_of(struct coord *c, const char *key)
{
    struct got g;
    begin_range(c, key, &g);
    await(&g);
    assert_int_equal(g.outcome, COORD_DONE);
    assert_true(g.n <= 1);
    buf_free(&g.text);
    return g.first;
}

/* ---- Watching ---- */

/* What is told is applied to a map of the test's own. */
static void learn(struct seen *s, const struct coord_item *item)
{
    enum coord_outcome o;
    struct coord_op op = {item->key, item->value, COORD_ANY, item->gone ? COORD_REMOVE : COORD_PUT};
    assert_int_equal(store_cas(&s->map, &op, 1, &o, NULL), 0);
}

static void on_changes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    struct seen *s = context;
    assert_true(s->calls > 0 || whole); /* it begins with the whole */
    assert_true(n > 0 || whole);
    assert_true(whole ? revision >= s->last : revision > s->last);
    if (whole) {
        store_free(&s->map);
        store_init(&s->map);
    }
    for (uint32_t i = 0; i < n; i++) {
        assert_true(items[i].revision <= revision);
        assert_true(whole ? !items[i].gone : items[i].revision > s->last);
        assert_true(whole || i == 0 || items[i].revision >= items[i - 1].revision);
        learn(s, &items[i]);
        s->latest = items[i].revision;
    }
    s->last = revision;
    s->calls++;
    s->wholes += whole;
    s->changes += n;
    assert_true(buf_printf(&s->log, "%s%s", s->log.n ? " " : "", whole ? "*" : ""));
    print_items(&s->log, items, n, ",");
    if (s->within)
        s->within(s);
    loop_stop(k.loop);
}

void see(struct coord *c, const char *prefix, struct seen *s)
{
    store_init(&s->map);
    const struct coord_watcher w = {s, on_changes};
    assert_int_equal(coord_watch(c, str_of(prefix), &w, &s->w, NULL), 0);
    assert_int_equal(s->calls, 0); /* never from within */
}

struct reached {
    const struct seen *s;
    uint64_t revision;
    uint32_t calls;
};

static bool has_reached(void *context)
{
    const struct reached *r = context;
    return r->s->last >= r->revision && r->s->calls >= r->calls;
}

void await_revision(struct seen *s, uint64_t revision)
{
    struct reached r = {s, revision, 1};
    turn_until(has_reached, &r);
}

void await_calls(struct seen *s, uint32_t calls)
{
    struct reached r = {s, 0, calls};
    turn_until(has_reached, &r);
}

void expect_map(struct seen *s, const char *want)
{
    struct store_list l;
    struct buf b = {0};
    assert_int_equal(store_range(&s->map, STR(""), &l, NULL), 0);
    print_items(&b, l.items, l.n, " ");
    text_is(&b, want);
    buf_free(&b);
    store_list_free(&l);
}

void expect_log(struct seen *s, const char *want)
{
    text_is(&s->log, want);
}

void seen_free(struct seen *s)
{
    coord_unwatch(s->w);
    store_free(&s->map);
    buf_free(&s->log);
    *s = (struct seen){0};
}

/* ---- Every case has a map of its own ---- */

int contract_setup(void **state)
{
    assert_int_equal(loop_new(&k.loop, NULL), 0);
    timer_init(&k.tick, on_tick);
    k.rig->begin(k.loop);
    k.c = k.rig->open(k.loop);
    return 0;
}

int contract_teardown(void **state)
{
    coord_free(k.c);
    k.c = NULL;
    k.rig->end();
    loop_timer_stop(k.loop, &k.tick);
    loop_free(k.loop);
    return 0;
}
