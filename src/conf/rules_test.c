/* What the rules of HTTP traffic mean: every setting in its field, names of services as indices,
 * and neither memory that runs out nor size makes anything else of them than an error. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/memory_env.h"

#define MS         1000000ull
#define S          (1000 * MS)
#define OTHERS     "service api { backend 10.0.1.1 }\nservice next { backend 10.0.1.2 }\n"
#define ROUTE(x)   "route r { " x " }\n"
#define SERVICE(x) "service web { listen = http://127.0.0.1:8080\nbackend 10.0.0.1\n" x "\n}\n"

static const char *const variables[] = {"TOKEN", "hunter2", "L", "http://127.0.0.1:1", NULL};

static int load(struct memory_world *w, struct view **out, struct conf_problems *p, struct err *e)
{
    struct conf_env env = memory_env(w);
    return conf_load(w->files[0].path, &env, out, p, e);
}

static struct view *good(const char *text)
{
    const struct memory_file files[] = {{"etc/web.conf", str_of(text)},
                                        {"etc/pages/503.html", STR("<p>later</p>\n")},
                                        {"etc/pages/empty.json", STR("")}};
    struct memory_world w = {files, 3, variables, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    struct err e = {0};
    if (load(&w, &v, &p, &e)) {
        struct buf b = {0};
        conf_problems_print(&p, false, &b);
        fail_msg("%s\n%.*s", e.text, STR_ARG(buf_str(&b)));
    }
    conf_problems_free(&p);
    return v;
}

static void assert_words(const struct view_words *w, const char *expected)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < w->n; i++)
        buf_printf(&b, "%s" STR_FMT, i ? "|" : "", STR_ARG(w->list[i]));
    buf_add(&b, "", 1);
    assert_string_equal(b.p, expected);
    buf_free(&b);
}

static void assert_str(struct str s, const char *expected)
{
    if (!str_eq(s, str_of(expected)))
        fail_msg("'" STR_FMT "' is not '%s'", STR_ARG(s), expected);
}

static void without_rules(void **state)
{
    struct view *v = good(SERVICE(""));
    const struct view_service *s = &v->services[0];
    assert_int_equal(s->n_routes, 0);
    assert_int_equal(s->n_pages, 0);
    assert_int_equal(s->rules.n_request + s->rules.n_response + s->rules.n_rates, 0);
    assert_int_equal(s->rules.mirror_permille, 0);
    assert_false(s->rules.idempotent);
    assert_int_equal(s->rules.hedge_after, 0);
    assert_int_equal(s->rules.hedge_permille, 0);
    assert_int_equal(s->admit.requests, 0);
    assert_int_equal(s->admit.per_instance, 0);
    assert_int_equal(s->admit.queue, 1000);
    assert_int_equal(s->admit.wait, 5 * S);
    assert_int_equal(s->breaker.failed_permille, 0);
    assert_int_equal(s->sticky.kind, STICKY_OFF);
    assert_int_equal(s->eject.slow_permille, 0);
    assert_int_equal(s->instances[0].max_requests, 0);
    view_free(v);
}

static void limits_of_a_service(void **state)
{
    struct view *v =
        good("service web { listen = http://127.0.0.1:8080\n"
             "backend 10.0.0.1 { max-requests = 50 }\n"
             "concurrency { requests = 500  per-backend = 100  queue = 200  wait = 2s }\n"
             "breaker { failed = 50%  least = 30  window = 20s  rest = 3s }\n"
             "sticky { cookie = SRV  ttl = 1h  secure = yes }\n"
             "eject { slow = 300%  slow-least = 50ms } }\n"
             "service two { listen = http://127.0.0.1:8081; backend 10.0.0.1\n"
             "sticky { cookie = JSESSIONID  mode = learn } }\n"
             "service off { listen = http://127.0.0.1:8082; backend 10.0.0.1\n"
             "sticky { cookie = X  mode = off } }\n");
    const struct view_service *s = &v->services[0];
    assert_int_equal(s->admit.requests, 500);
    assert_int_equal(s->admit.per_instance, 100);
    assert_int_equal(s->admit.queue, 200);
    assert_int_equal(s->admit.wait, 2 * S);
    assert_int_equal(s->breaker.failed_permille, 500);
    assert_int_equal(s->breaker.least, 30);
    assert_int_equal(s->breaker.window, 20 * S);
    assert_int_equal(s->breaker.rest, 3 * S);
    assert_int_equal(s->sticky.kind, STICKY_INSERT);
    assert_str(s->sticky.cookie, "SRV");
    assert_int_equal(s->sticky.ttl, 3600 * S);
    assert_true(s->sticky.secure);
    assert_int_equal(s->eject.slow_permille, 3000);
    assert_int_equal(s->eject.slow_least, 50 * MS);
    assert_int_equal(s->instances[0].max_requests, 50);
    assert_int_equal(v->services[1].sticky.kind, STICKY_LEARN);
    assert_int_equal(v->services[1].sticky.ttl, 3600 * S);
    assert_int_equal(v->services[2].sticky.kind, STICKY_OFF);
    view_free(v);
}

/* Removed, then set, then added, however the file has them. */
static void header_fields(void **state)
{
    struct view *v = good(SERVICE("request-add = {\"X-A: 1\", \"X-A: 2\"}\n"
                                  "request-set = \"Host:  inner.example:80 \"\n"
                                  "request-remove = {Cookie, X-A}\n"
                                  "response-set = \"X-Id: {request-id}{{\""));
    const struct view_rules *r = &v->services[0].rules;
    static const struct {
        uint8_t op;
        const char *name, *value;
    } want[] = {{EDIT_REMOVE, "Cookie", ""},
                {EDIT_REMOVE, "X-A", ""},
                {EDIT_SET, "Host", "inner.example:80"},
                {EDIT_ADD, "X-A", "1"},
                {EDIT_ADD, "X-A", "2"}};
    assert_int_equal(r->n_request, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(r->request[i].op, want[i].op);
        assert_str(r->request[i].name, want[i].name);
        assert_str(r->request[i].value, want[i].value);
    }
    assert_int_equal(r->n_response, 1);
    assert_str(r->response[0].value, "{request-id}{{");
    assert_false(r->secret);
    view_free(v);
}

static void rates(void **state)
{
    struct view *v =
        good(SERVICE("rate { requests = 100 }\n"
                     "rate { requests = 7 every = 1m burst = 3 keys = 9 per = all }\n" ROUTE(
                         "rate { requests = 1 per = header:X-Key }")));
    const struct view_rate *r = v->services[0].rules.rates;
    assert_int_equal(v->services[0].rules.n_rates, 2);
    assert_int_equal(r[0].per.kind, HASH_SOURCE);
    assert_int_equal(r[0].requests, 100);
    assert_int_equal(r[0].burst, 100); /* as requests */
    assert_int_equal(r[0].every, S);
    assert_int_equal(r[0].keys, 16384);
    assert_int_equal(r[1].per.kind, HASH_NONE);
    assert_int_equal(r[1].requests, 7);
    assert_int_equal(r[1].every, 60 * S);
    assert_int_equal(r[1].burst, 3);
    assert_int_equal(r[1].keys, 9);
    r = v->services[0].routes[0].rules.rates;
    assert_int_equal(v->services[0].routes[0].rules.n_rates, 1);
    assert_int_equal(r[0].per.kind, HASH_HEADER);
    assert_str(r[0].per.name, "X-Key");
    view_free(v);
}

static void conditions(void **state)
{
    struct view *v = good(SERVICE(ROUTE("host = {API.Example.com, \"*.Example.org\"}\n"
                                        "path = {/v1, \"=/exact\", \"*.png\"}\n"
                                        "method = {GET, POST}\n"
                                        "header = {\"X-Beta:yes\", \"!X-Old\", X-Any}\n"
                                        "query = \"beta=1\"  cookie = {group, \"a=b=c\"}")));
    const struct view_match *m = &v->services[0].routes[0].match;
    assert_words(&m->hosts, "api.example.com|*.example.org");
    assert_words(&m->paths, "/v1|=/exact|*.png");
    assert_words(&m->methods, "GET|POST");
    assert_words(&m->headers, "x-beta: yes|!x-old|x-any");
    assert_words(&m->queries, "beta=1");
    assert_words(&m->cookies, "group|a=b=c");
    view_free(v);
}

static void where_routes_lead(void **state)
{
    struct view *v =
        good(SERVICE("route one { path = /a  to = api }\n"
                     "route both { path = /b  to = {next:5, api:95, web} }\n"
                     "route old { path = /c  redirect = \"https://{host}/n{rest}\" }\n"
                     "route gone { path = /d  redirect = /e  status = 308 }\n"
                     "route maint { path = /f  respond = 503  text = \"Back soon.\" }\n"
                     "route page { path = /g  respond = 200  file = pages/503.html }\n"
                     "route own { rewrite = /x  path = / }\n") OTHERS);
    const struct view_route *r = v->services[0].routes;
    assert_int_equal(v->services[0].n_routes, 7);
    assert_str(r[0].name, "one");
    assert_int_equal(r[0].action, ROUTE_FORWARD);
    assert_int_equal(r[0].n_targets, 1);
    assert_int_equal(r[0].targets[0].service, 1);
    assert_int_equal(r[0].targets[0].weight, 1);
    assert_int_equal(r[1].n_targets, 3);
    assert_int_equal(r[1].targets[0].service, 2);
    assert_int_equal(r[1].targets[0].weight, 5);
    assert_int_equal(r[1].targets[1].service, 1);
    assert_int_equal(r[1].targets[1].weight, 95);
    assert_int_equal(r[1].targets[2].service, 0);
    assert_int_equal(r[2].action, ROUTE_REDIRECT);
    assert_int_equal(r[2].status, 302);
    assert_str(r[2].location, "https://{host}/n{rest}");
    assert_int_equal(r[3].status, 308);
    assert_int_equal(r[4].action, ROUTE_RESPOND);
    assert_int_equal(r[4].status, 503);
    assert_str(r[4].body, "Back soon.");
    assert_str(r[4].type, "text/plain; charset=utf-8");
    assert_str(r[5].body, "<p>later</p>\n");
    assert_str(r[5].type, "text/html; charset=utf-8");
    assert_int_equal(r[6].n_targets, 0);
    assert_str(r[6].rewrite, "/x");
    assert_int_equal(v->services[1].n_sockets, 0);
    view_free(v);
}

static void mirrors_and_hedges(void **state)
{
    struct view *v = good(SERVICE("mirror = next  mirror-share = 12.5%  hedge-after = 50ms\n" ROUTE(
        "mirror = api  idempotent = yes  hedge-percentile = 99.9%")) OTHERS);
    const struct view_rules *r = &v->services[0].rules, *of = &v->services[0].routes[0].rules;
    assert_int_equal(r->mirror, 2);
    assert_int_equal(r->mirror_permille, 125);
    assert_int_equal(r->hedge_after, 50 * MS);
    assert_false(r->idempotent);
    assert_int_equal(of->mirror, 1);
    assert_int_equal(of->mirror_permille, 1000);
    assert_true(of->idempotent);
    assert_int_equal(of->hedge_permille, 999);
    view_free(v);
}

static void pages(void **state)
{
    struct view *v = good(SERVICE("error-page 503 { file = pages/503.html }\n"
                                  "error-page 5xx { text = x  type = \"text/x\" }\n"
                                  "error-page 4XX { file = pages/empty.json }\n"
                                  "error-page 404 { file = pages/503.html  type = a/b }"));
    const struct view_page *p = v->services[0].pages;
    assert_int_equal(v->services[0].n_pages, 4);
    assert_int_equal(p[0].status, 503);
    assert_str(p[0].body, "<p>later</p>\n");
    assert_str(p[0].type, "text/html; charset=utf-8");
    assert_int_equal(p[1].status, 5);
    assert_str(p[1].body, "x");
    assert_str(p[1].type, "text/x");
    assert_int_equal(p[2].status, 4);
    assert_str(p[2].body, "");
    assert_str(p[2].type, "application/json");
    assert_ptr_equal(p[3].body.p, p[0].body.p); /* read once */
    assert_str(p[3].type, "a/b");
    view_free(v);
}

/* Whose text must not be shown is told to those who show texts. */
static void references_are_marked(void **state)
{
    struct view *v = good(SERVICE("request-set = {\"X: y\", \"Authorization: Bearer ${TOKEN}\"}\n"
                                  "route a { path = /a  request-add = \"X: y\" }\n"
                                  "route b { header = {x, \"x-token: ${TOKEN}\"} }\n"));
    assert_true(v->services[0].rules.secret);
    assert_str(v->services[0].rules.request[1].value, "Bearer hunter2");
    assert_false(v->services[0].routes[0].rules.secret);
    assert_true(v->services[0].routes[1].rules.secret);
    view_free(v);
    v = good("service web { listen = env:L\nbackend 10.0.0.1\n" ROUTE(
        "request-set = \"X: {host}\"") "}");
    assert_false(v->services[0].rules.secret);
    view_free(v);
}

/* A guess would tell that what it refers to is near. */
static void nobody_guesses_from_secrets(void **state)
{
    const struct memory_file f = {
        "web.conf", STR(SERVICE("mirror = env:TOKEN\n" ROUTE(
                        "to = \"${TOKEN}:5\"")) "service hunter { "
                                                "listen = http://127.0.0.1:2\nbackend 10.0.0.2 }")};
    struct memory_world w = {&f, 1, variables, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_int_equal(p.n, 2);
    for (uint32_t i = 0; i < p.n; i++)
        assert_null(strstr(p.list[i].hint, "hunter"));
    conf_problems_free(&p);
}

static void views_travel(void **state)
{
    struct view *v = good(SERVICE("request-set = \"X: ${TOKEN}\"  rate { requests = 5 }\n"
                                  "error-page 503 { file = pages/503.html }\n" ROUTE(
                                      "path = /a  to = {api:1, next:2}  mirror = api")) OTHERS);
    struct view *back = NULL;
    struct buf bytes = {0}, changes = {0};
    struct err e = {0};
    view_encode(v, &bytes);
    assert_int_equal(view_decode(buf_str(&bytes), &back, &e), 0);
    assert_true(back->services[0].rules.secret);
    assert_int_equal(back->services[0].routes[0].targets[1].service, 2);
    assert_int_equal(conf_diff(v, back, &changes), 0);
    view_free(back);
    view_free(v);
    buf_free(&bytes);
    buf_free(&changes);
}

static const char everything[] =
    "service web { listen = http://127.0.0.1:8080\nbackend 10.0.0.1 { max-requests = 5 }\n"
    "request-set = {\"X: ${TOKEN}\", \"Y: z\"}  request-remove = A  response-add = \"B: c\"\n"
    "mirror = api  rate { requests = 5 per = header:x }  sticky { cookie = S }\n"
    "error-page 503 { file = pages/503.html }  error-page 4xx { text = x }\n"
    "route a { host = {A.b, \"*.c\"}  path = /a  header = \"X: y\"  to = {api:1, next:2} }\n"
    "route b { redirect = /  rate { requests = 1 } }\n"
    "route c { path = /c  respond = 200  file = pages/503.html }\n}\n" OTHERS;
static const char mistaken[] =
    "service web { listen = http://127.0.0.1:8080\n"
    "request-set = {\"X\", \"Y: {hots}\"}  mirror = apii  rate { }  sticky { }\n"
    "error-page 503 { file = absent.html }\n"
    "route a { path = v1  to = {ap:1, nex:2001} }\nroute a { path = /v1/* }\n"
    "route b { redirect = \"{\" status = 1 }\nroute c { }\n}\n" OTHERS;

static void every_allocation_may_fail(void **state)
{
    const char *const texts[] = {everything, mistaken};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct memory_file files[] = {{"etc/web.conf", str_of(texts[i])},
                                            {"etc/pages/503.html", STR("<p>later</p>\n")}};
        struct memory_world w = {files, 2, variables, 0};
        long n = 0;
        for (bool failed = true; failed;) {
            struct conf_problems p = {0};
            struct view *v = NULL;
            struct err e = {0};
            mem_fail_at(++n);
            int rc = load(&w, &v, &p, &e);
            int happened = mem_failed();
            mem_fail_at(0);
            failed = happened > 0;
            if (!failed)
                assert_int_equal(rc, i ? -ERR_INVAL : 0);
            else if (rc)
                assert_true(rc == -ERR_NOMEM || (i && rc == -ERR_INVAL));
            assert_true((rc == 0) == (v != NULL));
            view_free(v);
            conf_problems_free(&p);
        }
        assert_true(n > 20);
    }
}

static void refuse(struct buf *text, const char *problem)
{
    struct memory_file f = {"web.conf", buf_str(text)};
    struct memory_world w = {&f, 1, NULL, 0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    assert_false(text->failed);
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    bool found = false;
    for (uint32_t i = 0; i < p.n; i++)
        found |= strstr(p.list[i].text, problem) != NULL;
    if (!found)
        fail_msg("no '%s', but: %s", problem, p.list[0].text);
    conf_problems_free(&p);
    buf_clear(text);
}

static void begin(struct buf *b, const char *then)
{
    buf_printf(b, "service web { listen = http://127.0.0.1:8080\nbackend 10.0.0.1\n%s", then);
}

static void tables_are_bounded(void **state)
{
    struct buf b = {0};
    begin(&b, "");
    for (int i = 0; i < VIEW_MAX_ROUTES; i++)
        buf_printf(&b, "route r%d { path = /%d }\n", i, i);
    size_t full = b.n;
    buf_printf(&b, "}");
    buf_add(&b, "", 1);
    view_free(good(b.p));
    b.n = full;
    buf_printf(&b, "route more { path = /more } }");
    refuse(&b, "more than 1024 routes");
    begin(&b, "route r { path = {");
    for (int i = 0; i <= VIEW_MAX_WORDS; i++)
        buf_printf(&b, "/%d,", i);
    buf_printf(&b, "} } }");
    refuse(&b, "a condition has 1 to 256 items");
    begin(&b, "request-remove = {");
    for (int i = 0; i <= VIEW_MAX_WORDS; i++)
        buf_printf(&b, "a%d,", i);
    buf_printf(&b, "} }");
    refuse(&b, "more than 256 header fields are changed");
    begin(&b, "");
    for (int i = 0; i <= VIEW_MAX_PAGES; i++)
        buf_printf(&b, "error-page %d { text = x }\n", 400 + i);
    buf_printf(&b, "}");
    refuse(&b, "more than 32 error-pages");
    begin(&b, "route r { header = \"x:");
    for (int i = 0; i < CONF_MAX_VALUE - 2; i++)
        buf_printf(&b, "y");
    buf_printf(&b, "\" } }");
    refuse(&b, "is too long");
    buf_free(&b);
}

/* Pages are in the view, as often as they are used. */
static void pages_are_bounded(void **state)
{
    struct buf b = {0}, page = {0};
    struct conf_problems p = {0};
    struct view *v = NULL;
    for (int i = 0; i < VIEW_MAX_PAGE; i++)
        buf_add(&page, "x", 1);
    for (int i = 0; i < 20; i++) {
        buf_printf(&b, "service s%d { listen = http://unix:@%d; backend 10.0.0.1\n", i, i);
        for (int k = 0; k < VIEW_MAX_PAGES; k++)
            buf_printf(&b, "error-page %d { file = page }\n", 400 + k);
        buf_printf(&b, "}\n");
    }
    const struct memory_file files[] = {{"web.conf", buf_str(&b)}, {"page", buf_str(&page)}};
    struct memory_world w = {files, 2, NULL, 0};
    assert_int_equal(load(&w, &v, &p, NULL), -ERR_INVAL);
    assert_int_equal(p.errors, 1);
    assert_non_null(strstr(p.list[0].text, "more than 32 MiB"));
    assert_int_equal(w.reads, 2);
    conf_problems_free(&p);
    buf_free(&b);
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules),
        cmocka_unit_test(limits_of_a_service),
        cmocka_unit_test(header_fields),
        cmocka_unit_test(rates),
        cmocka_unit_test(conditions),
        cmocka_unit_test(where_routes_lead),
        cmocka_unit_test(mirrors_and_hedges),
        cmocka_unit_test(pages),
        cmocka_unit_test(references_are_marked),
        cmocka_unit_test(nobody_guesses_from_secrets),
        cmocka_unit_test(views_travel),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(tables_are_bounded),
        cmocka_unit_test(pages_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
