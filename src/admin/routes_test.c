/* Every route over a real socket. */
#include <poll.h>

#include "admin/client.h"

static void assert_answer(struct client *c, const char *method, const char *target, unsigned status,
                          const char *code)
{
    struct answer a = ask(c, method, target);
    if (a.status != status || strcmp(error_code(&a), code) != 0)
        fail_msg("%s %s: %u %s", method, target, a.status, error_code(&a));
    answer_end(&a);
}

static void reading_routes_answer(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "GET", "/v1/version");
    assert_int_equal(a.status, 200);
    assert_string_equal(json_string_value(json_object_get(a.json, "version")), HF_VERSION);
    assert_non_null(strstr(a.head, "Content-Type: application/json\r\n"));
    answer_end(&a);
    a = ask(&c, "GET", "/v1/status");
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(json_object_get(a.json, "epoch")), 7);
    size_t length = a.body.n;
    answer_end(&a);
    a = ask(&c, "HEAD", "/v1/version");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.n, 0);
    answer_end(&a);
    a = ask(&c, "GET", "/metrics");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_true(a.body.n > length);
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void wrong_paths_and_methods_are_told_apart(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    assert_answer(&c, "GET", "/", 404, "absent");
    assert_answer(&c, "GET", "/v1/status/", 404, "absent");
    assert_answer(&c, "GET", "/v1/statu", 404, "absent");
    assert_answer(&c, "GET", "/v1/services//instances/x/drain", 404, "absent");
    assert_answer(&c, "POST", "/v1/services/web/instances/%zz/drain", 404, "absent");
    assert_answer(&c, "POST", "/v1/services/web/instances/%00/drain", 404, "absent");
    assert_answer(&c, "POST", "/v1/services/web/instances/%4", 404, "absent");
    assert_answer(&c, "POST", "/v1/status", 405, "method");
    assert_answer(&c, "DELETE", "/metrics", 405, "method");
    struct answer a = ask(&c, "GET", "/v1/reload");
    assert_int_equal(a.status, 405);
    assert_non_null(strstr(a.head, "Allow: POST\r\n"));
    answer_end(&a);
    a = ask(&c, "GET", "/v1/stauts");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "suggestions"), 0)), "/v1/status");
    assert_null(strstr(a.head, "Allow"));
    answer_end(&a);
    assert_int_equal(s.f.reloads, 0);
    client_close(&c);
    server_close(&s);
}

static void drain_and_resume_are_idempotent(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (int i = 0; i < 4; i++) {
        bool drain = i < 2, first = i % 2 == 0;
        struct answer a = ask(&c, "POST",
                              drain ? "/v1/services/web/instances/b%2F1/drain"
                                    : "/v1/services/web/instances/b%2f1/resume");
        assert_int_equal(a.status, 200);
        assert_string_equal(json_string_value(json_object_get(a.json, "instance")), "b/1");
        assert_int_equal(json_is_true(json_object_get(a.json, "draining")), drain);
        assert_int_equal(json_is_true(json_object_get(a.json, "changed")), first);
        assert_int_equal(s.f.draining[1], drain);
        assert_false(s.f.draining[0]);
        answer_end(&a);
    }
    struct answer a = ask(&c, "POST", "/v1/services/web/instances/10.0.0.1:8/drain");
    assert_int_equal(a.status, 404);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "suggestions"), 0)),
        "10.0.0.1:80");
    answer_end(&a);
    a = ask(&c, "POST", "/v1/services/wbe/instances/b%2F1/drain");
    assert_int_equal(a.status, 404);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "suggestions"), 0)), "web");
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

/* Waits until the reload is asked for, and answers it. */
static struct answer reload(struct server *s, struct client *c,
                            const struct admin_reload_result *result)
{
    s->f.asked = NULL;
    client_send(c, STR("POST /v1/reload HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n"));
    while (!s->f.asked)
        client_wait(c, NS_PER_MS);
    list_remove(&s->f.asked->link);
    s->f.asked->done(s->f.asked, result);
    return client_take(c, false);
}

static void reload_answers_when_it_is_decided(void **state)
{
    static const struct str changes[] = {{"service web: added", 18}, {"x", 1}};
    static const struct admin_problem problems[] = {
        {{"a.conf", 6}, 4, 3, {"unknown key \"x\"", 15}, {"y", 1}},
        {{"a.conf", 6}, 5, 1, {"what", 4}, {NULL, 0}},
    };
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct admin_reload_result taken = {.changed = true, .epoch = 8, .list = changes, .n_list = 2};
    struct answer a = reload(&s, &c, &taken);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(json_object_get(a.json, "epoch")), 8);
    assert_true(json_is_true(json_object_get(a.json, "changed")));
    assert_int_equal(json_array_size(json_object_get(a.json, "changes")), 2);
    answer_end(&a);
    struct admin_reload_result invalid = {
        .code = -ERR_INVAL, .text = "2 errors", .problems = problems, .n_problems = 2};
    a = reload(&s, &c, &invalid);
    assert_int_equal(a.status, 422);
    assert_string_equal(error_code(&a), "invalid");
    json_t *list = json_object_get(a.json, "problems");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "line")), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "hint")), "y");
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "hint")));
    answer_end(&a);
    struct admin_reload_result refused = {.code = -ERR_DENIED, .text = "cannot listen"};
    a = reload(&s, &c, &refused);
    assert_int_equal(a.status, 409);
    assert_string_equal(error_code(&a), "refused");
    answer_end(&a);
    struct admin_reload_result late = {.code = -ERR_TIMEOUT, .text = "late"};
    a = reload(&s, &c, &late);
    assert_int_equal(a.status, 504);
    answer_end(&a);
    s.f.reload_refuses = ERR_BUSY;
    assert_answer(&c, "POST", "/v1/reload", 503, "busy");
    client_close(&c);
    server_close(&s);
}

/* The asker goes away: the reload finds nobody to tell. */
static void a_gone_asker_is_forgotten(void **state)
{
    struct server s;
    struct client c, other;
    server_open(&s);
    client_open(&c, &s);
    client_open(&other, &s);
    client_send(&c, STR("POST /v1/reload HTTP/1.1\r\nHost: n\r\n\r\n"));
    while (!s.f.asked)
        client_wait(&c, NS_PER_MS);
    struct list *askers = s.f.asked->link.next;
    assert_false(list_empty(askers));
    admin_free(s.f.admin);
    s.f.admin = NULL;
    assert_true(list_empty(askers));
    client_close(&c);
    client_close(&other);
    server_close(&s);
}

static unsigned long long field(const struct answer *a, const char *key)
{
    return (unsigned long long)json_integer_value(json_object_get(a->json, key));
}

static void events_are_paged(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "GET", "/v1/events");
    assert_int_equal(field(&a, "next"), 0);
    answer_end(&a);
    for (int i = 0; i < 20; i++) /* the ring holds eight: 1012 to 1019 */
        fixture_event(&s.f, EVENT_DRAIN, "x");
    a = ask(&c, "GET", "/v1/events?after=1009&limit=3");
    assert_int_equal(field(&a, "lost"), 2);
    assert_int_equal(field(&a, "next"), 1014);
    assert_int_equal(json_array_size(json_object_get(a.json, "events")), 3);
    answer_end(&a);
    a = ask(&c, "GET", "/v1/events?last=2");
    assert_int_equal(json_array_size(json_object_get(a.json, "events")), 2);
    assert_int_equal(field(&a, "next"), 1019);
    answer_end(&a);
    a = ask(&c, "GET", "/v1/events?last=100");
    assert_int_equal(json_array_size(json_object_get(a.json, "events")), 8);
    answer_end(&a);
    static const char *const wrong[] = {"after=x",    "after=-1", "wait=61",          "limit=0",
                                        "limit=1001", "wait=",    "after=1&last=1001"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/events?%s", wrong[i]);
        assert_answer(&c, "GET", target, 400, "malformed");
    }
    client_close(&c);
    server_close(&s);
}

static void a_long_poll_ends_with_the_first_event(void **state)
{
    struct server s;
    struct client c, other;
    server_open(&s);
    client_open(&c, &s);
    client_open(&other, &s);
    fixture_event(&s.f, EVENT_DRAIN, "old");
    client_send(&c, STR("GET /v1/events?after=1000&wait=30 HTTP/1.1\r\nHost: n\r\n\r\n"));
    /* others are served meanwhile, and the poll has no answer */
    struct answer a = ask(&other, "GET", "/v1/version");
    answer_end(&a);
    assert_int_equal(c.in.n, 0);
    assert_false(list_empty(&s.f.admin->polls));
    fixture_event(&s.f, EVENT_RESUME, "new");
    a = client_take(&c, false);
    assert_int_equal(field(&a, "next"), 1001);
    json_t *ev = json_array_get(json_object_get(a.json, "events"), 0);
    assert_string_equal(json_string_value(json_object_get(ev, "code")), "resume");
    answer_end(&a);
    assert_true(list_empty(&s.f.admin->polls));
    client_close(&c);
    client_close(&other);
    server_close(&s);
}

static void a_long_poll_ends_with_its_time_or_its_client(void **state)
{
    struct server s;
    struct client c, gone;
    server_open(&s);
    client_open(&c, &s);
    client_open(&gone, &s);
    client_send(&gone, STR("GET /v1/events?wait=60 HTTP/1.1\r\nHost: n\r\n\r\n"));
    uint64_t before = clock_now();
    struct answer a = ask(&c, "GET", "/v1/events?wait=1");
    assert_true(clock_now() - before >= NS_PER_S);
    assert_int_equal(json_array_size(json_object_get(a.json, "events")), 0);
    answer_end(&a);
    assert_int_equal(s.f.admin->n_conns, 2);
    client_close(&gone);
    while (s.f.admin->n_conns == 2)
        client_wait(&c, NS_PER_MS);
    assert_true(list_empty(&s.f.admin->polls));
    client_close(&c);
    server_close(&s);
}

static bool refuses(const struct addr *a)
{
    int fd = net_connect(a, NULL);
    if (fd < 0)
        return true;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    bool refused = poll(&p, 1, 5000) == 1 && net_connect_result(fd) == ECONNREFUSED;
    close(fd);
    return refused;
}

static void the_metrics_listener_serves_nothing_else(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    struct addr a = fixture_address("127.0.0.1:1");
    a.port = 0;
    int fd = net_listen(&a, 8, NULL);
    assert_true(fd >= 0);
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    a.port = (uint16_t)(in.sin_port >> 8 | in.sin_port << 8);
    assert_int_equal(admin_listen(s.f.admin, fd, true, NULL), 0);
    client_open_at(&c, s.f.loop, &a);
    assert_answer(&c, "GET", "/metrics", 200, "");
    assert_answer(&c, "HEAD", "/metrics", 200, "");
    assert_answer(&c, "GET", "/v1/status", 404, "absent");
    assert_answer(&c, "GET", "/v1/events", 404, "absent");
    assert_answer(&c, "POST", "/v1/reload", 404, "absent");
    assert_answer(&c, "POST", "/v1/services/web/instances/b%2F1/drain", 404, "absent");
    assert_answer(&c, "POST", "/v1/processes/proxy/restart", 404, "absent");
    assert_int_equal(s.f.reloads, 0);
    assert_int_equal(s.f.restarts, 0);
    assert_false(s.f.draining[1]);
    admin_unlisten_metrics(s.f.admin);
    assert_answer(&c, "GET", "/metrics", 200, ""); /* a connection that is there goes on */
    assert_true(refuses(&a));
    client_close(&c);
    server_close(&s);
}

static void before_the_first_view_it_says_so(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    view_free(s.f.view);
    s.f.view = NULL;
    client_open(&c, &s);
    assert_answer(&c, "GET", "/v1/status", 503, "busy");
    assert_answer(&c, "POST", "/v1/services/web/instances/b%2F1/drain", 503, "busy");
    assert_answer(&c, "GET", "/metrics", 200, "");
    assert_answer(&c, "GET", "/v1/events", 200, "");
    assert_answer(&c, "POST", "/v1/processes/proxy/restart", 202, "");
    assert_int_equal(s.f.restarts, 1);
    client_close(&c);
    server_close(&s);
}

static void assert_counts(const struct answer *a, json_int_t changed, json_int_t added)
{
    assert_int_equal(a->status, 200);
    assert_int_equal(json_integer_value(json_object_get(a->json, "changed")), changed);
    assert_int_equal(json_integer_value(json_object_get(a->json, "added")), added);
    assert_string_equal(json_string_value(json_object_get(a->json, "service")), "web");
}

static void instances_are_told_as_asked(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a =
        ask_with(&c, "PUT", "/v1/services/web/instances",
                 "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"weight\": 7}, "
                 "{\"name\": \"b/1\", \"weight\": null, \"draining\": true}, \"x\"]}");
    assert_counts(&a, 3, 2);
    answer_end(&a);
    assert_int_equal(s.f.told.mode, TOLD_SET);
    assert_int_equal(s.f.told.n, 3);
    assert_int_equal(s.f.items[0].addr.port, 80);
    assert_true(s.f.items[0].has_weight && s.f.items[0].weight == 7);
    assert_int_equal(s.f.items[0].drain, TOLD_AS_IT_IS);
    assert_true(s.f.items[1].own_weight && !s.f.items[1].has_weight);
    assert_int_equal(s.f.items[1].drain, TOLD_DRAIN);
    a = ask_with(&c, "POST", "/v1/services/web/instances", "{\"instances\": []}");
    assert_int_equal(s.f.told.mode, TOLD_UPDATE);
    answer_end(&a);
    a = ask_with(&c, "DELETE", "/v1/services/web/instances", "{\"instances\": [\"x\"]}");
    assert_int_equal(s.f.told.mode, TOLD_REMOVE);
    answer_end(&a);
    a = ask(&c, "DELETE", "/v1/services/web/instances/unix:%2Frun%2Fa");
    assert_int_equal(s.f.told.mode, TOLD_REMOVE);
    assert_int_equal(s.f.told.n, 1);
    answer_end(&a);
    a = ask(&c, "GET", "/v1/services/web/instances");
    assert_int_equal(json_array_size(json_object_get(a.json, "instances")), 2);
    answer_end(&a);
    assert_int_equal(s.f.tells, 4);
    client_close(&c);
    server_close(&s);
}

static void what_is_no_list_of_instances_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "{\"instances\": 1}",
        "{\"instances\": [1]}",
        "{\"instances\": [{}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9\"}]}",
        "{\"instances\": [{\"address\": \"api:80\"}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"weight\": -1}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"weight\": 1.5}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"draining\": 1}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"wait\": 1}]}",
        "{\"instances\": [{\"address\": \"10.0.0.9:80\", \"weight\": 1, \"weight\": 2}]}",
        "{\"instances\": [\"\"]}",
    };
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct answer a = ask_with(&c, "PUT", "/v1/services/web/instances", wrong[i]);
        assert_int_equal(a.status, 422);
        assert_string_equal(error_code(&a), "invalid");
        answer_end(&a);
    }
    struct answer a = ask_with(&c, "PUT", "/v1/services/wbe/instances", "{}");
    assert_int_equal(a.status, 404);
    answer_end(&a);
    a = ask(&c, "PATCH", "/v1/services/web/instances");
    assert_int_equal(a.status, 405);
    assert_non_null(strstr(a.head, "Allow: GET, HEAD, POST, PUT, DELETE\r\n"));
    answer_end(&a);
    s.f.tell_answers = -ERR_LIMIT;
    a = ask_with(&c, "PUT", "/v1/services/web/instances", "{\"instances\": []}");
    assert_int_equal(a.status, 422);
    assert_string_equal(error_code(&a), "limit");
    answer_end(&a);
    assert_int_equal(s.f.tells, 1);
    client_close(&c);
    server_close(&s);
}

/* The answer comes when the change is in force; in chunks, the body is the same. */
static void a_change_is_waited_for(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    s.f.tell_answers = 1;
    client_send(&c, STR("POST /v1/services/web/instances HTTP/1.1\r\nHost: n\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n"
                        "10\r\n{\"instances\": [\"\r\n5\r\nx:y\"]\r\n1\r\n}\r\n0\r\n\r\n"));
    assert_false(client_wait(&c, 20 * NS_PER_MS));
    assert_int_equal(s.f.tells, 1);
    assert_int_equal(s.f.told.n, 1);
    struct admin_telling *w = s.f.telling;
    list_remove(&w->link);
    struct admin_told told = {.added = 1, .epoch = 4, .text = ""};
    w->done(w, &told);
    struct answer a = client_take(&c, false);
    assert_counts(&a, 1, 1);
    assert_int_equal(json_integer_value(json_object_get(a.json, "epoch")), 4);
    answer_end(&a);
    /* one who goes meanwhile is not told */
    client_send(&c, STR("DELETE /v1/services/web/instances/x HTTP/1.1\r\nHost: n\r\n\r\n"));
    assert_false(client_wait(&c, 20 * NS_PER_MS));
    assert_int_equal(s.f.tells, 2);
    assert_false(list_empty(&s.f.telling->link));
    client_close(&c);
    server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_routes_answer),
        cmocka_unit_test(wrong_paths_and_methods_are_told_apart),
        cmocka_unit_test(drain_and_resume_are_idempotent),
        cmocka_unit_test(instances_are_told_as_asked),
        cmocka_unit_test(what_is_no_list_of_instances_is_refused),
        cmocka_unit_test(a_change_is_waited_for),
        cmocka_unit_test(reload_answers_when_it_is_decided),
        cmocka_unit_test(a_gone_asker_is_forgotten),
        cmocka_unit_test(events_are_paged),
        cmocka_unit_test(a_long_poll_ends_with_the_first_event),
        cmocka_unit_test(a_long_poll_ends_with_its_time_or_its_client),
        cmocka_unit_test(the_metrics_listener_serves_nothing_else),
        cmocka_unit_test(before_the_first_view_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
