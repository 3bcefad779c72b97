/* Keys that change while nodes speak. */
#include "mesh/seal_fixture.h"

static const uint8_t second[SEAL_SECRET] = {2, 2, 2};

/* One round of heartbeats, 50 ms later, with what they lead to. */
static void beat(struct pair *p)
{
    struct datagram d;
    p->now += 50 * MS;
    for (int i = 0; i < 2; i++) {
        struct node *x = i ? &p->b : &p->a;
        assert_true(reaches(p, x, "beat")); /* none is lost, ever */
        d.n = seal_renew(x->seal, other_of(p, x)->id, p->now, d.p);
        if (d.n)
            carry(p, other_of(p, x), d);
    }
}

static void beats(struct pair *p, int n)
{
    while (n--)
        beat(p);
}

/* accept, use, drop; each step first at one node, then at the other, in either order. */
static void a_rotation_loses_no_datagram(void **state)
{
    for (int order = 0; order < 8; order++) {
        struct pair p;
        pair_start(&p);
        pair_meet(&p);
        struct keyring k = p.keys;
        for (int step = 0; step < 3; step++) {
            uint32_t first = p.keys.keys[0].id;
            if (step == 0)
                assert_int_equal(keyring_add(&k, second, NULL), 0);
            else if (step == 1)
                assert_int_equal(keyring_use(&k, k.keys[0].id, NULL), 0);
            else
                assert_int_equal(keyring_drop(&k, first, NULL), 0);
            bool b_first = order >> step & 1;
            seal_set_keys(b_first ? p.b.seal : p.a.seal, &k);
            beats(&p, 5);
            seal_set_keys(b_first ? p.a.seal : p.b.seal, &k);
            beats(&p, 5);
        }
        assert_int_equal(seal_count(p.a.seal, SEAL_KEY) + seal_count(p.b.seal, SEAL_KEY), 0);
        assert_int_equal(seal_count(p.a.seal, SEAL_SESSION), 0);
        assert_int_equal(seal_count(p.b.seal, SEAL_SESSION), 0);
        pair_end(&p);
    }
}

/* Who is ahead is not called back: a session of the newer key stays. */
static void the_one_behind_does_not_ask_for_the_old_key(void **state)
{
    struct pair p;
    struct datagram d;
    pair_start(&p);
    pair_meet(&p);
    struct keyring accept = p.keys, use;
    assert_int_equal(keyring_add(&accept, second, NULL), 0);
    use = accept;
    assert_int_equal(keyring_use(&use, use.keys[0].id, NULL), 0);
    seal_set_keys(p.a.seal, &use);
    seal_set_keys(p.b.seal, &accept);
    beats(&p, 5);
    struct pair q; /* nor does a key that is only accepted call for a session of its own */
    pair_start(&q);
    pair_meet(&q);
    q.now += 100 * MS;
    seal_set_keys(q.a.seal, &accept);
    assert_int_equal(seal_renew(q.a.seal, q.b.id, q.now, d.p), 0);
    pair_end(&q);
    for (int i = 0; i < 20; i++) {
        beat(&p);
        assert_int_equal(seal_renew(p.a.seal, p.b.id, p.now, d.p), 0);
        assert_int_equal(seal_renew(p.b.seal, p.a.id, p.now, d.p), 0);
    }
    pair_end(&p);
}

static void a_dropped_key_ends_its_sessions(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    struct datagram d = say(&p, &p.a, "under the old key", &sealed);
    struct keyring k = p.keys, both;
    assert_int_equal(keyring_add(&k, second, NULL), 0);
    both = k;
    assert_int_equal(keyring_use(&k, k.keys[0].id, NULL), 0);
    assert_int_equal(keyring_drop(&k, p.keys.keys[0].id, NULL), 0);
    seal_set_keys(p.b.seal, &k); /* too early: a does not know the new one */
    assert_int_equal(hear(&p, &p.b, &d), SEAL_SESSION);
    d = reply_of(&p.b);
    assert_int_equal(hear(&p, &p.a, &d), SEAL_KEY);
    seal_set_keys(p.a.seal, &both); /* it learns it: the next HELLO is understood */
    p.now += 100 * MS;
    carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
    assert_both_ways(&p);
    pair_end(&p);
}

/* Keys that differ, as when a file was copied to one node only: the one that both have serves,
 * whoever begins. */
static void any_key_that_both_have_serves(void **state)
{
    for (int behind = 0; behind < 2; behind++) {
        struct pair p;
        bool sealed;
        pair_start(&p);
        struct keyring k = p.keys;
        assert_int_equal(keyring_add(&k, second, NULL), 0);
        assert_int_equal(keyring_use(&k, k.keys[0].id, NULL), 0);
        seal_set_keys(behind ? p.a.seal : p.b.seal, &k); /* the other has the first key alone */
        for (int i = 0; i < 10; i++, p.now += 50 * MS) {
            carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
            carry(&p, &p.a, say(&p, &p.b, "x", &sealed));
        }
        assert_both_ways(&p);
        pair_end(&p);
    }
}

static void no_keys_no_datagrams(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    struct datagram d = say(&p, &p.a, "x", &sealed);
    seal_set_keys(p.b.seal, &(struct keyring){0});
    assert_int_equal(hear(&p, &p.b, &d), SEAL_SESSION);
    assert_int_equal(p.b.opened.reply_n, 0);
    assert_int_equal(say(&p, &p.b, "x", &sealed).n, 0);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_loses_no_datagram),
        cmocka_unit_test(the_one_behind_does_not_ask_for_the_old_key),
        cmocka_unit_test(a_dropped_key_ends_its_sessions),
        cmocka_unit_test(any_key_that_both_have_serves),
        cmocka_unit_test(no_keys_no_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
