/* Edits: what is left of the fields, what cannot be edited, rewritten paths, traces, own answers.
 */
#include <stdio.h>

#include "wire/http1_test.h"

static struct http_head h;
static char to[4096];

#define S(op, name, value)                                                                         \
    {                                                                                              \
        HTTP_EDIT_##op, {name, sizeof name - 1},                                                   \
        {                                                                                          \
            value, sizeof value - 1                                                                \
        }                                                                                          \
    }
#define LIST(...)                                                                                  \
    ((const struct http_edits){(const struct http_edit[]){__VA_ARGS__},                            \
                               ARRAY_LEN(((const struct http_edit[]){__VA_ARGS__}))})

static void parse(enum http1_case_kind kind, const char *text)
{
    const struct http_refusal *why = NULL;
    if (http1_case_parse(kind, text, strlen(text), 0, &h, &why) != HTTP_DONE)
        fail_msg("refused: %s", why ? why->code : "more");
}

static const char *request(const char *fields, const struct http_edits *lists, uint8_t n)
{
    static char in[1024];
    struct http_forward f = {.client_ip = STR("192.0.2.7"),
                             .proto = STR("http"),
                             .via = STR("holdfast"),
                             .keep_upstream = true,
                             .edits = lists,
                             .n_edits = n};
    snprintf(in, sizeof in, "GET /a HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    parse(CASE_REQUEST, in);
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    return to;
}

#define OWN_FIELDS                                                                                 \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"             \
    "Forwarded: for=192.0.2.7;host=\"a\";proto=http\r\nVia: 1.1 holdfast\r\n\r\n"

static void check(const char *fields, struct http_edits list, const char *expected)
{
    char out[2048];
    snprintf(out, sizeof out, "GET /a HTTP/1.1\r\nHost: a\r\n%s" OWN_FIELDS, expected);
    assert_string_equal(request(fields, &list, 1), out);
}

static void one_edit_of_each_kind(void **state)
{
    check("b: 1\r\nc: 2\r\nB: 3\r\n", LIST(S(SET, "b", "x")), "c: 2\r\nb: x\r\n");
    check("c: 2\r\n", LIST(S(SET, "b", "x")), "c: 2\r\nb: x\r\n");
    check("b: 1\r\nc: 2\r\n", LIST(S(ADD, "b", "x")), "b: 1\r\nc: 2\r\nb: x\r\n");
    check("b: 1\r\nc: 2\r\nB: 3\r\nbb: 4\r\n", LIST(S(REMOVE, "b", "")), "c: 2\r\nbb: 4\r\n");
    check("b: 1\r\n", LIST(S(REMOVE, "x", "")), "b: 1\r\n");
    check("Cookie: a=b\r\ncookie: c=d\r\n", LIST(S(SET, "Cookie", "e=f")), "Cookie: e=f\r\n");
}

static void later_edits_win(void **state)
{
    check("b: 1\r\n", LIST(S(SET, "b", "x"), S(SET, "B", "y")), "B: y\r\n");
    check("b: 1\r\n", LIST(S(ADD, "b", "x"), S(REMOVE, "b", "")), "");
    check("b: 1\r\n", LIST(S(REMOVE, "b", ""), S(ADD, "b", "x"), S(ADD, "b", "y")),
          "b: x\r\nb: y\r\n");
}

static void lists_are_applied_in_their_order(void **state)
{
    const struct http_edits lists[HTTP_EDIT_LISTS] = {LIST(S(SET, "b", "1"), S(SET, "c", "1")),
                                                      {NULL, 0},
                                                      LIST(S(ADD, "b", "2"), S(REMOVE, "c", "")),
                                                      LIST(S(SET, "d", "3"))};
    const char *got = request("b: 0\r\nc: 0\r\nd: 0\r\n", lists, HTTP_EDIT_LISTS);
    assert_string_equal(got, "GET /a HTTP/1.1\r\nHost: a\r\nb: 1\r\nb: 2\r\nd: 3\r\n" OWN_FIELDS);
}

static void what_is_added_on_the_way_can_be_edited(void **state)
{
    struct http_edits e = LIST(S(REMOVE, "x-forwarded-for", ""), S(REMOVE, "Via", ""),
                               S(SET, "X-Forwarded-Proto", "https"), S(REMOVE, "Forwarded", ""),
                               S(SET, "X-Forwarded-Host", "b"));
    assert_string_equal(request("Via: 1.0 x\r\nX-Forwarded-For: 1\r\n", &e, 1),
                        "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n"
                        "X-Forwarded-Host: b\r\n\r\n");
}

static void host_is_set_once(void **state)
{
    struct http_edits e = LIST(S(SET, "host", "b:80"));
    assert_string_equal(request("c: 1\r\n", &e, 1),
                        "GET /a HTTP/1.1\r\nHost: b:80\r\nc: 1\r\n" OWN_FIELDS);
}

/* The writer does not rely on its callers having asked. */
static void framing_is_never_edited(void **state)
{
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "connection", "Keep-Alive",      "Upgrade", "TE",
        "Trailer",        "Max-Forwards",      "Expect",     "Proxy-Connection"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (int op = HTTP_EDIT_REMOVE; op <= HTTP_EDIT_ADD; op++) {
            struct http_edit x = {(uint8_t)op, str_of(names[i]), STR("7")};
            check("b: 1\r\n", (struct http_edits){&x, 1}, "b: 1\r\n");
            assert_non_null(http_edit_wrong(&x));
        }
    struct http_edits e = LIST(S(REMOVE, "Content-Length", ""), S(REMOVE, "host", ""),
                               S(ADD, "Host", "evil"), S(SET, "x", "y"));
    assert_string_equal(request("Content-Length: 5\r\n", &e, 1),
                        "GET /a HTTP/1.1\r\nHost: a\r\nx: y\r\nContent-Length: 5\r\n" OWN_FIELDS);
}

static bool wrong(enum http_edit_op op, struct str name, struct str value)
{
    struct http_edit x = {(uint8_t)op, name, value};
    return http_edit_wrong(&x) != NULL;
}

static void what_may_be_edited(void **state)
{
    assert_false(wrong(HTTP_EDIT_SET, STR("X-A"), STR("a b\tc")));
    assert_false(wrong(HTTP_EDIT_SET, STR("X-A"), STR("")));
    assert_false(wrong(HTTP_EDIT_REMOVE, STR("Server"), STR("\r\n")));
    assert_true(wrong(HTTP_EDIT_SET, STR("X-A"), STR("a\r\nb: c")));
    assert_true(wrong(HTTP_EDIT_SET, STR("X-A"), STR("a\0b")));
    assert_true(wrong(HTTP_EDIT_SET, STR("X-A"), STR(" a")));
    assert_true(wrong(HTTP_EDIT_SET, STR("X-A"), STR("a ")));
    assert_true(wrong(HTTP_EDIT_SET, STR("X A"), STR("a")));
    assert_true(wrong(HTTP_EDIT_REMOVE, STR(""), STR("")));
    assert_true(wrong(HTTP_EDIT_SET, STR("proxy-anything"), STR("a")));
    assert_false(wrong(HTTP_EDIT_SET, STR("Host"), STR("a.example:8080")));
    assert_true(wrong(HTTP_EDIT_SET, STR("Host"), STR("a b")));
    assert_true(wrong(HTTP_EDIT_SET, STR("Host"), STR("")));
    assert_true(wrong(HTTP_EDIT_ADD, STR("Host"), STR("a")));
    assert_true(wrong(HTTP_EDIT_REMOVE, STR("Host"), STR("")));
    assert_true(http_path_valid(STR("/")) && http_path_valid(STR("/a?b\\?c")));
    assert_false(http_path_valid(STR("")) || http_path_valid(STR("a")));
    assert_false(http_path_valid(STR("/a b")) || http_path_valid(STR("/a\r\n")));
    assert_false(http_path_valid(STR("/a#b")) || http_path_valid(STR("/a\\b")));
}

static void paths_are_rewritten(void **state)
{
    static const struct {
        const char *in, *path, *out;
    } rows[] = {
        {"/a/b?c", "/b?c", "/b?c"},         {"/a?c", "?c", "/?c"}, {"/ab", "b", "/b"},
        {"http://x/a", "/other", "/other"}, {"/a/b", "", "/a/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char in[128], line[128];
        struct http_forward f = {.client_ip = STR("unix"),
                                 .proto = STR("http"),
                                 .via = STR("v"),
                                 .path = str_of(rows[i].path)};
        snprintf(in, sizeof in, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].in);
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: x\r\n", rows[i].out);
        parse(CASE_REQUEST, in);
        to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
        assert_memory_equal(to, line, strlen(line));
    }
}

static void a_trace_goes_on_with_our_span(void **state)
{
    static const struct http_edit off = S(REMOVE, "traceparent", "");
    const struct http_edits remove = {&off, 1};
    struct http_forward f = {.client_ip = STR("unix"),
                             .proto = STR("http"),
                             .via = STR("v"),
                             .traceparent = STR("00-ours")};
    parse(CASE_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nTraceParent: 00-theirs\r\n"
                        "tracestate: a=b\r\ntraceparent: 00-again\r\n\r\n");
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    assert_non_null(strstr(to, "\r\ntraceparent: 00-ours\r\n"));
    assert_non_null(strstr(to, "\r\ntracestate: a=b\r\n"));
    assert_null(strstr(to, "theirs"));
    assert_null(strstr(to, "again"));
    f.new_trace = true;
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    assert_null(strstr(to, "tracestate"));
    f.edits = &remove, f.n_edits = 1;
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    assert_null(strstr(to, "00-"));
}

static void answers_are_edited(void **state)
{
    struct http_edits e = LIST(S(REMOVE, "Server", ""), S(SET, "Date", "now"), S(REMOVE, "Via", ""),
                               S(ADD, "Set-Cookie", "a=b"), S(SET, "Content-Length", "9"));
    struct http_answer a = {.keep_client = true,
                            .client_minor = 1,
                            .via = STR("v"),
                            .date = STR("D"),
                            .edits = &e,
                            .n_edits = 1};
    uint8_t framing;
    parse(CASE_RESPONSE, "HTTP/1.1 200 OK\r\nServer: y\r\nSet-Cookie: c=d\r\nDate: x\r\n"
                         "Content-Length: 5\r\n\r\n");
    to[http_write_response(&h, &a, &framing, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 200 OK\r\nSet-Cookie: c=d\r\nDate: now\r\n"
                            "Set-Cookie: a=b\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(framing, HTTP_BODY_LENGTH);
    parse(CASE_RESPONSE, "HTTP/1.1 103 Early Hints\r\nServer: y\r\n\r\n");
    to[http_write_response(&h, &a, &framing, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 103 Early Hints\r\nServer: y\r\nVia: 1.1 v\r\n\r\n");
}

static void answers_of_our_own(void **state)
{
    struct http_edits rules = LIST(S(SET, "X-By", "holdfast"), S(REMOVE, "Date", ""));
    struct http_edits extra = LIST(S(SET, "Location", "https://a/"), S(SET, "x-by", "x"));
    struct http_answer a = {.keep_client = true, .client_minor = 1, .date = STR("D")};
    to[http_write_own(301, STR(""), 0, &extra, &a, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 301 Moved Permanently\r\nDate: D\r\nLocation: https://a/\r\n"
                            "x-by: x\r\nContent-Length: 0\r\n\r\n");
    a.edits = &rules, a.n_edits = 1, a.client_minor = 0;
    to[http_write_own(200, STR("text/html"), 7, &extra, &a, to, sizeof to - 1)] = 0;
    assert_string_equal(to,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nLocation: https://a/\r\n"
                        "X-By: holdfast\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n");
    a.keep_client = false;
    to[http_write_own(204, STR(""), 0, NULL, &a, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 204 No Content\r\nX-By: holdfast\r\n"
                            "Connection: close\r\n\r\n");
    to[http_write_error(503, "x", &a, 0, to, sizeof to - 1)] = 0;
    assert_non_null(strstr(to, "\r\nX-By: holdfast\r\n"));
}

static void nothing_is_written_that_does_not_fit(void **state)
{
    struct http_edits e = LIST(S(SET, "b", "x"), S(SET, "Host", "b"));
    struct http_forward f = {.client_ip = STR("192.0.2.7"),
                             .proto = STR("http"),
                             .via = STR("v"),
                             .edits = &e,
                             .n_edits = 1,
                             .path = STR("x"),
                             .traceparent = STR("00-ours")};
    struct http_answer a = {.edits = &e, .n_edits = 1, .date = STR("D")};
    parse(CASE_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    size_t whole = http_write_request(&h, &f, to, sizeof to);
    size_t own = http_write_own(200, STR("text/html"), 1, &e, &a, to, sizeof to);
    assert_true(whole > 0 && own > 0);
    for (size_t size = 0; size <= whole; size++) {
        char *exact = malloc(size ? size : 1);
        assert_int_equal(http_write_request(&h, &f, exact, size), size == whole ? whole : 0);
        if (size <= own)
            assert_int_equal(http_write_own(200, STR("text/html"), 1, &e, &a, exact, size),
                             size == own ? own : 0);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_edit_of_each_kind),
        cmocka_unit_test(later_edits_win),
        cmocka_unit_test(lists_are_applied_in_their_order),
        cmocka_unit_test(what_is_added_on_the_way_can_be_edited),
        cmocka_unit_test(host_is_set_once),
        cmocka_unit_test(framing_is_never_edited),
        cmocka_unit_test(what_may_be_edited),
        cmocka_unit_test(paths_are_rewritten),
        cmocka_unit_test(a_trace_goes_on_with_our_span),
        cmocka_unit_test(answers_are_edited),
        cmocka_unit_test(answers_of_our_own),
        cmocka_unit_test(nothing_is_written_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
