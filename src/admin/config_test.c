/* The shared configuration over the API: what is asked is what was meant, mistakes are refused, and
 * who asks is known. */
#include <unistd.h>

#include "admin/client.h"

static const struct admin_version made = {.number = 5,
                                          .when = 1000,
                                          .digest = "d",
                                          .who = "root",
                                          .node = "a",
                                          .note = "",
                                          .changes = ""};

static void the_picture_is_told(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    expect(&c, "GET", "/v1/config", "", 200,
           "\"used\":{\"version\":3,\"digest\":\"d\",\"when\":\"1970-01-01T00:00:01.000Z\","
           "\"who\":\"root\",\"node\":\"a\",\"note\":\"why\",\"from\":null,"
           "\"changes\":[\"x\",\"y\"]},\"head\":{\"version\":4");
    expect(&c, "GET", "/v1/config", "", 200,
           "\"revision\":17,\"coordinator\":\"model\",\"reachable\":true,\"problem\":\"it cannot\","
           "\"own_file_problem\":\"web.conf has 1 "
           "error\",\"nodes\":[{\"name\":\"host-a\",\"self\":true,\"alive\":true,\"version\":3,"
           "\"problem\":\"it cannot\"}]");
    client_close(&c);
    server_close(&s);
}

/* (AddressSanitizer sees that nothing is left of it.) */
static void before_the_first_version_there_is_none(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    s.f.unapplied = true;
    client_open(&c, &s);
    expect(&c, "GET", "/v1/config", "", 200, "\"used\":null,\"head\":null");
    client_close(&c);
    server_close(&s);
}

static void what_is_asked_is_what_was_meant(void **state)
{
    struct str lines[] = {STR("one"), STR("two")};
    const struct admin_config_result plan = {.version = made,
                                             .revision = 9,
                                             .changes = lines,
                                             .n_changes = 2,
                                             .risks = lines,
                                             .n_risks = 1,
                                             .left = lines + 1,
                                             .n_left = 1};
    const struct admin_config_result done = {.version = made};
    char user[64];
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    s.f.config_answers = &plan;
    expect(&c, "POST", "/v1/config/plan", "{\"bundle\": \"YWJj\"}", 200,
           "\"version\":5,\"base\":9,\"differs\":true,\"same_files\":false,\"changes\":[\"one\","
           "\"two\"],\"risks\":[\"one\"],\"local\":[\"two\"],\"warning\":null");
    assert_string_equal(s.f.config_bundle, "abc");
    assert_true(s.f.config.what == CONFIG_PLAN && !s.f.config.has_base);
    s.f.config_answers = &done;
    expect(&c, "POST", "/v1/config/apply",
           "{\"bundle\": \"\", \"base\": 0, \"note\": \"why\", \"yes\": true}", 200,
           "\"applied\":true,\"version\":5");
    assert_true(s.f.config.what == CONFIG_APPLY && s.f.config.has_base && s.f.config.yes);
    assert_true(s.f.config.base == 0 && s.f.config_bundle[0] == 0);
    if (access_user_name((unsigned)getuid(), user, sizeof user))
        assert_string_equal(s.f.config_who, user);
    expect(&c, "POST", "/v1/config/rollback", "{\"version\": 7}", 200, "\"version\":5");
    assert_true(s.f.config.what == CONFIG_ROLLBACK && s.f.config.number == 7 && !s.f.config.yes);
    const struct admin_config_result history = {.versions = &made, .n_versions = 1};
    s.f.config_answers = &history;
    expect(&c, "GET", "/v1/config/history?last=3", "", 200, "\"versions\":[{\"version\":5");
    assert_int_equal(s.f.config.count, 3);
    const struct admin_file files[] = {{STR("web.conf"), STR("text")},
                                       {STR("x.png"), STR("\xff\xfe")}};
    const struct admin_config_result read = {
        .version = made, .files = files, .n_files = 2, .main = STR("web.conf")};
    s.f.config_answers = &read;
    expect(&c, "GET", "/v1/config/files?version=5", "", 200,
           "\"main\":\"web.conf\",\"files\":[{\"name\":\"web.conf\",\"bytes\":4,\"text\":\"text\"},"
           "{\"name\":\"x.png\",\"bytes\":2,\"text\":null}]");
    client_close(&c);
    server_close(&s);
}

static void mistakes_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"bundle\": 3}",
                                        "{\"bundle\": \"***\"}",
                                        "{\"bundle\": \"YWJj\", \"base\": -1}",
                                        "{\"bundle\": \"YWJj\", \"yes\": 1}",
                                        "{\"bundle\": \"YWJj\", \"note\": 1}",
                                        "{\"bundle\": \"YWJj\", \"version\": 1}",
                                        "{\"bundle\": \"YWJj\", \"nota\": \"x\"}"};
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        expect(&c, "POST", "/v1/config/apply", wrong[i], 422, "the body is");
    expect(&c, "POST", "/v1/config/rollback", "{\"bundle\": \"YWJj\"}", 422, "the body is");
    expect(&c, "GET", "/v1/config/history?last=101", "", 400, "last is 1 to 100");
    expect(&c, "GET", "/v1/config/files?version=x", "", 400, "the number of one");
    assert_null(s.f.config.who.p); /* the host was asked nothing */
    client_close(&c);
    server_close(&s);
}

static void refusals_say_what_to_do(void **state)
{
    struct str risk = STR("service web stops: it is removed");
    struct admin_problem p = {STR("web.conf"), 3, 1, STR("nonsense"), STR("")};
    const struct admin_config_result asks = {
        .code = -ERR_DENIED, .text = "sure?", .asks = true, .risks = &risk, .n_risks = 1};
    const struct admin_config_result late = {.code = -ERR_BUSY, .text = "late", .conflict = true};
    const struct admin_config_result broken = {
        .code = -ERR_INVAL, .text = "broken", .problems = &p, .n_problems = 1};
    const struct admin_config_result away = {.code = -ERR_BUSY, .text = "away"};
    static const char body[] = "{\"bundle\": \"YWJj\"}";
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    s.f.config_answers = &asks;
    expect(&c, "POST", "/v1/config/apply", body, 409, "\"risks\":[\"service web stops");
    s.f.config_answers = &late;
    expect(&c, "POST", "/v1/config/apply", body, 409, "\"code\":\"conflict\"");
    s.f.config_answers = &broken;
    expect(&c, "POST", "/v1/config/plan", body, 422, "\"problems\":[{\"file\":\"web.conf\"");
    s.f.config_answers = &away;
    expect(&c, "POST", "/v1/config/apply", body, 503, "away");
    s.f.config_refuses = ERR_BUSY;
    expect(&c, "POST", "/v1/config/apply", body, 503, "no configuration today");
    client_close(&c);
    server_close(&s);
}

static void names_of_users_are_those_of_the_machine(void **state)
{
    char name[64];
    assert_true(access_user_name(0, name, sizeof name));
    assert_string_equal(name, "root");
    assert_false(access_user_name(4294967290u, name, sizeof name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_picture_is_told),
        cmocka_unit_test(before_the_first_version_there_is_none),
        cmocka_unit_test(what_is_asked_is_what_was_meant),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(names_of_users_are_those_of_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
