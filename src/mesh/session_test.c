#include "mesh/session.h"
#include "mesh/seal_fixture.h"

static const uint8_t tag[FRAME_TAG] = {1, 2, 3, 4};

/* Both ends of one session: x began it. */
static void both_ends(struct session *x, struct session *y)
{
    uint8_t secret[SEAL_SECRET] = {5};
    struct hello w = {.kind = FRAME_WELCOME, .key = 1, .sid = 77, .from = 20, .to = 10, .a = {6}};
    assert_true(session_begin(x, &w, true, secret, 0));
    assert_true(session_begin(y, &w, false, secret, 0));
}

static struct datagram seal_at(struct session *x, uint32_t counter)
{
    struct datagram d;
    x->sent = counter - 1;
    d.n = session_seal(x, tag, "hello", 5, d.p);
    assert_int_equal(d.n, 5 + SEAL_OVERHEAD);
    return d;
}

static enum seal_result open_copy(struct session *y, struct datagram d)
{
    return session_open(y, d.p, d.n);
}

static void each_direction_has_its_key(void **state)
{
    struct session x, y;
    both_ends(&x, &y);
    struct datagram d = seal_at(&x, 1);
    assert_int_equal(open_copy(&x, d), SEAL_FORGED); /* its own, sent back */
    assert_int_equal(open_copy(&y, d), SEAL_OK);
    struct datagram back = seal_at(&y, 1);
    assert_memory_not_equal(back.p + SEALED_BODY, d.p + SEALED_BODY, 5);
    assert_int_equal(open_copy(&x, back), SEAL_OK);
    session_end(&x);
    session_end(&y);
    assert_false(session_live(&x));
}

/* The window against a list of all that came. */
static void the_window_opens_each_counter_once(void **state)
{
    enum { N = 5000 };
    static bool came[N + 1];
    struct prng r;
    prng_seed(&r, 3);
    for (int run = 0; run < 5; run++) {
        struct session x, y;
        uint32_t highest = 0;
        both_ends(&x, &y);
        memset(came, 0, sizeof came);
        for (int i = 0; i < 6000; i++) {
            uint32_t c = highest + 40 - (uint32_t)prng_below(&r, MIN(highest + 40, 1400));
            if (prng_below(&r, 200) == 0)
                c += (uint32_t)prng_below(&r, 1500);
            if (c > N)
                break;
            bool fine = !came[c] && (c > highest || highest - c <= SEAL_WINDOW);
            assert_int_equal(open_copy(&y, seal_at(&x, c)), fine ? SEAL_OK : SEAL_REPLAYED);
            came[c] = came[c] || fine;
            highest = MAX(highest, fine ? c : 0);
        }
        assert_true(highest > 3000);
        session_end(&x);
        session_end(&y);
    }
}

static void a_jump_over_the_window_forgets_what_lies_behind(void **state)
{
    struct session x, y;
    both_ends(&x, &y);
    struct datagram first = seal_at(&x, 1);
    static const uint32_t at[] = {1, 2, 64, 2048, 2049, 4097, 1u << 31, UINT32_MAX};
    for (size_t i = 1; i < ARRAY_LEN(at); i++) {
        struct datagram d = seal_at(&x, at[i]);
        assert_int_equal(open_copy(&y, d), SEAL_OK);
        assert_int_equal(open_copy(&y, d), SEAL_REPLAYED);
        if (at[i] > 2048) {
            assert_int_equal(open_copy(&y, first), SEAL_REPLAYED);
            assert_int_equal(open_copy(&y, seal_at(&x, at[i] - SEAL_WINDOW)), SEAL_OK);
            assert_int_equal(open_copy(&y, seal_at(&x, at[i] - SEAL_WINDOW - 1)), SEAL_REPLAYED);
        }
    }
    session_end(&x);
    session_end(&y);
}

static void counter_zero_never_opens(void **state)
{
    struct session x, y;
    both_ends(&x, &y);
    struct datagram d = seal_at(&x, 1);
    le32_put(d.p + SEALED_COUNTER, 0);
    assert_int_equal(open_copy(&y, d), SEAL_REPLAYED);
    session_end(&x);
    session_end(&y);
}

static void no_counter_is_used_twice(void **state)
{
    struct session x, y;
    uint8_t out[SEAL_DATAGRAM_MAX];
    both_ends(&x, &y);
    struct datagram d = seal_at(&x, SESSION_LAST);
    assert_int_equal(open_copy(&y, d), SEAL_OK);
    assert_int_equal(session_seal(&x, tag, "more", 4, out), 0);
    session_end(&x);
    session_end(&y);
}

/* What the bytes are is fixed: another release must find the same. What is expected was computed by
 * another implementation. */
static void the_bytes_are_what_they_were(void **state)
{
    struct session x, y;
    both_ends(&x, &y);
    struct datagram d = seal_at(&x, 258);
    static const uint8_t want[] = {
        'H',  'F',  1,    3,    1,    2,    3,    4,    10,   0,    0,    0,    0,    0,    0,
        0,    77,   0,    0,    0,    2,    1,    0,    0,    0x97, 0x3d, 0x64, 0xda, 0x43, 0xc6,
        0x14, 0x6a, 0x0a, 0xc3, 0x33, 0xa6, 0xbb, 0x8f, 0x69, 0x05, 0x89, 0xea, 0x4d, 0x8d, 0xf7,
    };
    assert_int_equal(d.n, sizeof want);
    assert_memory_equal(d.p, want, sizeof want);
    session_end(&x);
    session_end(&y);
}

static void a_handshake_is_what_it_was(void **state)
{
    const uint8_t secret[SEAL_SECRET] = {5};
    struct hello h = {.kind = FRAME_WELCOME, .key = 9, .sid = 0x01020304, .from = 10, .to = 20};
    uint8_t cluster[FRAME_TAG], got[WELCOME_SIZE];
    static const uint8_t want[WELCOME_SIZE] = {
        'H',  'F',  1,    2,    0x67, 0x54, 0xaf, 0x96, 9,    0,    0,    0,    10,   0,
        0,    0,    0,    0,    0,    0,    20,   0,    0,    0,    0,    0,    0,    0,
        0,    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,
        13,   14,   15,   16,   17,   18,   19,   20,   21,   22,   23,   24,   25,   26,
        27,   28,   29,   30,   31,   4,    3,    2,    1,    0xbc, 0x76, 0x8f, 0xfd, 0xe2,
        0x42, 0xbc, 0x1c, 0xf7, 0xdf, 0xa8, 0x57, 0x57, 0xc7, 0xd3, 0xf5,
    };
    for (uint8_t i = 0; i < HELLO_NONCE; i++)
        h.a[i] = i, h.b[i] = (uint8_t)(HELLO_NONCE + i);
    assert_true(frame_tag(STR("prod"), cluster));
    assert_int_equal(hello_write(&h, cluster, secret, got), sizeof want);
    assert_memory_equal(got, want, sizeof want);
    struct hello again;
    assert_true(hello_read(got, sizeof got, FRAME_WELCOME, &again));
    assert_true(again.key == h.key && again.sid == h.sid && again.from == 10 && again.to == 20);
    assert_memory_equal(again.a, h.a, sizeof h.a);
    assert_memory_equal(again.b, h.b, sizeof h.b);
    assert_true(hello_genuine(got, sizeof got, secret));
}

static void without_memory_there_is_no_session(void **state)
{
    uint8_t secret[SEAL_SECRET] = {5};
    struct hello w = {.kind = FRAME_WELCOME, .from = 20, .to = 10};
    struct session s;
    for (unsigned long n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_false(session_begin(&s, &w, true, secret, 0));
        assert_true(mem_failed());
        assert_false(session_live(&s));
    }
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_direction_has_its_key),
        cmocka_unit_test(the_window_opens_each_counter_once),
        cmocka_unit_test(a_jump_over_the_window_forgets_what_lies_behind),
        cmocka_unit_test(counter_zero_never_opens),
        cmocka_unit_test(no_counter_is_used_twice),
        cmocka_unit_test(the_bytes_are_what_they_were),
        cmocka_unit_test(a_handshake_is_what_it_was),
        cmocka_unit_test(without_memory_there_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
