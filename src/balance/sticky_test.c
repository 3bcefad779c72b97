/* Sticky sessions: tokens, members, the table of what was learnt, and who falls back to a normal
 * pick. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balance/sticky.h"
#include "balance/balance_test.h"
#include "balance/threads_test.h"

#define SECOND (1000 * MS)

static const struct sip_key secret = {{1, 2}};

static void test_tokens(void **state)
{
    struct prng r;
    prng_seed(&r, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t token = prng_next(&r) >> prng_below(&r, 63);
        char text[STICKY_TOKEN_SIZE + 1] = {0};
        sticky_write(token, text);
        assert_int_equal(strlen(text), STICKY_TOKEN_SIZE);
        assert_int_equal(sticky_read((struct str){text, STICKY_TOKEN_SIZE}), token);
    }
    assert_int_equal(sticky_read(STR("00000000000000ff")), 255);
    static const char *const bad[] = {"",
                                      "0",
                                      "00000000000000f",
                                      "00000000000000fff",
                                      "00000000000000fF",
                                      "000000000000-00f",
                                      " 0000000000000ff",
                                      "0x000000000000ff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(sticky_read(str_of(bad[i])), 0);
    struct sip_key other = {{1, 3}};
    assert_int_equal(sticky_token(&secret, 7), sticky_token(&secret, 7));
    assert_int_not_equal(sticky_token(&secret, 7), sticky_token(&secret, 8));
    assert_int_not_equal(sticky_token(&secret, 7), sticky_token(&other, 7));
}

static struct pool pool_of(uint32_t n)
{
    struct pool p = pool_with(&(struct pool_params){.n = n, .eject_permille = 500, .seed = 1});
    for (uint32_t i = 0; i < n; i++)
        p.members[i].key = key_of(i);
    pool_update(&p);
    return p;
}

static void test_members(void **state)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 100, POOL_MAX};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct pool p = pool_of(sizes[k]);
        struct sticky_members s;
        assert_int_equal(sticky_members_open(&s, &secret, &p, NULL), 0);
        for (uint32_t i = 0; i < sizes[k]; i++)
            assert_int_equal(sticky_member(&s, sticky_token(&secret, p.members[i].key)), i);
        assert_int_equal(sticky_member(&s, sticky_token(&secret, key_of(5000))), -1);
        assert_int_equal(sticky_member(&s, 0), -1);
        assert_int_equal(sticky_member(&s, UINT64_MAX), -1);
        sticky_members_close(&s);
        sticky_members_close(&s);
        pool_free(&p);
    }
}

/* Its instance takes it whatever its weight and group, unless it is not there to take it. */
static void test_who_falls_back(void **state)
{
    struct pool p = pool_of(4);
    struct tried tried = {0};
    p.members[1].weight = 0;
    p.members[2].priority = 3;
    pool_update(&p);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(pool_pick_sticky(&p, &tried, i, SECOND), i);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(p.members[i].inflight, 1);
        pool_done(&p, i);
    }
    tried_add(&tried, 0);
    assert_int_equal(pool_pick_sticky(&p, &tried, 0, SECOND), -1);
    assert_int_equal(pool_pick_sticky(&p, NULL, 0, SECOND), 0);
    pool_done(&p, 0);
    p.members[0].verdict = VERDICT_FAILED;
    p.members[3].draining = true;
    pool_update(&p);
    assert_int_equal(pool_pick_sticky(&p, NULL, 0, SECOND), -1);
    assert_int_equal(pool_pick_sticky(&p, NULL, 3, SECOND), -1);
    p.members[3].draining = false;
    p.members[0].verdict = VERDICT_SUSPECT;
    pool_update(&p);
    assert_int_equal(pool_pick_sticky(&p, NULL, 0, SECOND), 0);
    assert_int_equal(pool_pick_sticky(&p, NULL, 3, SECOND), 3);
    pool_free(&p);
}

static struct sticky_table *table_of(uint32_t slots, uint64_t idle)
{
    struct sticky_table *t;
    assert_int_equal(sticky_open(&t, slots, idle, NULL), 0);
    return t;
}

static void test_learnt_and_forgotten(void **state)
{
    struct sticky_table *t = table_of(100, 10 * SECOND);
    assert_int_equal(sticky_find(t, 5, SECOND), 0);
    sticky_learn(t, 5, 77, SECOND);
    assert_int_equal(sticky_find(t, 5, SECOND), 77);
    sticky_learn(t, 5, 78, SECOND); /* another instance took the session over */
    assert_int_equal(sticky_find(t, 5, 11 * SECOND - 1), 78);
    assert_int_equal(sticky_find(t, 5, 20 * SECOND), 78); /* a use keeps it */
    assert_int_equal(sticky_find(t, 5, 30 * SECOND), 0);
    sticky_learn(t, 5, 79, 31 * SECOND);
    assert_int_equal(sticky_find(t, 5, 31 * SECOND), 79);
    assert_int_equal(sticky_find(t, 5, 0), 79); /* time that steps back ends nothing */
    for (uint64_t odd = 0; odd < 3; odd++) {    /* values that the table uses itself */
        sticky_learn(t, odd, 100 + odd, 31 * SECOND);
        assert_int_equal(sticky_find(t, odd, 31 * SECOND), 100 + odd);
    }
    sticky_close(t);
}

static void test_bounded(void **state)
{
    struct sticky_table *t = table_of(4, 100 * SECOND);
    for (uint64_t v = 10; v < 14; v++)
        sticky_learn(t, v, v + 1000, v * SECOND);
    sticky_find(t, 10, 20 * SECOND);
    sticky_learn(t, 20, 1020, 21 * SECOND); /* 11 is unused for longest */
    assert_int_equal(sticky_find(t, 11, 21 * SECOND), 0);
    assert_int_equal(sticky_find(t, 10, 21 * SECOND), 1010);
    assert_int_equal(sticky_find(t, 20, 21 * SECOND), 1020);
    assert_int_equal(sticky_replaced(t), 1);
    sticky_learn(t, 21, 1021, 500 * SECOND);
    assert_int_equal(sticky_replaced(t), 1); /* that one's time was over */
    sticky_close(t);
}

static void test_bounds_and_memory(void **state)
{
    struct sticky_table *t;
    struct sticky_members s;
    struct err e;
    struct pool p = pool_of(3);
    assert_int_equal(sticky_open(&t, 0, 1, &e), -ERR_INVAL);
    assert_int_equal(sticky_open(&t, 1, 0, &e), -ERR_INVAL);
    for (unsigned long n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_int_equal(sticky_open(&t, 100, 1, &e), -ERR_NOMEM);
        assert_null(t);
    }
    mem_fail_at(1);
    assert_int_equal(sticky_members_open(&s, &secret, &p, &e), -ERR_NOMEM);
    mem_fail_at(0);
    sticky_members_close(&s);
    sticky_close(NULL);
    pool_free(&p);
}

struct crowd {
    struct sticky_table *table;
    _Atomic uint64_t found;
};

/* The token of a value follows from it, so that a wrong one shows. */
static void learn_and_find(void *context, uint32_t number)
{
    struct crowd *c = context;
    struct prng r;
    uint64_t found = 0, wrong = 0;
    prng_seed(&r, number);
    for (int i = 0; i < 200000; i++) {
        uint64_t value = key_of(prng_below(&r, 60));
        uint64_t token = sticky_find(c->table, value, SECOND + (uint64_t)i);
        found += token != 0;
        wrong += token != 0 && token != value * 3;
        if (!token || prng_below(&r, 4) == 0)
            sticky_learn(c->table, value, value * 3, SECOND + (uint64_t)i);
    }
    atomic_fetch_add(&c->found, found);
    assert_int_equal(wrong, 0);
}

static void test_threads(void **state)
{
    static const uint32_t slots[] = {4, 32, 1000};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        struct crowd c = {.table = table_of(slots[i], 100 * SECOND)};
        in_threads(learn_and_find, &c);
        assert_true(atomic_load(&c.found) > 10000);
        for (uint64_t k = 0; slots[i] == 1000 && k < 60; k++)
            assert_int_equal(sticky_find(c.table, key_of(k), 2 * SECOND), key_of(k) * 3);
        sticky_close(c.table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_members),
        cmocka_unit_test(test_who_falls_back), cmocka_unit_test(test_learnt_and_forgotten),
        cmocka_unit_test(test_bounded),        cmocka_unit_test(test_bounds_and_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
