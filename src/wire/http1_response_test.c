/* What a response's head says once it is accepted. */
#include "wire/http1_test.h"

static struct http_head h;

static void parse_for(enum http_method request, const char *text)
{
    const struct http_refusal *why = NULL;
    int r = http_parse_response(text, strlen(text), 0, request, &http1_case_limits, &h, &why);
    if (r != HTTP_DONE)
        fail_msg("refused: %s", why ? why->code : "more");
}

static void parse(const char *text)
{
    parse_for(HTTP_GET, text);
}

static void accepted_responses_are_framed_as_they_say(void **state)
{
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        if (c->kind != CASE_RESPONSE && c->kind != CASE_HEAD_RESPONSE)
            continue;
        const struct http_refusal *why = NULL;
        char *p = exactly(c->bytes.p, c->bytes.n);
        if (http1_case_parse(c->kind, p, c->bytes.n, 0, &h, &why) != HTTP_DONE)
            fail_msg("%s: %s", c->name, why ? why->code : "more");
        if (h.framing != c->framing || h.length != c->length)
            fail_msg("%s: framing %u of %llu bytes", c->name, h.framing,
                     (unsigned long long)h.length);
        assert_int_equal(h.bytes, c->bytes.n);
        free(p);
    }
}

static void the_parts_of_a_response(void **state)
{
    parse("HTTP/1.1 404 Not  Found\r\nServer: x\r\n\r\nbody");
    assert_int_equal(h.status, 404);
    assert_true(str_eq(h.reason, STR("Not  Found")));
    assert_int_equal(h.headers[0].field, HTTP_FIELD_SERVER);
    parse("HTTP/1.1 404\r\n\r\n");
    assert_int_equal(h.reason.n, 0);
}

static void a_body_that_only_the_end_ends_ends_the_connection(void **state)
{
    parse("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_CLOSE);
    assert_false(h.keep_alive);
    parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert_true(h.keep_alive);
    parse("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert_false(h.keep_alive);
    parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n");
    assert_true(h.keep_alive);
}

static void a_204_that_frames_a_body_ends_the_connection(void **state)
{
    parse("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    assert_true(h.keep_alive);
    parse("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n");
    assert_false(h.keep_alive);
    parse("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_false(h.keep_alive);
    parse("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n");
    assert_true(h.keep_alive);
}

static void what_would_have_been_framed_is_known(void **state)
{
    parse_for(HTTP_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_NONE);
    assert_int_equal(h.declared, HTTP_BODY_LENGTH);
    assert_int_equal(h.length, 5);
    parse_for(HTTP_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(h.declared, HTTP_BODY_CHUNKED);
    parse_for(HTTP_HEAD, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_NONE);
    assert_true(h.keep_alive);
}

static void tunnels(void **state)
{
    parse_for(HTTP_CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_TUNNEL);
    parse_for(HTTP_CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_LENGTH);
    parse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    assert_int_equal(h.framing, HTTP_BODY_TUNNEL);
    assert_true(h.upgrade);
    assert_false(h.keep_alive);
}

static void only_101_upgrades(void **state)
{
    parse("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    assert_false(h.upgrade);
}

static void registered_statuses_have_their_phrase(void **state)
{
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_text(299), "");
    const struct http_refusal *r;
    for (unsigned i = 0; (r = http_refusal_at(i)); i++)
        assert_string_not_equal(http_status_text(r->status), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_responses_are_framed_as_they_say),
        cmocka_unit_test(the_parts_of_a_response),
        cmocka_unit_test(a_body_that_only_the_end_ends_ends_the_connection),
        cmocka_unit_test(a_204_that_frames_a_body_ends_the_connection),
        cmocka_unit_test(what_would_have_been_framed_is_known),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(only_101_upgrades),
        cmocka_unit_test(registered_statuses_have_their_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
