/* What is written, byte by byte where it matters, and that it reads back as what was meant. */
#include "wire/http1_test.h"

static struct http_head h, again;
static char to[4096];
static const struct http_forward plain = {.client_ip = {"192.0.2.7", 9},
                                          .proto = {"http", 4},
                                          .via = {"holdfast", 8},
                                          .keep_upstream = true};
static const struct http_answer answer = {
    .keep_client = true, .client_minor = 1, .via = {"holdfast", 8}, .date = {"D", 1}};

#define TAIL(host)                                                                                 \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " host             \
    "\r\nForwarded: for=192.0.2.7;host=\"" host "\";proto=http\r\nVia: 1.1 holdfast\r\n"

static void parse(enum http1_case_kind kind, const char *text, struct http_head *out)
{
    const struct http_refusal *why = NULL;
    if (http1_case_parse(kind, text, strlen(text), 0, out, &why) != HTTP_DONE)
        fail_msg("refused: %s", why ? why->code : "more");
}

static void request(const char *in, const struct http_forward *f, const char *out)
{
    parse(CASE_REQUEST, in, &h);
    size_t n = http_write_request(&h, f, to, sizeof to - 1);
    to[n] = 0;
    assert_string_equal(to, out);
}

static void response(enum http1_case_kind kind, const char *in, const struct http_answer *a,
                     enum http_framing framing, const char *out)
{
    uint8_t got;
    parse(kind, in, &h);
    size_t n = http_write_response(&h, a, &got, to, sizeof to - 1);
    to[n] = 0;
    assert_string_equal(to, out);
    assert_int_equal(got, framing);
}

static bool written(const char *text)
{
    return strstr(to, text) != NULL;
}

static void a_plain_request(void **state)
{
    request("GET /a HTTP/1.1\r\nUser-Agent: x\r\nHost: a\r\nAccept:  y \r\nb:\r\n\r\n", &plain,
            "GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: y\r\nb: \r\n" TAIL("a") "\r\n");
}

static void blanks_around_values_are_not_written(void **state)
{
    request(
        "GET / HTTP/1.1\r\nHost: a\r\na: b\r\nc: d \r\ne:f\r\ng: h\t\r\ni: j\r\n\r\n", &plain,
        "GET / HTTP/1.1\r\nHost: a\r\na: b\r\nc: d\r\ne: f\r\ng: h\r\ni: j\r\n" TAIL("a") "\r\n");
}

static void a_request_of_http10_becomes_http11(void **state)
{
    request("GET / HTTP/1.0\r\n\r\n", &plain,
            "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
            "Forwarded: for=192.0.2.7;proto=http\r\nVia: 1.0 holdfast\r\n\r\n");
}

static void an_absolute_target_becomes_a_path(void **state)
{
    request("GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n", &plain,
            "GET /c?d HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    request("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", &plain,
            "GET / HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    request("GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", &plain,
            "GET /?c HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", &plain,
            "OPTIONS * HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
}

static void framing_is_written_anew(void **state)
{
    request("POST / HTTP/1.1\r\nHost: a\r\ncontent-length:\t 007 \r\n\r\n", &plain,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n" TAIL("a") "\r\n");
    request("POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: Chunked\r\nTrailer: x\r\n\r\n",
            &plain,
            "POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n" TAIL(
                "a") "\r\n");
    request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTrailer: x\r\n\r\n", &plain,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" TAIL("a") "\r\n");
}

static void hop_by_hop_fields_end_here(void **state)
{
    request("GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: x\r\nConnection: y, keep-alive\r\ny: 1\r\n"
            "Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: websocket\r\nProxy-Authorization: z\r\n"
            "Proxy-Authenticate: z\r\nz: 2\r\n\r\n",
            &plain, "GET / HTTP/1.1\r\nHost: a\r\nz: 2\r\n" TAIL("a") "\r\n");
}

static void what_connection_says_upstream(void **state)
{
    struct http_forward once = plain;
    once.keep_upstream = false;
    request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &once,
            "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "Connection: close\r\n\r\n");
    request(
        "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", &once,
        "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "TE: trailers\r\nConnection: close, TE\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n", &plain,
            "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "TE: trailers\r\nConnection: TE\r\n\r\n");
    request(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo/2\r\nConnection: upgrade\r\n\r\n", &once,
        "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "Upgrade: foo/2\r\nConnection: upgrade\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
            "Connection: upgrade, http2-settings\r\n\r\n",
            &plain, "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "\r\n");
}

static void who_forwarded_before_is_kept(void **state)
{
    request(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1, 2\r\nVia: 1.0 x\r\nForwarded: for=1\r\n"
        "X-Forwarded-For:\r\nx-forwarded-for: 3\r\nForwarded: for=2\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: h\r\n\r\n",
        &plain,
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: h\r\nX-Forwarded-For: 1, 2, 3, 192.0.2.7\r\n"
        "Forwarded: for=1, for=2, for=192.0.2.7;host=\"a\";proto=http\r\nVia: 1.1 "
        "holdfast\r\n\r\n");
}

static void who_forwarded_before_may_be_distrusted(void **state)
{
    struct http_forward f = plain;
    f.distrust = true;
    request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nForwarded: for=1\r\n"
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\r\n",
            &f, "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "\r\n");
}

static void forwarded_quotes_what_must_be_quoted(void **state)
{
    struct http_forward f = plain;
    f.client_ip = STR("2001:db8::1");
    parse(CASE_REQUEST, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &h);
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    assert_true(written("\r\nForwarded: for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=http\r\n"));
    assert_true(written("\r\nX-Forwarded-For: 2001:db8::1\r\n"));
    f.client_ip = STR("unix");
    to[http_write_request(&h, &f, to, sizeof to - 1)] = 0;
    assert_true(written("\r\nForwarded: for=_unix;host="));
}

/* An open quote would make our own element part of the client's text. */
static void an_open_quote_does_not_swallow_our_element(void **state)
{
    static const char *const open[] = {"for=\"x", "for=\"x\\\"", "\"", "a=\"b\", c=\"d\\\\\\\""};
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        char in[256] = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: ";
        strcat(strcat(in, open[i]), "\r\n\r\n");
        request(in, &plain, "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "\r\n");
    }
    parse(CASE_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=\"x\\\\\"\r\n\r\n", &h);
    to[http_write_request(&h, &plain, to, sizeof to - 1)] = 0;
    assert_true(written("\r\nForwarded: for=\"x\\\\\", for=192.0.2.7;"));
}

static void expect_is_passed_on_or_not(void **state)
{
    const char *in =
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    request(in, &plain,
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" TAIL(
                "a") "\r\n");
    struct http_forward f = plain;
    f.drop_expect = true;
    request(in, &f, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n" TAIL("a") "\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", &plain,
            "GET / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "\r\n");
}

static void max_forwards_is_counted_down(void **state)
{
    request("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n", &plain,
            "TRACE / HTTP/1.1\r\nHost: a\r\n" TAIL("a") "Max-Forwards: 9\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n", &plain,
            "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n" TAIL("a") "\r\n");
}

static void a_plain_response(void **state)
{
    response(CASE_RESPONSE,
             "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length:  05\r\nServer: y\r\n\r\n", &answer,
             HTTP_BODY_LENGTH,
             "HTTP/1.1 200 OK\r\nDate: x\r\nServer: y\r\nVia: 1.1 holdfast\r\nContent-Length: "
             "5\r\n\r\n");
}

static void a_date_is_added_when_there_is_none(void **state)
{
    response(CASE_RESPONSE, "HTTP/1.1 404 Away\r\nContent-Length: 0\r\n\r\n", &answer,
             HTTP_BODY_NONE,
             "HTTP/1.1 404 Away\r\nDate: D\r\nVia: 1.1 holdfast\r\nContent-Length: 0\r\n\r\n");
    struct http_answer a = answer;
    a.date = (struct str){NULL, 0};
    response(CASE_RESPONSE, "HTTP/1.1 404 Away\r\nContent-Length: 0\r\n\r\n", &a, HTTP_BODY_NONE,
             "HTTP/1.1 404 Away\r\nVia: 1.1 holdfast\r\nContent-Length: 0\r\n\r\n");
}

static void bodies_are_framed_for_the_client(void **state)
{
    struct http_answer old = answer;
    old.client_minor = 0;
    const char *chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n";
    const char *close = "HTTP/1.0 200 OK\r\n\r\n";
    response(CASE_RESPONSE, chunked, &answer, HTTP_BODY_CHUNKED,
             "HTTP/1.1 200 OK\r\nTrailer: x\r\nDate: D\r\nVia: 1.1 holdfast\r\nTransfer-Encoding: "
             "chunked\r\n\r\n");
    response(
        CASE_RESPONSE, close, &answer, HTTP_BODY_CHUNKED,
        "HTTP/1.1 200 OK\r\nDate: D\r\nVia: 1.0 holdfast\r\nTransfer-Encoding: chunked\r\n\r\n");
    response(CASE_RESPONSE, chunked, &old, HTTP_BODY_CLOSE,
             "HTTP/1.1 200 OK\r\nDate: D\r\nVia: 1.1 holdfast\r\nConnection: close\r\n\r\n");
    response(CASE_RESPONSE, close, &old, HTTP_BODY_CLOSE,
             "HTTP/1.1 200 OK\r\nDate: D\r\nVia: 1.0 holdfast\r\nConnection: close\r\n\r\n");
}

static void what_connection_says_downstream(void **state)
{
    const char *in = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
    struct http_answer a = answer;
    a.keep_client = false;
    response(CASE_RESPONSE, in, &a, HTTP_BODY_LENGTH,
             "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\nContent-Length: 1\r\nConnection: "
             "close\r\n\r\n");
    a.keep_client = true, a.client_minor = 0;
    response(CASE_RESPONSE, in, &a, HTTP_BODY_LENGTH,
             "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\nContent-Length: 1\r\nConnection: "
             "keep-alive\r\n\r\n");
}

static void answers_to_head_keep_their_fields(void **state)
{
    struct http_answer a = answer;
    a.head_request = true;
    response(CASE_HEAD_RESPONSE, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n", &a,
             HTTP_BODY_NONE,
             "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\nContent-Length: 5\r\n\r\n");
    response(
        CASE_HEAD_RESPONSE, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n", &a,
        HTTP_BODY_NONE,
        "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\nTransfer-Encoding: chunked\r\n\r\n");
    response(CASE_HEAD_RESPONSE, "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", &a, HTTP_BODY_NONE,
             "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\n\r\n");
}

static void statuses_without_a_body(void **state)
{
    response(CASE_RESPONSE, "HTTP/1.1 204 No Content\r\nDate: x\r\nContent-Length: 0\r\n\r\n",
             &answer, HTTP_BODY_NONE,
             "HTTP/1.1 204 No Content\r\nDate: x\r\nVia: 1.1 holdfast\r\n\r\n");
    response(CASE_RESPONSE,
             "HTTP/1.1 204 No Content\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n", &answer,
             HTTP_BODY_NONE, "HTTP/1.1 204 No Content\r\nDate: x\r\nVia: 1.1 holdfast\r\n\r\n");
    response(
        CASE_RESPONSE, "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n", &answer,
        HTTP_BODY_NONE,
        "HTTP/1.1 304 Not Modified\r\nDate: x\r\nVia: 1.1 holdfast\r\nContent-Length: 5\r\n\r\n");
    response(CASE_RESPONSE,
             "HTTP/1.1 304 Not Modified\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n", &answer,
             HTTP_BODY_NONE, "HTTP/1.1 304 Not Modified\r\nDate: x\r\nVia: 1.1 holdfast\r\n\r\n");
    response(CASE_RESPONSE, "HTTP/1.1 100 Continue\r\nx: y\r\n\r\n", &answer, HTTP_BODY_NONE,
             "HTTP/1.1 100 Continue\r\nx: y\r\nVia: 1.1 holdfast\r\n\r\n");
}

static void upgrades_answered(void **state)
{
    response(CASE_RESPONSE,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nx: "
             "y\r\n\r\n",
             &answer, HTTP_BODY_TUNNEL,
             "HTTP/1.1 101 Switching Protocols\r\nx: y\r\nVia: 1.1 holdfast\r\nUpgrade: "
             "websocket\r\nConnection: upgrade\r\n\r\n");
    response(CASE_RESPONSE,
             "HTTP/1.1 200 OK\r\nDate: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: "
             "0\r\n\r\n",
             &answer, HTTP_BODY_NONE,
             "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 holdfast\r\nContent-Length: 0\r\n\r\n");
}

static void our_own_answers(void **state)
{
    struct http_answer a = answer;
    to[http_write_error(503, "nobody is there", &a, 0, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 503 Service Unavailable\r\nDate: D\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                            "Content-Length: 16\r\n\r\nnobody is there\n");
    a.head_request = true, a.keep_client = false;
    to[http_write_error(429, "x", &a, 30, to, sizeof to - 1)] = 0;
    assert_string_equal(to, "HTTP/1.1 429 Too Many Requests\r\nDate: D\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                            "Retry-After: 30\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
}

static size_t write_case(enum http1_case_kind kind, const struct http_head *head, char *out,
                         size_t size)
{
    uint8_t framing;
    struct http_answer a = answer;
    a.head_request = kind == CASE_HEAD_RESPONSE;
    return kind == CASE_REQUEST ? http_write_request(head, &plain, out, size)
                                : http_write_response(head, &a, &framing, out, size);
}

static void nothing_is_written_that_does_not_fit(void **state)
{
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        const struct http_refusal *why;
        if (c->kind == CASE_CHUNKED)
            continue;
        assert_int_equal(http1_case_parse(c->kind, c->bytes.p, c->bytes.n, 0, &h, &why), HTTP_DONE);
        size_t n = write_case(c->kind, &h, to, sizeof to);
        assert_true(n > 0);
        for (size_t size = 0; size < n; size++) {
            char *exact = malloc(size ? size : 1);
            assert_int_equal(write_case(c->kind, &h, exact, size), 0);
            free(exact);
        }
        char *exact = malloc(n);
        assert_int_equal(write_case(c->kind, &h, exact, n), n);
        free(exact);
    }
    size_t whole = http_write_error(503, "nobody is there", &answer, 0, to, sizeof to);
    for (size_t size = 0; size < whole; size++)
        assert_int_equal(http_write_error(503, "nobody is there", &answer, 0, to, size), 0);
}

/* An end-to-end field of a is the same in b, and the n-th stays the n-th. */
static void assert_fields_kept(const struct http_head *a, const struct http_head *b)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < a->n_headers; i++) {
        const struct http_header *x = &a->headers[i];
        if (x->hop || x->field != HTTP_FIELD_OTHER)
            continue;
        while (k < b->n_headers && b->headers[k].field != HTTP_FIELD_OTHER)
            k++;
        assert_true(k < b->n_headers);
        assert_true(str_eq(x->name, b->headers[k].name));
        assert_true(str_eq(x->value, b->headers[k].value));
        k++;
    }
}

static void what_is_written_reads_back_the_same(void **state)
{
    const struct http_limits lim = {4096, HTTP_MAX_FIELDS};
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        const struct http_refusal *why;
        if (c->kind == CASE_CHUNKED)
            continue;
        assert_int_equal(http1_case_parse(c->kind, c->bytes.p, c->bytes.n, 0, &h, &why), HTTP_DONE);
        size_t n = write_case(c->kind, &h, to, sizeof to);
        int r = c->kind == CASE_REQUEST
                    ? http_parse_request(to, n, 0, &lim, &again, &why)
                    : http_parse_response(to, n, 0, c->kind == CASE_RESPONSE ? HTTP_GET : HTTP_HEAD,
                                          &lim, &again, &why);
        if (r != HTTP_DONE)
            fail_msg("%s: what is written is refused: %s", c->name, why->code);
        assert_int_equal(again.bytes, n);
        assert_int_equal(again.minor, 1);
        assert_int_equal(again.framing,
                         h.framing == HTTP_BODY_CLOSE ? HTTP_BODY_CHUNKED : h.framing);
        if (h.framing == HTTP_BODY_LENGTH)
            assert_int_equal(again.length, h.length);
        assert_int_equal(again.status, h.status);
        assert_true(str_eq(again.method_text, h.method_text));
        assert_true(str_eq(again.host, h.host));
        assert_fields_kept(&h, &again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request),
        cmocka_unit_test(blanks_around_values_are_not_written),
        cmocka_unit_test(a_request_of_http10_becomes_http11),
        cmocka_unit_test(an_absolute_target_becomes_a_path),
        cmocka_unit_test(framing_is_written_anew),
        cmocka_unit_test(hop_by_hop_fields_end_here),
        cmocka_unit_test(what_connection_says_upstream),
        cmocka_unit_test(who_forwarded_before_is_kept),
        cmocka_unit_test(who_forwarded_before_may_be_distrusted),
        cmocka_unit_test(forwarded_quotes_what_must_be_quoted),
        cmocka_unit_test(an_open_quote_does_not_swallow_our_element),
        cmocka_unit_test(expect_is_passed_on_or_not),
        cmocka_unit_test(max_forwards_is_counted_down),
        cmocka_unit_test(a_plain_response),
        cmocka_unit_test(a_date_is_added_when_there_is_none),
        cmocka_unit_test(bodies_are_framed_for_the_client),
        cmocka_unit_test(what_connection_says_downstream),
        cmocka_unit_test(answers_to_head_keep_their_fields),
        cmocka_unit_test(statuses_without_a_body),
        cmocka_unit_test(upgrades_answered),
        cmocka_unit_test(our_own_answers),
        cmocka_unit_test(nothing_is_written_that_does_not_fit),
        cmocka_unit_test(what_is_written_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
