/* What a request's head says once it is accepted. */
#include "wire/http1_test.h"

static struct http_head h;

static void parse(const char *text)
{
    const struct http_refusal *why = NULL;
    if (http1_case_parse(CASE_REQUEST, text, strlen(text), 0, &h, &why) != HTTP_DONE)
        fail_msg("refused: %s", why ? why->code : "more");
}

static const struct http_refusal *refuse(const char *text)
{
    const struct http_refusal *why = NULL;
    assert_int_equal(http1_case_parse(CASE_REQUEST, text, strlen(text), 0, &h, &why), HTTP_REFUSED);
    return why;
}

#define assert_str(view, text)                                                                     \
    do {                                                                                           \
        assert_int_equal((view).n, strlen(text));                                                  \
        assert_memory_equal((view).p, text, (view).n);                                             \
    } while (0)

static void accepted_requests_are_framed_as_they_say(void **state)
{
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        if (c->kind != CASE_REQUEST)
            continue;
        const struct http_refusal *why = NULL;
        char *p = exactly(c->bytes.p, c->bytes.n);
        if (http1_case_parse(CASE_REQUEST, p, c->bytes.n, 0, &h, &why) != HTTP_DONE)
            fail_msg("%s: %s", c->name, why ? why->code : "more");
        if (h.framing != c->framing || h.length != c->length)
            fail_msg("%s: framing %u of %llu bytes", c->name, h.framing,
                     (unsigned long long)h.length);
        assert_int_equal(h.bytes, c->bytes.n);
        free(p);
    }
}

static void the_parts_of_a_request(void **state)
{
    parse("\r\nPUT /a?b HTTP/1.1\r\nHost: h:1\r\nX:  y z \t\r\n\r\nbody");
    assert_int_equal(h.method, HTTP_PUT);
    assert_str(h.method_text, "PUT");
    assert_str(h.target, "/a?b");
    assert_str(h.path, "/a?b");
    assert_str(h.host, "h:1");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.n_headers, 2);
    assert_int_equal(h.headers[0].field, HTTP_FIELD_HOST);
    assert_str(h.headers[1].name, "X");
    assert_str(h.headers[1].value, "y z");
    assert_int_equal(h.present, 1u << HTTP_FIELD_HOST | 1u << HTTP_FIELD_OTHER);
}

static void methods_are_recognised(void **state)
{
    static const struct {
        const char *text;
        enum http_method method;
        bool idempotent;
    } rows[] = {
        {"GET", HTTP_GET, true},         {"HEAD", HTTP_HEAD, true},
        {"POST", HTTP_POST, false},      {"PUT", HTTP_PUT, true},
        {"DELETE", HTTP_DELETE, true},   {"CONNECT", HTTP_CONNECT, false},
        {"OPTIONS", HTTP_OPTIONS, true}, {"TRACE", HTTP_TRACE, true},
        {"PATCH", HTTP_PATCH, false},    {"get", HTTP_OTHER, false},
        {"PUSH", HTTP_OTHER, false},     {"LOCK", HTTP_OTHER, false},
        {"COPYING", HTTP_OTHER, false},  {"G", HTTP_OTHER, false},
        {"PROPFIND", HTTP_OTHER, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[64] = "";
        strcat(strcat(text, rows[i].text),
               rows[i].method == HTTP_CONNECT ? " a:1 HTTP/1.0\r\n\r\n" : " / HTTP/1.0\r\n\r\n");
        parse(text);
        assert_int_equal(h.method, rows[i].method);
        assert_int_equal(http_method_idempotent(rows[i].method), rows[i].idempotent);
        assert_str(h.method_text, rows[i].text);
    }
}

/* Each known name, in both cases, and with each of its bytes changed. */
static void field_names_are_recognised(void **state)
{
    static const char *const names[HTTP_FIELDS] = {
        [HTTP_FIELD_CONNECTION] = "Connection",
        [HTTP_FIELD_KEEP_ALIVE] = "Keep-Alive",
        [HTTP_FIELD_PROXY_CONNECTION] = "Proxy-Connection",
        [HTTP_FIELD_TE] = "TE",
        [HTTP_FIELD_TRAILER] = "Trailer",
        [HTTP_FIELD_UPGRADE] = "Upgrade",
        [HTTP_FIELD_VIA] = "Via",
        [HTTP_FIELD_FORWARDED] = "Forwarded",
        [HTTP_FIELD_X_FORWARDED_FOR] = "X-Forwarded-For",
        [HTTP_FIELD_X_FORWARDED_PROTO] = "X-Forwarded-Proto",
        [HTTP_FIELD_X_FORWARDED_HOST] = "X-Forwarded-Host",
        [HTTP_FIELD_DATE] = "Date",
        [HTTP_FIELD_SERVER] = "Server",
        [HTTP_FIELD_MAX_FORWARDS] = "Max-Forwards",
        [HTTP_FIELD_PROXY_AUTHORIZATION] = "Proxy-Authorization",
        [HTTP_FIELD_PROXY_AUTHENTICATE] = "Proxy-Authenticate",
        [HTTP_FIELD_HOST] = "Host",
        [HTTP_FIELD_CONTENT_LENGTH] = "Content-Length",
        [HTTP_FIELD_TRANSFER_ENCODING] = "Transfer-Encoding",
        [HTTP_FIELD_EXPECT] = "Expect",
        [HTTP_FIELD_COOKIE] = "Cookie",
        [HTTP_FIELD_SET_COOKIE] = "Set-Cookie",
        [HTTP_FIELD_TRACEPARENT] = "traceparent",
        [HTTP_FIELD_TRACESTATE] = "tracestate",
    };
    for (unsigned f = 1; f < HTTP_FIELDS; f++) {
        size_t n = strlen(names[f]);
        const char *value = f == HTTP_FIELD_EXPECT              ? ": 100-continue\r\n\r\n"
                            : f == HTTP_FIELD_TRANSFER_ENCODING ? ": chunked\r\n\r\n"
                                                                : ": 1\r\n\r\n";
        for (size_t change = 0; change < 2 * n; change++) {
            char text[128] = "GET http://a/ HTTP/1.1\r\nHost: a\r\n", name[32];
            memcpy(name, names[f], n + 1);
            bool same = change < n; /* first each letter's case, then each letter */
            char *c = &name[change % n];
            *c = same ? (*c == '-' ? '-' : (char)(*c ^ 0x20)) : '_';
            if (f == HTTP_FIELD_HOST && same)
                strcpy(text, "GET http://a/ HTTP/1.1\r\n");
            strcat(strcat(text, name), value);
            parse(text);
            assert_int_equal(h.headers[h.n_headers - 1].field, same ? f : HTTP_FIELD_OTHER);
        }
    }
}

static void an_absolute_target_replaces_host(void **state)
{
    parse("GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_str(h.target, "http://b:81/c?d");
    assert_str(h.host, "b:81");
    assert_str(h.path, "/c?d");
    parse("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_str(h.host, "b");
    assert_int_equal(h.path.n, 0);
    parse("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_str(h.host, "b:443");
}

static void whether_the_connection_stays(void **state)
{
    parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(h.keep_alive);
    parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n");
    assert_false(h.keep_alive);
    parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n");
    assert_false(h.keep_alive);
    parse("GET / HTTP/1.0\r\n\r\n");
    assert_false(h.keep_alive);
    parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(h.keep_alive);
    parse("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    assert_false(h.keep_alive);
    parse("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n");
    assert_false(h.keep_alive);
}

static bool hop(const char *name)
{
    for (uint32_t i = 0; i < h.n_headers; i++)
        if (str_eq_nocase(h.headers[i].name, str_of(name)))
            return h.headers[i].hop;
    fail_msg("no field %s", name);
    return false;
}

static void connection_names_fields_that_end_here(void **state)
{
    parse(
        "GET / HTTP/1.1\r\nHost: a\r\nFoo: 1\r\nConnection: fOO , bar\r\nBar: 2\r\nBaz: 3\r\n\r\n");
    assert_true(hop("Foo") && hop("Bar") && hop("Connection"));
    assert_false(hop("Baz") || hop("Host"));
}

static void connection_cannot_drop_what_the_proxy_lives_by(void **state)
{
    parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Forwarded-For: b\r\nVia: 1.1 c\r\n"
          "Forwarded: for=d\r\nX-Forwarded-Proto: e\r\nX-Forwarded-Host: f\r\nDate: g\r\n"
          "Connection: Host, Content-Length, X-Forwarded-For, Via, Forwarded, X-Forwarded-Proto, "
          "X-Forwarded-Host, Date, other\r\n\r\n");
    for (uint32_t i = 0; i < h.n_headers; i++)
        assert_int_equal(h.headers[i].hop, h.headers[i].field == HTTP_FIELD_CONNECTION);
    assert_int_equal(h.framing, HTTP_BODY_LENGTH);
}

static void an_upgrade_needs_both_fields(void **state)
{
    parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_true(h.upgrade);
    parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo/2, bar\r\n\r\n");
    assert_true(h.upgrade);
    parse("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_false(h.upgrade);
    parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n");
    assert_false(h.upgrade);
    parse("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_false(h.upgrade);
}

static void no_upgrade_to_unseen_requests(void **state)
{
    static const char *const offers[] = {
        "h2c", "websocket, H2C", "TLS/1.0",    "HTTP/2.0", "h2", "a b",
        "",    "\"x\"",          "websocket/", "/1"};
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        char text[128] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ";
        strcat(strcat(text, offers[i]), "\r\n\r\n");
        parse(text);
        assert_false(h.upgrade);
    }
}

static void expectations(void **state)
{
    parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-CONTINUE\r\nContent-Length: 1\r\n\r\n");
    assert_true(h.expect_continue);
    parse(
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(h.expect_continue);
    parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_false(h.expect_continue);
    parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_false(h.expect_continue);
}

static void trailers_are_asked_for_by_te(void **state)
{
    parse("GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, Trailers\r\n\r\n");
    assert_true(h.te_trailers);
    parse("GET / HTTP/1.1\r\nHost: a\r\nTE: deflate\r\n\r\n");
    assert_false(h.te_trailers);
}

static void max_forwards_counts_for_trace_and_options(void **state)
{
    parse("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    assert_int_equal(h.max_forwards, 0);
    parse("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
    assert_int_equal(h.max_forwards, 7);
    parse("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n");
    assert_int_equal(h.max_forwards, UINT32_MAX);
}

static void as_many_options_as_the_limit(void **state)
{
    char text[512] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close";
    for (int i = 0; i < 31; i++)
        strcat(text, ",x");
    size_t n = strlen(text);
    strcpy(text + n, "\r\n\r\n");
    parse(text);
    strcpy(text + n, ",x\r\n\r\n");
    assert_string_equal(refuse(text)->code, "connection-options");
}

static void head_limits_are_exact(void **state)
{
    static char big[2048];
    const struct http_refusal *why;
    const struct http_limits lim = {.head_bytes = 100, .head_fields = 2};
    strcpy(big, "GET / HTTP/1.1\r\nHost: a\r\nx: ");
    size_t n = strlen(big);
    memset(big + n, 'x', 96 - n);
    strcpy(big + 96, "\r\n\r\n");
    assert_int_equal(http_parse_request(big, 100, 0, &lim, &h, &why), HTTP_DONE);
    assert_int_equal(http_parse_request(big, 99, 0, &lim, &h, &why), HTTP_MORE);
    strcpy(big + 96, "x\r\n\r\n");
    assert_int_equal(http_parse_request(big, 101, 0, &lim, &h, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "head-too-large");
    assert_int_equal(http_parse_request(big, 100, 0, &lim, &h, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "head-too-large");
    const char *three = "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\nx: y\r\n\r\n";
    assert_int_equal(http_parse_request(three, strlen(three), 0, &lim, &h, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "too-many-fields");
}

static void never_more_fields_than_there_is_room_for(void **state)
{
    static char big[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    const struct http_refusal *why;
    const struct http_limits lim = {.head_bytes = 4096, .head_fields = UINT32_MAX};
    for (int i = 1; i < HTTP_MAX_FIELDS; i++)
        strcat(big, "x: y\r\n");
    size_t n = strlen(big);
    strcpy(big + n, "\r\n");
    assert_int_equal(http_parse_request(big, n + 2, 0, &lim, &h, &why), HTTP_DONE);
    assert_int_equal(h.n_headers, HTTP_MAX_FIELDS);
    strcpy(big + n, "x: y\r\n\r\n");
    assert_int_equal(http_parse_request(big, n + 8, 0, &lim, &h, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "too-many-fields");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_requests_are_framed_as_they_say),
        cmocka_unit_test(the_parts_of_a_request),
        cmocka_unit_test(methods_are_recognised),
        cmocka_unit_test(field_names_are_recognised),
        cmocka_unit_test(an_absolute_target_replaces_host),
        cmocka_unit_test(whether_the_connection_stays),
        cmocka_unit_test(connection_names_fields_that_end_here),
        cmocka_unit_test(connection_cannot_drop_what_the_proxy_lives_by),
        cmocka_unit_test(an_upgrade_needs_both_fields),
        cmocka_unit_test(no_upgrade_to_unseen_requests),
        cmocka_unit_test(expectations),
        cmocka_unit_test(trailers_are_asked_for_by_te),
        cmocka_unit_test(max_forwards_counts_for_trace_and_options),
        cmocka_unit_test(as_many_options_as_the_limit),
        cmocka_unit_test(head_limits_are_exact),
        cmocka_unit_test(never_more_fields_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
