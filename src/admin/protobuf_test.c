/* What is written, against the examples of the documentation and a reader of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/protobuf.h"

static void assert_bytes(struct buf *b, const char *hex)
{
    char text[256];
    assert_false(b->failed);
    for (size_t i = 0; i < b->n; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)b->p[i]);
    assert_int_equal(b->n * 2, strlen(hex));
    if (b->n)
        assert_string_equal(text, hex);
    buf_free(b);
}

static void the_examples_of_the_documentation(void **state)
{
    struct buf b = {0}, inner = {0};
    protobuf_uint(&b, 1, 150);
    assert_bytes(&b, "089601");
    protobuf_bytes(&b, 2, STR("testing"));
    assert_bytes(&b, "120774657374696e67");
    protobuf_uint(&inner, 1, 150);
    protobuf_bytes(&b, 3, buf_str(&inner));
    buf_free(&inner);
    assert_bytes(&b, "1a03089601");
}

static void numbers_at_their_ends(void **state)
{
    struct buf b = {0};
    protobuf_varint(&b, 0);
    assert_bytes(&b, "00");
    protobuf_varint(&b, 127);
    assert_bytes(&b, "7f");
    protobuf_varint(&b, 128);
    assert_bytes(&b, "8001");
    protobuf_varint(&b, UINT64_MAX);
    assert_bytes(&b, "ffffffffffffffffff01");
    protobuf_sint(&b, 1, -1);
    assert_bytes(&b, "0801");
    protobuf_sint(&b, 1, 1);
    assert_bytes(&b, "0802");
    protobuf_sint(&b, 1, INT64_MAX);
    assert_bytes(&b, "08feffffffffffffffff01");
    protobuf_sint(&b, 1, INT64_MIN);
    assert_bytes(&b, "08ffffffffffffffffff01");
    protobuf_packed_sint(&b, -2);
    protobuf_packed_sint(&b, 2);
    assert_bytes(&b, "0304");
    protobuf_double(&b, 2, 1.0);
    assert_bytes(&b, "11000000000000f03f");
    protobuf_uint(&b, 16, 0); /* the first tag of two bytes */
    assert_bytes(&b, "800100");
    protobuf_bytes(&b, 1, STR(""));
    assert_bytes(&b, "0a00");
}

static uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = get_u8(r);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    r->failed = true;
    return 0;
}

static void whatever_is_written_is_read(void **state)
{
    struct prng r;
    prng_seed(&r, 11);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = prng_next(&r) >> prng_below(&r, 64);
        uint32_t field = 1 + (uint32_t)prng_below(&r, (1u << 29) - 1);
        struct buf b = {0};
        protobuf_uint(&b, field, v);
        protobuf_sint(&b, field, (int64_t)v);
        struct reader in = reader_of(b.p, b.n);
        assert_int_equal(read_varint(&in), (uint64_t)field << 3);
        assert_true(read_varint(&in) == v);
        assert_int_equal(read_varint(&in), (uint64_t)field << 3);
        uint64_t z = read_varint(&in);
        assert_true((int64_t)(z >> 1 ^ (~(z & 1) + 1)) == (int64_t)v);
        assert_true(reader_done(&in));
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_documentation),
        cmocka_unit_test(numbers_at_their_ends),
        cmocka_unit_test(whatever_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
