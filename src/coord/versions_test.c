/* Records and applications. The coordinator here is what the test says that it answered. */
#include "coord/versions.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct version wanted(char id)
{
    struct version v = {
        .when = 1763900000000, .who = "ada", .node = "a", .note = "more caf\xc3\xa9"};
    memset(v.id, id, VERSION_ID - 1);
    return v;
}

static struct version written(uint64_t number, char id)
{
    struct version v = wanted(id);
    v.number = number;
    memset(v.digest, '0', VERSION_DIGEST - 1);
    return v;
}

/* ---- records */

static void comes_back_as_it_was(void **state)
{
    struct application a;
    struct versions_head none = {0};
    struct version w = wanted('a'), v;
    struct str bundle = {"any\0bytes\xff", 10};
    struct buf read = {0};
    struct err e = {0};
    assert_int_equal(application_begin(&a, &none, 0, &w, bundle, &e), 0);
    buf_add_str(&read, STR("before "));
    assert_int_equal(version_read(buf_str(&a.record), &v, &read, &e), 0);
    assert_true(version_same(&v, &a.version) && v.number == 1 && v.when == w.when && v.from == 0);
    assert_string_equal(v.who, "ada");
    assert_string_equal(v.note, w.note);
    assert_true(str_eq(buf_str(&read), (struct str){"before any\0bytes\xff", 17}));
    assert_int_equal(version_read(buf_str(&a.head), &v, NULL, &e), 0);
    assert_true(version_same(&v, &a.version));
    buf_clear(&read);
    assert_int_equal(version_read(buf_str(&a.head), &v, &read, &e), -ERR_PROTO); /* no bundle */
    application_free(&a);
    buf_free(&read);
}

static void has_bounds(void **state)
{
    struct version v = written(1, 'a');
    struct buf out = {0};
    struct err e = {0};
    char *big = mem_zero(1, VERSION_BUNDLE_MAX + 1);
    struct str most = {big, VERSION_BUNDLE_MAX}, more = {big, VERSION_BUNDLE_MAX + 1};
    memset(v.who, 'w', sizeof v.who - 1);
    memset(v.node, 'n', sizeof v.node - 1);
    memset(v.note, '"', sizeof v.note - 1);
    assert_int_equal(version_write(&v, &most, &out, &e), 0);
    assert_int_equal(version_write(&v, NULL, &out, &e), 0);
    assert_true(out.n <= COORD_VALUE_MAX);
    assert_int_equal(version_write(&v, &more, &out, &e), -ERR_LIMIT);
    mem_free(big);
    buf_free(&out);
}

static void hostile_records_are_refused(void **state)
{
#define D "\"digest\":\"0000000000000000000000000000000000000000000000000000000000000000\""
#define I "\"id\":\"00000000000000000000000000000000\""
#define W "\"who\":\"w\",\"node\":\"n\""
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"version\":1,\"when\":1}",
        "{\"version\":0," D "," I "," W "}",
        "{\"version\":-1," D "," I "," W "}",
        "{\"version\":10000000000," D "," I "," W "}",
        "{\"version\":1.5," D "," I "," W "}",
        "{\"version\":\"1\"," D "," I "," W "}",
        "{\"version\":1,\"version\":2," D "," I "," W "}",
        "{\"version\":1,\"digest\":\"00\"," I "," W "}",
        "{\"version\":1," D ",\"id\":\"0000000000000000000000000000000G\"," W "}",
        "{\"version\":1," D "," I ",\"node\":\"n\"}",
        "{\"version\":1," D "," I ",\"who\":\"w\\u001b[2J\",\"node\":\"n\"}",
        "{\"version\":1," D "," I ",\"who\":\"w\\u0000\",\"node\":\"n\"}",
        "{\"version\":1,\"from\":1," D "," I "," W "}",
        "{\"version\":1,\"when\":-1," D "," I "," W "}",
        "{\"version\":1," D "," I "," W ",\"note\":7}",
        "{\"version\":1," D "," I "," W "} x",
    };
    struct version v;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};
        assert_int_equal(version_read(str_of(wrong[i]), &v, NULL, &e), -ERR_PROTO);
        assert_true(e.text[0] && v.number == 0);
    }
    static const char *const bundles[] = {
        "{\"version\":1," D "," I "," W "}", "{\"version\":1," D "," I "," W ",\"bundle\":1}",
        "{\"version\":1," D "," I "," W ",\"bundle\":\"Zg=\"}",
        "{\"version\":1," D "," I "," W ",\"bundle\":\"Zg==\"}", /* of another digest */
    };
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        struct err e = {0};
        struct buf out = {0};
        assert_int_equal(version_read(str_of(bundles[i]), &v, NULL, &e), 0);
        assert_int_equal(version_read(str_of(bundles[i]), &v, &out, &e), -ERR_PROTO);
        assert_int_equal(out.n, 0);
        buf_free(&out);
    }
}

static void what_would_be_refused_is_not_written(void **state)
{
    struct buf out = {0};
    struct err e = {0};
    struct version v[6];
    for (uint32_t i = 0; i < ARRAY_LEN(v); i++)
        v[i] = written(2, 'a');
    v[0].number = 0;
    v[1].from = 2;
    v[2].id[5] = 'x';
    v[3].who[0] = '\0';
    strcpy(v[4].note, "two\nlines");
    strcpy(v[5].note, "no UTF-8: \xff");
    for (uint32_t i = 0; i < ARRAY_LEN(v); i++)
        assert_true(version_write(&v[i], NULL, &out, &e) < 0);
    buf_free(&out);
}

static void nothing_leaks_when_memory_is_out(void **state)
{
    struct version w = wanted('a'), v;
    struct versions_head none = {0};
    json_set_alloc_funcs(mem_alloc, mem_free);
    for (unsigned long at = 1;; at++) {
        struct application a = {0};
        struct buf out = {0};
        struct err e = {0};
        mem_fail_at(at);
        int r = application_begin(&a, &none, 0, &w, STR("bundle"), &e);
        if (r == 0)
            r = version_read(buf_str(&a.record), &v, &out, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true(failed ? r < 0 && e.text[0] : r == 0); /* jansson does not tell why */
        application_free(&a);
        buf_free(&out);
        if (!failed)
            break;
    }
}

/* ---- applications */

struct rig {
    struct application a;
    struct versions_head base;
    struct buf head;
};

static void rig_new(struct rig *r, uint64_t number)
{
    *r = (struct rig){.base = {.revision = number ? 40 : 0}};
    struct version w = wanted('b');
    struct err e = {0};
    if (number)
        r->base.version = written(number, 'a');
    assert_int_equal(application_begin(&r->a, &r->base, 0, &w, STR("new"), &e), 0);
    assert_int_equal(r->a.next, APPLICATION_CAS);
}

static void rig_free(struct rig *r)
{
    application_free(&r->a);
    buf_free(&r->head);
}

enum { FENCED = 43 };

static void outcome(struct rig *r, enum coord_outcome o)
{
    static const struct err why = {-ERR_IO, "the disk is full"};
    struct coord_answer answer = {
        .outcome = o, .revision = FENCED, .why = o >= COORD_UNKNOWN ? &why : NULL};
    application_answered(&r->a, &answer);
}

/* What was asked for is this version, last changed then; NULL: it is not there. */
static void reads(struct rig *r, const struct version *v, uint64_t revision)
{
    struct err e = {0};
    struct coord_answer answer = {.outcome = COORD_DONE};
    struct coord_item item = {.key = r->a.key, .revision = revision};
    assert_int_equal(r->a.next, APPLICATION_RANGE);
    buf_clear(&r->head);
    if (v) {
        assert_int_equal(version_write(v, NULL, &r->head, &e), 0);
        item.value = buf_str(&r->head);
        answer.items = &item;
        answer.n = 1;
    }
    application_answered(&r->a, &answer);
}

static void the_cas_says_what_must_be_as_it_was(void **state)
{
    struct rig r;
    rig_new(&r, 141);
    assert_int_equal(r.a.n_ops, 3);
    assert_true(str_eq(r.a.ops[0].key, STR("config/head")) && r.a.ops[0].expected == 40);
    assert_true(str_eq(r.a.ops[1].key, STR("config/version/0000000142")));
    assert_true(r.a.ops[1].expected == 0 && r.a.ops[1].act == COORD_PUT);
    assert_true(str_eq(r.a.ops[2].key, STR("config/version/0000000042")));
    assert_int_equal(r.a.ops[2].act, COORD_REMOVE);
    rig_free(&r);
    rig_new(&r, 0);
    assert_int_equal(r.a.n_ops, 2);
    assert_true(r.a.ops[0].expected == 0 && r.a.version.number == 1);
    rig_free(&r);
}

/* After a restore head may be behind what runs. */
static void a_number_is_above_all_that_was_used(void **state)
{
    struct versions_head base = {.revision = 9, .version = written(7, 'a')};
    struct version w = wanted('b');
    struct application a;
    struct err e = {0};
    assert_int_equal(application_begin(&a, &base, 12, &w, STR("new"), &e), 0);
    assert_int_equal(a.version.number, 13);
    application_free(&a);
}

static void clear_answers_are_final(void **state)
{
    static const enum application_end ends[] = {[COORD_DONE] = APPLICATION_DONE,
                                                [COORD_CONFLICT] = APPLICATION_CONFLICT,
                                                [COORD_FAILED] = APPLICATION_FAILED};
    static const enum coord_outcome outcomes[] = {COORD_DONE, COORD_CONFLICT, COORD_FAILED};
    for (uint32_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct rig r;
        rig_new(&r, 5);
        outcome(&r, outcomes[i]);
        assert_int_equal(r.a.next, APPLICATION_OVER);
        assert_int_equal(r.a.end, ends[outcomes[i]]);
        assert_true(outcomes[i] != COORD_FAILED || strstr(r.a.e.text, "disk"));
        rig_free(&r);
    }
}

static void unknown_and_it_happened(void **state)
{
    struct rig r;
    rig_new(&r, 5);
    struct version later = written(7, 'c');
    outcome(&r, COORD_UNKNOWN);
    assert_true(r.a.wait > 0);
    outcome(&r, COORD_UNKNOWN); /* nor can it be read */
    assert_int_equal(r.a.end, APPLICATION_OPEN);
    reads(&r, &r.a.version, 41);
    assert_int_equal(r.a.end, APPLICATION_DONE);
    rig_free(&r);
    rig_new(&r, 5);
    outcome(&r, COORD_UNKNOWN);
    reads(&r, &later, 45);
    assert_true(str_eq(r.a.key, STR("config/version/0000000006")));
    reads(&r, &r.a.version, 41);
    assert_int_equal(r.a.end, APPLICATION_DONE);
    rig_free(&r);
}

static void unknown_and_somebody_else_was_first(void **state)
{
    struct rig r;
    rig_new(&r, 5);
    struct version other = written(6, 'c'), much_later = written(206, 'c');
    outcome(&r, COORD_UNKNOWN);
    reads(&r, &other, 45);
    reads(&r, &other, 45);
    assert_int_equal(r.a.end, APPLICATION_CONFLICT);
    rig_free(&r);
    rig_new(&r, 5);
    outcome(&r, COORD_UNKNOWN);
    reads(&r, &much_later, 45);
    reads(&r, NULL, 0); /* removed meanwhile: nobody can tell */
    assert_true(r.a.next == APPLICATION_OVER && r.a.end == APPLICATION_OPEN);
    rig_free(&r);
}

/* It is not in: the same head again, so that it cannot come any more; then it is tried again. */
static void unknown_and_it_did_not_happen(void **state)
{
    for (int k = 0; k < 4; k++) {
        struct rig r;
        rig_new(&r, 5);
        struct version was;
        outcome(&r, COORD_UNKNOWN);
        reads(&r, &r.base.version, 40);
        assert_true(r.a.next == APPLICATION_CAS && r.a.n_ops == 1 && r.a.ops[0].expected == 40);
        assert_int_equal(version_read(r.a.ops[0].value, &was, NULL, NULL), 0);
        assert_true(version_same(&was, &r.base.version));
        if (k == 1) /* it came after all, before the fence */
            outcome(&r, COORD_CONFLICT);
        else if (k)
            outcome(&r, k == 2 ? COORD_UNKNOWN : COORD_FAILED);
        if (k == 1) {
            reads(&r, &r.a.version, 41);
            assert_int_equal(r.a.end, APPLICATION_DONE);
        } else if (k) {
            reads(&r, &r.base.version, 40);
        }
        if (k != 1) {
            outcome(&r, COORD_DONE);
            assert_true(r.a.next == APPLICATION_CAS && r.a.n_ops == 2 && !r.a.wait);
            assert_int_equal(r.a.ops[0].expected, FENCED);
            assert_int_equal(version_read(r.a.ops[0].value, &was, NULL, NULL), 0);
            assert_true(version_same(&was, &r.a.version));
            outcome(&r, k == 2 ? COORD_CONFLICT : COORD_DONE);
            assert_int_equal(r.a.end, k == 2 ? APPLICATION_CONFLICT : APPLICATION_DONE);
        }
        rig_free(&r);
    }
}

static void it_is_tried_a_few_times(void **state)
{
    struct rig r;
    uint32_t tries = 0;
    for (rig_new(&r, 5); r.a.next != APPLICATION_OVER; tries++) {
        outcome(&r, COORD_UNKNOWN);
        reads(&r, &r.base.version, r.a.base.revision);
        outcome(&r, COORD_DONE);
    }
    assert_int_equal(tries, 4);
    assert_int_equal(r.a.end, APPLICATION_FAILED);
    assert_non_null(strstr(r.a.e.text, "nothing was changed"));
    rig_free(&r);
}

/* Whether the fence itself happened is not known, or it was somebody else's: head tells. */
static void a_fence_that_is_found_counts(void **state)
{
    struct rig r;
    rig_new(&r, 5);
    outcome(&r, COORD_UNKNOWN);
    reads(&r, &r.base.version, 40);
    outcome(&r, COORD_UNKNOWN);
    reads(&r, &r.base.version, 43);
    assert_true(r.a.next == APPLICATION_CAS && r.a.n_ops == 2 && r.a.ops[0].expected == 43);
    outcome(&r, COORD_UNKNOWN); /* somebody else's */
    reads(&r, &r.base.version, 44);
    assert_true(r.a.next == APPLICATION_CAS && r.a.n_ops == 2 && r.a.ops[0].expected == 44);
    outcome(&r, COORD_DONE);
    assert_int_equal(r.a.end, APPLICATION_DONE);
    rig_free(&r);
}

static void before_the_first_version_it_stays_open(void **state)
{
    struct rig r;
    rig_new(&r, 0);
    outcome(&r, COORD_UNKNOWN);
    for (int i = 0; i < 3; i++) {
        reads(&r, NULL, 0);
        assert_true(r.a.next == APPLICATION_RANGE && r.a.wait > 0);
    }
    assert_int_equal(r.a.end, APPLICATION_OPEN);
    reads(&r, &r.a.version, 3);
    assert_int_equal(r.a.end, APPLICATION_DONE);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(has_bounds),
        cmocka_unit_test(hostile_records_are_refused),
        cmocka_unit_test(what_would_be_refused_is_not_written),
        cmocka_unit_test(nothing_leaks_when_memory_is_out),
        cmocka_unit_test(the_cas_says_what_must_be_as_it_was),
        cmocka_unit_test(a_number_is_above_all_that_was_used),
        cmocka_unit_test(clear_answers_are_final),
        cmocka_unit_test(unknown_and_it_happened),
        cmocka_unit_test(unknown_and_somebody_else_was_first),
        cmocka_unit_test(unknown_and_it_did_not_happen),
        cmocka_unit_test(a_fence_that_is_found_counts),
        cmocka_unit_test(it_is_tried_a_few_times),
        cmocka_unit_test(before_the_first_version_it_stays_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
