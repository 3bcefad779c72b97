/* The routes of watched jobs over a real socket: how they are, that one lives, and what is refused.
 */
#include "admin/client.h"

static const char *text_of(const struct answer *a, const char *key)
{
    const char *s = json_string_value(json_object_get(a->json, key));
    return s ? s : "";
}

static void the_list_says_how_they_are(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "GET", "/v1/beats");
    assert_int_equal(a.status, 200);
    assert_string_equal(text_of(&a, "schema"), "holdfast.beats.v1");
    json_t *list = json_object_get(a.json, "beats");
    assert_int_equal(json_array_size(list), 2);
    json_t *backup = json_array_get(list, 0), *report = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(backup, "reason")), "beat-awaited");
    assert_true(json_is_null(json_object_get(backup, "last_seconds")));
    assert_true(json_is_true(json_object_get(backup, "token")));
    assert_string_equal(json_string_value(json_object_get(report, "verdict")), "failed");
    assert_int_equal(json_integer_value(json_object_get(report, "missed")), 1);
    assert_null(memmem(a.body.p, a.body.n, "digest", 6));
    struct answer status = ask(&c, "GET", "/v1/status");
    assert_int_equal(json_array_size(json_object_get(status.json, "beats")), 2);
    answer_end(&status);
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void a_job_says_that_it_lives_or_not(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct answer a = ask(&c, "POST", "/v1/beats/report");
    assert_int_equal(a.status, 200);
    assert_string_equal(text_of(&a, "verdict"), "healthy");
    assert_true(json_is_true(json_object_get(a.json, "changed")));
    answer_end(&a);
    a = ask_with(&c, "POST", "/v1/beats/report", "{}");
    assert_true(json_is_false(json_object_get(a.json, "changed")));
    answer_end(&a);
    a = ask_with(&c, "POST", "/v1/beats/report", "{\"failed\": \"no paper\"}");
    assert_int_equal(a.status, 200);
    assert_string_equal(text_of(&a, "reason"), "beat-failed");
    assert_string_equal(s.f.watches[1].text, "no paper");
    assert_int_equal(s.f.watches[1].beats, 3);
    assert_int_equal(s.f.watches[0].beats, 0);
    answer_end(&a);
    client_close(&c);
    server_close(&s);
}

static void what_is_no_beat_is_refused(void **state)
{
    static const char *const bodies[] = {"[]",
                                         "7",
                                         "{",
                                         "{\"fialed\": \"x\"}",
                                         "{\"failed\": 7}",
                                         "{\"failed\": \"a\", \"failed\": \"b\"}",
                                         "{\"failed\": \"\xff\"}"};
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct answer a = ask_with(&c, "POST", "/v1/beats/report", bodies[i]);
        assert_int_equal(a.status, 422);
        assert_string_equal(error_code(&a), "invalid");
        answer_end(&a);
    }
    struct answer a = ask(&c, "POST", "/v1/beats/bakcup");
    assert_int_equal(a.status, 404);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "suggestions"), 0)), "backup");
    answer_end(&a);
    a = ask(&c, "PUT", "/v1/beats/backup");
    assert_int_equal(a.status, 405);
    answer_end(&a);
    assert_int_equal(s.f.watches[0].beats + s.f.watches[1].beats, 0);
    client_close(&c);
    server_close(&s);
}

static void before_the_first_view_it_is_busy(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    struct view *v = s.f.view;
    s.f.view = NULL;
    static const char *const asked[][2] = {{"GET", "/v1/beats"}, {"POST", "/v1/beats/backup"}};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct answer a = ask(&c, asked[i][0], asked[i][1]);
        assert_int_equal(a.status, 503);
        answer_end(&a);
    }
    s.f.view = v;
    client_close(&c);
    server_close(&s);
}

/* A text that could not be copied is tried once more: that may save the list. It is whole or not
 * there. */
static void out_of_memory_gives_no_list(void **state)
{
    struct fixture f;
    unsigned without = 0;
    bool failed = true;
    fixture_open(&f, fixture_new_view("web"));
    for (unsigned long n = 1; failed; n++) {
        mem_fail_at(n);
        json_t *list = beats_json(f.admin);
        failed = mem_failed();
        mem_fail_at(0);
        assert_true(!list || json_array_size(list) == 2);
        for (size_t i = 0; i < json_array_size(list); i++)
            assert_int_equal(json_object_size(json_array_get(list, i)), 12);
        assert_true(list || failed);
        without += list == NULL;
        json_decref(list);
    }
    assert_true(without > 20);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_says_how_they_are),
        cmocka_unit_test(a_job_says_that_it_lives_or_not),
        cmocka_unit_test(what_is_no_beat_is_refused),
        cmocka_unit_test(before_the_first_view_it_is_busy),
        cmocka_unit_test(out_of_memory_gives_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
