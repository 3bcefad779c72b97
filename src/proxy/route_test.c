/* Units of routes: which conditions take what, paths that try to go round a rule, weights, texts
 * with placeholders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/route.h"

static struct http_head head;
static char scratch[8192];

static void look(const char *request, struct route_request *q)
{
    const struct http_limits limits = {8192, 50};
    const struct http_refusal *why;
    assert_int_equal(http_parse_request(request, strlen(request), 0, &limits, &head, &why),
                     HTTP_DONE);
    route_look(&head, scratch, q);
}

#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: www.example.com:80\r\n" fields "\r\n"
#define WORDS(...)                                                                                 \
    {                                                                                              \
        (struct str[]){__VA_ARGS__}, sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str)      \
    }

/* What a service with this one route leaves of the path; NULL: the route does not take it. */
static const char *rest_of(struct view_match m, const char *request)
{
    static char text[256];
    struct view_route route = {.name = STR("r"), .match = m};
    struct view_service s = {.routes = &route, .n_routes = 1};
    struct route_request q;
    struct str rest;
    look(request, &q);
    if (!route_find(&s, &q, &rest))
        return NULL;
    str_copy(text, sizeof text, rest);
    return text;
}

#define TAKES(expected, request, ...)                                                              \
    do {                                                                                           \
        const char *rest = rest_of((struct view_match){__VA_ARGS__}, request);                     \
        if (!rest)                                                                                 \
            fail_msg("not taken: %s", request);                                                    \
        assert_string_equal(rest, expected);                                                       \
    } while (0)
#define LEAVES(request, ...) assert_null(rest_of((struct view_match){__VA_ARGS__}, request))

static void paths_are_whole_segments(void **state)
{
    (void)state;
    TAKES("", GET("/api", ""), .paths = WORDS(STR("/api")));
    TAKES("", GET("/api?x=1", ""), .paths = WORDS(STR("/api")));
    TAKES("/", GET("/api/", ""), .paths = WORDS(STR("/api")));
    TAKES("/v1/x", GET("/api/v1/x", ""), .paths = WORDS(STR("/api")));
    TAKES("v1", GET("/api/v1", ""), .paths = WORDS(STR("/api/")));
    TAKES("a/b", GET("/a/b", ""), .paths = WORDS(STR("/")));
    LEAVES(GET("/apis", ""), .paths = WORDS(STR("/api")));
    LEAVES(GET("/api", ""), .paths = WORDS(STR("/api/")));
    LEAVES(GET("/API", ""), .paths = WORDS(STR("/api")));
    TAKES("", GET("/x", ""), .paths = WORDS(STR("=/x")));
    LEAVES(GET("/x/", ""), .paths = WORDS(STR("=/x")));
    TAKES("", GET("/img/a.png", ""), .paths = WORDS(STR("/css"), STR("*.png")));
    LEAVES(GET("/img/a.png/x", ""), .paths = WORDS(STR("*.png")));
    TAKES("/any", GET("/any", ""), .paths = {NULL, 0});
}

static void a_path_in_disguise_is_known(void **state)
{
    (void)state;
    static const char *const disguises[] = {
        GET("/admin", ""),           GET("/./admin", ""),
        GET("/x/../admin", ""),      GET("//admin", ""),
        GET("/%61dmin", ""),         GET("/x/%2e%2e/admin", ""),
        GET("/../admin", ""),        GET("/x/.%2E///admin", ""),
        GET("/admin/x/..", ""),      GET("/a/b/../../admin?", ""),
        GET("/%2E/%61%64min/.", ""),
    };
    for (size_t i = 0; i < ARRAY_LEN(disguises); i++)
        if (!rest_of((struct view_match){.paths = WORDS(STR("/admin"))}, disguises[i]))
            fail_msg("not taken: %s", disguises[i]);
    static const char *const others[] = {GET("/admin/..", ""),  GET("/x%2fadmin", ""),
                                         GET("/%2561dmin", ""), GET("/admin..", ""),
                                         GET("/..admin", ""),   GET("/%zzadmin", "")};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (rest_of((struct view_match){.paths = WORDS(STR("/admin"))}, others[i]))
            fail_msg("taken: %s", others[i]);
}

/* Every path of few characters: the normal form has nothing left to remove, and is its own. */
static void the_normal_form_is_normal(void **state)
{
    (void)state;
    static const char alphabet[] = "/.a%2eE";
    const size_t letters = sizeof alphabet - 1;
    char path[8];
    size_t total = 1;
    for (size_t n = 1; n <= 6; n++) {
        total *= letters;
        for (size_t code = 0; code < total; code++) {
            struct route_request q, again;
            size_t c = code;
            path[0] = '/';
            for (size_t i = 0; i < n; i++, c /= letters)
                path[i + 1] = alphabet[c % letters];
            struct http_head h = {.path = {path, n + 1}};
            char first[16], second[16];
            route_look(&h, first, &q);
            assert_true(q.path.n >= 1 && q.path.n <= n + 1 && q.path.p[0] == '/');
            for (size_t i = 0; i + 1 < q.path.n; i++) {
                assert_false(q.path.p[i] == '/' && q.path.p[i + 1] == '/');
                bool dot = q.path.p[i] == '/' && q.path.p[i + 1] == '.';
                bool ends = i + 2 == q.path.n || q.path.p[i + 2] == '/';
                bool two = i + 2 < q.path.n && q.path.p[i + 2] == '.' &&
                           (i + 3 == q.path.n || q.path.p[i + 3] == '/');
                assert_false(dot && (ends || two));
            }
            h.path = q.path;
            route_look(&h, second, &again);
            if (!memchr(q.path.p, '%', q.path.n)) /* "%%2e2e" decodes once, not twice */
                assert_true(str_eq(q.path, again.path));
        }
    }
}

static void hosts_have_no_port_and_no_case(void **state)
{
    (void)state;
    TAKES("/", GET("/", ""), .hosts = WORDS(STR("x"), STR("www.example.com")));
    TAKES("/", "GET / HTTP/1.1\r\nHost: WWW.Example.COM.\r\n\r\n",
          .hosts = WORDS(STR("www.example.com")));
    TAKES("/", GET("/", ""), .hosts = WORDS(STR("*.example.com")));
    TAKES("/", GET("/", ""), .hosts = WORDS(STR("*.com")));
    LEAVES(GET("/", ""), .hosts = WORDS(STR("example.com")));
    LEAVES("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", .hosts = WORDS(STR("*.example.com")));
    LEAVES("GET / HTTP/1.1\r\nHost: xexample.com\r\n\r\n", .hosts = WORDS(STR("*.example.com")));
    TAKES("/", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", .hosts = WORDS(STR("[::1]")));
    LEAVES("GET / HTTP/1.0\r\n\r\n", .hosts = WORDS(STR("*.com")));
}

static void other_conditions(void **state)
{
    (void)state;
    TAKES("/", GET("/", ""), .methods = WORDS(STR("POST"), STR("GET")));
    LEAVES(GET("/", ""), .methods = WORDS(STR("POST")));
    TAKES("/", GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("x-beta")));
    TAKES("/", GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("x-beta: yes"), STR("!x-old")));
    TAKES("/", GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("x-beta: y*")));
    LEAVES(GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("x-beta: no")));
    LEAVES(GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("x-beta"), STR("x-more")));
    LEAVES(GET("/", "X-Beta: yes\r\n"), .headers = WORDS(STR("!x-beta")));
    TAKES("/", GET("/?a=1&beta=2", ""), .queries = WORDS(STR("beta")));
    TAKES("/", GET("/?a=1&beta=2", ""), .queries = WORDS(STR("x"), STR("beta=2")));
    TAKES("/", GET("/?beta", ""), .queries = WORDS(STR("beta")));
    LEAVES(GET("/?a=1&beta=2", ""), .queries = WORDS(STR("bet")));
    LEAVES(GET("/?beta=22", ""), .queries = WORDS(STR("beta=2")));
    LEAVES(GET("/", ""), .queries = WORDS(STR("beta")));
    TAKES("/", GET("/", "Cookie: a=1; group=b\r\n"), .cookies = WORDS(STR("group=b")));
    LEAVES(GET("/", "Cookie: a=1; group=b\r\n"), .cookies = WORDS(STR("group=c")));
    /* all conditions together */
    TAKES("/", GET("/a/", ""), .paths = WORDS(STR("/a")), .methods = WORDS(STR("GET")));
    LEAVES(GET("/a/", ""), .paths = WORDS(STR("/a")), .methods = WORDS(STR("PUT")));
}

static void the_first_route_counts(void **state)
{
    (void)state;
    struct view_route routes[] = {
        {.name = STR("one"), .match.paths = WORDS(STR("/a/b"))},
        {.name = STR("two"), .match.paths = WORDS(STR("/a"))},
        {.name = STR("all")},
    };
    struct view_service s = {.routes = routes, .n_routes = 3};
    struct route_request q;
    struct str rest;
    look(GET("/a/b/c", ""), &q);
    assert_ptr_equal(route_find(&s, &q, &rest), &routes[0]);
    look(GET("/a/c", ""), &q);
    assert_ptr_equal(route_find(&s, &q, &rest), &routes[1]);
    look(GET("/b", ""), &q);
    assert_ptr_equal(route_find(&s, &q, &rest), &routes[2]);
    s.n_routes = 2;
    assert_null(route_find(&s, &q, &rest));
}

static void weights_divide_requests(void **state)
{
    (void)state;
    struct view_target targets[] = {{3, 95}, {5, 0}, {4, 5}};
    struct view_route r = {.targets = targets, .n_targets = 3};
    unsigned hits[6] = {0};
    for (uint64_t draw = 0; draw < 1000; draw++)
        hits[route_target(&r, draw)]++;
    assert_int_equal(hits[3], 950);
    assert_int_equal(hits[4], 50);
    assert_int_equal(hits[5], 0);
    assert_int_equal(route_target(&(struct view_route){0}, 7), -1);
}

static void assert_text(const char *text, const char *expected)
{
    struct route_request q;
    struct buf out = {0};
    look(GET("/old/a%20b?x=1", ""), &q);
    struct route_values v = {&q,         STR("192.0.2.1"), STR("/a%20b"),
                             STR("web"), STR("old"),       STR("0123")};
    route_expand(str_of(text), &v, &out);
    assert_int_equal(out.n, strlen(expected));
    if (out.n)
        assert_memory_equal(out.p, expected, out.n);
    buf_free(&out);
}

static void placeholders_are_replaced(void **state)
{
    (void)state;
    assert_text("", "");
    assert_text("plain", "plain");
    assert_text("https://{host}{uri}", "https://www.example.com/old/a%20b?x=1");
    assert_text("/new{rest}?{query}", "/new/a%20b?x=1");
    assert_text("{client} {method} {service}/{route} {request-id} {path}",
                "192.0.2.1 GET web/old 0123 /old/a%20b");
    assert_text("{{host}", "{host}");
    assert_text("a{unknown}b{host", "ab{host");
    assert_text("{", "{");
}

static void control_characters_stay_out(void **state)
{
    (void)state;
    struct http_head h = {.path = STR("/"), .method_text = STR("GET")};
    struct route_request q = {.head = &h, .host = STR("a\r\nX: 1"), .path = STR("/\x01z")};
    struct route_values v = {.request = &q};
    struct buf out = {0};
    route_expand(STR("{host}|{path}"), &v, &out);
    assert_int_equal(out.n, strlen("aX: 1|/z"));
    assert_memory_equal(out.p, "aX: 1|/z", out.n);
    buf_free(&out);
}

static void assert_rewrite(const char *word, const char *rewrite, const char *target,
                           const char *expected)
{
    char request[256];
    struct str paths[] = {str_of(word)};
    struct view_route route = {.match.paths = {paths, 1}, .rewrite = str_of(rewrite)};
    struct view_service s = {.routes = &route, .n_routes = 1};
    struct route_request q;
    struct str rest;
    struct buf out = {0};
    str_copy(request, sizeof request, STR("GET "));
    strcat(request, target);
    strcat(request, " HTTP/1.1\r\nHost: x\r\n\r\n");
    look(request, &q);
    assert_ptr_equal(route_find(&s, &q, &rest), &route);
    route_rewrite(&route, &q, rest, &out);
    assert_int_equal(out.n, strlen(expected));
    assert_memory_equal(out.p, expected, out.n);
    buf_free(&out);
}

static void rewriting_keeps_rest_and_query(void **state)
{
    (void)state;
    assert_rewrite("/v1", "/v2", "/v1/a?b=c", "/v2/a?b=c");
    assert_rewrite("/v1", "/v2", "/v1", "/v2");
    assert_rewrite("/v1", "/", "/v1/a", "/a");
    assert_rewrite("/v1", "/", "/v1", "/");
    assert_rewrite("/v1/", "/v2", "/v1/a", "/v2/a");
    assert_rewrite("/v1/", "/v2/", "/v1/a", "/v2/a");
    assert_rewrite("/v1", "/v2/", "/v1?q", "/v2/?q");
    assert_rewrite("=/x", "/y", "/x?z", "/y?z");
    assert_rewrite("/v1", "/v2", "/v1/../v1/a", "/v2/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_whole_segments),
        cmocka_unit_test(a_path_in_disguise_is_known),
        cmocka_unit_test(the_normal_form_is_normal),
        cmocka_unit_test(hosts_have_no_port_and_no_case),
        cmocka_unit_test(other_conditions),
        cmocka_unit_test(the_first_route_counts),
        cmocka_unit_test(weights_divide_requests),
        cmocka_unit_test(placeholders_are_replaced),
        cmocka_unit_test(control_characters_stay_out),
        cmocka_unit_test(rewriting_keeps_rest_and_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
