/* Units of the merge. The property: whatever the sources said before, a view that was merged from
 * merged views says the same as one that is merged from the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "discover/merge.h"

enum { SOURCES = 3, MOST = 8 };

/* A small world: sources by number, each with a few instances, and what the API was told. */
struct world {
    struct view_instance list[SOURCES + 1][MOST];
    char text[SOURCES + 1][MOST][32];
    uint32_t n[SOURCES + 1];
    uint32_t weights[256]; /* by the last byte of an address; 0: none */
    uint32_t repeat;       /* a source gives everything so often, under other ports */
};

static struct addr address(uint32_t last, uint16_t port)
{
    return (struct addr){.kind = ADDR_IP4, .port = port, .ip = {10, 0, 0, (uint8_t)last}};
}

static void give_list(const struct world *w, unsigned i, struct merge_sink *sink)
{
    for (uint32_t r = 0; r <= w->repeat; r++)
        for (uint32_t k = 0; k < w->n[i]; k++) {
            struct view_instance n = w->list[i][k];
            n.addr.port = (uint16_t)(n.addr.port + r);
            merge_give(sink, &n);
        }
}

static void give_source(void *self, const struct view_source *source, struct merge_sink *sink)
{
    give_list(self, (unsigned)(source->name.p[source->name.n - 1] - '0'), sink);
}

static void give_told(void *self, struct str service, struct merge_sink *sink)
{
    if (str_eq(service, STR("web")))
        give_list(self, SOURCES, sink);
}

static bool weight_of(void *self, struct str service, struct str instance, uint32_t *weight)
{
    const struct world *w = self;
    struct addr a;
    if (!addr_parse(instance, &a) || !w->weights[a.ip[3]])
        return false;
    *weight = w->weights[a.ip[3]];
    return true;
}

static struct merge_sources sources_of(struct world *w)
{
    return (struct merge_sources){w, give_source, give_told, weight_of};
}

static void add(struct world *w, unsigned source, uint32_t last)
{
    struct view_instance *n = &w->list[source][w->n[source]++];
    *n = (struct view_instance){
        .name = STR(""), .addr = address(last, 80), .weight = last % 7, .source = STR("")};
    if (source == 2) /* a directory says which file */
        n->source = last & 1 ? STR("/etc/web.d2/a.conf") : STR("/etc/web.d2/b.conf");
}

static struct view *base_view(uint32_t configured)
{
    struct view *v = view_new();
    assert_non_null(v);
    v->sockets = arena_array(&v->arena, 1, sizeof *v->sockets);
    v->n_sockets = 1;
    v->sockets[0] = (struct view_socket){SOCKET_HTTP, address(200, 80)};
    v->services = arena_array(&v->arena, 2, sizeof *v->services);
    v->n_services = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct view_service *s = &v->services[i];
        *s = (struct view_service){.name = i ? STR("api") : STR("web"),
                                   .access_log = -1,
                                   .retry = {.attempts = 1},
                                   .hash = {.name = STR("")}};
        s->check.path = s->check.host = s->check.body = STR("");
    }
    struct view_service *web = &v->services[0];
    web->n_sockets = 1;
    web->sockets = arena_array(&v->arena, 1, sizeof *web->sockets);
    web->n_instances = configured;
    web->instances = arena_array(&v->arena, configured + 1, sizeof *web->instances);
    for (uint32_t k = 0; k < configured; k++) {
        char text[ADDR_TEXT_MAX];
        struct addr a = address(k, (uint16_t)(80 + k / 200));
        struct str name = {text, addr_format(&a, text)};
        web->instances[k] = (struct view_instance){.name = arena_str(&v->arena, name),
                                                   .addr = a,
                                                   .weight = 3,
                                                   .own_weight = 3,
                                                   .source = STR("")};
    }
    web->n_sources = SOURCES;
    web->sources = arena_array(&v->arena, SOURCES, sizeof *web->sources);
    for (uint32_t k = 0; k < SOURCES; k++)
        web->sources[k] = (struct view_source){.kind = k == 2 ? SOURCE_DIR : SOURCE_HOST,
                                               .name = k == 0   ? STR("n0")
                                                       : k == 1 ? STR("n1")
                                                                : STR("/etc/web.d2"),
                                               .port = k == 2 ? 0 : 80,
                                               .like = {.name = STR(""), .source = STR("")}};
    struct err e = {0};
    if (view_verify(v, &e))
        fail_msg("%s", e.text);
    return v;
}

static struct view *merged(const struct view *base, struct world *w, struct merge_report *report)
{
    struct merge_sources from = sources_of(w);
    struct merge_report unread;
    struct view *out = NULL;
    struct err e = {0};
    if (merge(base, &from, &out, report ? report : &unread, &e))
        fail_msg("%s", e.text);
    assert_int_equal(out->epoch, 0);
    return out;
}

static const struct view_instance *find(const struct view *v, const char *name)
{
    return view_instance_find(&v->services[0], str_of(name));
}

static void who_comes_first_counts(void **state)
{
    struct world w = {0};
    struct view *base = base_view(2);
    add(&w, 0, 1); /* the file has it */
    add(&w, 0, 11);
    add(&w, 1, 11); /* another source had it */
    add(&w, 2, 12);
    add(&w, 2, 13);
    add(&w, SOURCES, 13);
    add(&w, SOURCES, 14);
    struct view *v = merged(base, &w, NULL);
    assert_int_equal(v->services[0].n_instances, 6);
    assert_int_equal(v->services[1].n_instances, 0);
    assert_int_equal(find(v, "10.0.0.1:80")->origin, ORIGIN_FILE);
    assert_int_equal(find(v, "10.0.0.1:80")->weight, 3);
    assert_int_equal(find(v, "10.0.0.11:80")->origin, ORIGIN_DNS);
    assert_true(str_eq(find(v, "10.0.0.11:80")->source, STR("n0")));
    assert_int_equal(find(v, "10.0.0.13:80")->origin, ORIGIN_DROPIN);
    assert_true(str_eq(find(v, "10.0.0.13:80")->source, STR("/etc/web.d2/a.conf")));
    assert_int_equal(find(v, "10.0.0.14:80")->origin, ORIGIN_API);
    assert_int_equal(find(v, "10.0.0.14:80")->source.n, 0);
    view_free(base);
    view_free(v);
}

static void a_weight_of_an_operator(void **state)
{
    struct world w = {0};
    struct view *base = base_view(2);
    add(&w, 0, 11);
    w.weights[1] = 9;
    w.weights[11] = 8;
    struct view *v = merged(base, &w, NULL), *again;
    assert_int_equal(find(v, "10.0.0.1:80")->weight, 9);
    assert_int_equal(find(v, "10.0.0.1:80")->own_weight, 3);
    assert_int_equal(find(v, "10.0.0.11:80")->weight, 8);
    assert_int_equal(find(v, "10.0.0.11:80")->own_weight, 11 % 7);
    w.weights[1] = w.weights[11] = 0;
    again = merged(v, &w, NULL);
    assert_int_equal(find(again, "10.0.0.1:80")->weight, 3);
    assert_int_equal(find(again, "10.0.0.11:80")->weight, 11 % 7);
    view_free(base);
    view_free(v);
    view_free(again);
}

static void what_does_not_fit_is_left_out(void **state)
{
    struct world w = {.repeat = 1000};
    struct merge_report report;
    struct view *base = base_view(1000);
    add(&w, 0, 210);
    w.list[0][0].addr.ip[2] = 1;
    struct view *v = merged(base, &w, &report);
    assert_int_equal(v->services[0].n_instances, POOL_MAX);
    assert_int_equal(report.surplus, 1001 - 24);
    assert_string_equal(report.first_surplus, "web");
    view_free(base);
    view_free(v);
}

static void a_service_never_leads_to_itself(void **state)
{
    struct world w = {0};
    struct merge_report report;
    struct view *base = base_view(1);
    add(&w, 0, 200);
    add(&w, 0, 201);
    struct view *v = merged(base, &w, &report);
    assert_int_equal(v->services[0].n_instances, 2);
    assert_int_equal(report.itself, 1);
    assert_string_equal(report.first_itself, "web");
    view_free(base);
    view_free(v);
}

static void any_order_of_changes_gives_the_same(void **state)
{
    struct prng r;
    struct err e = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world w = {0};
        struct view *base = base_view(3), *now = merged(base, &w, NULL);
        prng_seed(&r, seed);
        assert_int_equal(view_assign_slots(now, NULL, &e), 0);
        for (int step = 0; step < 12; step++) {
            unsigned source = (unsigned)prng_below(&r, SOURCES + 1);
            w.n[source] = 0;
            for (uint64_t n = prng_below(&r, MOST + 1); n; n--)
                add(&w, source, (uint32_t)prng_below(&r, 20));
            w.weights[prng_below(&r, 20)] = (uint32_t)prng_below(&r, 5);
            struct view *next = merged(now, &w, NULL), *fresh = merged(base, &w, NULL);
            assert_int_equal(view_assign_slots(next, now, &e), 0);
            next->epoch = (uint64_t)step + 1;
            assert_int_equal(view_verify(next, &e), 0);
            assert_true(merge_same(fresh, next)); /* epoch and slots do not matter */
            struct view *twice = merged(next, &w, NULL);
            assert_true(merge_same(twice, next));
            view_free(twice);
            view_free(fresh);
            view_free(now);
            now = next;
        }
        view_free(base);
        view_free(now);
    }
}

static void a_difference_is_seen(void **state)
{
    struct world w = {0};
    struct view *base = base_view(2);
    add(&w, 0, 11);
    struct view *a = merged(base, &w, NULL), *b = merged(base, &w, NULL);
    assert_int_equal(view_assign_slots(a, NULL, NULL), 0);
    a->epoch = 7;
    assert_true(merge_same(b, a));
    b->services[0].instances[2].weight++;
    assert_false(merge_same(b, a));
    view_free(base);
    view_free(a);
    view_free(b);
}

static void memory_may_run_out(void **state)
{
    struct world w = {0};
    struct view *base = base_view(2);
    for (uint32_t i = 0; i < MOST; i++)
        add(&w, i % SOURCES, 20 + i);
    struct merge_sources from = sources_of(&w);
    for (unsigned long i = 1;; i++) {
        struct view *out = NULL;
        struct merge_report report;
        mem_fail_at(i);
        int rc = merge(base, &from, &out, &report, NULL);
        bool failed = mem_failed();
        mem_fail_at(0);
        if (!failed) {
            assert_int_equal(rc, 0);
            view_free(out);
            break;
        }
        assert_int_equal(rc, -ERR_NOMEM);
        assert_null(out);
    }
    view_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_first_counts),
        cmocka_unit_test(a_weight_of_an_operator),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(a_service_never_leads_to_itself),
        cmocka_unit_test(any_order_of_changes_gives_the_same),
        cmocka_unit_test(a_difference_is_seen),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
