#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/memory_env.h"

static struct view *load(const char *text)
{
    struct memory_file f = {"web.conf", str_of(text)};
    static const char *const variables[] = {"TOKEN", "hunter2", "OTHER", "hunter3", NULL};
    struct memory_world w = {&f, 1, variables, 0};
    struct conf_env env = memory_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    if (conf_load(f.path, &env, &v, &p, &e))
        fail_msg("%s: %s", e.text, p.n ? p.list[0].text : "");
    conf_problems_free(&p);
    return v;
}

static void expect(const char *now, const char *next, const char *changes)
{
    struct view *a = now ? load(now) : NULL, *b = load(next);
    struct buf out = {0};
    int n = conf_diff(a, b, &out), lines = 0;
    buf_add(&out, "", 1);
    assert_string_equal(out.p, changes);
    for (const char *p = changes; *p; p++)
        lines += *p == '\n';
    assert_int_equal(n, lines);
    buf_free(&out);
    view_free(a);
    view_free(b);
}

#define LISTEN   "listen = http://127.0.0.1:8080\n"
#define BACKENDS "backend 10.0.0.1:80\nbackend 10.0.0.2:80 { name = b weight = 2 }\n"
#define WEB(x)   "service web {\n" LISTEN BACKENDS x "\n}\n"

static void nothing_changes(void **state)
{
    expect(WEB(""), WEB("balance = least-requests  timeout { idle = 1m }  check { }"), "");
    expect(WEB("check { http = /x body = env:TOKEN }"), WEB("check { http = /x body = env:TOKEN }"),
           "");
}

static void services_and_backends(void **state)
{
    expect(NULL, WEB(""), "service web: added, 2 backends\n");
    expect(WEB(""), "service api { " LISTEN "backend 10.0.0.9\n}",
           "service api: added, 1 backend\nservice web: removed\n");
    expect(WEB(""),
           "service web { listen = http://127.0.0.1:8080\nlisten = http://[::1]:8080\n"
           "backend 10.0.0.3:80\nbackend 10.0.0.4:80 { name = b weight = 3 }\n"
           "backend 10.0.0.5:80 { name = c }\n}",
           "service web: + listen http://[::1]:8080\n"
           "service web: - backend 10.0.0.1:80\n"
           "service web: + backend 10.0.0.3:80\n"
           "service web: backend b address 10.0.0.2:80 -> 10.0.0.4:80\n"
           "service web: backend b weight 2 -> 3\n"
           "service web: + backend c (10.0.0.5:80)\n");
    expect(
        "service web { listen = http://unix:/run/a\n" BACKENDS "}", WEB(""),
        "service web: - listen http://unix:/run/a\nservice web: + listen http://127.0.0.1:8080\n");
}

static void settings(void **state)
{
    expect(WEB(""),
           WEB("balance = random  access-log = /var/log/a\n"
               "timeout { first-byte = 1s }  limit { head = 20000 }\n"
               "retry { on = {connect, 5xx} budget = 12.5% }  eject { after = 0 share = 10% }"),
           "service web: balance least-requests -> random\n"
           "service web: timeout first-byte 30s -> 1s\n"
           "service web: retry on {connect, reset, timeout} -> {connect, 5xx}\n"
           "service web: retry budget 20% -> 12.5%\n"
           "service web: eject after 5 -> 0\n"
           "service web: eject share 70% -> 10%\n"
           "service web: limit head 16k -> 20000\n"
           "service web: access-log off -> /var/log/a\n");
    expect(WEB("access-log = /var/log/a"), WEB("retry { on = none }"),
           "service web: retry on {connect, reset, timeout} -> none\n"
           "service web: access-log /var/log/a -> off\n");
    expect("workers = 2\nadmin { metrics = http://127.0.0.1:1 }\n" WEB(""),
           "workers = 3\nadmin { metrics = http://127.0.0.1:2 }\n" WEB(""),
           "workers 2 -> 3\nadmin: - metrics http://127.0.0.1:1\n"
           "admin: + metrics http://127.0.0.1:2\n");
}

static void checks(void **state)
{
    expect(WEB(""), WEB("check = none"), "service web: check tcp -> none\n");
    expect(WEB("check = none"), WEB("check { every = 5s }"), "service web: check none -> tcp\n");
    expect(WEB(""), WEB("check { http = /a status = 200-299 rise = 4 }"),
           "service web: check tcp -> http\nservice web: check http \"\" -> \"/a\"\n"
           "service web: check rise 2 -> 4\nservice web: check status 200-399 -> 200-299\n");
    expect(WEB("check { http = /a body = ok }"),
           WEB("check { http = /b body = \"a \\\"b\\\"\\n\" }"),
           "service web: check http \"/a\" -> \"/b\"\n"
           "service web: check body \"ok\" -> \"a \\\"b\\\"\\n\"\n");
}

static void secrets_stay_hidden(void **state)
{
    expect(WEB("check { http = /a body = env:TOKEN }"), WEB("check { http = /b body = env:OTHER }"),
           "service web: check http changed\nservice web: check body changed\n");
    expect(WEB("check { http = /a body = env:TOKEN }"), WEB("check { http = /a body = x }"),
           "service web: check body changed\n");
    expect(WEB("check { http = /a }"), WEB("check { http = \"/${TOKEN}\" }"),
           "service web: check http changed\n");
}

static void memory_may_run_out(void **state)
{
    struct view *a = load(WEB("")), *b = load(WEB("balance = random"));
    struct buf out = {0};
    mem_fail_at(1);
    assert_int_equal(conf_diff(a, b, &out), -ERR_NOMEM);
    mem_fail_at(0);
    buf_free(&out);
    view_free(a);
    view_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes),
        cmocka_unit_test(services_and_backends),
        cmocka_unit_test(settings),
        cmocka_unit_test(checks),
        cmocka_unit_test(secrets_stay_hidden),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
