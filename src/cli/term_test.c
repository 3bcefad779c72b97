/* Widths, cutting, cleaning, tables at every width, and amounts. */
#include "cli/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct term plain = {0}, coloured = {.terminal = true, .colour = true, .columns = 80};

static void equal(struct buf *out, const char *expected)
{
    assert_false(out->failed);
    buf_add(out, "", 1);
    assert_string_equal(out->p, expected);
    buf_free(out);
}

static void fits(const char *text, size_t width, const char *expected)
{
    struct buf out = {0};
    text_fit(&out, str_of(text), width);
    equal(&out, expected);
}

static void test_fit(void **state)
{
    fits("web", 3, "web");
    fits("web1", 3, "we…");
    fits("über", 4, "über");
    fits("überall", 4, "übe…");
    fits("web", 1, "…");
    fits("web", 0, "");
    fits("", 5, "");
}

static void test_nothing_raw_reaches_the_terminal(void **state)
{
    for (unsigned c = 1; c < 256; c++) {
        char text[2] = {(char)c, 0};
        struct buf out = {0};
        text_clean(&out, str_of(text));
        assert_int_equal(out.n, 1);
        assert_int_equal(out.p[0], c >= 0x20 && c < 0x7f ? (char)c : '?');
        buf_free(&out);
    }
    fits("a\xc2\x9b"
         "b\xff\xe2\x80"
         "c",
         10, "a?b???c"); /* C1, a stray byte, a cut sequence */
    fits("\033[2J", 10, "?[2J");
}

static void test_colours_only_where_wanted(void **state)
{
    struct buf out = {0};
    text_coloured(&out, &plain, COLOUR_RED, STR("no"));
    text_coloured(&out, &coloured, COLOUR_RED, STR("yes"));
    text_coloured(&out, &coloured, COLOUR_NONE, STR("none"));
    equal(&out, "no\033[31myes\033[0mnone");
}

static const struct column columns[] = {
    {"NAME", ALIGN_LEFT, true}, {"N", ALIGN_RIGHT, false}, {"WHY", ALIGN_LEFT, false}};

static void fill(struct table *t)
{
    *t = (struct table){.columns = columns, .n_columns = 3, .indent = 1};
    text_table_add(t, COLOUR_NONE, "%s", "a-rather-long-name");
    text_table_add(t, COLOUR_NONE, "%d", 5);
    text_table_add(t, COLOUR_NONE, "ok");
    text_table_add(t, COLOUR_NONE, "é");
    text_table_add(t, COLOUR_NONE, "%d", 123);
    text_table_add(t, COLOUR_RED, "bad");
}

static void test_table_lines_up(void **state)
{
    struct table t;
    struct buf out = {0};
    fill(&t);
    text_table_print(&t, &plain, &out);
    equal(&out, " NAME                  N  WHY\n"
                " a-rather-long-name    5  ok\n"
                " é                   123  bad\n");
    text_table_free(&t);
}

static void test_table_gives_way(void **state)
{
    struct term narrow = {.terminal = true, .columns = 22};
    struct table t;
    struct buf out = {0};
    fill(&t);
    text_table_print(&t, &narrow, &out);
    equal(&out, " NAME           N  WHY\n"
                " a-rather-l…    5  ok\n"
                " é            123  bad\n");
    text_table_free(&t);
}

/* At every width: no line is wider than it may be, unless the flexible column is at its least. */
static void test_table_at_every_width(void **state)
{
    for (unsigned width = 1; width < 60; width++) {
        struct term term = {.terminal = true, .columns = width};
        struct table t;
        struct buf out = {0};
        fill(&t);
        text_table_print(&t, &term, &out);
        for (const char *p = out.p, *end = out.p + out.n; p < end;) {
            const char *stop = memchr(p, '\n', (size_t)(end - p));
            assert_non_null(stop);
            assert_true(text_width((struct str){p, (size_t)(stop - p)}) <= MAX(width, 19u));
            p = stop + 1;
        }
        buf_free(&out);
        text_table_free(&t);
    }
}

static void test_table_without_memory(void **state)
{
    bool clean = false;
    for (unsigned long n = 1; !clean; n++) {
        struct table t;
        struct buf out = {0};
        mem_fail_at(n);
        fill(&t);
        text_table_print(&t, &plain, &out);
        clean = !mem_failed();
        mem_fail_at(0);
        assert_int_equal(out.failed, !clean);
        buf_free(&out);
        text_table_free(&t);
        assert_true(n < 100);
    }
}

static void test_amounts(void **state)
{
    char out[AMOUNT_MAX];
    assert_string_equal(amount_count(0, out), "0");
    assert_string_equal(amount_count(-3, out), "0");
    assert_string_equal(amount_count(0.4, out), "0.4");
    assert_string_equal(amount_count(7, out), "7");
    assert_string_equal(amount_count(412.5, out), "412");
    assert_string_equal(amount_count(9999, out), "9999");
    assert_string_equal(amount_count(12345, out), "12.3k");
    assert_string_equal(amount_count(12.3e6, out), "12.3M");
    assert_string_equal(amount_count(5e9, out), "5.0G");
    assert_string_equal(amount_us(0, out), "0 us");
    assert_string_equal(amount_us(812, out), "812 us");
    assert_string_equal(amount_us(4022, out), "4.0 ms");
    assert_string_equal(amount_us(41000, out), "41 ms");
    assert_string_equal(amount_us(2.5e6, out), "2.5 s");
    assert_string_equal(amount_seconds(12.25, out), "12 s");
    assert_string_equal(amount_seconds(-1, out), "0 s");
    assert_string_equal(amount_seconds(312, out), "5 min");
    assert_string_equal(amount_seconds(86400, out), "24 h 0 min");
    assert_string_equal(amount_seconds(1e6, out), "11 d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_nothing_raw_reaches_the_terminal),
        cmocka_unit_test(test_colours_only_where_wanted),
        cmocka_unit_test(test_table_lines_up),
        cmocka_unit_test(test_table_gives_way),
        cmocka_unit_test(test_table_at_every_width),
        cmocka_unit_test(test_table_without_memory),
        cmocka_unit_test(test_amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
