/* Units of key rotation: five nodes with key rings and messages between them, all in memory. After
 * every message each node must understand every other: the key that one uses, all others have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh/mesh_keys.h"
#include "os/os.h"

enum { SITES = 5, QUEUE = 4096 };

struct world;
struct site {
    struct world *w;
    unsigned i;
    char path[96];
    struct rotation *r; /* NULL while it is down */
    struct keyring keys;
    bool broken;       /* its key file cannot be written */
    uint64_t moves_at; /* until then something of it knows only the old key */
    unsigned writes, adopted, bad;
    char said[512];
};
struct world {
    char dir[64];
    struct site sites[SITES];
    uint64_t now;
    struct prng dice;
    struct {
        unsigned from, to;
        struct buf bytes;
    } queue[QUEUE];
    unsigned head, tail, sent;
    bool lossy, watched;
};

static const char *const names[SITES] = {"a", "b", "c", "d", "e"};

static uint32_t on_nodes(void *context, struct rotation_node *out, uint32_t max)
{
    const struct site *x = context;
    (void)max;
    for (unsigned i = 0; i < SITES; i++) {
        bool up = x->w->sites[i].r || i == x->i;
        out[i] = (struct rotation_node){str_of(names[i]), up ? "alive" : "failed", up, i == x->i};
    }
    return SITES;
}

static void on_send(void *context, struct str node, struct str bytes)
{
    struct site *x = context;
    struct world *w = x->w;
    unsigned to = (unsigned)(node.p[0] - 'a');
    w->sent++;
    if (w->lossy && prng_below(&w->dice, 4) == 0)
        return;
    assert_true(w->tail - w->head < QUEUE);
    w->queue[w->tail % QUEUE].from = x->i;
    w->queue[w->tail % QUEUE].to = to;
    assert_true(buf_add_str(&w->queue[w->tail++ % QUEUE].bytes, bytes));
}

static int on_read(void *context, struct keyring *out, struct err *e)
{
    (void)e;
    *out = ((struct site *)context)->keys;
    return 0;
}

/* I: whatever one uses, everybody who is up understands. */
static void all_understand_each_other(const struct world *w)
{
    for (unsigned i = 0; w->watched && i < SITES; i++)
        for (unsigned k = 0; k < SITES; k++) {
            const struct seal_key *used = keyring_in_use(&w->sites[i].keys);
            assert_non_null(used);
            assert_non_null(keyring_find(&w->sites[k].keys, used->id));
        }
}

static int on_write(void *context, const struct keyring *keys, struct err *e)
{
    struct site *x = context;
    if (x->broken)
        return err_set(e, ERR_IO, "cannot write the key file: No space left on device");
    x->keys = *keys;
    x->writes++;
    all_understand_each_other(x->w);
    return 0;
}

static int on_adopt(void *context, struct err *e)
{
    struct site *x = context;
    (void)e;
    x->adopted++;
    return 0;
}

static void on_entropy(void *context, void *out, size_t n)
{
    struct site *x = context;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)prng_next(&x->w->dice);
}

static void on_tell(void *context, bool bad, const char *text)
{
    struct site *x = context;
    x->bad += bad;
    str_copy(x->said, sizeof x->said, str_of(text));
}

static bool on_moved(void *context)
{
    const struct site *x = context;
    return x->w->now >= x->moves_at;
}

static void start(struct site *x)
{
    struct rotation_host h = {x,        on_nodes,   on_send, on_read, on_write,
                              on_adopt, on_entropy, on_tell, on_moved};
    assert_int_equal(rotation_open(&x->r, x->path, &h, NULL), 0);
}

static void stop(struct site *x)
{
    rotation_free(x->r);
    x->r = NULL;
}

static void world_open(struct world *w, uint64_t seed)
{
    struct keyring first = {0};
    *w = (struct world){.dir = "/tmp/keys-test-XXXXXX", .now = 1, .watched = true};
    assert_non_null(mkdtemp(w->dir));
    prng_seed(&w->dice, seed);
    assert_int_equal(keyring_add(&first, (const uint8_t *)"the first key of this cluster...", NULL),
                     0);
    for (unsigned i = 0; i < SITES; i++) {
        struct site *x = &w->sites[i];
        *x = (struct site){.w = w, .i = i, .keys = first};
        snprintf(x->path, sizeof x->path, "%s/%s", w->dir, names[i]);
        start(x);
    }
}

static void world_close(struct world *w)
{
    for (unsigned i = 0; i < SITES; i++) {
        stop(&w->sites[i]);
        unlink(w->sites[i].path);
    }
    for (unsigned i = 0; i < QUEUE; i++)
        buf_free(&w->queue[i].bytes);
    assert_int_equal(rmdir(w->dir), 0); /* nothing was left behind */
}

/* 100 ms: what is under way arrives, everybody looks. */
static void step(struct world *w)
{
    unsigned until = w->tail;
    while (w->head != until) {
        unsigned at = w->head++ % QUEUE;
        struct site *to = &w->sites[w->queue[at].to];
        if (to->r)
            rotation_hear(to->r, str_of(names[w->queue[at].from]), buf_str(&w->queue[at].bytes),
                          w->now);
        buf_clear(&w->queue[at].bytes);
    }
    w->now += 100 * NS_PER_MS;
    for (unsigned i = 0; i < SITES; i++)
        if (w->sites[i].r)
            rotation_tick(w->sites[i].r, w->now);
}

static void run(struct world *w, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 10; i++)
        step(w);
}

static bool all_have_only(const struct world *w, uint32_t key)
{
    for (unsigned i = 0; i < SITES; i++)
        if (w->sites[i].keys.n != 1 || w->sites[i].keys.keys[0].id != key ||
            !w->sites[i].keys.keys[0].use)
            return false;
    return true;
}

static uint8_t state_of(const struct site *x)
{
    return rotation_status(x->r).state;
}

/* --- the way it goes --- */

static void all_nodes_come_to_the_new_key(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    world_open(&w, 1);
    uint32_t old = w.sites[0].keys.keys[0].id;
    assert_int_equal(rotation_start(w.sites[1].r, false, w.now, &e), 0);
    struct rotation_status s = rotation_status(w.sites[1].r);
    assert_int_equal(s.state, ROTATION_RUNS);
    assert_int_equal(s.step, ROTATION_ACCEPT);
    assert_non_null(strstr(s.text, "waits for a, c, d, e"));
    assert_int_equal(rotation_start(w.sites[1].r, false, w.now, &e), -ERR_EXISTS);
    run(&w, 2);
    s = rotation_status(w.sites[1].r);
    assert_int_equal(s.step, ROTATION_USE); /* the old one stays while sessions move */
    for (unsigned i = 0; i < SITES; i++) {
        assert_non_null(keyring_find(&w.sites[i].keys, old));
        assert_int_equal(keyring_in_use(&w.sites[i].keys)->id, s.key);
    }
    run(&w, 4);
    assert_int_equal(state_of(&w.sites[1]), ROTATION_DONE);
    assert_true(all_have_only(&w, s.key));
    assert_true(s.key != old);
    for (unsigned i = 0; i < SITES; i++) {
        assert_int_equal(w.sites[i].writes, 3);
        assert_int_equal(w.sites[i].bad, 0);
    }
    assert_int_equal(rotation_start(w.sites[4].r, false, w.now, &e), 0); /* and again */
    run(&w, 6);
    assert_true(all_have_only(&w, rotation_status(w.sites[4].r).key));
    world_close(&w);
}

/* The old key stays for as long as something on any node knows no other. */
static void nothing_is_dropped_before_all_has_moved(void **state)
{
    (void)state;
    for (unsigned late = 0; late < SITES; late++) {
        struct world w;
        world_open(&w, 1);
        uint32_t old = w.sites[0].keys.keys[0].id;
        w.sites[late].moves_at = w.now + 20 * NS_PER_S;
        assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
        run(&w, 19);
        struct rotation_status s = rotation_status(w.sites[0].r);
        assert_int_equal(s.step, ROTATION_USE);
        assert_non_null(strstr(s.text, "waits for "));
        assert_non_null(strstr(s.text, names[late]));
        for (unsigned i = 0; i < SITES; i++) {
            assert_non_null(keyring_find(&w.sites[i].keys, old));
            assert_true(w.sites[i].adopted < 25);
        }
        run(&w, 8);
        assert_int_equal(state_of(&w.sites[0]), ROTATION_DONE);
        assert_true(all_have_only(&w, s.key));
        world_close(&w);
    }
}

static void lost_messages_are_said_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world w;
        world_open(&w, seed);
        w.lossy = true;
        assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
        run(&w, 60);
        assert_int_equal(state_of(&w.sites[0]), ROTATION_DONE);
        assert_true(all_have_only(&w, rotation_status(w.sites[0].r).key));
        world_close(&w);
    }
}

/* Whenever the driver dies, it goes on where it was; whoever else restarts has lost nothing. */
static void a_crash_at_any_moment_changes_nothing(void **state)
{
    (void)state;
    for (unsigned moment = 0; moment < 60; moment++)
        for (unsigned who = 0; who < 2; who++) {
            struct world w;
            world_open(&w, moment + 1);
            assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
            uint32_t key = rotation_status(w.sites[0].r).key;
            for (unsigned i = 0; i < moment; i++)
                step(&w);
            stop(&w.sites[who]);
            run(&w, 3);
            start(&w.sites[who]);
            run(&w, 10);
            assert_true(all_have_only(&w, key));
            world_close(&w);
        }
}

static void the_work_is_bounded(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    run(&w, 1);
    stop(&w.sites[3]);
    unsigned before = w.sent;
    run(&w, 60);
    assert_true(w.sent - before < 20); /* nobody is asked in vain who is not alive */
    start(&w.sites[3]);
    run(&w, 8);
    assert_int_equal(state_of(&w.sites[0]), ROTATION_DONE);
    world_close(&w);
}

/* --- what does not go --- */

static void a_node_that_is_away_prevents_it(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    world_open(&w, 1);
    stop(&w.sites[2]);
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "node c is failed"));
    assert_non_null(strstr(e.text, "--force"));
    assert_int_equal(state_of(&w.sites[0]), ROTATION_NONE);
    assert_int_equal(w.sites[0].writes, 0);
    world_close(&w);
}

static void a_node_that_goes_away_is_waited_for(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    stop(&w.sites[2]);
    start(&w.sites[2]);
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    stop(&w.sites[2]);
    run(&w, 30);
    struct rotation_status s = rotation_status(w.sites[0].r);
    assert_int_equal(s.state, ROTATION_RUNS);
    assert_int_equal(s.step, ROTATION_ACCEPT);
    assert_string_equal(s.text, "waits for c (failed)");
    assert_false(s.done[2]);
    assert_true(s.done[0] && s.done[1] && s.done[3] && s.done[4]);
    start(&w.sites[2]);
    run(&w, 8);
    assert_true(all_have_only(&w, s.key));
    world_close(&w);
}

static void force_leaves_out_who_is_away_and_drops_nothing(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    stop(&w.sites[2]);
    uint32_t old = w.sites[0].keys.keys[0].id;
    assert_int_equal(rotation_start(w.sites[0].r, true, w.now, NULL), 0);
    w.watched = false; /* c understands nobody until it is told */
    run(&w, 10);
    struct rotation_status s = rotation_status(w.sites[0].r);
    assert_int_equal(s.state, ROTATION_DONE);
    assert_non_null(strstr(s.text, "old one is still accepted"));
    for (unsigned i = 0; i < SITES; i++)
        assert_non_null(keyring_find(&w.sites[i].keys, old));
    start(&w.sites[2]);
    rotation_link(w.sites[0].r, STR("c"), old); /* it comes in by the old key */
    rotation_link(w.sites[2].r, STR("a"), old); /* and has nothing to teach */
    run(&w, 1);
    assert_int_equal(keyring_in_use(&w.sites[2].keys)->id, s.key);
    for (unsigned i = 0; i < SITES; i++)
        assert_int_equal(keyring_in_use(&w.sites[i].keys)->id, s.key);
    assert_int_equal(rotation_start(w.sites[1].r, false, w.now, NULL), 0);
    run(&w, 8);
    assert_true(all_have_only(&w, rotation_status(w.sites[1].r).key));
    world_close(&w);
}

static void a_file_that_cannot_be_written_ends_it_early(void **state)
{
    struct world w;
    struct err e = {0};
    (void)state;
    world_open(&w, 1);
    uint32_t old = w.sites[0].keys.keys[0].id;
    w.sites[3].broken = true;
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    run(&w, 10);
    struct rotation_status s = rotation_status(w.sites[0].r);
    assert_int_equal(s.state, ROTATION_FAILED);
    assert_non_null(strstr(s.text, "node d cannot: cannot write the key file"));
    for (unsigned i = 0; i < SITES; i++)
        assert_int_equal(keyring_in_use(&w.sites[i].keys)->id, old);
    w.sites[3].broken = false;
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    run(&w, 8);
    assert_true(all_have_only(&w, rotation_status(w.sites[0].r).key)); /* its leavings are gone */
    w.sites[0].broken = true;
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, &e), -ERR_IO);
    assert_int_equal(state_of(&w.sites[0]), ROTATION_NONE);
    world_close(&w);
}

static void a_file_that_cannot_be_written_later_is_tried_again(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    step(&w);
    step(&w);
    w.sites[0].broken = w.sites[3].broken = true;
    run(&w, 10);
    assert_int_equal(state_of(&w.sites[0]), ROTATION_RUNS);
    w.sites[0].broken = w.sites[3].broken = false;
    run(&w, 10);
    assert_true(all_have_only(&w, rotation_status(w.sites[0].r).key));
    world_close(&w);
}

static void two_drivers_refuse_each_other(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    uint32_t old = w.sites[0].keys.keys[0].id;
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    assert_int_equal(rotation_start(w.sites[1].r, false, w.now, NULL), 0);
    run(&w, 10);
    unsigned done = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct rotation_status s = rotation_status(w.sites[i].r);
        assert_true(s.state == ROTATION_FAILED || s.state == ROTATION_DONE);
        done += s.state == ROTATION_DONE;
    }
    assert_true(done <= 1);
    if (done == 0)
        for (unsigned i = 0; i < SITES; i++)
            assert_int_equal(keyring_in_use(&w.sites[i].keys)->id, old);
    assert_int_equal(rotation_start(w.sites[2].r, false, w.now, NULL), 0);
    run(&w, 8);
    assert_true(all_have_only(&w, rotation_status(w.sites[2].r).key));
    world_close(&w);
}

static void malformed_messages_change_nothing(void **state)
{
    struct world w;
    struct buf good = {0};
    (void)state;
    world_open(&w, 1);
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    assert_true(buf_add_str(&good, buf_str(&w.queue[w.head % QUEUE].bytes)));
    for (size_t n = 0; n < good.n; n++)
        rotation_hear(w.sites[1].r, STR("a"), (struct str){good.p, n}, w.now);
    good.p[9] = 9; /* its step */
    rotation_hear(w.sites[1].r, STR("a"), buf_str(&good), w.now);
    assert_int_equal(w.sites[1].writes, 0);
    good.p[9] = 0;
    rotation_hear(w.sites[1].r, STR("a"), buf_str(&good), w.now);
    assert_int_equal(w.sites[1].writes, 1);
    assert_int_equal(w.sites[1].adopted, 0);
    rotation_hear(w.sites[1].r, STR("a"), buf_str(&good), w.now); /* twice is harmless */
    assert_int_equal(w.sites[1].writes, 1);
    assert_int_equal(w.sites[1].adopted, 1);
    buf_free(&good);
    world_close(&w);
}

static void a_damaged_file_is_told_of(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, 1);
    stop(&w.sites[0]);
    assert_int_equal(file_replace(w.sites[0].path, STR("nonsense\n"), 0600, NULL), 0);
    start(&w.sites[0]);
    assert_int_equal(state_of(&w.sites[0]), ROTATION_FAILED);
    assert_non_null(strstr(w.sites[0].said, "is damaged"));
    stop(&w.sites[0]);
    assert_int_equal(
        file_replace(w.sites[0].path, STR("00000000000000aa use 12345678 0 0\n"), 0600, NULL), 0);
    start(&w.sites[0]);
    assert_non_null(strstr(w.sites[0].said, "no longer in the key file"));
    assert_int_equal(rotation_start(w.sites[0].r, false, w.now, NULL), 0);
    run(&w, 8);
    assert_true(all_have_only(&w, rotation_status(w.sites[0].r).key));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_nodes_come_to_the_new_key),
        cmocka_unit_test(nothing_is_dropped_before_all_has_moved),
        cmocka_unit_test(lost_messages_are_said_again),
        cmocka_unit_test(a_crash_at_any_moment_changes_nothing),
        cmocka_unit_test(the_work_is_bounded),
        cmocka_unit_test(a_node_that_is_away_prevents_it),
        cmocka_unit_test(a_node_that_goes_away_is_waited_for),
        cmocka_unit_test(force_leaves_out_who_is_away_and_drops_nothing),
        cmocka_unit_test(a_file_that_cannot_be_written_ends_it_early),
        cmocka_unit_test(a_file_that_cannot_be_written_later_is_tried_again),
        cmocka_unit_test(two_drivers_refuse_each_other),
        cmocka_unit_test(malformed_messages_change_nothing),
        cmocka_unit_test(a_damaged_file_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
