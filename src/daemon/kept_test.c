/* A shared configuration between disk, bundle and node: what comes into a bundle and what never
 * does, what is kept, and what a node starts with. */
#include "daemon/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/bundle_env.h"
#include "daemon/daemon.h"
#include "os/os.h"

static char top[PATHS_MAX];

static const char *at(const char *name)
{
    static char paths[8][PATHS_MAX + 64];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", top, name);
    return p;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(file_replace(at(name), str_of(text), 0600, NULL), 0);
}

static int setup(void **state)
{
    snprintf(top, sizeof top, "/tmp/holdfast-kept-XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(dir_make(at("a[1]/conf.d"), 0700, NULL), 0);
    assert_int_equal(dir_make(at("b"), 0700, NULL), 0);
    assert_int_equal(dir_make(at("state"), 0700, NULL), 0);
    put("a[1]/main.conf", "include \"conf.d/*.conf\"\n"
                          "admin { listen = http://127.0.0.1:9\n"
                          "token t { secret = file:token rights = all } }\n");
    put("a[1]/conf.d/web.conf", "service web { listen = http://127.0.0.1:80\n"
                                "backend 127.0.0.1:81\n"
                                "check { http = /h body = file:../secret }\n"
                                "error-page 503 { file = ../sorry.html } }\n");
    put("a[1]/conf.d/.hidden.conf", "nonsense");
    put("a[1]/sorry.html", "<p>sorry");
    put("a[1]/secret", "hunter2\n");
    put("a[1]/token", "0123456789abcdef\n");
    put("b/own.conf", "workers = 3\n");
    put("b/secret", "other\n");
    return 0;
}

static int teardown(void **state)
{
    char command[PATHS_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command) == 0 ? 0 : -1;
}

static void collect(struct buf *bytes)
{
    struct err e = {0};
    if (daemon_bundle(at("a[1]/main.conf"), bytes, &e))
        fail_msg("%s", e.text);
}

static bool holds(struct str s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void a_bundle_has_every_file_and_no_secret(void **state)
{
    struct buf bytes = {0};
    struct bundle b = {0};
    collect(&bytes);
    assert_int_equal(bundle_decode(buf_str(&bytes), &b, NULL), 0);
    assert_true(str_eq(b.main, STR("main.conf")));
    assert_int_equal(b.n, 3);
    assert_non_null(bundle_find(&b, STR("conf.d/web.conf")));
    assert_true(str_eq(bundle_find(&b, STR("conf.d/../sorry.html"))->text, STR("<p>sorry")));
    assert_false(holds(buf_str(&bytes), "hunter2"));
    assert_false(holds(buf_str(&bytes), "0123456789abcdef"));
    bundle_free(&b);
    buf_free(&bytes);
}

static void what_cannot_be_read_is_no_bundle(void **state)
{
    struct buf bytes = {0};
    struct err e = {0};
    assert_int_equal(daemon_bundle(at("a[1]/absent.conf"), &bytes, &e), -ERR_ABSENT);
    put("a[1]/huge.conf", "");
    assert_int_equal(truncate(at("a[1]/huge.conf"), CONF_MAX_FILE + 1), 0);
    assert_int_equal(daemon_bundle(at("a[1]/huge.conf"), &bytes, &e), -ERR_LIMIT);
    /* One that a pattern finds must not just be missing elsewhere. */
    assert_int_equal(rename(at("a[1]/huge.conf"), at("a[1]/conf.d/huge.conf")), 0);
    assert_int_equal(daemon_bundle(at("a[1]/main.conf"), &bytes, &e), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "conf.d/huge.conf"));
    unlink(at("a[1]/conf.d/huge.conf"));
    buf_free(&bytes);
}

static struct version version_of(uint64_t number, struct str bundle)
{
    struct version v = {.number = number, .when = 1, .who = "root", .node = "a"};
    snprintf(v.id, sizeof v.id, "%032llx", (unsigned long long)number);
    assert_true(bundle_digest(bundle, v.digest));
    return v;
}

static struct conf_place place(void)
{
    return (struct conf_place){at("b/own.conf"), at("state"), NULL};
}

static void a_node_compiles_it_with_its_own_secrets(void **state)
{
    struct buf bytes = {0};
    struct shared_conf s = {0};
    struct conf_problems problems = {0};
    struct conf_place p = place();
    struct view *v = NULL;
    struct err e = {0};
    collect(&bytes);
    struct version version = version_of(7, buf_str(&bytes));
    assert_int_equal(shared_conf_read(&s, &version, buf_str(&bytes), &e), 0);
    if (shared_conf_load(&p, &s, false, &v, &problems, &e))
        fail_msg("%s: %s", e.text, problems.n ? problems.list[0].text : "");
    assert_int_equal(v->version, 7);
    assert_int_equal(v->workers, 3);
    assert_int_equal(v->n_tokens, 0);
    assert_int_equal(v->n_services, 1);
    assert_true(str_eq(v->services[0].check.body, STR("other")));
    assert_true(str_eq(v->services[0].pages[0].body, STR("<p>sorry")));
    view_free(v);
    conf_problems_free(&problems);
    problems = (struct conf_problems){0};
    unlink(at("b/secret")); /* a secret that this machine has not */
    assert_int_equal(shared_conf_load(&p, &s, false, &v, &problems, &e), -ERR_INVAL);
    assert_non_null(strstr(e.text, "version 7"));
    assert_string_equal(problems.list[0].file, "conf.d/web.conf");
    assert_int_equal(problems.list[0].line, 3);
    put("b/secret", "other\n");
    conf_problems_free(&problems);
    shared_conf_free(&s);
    buf_free(&bytes);
}

static void keep(uint64_t number, const char *text)
{
    struct bundle b = {0};
    struct buf bytes = {0};
    struct err e = {0};
    assert_int_equal(bundle_add(&b, STR("main.conf"), str_of(text), &e), 0);
    assert_int_equal(bundle_encode(&b, &bytes, &e), 0);
    struct version v = version_of(number, buf_str(&bytes));
    if (kept_write(at("state"), &v, buf_str(&bytes), &e))
        fail_msg("%s", e.text);
    bundle_free(&b);
    buf_free(&bytes);
}

#define WEB(port) "service web { listen = http://127.0.0.1:" port "\nbackend 127.0.0.1:81 }\n"

/* The version that a start uses, and how many lines of notes there are. */
static uint64_t start_below(uint64_t below, unsigned *notes, char own[KEPT_OWN_TEXT])
{
    struct conf_place p = place();
    struct shared_start s = {.below = below};
    struct err e = {0};
    uint64_t number = UINT64_MAX;
    if (shared_conf_start(&p, &s, &e) == 0) {
        number = s.used.version.number;
        assert_int_equal(s.view->version, number);
        assert_true(str_eq(s.view->file, str_of(p.file)));
        if (own)
            assert_int_equal(s.view->workers, 3);
    } else {
        assert_true(e.code && e.text[0]);
    }
    *notes = 0;
    for (size_t i = 0; i < s.notes.n; i++)
        *notes += s.notes.p[i] == '\n';
    if (own)
        memcpy(own, s.own, KEPT_OWN_TEXT);
    shared_start_free(&s);
    return number;
}

static uint64_t start(unsigned *notes)
{
    return start_below(0, notes, NULL);
}

static void the_newest_that_the_machine_can_take_runs(void **state)
{
    unsigned notes;
    uint64_t numbers[KEPT_MAX];
    put("b/own.conf", WEB("90"));
    assert_int_equal(start(&notes), 0);
    keep(8, WEB("80"));
    keep(9, WEB("82"));
    assert_int_equal(start(&notes), 9);
    keep(10, "service web { listen = nonsense }\n");
    assert_int_equal(start(&notes), 9);
    assert_int_equal(notes, 1);
    put("state/config/0000000009", "{\"version\":9"); /* half of it */
    assert_int_equal(start(&notes), 8);
    assert_int_equal(notes, 2);
    put("state/config/0000000011", ""); /* of no version */
    put("state/config/12", "");         /* no name of one */
    assert_int_equal(kept_list(at("state"), numbers), 4);
    assert_int_equal(numbers[0], 11);
    kept_set_aside(at("state"), 11);
    assert_int_equal(access(at("state/config/0000000011.damaged"), F_OK), 0);
    kept_set_aside(at("state"), 9);
    kept_forget(at("state"), 10);
    assert_int_equal(kept_list(at("state"), numbers), 2); /* 10 and one before */
    kept_set_aside(at("state"), 8);
    assert_int_equal(start(&notes), UINT64_MAX); /* there is one, and it cannot be used */
    kept_set_aside(at("state"), 10);
    assert_int_equal(start(&notes), 0);
    put("b/own.conf", "workers = 3\n");
}

/* The first was refused by whoever was to use it. */
static void an_older_one_can_be_asked_for(void **state)
{
    unsigned notes;
    put("b/own.conf", "workers = 3\n");
    keep(8, WEB("80"));
    keep(9, "service web { listen = nonsense }\n");
    keep(10, WEB("82"));
    assert_int_equal(start(&notes), 10);
    assert_true(kept_has_below(at("state"), 10));
    assert_int_equal(start_below(10, &notes, NULL), 8);
    assert_int_equal(notes, 1);
    assert_false(kept_has_below(at("state"), 8));
    assert_int_equal(start_below(8, &notes, NULL), UINT64_MAX); /* never the own file */
    kept_set_aside(at("state"), 9);
    kept_set_aside(at("state"), 10);
}

static void keep_own(void)
{
    struct buf bytes = {0};
    struct err e = {0};
    if (daemon_bundle(at("b/own.conf"), &bytes, &e) ||
        kept_own_write(at("state"), buf_str(&bytes), &e))
        fail_msg("%s", e.text);
    buf_free(&bytes);
}

static void a_broken_own_file_keeps_no_version_from_running(void **state)
{
    static const char *const broken[] = {"workers = 3\nadmin {\n", "workers = banana\n",
                                         "\xff\xfe"};
    char own[KEPT_OWN_TEXT];
    unsigned notes;
    put("b/more.conf", "workers = 3\n");
    put("b/own.conf", "include \"more.conf\"\n");
    assert_int_equal(start_below(0, &notes, own), 8);
    assert_string_equal(own, "");
    put("b/own.conf", broken[0]);
    assert_int_equal(start(&notes), UINT64_MAX); /* what is local is not known */
    put("b/own.conf", "include \"more.conf\"\n");
    keep_own();
    keep_own();
    unlink(at("b/more.conf")); /* as it was */
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        put("b/own.conf", broken[i]);
        assert_int_equal(start_below(0, &notes, own), 8);
        assert_non_null(strstr(own, "own.conf:"));
        assert_int_equal(notes, 0);
    }
    unlink(at("b/own.conf"));
    assert_int_equal(start_below(0, &notes, own), 8);
    assert_non_null(strstr(own, "own.conf"));
    put("state/config/own", "HFB1 and no more");
    assert_int_equal(start(&notes), UINT64_MAX);
    kept_set_aside(at("state"), 8);
    assert_int_equal(start(&notes), UINT64_MAX); /* without a version only the own file does */
    put("b/own.conf", "workers = 3\n" WEB("90"));
    assert_int_equal(start(&notes), 0);
}

static void what_is_no_file_is_not_waited_for(void **state)
{
    unsigned notes;
    assert_int_equal(mkfifo(at("state/config/0000000020"), 0600), 0);
    put("b/own.conf", WEB("90"));
    assert_int_equal(start(&notes), 0);
    assert_int_equal(notes, 1);
    unlink(at("state/config/0000000020"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_has_every_file_and_no_secret),
        cmocka_unit_test(what_cannot_be_read_is_no_bundle),
        cmocka_unit_test(a_node_compiles_it_with_its_own_secrets),
        cmocka_unit_test(the_newest_that_the_machine_can_take_runs),
        cmocka_unit_test(an_older_one_can_be_asked_for),
        cmocka_unit_test(a_broken_own_file_keeps_no_version_from_running),
        cmocka_unit_test(what_is_no_file_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
