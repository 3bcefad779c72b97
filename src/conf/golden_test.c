/* Every test/conf/X.conf is read and what is printed about it compared with test/conf/X.expected,
 * byte by byte: messages are part of the product. Files without problems print nothing.
 *
 * test_conf_golden DIRECTORY EXAMPLES; with --write it writes what differs, for review. */
#include "conf/conf.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/os.h"

enum { CASES_AT_LEAST = 60 };

static bool writing;
static const char *examples;

static void summary_line(struct buf *out, int rc, const struct err *e)
{
    buf_printf(out, "=> %s%s%s\n", err_name(rc), rc ? ": " : "", rc ? e->text : "");
}

static bool readable(void *self, const char *path, struct err *why, struct err *remedy)
{
    if (!strstr(path, "closed"))
        return true;
    err_set(why, ERR_DENIED, "the user nobody, who reads logs, may not read %s (mode 0640)", path);
    err_set(remedy, ERR_DENIED, "add it to the group web: usermod -aG web nobody");
    return false;
}

/* Keys, by the end of their names: those that are there are no files of the source tree, where
 * permissions are everybody's own. */
static int inspect(void *self, const char *path, struct conf_file *out, struct err *e)
{
    static const struct {
        const char *name;
        struct conf_file file;
    } known[] = {{"good.key", {true, 0640}},
                 {"cluster.key", {true, 0600}},
                 {"wrong.key", {true, 0600}},
                 {"open.key", {true, 0644}},
                 {"folder.key", {false, 0700}}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(path), tail = strlen(known[i].name);
        if (n < tail || strcmp(path + n - tail, known[i].name) != 0)
            continue;
        *out = known[i].file;
        return 0;
    }
    return err_set(e, ERR_ABSENT, "%s does not exist", path);
}

static int check_key(void *self, const char *path, struct err *e)
{
    return strcmp(path, "wrong.key") == 0 ? err_set(e, ERR_PROTO, "%s: line 1 is no key", path) : 0;
}

static bool addr_is(const struct addr *a, const char *ip)
{
    char text[ADDR_TEXT_MAX];
    addr_format_ip(a, text);
    return strcmp(text, ip) == 0;
}

static bool has_address(void *self, const struct addr *a)
{
    return addr_is(a, "10.0.0.1") || addr_is(a, "127.0.0.1") || addr_is(a, "127.0.0.2");
}

/* A machine of the tests' own. */
static struct conf_env test_env(void)
{
    struct conf_env env = conf_env_real();
    env.cpus = 4;
    env.inspect = inspect;
    env.readable = readable;
    env.check_key = check_key;
    env.has_address = has_address;
    str_copy(env.host, sizeof env.host, STR("here.example"));
    return env;
}

static void run(const char *path, struct buf *out)
{
    struct conf_env env = test_env();
    struct conf_problems problems = {0};
    struct view *v = NULL;
    struct err e = {0};
    int rc = conf_load(path, &env, &v, &problems, &e);
    assert_true((rc == 0) == (problems.errors == 0));
    assert_true((rc == 0) == (v != NULL));
    conf_problems_print(&problems, false, out);
    summary_line(out, rc, &e);
    assert_false(out->failed);
    conf_problems_free(&problems);
    view_free(v);
}

static bool compare(const char *path)
{
    char expected[256];
    struct buf got = {0}, want = {0};
    snprintf(expected, sizeof expected, "%.*s.expected", (int)(strlen(path) - strlen(".conf")),
             path);
    run(path, &got);
    file_read(expected, 1 << 20, &want, NULL);
    bool same = str_eq(buf_str(&got), buf_str(&want));
    if (!same && writing) {
        assert_int_equal(file_replace(expected, buf_str(&got), 0644, NULL), 0);
        same = true;
    }
    if (!same)
        print_error("--- %s, expected:\n%.*s--- got:\n%.*s", path, STR_ARG(buf_str(&want)),
                    STR_ARG(buf_str(&got)));
    assert_null(got.n ? memmem(got.p, got.n, "s3cret", 6) : NULL);
    buf_free(&got);
    buf_free(&want);
    return same;
}

static void messages_are_as_written(void **state)
{
    glob_t g = {0};
    bool all = true;
    setenv("HF_TEST_SECRET", "s3cret word", 1);
    setenv("HF_TEST_OWN", "10.0.0.1", 1);
    setenv("HF_TEST_OTHER", "127.0.0.1", 1);
    unsetenv("HF_TEST_ABSENT");
    assert_int_equal(glob("*.conf", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= CASES_AT_LEAST);
    for (size_t i = 0; i < g.gl_pathc; i++)
        all &= compare(g.gl_pathv[i]);
    globfree(&g);
    assert_true(all);
}

static void examples_are_good(void **state)
{
    char pattern[4096];
    glob_t g = {0};
    setenv("PORT", "8080", 1);
    setenv("BACKEND", "10.0.0.1:3000", 1);
    setenv("HEALTH_TOKEN", "s3cret", 1);
    snprintf(pattern, sizeof pattern, "%s/*.conf", examples);
    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 4);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct buf got = {0};
        run(g.gl_pathv[i], &got);
        if (!str_eq(buf_str(&got), STR("=> ok\n")))
            fail_msg("%.*s", STR_ARG(buf_str(&got)));
        buf_free(&got);
    }
    globfree(&g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_as_written),
        cmocka_unit_test(examples_are_good),
    };
    if (argc < 3 || chdir(argv[1]))
        return 2;
    examples = argv[2]; /* absolute */
    writing = argc > 3 && strcmp(argv[3], "--write") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
