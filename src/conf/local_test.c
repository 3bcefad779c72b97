/* One configuration for all nodes, and what each node keeps for itself. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "conf/memory_env.h"

struct two {
    const struct memory_file *own, *shared;
    size_t n_own, n_shared;
};

static const char *why(const struct conf_problems *p)
{
    return p->n ? p->list[0].text : "";
}

static int load_two(const struct two *t, struct view **out, struct conf_problems *p, struct err *e)
{
    struct memory_world a = {t->own, t->n_own, NULL, 0}, b = {t->shared, t->n_shared, NULL, 0};
    struct conf_env own = memory_env(&a), shared = memory_env(&b);
    own.node = "a";
    return conf_load_shared(t->own[0].path, &own, t->shared[0].path, &shared, out, p, e);
}

static struct view *merged(const char *own, const char *shared)
{
    const struct memory_file mine[] = {{"/etc/own.conf", str_of(own)}, {"/etc/k", STR("")}};
    const struct memory_file all[] = {{"main.conf", str_of(shared)},
                                      {"k", STR("")},
                                      {"secret", STR("0123456789abcdef")},
                                      {"parts/1.conf", STR("backend 10.0.0.9:80")}};
    struct two t = {mine, all, ARRAY_LEN(mine), ARRAY_LEN(all)};
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    if (load_two(&t, &v, &p, &e))
        fail_msg("%s: %s", e.text, why(&p));
    conf_problems_free(&p);
    return v;
}

#define ALONE   "cluster prod { node a { address = 10.0.0.1 } }\n"
#define NODES   "node a { address = 10.0.0.1 zone = n }\nnode b { address = 10.0.0.2 }\n"
#define CLUSTER "cluster prod { key = file:k\n" NODES "}\n"
#define WEB(x)  "service web { listen = http://127.0.0.1:80\nbackend 10.0.0.1:80\n" x "\n}\n"

static void services_and_nodes_are_shared(void **state)
{
    struct view *v = merged("service old { listen = http://127.0.0.1:81\nbackend 10.0.0.1 }\n"
                            "cluster prod { node a { address = 10.0.0.7 } }\n",
                            CLUSTER WEB("include \"parts/*.conf\""));
    assert_int_equal(v->n_services, 1);
    assert_true(str_eq(v->services[0].name, STR("web")));
    assert_int_equal(v->services[0].n_instances, 2);
    assert_int_equal(v->cluster.n_nodes, 2);
    assert_true(str_eq(v->cluster.key_file, STR("/k")));
    assert_true(str_eq(v->zone, STR("n")));
    assert_true(str_eq(v->file, STR("/etc/own.conf")));
    view_free(v);
}

static void the_machine_is_its_own(void **state)
{
    struct view *v =
        merged("workers = 3 zone = east\n", CLUSTER "workers = 9 zone = west\n"
                                                    "admin { listen = http://127.0.0.1:9\n"
                                                    "token t { secret = file:secret } }\n" WEB(""));
    assert_int_equal(v->workers, 3);
    assert_true(str_eq(v->zone, STR("east")));
    assert_int_equal(v->n_tokens, 0);
    for (uint32_t i = 0; i < v->n_sockets; i++)
        assert_int_not_equal(v->sockets[i].use, SOCKET_ADMIN);
    view_free(v);
}

static void what_is_local_is_left_out_when_nobody_says_it(void **state)
{
    struct view *v = merged("", CLUSTER "workers = 9 zone = west\n" WEB(""));
    assert_int_equal(v->workers, 4);
    assert_true(str_eq(v->zone, STR("n")));
    view_free(v);
}

static void only_what_counts_is_asked_for(void **state)
{
    struct view *v =
        merged("service old { check { body = file:absent } }\n"
               "service web { access-log = /l  balance = env:ABSENT }\n",
               "admin { token t { secret = file:absent } }\n" ALONE WEB("access-log = env:ABSENT"));
    assert_int_equal(v->n_services, 1);
    assert_int_equal(v->n_tokens, 0);
    view_free(v);
    v = merged("", ALONE WEB("check { http = /h body = file:secret }"));
    assert_true(str_eq(v->services[0].check.body, STR("0123456789abcdef")));
    view_free(v);
}

static struct str log_path(const struct view *v)
{
    int32_t i = v->services[0].access_log;
    return i < 0 ? STR("off") : str_of(v->sockets[i].addr.path);
}

static void keys_and_logs_are_the_own_files_first(void **state)
{
    struct view *v = merged("cluster prod { key = file:/etc/k\nnode a { address = 10.0.0.1 } }\n"
                            "service web { access-log = /own.log }\n",
                            CLUSTER WEB("access-log = /shared.log"));
    assert_true(str_eq(v->cluster.key_file, STR("/etc/k")));
    assert_true(str_eq(log_path(v), STR("/own.log")));
    view_free(v);
    v = merged("service web { access-log = off }\n", CLUSTER WEB("access-log = /shared.log"));
    assert_true(str_eq(log_path(v), STR("off")));
    view_free(v);
    v = merged("service other { access-log = /own.log }\n",
               CLUSTER WEB("access-log = /shared.log"));
    assert_true(str_eq(log_path(v), STR("/shared.log")));
    view_free(v);
}

static void expect_problem(const char *own, const char *shared, const char *file, const char *text)
{
    const struct memory_file mine = {"/etc/own.conf", str_of(own)};
    const struct memory_file all = {"main.conf", str_of(shared)};
    struct two t = {&mine, &all, 1, 1};
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    assert_int_not_equal(load_two(&t, &v, &p, &e), 0);
    assert_null(v);
    assert_true(p.n > 0);
    if (strcmp(p.list[0].file, file) != 0 || !strstr(p.list[0].text, text))
        fail_msg("%s: %s", p.list[0].file, p.list[0].text);
    conf_problems_free(&p);
}

static void problems_name_the_file_that_they_are_in(void **state)
{
    expect_problem("workers = 0\n", ALONE WEB(""), "/etc/own.conf", "out of range");
    expect_problem("", ALONE WEB("balance = x"), "main.conf", "balance");
    expect_problem("oops {", ALONE WEB(""), "/etc/own.conf", "never closed");
    expect_problem("", "include \"absent.conf\"\n" ALONE WEB(""), "main.conf", "absent.conf");
    /* A file of the other world is not there. */
    expect_problem("", "cluster prod { key = file:/etc/own.conf\n" NODES "}\n" WEB(""), "main.conf",
                   "does not exist");
}

static void memory_may_end_anywhere(void **state)
{
    const struct memory_file mine = {"own", STR("workers = 2\nservice web { access-log = /l }\n")};
    const struct memory_file all[] = {{"main.conf", STR(CLUSTER WEB("access-log = /shared.log"))},
                                      {"k", STR("")}};
    struct two t = {&mine, all, 1, 2};
    for (unsigned long n = 1;; n++) {
        struct conf_problems p = {0};
        struct view *v = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = load_two(&t, &v, &p, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(rc, failed ? -ERR_NOMEM : 0);
        view_free(v);
        conf_problems_free(&p);
        if (!failed)
            return;
    }
}

/* voters: of one letter each. */
static void expect_risks(const char *now, const char *next, const char *voters, const char *want)
{
    struct str names[8];
    uint32_t n_voters = 0;
    for (const char *p = voters; *p; p++)
        names[n_voters++] = (struct str){p, 1};
    struct view *a = merged("", now), *b = merged("", next);
    struct buf out = {0};
    int n = conf_risks(a, b, names, n_voters, &out), lines = 0;
    buf_add(&out, "", 1);
    assert_string_equal(out.p, want);
    for (const char *p = want; *p; p++)
        lines += *p == '\n';
    assert_int_equal(n, lines);
    buf_free(&out);
    view_free(a);
    view_free(b);
}

#define API "service api { listen = http://127.0.0.1:81\nbackend 10.0.0.1 }\n"

static void what_takes_something_away_is_told(void **state)
{
    expect_risks(CLUSTER WEB(""), CLUSTER WEB("balance = random") API, "a", "");
    expect_risks(CLUSTER WEB("") API, CLUSTER WEB(""), "a", "service api stops: it is removed\n");
    expect_risks(CLUSTER WEB("dynamic = yes"),
                 CLUSTER "service web { listen = http://127.0.0.1:80\ndynamic = yes }\n", "a",
                 "service web loses its last backend\n");
    expect_risks(CLUSTER WEB(""),
                 CLUSTER "service api { listen = http://127.0.0.1:80\nroute r { to = web } }\n"
                         "service web { backend 10.0.0.1 }\n",
                 "a", "service web stops: it listens nowhere any more\n");
    expect_risks("cluster prod { key = file:k\n" NODES "node c { address = 10.0.0.3 } }\n" WEB(""),
                 CLUSTER WEB(""), "abc", "node c leaves the cluster\n");
    expect_risks(CLUSTER WEB(""), "cluster prod { node a { address = 10.0.0.1 } }\n" WEB(""), "a",
                 "node b leaves the cluster\n");
    expect_risks(CLUSTER WEB(""), "cluster prod { node a { address = 10.0.0.1 } }\n" WEB(""), "b",
                 "node b leaves the cluster\n"
                 "0 of 1 voters stay: no majority of those that vote now\n");
    expect_risks(CLUSTER WEB(""), CLUSTER WEB(""), "abcd",
                 "2 of 4 voters stay: no majority of those that vote now\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_and_nodes_are_shared),
        cmocka_unit_test(the_machine_is_its_own),
        cmocka_unit_test(what_is_local_is_left_out_when_nobody_says_it),
        cmocka_unit_test(only_what_counts_is_asked_for),
        cmocka_unit_test(keys_and_logs_are_the_own_files_first),
        cmocka_unit_test(problems_name_the_file_that_they_are_in),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(what_takes_something_away_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
