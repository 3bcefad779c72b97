/* Whole clusters of engines, sealed, over a network under virtual time: what membership needs of
 * the seal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mesh/engine.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

enum { NODES = 100, AIR = 65536 };

struct net;
struct node {
    struct net *net;
    uint64_t id, incarnation;
    struct engine *engine; /* NULL: down */
};

struct datagram {
    uint64_t at;
    uint32_t to, n;
    uint8_t p[SEAL_DATAGRAM_MAX];
};

struct net {
    uint32_t n;
    struct node nodes[NODES];
    struct keyring keys;
    struct prng prng;
    uint64_t now, delay, jitter;
    uint32_t loss, twice, damage; /* of 1,000 */
    uint32_t flying;
    struct datagram *air[AIR];
    uint64_t suspects, failures; /* changes to these states, anywhere */
    uint64_t refused[SEAL_RESULTS];
};

static uint32_t index_of(const struct net *t, uint64_t id)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->nodes[i].id == id)
            return i;
    fail_msg("nobody has this id");
    return 0;
}

static bool by_chance(struct net *t, uint32_t of_1000)
{
    return prng_below(&t->prng, 1000) < of_1000;
}

static void on_send(void *context, uint64_t to, const void *p, size_t n)
{
    struct node *x = context;
    struct net *t = x->net;
    assert_in_range(n, 1, SEAL_DATAGRAM_MAX);
    for (int copies = by_chance(t, t->twice) ? 2 : 1; copies; copies--) {
        if (by_chance(t, t->loss))
            continue;
        struct datagram *d = mem_alloc(sizeof *d);
        assert_true(d && t->flying < AIR);
        d->at = t->now + t->delay + (t->jitter ? prng_below(&t->prng, t->jitter) : 0);
        d->to = index_of(t, to);
        d->n = (uint32_t)n;
        memcpy(d->p, p, n);
        if (by_chance(t, t->damage))
            d->p[prng_below(&t->prng, n)] ^= (uint8_t)(1 + prng_below(&t->prng, 255));
        t->air[t->flying++] = d;
    }
}

static void on_changed(void *context, const struct member_change *c)
{
    struct node *x = context;
    if (c->info.state != c->was && c->info.reason != MEMBER_UNHEARD) {
        x->net->suspects += c->info.state == MEMBER_SUSPECT;
        x->net->failures += c->info.state == MEMBER_FAILED;
    }
}

static void on_incarnation(void *context, uint64_t incarnation)
{
    struct node *x = context;
    x->incarnation = incarnation;
}

static void on_entropy(void *context, void *out, size_t n)
{
    struct node *x = context;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)prng_next(&x->net->prng);
}

static void on_refused(void *context, enum seal_result why, bool payload)
{
    struct node *x = context;
    x->net->refused[why]++;
}

static void start(struct net *t, uint32_t i)
{
    struct node *x = &t->nodes[i];
    const struct engine_host h = {x, on_send, on_changed, on_incarnation, on_entropy, on_refused};
    const struct engine_options o = {.cluster = STR("prod"),
                                     .self = {.id = x->id},
                                     .params = member_defaults(),
                                     .keys = t->keys,
                                     .incarnation = ++x->incarnation,
                                     .seed = prng_next(&t->prng)};
    struct err e;
    assert_int_equal(engine_new(&x->engine, &o, &h, t->now, &e), 0);
    for (uint32_t k = 0; k < t->n; k++) {
        const struct member_node other = {.id = t->nodes[k].id};
        if (k != i)
            assert_int_equal(member_add(engine_members(x->engine), &other, t->now, &e), 0);
    }
}

static void stop(struct net *t, uint32_t i)
{
    engine_free(t->nodes[i].engine);
    t->nodes[i].engine = NULL;
}

static struct net *net_new(uint32_t n)
{
    struct net *t = mem_zero(1, sizeof *t);
    char name[16];
    assert_non_null(t);
    *t = (struct net){.n = n, .now = 1000 * SECOND, .delay = MS / 2, .jitter = MS};
    prng_seed(&t->prng, n);
    assert_int_equal(keyring_add(&t->keys, (const uint8_t[SEAL_SECRET]){1}, NULL), 0);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "n%u", i);
        t->nodes[i] = (struct node){.net = t, .id = node_id(STR("prod"), str_of(name))};
    }
    for (uint32_t i = 0; i < n; i++)
        start(t, i);
    return t;
}

static void net_free(struct net *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        engine_free(t->nodes[i].engine);
    while (t->flying)
        mem_free(t->air[--t->flying]);
    mem_free(t);
}

/* What is due arrives, then time passes for everybody: in steps of a millisecond. */
static void step(struct net *t)
{
    t->now += MS;
    for (uint32_t i = 0; i < t->flying;) {
        struct datagram *d = t->air[i];
        if (d->at > t->now) {
            i++;
            continue;
        }
        t->air[i] = t->air[--t->flying];
        if (t->nodes[d->to].engine)
            engine_receive(t->nodes[d->to].engine, d->p, d->n, t->now);
        mem_free(d);
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (t->nodes[i].engine && engine_deadline(t->nodes[i].engine) <= t->now)
            engine_tick(t->nodes[i].engine, t->now);
}

static void run(struct net *t, uint64_t ns)
{
    for (uint64_t end = t->now + ns; t->now < end;)
        step(t);
}

/* All that run see this node in this state. */
static bool all_see(struct net *t, uint32_t subject, enum member_state s)
{
    struct member_info info;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->nodes[i].engine && i != subject &&
            (!member_find(engine_members(t->nodes[i].engine), t->nodes[subject].id, &info) ||
             info.state != s))
            return false;
    return true;
}

static bool whole(struct net *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (!all_see(t, i, MEMBER_ALIVE))
            return false;
    return true;
}

/* Milliseconds until all see it so, at most `most`. */
static uint64_t until(struct net *t, uint32_t subject, enum member_state s, uint64_t most)
{
    uint64_t ms = 0;
    for (; !all_see(t, subject, s); ms++) {
        if (ms == most)
            fail_msg("after %llu ms not all agree", (unsigned long long)most);
        step(t);
    }
    return ms;
}

static uint64_t refusals(const struct net *t)
{
    uint64_t n = 0;
    for (int i = 0; i < SEAL_RESULTS; i++)
        n += t->refused[i];
    return n;
}

/* ---- */

static void clusters_form_and_stay(void **state)
{
    static const uint32_t sizes[] = {2, 3, 5, 32};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct net *t = net_new(sizes[i]);
        run(t, 500 * MS);
        assert_true(whole(t));
        run(t, 5 * SECOND);
        assert_true(whole(t));
        assert_int_equal(t->suspects + t->failures, 0);
        assert_int_equal(refusals(t), 0);
        net_free(t);
    }
}

static void a_node_that_restarts_is_back_soon(void **state)
{
    struct net *t = net_new(5);
    run(t, SECOND);
    for (uint32_t i = 0; i < t->n; i++) {
        stop(t, i);
        assert_in_range(until(t, i, MEMBER_FAILED, 500), 100, 500);
        run(t, SECOND);
        start(t, i);
        assert_in_range(until(t, i, MEMBER_ALIVE, 300), 0, 300);
        run(t, SECOND);
    }
    assert_true(whole(t));
    net_free(t);
}

/* Down and up at once: nobody has to notice. */
static void a_quick_restart_is_no_failure(void **state)
{
    struct net *t = net_new(5);
    run(t, SECOND);
    for (uint32_t i = 0; i < 20; i++) {
        stop(t, i % 5);
        run(t, 20 * MS);
        start(t, i % 5);
        run(t, SECOND);
        assert_true(whole(t));
    }
    assert_int_equal(t->failures, 0);
    net_free(t);
}

static void set_keys(struct net *t, const struct keyring *k, uint64_t pause)
{
    t->keys = *k;
    for (uint32_t i = 0; i < t->n; i++) {
        seal_set_keys(engine_seal(t->nodes[i].engine), k);
        run(t, pause); /* not all at once */
    }
    run(t, SECOND);
}

static void a_rotation_goes_unnoticed(void **state)
{
    struct net *t = net_new(5);
    run(t, SECOND);
    for (uint8_t i = 2; i < 12; i++) {
        struct keyring k = t->keys;
        uint32_t old = k.keys[0].id;
        assert_int_equal(keyring_add(&k, (const uint8_t[SEAL_SECRET]){i}, NULL), 0);
        set_keys(t, &k, 7 * i * MS);
        assert_int_equal(keyring_use(&k, k.keys[0].id, NULL), 0);
        set_keys(t, &k, 7 * i * MS);
        assert_int_equal(keyring_drop(&k, old, NULL), 0);
        set_keys(t, &k, 7 * i * MS);
    }
    assert_true(whole(t));
    assert_int_equal(t->suspects + t->failures, 0);
    assert_int_equal(refusals(t), 0);
    net_free(t);
}

static void a_bad_network_delays_nobody_for_long(void **state)
{
    struct net *t = net_new(5);
    t->loss = 200, t->twice = 100, t->damage = 100;
    t->jitter = 40 * MS;
    run(t, 2 * SECOND);
    for (uint32_t i = 0; i < 10; i++) {
        stop(t, i % 5);
        run(t, prng_below(&t->prng, SECOND));
        start(t, i % 5);
        run(t, 2 * SECOND);
    }
    assert_true(t->refused[SEAL_FORGED] > 100 && t->refused[SEAL_REPLAYED] > 100);
    assert_int_equal(t->refused[SEAL_OK], 0); /* no damaged payload got through */
    t->loss = t->twice = t->damage = 0;
    run(t, 2 * SECOND);
    assert_true(whole(t));
    net_free(t);
}

/* Above 32 nodes most pairs meet rarely: a first probe must not be lost. */
static void many_nodes_meet_without_suspicion(void **state)
{
    struct net *t = net_new(NODES);
    run(t, 30 * SECOND);
    assert_true(whole(t));
    assert_int_equal(t->suspects + t->failures, 0);
    for (uint32_t i = 0; i < 5; i++) { /* all others have sessions that it lost */
        stop(t, i);
        run(t, 50 * MS);
        start(t, i);
        run(t, 5 * SECOND);
    }
    assert_true(whole(t));
    assert_int_equal(t->failures, 0);
    net_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_form_and_stay),
        cmocka_unit_test(a_node_that_restarts_is_back_soon),
        cmocka_unit_test(a_quick_restart_is_no_failure),
        cmocka_unit_test(a_rotation_goes_unnoticed),
        cmocka_unit_test(a_bad_network_delays_nobody_for_long),
        cmocka_unit_test(many_nodes_meet_without_suspicion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
