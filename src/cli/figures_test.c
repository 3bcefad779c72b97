#include "cli/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

static json_t *parse(const char *single_quoted)
{
    char json[2048];
    size_t n = str_copy(json, sizeof json, str_of(single_quoted));
    for (size_t i = 0; i < n; i++)
        if (json[i] == '\'')
            json[i] = '"';
    json_t *parsed = json_loads(json, 0, NULL);
    assert_non_null(parsed);
    return parsed;
}

static const char before_text[] =
    "{'services': [{'name': 'busy', 'requests': 100}, {'name': 'bad', 'responses': {'5xx': 1}},"
    "{'name': 'dead', 'listeners': [{'url': 'u', 'accepted': 10, 'bytes': {'in': 5}}], 'instances':"
    "[{'name': 'c', 'errors': {'resets': 1}}]}]}";
static const char now_text[] =
    "{'node': 'n', 'time': 't', 'epoch': 3, 'services': ["
    "{'name': 'idle', 'verdict': 'healthy'},"
    "{'name': 'busy', 'verdict': 'healthy', 'requests': 300, 'requests_per_second': 7},"
    "{'name': 'bad', 'verdict': 'healthy', 'responses': {'5xx': 5, 'cut': 4}},"
    "{'name': 'dead', 'verdict': 'failed', 'listeners': [{'url': 'u', 'accepted': 30, 'bytes': "
    "{'in': 9}}], 'instances': [{'name': 'a', 'verdict': 'healthy'},"
    "{'name': 'b', 'verdict': 'failed', 'reason': 'checks-fail', 'inflight': 3},"
    "{'name': 'c', 'verdict': 'healthy', 'errors': {'resets': 7}}]}]}";

static void name_is(const json_t *list, size_t i, const char *name)
{
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, i), "name")), name);
}

static void what_needs_a_look_comes_first(void **state)
{
    json_t *now = parse(now_text), *before = parse(before_text);
    json_t *got = figures_sorted(now, before, 2);
    const json_t *services = json_object_get(got, "services");
    name_is(services, 0, "dead");
    name_is(services, 1, "bad");
    name_is(services, 2, "busy");
    name_is(services, 3, "idle");
    const json_t *instances = json_object_get(json_array_get(services, 0), "instances");
    name_is(instances, 0, "b");
    name_is(instances, 1, "c");
    name_is(instances, 2, "a");
    name_is(json_object_get(now, "services"), 0, "idle"); /* the answer itself is left alone */
    json_decref(got);
    json_decref(now);
    json_decref(before);
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void rates_are_differences(void **state)
{
    json_t *now = parse(now_text), *before = parse(before_text);
    json_t *got = figures_json(now, before, 2);
    const json_t *services = json_object_get(got, "services");
    assert_string_equal(json_string_value(json_object_get(got, "schema")), "holdfast.top.v1");
    const json_t *dead = json_array_get(services, 0), *bad = json_array_get(services, 1);
    assert_true(number(bad, "errors_per_second") == 4);
    assert_true(number(json_array_get(services, 2), "requests_per_second") == 100);
    assert_true(number(dead, "inflight") == 3);
    const json_t *listener = json_array_get(json_object_get(dead, "listeners"), 0);
    assert_true(number(listener, "accepted_per_second") == 10);
    assert_true(number(listener, "bytes_in_per_second") == 2);
    const json_t *c = json_array_get(json_object_get(dead, "instances"), 1);
    assert_true(number(c, "errors_per_second") == 3);
    json_decref(got);
    /* one answer: the node's own */
    got = figures_json(now, NULL, 0);
    services = json_object_get(got, "services");
    assert_true(number(json_array_get(services, 1), "requests_per_second") == 7);
    json_decref(got);
    json_decref(now);
    json_decref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_a_look_comes_first),
        cmocka_unit_test(rates_are_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
