#include "shrink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Breaks when the pause of node 2 lasts 100 ms or more and a cut separates 0 from 1. */
static bool breaks(void *context, const struct faults *f)
{
    bool paused = false, cut = false;
    ++*(uint32_t *)context;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct fault *x = &f->v[i];
        paused = paused || (x->kind == FAULT_PAUSE && x->a & 4 && x->length >= 100 * MS);
        cut = cut || (x->kind == FAULT_CUT && x->a & 1 && x->b & 2);
    }
    return paused && cut;
}

static void finds_the_two_faults_that_matter(void **state)
{
    uint32_t runs = 0;
    struct shrink_test test = {&runs, breaks};
    struct faults f = {0};
    for (uint32_t i = 0; i < 30; i++)
        f.v[f.n++] = (struct fault){.at = i * SEC, .length = SEC, .kind = FAULT_CRASH, .a = 1};
    f.v[7] = (struct fault){.at = 7 * SEC, .length = 3 * SEC, .kind = FAULT_PAUSE, .a = 6};
    f.v[21] = (struct fault){
        .at = 21 * SEC, .length = SEC, .kind = FAULT_CUT, .both = true, .a = 0x5, .b = 0x1a};
    uint32_t tries = shrink(&f, &test, 1000);
    assert_int_equal(tries, runs);
    assert_int_equal(f.n, 2);
    assert_true(f.v[0].kind == FAULT_PAUSE && f.v[0].a == 4 && f.v[0].length < 200 * MS);
    assert_true(f.v[1].kind == FAULT_CUT && !f.v[1].both && f.v[1].a == 1 && f.v[1].b == 2);
    assert_true(breaks(&runs, &f));
}

static void stops_when_it_has_tried_enough(void **state)
{
    uint32_t runs = 0;
    struct shrink_test test = {&runs, breaks};
    struct faults f = {.n = 2};
    f.v[0] = (struct fault){.length = SEC, .kind = FAULT_PAUSE, .a = 4};
    f.v[1] = (struct fault){.length = SEC, .kind = FAULT_CUT, .a = 1, .b = 2};
    assert_int_equal(shrink(&f, &test, 3), 3);
    assert_int_equal(f.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_two_faults_that_matter),
        cmocka_unit_test(stops_when_it_has_tried_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
