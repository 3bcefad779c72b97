/* Units of what the API tells: whole changes, the same twice, back again, and over the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "discover/told.h"

static struct told_item at(const char *address)
{
    struct told_item item = {.name = STR("")};
    assert_true(addr_parse(str_of(address), &item.addr));
    return item;
}

static struct told_item called(const char *name)
{
    return (struct told_item){.name = str_of(name)};
}

static struct told_item weighing(struct told_item item, uint32_t weight)
{
    item.has_weight = true;
    item.weight = weight;
    return item;
}

static int tell(struct told *t, enum told_mode mode, const struct told_item *items, uint32_t n,
                const struct view *now, struct told_counts *counts)
{
    struct told_change c = {(uint8_t)mode, STR("web"), items, n};
    struct err e = {0};
    int rc = told_apply(t, &c, now, counts, &e);
    assert_int_equal(rc, e.code);
    assert_true(rc == 0 || e.text[0]);
    return rc;
}

static void assert_counts(const struct told_counts *c, uint32_t added, uint32_t removed,
                          uint32_t updated)
{
    assert_int_equal(c->added, added);
    assert_int_equal(c->removed, removed);
    assert_int_equal(c->updated, updated);
}

static const struct view_instance *find(const struct told *t, const char *name)
{
    const struct told_service *s = map_get(&t->services, STR("web"));
    for (uint32_t i = 0; s && i < s->n; i++)
        if (str_eq(s->list[i].name, str_of(name)))
            return &s->list[i];
    return NULL;
}

static uint32_t count(const struct told *t)
{
    const struct told_service *s = map_get(&t->services, STR("web"));
    return s ? s->n : 0;
}

/* A view whose service has two instances of others. */
static struct view *others(void)
{
    struct view *v = view_new();
    assert_non_null(v);
    v->services = arena_array(&v->arena, 1, sizeof *v->services);
    v->n_services = 1;
    v->services[0].name = STR("web");
    v->services[0].n_instances = 2;
    v->services[0].instances = arena_array(&v->arena, 2, sizeof(struct view_instance));
    struct view_instance *n = v->services[0].instances;
    n[0] = (struct view_instance){.name = STR("file"), .addr = at("10.0.0.1:80").addr};
    n[1] = (struct view_instance){
        .name = STR("10.0.0.2:80"), .addr = at("10.0.0.2:80").addr, .origin = ORIGIN_DNS};
    return v;
}

static void a_set_is_replaced(void **state)
{
    (void)state;
    struct told t = {0};
    struct told_counts c;
    struct told_item first[] = {at("10.0.0.8:80"), weighing(at("10.0.0.9:80"), 3)};
    assert_int_equal(tell(&t, TOLD_SET, first, 2, NULL, &c), 0);
    assert_counts(&c, 2, 0, 0);
    told_keep(&t);
    assert_int_equal(tell(&t, TOLD_SET, first, 2, NULL, &c), 0);
    assert_counts(&c, 0, 0, 0);
    told_undo(&t);
    struct told_item second[] = {weighing(at("10.0.0.9:80"), 4), at("[::1]:80")};
    assert_int_equal(tell(&t, TOLD_SET, second, 2, NULL, &c), 0);
    assert_counts(&c, 1, 1, 1);
    told_keep(&t);
    assert_int_equal(count(&t), 2);
    assert_int_equal(find(&t, "10.0.0.9:80")->weight, 4);
    assert_int_equal(find(&t, "[::1]:80")->weight, 1);
    assert_int_equal(tell(&t, TOLD_SET, NULL, 0, NULL, &c), 0);
    assert_counts(&c, 0, 2, 0);
    told_keep(&t);
    assert_int_equal(t.services.n, 0);
    told_free(&t);
}

static void an_update_changes_what_is_given(void **state)
{
    (void)state;
    struct told t = {0};
    struct told_counts c;
    struct told_item item = weighing(at("10.0.0.9:80"), 3);
    item.has_priority = true;
    item.priority = 2;
    assert_int_equal(tell(&t, TOLD_UPDATE, &item, 1, NULL, &c), 0);
    assert_counts(&c, 1, 0, 0);
    told_keep(&t);
    item = weighing(called("10.0.0.9:80"), 5);
    assert_int_equal(tell(&t, TOLD_UPDATE, &item, 1, NULL, &c), 0);
    assert_counts(&c, 0, 0, 1);
    told_keep(&t);
    assert_int_equal(find(&t, "10.0.0.9:80")->priority, 2);
    assert_int_equal(find(&t, "10.0.0.9:80")->weight, 5);
    struct told_item wrong[] = {at("10.0.0.7:80"), called("nobody")};
    assert_int_equal(tell(&t, TOLD_UPDATE, wrong, 2, NULL, &c), -ERR_ABSENT);
    assert_int_equal(count(&t), 1);
    wrong[1] = weighing(at("10.0.0.6:80"), 1001);
    assert_int_equal(tell(&t, TOLD_UPDATE, wrong, 2, NULL, &c), -ERR_INVAL);
    wrong[1] = called("with blank");
    assert_int_equal(tell(&t, TOLD_UPDATE, wrong, 2, NULL, &c), -ERR_INVAL);
    assert_int_equal(count(&t), 1);
    assert_false(t.open);
    told_free(&t);
}

static void instances_of_others_have_weights_only(void **state)
{
    (void)state;
    struct told t = {0};
    struct told_counts c;
    struct view *v = others();
    uint32_t weight;
    struct told_item items[] = {weighing(called("file"), 7), weighing(at("10.0.0.2:80"), 8)};
    assert_int_equal(tell(&t, TOLD_UPDATE, items, 2, v, &c), 0);
    assert_counts(&c, 0, 0, 2);
    told_keep(&t);
    assert_int_equal(count(&t), 0);
    assert_true(told_weight(&t, STR("web"), STR("file"), &weight) && weight == 7);
    assert_true(told_weight(&t, STR("web"), STR("10.0.0.2:80"), &weight) && weight == 8);
    assert_false(told_weight(&t, STR("api"), STR("file"), &weight));
    assert_int_equal(tell(&t, TOLD_UPDATE, items, 2, v, &c), 0);
    assert_counts(&c, 0, 0, 0);
    told_keep(&t);
    items[0] = (struct told_item){.name = STR("file"), .own_weight = true};
    assert_int_equal(tell(&t, TOLD_UPDATE, items, 1, v, &c), 0);
    assert_counts(&c, 0, 0, 1);
    told_keep(&t);
    assert_false(told_weight(&t, STR("web"), STR("file"), &weight));
    items[0] = called("file");
    assert_int_equal(tell(&t, TOLD_REMOVE, items, 1, v, &c), -ERR_DENIED);
    items[0] = at("10.0.0.9:80");
    items[0].name = STR("file");
    assert_int_equal(tell(&t, TOLD_UPDATE, items, 1, v, &c), -ERR_DENIED);
    view_free(v);
    told_free(&t);
}

static void what_is_undone_never_was(void **state)
{
    (void)state;
    struct told t = {0};
    struct told_counts c;
    struct told_item items[] = {at("10.0.0.8:80"), at("10.0.0.9:80")};
    assert_int_equal(tell(&t, TOLD_SET, items, 1, NULL, &c), 0);
    told_undo(&t);
    assert_int_equal(t.services.n, 0);
    assert_int_equal(tell(&t, TOLD_SET, items, 1, NULL, &c), 0);
    told_keep(&t);
    assert_int_equal(tell(&t, TOLD_SET, items + 1, 1, NULL, &c), 0);
    told_undo(&t);
    assert_non_null(find(&t, "10.0.0.8:80"));
    assert_null(find(&t, "10.0.0.9:80"));
    assert_true(told_has(&t, STR("web"), STR("10.0.0.8:80")));
    told_free(&t);
}

static void the_store_has_all_of_it(void **state)
{
    (void)state;
    struct told t = {0}, back = {0};
    struct told_counts c;
    struct view *v = others();
    struct told_item items[] = {weighing(at("10.0.0.9:80"), 5), at("unix:/run/a.sock"),
                                weighing(called("file"), 7)};
    items[1].name = STR("blue");
    assert_int_equal(tell(&t, TOLD_UPDATE, items, 3, v, &c), 0);
    told_keep(&t);
    json_t *json = told_json(&t);
    assert_non_null(json);
    told_load(&back, json);
    uint32_t weight;
    assert_int_equal(count(&back), 2);
    assert_int_equal(find(&back, "10.0.0.9:80")->weight, 5);
    assert_string_equal(find(&back, "blue")->addr.path, "/run/a.sock");
    assert_true(told_weight(&back, STR("web"), STR("file"), &weight) && weight == 7);
    json_decref(json);
    told_free(&t);
    told_free(&back);
    view_free(v);
}

static void a_store_may_hold_anything(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1",
        "{}",
        "[1, \"x\", null]",
        "[{\"service\": 1}]",
        "[{\"service\": \"web\"}]",
        "[{\"service\": \"web\", \"instances\": [1, {}, {\"address\": \"x\"}, {\"address\": "
        "\"10.0.0.1:80\", \"weight\": 99999, \"priority\": -1}], \"weights\": [1, {}]}]",
        "[{\"service\": \"web\", \"instances\": [{\"address\": \"10.0.0.1:80\"}, {\"address\": "
        "\"10.0.0.1:80\"}]}]",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct told t = {0};
        json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        told_load(&t, json);
        assert_true(count(&t) <= 1);
        assert_true(!count(&t) || find(&t, "10.0.0.1:80")->weight == 1);
        json_decref(json);
        told_free(&t);
    }
}

static void memory_may_run_out(void **state)
{
    (void)state;
    struct told_item items[] = {at("10.0.0.8:80"), at("10.0.0.9:80")};
    for (unsigned long i = 1;; i++) {
        struct told t = {0};
        struct told_counts c;
        struct told_change change = {TOLD_SET, STR("web"), items, 1};
        assert_int_equal(told_apply(&t, &change, NULL, &c, NULL), 0);
        told_keep(&t);
        change = (struct told_change){TOLD_UPDATE, STR("web"), items, 2};
        mem_fail_at(i);
        int rc = told_apply(&t, &change, NULL, &c, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(count(&t), rc ? 1 : 2);
        told_undo(&t);
        assert_int_equal(count(&t), 1);
        told_free(&t);
        if (!failed)
            break;
        assert_int_equal(rc, -ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_replaced),
        cmocka_unit_test(an_update_changes_what_is_given),
        cmocka_unit_test(instances_of_others_have_weights_only),
        cmocka_unit_test(what_is_undone_never_was),
        cmocka_unit_test(the_store_has_all_of_it),
        cmocka_unit_test(a_store_may_hold_anything),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
