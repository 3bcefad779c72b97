#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void write_all(struct buf *b)
{
    put_u8(b, 0xab);
    put_u16(b, 0x1234);
    put_u32(b, 0xdeadbeef);
    put_u64(b, 0x0102030405060708);
    put_str(b, STR("hi"));
    put_str(b, STR(""));
}

static void bytes_are_little_endian(void **state)
{
    static const uint8_t want[] = {0xab, 0x34, 0x12, 0xef, 0xbe, 0xad, 0xde, 8,   7, 6, 5, 4, 3,
                                   2,    1,    2,    0,    0,    0,    'h',  'i', 0, 0, 0, 0};
    struct buf b = {0};
    write_all(&b);
    assert_int_equal(b.n, sizeof want);
    assert_memory_equal(b.p, want, sizeof want);
    buf_free(&b);
}

static void fields_read_back(void **state)
{
    struct buf b = {0};
    write_all(&b);
    struct reader r = reader_of(b.p, b.n);
    assert_int_equal(get_u8(&r), 0xab);
    assert_int_equal(get_u16(&r), 0x1234);
    assert_int_equal(get_u32(&r), 0xdeadbeef);
    assert_int_equal(get_u64(&r), 0x0102030405060708);
    assert_true(str_eq(get_str(&r), STR("hi")));
    assert_false(reader_done(&r));
    assert_int_equal(get_str(&r).n, 0);
    assert_true(reader_done(&r));
    assert_int_equal(get_u8(&r), 0); /* past the end */
    assert_true(r.failed);
    assert_false(reader_done(&r));
    buf_free(&b);
}

/* Every prefix: the reader fails, stays failed, gives zeros, and never leaves the input (ASan). */
static void every_truncation_fails(void **state)
{
    struct buf b = {0};
    write_all(&b);
    for (size_t n = 0; n < b.n; n++) {
        struct buf cut = {0};
        buf_reserve(&cut, 1);
        buf_add(&cut, b.p, n);
        struct reader r = reader_of(cut.p, n);
        get_u8(&r), get_u16(&r), get_u32(&r), get_u64(&r), get_str(&r), get_str(&r);
        assert_true(r.failed);
        assert_int_equal(get_u64(&r), 0);
        assert_int_equal(get_str(&r).n, 0);
        assert_int_equal(get_count(&r, 0), 0);
        assert_true(r.p <= r.end);
        buf_free(&cut);
    }
    buf_free(&b);
}

static void counts_are_trusted_only_if_they_can_be(void **state)
{
    static const struct {
        uint32_t count;
        size_t min, left;
        bool good;
    } rows[] = {
        {0, 8, 0, true},          {1, 8, 8, true},
        {1, 8, 7, false},         {3, 8, 24, true},
        {3, 8, 23, false},        {UINT32_MAX, 1, 100, false},
        {UINT32_MAX, 0, 0, true}, {UINT32_MAX, SIZE_MAX, 100, false},
        {100, 1, 100, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        put_u32(&b, rows[i].count);
        for (size_t k = 0; k < rows[i].left; k++)
            put_u8(&b, 0);
        struct reader r = reader_of(b.p, b.n);
        assert_int_equal(get_count(&r, rows[i].min), rows[i].good ? rows[i].count : 0);
        assert_int_equal(r.failed, !rows[i].good);
        buf_free(&b);
    }
}

static void lengths_beyond_the_end(void **state)
{
    struct buf b = {0};
    put_u32(&b, UINT32_MAX);
    put_u8(&b, 'x');
    struct reader r = reader_of(b.p, b.n);
    struct str s = get_str(&r);
    assert_true(r.failed);
    assert_int_equal(s.n, 0);
    assert_non_null(s.p);
    b.failed = false;
    put_str(&b, (struct str){"", (size_t)UINT32_MAX + 1});
    assert_true(b.failed);
    buf_free(&b);
}

static void nothing_is_read_from_nothing(void **state)
{
    struct reader r = reader_of(NULL, 0);
    assert_true(reader_done(&r));
    assert_int_equal(get_u8(&r), 0);
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_little_endian),
        cmocka_unit_test(fields_read_back),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(counts_are_trusted_only_if_they_can_be),
        cmocka_unit_test(lengths_beyond_the_end),
        cmocka_unit_test(nothing_is_read_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
