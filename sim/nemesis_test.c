#include "nemesis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static bool equal(const struct faults *a, const struct faults *b)
{
    for (uint32_t i = 0; i < MIN(a->n, b->n); i++) {
        const struct fault *x = &a->v[i], *y = &b->v[i];
        if (x->at != y->at || x->length != y->length || x->kind != y->kind || x->both != y->both ||
            x->a != y->a || x->b != y->b || x->value != y->value)
            return false;
    }
    return a->n == b->n;
}

/* What is drawn is enough, ends in time, and is the same when it was printed and read. */
static void draws_what_can_be_printed_and_read(void **state)
{
    static const uint32_t sizes[] = {2, 3, 5, 40, FAULT_NODES};
    struct faults drawn, again, read;
    uint32_t kinds = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct nemesis_options o = {.seed = seed,
                                    .length = 60 * SEC,
                                    .quiet = 6 * SEC,
                                    .nodes = sizes[seed % ARRAY_LEN(sizes)],
                                    .sealed = seed % 3,
                                    .coordinator = seed % 2,
                                    .rotate = seed % 5 == 0};
        struct buf text = {0};
        struct err e = {0};
        nemesis_draw(&drawn, &o);
        nemesis_draw(&again, &o);
        assert_true(equal(&drawn, &again));
        assert_in_range(drawn.n, 20, FAULTS_MOST);
        assert_true(faults_healed(&drawn, seed % 4 > 1) <= o.length - o.quiet);
        for (uint32_t i = 0; i < drawn.n; i++) {
            kinds |= 1u << drawn.v[i].kind;
            assert_true(!i || drawn.v[i - 1].at <= drawn.v[i].at);
        }
        faults_print(&drawn, o.nodes, &text);
        assert_int_equal(faults_parse(sim_text(&text), o.nodes, &read, &e), 0);
        assert_true(equal(&drawn, &read));
        buf_free(&text);
    }
    assert_int_equal(kinds, (1u << FAULT_KINDS) - 1);
}

static void reads_lines_and_comments(void **state)
{
    struct faults f;
    struct err e = {0};
    const char *text = "# a schedule\n\n 1.5+0.25 cut 0,2>1 \n2+0 crash 4; 3.001+1 drift 1 -300\n";
    assert_int_equal(faults_parse(str_of(text), 5, &f, &e), 0);
    assert_int_equal(f.n, 3);
    assert_true(f.v[0].at == 1500 * MS && f.v[0].length == 250 * MS && !f.v[0].both);
    assert_true(f.v[0].kind == FAULT_CUT && f.v[0].a == 5 && f.v[0].b == 2);
    assert_true(f.v[1].kind == FAULT_CRASH && f.v[1].a == 16 && f.v[1].length == 0);
    assert_true(f.v[2].at == 3001 * MS && f.v[2].value == -300);
}

static void refuses_what_it_does_not_understand(void **state)
{
    static const char *const wrong[] = {
        "cut 0>1",       "1+1 cut 0",    "1+1 cut 0>5",       "1+1 smash 0",   "1+1 crash",
        "1+1 crash 0 7", "1+1 loss 0>1", "1+1 loss 0>1 101",  "1+1 drift 0 x", "1.2345+1 crash 0",
        "1-1 crash 0",   "1+1 crash 0,", "1+1 loss 0>1 50 x", "x+1 crash 0",   "1+1 cut >1",
    };
    struct faults f;
    for (uint32_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};
        assert_int_equal(faults_parse(str_of(wrong[i]), 5, &f, &e), -ERR_INVAL);
        assert_true(e.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_can_be_printed_and_read),
        cmocka_unit_test(reads_lines_and_comments),
        cmocka_unit_test(refuses_what_it_does_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
