/* Whatever a program prints becomes bounded, printable lines. */
#include "recover/agents/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

struct told {
    uint32_t n;
    char last[OUTPUT_LINE];
};

static void on_line(void *context, struct str line)
{
    struct told *t = context;
    t->n++;
    assert_true(line.n > 0 && line.n < OUTPUT_LINE);
    str_copy(t->last, sizeof t->last, line);
}

static void open_output(struct output *o, struct told *t)
{
    *t = (struct told){0};
    *o = (struct output){.context = t, .on_line = on_line};
    output_clear(o, SECOND);
}

static void lines_come_in_any_pieces(void **state)
{
    static const char text[] = "one\ntwo\r\n\n\nthree";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct output o;
        struct told t;
        open_output(&o, &t);
        for (size_t at = 0; at < sizeof text - 1; at += piece)
            output_add(&o, (struct str){text + at, MIN(piece, sizeof text - 1 - at)}, SECOND);
        assert_int_equal(o.n, 2);
        output_end(&o, SECOND);
        assert_int_equal(o.n, 3);
        assert_int_equal(t.n, 3);
        assert_string_equal(output_line(&o, 0), "one");
        assert_string_equal(output_line(&o, 2), "three");
        assert_int_equal(o.lost, 0);
    }
}

static void long_lines_are_cut_and_others_are_not(void **state)
{
    struct output o;
    struct told t;
    open_output(&o, &t);
    for (int i = 0; i < 100000; i++)
        output_add(&o, STR("xxxxxxxxxx"), SECOND);
    output_add(&o, STR("\nshort\n"), SECOND);
    assert_int_equal(t.n, 2);
    assert_int_equal(strlen(output_line(&o, 0)), OUTPUT_LINE - 1);
    assert_string_equal(output_line(&o, 1), "short");
}

static void what_would_paint_on_a_terminal_does_not(void **state)
{
    struct output o;
    struct told t;
    open_output(&o, &t);
    output_add(&o, STR("\x1b[2J\t\0\x7f\xc3\xa9\n"), SECOND);
    assert_string_equal(output_line(&o, 0), "?[2J???\xc3\xa9");
}

static void the_last_lines_are_kept(void **state)
{
    struct output o;
    struct told t;
    char line[32];
    open_output(&o, &t);
    for (int i = 0; i < 3 * OUTPUT_KEPT + 1; i++) {
        int n = snprintf(line, sizeof line, "line %d\n", i);
        output_add(&o, (struct str){line, (size_t)n}, SECOND);
    }
    assert_int_equal(o.n, OUTPUT_KEPT);
    snprintf(line, sizeof line, "line %d", 3 * OUTPUT_KEPT);
    assert_string_equal(output_line(&o, OUTPUT_KEPT - 1), line);
    snprintf(line, sizeof line, "line %d", 2 * OUTPUT_KEPT + 1);
    assert_string_equal(output_line(&o, 0), line);
}

static void a_flood_is_told_in_part_and_counted(void **state)
{
    struct output o;
    struct told t;
    open_output(&o, &t);
    for (int i = 0; i < 100000; i++)
        output_add(&o, STR("flood\n"), SECOND);
    assert_int_equal(t.n, OUTPUT_BURST);
    assert_int_equal(o.lost, 100000 - OUTPUT_BURST);
    for (int i = 0; i < 1000; i++)
        output_add(&o, STR("later\n"), 2 * SECOND);
    assert_int_equal(t.n, OUTPUT_BURST + OUTPUT_RATE);
    /* One that prints at a steady rate below the limit loses nothing. */
    uint64_t lost = o.lost;
    for (uint64_t at = 2 * SECOND; at < 60 * SECOND; at += SECOND / OUTPUT_RATE)
        output_add(&o, STR("steady\n"), at + SECOND / OUTPUT_RATE);
    assert_int_equal(o.lost, lost);
    output_add(&o, STR("clock goes back\n"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_any_pieces),
        cmocka_unit_test(long_lines_are_cut_and_others_are_not),
        cmocka_unit_test(what_would_paint_on_a_terminal_does_not),
        cmocka_unit_test(the_last_lines_are_kept),
        cmocka_unit_test(a_flood_is_told_in_part_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
