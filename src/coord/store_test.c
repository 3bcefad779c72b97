#include "coord/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static struct coord_op op(enum coord_do act, const char *key, uint64_t expected, const char *value)
{
    return (struct coord_op){str_of(key), str_of(value), expected, act};
}

static enum coord_outcome cas(struct store *s, const struct coord_op *ops, uint32_t n)
{
    enum coord_outcome o = COORD_FAILED;
    assert_int_equal(coord_check_ops(ops, n, NULL), 0);
    assert_int_equal(store_cas(s, ops, n, &o, NULL), 0);
    return o;
}

static enum coord_outcome put(struct store *s, const char *key, uint64_t expected, const char *v)
{
    struct coord_op o = op(COORD_PUT, key, expected, v);
    return cas(s, &o, 1);
}

static enum coord_outcome take(struct store *s, const char *key, uint64_t expected)
{
    struct coord_op o = op(COORD_REMOVE, key, expected, NULL);
    return cas(s, &o, 1);
}

/* "a=1@2 -b@3": what a list holds, in its order. */
static void expect(struct store_list *l, const char *want)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < l->n; i++)
        assert_true(buf_printf(&b, "%s%s" STR_FMT "=" STR_FMT "@%llu", i ? " " : "",
                               l->items[i].gone ? "-" : "", STR_ARG(l->items[i].key),
                               STR_ARG(l->items[i].value),
                               (unsigned long long)l->items[i].revision));
    assert_int_equal(b.n, strlen(want));
    assert_memory_equal(b.p ? b.p : "", want, b.n);
    buf_free(&b);
    store_list_free(l);
}

static void expect_range(const struct store *s, const char *prefix, const char *want)
{
    struct store_list l;
    assert_int_equal(store_range(s, str_of(prefix), &l, NULL), 0);
    assert_int_equal(l.revision, s->revision);
    expect(&l, want);
}

static void expect_since(const struct store *s, const char *prefix, uint64_t after,
                         const char *want)
{
    struct store_list l;
    assert_int_equal(store_since(s, str_of(prefix), after, &l, NULL), 0);
    expect(&l, want);
}

static void a_key_changes_only_as_it_was_read(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    expect_range(&s, "", "");
    assert_int_equal(put(&s, "a", 1, "x"), COORD_CONFLICT);
    assert_int_equal(put(&s, "a", 0, "x"), COORD_DONE);
    assert_int_equal(s.revision, 2);
    assert_int_equal(put(&s, "a", 0, "y"), COORD_CONFLICT);
    assert_int_equal(put(&s, "a", 2, "y"), COORD_DONE);
    assert_int_equal(put(&s, "a", 2, "z"), COORD_CONFLICT);
    assert_int_equal(put(&s, "a", COORD_ANY, "z"), COORD_DONE);
    expect_range(&s, "", "a=z@4");
    assert_int_equal(take(&s, "a", 3), COORD_CONFLICT);
    assert_int_equal(take(&s, "a", 4), COORD_DONE);
    assert_int_equal(put(&s, "a", 4, "x"), COORD_CONFLICT);
    assert_int_equal(put(&s, "a", 0, "x"), COORD_DONE);
    expect_range(&s, "", "a=x@6");
    store_free(&s);
}

static void several_keys_change_together_or_not_at_all(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    struct coord_op two[] = {op(COORD_PUT, "b", 0, "1"), op(COORD_PUT, "a", 0, "2")};
    assert_int_equal(cas(&s, two, 2), COORD_DONE);
    expect_range(&s, "", "a=2@2 b=1@2");
    struct coord_op half[] = {op(COORD_PUT, "a", 2, "3"), op(COORD_REMOVE, "b", 9, NULL)};
    assert_int_equal(cas(&s, half, 2), COORD_CONFLICT);
    struct coord_op leave[] = {op(COORD_PUT, "c", 0, "4"), op(COORD_LEAVE, "a", 3, NULL)};
    assert_int_equal(cas(&s, leave, 2), COORD_CONFLICT);
    expect_range(&s, "", "a=2@2 b=1@2");
    leave[1].expected = 2;
    assert_int_equal(cas(&s, leave, 2), COORD_DONE);
    expect_range(&s, "", "a=2@2 b=1@2 c=4@3");
    expect_since(&s, "", 1, "b=1@2 a=2@2 c=4@3");
    store_free(&s);
}

static void what_changes_nothing_raises_nothing(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    assert_int_equal(put(&s, "a", 0, ""), COORD_DONE);
    assert_int_equal(take(&s, "b", 0), COORD_DONE);
    assert_int_equal(take(&s, "b", COORD_ANY), COORD_DONE);
    struct coord_op leave = op(COORD_LEAVE, "a", 2, NULL);
    assert_int_equal(cas(&s, &leave, 1), COORD_DONE);
    assert_int_equal(s.revision, 2);
    expect_since(&s, "", 2, "");
    assert_int_equal(put(&s, "a", 2, ""), COORD_DONE); /* the same value is a change */
    assert_int_equal(s.revision, 3);
    store_free(&s);
}

static void keys_are_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    const char *keys[] = {"b/", "a", "b/\xff", "b0", "ab", "b", "b/a"};
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(put(&s, keys[i], 0, "."), COORD_DONE);
    expect_range(&s, "", "a=.@3 ab=.@6 b=.@7 b/=.@2 b/a=.@8 b/\xff=.@4 b0=.@5");
    expect_range(&s, "b/", "b/=.@2 b/a=.@8 b/\xff=.@4");
    expect_range(&s, "b/b", "");
    expect_range(&s, "c", "");
    struct coord_item i;
    assert_true(store_get(&s, STR("b"), &i));
    assert_int_equal(i.revision, 7);
    assert_false(store_get(&s, STR("b/b"), &i));
    store_free(&s);
}

static void changes_are_told_in_order_since_a_revision(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    put(&s, "a/1", 0, "x");
    put(&s, "b/1", 0, "y");
    put(&s, "a/1", 2, "z");
    take(&s, "a/1", 4);
    expect_since(&s, "a/", 1, "a/1=x@2 a/1=z@4 -a/1=@5");
    expect_since(&s, "a/", 2, "a/1=z@4 -a/1=@5");
    expect_since(&s, "", 3, "a/1=z@4 -a/1=@5");
    expect_since(&s, "", 5, "");
    store_free(&s);
}

static void compaction_forgets_the_way_and_never_the_state(void **state)
{
    (void)state;
    struct store s;
    store_init(&s);
    put(&s, "a", 0, "1");
    put(&s, "a", 2, "2");
    put(&s, "b", 0, "3");
    store_compact(&s, 3);
    struct store_list l;
    struct err e;
    assert_int_equal(store_since(&s, STR(""), 2, &l, &e), -ERR_ABSENT);
    assert_int_equal(l.n, 0);
    expect_since(&s, "", 3, "b=3@4");
    expect_range(&s, "", "a=2@3 b=3@4");
    store_compact(&s, 99); /* at most all */
    assert_int_equal(s.compacted, 4);
    expect_since(&s, "", 4, "");
    store_compact(&s, 2); /* never back */
    assert_int_equal(s.compacted, 4);
    store_raise(&s, 1000);
    assert_int_equal(store_since(&s, STR(""), 4, &l, NULL), -ERR_ABSENT);
    put(&s, "c", 0, "5");
    expect_since(&s, "", 1000, "c=5@1001");
    store_raise(&s, 7);
    assert_int_equal(s.revision, 1001);
    store_free(&s);
}

static void what_was_read_stays_and_copies_go_their_own_way(void **state)
{
    (void)state;
    struct store s, t;
    struct store_list l;
    store_init(&s);
    put(&s, "a", 0, "1");
    assert_int_equal(store_range(&s, STR(""), &l, NULL), 0);
    assert_int_equal(store_copy(&t, &s, NULL), 0);
    put(&s, "a", 2, "2");
    take(&t, "a", 2);
    expect_since(&t, "", 1, "a=1@2 -a=@3");
    store_free(&t);
    expect_range(&s, "", "a=2@3");
    store_free(&s);
    expect(&l, "a=1@2");
}

static void what_is_malformed_is_refused(void **state)
{
    (void)state;
    char long_key[COORD_KEY_MAX + 2];
    memset(long_key, 'k', sizeof long_key);
    static char value[COORD_VALUE_MAX + 1];
    struct coord_op ok = op(COORD_PUT, "k", 0, "v"), many[COORD_OPS + 1];
    for (uint32_t i = 0; i <= COORD_OPS; i++) {
        many[i] = ok;
        many[i].key = (struct str){long_key, i + 1};
    }
    assert_int_equal(coord_check_ops(many, 0, NULL), -ERR_INVAL);
    assert_int_equal(coord_check_ops(many, COORD_OPS, NULL), 0);
    assert_int_equal(coord_check_ops(many, COORD_OPS + 1, NULL), -ERR_LIMIT);
    many[1].key = many[0].key;
    assert_int_equal(coord_check_ops(many, 2, NULL), -ERR_INVAL);
    const struct {
        struct str key;
        int code;
    } keys[] = {{STR(""), -ERR_INVAL},
                {STR("a\0b"), -ERR_INVAL},
                {{long_key, COORD_KEY_MAX}, 0},
                {{long_key, COORD_KEY_MAX + 1}, -ERR_LIMIT}};
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++) {
        ok.key = keys[i].key;
        assert_int_equal(coord_check_ops(&ok, 1, NULL), keys[i].code);
        assert_int_equal(coord_check_prefix(keys[i].key, NULL), i ? keys[i].code : 0);
    }
    struct coord_op two[] = {op(COORD_PUT, "a", 0, NULL), op(COORD_PUT, "b", 0, "1")};
    two[0].value = (struct str){value, COORD_VALUE_MAX - 1};
    assert_int_equal(coord_check_ops(two, 2, NULL), 0);
    two[0].value.n++;
    assert_int_equal(coord_check_ops(two, 2, NULL), -ERR_LIMIT);
    two[0].act = COORD_LEAVE; /* its value does not count: nobody writes it */
    assert_int_equal(coord_check_ops(two, 2, NULL), 0);
}

/* All of it, with one allocation after another failing: what is, stays as it was. */
static void nothing_is_half_done_when_memory_is_out(void **state)
{
    (void)state;
    for (unsigned long at = 1;; at++) {
        struct store s, t;
        struct store_list l = {0};
        struct err e;
        enum coord_outcome o;
        store_init(&s);
        put(&s, "b", 0, "1");
        struct coord_op ops[] = {op(COORD_PUT, "a", 0, "2"), op(COORD_REMOVE, "b", 2, NULL)};
        mem_fail_at(at);
        int r = store_cas(&s, ops, 2, &o, &e);
        if (r) {
            mem_fail_at(0);
            assert_int_equal(r, -ERR_NOMEM);
            assert_int_equal(s.revision, 2);
            expect_range(&s, "", "b=1@2");
            expect_since(&s, "", 1, "b=1@2");
        }
        r = store_since(&s, STR(""), 1, &l, &e);
        store_list_free(&l);
        r = store_copy(&t, &s, &e);
        if (!r)
            store_free(&t);
        bool over = !mem_failed();
        mem_fail_at(0);
        store_free(&s);
        if (over)
            break;
        assert_true(at < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_changes_only_as_it_was_read),
        cmocka_unit_test(several_keys_change_together_or_not_at_all),
        cmocka_unit_test(what_changes_nothing_raises_nothing),
        cmocka_unit_test(keys_are_in_the_order_of_their_bytes),
        cmocka_unit_test(changes_are_told_in_order_since_a_revision),
        cmocka_unit_test(compaction_forgets_the_way_and_never_the_state),
        cmocka_unit_test(what_was_read_stays_and_copies_go_their_own_way),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(nothing_is_half_done_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
