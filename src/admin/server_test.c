/* The server below the routes: bytes in any pieces, bounds, and connections that misbehave. */
#include "admin/client.h"

static void requests_may_come_byte_by_byte_and_in_a_row(void **state)
{
    static const char request[] = "GET /v1/version HTTP/1.1\r\nHost: n\r\n\r\n";
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        client_send(&c, (struct str){request + i, 1});
        if (i % 7 == 0)
            client_wait(&c, NS_PER_MS);
    }
    struct answer a = client_take(&c, false);
    assert_int_equal(a.status, 200);
    answer_end(&a);
    client_send(&c, STR("GET /v1/version HTTP/1.1\r\nHost: n\r\n\r\n"
                        "HEAD /v1/status HTTP/1.1\r\nHost: n\r\n\r\n"
                        "GET /nowhere HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"));
    static const unsigned wanted[] = {200, 200, 404};
    for (int i = 0; i < 3; i++) {
        a = client_take(&c, i == 1);
        assert_int_equal(a.status, wanted[i]);
        assert_int_equal(strstr(a.head, "Connection: close\r\n") != NULL, i == 2);
        answer_end(&a);
    }
    while (!c.eof)
        assert_true(client_wait(&c, 5 * NS_PER_S));
    client_close(&c);
    server_close(&s);
}

static void bodies_are_skipped(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    client_send(&c, STR("POST /v1/processes/proxy/restart HTTP/1.1\r\nHost: n\r\n"
                        "Content-Length: 10\r\n\r\n01234"));
    assert_false(client_wait(&c, 20 * NS_PER_MS));
    assert_int_equal(s.f.restarts, 0);
    client_send(&c, STR("56789POST /v1/processes/proxy/restart HTTP/1.1\r\nHost: n\r\n"
                        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"));
    struct answer a = client_take(&c, false);
    assert_int_equal(a.status, 202);
    answer_end(&a);
    a = client_take(&c, true);
    assert_int_equal(a.status, 100);
    answer_end(&a);
    client_send(&c, STR("3\r\nabc\r\n0\r\n"));
    assert_false(client_wait(&c, 20 * NS_PER_MS));
    assert_int_equal(s.f.restarts, 1);
    client_send(&c, STR("\r\nGET /v1/version HTTP/1.1\r\nHost: n\r\n\r\n"));
    a = client_take(&c, false);
    assert_int_equal(a.status, 202);
    answer_end(&a);
    a = client_take(&c, false);
    assert_int_equal(a.status, 200);
    answer_end(&a);
    assert_int_equal(s.f.restarts, 2);
    client_close(&c);
    server_close(&s);
}

static void refused(struct server *s, struct str bytes, unsigned status, const char *code)
{
    struct client c;
    client_open(&c, s);
    client_send(&c, bytes);
    struct answer a = client_take(&c, false);
    if (a.status != status || strcmp(error_code(&a), code) != 0)
        fail_msg("%.60s: %u %s", bytes.p, a.status, error_code(&a));
    assert_non_null(strstr(a.head, "Connection: close\r\n"));
    answer_end(&a);
    while (!c.eof)
        assert_true(client_wait(&c, 5 * NS_PER_S));
    client_close(&c);
}

static void what_is_malformed_or_too_large_is_refused(void **state)
{
    struct server s;
    struct buf large = {0}, chunks = {0};
    server_open(&s);
    refused(&s, STR("nonsense\r\n\r\n"), 400, "malformed");
    refused(&s, STR("GET / HTTP/1.1\r\n\r\n"), 400, "malformed");
    refused(&s, STR("POST /v1/reload HTTP/1.1\r\nHost: n\r\nContent-Length: 1048577\r\n\r\n"), 413,
            "too-large");
    refused(&s,
            STR("POST /v1/reload HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400, "malformed");
    buf_printf(&large, "GET / HTTP/1.1\r\nHost: n\r\nX: ");
    for (int i = 0; i < CONN_HEAD_MAX; i++)
        buf_add(&large, "x", 1);
    refused(&s, buf_str(&large), 431, "too-large");
    buf_printf(&chunks,
               "POST /v1/reload HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 260; i++)
        buf_printf(&chunks, "1000\r\n%04096d\r\n", 0);
    refused(&s, buf_str(&chunks), 413, "too-large");
    assert_int_equal(s.f.reloads, 0);
    buf_free(&large);
    buf_free(&chunks);
    server_close(&s);
}

/* A full house: the one that has been idle longest goes, one that waits for an answer stays. */
static void the_longest_idle_makes_room(void **state)
{
    static struct client c[ADMIN_MAX_CONNECTIONS + 1];
    struct server s;
    server_open(&s);
    client_open(&c[0], &s);
    client_send(&c[0], STR("GET /v1/events?wait=30 HTTP/1.1\r\nHost: n\r\n\r\n"));
    while (list_empty(&s.f.admin->polls))
        client_wait(&c[0], NS_PER_MS);
    for (unsigned i = 1; i < ADMIN_MAX_CONNECTIONS; i++) {
        client_open(&c[i], &s);
        struct answer a = ask(&c[i], "GET", "/v1/version");
        answer_end(&a);
    }
    assert_int_equal(s.f.admin->n_conns, ADMIN_MAX_CONNECTIONS);
    client_open(&c[ADMIN_MAX_CONNECTIONS], &s);
    struct answer a = ask(&c[ADMIN_MAX_CONNECTIONS], "GET", "/v1/version");
    assert_int_equal(a.status, 200);
    answer_end(&a);
    assert_int_equal(s.f.admin->n_conns, ADMIN_MAX_CONNECTIONS);
    while (!c[1].eof)
        assert_true(client_wait(&c[1], 5 * NS_PER_S));
    for (unsigned i = 0; i <= ADMIN_MAX_CONNECTIONS; i++) {
        assert_int_equal(c[i].eof, i == 1);
        client_close(&c[i]);
    }
    server_close(&s);
}

/* An answer that the socket cannot hold at once arrives whole. */
static void large_answers_arrive_whole(void **state)
{
    struct server s;
    struct client c;
    server_open(&s);
    client_open(&c, &s);
    int small = 1;
    for (struct list *it = s.f.admin->conns.next; it != &s.f.admin->conns; it = it->next)
        fail();
    struct answer a = ask(&c, "GET", "/v1/version");
    answer_end(&a);
    struct conn *conn = LIST_ENTRY(s.f.admin->conns.next, struct conn, link);
    assert_int_equal(setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    for (int i = 0; i < 5; i++) {
        a = ask(&c, "GET", "/metrics");
        assert_int_equal(a.status, 200);
        assert_true(a.body.n > 8000 && a.body.p[a.body.n - 1] == '\n');
        answer_end(&a);
    }
    client_close(&c);
    server_close(&s);
}

/* Memory runs out at every place of a request: an answer or a closed connection, nothing else, and
 * the next request is served. */
static void out_of_memory_costs_one_request_at_most(void **state)
{
    struct server s;
    server_open(&s);
    unsigned failures = 0;
    for (unsigned long n = 1; n < 400; n++) {
        struct client c;
        client_open(&c, &s);
        assert_true(buf_reserve(&c.in, 1 << 20)); /* the client's own memory does not count */
        client_send(&c, STR("GET /v1/status HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"));
        mem_fail_at(n);
        while (!c.eof)
            assert_true(client_wait(&c, 5 * NS_PER_S));
        bool failed = mem_failed();
        mem_fail_at(0);
        failures += failed;
        bool good = c.in.n > 15 && memcmp(c.in.p, "HTTP/1.1 200 OK", 15) == 0;
        bool sorry = c.in.n > 12 && memcmp(c.in.p, "HTTP/1.1 500", 12) == 0;
        assert_true(good || (failed && (sorry || c.in.n == 0)));
        client_close(&c);
        if (!failed)
            break;
    }
    assert_true(failures > 50);
    server_close(&s);
}

static void making_one_may_fail(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    struct admin_host host = f.admin->host;
    for (unsigned long n = 1;; n++) {
        struct admin *a = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int r = admin_new(&a, f.loop, &host, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, failed ? -ERR_NOMEM : 0);
        admin_free(a);
        if (!failed)
            break;
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_may_come_byte_by_byte_and_in_a_row),
        cmocka_unit_test(bodies_are_skipped),
        cmocka_unit_test(what_is_malformed_or_too_large_is_refused),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(large_answers_arrive_whole),
        cmocka_unit_test(out_of_memory_costs_one_request_at_most),
        cmocka_unit_test(making_one_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
