/* What nodes tell each other of instances: written and read again, bounded, and refused when it is
 * damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/base.h"
#include "wire/health.h"

static struct health_record record(const char *service, const char *address, uint8_t verdict)
{
    struct health_record r = {.service = str_of(service),
                              .verdict = verdict,
                              .reason = 5,
                              .certain = verdict == 3,
                              .age_ms = 1234567};
    assert_true(addr_parse(str_of(address), &r.instance));
    return r;
}

static void same(const struct health_record *a, const struct health_record *b)
{
    assert_true(str_eq(a->service, b->service));
    assert_true(addr_eq(&a->instance, &b->instance));
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->certain, b->certain);
    assert_int_equal(a->age_ms, b->age_ms);
}

static void test_written_and_read(void **state)
{
    const struct health_record all[] = {
        record("web", "10.0.0.1:80", 0),      record("web", "[2001:db8::1]:8080", 3),
        record("web", "unix:/run/a.sock", 1), record("api", "10.0.0.1:80", 2),
        record("web", "unix:@app", 3),
    };
    struct health_writer w;
    struct health_reader h;
    struct health_record r;
    struct buf b = {0};
    for (int isolated = 0; isolated < 2; isolated++) {
        health_begin(&w, &b, isolated);
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            assert_true(health_put(&w, &all[i]));
        assert_true(!b.failed && w.n == ARRAY_LEN(all));
        assert_true(health_check(buf_str(&b)));
        health_open(&h, buf_str(&b));
        assert_int_equal(h.isolated, isolated);
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            assert_true(health_next(&h, &r));
            same(&r, &all[i]);
        }
        assert_false(health_next(&h, &r));
    }
    health_begin(&w, &b, false);
    assert_true(health_check(buf_str(&b))); /* nothing to say is well said */
    buf_free(&b);
}

static void test_a_message_has_bounds(void **state)
{
    struct health_record r = record("web", "[2001:db8::1]:8080", 3);
    struct health_writer w;
    struct buf b = {0};
    uint32_t n = 0;
    health_begin(&w, &b, false);
    while (health_put(&w, &r))
        n++;
    assert_true(b.n <= HEALTH_MESSAGE_MAX && b.n > HEALTH_MESSAGE_MAX - 64);
    assert_true(n > 1000 && health_check(buf_str(&b)));
    size_t full = b.n;
    assert_false(health_put(&w, &r));
    assert_int_equal(b.n, full);
    health_begin(&w, &b, false);
    assert_true(health_put(&w, &r));
    buf_free(&b);
}

/* Every cut and every changed byte: read as something, or refused, but never past the end. */
static void test_damage(void **state)
{
    const struct health_record all[] = {record("web", "10.0.0.1:80", 0),
                                        record("api", "unix:/run/a.sock", 3)};
    struct health_writer w;
    struct buf b = {0};
    unsigned refused = 0;
    health_begin(&w, &b, false);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_true(health_put(&w, &all[i]));
    for (size_t cut = 0; cut < b.n; cut++) {
        char *exact = mem_alloc(cut + 1);
        memcpy(exact, b.p, cut);
        refused += !health_check((struct str){exact, cut});
        mem_free(exact);
    }
    assert_true(refused >= b.n - 4); /* but for the ends of sections */
    for (size_t at = 0; at < b.n; at++)
        for (int bit = 0; bit < 8; bit++) {
            b.p[at] ^= (char)(1 << bit);
            if (health_check(buf_str(&b))) {
                struct health_reader h;
                struct health_record r;
                health_open(&h, buf_str(&b));
                while (health_next(&h, &r))
                    assert_true(r.verdict < HEALTH_VERDICTS && r.service.n);
            }
            b.p[at] ^= (char)(1 << bit);
        }
    buf_free(&b);
}

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static bool check(const uint8_t *p, size_t n)
{
    return health_check((struct str){(const char *)p, n});
}

static void test_by_hand(void **state)
{
    assert_false(check(NULL, 0));
    assert_false(check(BYTES(2, 0)));
    assert_true(check(BYTES(1, 0)));
    assert_true(check(BYTES(1, 255)));               /* flags of newer programs */
    assert_true(check(BYTES(1, 0, 9, 2, 0, 7, 7)));  /* and sections */
    assert_false(check(BYTES(1, 0, 9, 3, 0, 7, 7))); /* but whole ones */
    assert_false(check(BYTES(1, 0, 1, 0, 0)));       /* no name */
    assert_false(check(BYTES(1, 0, 1, 1, 0, ' ')));  /* none that a service has */
    /* an instance without a service, then with one; then with more behind its address */
    assert_false(check(BYTES(1, 0, 2, 14, 0, 0, 1, 0, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0, 1)));
    assert_true(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 14, 0, 0, 1, 0, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0, 1)));
    assert_true(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 15, 0, 0, 1, 0, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0, 1, 9)));
    assert_false(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 13, 0, 0, 1, 0, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0)));
    /* verdict, certainty, kind and port out of range */
    assert_false(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 14, 0, 4, 1, 0, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0, 1)));
    assert_false(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 14, 0, 0, 1, 2, 0, 0, 0, 0, 1, 80, 0, 10, 0, 0, 1)));
    assert_false(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 14, 0, 0, 1, 0, 0, 0, 0, 0, 9, 80, 0, 10, 0, 0, 1)));
    assert_false(
        check(BYTES(1, 0, 1, 1, 0, 'w', 2, 14, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 10, 0, 0, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_a_message_has_bounds),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
