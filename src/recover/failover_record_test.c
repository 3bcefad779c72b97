/* The record's bytes come back, also when places are others; what operators want is checked. */
#include "recover/failover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct str abc[] = {{"a", 1}, {"b", 1}, {"c", 1}};
static const struct str cab[] = {{"c", 1}, {"a", 1}, {"b", 1}};
static const struct str only_b[] = {{"b", 1}};

static struct failover_record sample(void)
{
    struct failover_record r = {.r = {.known = true,
                                      .revision = 9,
                                      .epoch = UINT64_MAX,
                                      .primary = 1,
                                      .wanted = 2,
                                      .insync = 6,
                                      .without = 1,
                                      .holder = UINT64_MAX,
                                      .sync = 1,
                                      .paused = true,
                                      .forced = true},
                                .from = 0,
                                .flaps = 3,
                                .flaps_since = 1234567890123,
                                .when = 1234567890999};
    str_copy(r.who, sizeof r.who, STR("b"));
    str_copy(r.why, sizeof r.why, STR("the primary is lost"));
    return r;
}

static void reread(const struct failover_record *in, const struct str *names, uint32_t n,
                   struct failover_record *out)
{
    struct buf text = {0};
    struct err e = {0};
    assert_true(failover_record_write(in, abc, 3, &text));
    assert_int_equal(failover_record_read(buf_str(&text), names, n, out, &e), 0);
    buf_free(&text);
}

static void a_record_comes_back(void **state)
{
    struct failover_record in = sample(), out;
    (void)state;
    reread(&in, abc, 3, &out);
    in.r.revision = 0; /* the coordinator's to say */
    assert_memory_equal(&in.r, &out.r, sizeof in.r);
    assert_true(out.from == 0 && out.flaps == 3 && out.flaps_since == in.flaps_since);
    assert_true(out.when == in.when);
    assert_string_equal(out.who, "b");
    assert_string_equal(out.why, "the primary is lost");
}

static void nodes_go_by_name(void **state)
{
    struct failover_record in = sample(), out;
    (void)state;
    reread(&in, cab, 3, &out);
    assert_true(out.r.primary == 2 && out.r.wanted == 0 && out.from == 1);
    assert_int_equal(out.r.insync, 5);
    reread(&in, only_b, 1, &out); /* c is in sync, and no candidate any more: it counts */
    assert_true(out.r.primary == 0 && out.r.wanted == ROLE_NOBODY && out.from == ROLE_NOBODY);
    assert_true(out.r.insync == 1 && out.r.strangers == 1);
    assert_int_equal(out.r.without, 0); /* nobody can ask a, and nobody waits for it */
    in.r.wanted = ROLE_ANYBODY;
    reread(&in, abc, 3, &out);
    assert_int_equal(out.r.wanted, ROLE_ANYBODY);
    struct err e = {0}; /* one of before there were `without` and `holder` */
    struct str old = STR("{\"epoch\":\"7\",\"insync\":[\"a\"]}");
    assert_int_equal(failover_record_read(old, abc, 3, &out, &e), 0);
    assert_true(out.r.insync == 1 && out.r.without == 0 && out.r.holder == 0);
}

static void what_is_no_record_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "{}",
                                        "[]",
                                        "{\"epoch\":\"0\",\"insync\":[]}",
                                        "{\"epoch\":7,\"insync\":[]}",
                                        "{\"epoch\":\"7\"}",
                                        "{\"epoch\":\"7\",\"insync\":[],\"sync\":99}",
                                        "{\"epoch\":\"7\",\"insync\":[],\"without\":1}",
                                        "{\"epoch\":\"7\",\"insync\":[],\"holder\":1}",
                                        "{\"epoch\":\"7\",\"insync\":[],\"primary\":\"*\"}",
                                        "{\"epoch\":\"7\",\"epoch\":\"8\"}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct failover_record out;
        struct err e = {0};
        assert_int_equal(failover_record_read(str_of(wrong[i]), abc, 3, &out, &e), -ERR_PROTO);
        assert_non_null(strstr(e.text, "no record"));
    }
}

static void memory_that_is_out_writes_nothing_less(void **state)
{
    struct failover_record in = sample(), out;
    struct err e = {0};
    (void)state;
    for (size_t at = 1; at < 30; at++) {
        struct buf text = {0};
        mem_fail_at(at);
        bool ok = failover_record_write(&in, abc, 3, &text);
        mem_fail_at(0);
        if (ok) {
            assert_int_equal(failover_record_read(buf_str(&text), abc, 3, &out, &e), 0);
            assert_int_equal(out.r.insync, in.r.insync);
        }
        buf_free(&text);
    }
}

static void what_operators_want_is_looked_at(void **state)
{
    struct failover_record r = sample(), none = {.r = {.known = true}};
    struct err e = {0};
    (void)state;
    assert_int_equal(failover_wants_switchover(&none, 1, &e), -ERR_ABSENT);
    assert_int_equal(failover_wants_switchover(&r, 2, &e), -ERR_DENIED); /* paused */
    assert_int_equal(failover_wants_pause(&r, false, &e), 0);
    assert_int_equal(failover_wants_switchover(&r, 1, &e), -ERR_INVAL);  /* it is */
    assert_int_equal(failover_wants_switchover(&r, 0, &e), -ERR_DENIED); /* not in sync */
    assert_int_equal(failover_wants_switchover(&r, ROLE_NOBODY, &e), 0);
    assert_int_equal(r.r.wanted, ROLE_ANYBODY);
    assert_int_equal(failover_wants_switchover(&r, 2, &e), 0);
    assert_int_equal(r.r.wanted, 2);
    r.r.epoch = 7;
    assert_int_equal(failover_wants_force(&r, ROLE_NOBODY, &e), -ERR_INVAL);
    assert_int_equal(failover_wants_force(&r, 0, &e), 0);
    assert_true(r.r.epoch == 8 && r.r.primary == 0 && r.r.insync == 1 && r.r.forced);
    assert_true(r.r.without == 0 && r.r.holder == 0);
    assert_int_equal(r.r.wanted, ROLE_NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back),
        cmocka_unit_test(nodes_go_by_name),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(memory_that_is_out_writes_nothing_less),
        cmocka_unit_test(what_operators_want_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
