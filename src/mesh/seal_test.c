/* Two nodes that mean well, over a network that loses, repeats and reorders. */
#include "mesh/seal_fixture.h"

static void two_nodes_meet(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram hello = say(&p, &p.a, "lost", &sealed);
    assert_false(sealed);
    assert_int_equal(hello.n, HELLO_SIZE);
    assert_int_equal(hear(&p, &p.b, &hello), SEAL_REPLY);
    assert_int_equal(p.b.opened.from, p.a.id);
    assert_false(p.b.opened.up);
    struct datagram welcome = reply_of(&p.b);
    assert_int_equal(welcome.n, WELCOME_SIZE);
    assert_int_equal(hear(&p, &p.a, &welcome), SEAL_REPLY);
    assert_true(p.a.opened.up);
    struct datagram confirm = reply_of(&p.a);
    assert_int_equal(confirm.n, SEAL_OVERHEAD);
    assert_int_equal(hear(&p, &p.b, &confirm), SEAL_NOTHING);
    assert_true(p.b.opened.up);
    assert_both_ways(&p);
    pair_end(&p);
}

static void a_payload_of_any_length_arrives(void **state)
{
    struct pair p;
    struct datagram d;
    bool sealed;
    static uint8_t text[SEAL_DATAGRAM_MAX - SEAL_OVERHEAD];
    pair_start(&p);
    pair_meet(&p);
    for (size_t n = 1; n <= sizeof text; n += 37) {
        memset(text, (int)n, n);
        d.n = seal_write(p.a.seal, p.b.id, text, n, p.now, d.p, &sealed);
        assert_true(sealed && d.n == n + SEAL_OVERHEAD);
        assert_int_equal(hear(&p, &p.b, &d), SEAL_OK);
        assert_int_equal(p.b.opened.n, n);
        assert_memory_equal(p.b.opened.p, text, n);
    }
    pair_end(&p);
}

/* Whatever of the handshake is lost, the next HELLO, 100 ms later, mends it. */
static void a_handshake_survives_losing_any_of_it(void **state)
{
    for (int lost = 0; lost < 3; lost++) {
        struct pair p;
        bool sealed;
        pair_start(&p);
        struct datagram d = say(&p, &p.a, "x", &sealed);
        if (lost >= 1)
            hear(&p, &p.b, &d), d = reply_of(&p.b);
        if (lost >= 2)
            hear(&p, &p.a, &d); /* and its confirmation is lost */
        p.now += 50 * MS;
        d = say(&p, &p.a, "y", &sealed);
        assert_int_equal(sealed, lost == 2);
        if (lost == 2) { /* the next heartbeat confirms as well */
            assert_int_equal(hear(&p, &p.b, &d), SEAL_OK);
            assert_true(p.b.opened.up);
        } else {
            assert_int_equal(d.n, 0);
            p.now += 50 * MS;
            carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
        }
        assert_both_ways(&p);
        pair_end(&p);
    }
}

static void a_slow_path_needs_no_more_than_one_nonce(void **state)
{
    struct pair p;
    struct datagram hello[4];
    bool sealed;
    pair_start(&p);
    for (int i = 0; i < 4; i++, p.now += 100 * MS)
        hello[i] = say(&p, &p.a, "x", &sealed);
    struct datagram welcome[4];
    for (int i = 0; i < 4; i++, p.now += MS) {
        assert_int_equal(hear(&p, &p.b, &hello[i]), SEAL_REPLY);
        welcome[i] = reply_of(&p.b);
        assert_memory_equal(welcome[i].p, welcome[0].p, welcome[0].n);
    }
    assert_int_equal(hear(&p, &p.a, &welcome[0]), SEAL_REPLY);
    struct datagram confirm = reply_of(&p.a);
    for (int i = 1; i < 4; i++)
        assert_int_equal(hear(&p, &p.a, &welcome[i]), SEAL_NOTHING);
    assert_int_equal(hear(&p, &p.b, &confirm), SEAL_NOTHING);
    assert_int_equal(hear(&p, &p.b, &hello[3]), SEAL_NOTHING); /* a late twin */
    assert_both_ways(&p);
    pair_end(&p);
}

static void datagrams_come_in_any_order_but_once(void **state)
{
    struct pair p;
    struct datagram d[50];
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    for (int i = 0; i < 50; i++)
        d[i] = say(&p, &p.a, "x", &sealed);
    for (int i = 0; i < 50; i++)
        assert_int_equal(hear(&p, &p.b, &d[(i * 7 + 31) % 50]), SEAL_OK);
    for (int i = 0; i < 50; i++)
        assert_int_equal(hear(&p, &p.b, &d[i]), SEAL_REPLAYED);
    assert_int_equal(seal_count(p.b.seal, SEAL_REPLAYED), 50);
    assert_both_ways(&p);
    pair_end(&p);
}

/* Both say HELLO before either heard the other: the lower id's counts. */
static void both_may_begin_at_once(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram of_a = say(&p, &p.a, "x", &sealed), of_b = say(&p, &p.b, "x", &sealed);
    assert_int_equal(hear(&p, &p.a, &of_b), SEAL_NOTHING);
    assert_int_equal(carry(&p, &p.b, of_a), SEAL_REPLY);
    assert_both_ways(&p);
    p.now += 100 * MS; /* the one that was not answered does not come again */
    assert_true(reaches(&p, &p.b, "x"));
    struct datagram none;
    assert_int_equal(seal_renew(p.b.seal, p.a.id, p.now, none.p), 0);
    pair_end(&p);
}

/* The lower id insists on its own HELLO while that is under way; afterwards it answers. */
static void insisting_ends(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram of_b = say(&p, &p.b, "x", &sealed);
    assert_int_equal(say(&p, &p.a, "lost", &sealed).n, HELLO_SIZE);
    p.now += 200 * MS;
    assert_int_equal(hear(&p, &p.a, &of_b), SEAL_REPLY);
    assert_int_equal(p.a.opened.reply[3], FRAME_HELLO); /* lost, too */
    p.now += 250 * MS;
    assert_int_equal(hear(&p, &p.a, &of_b), SEAL_REPLY);
    assert_int_equal(p.a.opened.reply[3], FRAME_WELCOME);
    carry(&p, &p.b, reply_of(&p.a));
    assert_both_ways(&p);
    pair_end(&p);
}

/* The HELLO of the higher id is overtaken by its answer to the other's: nothing comes of it. */
static void a_late_hello_does_not_part_them(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram of_a = say(&p, &p.a, "x", &sealed), of_b = say(&p, &p.b, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &of_a), SEAL_REPLY);
    struct datagram welcome = reply_of(&p.b);
    assert_int_equal(hear(&p, &p.a, &welcome), SEAL_REPLY);
    assert_int_equal(hear(&p, &p.a, &of_b), SEAL_NOTHING);
    assert_int_equal(p.a.opened.reply_n, 0);
    assert_both_ways(&p);
    pair_end(&p);
}

/* Each answered the other's HELLO before it heard the answer to its own. The one that comes into
 * use first takes the other back. */
static void a_late_answer_does_not_part_them(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram of_b = say(&p, &p.b, "x", &sealed);
    assert_int_equal(hear(&p, &p.a, &of_b), SEAL_REPLY);
    struct datagram late = reply_of(&p.a);
    assert_int_equal(say(&p, &p.a, "x", &sealed).n, 0); /* it may come into use yet */
    p.now += 300 * MS;
    struct datagram of_a = say(&p, &p.a, "x", &sealed);
    assert_int_equal(of_a.n, HELLO_SIZE);
    assert_int_equal(carry(&p, &p.b, of_a), SEAL_REPLY);
    assert_int_equal(hear(&p, &p.b, &late), SEAL_NOTHING);
    assert_false(p.b.opened.up);
    assert_both_ways(&p);
    p.now += 3000 * MS;
    assert_int_equal(hear(&p, &p.b, &late), SEAL_REPLAYED);
    pair_end(&p);
}

/* As above, while they have a session: what was in use only opens, whatever came between. */
static void a_straggler_does_not_call_a_session_back(void **state)
{
    struct pair p;
    bool sealed;
    struct datagram d;
    pair_start(&p);
    pair_meet(&p);
    struct datagram straggler = say(&p, &p.a, "slow", &sealed);
    struct keyring newer = p.keys;
    assert_int_equal(keyring_add(&newer, (const uint8_t[SEAL_SECRET]){9}, NULL), 0);
    assert_int_equal(keyring_use(&newer, newer.keys[0].id, NULL), 0);
    seal_set_keys(p.a.seal, &newer);
    seal_set_keys(p.b.seal, &newer);
    p.now += 100 * MS;
    d.n = seal_renew(p.b.seal, p.a.id, p.now, d.p);
    assert_int_equal(hear(&p, &p.a, &d), SEAL_REPLY);
    struct datagram late = reply_of(&p.a);
    p.now += 300 * MS;
    d.n = seal_renew(p.a.seal, p.b.id, p.now, d.p);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_REPLY); /* an offer, which the next line takes back */
    assert_int_equal(hear(&p, &p.b, &late), SEAL_REPLY);
    assert_true(p.b.opened.up);
    d = reply_of(&p.b);
    assert_int_equal(hear(&p, &p.b, &straggler), SEAL_OK);
    assert_false(p.b.opened.up);
    assert_int_equal(hear(&p, &p.a, &d), SEAL_NOTHING);
    assert_true(p.a.opened.up);
    assert_both_ways(&p);
    pair_end(&p);
}

/* Any order of loss, delay and repetition, with both beginning, ends with one session that both
 * use, once the network behaves. */
static void chaos_ends_in_one_session(void **state)
{
    enum { FLIGHT = 64 };
    static struct {
        struct datagram d;
        struct node *to;
    } air[FLIGHT];
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct pair p;
        struct prng r;
        uint32_t n = 0;
        pair_start(&p);
        prng_seed(&r, seed);
        for (int step = 0; step < 400; step++, p.now += prng_below(&r, 20) * MS) {
            struct node *x = prng_below(&r, 2) ? &p.a : &p.b;
            bool sealed;
            struct datagram d = say(&p, x, "x", &sealed);
            if (prng_below(&r, 100) == 0)
                node_restart(&p, x);
            if (d.n && n < FLIGHT && prng_below(&r, 3))
                air[n].d = d, air[n++].to = other_of(&p, x);
            if (!n || prng_below(&r, 4) == 0)
                continue;
            uint32_t i = (uint32_t)prng_below(&r, n);
            struct node *to = air[i].to;
            hear(&p, to, &air[i].d);
            if (prng_below(&r, 5))
                air[i] = air[--n];
            if (to->opened.reply_n && n < FLIGHT)
                air[n].d = reply_of(to), air[n++].to = other_of(&p, to);
        }
        for (int round = 0; round < 8; round++, p.now += 100 * MS) { /* now it behaves */
            bool sealed;
            carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
            carry(&p, &p.a, say(&p, &p.b, "x", &sealed));
        }
        assert_both_ways(&p);
        pair_end(&p);
    }
}

/* The one that started again begins; or, when the other speaks first, learns from what it cannot
 * open that it must. Nobody waits longer than one interval. */
static void a_restarted_peer_is_back_at_once(void **state)
{
    struct pair p;
    bool sealed;
    for (int first = 0; first < 2; first++) {
        pair_start(&p);
        pair_meet(&p);
        p.now += 10000 * MS;
        node_restart(&p, &p.b);
        if (first == 0)
            carry(&p, &p.a, say(&p, &p.b, "x", &sealed));
        else
            assert_int_equal(carry(&p, &p.b, say(&p, &p.a, "x", &sealed)), SEAL_SESSION);
        assert_both_ways(&p);
        pair_end(&p);
    }
}

static void a_peer_restarts_often(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    for (int i = 0; i < 50; i++) {
        p.now += 100 * MS;
        struct node *x = i % 3 ? &p.b : &p.a;
        node_restart(&p, x);
        carry(&p, other_of(&p, x), say(&p, x, "x", &sealed));
        assert_both_ways(&p);
    }
    pair_end(&p);
}

/* While a new session is being made the old one carries on, in both directions. */
static void nothing_is_lost_while_a_session_is_replaced(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    struct keyring newer = p.keys;
    uint8_t secret[SEAL_SECRET] = {9};
    assert_int_equal(keyring_add(&newer, secret, NULL), 0);
    assert_int_equal(keyring_use(&newer, newer.keys[0].id, NULL), 0);
    seal_set_keys(p.a.seal, &newer);
    seal_set_keys(p.b.seal, &newer);
    p.now += 100 * MS;
    struct datagram old = say(&p, &p.b, "old", &sealed), d;
    d.n = seal_renew(p.a.seal, p.b.id, p.now, d.p);
    assert_int_equal(d.n, HELLO_SIZE);
    assert_both_ways(&p);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_REPLY);
    d = reply_of(&p.b);
    assert_both_ways(&p);
    assert_int_equal(hear(&p, &p.a, &d), SEAL_REPLY);
    assert_true(reaches(&p, &p.b, "still under the old one"));
    assert_true(reaches(&p, &p.a, "under the new one")); /* which confirms it */
    assert_true(p.b.opened.up);
    assert_int_equal(hear(&p, &p.a, &old), SEAL_OK); /* a straggler */
    assert_both_ways(&p);
    assert_int_equal(seal_renew(p.a.seal, p.b.id, p.now + 1000 * MS, d.p), 0);
    assert_int_equal(seal_renew(p.b.seal, p.a.id, p.now + 1000 * MS, d.p), 0);
    pair_end(&p);
}

static void hellos_have_a_rate(void **state)
{
    struct pair p;
    bool sealed;
    int n = 0;
    pair_start(&p);
    for (uint64_t end = p.now + 1000 * MS; p.now < end; p.now += MS)
        n += say(&p, &p.a, "x", &sealed).n > 0;
    assert_int_equal(n, 10);
    pair_end(&p);
}

static void a_forgotten_peer_has_no_session(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    pair_meet(&p);
    p.now += 100 * MS;
    seal_forget(p.b.seal, p.a.id);
    seal_forget(p.b.seal, 12345); /* whom it never knew */
    assert_false(seal_knows(p.b.seal, p.a.id));
    assert_int_equal(say(&p, &p.b, "x", &sealed).n, 0);
    struct datagram d = say(&p, &p.a, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_STRANGER);
    assert_int_equal(p.b.opened.from, p.a.id);
    assert_int_equal(p.b.opened.reply_n, 0);
    assert_int_equal(seal_know(p.b.seal, p.a.id, NULL), 0);
    assert_int_equal(carry(&p, &p.b, d), SEAL_SESSION); /* asks, and is answered */
    assert_both_ways(&p);
    pair_end(&p);
}

static void many_peers_are_found_again(void **state)
{
    struct pair p;
    struct err e;
    pair_start(&p);
    struct seal *s = p.a.seal;
    assert_int_equal(seal_know(s, p.a.id, &e), -ERR_INVAL);
    for (uint64_t i = 1; i < SEAL_PEERS_MAX; i++) /* one is known */
        assert_int_equal(seal_know(s, i * UINT64_C(0x9e3779b97f4a7c15), &e), 0);
    assert_int_equal(seal_know(s, 5, &e), -ERR_LIMIT);
    for (uint64_t i = 1; i < SEAL_PEERS_MAX; i++)
        assert_true(seal_knows(s, i * UINT64_C(0x9e3779b97f4a7c15)));
    assert_int_equal(seal_know(s, UINT64_C(0x9e3779b97f4a7c15), &e), 0);
    for (uint64_t i = 1; i < SEAL_PEERS_MAX; i += 2)
        seal_forget(s, i * UINT64_C(0x9e3779b97f4a7c15));
    for (uint64_t i = 1; i < SEAL_PEERS_MAX; i++)
        assert_int_equal(seal_knows(s, i * UINT64_C(0x9e3779b97f4a7c15)), i % 2 == 0);
    pair_meet(&p);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_meet),
        cmocka_unit_test(a_payload_of_any_length_arrives),
        cmocka_unit_test(a_handshake_survives_losing_any_of_it),
        cmocka_unit_test(a_slow_path_needs_no_more_than_one_nonce),
        cmocka_unit_test(datagrams_come_in_any_order_but_once),
        cmocka_unit_test(both_may_begin_at_once),
        cmocka_unit_test(insisting_ends),
        cmocka_unit_test(a_late_hello_does_not_part_them),
        cmocka_unit_test(a_late_answer_does_not_part_them),
        cmocka_unit_test(a_straggler_does_not_call_a_session_back),
        cmocka_unit_test(chaos_ends_in_one_session),
        cmocka_unit_test(a_restarted_peer_is_back_at_once),
        cmocka_unit_test(a_peer_restarts_often),
        cmocka_unit_test(nothing_is_lost_while_a_session_is_replaced),
        cmocka_unit_test(hellos_have_a_rate),
        cmocka_unit_test(a_forgotten_peer_has_no_session),
        cmocka_unit_test(many_peers_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
