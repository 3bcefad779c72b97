#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/memory_env.h"

static struct view *load(const char *text)
{
    const struct memory_file f[] = {{"web.conf", str_of(text)}, {"k", STR("")}, {"k2", STR("")}};
    static const char *const variables[] = {
        "TOKEN",  "hunter2",           "OTHER", "hunter3", "LONG", "0123456789abcdef",
        "LONGER", "0123456789abcdefg", NULL};
    struct memory_world w = {f, ARRAY_LEN(f), variables, 0};
    struct conf_env env = memory_env(&w);
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    if (conf_load(f[0].path, &env, &v, &p, &e))
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

#define CLUSTER(x) WEB("") "cluster prod {\nkey = file:k\n" x "\n}\n"
#define NODE_A     "node a { address = 10.0.0.1 }\n"
#define NODE_B     "node b { address = 10.0.0.2 }\n"

static void nodes_of_a_cluster(void **state)
{
    expect(CLUSTER(NODE_A NODE_B), CLUSTER(NODE_B "heartbeat = 50ms\n" NODE_A "port = 7300"), "");
    expect(WEB(""), CLUSTER(NODE_A NODE_B), "cluster prod: added, 2 nodes, this one is a\n");
    expect(CLUSTER(NODE_A), WEB(""), "cluster prod: removed\n");
    expect(CLUSTER(NODE_A NODE_B),
           CLUSTER(NODE_A "node d { address = 10.0.0.4:7301 role = witness }"),
           "cluster prod: node b removed\n"
           "cluster prod: node d added (10.0.0.4:7301, witness)\n");
    expect(CLUSTER(NODE_A NODE_B),
           WEB("") "cluster prod { key = file:k2; heartbeat = 100ms; suspect-after = 2s\n" NODE_A
                   "node b { address = \"[fd00::2]\" role = witness zone = x } }",
           "cluster prod: node b address 10.0.0.2:7300 -> [fd00::2]:7300\n"
           "cluster prod: node b role member -> witness\n"
           "cluster prod: node b zone - -> x\n"
           "cluster prod: heartbeat 50ms -> 100ms\n"
           "cluster prod: suspect-after 200ms -> 2s\n"
           "cluster prod: lease 300ms -> 600ms\n"
           "cluster prod: key /k -> /k2\n");
    expect(CLUSTER(NODE_A NODE_B), CLUSTER(NODE_A NODE_B "coordinator = none; voters = {b}"),
           "cluster prod: coordinator managed -> none\n"
           "cluster prod: voters chosen -> b\n");
    expect(CLUSTER(NODE_A "coordinator = {http://a:1, http://b:2}"),
           CLUSTER(NODE_A "coordinator = https://c:1; coordinator-user = u\n"
                          "coordinator-password = file:k"),
           "cluster prod: coordinator http://a:1, http://b:2 -> https://c:1\n"
           "cluster prod: coordinator-user - -> u\n"
           "cluster prod: coordinator-password - -> /k\n");
    expect(CLUSTER(NODE_B "node a { address = 10.0.0.1 zone = n }"),
           CLUSTER(NODE_B "node a { address = 10.0.0.1:7301 zone = s }"),
           "zone n -> s\n"
           "cluster prod: node a address 10.0.0.1:7300 -> 10.0.0.1:7301\n"
           "cluster prod: node a zone n -> s\n");
}

static void watched_jobs(void **state)
{
    expect(WEB("") "beat a { every = 1m }\n",
           WEB("") "beat a { every = 60s grace = 30s }\nbeats { }\n", "");
    expect(WEB("") "beat a { every = 1m }\nbeats { listen = udp://127.0.0.1:7301 }\n",
           WEB("") "beat b { every = 1m }\nbeats { listen = {tcp://127.0.0.1:7301} }\n",
           "beats: - listen udp://127.0.0.1:7301\n"
           "beats: + listen tcp://127.0.0.1:7301\n"
           "- beat a\n"
           "+ beat b\n");
    expect(WEB("") "beat a { every = 1m }\n",
           WEB("") "beat a { every = 2m grace = 5s token = env:LONG }\n",
           "beat a: every 1m -> 2m\n"
           "beat a: grace 30s -> 5s\n"
           "beat a: has a token now\n");
    expect(WEB("") "beat a { every = 1m token = env:LONG }\n",
           WEB("") "beat a { every = 1m token = env:LONGER }\n", "beat a: token changed\n");
    expect(WEB("") "beat a { every = 1m token = env:LONG }\n", WEB("") "beat a { every = 1m }\n",
           "beat a: has no token any more\n");
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

#define OTHERS                                                                                     \
    "service api { listen = http://127.0.0.1:2\nbackend 10.0.1.1 }\n"                              \
    "service next { listen = http://127.0.0.1:3\nbackend 10.0.1.2 }\n"

static void rules(void **state)
{
    expect(WEB("request-set = {\"X: a\", \"Y: b\"}  request-add = {\"Z: 1\", \"Z: 2\"}\n"
               "response-remove = Server  rate { requests = 5 }  rate { requests = 6 }\n"
               "mirror = api") OTHERS,
           WEB("request-set = {\"x: c\", \"W: b\"}  request-add = {\"Z: 2\", \"Z: 3\"}\n"
               "rate { requests = 6 }  rate { requests = 5 per = header:K  burst = 7 }\n"
               "mirror = next  hedge-after = 50ms  idempotent = yes") OTHERS,
           "service web: - request-set Y \"b\"\n"
           "service web: - request-add Z \"1\"\n"
           "service web: request-set X \"a\" -> \"c\"\n"
           "service web: + request-set W \"b\"\n"
           "service web: + request-add Z \"3\"\n"
           "service web: - response-remove Server\n"
           "service web: - rate { per = address requests = 5 every = 1s burst = 5 keys = 16384 }\n"
           "service web: + rate { per = header:K requests = 5 every = 1s burst = 7 keys = 16384 }\n"
           "service web: mirror api -> next\n"
           "service web: idempotent no -> yes\n"
           "service web: hedge-after 0 -> 50ms\n");
    expect(WEB("") OTHERS, WEB("mirror = api mirror-share = 5%") OTHERS,
           "service web: mirror none -> api\n");
    expect(WEB("mirror = api") OTHERS, WEB("mirror = api mirror-share = 5%") OTHERS,
           "service web: mirror-share 100% -> 5%\n");
    expect(WEB(""),
           WEB("sticky { cookie = S }  concurrency { requests = 5 }  breaker { failed = 50% }"),
           "service web: concurrency requests 0 -> 5\n"
           "service web: breaker failed 0% -> 50%\n"
           "service web: sticky cookie \"\" -> \"S\"\n"
           "service web: sticky mode off -> insert\n");
    expect(WEB("error-page 503 { text = a }  error-page 4xx { text = b }"),
           WEB("error-page 503 { text = c }  error-page 500 { text = b }"),
           "service web: - error-page 4xx\nservice web: error-page 503 changed\n"
           "service web: + error-page 500\n");
}

static void routes(void **state)
{
    expect(WEB("route a { path = /a }\nroute b { path = /b }\nroute c { path = /c }\n"
               "route d { redirect = /x }") OTHERS,
           WEB("route e { path = /e  to = {api:95, next:5} }\nroute c { path = /c  to = api }\n"
               "route b { path = {/b, \"=/d\"}  method = GET  request-set = \"X: y\"\n"
               "rate { requests = 5 every = 1m } }\nroute d { respond = 503  text = x }") OTHERS,
           "service web: - route a\n"
           "service web: + route e to {api:95, next:5}\n"
           "service web: route c to own backends -> to api\n"
           "service web: route b path /b -> {/b, \"=/d\"}\n"
           "service web: route b method any -> GET\n"
           "service web: route b + request-set X \"y\"\n"
           "service web: route b + rate { per = address requests = 5 every = 1m burst = 5 keys = "
           "16384 }\n"
           "service web: route d type \"\" -> \"text/plain; charset=utf-8\"\n"
           "service web: route d redirect 302 \"/x\" -> respond 503\n"
           "service web: route d text changed\n"
           "service web: routes are in another order\n");
    expect(WEB("route a { to = {api:1, next:2} }") OTHERS,
           WEB("route a { to = {api:1, next:3} }") OTHERS,
           "service web: route a to {api:1, next:2} -> to {api:1, next:3}\n");
    /* A service moves: the same names. */
    expect(WEB("mirror = api\nroute a { to = next }") OTHERS,
           "service first { listen = http://127.0.0.1:1; backend 10.0.0.1\n}\n" WEB(
               "mirror = api\nroute a { to = next }") OTHERS,
           "service first: added, 1 backend\n");
}

static void secret_rules_stay_hidden(void **state)
{
    expect(WEB("request-set = \"Authorization: ${TOKEN}\""),
           WEB("request-set = \"Authorization: ${OTHER}\""),
           "service web: request-set Authorization changed\n");
    expect(WEB("request-set = \"Authorization: ${TOKEN}\""),
           WEB("request-set = \"Authorization: x\"  request-add = \"A: b\""),
           "service web: request-set Authorization changed\nservice web: + request-add A\n");
    expect(WEB(""), WEB("request-set = \"Authorization: ${TOKEN}\""),
           "service web: + request-set Authorization\n");
    expect(WEB("route a { header = \"x: ${TOKEN}\"  redirect = \"/${TOKEN}\" }"),
           WEB("route a { header = \"x: ${OTHER}\"  redirect = \"/${OTHER}\" }"),
           "service web: route a header changed\nservice web: route a redirect changed\n");
    expect(WEB(""), WEB("route a { path = /  redirect = \"/${OTHER}\" }"),
           "service web: + route a redirect 302\n");
    expect(WEB("error-page 503 { text = env:TOKEN }"), WEB("error-page 503 { text = env:OTHER }"),
           "service web: error-page 503 changed\n");
}

static void memory_may_run_out(void **state)
{
    const char *const next[] = {WEB("balance = random"), WEB("route a { }"),
                                WEB("route b { respond = 204 }")};
    for (size_t i = 0; i < ARRAY_LEN(next); i++) {
        struct view *a = load(WEB("route b { redirect = / }")), *b = load(next[i]);
        for (long n = 1, failed = 1; failed; n++) {
            struct buf out = {0};
            mem_fail_at(n);
            int rc = conf_diff(a, b, &out);
            failed = mem_failed();
            mem_fail_at(0);
            assert_true(failed ? rc == -ERR_NOMEM : rc > 0);
            buf_free(&out);
        }
        view_free(a);
        view_free(b);
    }
}

#define THREE    "cluster prod {\nkey = file:k\n" NODE_A NODE_B "node c { address = 10.0.0.3 }\n"
#define CACHE(x) THREE "}\nservice cache { listen = tcp://0.0.0.0:26379\n" x "\n}\n"
#define BESIDE   THREE "node aa { address = 10.0.0.4 }\n}\n"

static void a_service_with_an_agent(void **state)
{
    static const char *const redis = CACHE("agent = redis");
    expect(redis, CACHE("agent = redis  on = {a, b, c}  port = 6379  sync = 0"), "");
    expect(NULL, CACHE("agent = redis  on = {b, a}"),
           "cluster prod: added, 3 nodes, this one is a\n"
           "service cache: added, redis on b, a\n");
    expect(CACHE("agent = redis  on = {a, b}"), CACHE("agent = redis  on = {c, b}"),
           "service cache: runs no more on a (its instance there stops)\n"
           "service cache: may now run on c\n");
    expect(redis, CACHE("agent = redis  on = {c, a, b}"), "service cache: prefers c, a, b\n");
    /* the same nodes at other places of the view's table */
    expect(CACHE("agent = redis  on = {a, b}"),
           BESIDE "service cache { listen = tcp://0.0.0.0:26379; agent = redis; on = {a, b} }",
           "cluster prod: node aa added (10.0.0.4:7300)\n");
    expect(redis,
           CACHE("agent = redis  port = 6380  sync = 1  strict = yes  hang-after = 2s\n"
                 "vip = 10.0.0.100/24  vip-interface = eth0  failback = yes  lag-bytes = 1m\n"
                 "hook = {/bin/told}"),
           "service cache: port 6379 -> 6380\n"
           "service cache: sync 0 -> 1\n"
           "service cache: strict no -> yes\n"
           "service cache: lag-bytes 0 -> 1m\n"
           "service cache: vip-interface \"\" -> \"eth0\"\n"
           "service cache: hang-after 600ms -> 2s\n"
           "service cache: failback no -> yes\n"
           "service cache: vip - -> 10.0.0.100/24\n"
           "service cache: hook changed\n");
    expect(CACHE("agent = process  port = 80  command = {/bin/a, b}"),
           CACHE("agent = process  port = 80  command = {/bin/a, c}"),
           "service cache: command changed\n");
    expect(CACHE("backend 10.0.0.1:80; check = none"), redis,
           "service cache: - backend 10.0.0.1:80\n"
           "service cache: agent none -> redis, on a, b, c\n");
    expect(THREE "lease = 400ms\n}\n", THREE "lease = 500ms  demotion = 50ms\n}\n",
           "cluster prod: lease 400ms -> 500ms\n"
           "cluster prod: demotion 100ms -> 50ms\n");
}

static void expect_risks(const char *now, const char *next, const char *risks)
{
    struct view *a = load(now), *b = load(next);
    struct buf out = {0};
    assert_true(conf_risks(a, b, NULL, 0, &out) >= 0);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, risks);
    buf_free(&out);
    view_free(a);
    view_free(b);
}

static void what_a_primary_loses(void **state)
{
    static const char *const redis = CACHE("agent = redis  sync = 2");
    expect_risks(redis, redis, "");
    expect_risks(redis, THREE "}\n",
                 "service cache stops: it is removed, and its instances stop; data stays\n");
    expect_risks(redis, CACHE("agent = redis  on = {a, b}  sync = 1"),
                 "service cache waits for fewer replicas\n");
    expect_risks(redis, CACHE("agent = redis  on = b"),
                 "service cache runs on one node only: nobody can take over\n"
                 "service cache waits for no replica: what was acknowledged may be lost with the "
                 "primary\n");
    expect_risks(CACHE("agent = redis  on = {a, b}"), CACHE("agent = redis  on = {c}"),
                 "service cache leaves all of its nodes: its data stays behind\n");
    expect_risks(redis, CACHE("backend 10.0.0.1:80"),
                 "service cache stops its instances: it gets another agent, or none\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes),
        cmocka_unit_test(nodes_of_a_cluster),
        cmocka_unit_test(watched_jobs),
        cmocka_unit_test(services_and_backends),
        cmocka_unit_test(settings),
        cmocka_unit_test(checks),
        cmocka_unit_test(secrets_stay_hidden),
        cmocka_unit_test(rules),
        cmocka_unit_test(routes),
        cmocka_unit_test(secret_rules_stay_hidden),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(a_service_with_an_agent),
        cmocka_unit_test(what_a_primary_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
