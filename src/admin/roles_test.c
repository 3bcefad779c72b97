/* Roles over a real socket: who is told what, and what reaches the host. */
#include "admin/client.h"

static void open_both(struct server *s, struct client *c)
{
    server_open(s);
    fixture_add_primary(s->f.view);
    client_open(c, s);
}

static void assert_refused(struct client *c, const char *target, const char *body, unsigned status,
                           const char *code)
{
    struct answer a = ask_with(c, "POST", target, body);
    if (a.status != status || strcmp(error_code(&a), code) != 0)
        fail_msg("%s %s: %u %s", target, body, a.status, error_code(&a));
    answer_end(&a);
}

static const json_t *role_of(const struct answer *a)
{
    const json_t *list = json_object_get(a->json, "roles");
    assert_int_equal(json_array_size(list), 1);
    return json_array_get(list, 0);
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "(null)";
}

static json_int_t number(const json_t *o, const char *key)
{
    const json_t *n = json_object_get(o, key);
    assert_true(json_is_integer(n));
    return json_integer_value(n);
}

static void a_role_is_told_whole(void **state)
{
    struct server s;
    struct client c;
    open_both(&s, &c);
    struct answer a = ask(&c, "GET", "/v1/roles");
    assert_int_equal(a.status, 200);
    assert_string_equal(text(a.json, "schema"), "holdfast.roles.v1");
    const json_t *r = role_of(&a), *all = json_object_get(r, "candidates");
    assert_string_equal(text(r, "service"), "cache");
    assert_string_equal(text(r, "agent"), "redis");
    assert_string_equal(text(r, "primary"), "b");
    assert_string_equal(text(r, "why"), "node c failed");
    assert_string_equal(text(r, "state"), "replica");
    assert_true(json_is_null(json_object_get(r, "wanted")));
    assert_int_equal(number(r, "epoch"), 8);
    assert_in_range(number(r, "lease_left_ms"), 4000, 5000);
    assert_int_equal(json_array_size(json_object_get(r, "in_sync")), 2);
    assert_int_equal(json_array_size(all), 3);
    const json_t *b = json_array_get(all, 0), *self = json_array_get(all, 1);
    assert_string_equal(text(b, "node"), "b");
    assert_true(json_is_true(json_object_get(b, "primary")));
    assert_true(json_is_null(json_object_get(b, "lag_bytes")));
    assert_string_equal(text(self, "node"), "a");
    assert_true(json_is_true(json_object_get(self, "self")));
    assert_int_equal(number(self, "lag_bytes"), 211);
    assert_string_equal(text(json_array_get(all, 2), "why_not"), "it has failed");
    assert_string_equal(text(json_array_get(all, 2), "instance"), "unknown");
    const json_t *last = json_object_get(r, "last"), *request = json_object_get(r, "request");
    assert_string_equal(text(last, "from"), "c");
    assert_string_equal(text(last, "to"), "b");
    assert_int_equal(number(last, "took_ms"), 412);
    assert_string_equal(text(request, "what"), "switchover");
    assert_string_equal(text(request, "state"), "running");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void what_is_not_known_is_told_as_that(void **state)
{
    struct server s;
    struct client c;
    open_both(&s, &c);
    s.f.role_refuses = ERR_BUSY;
    struct answer a = ask(&c, "GET", "/v1/roles/cache");
    const json_t *r = role_of(&a);
    assert_true(json_is_false(json_object_get(r, "known")));
    assert_true(json_is_null(json_object_get(r, "primary")));
    assert_true(json_is_null(json_object_get(r, "last")));
    assert_string_equal(text(r, "state"), "unknown");
    assert_string_equal(text(json_object_get(r, "request"), "what"), "none");
    answer_end(&a);
    a = ask(&c, "GET", "/v1/roles/web");
    assert_int_equal(a.status, 404);
    answer_end(&a);
    a = ask(&c, "GET", "/v1/roles/cahce");
    assert_int_equal(a.status, 404);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "suggestions"), 0)), "cache");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void accepted(struct server *s, struct client *c, const char *target, const char *body,
                     enum admin_role_ask what, int to)
{
    unsigned before = s->f.role_asks;
    s->f.role_to = 99;
    struct answer a = ask_with(c, "POST", target, body);
    if (a.status != 202)
        fail_msg("%s %s: %u", target, body, a.status);
    assert_string_equal(text(role_of(&a), "service"), "cache");
    answer_end(&a);
    assert_int_equal(s->f.role_asks, before + 1);
    assert_int_equal(s->f.role_what, what);
    assert_int_equal(s->f.role_to, to);
}

static void an_operator_asks(void **state)
{
    static const char *const over = "/v1/roles/cache/switchover";
    static const char *const force = "/v1/roles/cache/failover";
    static const char *const pause = "/v1/roles/cache/maintenance";
    struct server s;
    struct client c;
    open_both(&s, &c);
    accepted(&s, &c, over, "", ADMIN_ROLE_SWITCH, ADMIN_NOBODY);
    accepted(&s, &c, over, "{\"to\": \"c\"}", ADMIN_ROLE_SWITCH, 2);
    accepted(&s, &c, force, "{\"force\": true}", ADMIN_ROLE_FORCE, ADMIN_NOBODY);
    accepted(&s, &c, force, "{\"to\": \"a\", \"force\": true}", ADMIN_ROLE_FORCE, 1);
    accepted(&s, &c, pause, "{\"on\": true}", ADMIN_ROLE_PAUSE, ADMIN_NOBODY);
    accepted(&s, &c, pause, "{\"on\": false}", ADMIN_ROLE_GO_ON, ADMIN_NOBODY);
    unsigned asked = s.f.role_asks;
    assert_refused(&c, over, "{\"to\": \"d\"}", 404, "absent");
    assert_refused(&c, over, "{\"to\": 3}", 422, "invalid");
    assert_refused(&c, over, "{\"force\": true}", 422, "invalid");
    assert_refused(&c, over, "[]", 422, "invalid");
    assert_refused(&c, over, "{", 422, "invalid");
    assert_refused(&c, force, "", 422, "invalid");
    assert_refused(&c, force, "{\"force\": false}", 422, "invalid");
    assert_refused(&c, force, "{\"to\": \"a\"}", 422, "invalid");
    assert_refused(&c, pause, "", 422, "invalid");
    assert_refused(&c, pause, "{\"on\": true, \"to\": \"a\"}", 422, "invalid");
    assert_refused(&c, "/v1/roles/web/switchover", "", 404, "absent");
    assert_refused(&c, "/v1/roles/none/switchover", "", 404, "absent");
    s.f.role_ask_refuses = ERR_DENIED;
    assert_refused(&c, over, "", 409, "refused");
    s.f.role_ask_refuses = ERR_BUSY;
    assert_refused(&c, force, "{\"force\": true}", 503, "busy");
    assert_int_equal(s.f.role_asks, asked);
    client_close(&c);
    server_close(&s);
}

/* The verdict of a service of kind primary is that of its role. */
static void a_status_has_it_in_short(void **state)
{
    struct server s;
    struct client c;
    open_both(&s, &c);
    struct answer a = ask(&c, "GET", "/v1/status");
    const json_t *services = json_object_get(a.json, "services");
    const json_t *web = json_array_get(services, 0), *cache = json_array_get(services, 1);
    const json_t *role = json_object_get(cache, "role");
    assert_true(json_is_null(json_object_get(web, "role")));
    assert_string_equal(text(cache, "verdict"), "degraded"); /* one is gone */
    assert_string_equal(text(role, "primary"), "b");
    assert_int_equal(number(role, "candidates"), 3);
    assert_int_equal(number(role, "in_sync"), 2);
    answer_end(&a);
    s.f.role_lost = true;
    a = ask(&c, "GET", "/v1/status");
    assert_string_equal(text(json_array_get(json_object_get(a.json, "services"), 1), "verdict"),
                        "failed");
    answer_end(&a);
    s.f.role_refuses = ERR_BUSY;
    a = ask(&c, "GET", "/v1/status");
    assert_string_equal(text(json_array_get(json_object_get(a.json, "services"), 1), "verdict"),
                        "suspect");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void why_has_it_too(void **state)
{
    struct server s;
    struct client c;
    open_both(&s, &c);
    struct answer a = ask(&c, "GET", "/v1/why?subject=cache");
    const json_t *now = json_object_get(a.json, "now");
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(now), 1);
    assert_string_equal(text(json_array_get(now, 0), "kind"), "role");
    assert_string_equal(text(json_array_get(now, 0), "subject"), "cache");
    assert_string_equal(text(json_array_get(now, 0), "primary"), "b");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void assert_metric(const struct buf *out, const char *line)
{
    if (!strstr(out->p, line))
        fail_msg("no %s", line);
}

static void metrics_tell_it(void **state)
{
    struct fixture f;
    struct buf out = {0};
    fixture_open(&f, fixture_new_view("web"));
    fixture_add_primary(f.view);
    struct role_row *row = cells_role(&f.cells, 1);
    cell_set(&row->gate, 8);
    cell_set(&row->lease_epoch, 8);
    cell_set(&row->lease_until, loop_now(f.loop) + 60 * NS_PER_S);
    metrics_write(f.admin, EXPOSITION_TEXT, &out);
    buf_add(&out, "", 1);
    assert_metric(&out, "holdfast_role_epoch{service=\"cache\"} 8\n");
    assert_metric(&out, "holdfast_role_primary{service=\"cache\",node=\"b\"} 1\n");
    assert_metric(&out, "holdfast_role_primary{service=\"cache\",node=\"a\"} 0\n");
    assert_metric(&out, "holdfast_role_acts{service=\"cache\"} 1\n");
    assert_metric(&out, "holdfast_role_gate_open{service=\"cache\"} 1\n");
    assert_metric(&out, "holdfast_role_in_sync{service=\"cache\"} 2\n");
    assert_metric(&out, "holdfast_role_lag_bytes{service=\"cache\",node=\"a\"} 211\n");
    assert_metric(&out, "holdfast_role_lag_seconds{service=\"cache\",node=\"a\"} 1.500000\n");
    assert_null(strstr(out.p, "lag_bytes{service=\"cache\",node=\"c\"}"));
    buf_clear(&out);
    cell_set(&row->lease_until, loop_now(f.loop)); /* over: the gate is shut, whatever it says */
    metrics_write(f.admin, EXPOSITION_TEXT, &out);
    buf_add(&out, "", 1);
    assert_metric(&out, "holdfast_role_gate_open{service=\"cache\"} 0\n");
    buf_free(&out);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_is_told_whole), cmocka_unit_test(what_is_not_known_is_told_as_that),
        cmocka_unit_test(an_operator_asks),     cmocka_unit_test(a_status_has_it_in_short),
        cmocka_unit_test(why_has_it_too),       cmocka_unit_test(metrics_tell_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
