#include "detect/logs/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* Lines with "|" behind each, of bytes that come in pieces of `piece`. */
static void split(struct lines *l, struct str all, size_t piece, struct buf *out)
{
    struct str line;
    for (size_t at = 0; at < all.n; at += piece) {
        struct str bytes = {all.p + at, MIN(piece, all.n - at)};
        while (lines_next(l, &bytes, &line)) {
            buf_add_str(out, line);
            buf_add(out, "|", 1);
        }
        assert_int_equal(bytes.n, 0);
    }
}

static void expect(struct str all, const char *lines, const char *last)
{
    for (size_t piece = 1; piece <= all.n; piece++) {
        struct lines l = {0};
        struct buf out = {0};
        struct str line = {0};
        split(&l, all, piece, &out);
        assert_int_equal(out.n, strlen(lines));
        assert_memory_equal(out.p ? out.p : "", lines, out.n);
        assert_true(lines_last(&l, &line) == (*last != 0));
        assert_true(str_eq(line, str_of(last)));
        assert_false(lines_last(&l, &line));
        lines_free(&l);
        buf_free(&out);
    }
}

static void lines_are_found_in_pieces_of_any_size(void **state)
{
    expect(STR("one\ntwo\n"), "one|two|", "");
    expect(STR("\n\na\n"), "||a|", "");
    expect(STR("with return\r\nand none\n"), "with return|and none|", "");
    expect(STR("a\rb\n\r\n"), "a\rb||", "");
    expect(STR("whole\npart"), "whole|", "part");
}

static void any_byte_passes(void **state)
{
    struct lines l = {0};
    struct str bytes = {"a\0b\xff\xfe\n", 6}, line;
    assert_true(lines_next(&l, &bytes, &line));
    assert_int_equal(line.n, 5);
    assert_memory_equal(line.p, "a\0b\xff\xfe", 5);
    lines_free(&l);
}

static void a_whole_line_is_not_copied(void **state)
{
    struct lines l = {0};
    struct str bytes = STR("here\n"), line;
    const char *there = bytes.p;
    assert_true(lines_next(&l, &bytes, &line));
    assert_ptr_equal(line.p, there);
    assert_null(l.kept.p);
}

/* One of `n` bytes between two short ones. */
static void around(size_t n, size_t piece)
{
    struct buf in = {0}, out = {0};
    struct lines l = {0};
    buf_printf(&in, "a\n");
    for (size_t i = 0; i < n; i++)
        buf_add(&in, "x", 1);
    buf_printf(&in, "\nb\n");
    split(&l, buf_str(&in), piece, &out);
    size_t kept = MIN(n, LINES_LONGEST);
    assert_int_equal(l.n, 3);
    assert_int_equal(out.n, kept + 5);
    assert_memory_equal(out.p + 2 + kept, "|b|", 3);
    assert_int_equal(l.cut, n > LINES_LONGEST);
    assert_int_equal(l.skipped, n - kept);
    assert_true(l.kept.cap <= LINES_LONGEST);
    lines_free(&l);
    buf_free(&in);
    buf_free(&out);
}

static void a_long_line_is_cut_and_the_rest_counted(void **state)
{
    static const size_t pieces[] = {1, 100, 4096, 8191, 8192, 8193, 50000};
    for (uint32_t i = 0; i < ARRAY_LEN(pieces); i++) {
        around(LINES_LONGEST - 1, pieces[i]);
        around(LINES_LONGEST, pieces[i]);
        around(LINES_LONGEST + 1, pieces[i]);
        around(5 * LINES_LONGEST, pieces[i]);
    }
}

static void without_memory_a_line_is_lost_and_counted(void **state)
{
    struct lines l = {0};
    struct str line, bytes = STR("lo");
    mem_fail_at(1);
    assert_false(lines_next(&l, &bytes, &line));
    mem_fail_at(0);
    bytes = STR("st\nfound\n");
    assert_true(lines_next(&l, &bytes, &line));
    assert_true(str_eq(line, STR("found")));
    assert_false(lines_next(&l, &bytes, &line));
    assert_int_equal(l.lost, 1);
    assert_int_equal(l.skipped, 4);
    lines_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_in_pieces_of_any_size),
        cmocka_unit_test(any_byte_passes),
        cmocka_unit_test(a_whole_line_is_not_copied),
        cmocka_unit_test(a_long_line_is_cut_and_the_rest_counted),
        cmocka_unit_test(without_memory_a_line_is_lost_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
