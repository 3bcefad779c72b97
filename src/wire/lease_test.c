/* What is written is read again; what is cut, stretched or of another kind is told apart. */
#include "wire/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct lease_message sample(uint64_t i)
{
    return (struct lease_message){.kind = (uint8_t)(LEASE_RENEW + i % 4),
                                  .refusal = (uint8_t)(i % LEASE_REFUSALS),
                                  .role = UINT64_MAX - i,
                                  .epoch = i,
                                  .incarnation = i << 40,
                                  .round = i + 1,
                                  .voters = i + 2,
                                  .seen = i + 3,
                                  .wait = i + 4};
}

static const struct lease_terms TERMS = {UINT64_C(300000000), UINT64_C(100000000), 5000};

static void assert_same(const struct lease_message *a, const struct lease_message *b)
{
    assert_true(a->kind == b->kind && a->refusal == b->refusal && a->role == b->role &&
                a->epoch == b->epoch && a->incarnation == b->incarnation && a->round == b->round &&
                a->voters == b->voters && a->seen == b->seen && a->wait == b->wait);
}

static void messages_come_back(void **state)
{
    struct lease_message in[LEASE_BATCH], out[LEASE_BATCH];
    struct lease_terms t;
    uint8_t bytes[LEASE_DATAGRAM_MAX];
    (void)state;
    for (uint32_t i = 0; i < LEASE_BATCH; i++)
        in[i] = sample(i);
    for (uint32_t n = 1; n <= LEASE_BATCH; n++) {
        size_t size = lease_write(&TERMS, in, n, bytes);
        assert_int_equal(size, LEASE_HEADER + n * LEASE_MESSAGE);
        assert_true(lease_is(bytes, size));
        assert_int_equal(lease_read(bytes, size, &t, out), n);
        assert_true(t.lease == TERMS.lease && t.demote == TERMS.demote && t.rho == TERMS.rho);
        for (uint32_t i = 0; i < n; i++)
            assert_same(&in[i], &out[i]);
    }
}

static void what_is_malformed_is_nothing(void **state)
{
    struct lease_message in[2] = {sample(1), sample(2)}, out[LEASE_BATCH];
    struct lease_terms t;
    uint8_t bytes[LEASE_DATAGRAM_MAX + 1] = {0};
    (void)state;
    size_t size = lease_write(&TERMS, in, 2, bytes);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(lease_read(bytes, n, &t, out), -1);
    assert_int_equal(lease_read(bytes, size + 1, &t, out), -1);
    bytes[0] = 1;
    assert_false(lease_is(bytes, size));
    assert_int_equal(lease_read(bytes, size, &t, out), -1);
    bytes[0] = LEASE_VERSION;
    bytes[1] = LEASE_BATCH + 1;
    assert_int_equal(lease_read(bytes, size, &t, out), -1);
    bytes[1] = 2;
    bytes[2] = LEASE_MESSAGE - 1;
    assert_int_equal(lease_read(bytes, size, &t, out), -1);
    assert_false(lease_is(bytes, 0));
}

/* A later release: longer messages, and a kind that is new. */
static void what_is_newer_is_passed_over(void **state)
{
    struct lease_message in[2] = {sample(1), sample(2)}, out[LEASE_BATCH];
    struct lease_terms t;
    uint8_t bytes[LEASE_DATAGRAM_MAX],
        longer[LEASE_HEADER + 2 * (LEASE_MESSAGE + 5)] = {LEASE_VERSION, 2, LEASE_MESSAGE + 5};
    (void)state;
    in[0].kind = LEASE_KINDS;
    lease_write(&TERMS, in, 2, bytes);
    for (int i = 0; i < 2; i++)
        memcpy(longer + LEASE_HEADER + i * (LEASE_MESSAGE + 5),
               bytes + LEASE_HEADER + i * LEASE_MESSAGE, LEASE_MESSAGE);
    assert_int_equal(lease_read(longer, sizeof longer, &t, out), 1);
    assert_same(&in[1], &out[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(what_is_malformed_is_nothing),
        cmocka_unit_test(what_is_newer_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
