/* Datagrams of those who have no key, or no right: forged, cut, recorded and played again, of other
 * versions and clusters, and far too many. */
#include "mesh/seal_fixture.h"
#include "mesh/session.h"

struct recorded {
    struct datagram hello, welcome, confirm, sealed;
};

/* As pair_meet, but all of it is kept. */
static struct recorded record(struct pair *p)
{
    struct recorded r;
    bool sealed;
    r.hello = say(p, &p->a, "x", &sealed);
    assert_int_equal(hear(p, &p->b, &r.hello), SEAL_REPLY);
    r.welcome = reply_of(&p->b);
    assert_int_equal(hear(p, &p->a, &r.welcome), SEAL_REPLY);
    r.confirm = reply_of(&p->a);
    assert_int_equal(hear(p, &p->b, &r.confirm), SEAL_NOTHING);
    r.sealed = say(p, &p->a, "payload", &sealed);
    assert_int_equal(hear(p, &p->b, &r.sealed), SEAL_OK);
    return r;
}

static bool is_refused(enum seal_result r)
{
    return r >= SEAL_SHORT;
}

/* Refused, and neither an answer nor anything else comes of it. */
static void assert_refused(struct pair *p, struct node *x, const struct datagram *d)
{
    assert_true(is_refused(hear(p, x, d)));
    assert_false(x->opened.up);
    assert_int_equal(x->opened.n, 0);
    if (x->opened.reply_n) /* only to say that its session is not known */
        assert_int_equal(x->opened.reply[3], FRAME_HELLO);
}

static void every_bit_counts(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        struct pair p;
        bool sealed;
        pair_start(&p);
        if (kind == 2)
            pair_meet(&p);
        struct datagram d = say(&p, &p.a, "payload", &sealed);
        struct node *to = &p.b;
        if (kind == 1)
            hear(&p, &p.b, &d), d = reply_of(&p.b), to = &p.a;
        for (size_t bit = 0; bit < 8 * d.n; bit++) {
            struct datagram forged = d;
            forged.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_refused(&p, to, &forged);
        }
        enum seal_result want = kind == 2 ? SEAL_OK : SEAL_REPLY;
        assert_int_equal(carry(&p, to, d), want); /* the true one is as good as before */
        assert_both_ways(&p);
        pair_end(&p);
    }
}

static void every_byte_counts(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    const struct datagram *all[] = {&r.hello, &r.welcome, &r.confirm, &r.sealed};
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        for (size_t i = 0; i < all[k]->n; i++)
            for (unsigned v = 0; v < 256; v++, p.now += 10 * MS) {
                struct datagram forged = *all[k];
                struct node *to = k == 1 ? &p.a : &p.b;
                forged.p[i] = (uint8_t)v;
                if (v != all[k]->p[i])
                    assert_refused(&p, to, &forged);
            }
    assert_both_ways(&p);
    pair_end(&p);
}

static void every_length_but_the_true_one_is_refused(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    const struct datagram *all[] = {&r.hello, &r.welcome, &r.confirm, &r.sealed};
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        for (size_t n = 0; n <= SEAL_DATAGRAM_MAX; n++, p.now += 10 * MS) {
            struct datagram d = *all[k];
            if (n == all[k]->n)
                continue;
            if (n > d.n)
                memset(d.p + d.n, 0, n - d.n);
            d.n = n;
            struct node *to = k == 1 ? &p.a : &p.b;
            enum seal_result got = hear(&p, to, &d);
            assert_true(is_refused(got));
            assert_int_equal(got == SEAL_SHORT, n < (k == 0   ? HELLO_SIZE
                                                     : k == 1 ? WELCOME_SIZE
                                                              : SEAL_OVERHEAD));
        }
    uint8_t giant[SEAL_DATAGRAM_MAX + 1] = {'H', 'F', 1, 1};
    struct seal_opened o;
    assert_int_equal(seal_read(p.b.seal, giant, sizeof giant, p.now, &o), SEAL_SHORT);
    assert_both_ways(&p);
    pair_end(&p);
}

static void recordings_of_the_same_session_do_not_open(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    assert_int_equal(hear(&p, &p.b, &r.sealed), SEAL_REPLAYED);
    assert_int_equal(hear(&p, &p.b, &r.confirm), SEAL_REPLAYED);
    p.now += 5000 * MS;
    assert_int_equal(hear(&p, &p.a, &r.welcome), SEAL_REPLAYED);
    assert_int_equal(hear(&p, &p.b, &r.hello), SEAL_REPLAYED);
    assert_int_equal(p.b.opened.reply_n, 0);
    assert_int_equal(seal_count(p.b.seal, SEAL_REPLAYED), 3);
    assert_both_ways(&p);
    pair_end(&p);
}

/* Nor does the HELLO of the one before, which still opens stragglers. */
static void the_session_before_is_not_begun_again(void **state)
{
    struct pair p;
    struct recorded r;
    struct datagram d, straggler;
    bool sealed;
    pair_start(&p);
    r = record(&p);
    straggler = say(&p, &p.a, "slow", &sealed);
    struct keyring newer = p.keys;
    assert_int_equal(keyring_add(&newer, (const uint8_t[SEAL_SECRET]){9}, NULL), 0);
    assert_int_equal(keyring_use(&newer, newer.keys[0].id, NULL), 0);
    seal_set_keys(p.a.seal, &newer);
    seal_set_keys(p.b.seal, &newer);
    p.now += 5000 * MS;
    d.n = seal_renew(p.a.seal, p.b.id, p.now, d.p);
    assert_int_equal(carry(&p, &p.b, d), SEAL_REPLY);
    assert_both_ways(&p);
    assert_int_equal(hear(&p, &p.b, &r.hello), SEAL_REPLAYED);
    assert_int_equal(p.b.opened.reply_n, 0);
    assert_int_equal(hear(&p, &p.b, &straggler), SEAL_OK);
    assert_both_ways(&p);
    pair_end(&p);
}

static void recordings_of_an_older_session_change_nothing(void **state)
{
    struct pair p;
    struct recorded old;
    bool sealed;
    pair_start(&p);
    old = record(&p);
    for (int i = 0; i < 3; i++) {
        p.now += 5000 * MS;
        node_restart(&p, &p.a);
        carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
        assert_both_ways(&p);
    }
    p.now += 5000 * MS;
    assert_true(reaches(&p, &p.a, "x"));
    assert_int_equal(hear(&p, &p.b, &old.sealed), SEAL_SESSION);
    assert_int_equal(p.b.opened.reply_n, 0);
    assert_int_equal(hear(&p, &p.a, &old.welcome), SEAL_REPLAYED);
    assert_int_equal(hear(&p, &p.b, &old.hello), SEAL_REPLY); /* an answer, of no use to anybody */
    struct datagram welcome = reply_of(&p.b);
    assert_int_equal(hear(&p, &p.a, &welcome), SEAL_REPLAYED);
    assert_int_equal(hear(&p, &p.b, &old.confirm), SEAL_SESSION);
    assert_int_equal(hear(&p, &p.b, &old.sealed), SEAL_SESSION);
    assert_both_ways(&p);
    pair_end(&p);
}

/* A recorded HELLO while the true one is under way: the next heartbeats end up in a session. */
static void a_recorded_hello_delays_at_most(void **state)
{
    struct pair p;
    struct recorded old;
    bool sealed;
    pair_start(&p);
    old = record(&p);
    node_restart(&p, &p.a);
    node_restart(&p, &p.b);
    p.now += 5000 * MS;
    struct datagram d = say(&p, &p.a, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_REPLY);
    d = reply_of(&p.b);
    assert_int_equal(hear(&p, &p.b, &old.hello), SEAL_REPLY); /* takes the offer's place */
    assert_int_equal(hear(&p, &p.a, &d), SEAL_REPLY);
    assert_false(reaches(&p, &p.a, "x"));
    p.now += 400 * MS;
    carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
    assert_both_ways(&p);
    pair_end(&p);
}

static void what_comes_back_to_its_sender_is_refused(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    assert_int_equal(hear(&p, &p.a, &r.hello), SEAL_STRANGER);
    assert_int_equal(hear(&p, &p.b, &r.welcome), SEAL_STRANGER);
    assert_int_equal(hear(&p, &p.a, &r.sealed), SEAL_STRANGER);
    le64_put(r.sealed.p + SEALED_FROM, p.b.id);
    assert_true(is_refused(hear(&p, &p.a, &r.sealed)));
    assert_both_ways(&p);
    pair_end(&p);
}

static void other_clusters_and_keys_are_told_apart(void **state)
{
    struct pair p, q;
    bool sealed;
    pair_start(&p);
    pair_start(&q);
    seal_free(q.a.seal);
    node_start(&q.a, &q.keys, "test");
    assert_int_equal(seal_know(q.a.seal, q.b.id, NULL), 0);
    struct datagram d = say(&q, &q.a, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_CLUSTER);

    seal_free(q.a.seal);
    struct keyring wrong = ring_of(2);
    node_start(&q.a, &wrong, "prod");
    assert_int_equal(seal_know(q.a.seal, q.b.id, NULL), 0);
    d = say(&q, &q.a, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_KEY);
    le32_put(d.p + FRAME_HEADER, p.keys.keys[0].id); /* it claims the right one */
    assert_int_equal(hear(&p, &p.b, &d), SEAL_FORGED);
    assert_int_equal(p.b.opened.reply_n, 0);
    pair_end(&p);
    pair_end(&q);
}

static void strangers_with_the_key_have_no_session(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    p.a.id = 15;
    node_restart(&p, &p.a);
    struct datagram d = say(&p, &p.a, "x", &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_STRANGER);
    assert_int_equal(p.b.opened.from, 15);
    assert_int_equal(p.b.opened.reply_n, 0);
    pair_end(&p);
}

static void what_is_for_another_node_is_refused(void **state)
{
    struct pair p;
    struct datagram d;
    bool sealed;
    pair_start(&p);
    assert_int_equal(seal_know(p.a.seal, 30, NULL), 0);
    d.n = seal_write(p.a.seal, 30, "x", 1, p.now, d.p, &sealed);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_STRANGER);
    assert_int_equal(p.b.opened.reply_n, 0);
    pair_end(&p);
}

static void other_versions_and_kinds_are_refused(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    for (unsigned v = 0; v < 256; v++) {
        struct datagram d = r.hello;
        d.p[2] = (uint8_t)v;
        if (v != FRAME_VERSION)
            assert_int_equal(hear(&p, &p.b, &d), SEAL_VERSION);
        d = r.hello;
        d.p[3] = (uint8_t)v;
        if (v < FRAME_HELLO || v >= FRAME_PLAIN)
            assert_int_equal(hear(&p, &p.b, &d), SEAL_VERSION);
    }
    assert_true(seal_count(p.b.seal, SEAL_VERSION) > 500);
    pair_end(&p);
}

/* A datagram of a release that says more, under the right key. */
static struct datagram with_more(struct datagram d, const struct keyring *k, uint8_t minor)
{
    uint8_t code[HMAC_BYTES];
    size_t n = d.n - HELLO_CODE + 100;
    d.p[FRAME_HEADER + 20] = minor;
    memset(d.p + d.n - HELLO_CODE, 0xee, 100);
    assert_true(hmac_sha256((struct str){(const char *)k->keys[0].secret, SEAL_SECRET},
                            (struct str){(const char *)d.p, n}, code));
    memcpy(d.p + n, code, HELLO_CODE);
    d.n = n + HELLO_CODE;
    return d;
}

static void a_newer_minor_version_is_understood(void **state)
{
    struct pair p;
    bool sealed;
    pair_start(&p);
    struct datagram d = with_more(say(&p, &p.a, "x", &sealed), &p.keys, 7);
    assert_int_equal(hear(&p, &p.b, &d), SEAL_REPLY);
    d = with_more(reply_of(&p.b), &p.keys, 7);
    carry(&p, &p.a, d);
    assert_both_ways(&p);
    pair_end(&p);
}

/* A million HELLOs in ten seconds: what is looked at, and what is answered, is bounded. */
static void a_flood_of_hellos_is_bounded(void **state)
{
    struct pair p;
    struct recorded r;
    pair_start(&p);
    r = record(&p);
    struct datagram forged = r.hello;
    forged.p[HELLO_SIZE - 1] ^= 1;
    for (int i = 0; i < 1000000; i++, p.now += MS / 100)
        assert_true(is_refused(hear(&p, &p.b, &forged)));
    uint64_t checked = seal_count(p.b.seal, SEAL_FORGED);
    assert_in_range(checked, 9 * SEAL_CHECKS, 11 * SEAL_CHECKS);
    assert_int_equal(seal_count(p.b.seal, SEAL_LIMITED), 1000000 - checked);
    assert_both_ways(&p);
    pair_end(&p);
}

/* All of them genuine, and new: somebody has recorded very much. */
static void answers_have_a_rate(void **state)
{
    struct pair p;
    int answers = 0;
    pair_start(&p);
    pair_meet(&p);
    for (int i = 0; i < 10000; i++, p.now += MS) {
        struct datagram d;
        struct hello h = {
            .kind = FRAME_HELLO, .key = p.keys.keys[0].id, .from = p.a.id, .to = p.b.id};
        uint8_t tag[FRAME_TAG];
        assert_true(frame_tag(STR("prod"), tag));
        memcpy(h.a, &i, sizeof i);
        d.n = hello_write(&h, tag, p.keys.keys[0].secret, d.p);
        hear(&p, &p.b, &d);
        answers += p.b.opened.reply_n > 0;
    }
    assert_in_range(answers, 100, 106);
    assert_both_ways(&p);
    pair_end(&p);
}

/* Sealed datagrams of no session do not make a node say HELLO while its session is alive, and
 * otherwise at its own rate. */
static void unknown_sessions_cost_no_more_than_a_hello(void **state)
{
    struct pair p;
    struct recorded r;
    int hellos = 0;
    pair_start(&p);
    r = record(&p);
    le32_put(r.sealed.p + SEALED_SID, 12345);
    for (int i = 0; i < 1000; i++, p.now += MS) {
        if (i % 50 == 0)
            assert_true(reaches(&p, &p.a, "x"));
        assert_int_equal(hear(&p, &p.b, &r.sealed), SEAL_SESSION);
        assert_int_equal(p.b.opened.reply_n, 0);
    }
    for (int i = 0; i < 1000; i++, p.now += MS) {
        hear(&p, &p.b, &r.sealed);
        hellos += p.b.opened.reply_n > 0;
    }
    assert_in_range(hellos, 9, 10);
    assert_both_ways(&p);
    pair_end(&p);
}

static void noise_is_refused(void **state)
{
    struct pair p;
    struct prng r;
    pair_start(&p);
    pair_meet(&p);
    prng_seed(&r, 1);
    for (int i = 0; i < 200000; i++) {
        struct datagram d = {.n = (size_t)prng_below(&r, 130)};
        for (size_t k = 0; k < d.n; k++)
            d.p[k] = (uint8_t)prng_next(&r);
        assert_true(is_refused(hear(&p, &p.b, &d)));
    }
    assert_both_ways(&p);
    pair_end(&p);
}

/* Each allocation of a meeting fails once; afterwards all goes on. */
static void a_meeting_survives_memory_running_out(void **state)
{
    unsigned long n = 0;
    do {
        struct pair p;
        bool sealed;
        pair_start(&p);
        mem_fail_at(++n);
        carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
        bool failed = mem_failed();
        mem_fail_at(0);
        p.now += 400 * MS;
        carry(&p, &p.b, say(&p, &p.a, "x", &sealed));
        assert_both_ways(&p);
        pair_end(&p);
        if (!failed)
            break;
    } while (n < 100);
    assert_in_range(n, 3, 50);
}

static void a_seal_needs_memory(void **state)
{
    struct keyring k = ring_of(1), none = {0};
    struct seal_host h = {0};
    struct seal *s;
    struct err e = {0};
    mem_fail_at(1);
    assert_int_equal(seal_new(&s, STR("prod"), 1, &k, &h, &e), -ERR_NOMEM);
    mem_fail_at(0);
    assert_int_equal(seal_new(&s, STR("prod"), 1, &none, &h, &e), -ERR_INVAL);
    assert_int_equal(seal_new(&s, STR("prod"), 1, &k, &h, &e), 0);
    for (unsigned long n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_int_equal(seal_know(s, 2, &e), -ERR_NOMEM);
        mem_fail_at(0);
    }
    assert_int_equal(seal_know(s, 2, &e), 0);
    seal_free(s);
    seal_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(every_length_but_the_true_one_is_refused),
        cmocka_unit_test(recordings_of_the_same_session_do_not_open),
        cmocka_unit_test(the_session_before_is_not_begun_again),
        cmocka_unit_test(recordings_of_an_older_session_change_nothing),
        cmocka_unit_test(a_recorded_hello_delays_at_most),
        cmocka_unit_test(what_comes_back_to_its_sender_is_refused),
        cmocka_unit_test(other_clusters_and_keys_are_told_apart),
        cmocka_unit_test(strangers_with_the_key_have_no_session),
        cmocka_unit_test(what_is_for_another_node_is_refused),
        cmocka_unit_test(other_versions_and_kinds_are_refused),
        cmocka_unit_test(a_newer_minor_version_is_understood),
        cmocka_unit_test(a_flood_of_hellos_is_bounded),
        cmocka_unit_test(answers_have_a_rate),
        cmocka_unit_test(unknown_sessions_cost_no_more_than_a_hello),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(a_meeting_survives_memory_running_out),
        cmocka_unit_test(a_seal_needs_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
