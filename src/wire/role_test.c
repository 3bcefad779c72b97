/* What is written is read again; what is cut, stretched or of another kind is told apart. */
#include "wire/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct role_message sample(uint64_t i)
{
    return (struct role_message){.kind = (uint8_t)(ROLE_SAYS + i % 4),
                                 .flags = (uint8_t)(i % 4),
                                 .instance = (uint8_t)i,
                                 .state = (uint8_t)(i + 1),
                                 .role = UINT64_MAX - i,
                                 .epoch = i,
                                 .data = i + 2,
                                 .position = i << 33,
                                 .incarnation = i << 40,
                                 .load = UINT32_MAX - (uint32_t)i};
}

static void assert_same(const struct role_message *a, const struct role_message *b)
{
    assert_true(a->kind == b->kind && a->flags == b->flags && a->instance == b->instance &&
                a->state == b->state && a->role == b->role && a->epoch == b->epoch &&
                a->data == b->data && a->position == b->position &&
                a->incarnation == b->incarnation && a->load == b->load);
}

static void messages_come_back(void **state)
{
    struct role_message in[ROLE_BATCH], out[ROLE_BATCH];
    uint8_t bytes[ROLE_BYTES_MAX];
    (void)state;
    for (uint32_t i = 0; i < ROLE_BATCH; i++)
        in[i] = sample(i);
    for (uint32_t n = 1; n <= ROLE_BATCH; n++) {
        size_t size = role_write(in, n, bytes);
        assert_int_equal(size, 3 + n * ROLE_MESSAGE);
        assert_int_equal(role_read(bytes, size, out), n);
        for (uint32_t i = 0; i < n; i++)
            assert_same(&in[i], &out[i]);
    }
}

static void what_is_malformed_is_nothing(void **state)
{
    struct role_message in[2] = {sample(1), sample(2)}, out[ROLE_BATCH];
    uint8_t bytes[ROLE_BYTES_MAX + 1] = {0};
    (void)state;
    size_t size = role_write(in, 2, bytes);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(role_read(bytes, n, out), -1);
    assert_int_equal(role_read(bytes, size + 1, out), -1);
    bytes[0] = ROLE_VERSION + 1;
    assert_int_equal(role_read(bytes, size, out), -1);
    bytes[0] = ROLE_VERSION;
    bytes[1] = ROLE_BATCH + 1;
    assert_int_equal(role_read(bytes, size, out), -1);
    bytes[1] = 2;
    bytes[2] = ROLE_MESSAGE - 1;
    assert_int_equal(role_read(bytes, size, out), -1);
}

/* A later release: longer messages, and a kind that is new. */
static void what_is_newer_is_passed_over(void **state)
{
    struct role_message in[2] = {sample(1), sample(2)}, out[ROLE_BATCH];
    uint8_t bytes[ROLE_BYTES_MAX],
        longer[3 + 2 * (ROLE_MESSAGE + 5)] = {ROLE_VERSION, 2, ROLE_MESSAGE + 5};
    (void)state;
    in[0].kind = ROLE_KINDS;
    role_write(in, 2, bytes);
    for (int i = 0; i < 2; i++)
        memcpy(longer + 3 + i * (ROLE_MESSAGE + 5), bytes + 3 + i * ROLE_MESSAGE, ROLE_MESSAGE);
    assert_int_equal(role_read(longer, sizeof longer, out), 1);
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
