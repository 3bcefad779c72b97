/* The status document: its fields are a promise (docs/admin-api.md), and memory may run out. */
#include "admin/fixture.h"

static const char *const node_fields[] = {
    "schema",         "version",  "node",       "epoch",     "file",    "time",
    "uptime_seconds", "workers",  "last_event", "processes", "proxies", "config",
    "cluster",        "services", "beats",      "findings",  NULL};
static const char *const process_fields[] = {
    "name", "pid", "starts", "uptime_seconds", "epoch", "beat", "turning", "memory_bytes", NULL};
static const char *const worker_fields[] = {
    "name",    "pid",         "starts",   "uptime_seconds",  "epoch",       "beat",
    "turning", "connections", "accepted", "signals_dropped", "log_dropped", NULL};
static const char *const service_fields[] = {"name",
                                             "balance",
                                             "mode",
                                             "listen",
                                             "listeners",
                                             "verdict",
                                             "role",
                                             "requests",
                                             "requests_per_second",
                                             "errors_per_second",
                                             "responses",
                                             "retries",
                                             "retries_denied",
                                             "refused_heads",
                                             "no_instance",
                                             "tunnels",
                                             "relayed",
                                             "bytes",
                                             "latency_us",
                                             "instances",
                                             NULL};
static const char *const instance_fields[] = {"name",          "address",     "weight",
                                              "own_weight",    "priority",    "source",
                                              "verdict",       "reason",      "explanation",
                                              "since_seconds", "own_verdict", "maintenance",
                                              "observers",     "findings",    "draining",
                                              "proxy_verdict", "inflight",    "idle",
                                              "connects",      "requests",    "requests_per_second",
                                              "errors",        "latency_us",  NULL};

/* Exactly these, in this order. */
static void assert_fields(json_t *o, const char *const *names)
{
    const char *key;
    json_t *value;
    size_t i = 0;
    assert_true(json_is_object(o));
    json_object_foreach(o, key, value)
    {
        assert_non_null(names[i]);
        assert_string_equal(key, names[i++]);
    }
    assert_null(names[i]);
}

static const char *text(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static long long number(json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static void every_promised_field_is_there(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    json_t *j = status_json(f.admin);
    assert_fields(j, node_fields);
    json_t *processes = json_object_get(j, "processes");
    assert_int_equal(json_array_size(processes), 3 + FIXTURE_WORKERS);
    for (size_t i = 0; i < json_array_size(processes); i++)
        assert_fields(json_array_get(processes, i), i < 3 ? process_fields : worker_fields);
    json_t *service = json_array_get(json_object_get(j, "services"), 0);
    assert_fields(service, service_fields);
    assert_fields(json_array_get(json_object_get(service, "instances"), 0), instance_fields);
    json_decref(j);
    fixture_close(&f);
}

static void numbers_come_from_the_right_place(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    cell_set(&cells_verdict(&f.cells, 1)->draining, 1);
    json_t *j = status_json(f.admin);
    assert_int_equal(number(j, "epoch"), 7);
    assert_string_equal(text(j, "file"), "/etc/holdfast.conf");
    assert_in_range((long long)json_real_value(json_object_get(j, "uptime_seconds")), 100, 101);
    json_t *worker = json_array_get(json_object_get(j, "processes"), 4);
    assert_string_equal(text(worker, "name"), "worker-1");
    assert_int_equal(number(worker, "pid"), 4003);
    assert_int_equal(number(worker, "connections"), 12);
    json_t *s = json_array_get(json_object_get(j, "services"), 0);
    assert_string_equal(text(s, "balance"), "least-requests");
    assert_string_equal(json_string_value(json_array_get(json_object_get(s, "listen"), 0)),
                        "0.0.0.0:8080");
    assert_int_equal(number(s, "requests"), 201);
    assert_int_equal(number(json_object_get(s, "responses"), "2xx"), 181);
    assert_int_equal(number(json_object_get(s, "responses"), "5xx"), 6);
    json_t *a = json_array_get(json_object_get(s, "instances"), 0);
    json_t *b = json_array_get(json_object_get(s, "instances"), 1);
    assert_string_equal(text(a, "verdict"), "healthy");
    assert_string_equal(text(a, "reason"), "checks-pass");
    assert_int_equal(number(json_object_get(a, "errors"), "refused"), 4);
    assert_string_equal(text(b, "verdict"), "suspect");
    assert_string_equal(text(b, "reason"), "unchecked");
    assert_string_equal(text(b, "proxy_verdict"), "degraded");
    assert_string_equal(text(b, "address"), "unix:/run/b.sock");
    assert_true(json_is_true(json_object_get(b, "draining")));
    /* the drained one does not count: what is left is healthy */
    assert_string_equal(text(s, "verdict"), "healthy");
    json_decref(j);
    fixture_close(&f);
}

/* What the senses hold stands with its subject, and a service is no better than it. */
static void what_is_held_is_told(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    json_t *j = status_json(f.admin);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), 0);
    json_decref(j);
    fixture_hold(&f, VERDICT_DEGRADED);
    j = status_json(f.admin);
    json_t *held = json_array_get(json_object_get(j, "findings"), 1);
    assert_string_equal(text(held, "of"), "disk");
    assert_string_equal(text(held, "name"), "host-a:/srv");
    assert_string_equal(text(held, "verdict"), "degraded");
    assert_string_equal(text(held, "reason"), "log-rule");
    json_t *one = json_array_get(json_object_get(held, "findings"), 0);
    assert_string_equal(text(one, "finding"), "log-rule");
    assert_string_equal(text(one, "key"), "abc");
    assert_string_equal(text(one, "text"), "5 lines matched FATAL in 10 s");
    json_t *s = json_array_get(json_object_get(j, "services"), 0);
    assert_string_equal(text(s, "verdict"), "degraded");
    json_t *b = json_array_get(json_object_get(s, "instances"), 1);
    assert_int_equal(json_array_size(json_object_get(b, "findings")), 1);
    json_decref(j);
    fixture_hold(&f, VERDICT_FAILED);
    j = status_json(f.admin);
    s = json_array_get(json_object_get(j, "services"), 0);
    assert_string_equal(text(s, "verdict"), "failed");
    json_decref(j);
    fixture_close(&f);
}

/* docs/admin-api.md, services[].verdict, over all pairs of verdicts. */
static void a_service_is_as_well_as_its_instances(void **state)
{
    static const char *const wanted[VERDICTS][VERDICTS] = {
        {"healthy", "degraded", "degraded", "degraded"},
        {"degraded", "degraded", "degraded", "degraded"},
        {"degraded", "degraded", "suspect", "suspect"},
        {"degraded", "degraded", "suspect", "failed"},
    };
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    for (int a = 0; a < VERDICTS; a++)
        for (int b = 0; b < VERDICTS; b++) {
            f.judges[0].verdict = (enum verdict)a;
            f.judges[1].verdict = (enum verdict)b;
            json_t *j = status_json(f.admin);
            json_t *s = json_array_get(json_object_get(j, "services"), 0);
            assert_string_equal(text(s, "verdict"), wanted[a][b]);
            json_decref(j);
        }
    fixture_close(&f);
}

/* Every allocation fails once: no document, no leak (the sanitizer looks), no crash. */
static void out_of_memory_gives_no_document(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    unsigned long n = 1, without = 0;
    for (;; n++) {
        mem_fail_at(n);
        json_t *j = status_json(f.admin);
        if (!mem_failed()) {
            mem_fail_at(0);
            assert_non_null(j);
            json_decref(j);
            break;
        }
        /* A text that could not be copied is tried once more, letter by letter: that may save it.
         */
        if (j)
            assert_fields(j, node_fields);
        else
            without++;
        json_decref(j);
    }
    assert_true(n > 100 && without > 100);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promised_field_is_there),
        cmocka_unit_test(numbers_come_from_the_right_place),
        cmocka_unit_test(a_service_is_as_well_as_its_instances),
        cmocka_unit_test(what_is_held_is_told),
        cmocka_unit_test(out_of_memory_gives_no_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
