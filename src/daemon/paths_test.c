/* Where the state lies, for every environment. */
#include "daemon/paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void state_directory_by_environment(void **state)
{
    static const struct {
        const char *given;
        struct paths_environment env;
        const char *expected; /* NULL: an error */
    } cases[] = {
        {"/srv/a", {.root = true, .state_directory = "/var/lib/x"}, "/srv/a"},
        {"rel/a//", {0}, "rel/a"},
        {"/", {0}, "/"},
        {"", {.home = "/home/u"}, NULL},
        {NULL, {.root = true}, "/var/lib/holdfast"},
        {NULL, {.root = true, .xdg_state_home = "/x", .home = "/root"}, "/var/lib/holdfast"},
        {NULL, {.root = true, .state_directory = "/var/lib/hf"}, "/var/lib/hf"},
        {NULL, {.state_directory = "/var/lib/hf:/var/lib/two", .home = "/h"}, "/var/lib/hf"},
        {NULL, {.xdg_state_home = "/x/state/", .home = "/home/u"}, "/x/state//holdfast"},
        {NULL, {.xdg_state_home = "relative", .home = "/home/u"}, "/home/u/.local/state/holdfast"},
        {NULL, {.xdg_state_home = "", .home = "/home/u"}, "/home/u/.local/state/holdfast"},
        {NULL, {.home = ""}, NULL},
        {NULL, {.root = true, .node = "a"}, "/var/lib/holdfast/node-a"},
        {NULL, {.state_directory = "/s/:/t", .node = "b.1"}, "/s/node-b.1"},
        {NULL, {.state_directory = "/", .node = "a"}, "/node-a"},
        {"/srv/a", {.root = true, .node = "b"}, "/srv/a"},
        {NULL, {.root = true, .node = ""}, NULL},
        {NULL, {.root = true, .node = "../a"}, NULL},
        {NULL, {.root = true, .node = "a/b"}, NULL},
        {NULL, {.node = "a"}, NULL},
        {NULL, {0}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[PATHS_MAX];
        struct err e = {0};
        int r = paths_choose_state(out, cases[i].given, &cases[i].env, &e);
        if (cases[i].expected) {
            assert_int_equal(r, 0);
            assert_string_equal(out, cases[i].expected);
        } else {
            assert_int_equal(r, -ERR_INVAL);
            assert_true(e.text[0] != 0);
        }
    }
}

static void an_endless_path_is_refused(void **state)
{
    static char path[PATHS_MAX + 10];
    char out[PATHS_MAX];
    memset(path, 'a', sizeof path - 1);
    struct paths_environment env = {.home = path};
    assert_int_equal(paths_choose_state(out, path, &env, NULL), -ERR_INVAL);
    assert_int_equal(paths_choose_state(out, NULL, &env, NULL), -ERR_INVAL);
    env.node = "a";
    assert_int_equal(paths_choose_state(out, NULL, &env, NULL), -ERR_INVAL);
    assert_int_equal(paths_join(out, path, "x", NULL), -ERR_INVAL);
}

static void the_admin_socket_must_fit_its_address(void **state)
{
    struct addr a;
    struct err e;
    char dir[200];
    assert_int_equal(paths_admin_socket(&a, "/run/hf", &e), 0);
    assert_int_equal(a.kind, ADDR_UNIX);
    assert_string_equal(a.path, "/run/hf/admin.sock");
    size_t longest = sizeof a.path - 1 - strlen("/admin.sock");
    memset(dir, 'd', sizeof dir);
    dir[longest] = 0;
    assert_int_equal(paths_admin_socket(&a, dir, &e), 0);
    dir[longest] = 'd';
    dir[longest + 1] = 0;
    assert_int_equal(paths_admin_socket(&a, dir, &e), -ERR_INVAL);
    assert_non_null(strstr(e.text, "shorter"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_directory_by_environment),
        cmocka_unit_test(an_endless_path_is_refused),
        cmocka_unit_test(the_admin_socket_must_fit_its_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
