/* The cluster over the API: its fields are a promise (docs/admin-api.md), a node that is alone says
 * so, and what is asked of the mesh is what was meant. */
#include <poll.h>

#include "admin/client.h"

static const char *const whole_fields[] = {"schema", "cluster", "self",   "health",  "isolated",
                                           "left",   "explain", "states", "members", NULL};
static const char *const member_fields[] = {
    "name",          "address",           "zone",           "role",   "state",       "reason",
    "since_seconds", "heard_ago_seconds", "incarnation",    "rtt_us", "maintenance", "observers",
    "voter",         "config_version",    "config_problem", NULL};

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

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    assert_non_null(s);
    return s;
}

static long long number(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static void members_are_told(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "GET", "/v1/members");
    assert_int_equal(a.status, 200);
    assert_fields(a.json, whole_fields);
    assert_string_equal(text(a.json, "schema"), "holdfast.members.v1");
    assert_string_equal(text(a.json, "cluster"), "prod");
    assert_string_equal(text(a.json, "self"), "host-a");
    assert_int_equal(number(a.json, "health"), 2);
    assert_int_equal(number(json_object_get(a.json, "states"), "alive"), 2);
    assert_int_equal(number(json_object_get(a.json, "states"), "failed"), 1);
    json_t *list = json_object_get(a.json, "members");
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++)
        assert_fields(json_array_get(list, i), member_fields);
    json_t *self = json_array_get(list, 0), *b = json_array_get(list, 1);
    assert_true(json_is_null(json_object_get(self, "rtt_us")));
    assert_true(json_is_null(json_object_get(self, "heard_ago_seconds")));
    assert_string_equal(text(b, "address"), "10.0.0.2:7300");
    assert_string_equal(text(b, "zone"), "east");
    assert_string_equal(text(b, "role"), "member");
    assert_int_equal(number(b, "rtt_us"), 187);
    assert_int_equal(number(b, "incarnation"), 9);
    assert_true(json_is_true(json_object_get(self, "voter")));
    assert_true(json_is_false(json_object_get(b, "voter")));
    assert_int_equal(number(self, "config_version"), 3);
    assert_string_equal(text(self, "config_problem"), "it cannot");
    assert_true(json_is_null(json_object_get(b, "config_version"))); /* it never said */
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void the_failed_one_has_its_observers(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "GET", "/v1/members");
    json_t *failed = json_array_get(json_object_get(a.json, "members"), 2);
    json_t *observers = json_object_get(failed, "observers");
    assert_string_equal(text(failed, "state"), "failed");
    assert_string_equal(text(failed, "reason"), member_reason_name(MEMBER_AGREED));
    assert_string_equal(text(failed, "role"), "witness");
    assert_in_range((long long)json_real_value(json_object_get(failed, "since_seconds")), 14, 15);
    assert_in_range((long long)json_real_value(json_object_get(failed, "heard_ago_seconds")), 2, 3);
    assert_int_equal(number(observers, "count"), 2);
    assert_int_equal(number(observers, "silent_count"), 2);
    assert_int_equal(json_array_size(json_object_get(observers, "hearing")), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(observers, "silent"), 1)),
                        "host-b");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void a_status_begins_with_those_that_are_not_alive(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    json_t *j = status_json(f.admin), *k = json_object_get(j, "cluster");
    assert_string_equal(text(k, "cluster"), "prod");
    json_t *first = json_array_get(json_object_get(k, "members"), 0);
    assert_int_equal(json_array_size(json_object_get(k, "members")), 3);
    assert_string_equal(text(first, "name"), "host-c");
    assert_null(json_object_get(json_object_get(first, "observers"), "silent"));
    json_decref(j);
    f.alone = true;
    j = status_json(f.admin);
    assert_true(json_is_null(json_object_get(j, "cluster")));
    json_decref(j);
    fixture_close(&f);
}

static void leaving_is_asked_and_seen(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    expect(&c, "POST", "/v1/leave", "", 202, "\"node\":\"host-a\",\"left\":false");
    expect(&c, "POST", "/v1/leave", "", 202, "holdfast.leave.v1");
    assert_int_equal(s.f.leaves, 2);
    expect(&c, "GET", "/v1/members", "", 200, "\"left\":true");
    client_close(&c);
    server_close(&s);
}

static void maintenance_is_of_this_node_or_another(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    expect(&c, "POST", "/v1/maintenance", "{\"on\": true}", 200,
           "\"node\":\"host-a\",\"maintenance\":true,\"changed\":true");
    expect(&c, "POST", "/v1/maintenance", "{\"on\": true, \"node\": \"host-a\"}", 200,
           "\"changed\":false");
    expect(&c, "POST", "/v1/maintenance", "{\"node\": \"host-c\", \"on\": true}", 200,
           "\"changed\":true");
    assert_true(s.f.maintained[0] && !s.f.maintained[1] && s.f.maintained[2]);
    expect(&c, "POST", "/v1/maintenance", "{\"on\": false}", 200, "\"maintenance\":false");
    assert_false(s.f.maintained[0]);
    expect(&c, "POST", "/v1/maintenance", "{\"on\": true, \"node\": \"hots-c\"}", 404, "host-c");
    s.f.maintenance_refuses = ERR_BUSY;
    expect(&c, "POST", "/v1/maintenance", "{\"on\": true}", 503, "it cannot be told now");
    client_close(&c);
    server_close(&s);
}

static void a_wrong_body_changes_nothing(void **state)
{
    static const char *const bodies[] = {"",
                                         "x",
                                         "[]",
                                         "{}",
                                         "{\"on\": 1}",
                                         "{\"on\": \"true\"}",
                                         "{\"node\": \"host-c\"}",
                                         "{\"on\": true, \"node\": 3}",
                                         "{\"on\": true, \"node\": \"\"}",
                                         "{\"on\": true, \"nod\": \"host-c\"}",
                                         "{\"on\": true, \"on\": false}"};
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        expect(&c, "POST", "/v1/maintenance", bodies[i], 422, "the body is");
    assert_false(s.f.maintained[0] || s.f.maintained[1] || s.f.maintained[2]);
    client_close(&c);
    server_close(&s);
}

static void a_node_that_is_alone_says_so(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    s.f.alone = true;
    expect(&c, "GET", "/v1/members", "", 404, "this node is in no cluster");
    expect(&c, "POST", "/v1/leave", "", 404, "this node is in no cluster");
    expect(&c, "POST", "/v1/maintenance", "{\"on\": true}", 404, "this node is in no cluster");
    s.f.admin->host.cluster = NULL;
    expect(&c, "GET", "/v1/members", "", 404, "this node is in no cluster");
    assert_int_equal(s.f.leaves, 0);
    client_close(&c);
    server_close(&s);
}

/* An answer is whole or an error, and nothing leaks (the sanitizer looks on). */
static void out_of_memory_is_an_error(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    for (unsigned long n = 1;; n++) {
        mem_fail_at(n);
        json_t *j = cluster_json(f.admin);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_true(failed || j);
        if (j)
            assert_int_equal(json_array_size(json_object_get(j, "members")), 3);
        json_decref(j);
        if (!failed)
            break;
        assert_true(n < 1000);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_told),
        cmocka_unit_test(the_failed_one_has_its_observers),
        cmocka_unit_test(a_status_begins_with_those_that_are_not_alive),
        cmocka_unit_test(leaving_is_asked_and_seen),
        cmocka_unit_test(maintenance_is_of_this_node_or_another),
        cmocka_unit_test(a_wrong_body_changes_nothing),
        cmocka_unit_test(a_node_that_is_alone_says_so),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    json_use_mem();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
