/* The probe: each answer whole, and cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "detect/probe.h"

static const struct {
    const char *answer, *text;
    int result;
    unsigned status;
} rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", PROBE_OK, 200},
    {"HTTP/1.1 200 OK\r\n\r\n", "", PROBE_OK, 200},
    {"HTTP/1.0 204 No Content\r\n\r\n", "", PROBE_OK, 204},
    {"HTTP/1.1 399 Odd\r\n\r\n", "", PROBE_OK, 399},
    {"HTTP/1.1 400 Bad\r\n\r\n", "", PROBE_BAD, 400},
    {"HTTP/1.1 503 Gone\r\n\r\n", "", PROBE_BAD, 503},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "", PROBE_OK, 200},
    {"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "", PROBE_BAD,
     500},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "", PROBE_BAD,
     101},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "", PROBE_BAD, 0},
    {"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "", PROBE_BAD, 0},
    {"", "", PROBE_BAD, 0},
    {"HTTP/1.1 200 OK\r\nServer: x\r\n", "", PROBE_BAD, 0},
    /* bodies */
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is ok", "is ok", PROBE_OK, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is no ok", "no ok", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is", "ok", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nok", "ok", PROBE_BAD, 200},
    {"HTTP/1.1 204 No Content\r\n\r\nok", "ok", PROBE_BAD, 204},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end: ok", "ok", PROBE_OK, 200},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end: no", "ok", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\n\r\naabaabaaab", "aabaaab", PROBE_OK, 200}, /* needs the fallback */
    {"HTTP/1.1 200 OK\r\n\r\nabababac", "ababac", PROBE_OK, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n4\r\n ok!\r\n0\r\n\r\n",
     "all ok", PROBE_OK, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n4\r\n no!\r\n0\r\n\r\n",
     "all ok", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "0\r\n", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok", "ok", PROBE_BAD, 200},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxyz", "ok", PROBE_OK, 200},
    {"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok", "ok", PROBE_BAD, 500},
};

/* Feeds in pieces of `size`, the first one of `first`. */
static int run(struct probe *p, const char *answer, size_t n, const char *text, size_t first,
               size_t size)
{
    assert_true(probe_init(p, 200, 399, str_of(text)));
    int r = PROBE_MORE;
    for (size_t at = 0, some = first; at < n && r == PROBE_MORE; at += some, some = size) {
        some = MIN(some, n - at);
        char piece[256]; /* so that a sanitizer sees what reads beyond it */
        assert_true(some <= sizeof piece);
        memcpy(piece, answer + at, some);
        r = probe_feed(p, piece, some);
    }
    return r == PROBE_MORE ? probe_end(p) : r;
}

static void test_answers_however_they_are_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].answer);
        struct probe p;
        for (size_t first = 1; first <= n + 1; first++) {
            for (size_t size = 1; size < 256; size += 254) {
                int r = run(&p, rows[i].answer, n, rows[i].text, first, size);
                if (r != rows[i].result || p.status != rows[i].status)
                    fail_msg("row %zu cut at %zu: result %d, status %u", i, first, r, p.status);
                assert_true((r == PROBE_BAD) == (p.why != NULL));
                assert_int_equal(probe_feed(&p, "x", 1), r); /* decided is decided */
                assert_int_equal(probe_end(&p), r);
            }
        }
    }
}

static void test_decides_as_early_as_it_can(void **state)
{
    struct probe p;
    probe_init(&p, 200, 399, STR(""));
    assert_int_equal(probe_feed(&p, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", 40),
                     PROBE_OK);
    probe_init(&p, 200, 399, STR("ok"));
    const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nok";
    assert_int_equal(probe_feed(&p, head, strlen(head) - 1), PROBE_MORE);
    assert_int_equal(probe_feed(&p, "k", 1), PROBE_OK);
}

static void test_searches_so_far_and_no_farther(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    for (int beyond = 0; beyond < 2; beyond++) {
        struct probe p;
        probe_init(&p, 200, 200, STR("end"));
        assert_int_equal(probe_feed(&p, head, sizeof head - 1), PROBE_MORE);
        for (int i = 0; i < PROBE_BODY_MAX - 3 + beyond; i++)
            assert_int_equal(probe_feed(&p, ".", 1), PROBE_MORE);
        assert_int_equal(probe_feed(&p, "end", 3), beyond ? PROBE_BAD : PROBE_OK);
    }
}

static void test_finds_what_a_plain_search_finds(void **state)
{
    struct prng r;
    prng_seed(&r, 3);
    unsigned found = 0;
    for (int i = 0; i < 20000; i++) {
        char text[12], body[64];
        size_t text_n = 1 + prng_below(&r, sizeof text), body_n = 0;
        for (size_t k = 0; k < text_n; k++)
            text[k] = "aab"[prng_below(&r, 3)];
        while (prng_below(&r, 8) && body_n < sizeof body - text_n) { /* of its own beginnings */
            size_t some = prng_below(&r, text_n + 1);
            memcpy(body + body_n, text, some);
            body_n += some;
        }
        struct probe p;
        probe_init(&p, 200, 200, (struct str){text, text_n});
        probe_feed(&p, "HTTP/1.1 200 OK\r\n\r\n", 19);
        size_t cut = prng_below(&r, body_n + 1);
        probe_feed(&p, body, cut);
        probe_feed(&p, body + cut, body_n - cut);
        bool there = memmem(body, body_n, text, text_n) != NULL;
        assert_int_equal(probe_end(&p), there ? PROBE_OK : PROBE_BAD);
        found += there;
    }
    assert_in_range(found, 5000, 15000);
}

static void test_another_protocol_is_never_wanted(void **state)
{
    struct probe p;
    const char *answer = "HTTP/1.1 101 On\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    probe_init(&p, 100, 599, STR(""));
    assert_int_equal(probe_feed(&p, answer, strlen(answer)), PROBE_BAD);
}

static void test_a_head_is_bounded(void **state)
{
    struct probe p;
    probe_init(&p, 200, 399, STR(""));
    const char *head = "HTTP/1.1 200 OK\r\nA: ";
    int r = probe_feed(&p, head, strlen(head));
    unsigned fed = (unsigned)strlen(head);
    while (r == PROBE_MORE && fed <= PROBE_HEAD_MAX) {
        r = probe_feed(&p, "b", 1);
        fed++;
    }
    assert_int_equal(r, PROBE_BAD);
    assert_in_range(fed, PROBE_HEAD_MAX - 1, PROBE_HEAD_MAX);

    probe_init(&p, 200, 399, STR(""));
    const char *interim = "HTTP/1.1 100 Continue\r\n\r\n";
    for (int i = 0; i < PROBE_INTERIM_MAX; i++)
        assert_int_equal(probe_feed(&p, interim, strlen(interim)), PROBE_MORE);
    assert_int_equal(probe_feed(&p, interim, strlen(interim)), PROBE_BAD);
}

static void test_a_text_is_bounded(void **state)
{
    struct probe p;
    char text[PROBE_TEXT_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_false(probe_init(&p, 200, 399, (struct str){text, sizeof text}));
    assert_true(probe_init(&p, 200, 399, (struct str){text, sizeof text - 1}));
    const char *head = "HTTP/1.1 200 OK\r\n\r\n";
    probe_feed(&p, head, strlen(head));
    assert_int_equal(probe_feed(&p, text, PROBE_TEXT_MAX - 1), PROBE_MORE);
    assert_int_equal(probe_feed(&p, "b", 1), PROBE_MORE);
    assert_int_equal(probe_feed(&p, text, PROBE_TEXT_MAX), PROBE_OK);
}

static void test_request(void **state)
{
    char to[512];
    size_t n = probe_request(STR("/health?a=b"), STR("10.0.0.1:80"), to, sizeof to);
    const char *wanted = "GET /health?a=b HTTP/1.1\r\nHost: 10.0.0.1:80\r\n"
                         "User-Agent: holdfast/" HF_VERSION " check\r\nAccept: */*\r\n"
                         "Connection: close\r\n\r\n";
    assert_int_equal(n, strlen(wanted));
    assert_memory_equal(to, wanted, n);
    /* it is a request to our own parser */
    struct http_limits limits = {4096, 16};
    struct http_head head;
    const struct http_refusal *why;
    assert_int_equal(http_parse_request(to, n, 0, &limits, &head, &why), HTTP_DONE);
    assert_false(head.keep_alive);
    /* exactly fits, with its terminator */
    assert_int_equal(probe_request(STR("/health?a=b"), STR("10.0.0.1:80"), to, n + 1), n);
    assert_int_equal(probe_request(STR("/health?a=b"), STR("10.0.0.1:80"), to, n), 0);
    assert_int_equal(probe_request(STR("health"), STR("h"), to, sizeof to), 0);
    assert_int_equal(probe_request(STR(""), STR("h"), to, sizeof to), 0);
    assert_int_equal(probe_request(STR("/"), STR(""), to, sizeof to), 0);
    assert_int_equal(probe_request(STR("/a b"), STR("h"), to, sizeof to), 0);
    assert_int_equal(probe_request(STR("/"), STR("h\r\nX: y"), to, sizeof to), 0);
    assert_int_equal(probe_request(STR("/\xff"), STR("h"), to, sizeof to), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_however_they_are_cut),
        cmocka_unit_test(test_decides_as_early_as_it_can),
        cmocka_unit_test(test_searches_so_far_and_no_farther),
        cmocka_unit_test(test_finds_what_a_plain_search_finds),
        cmocka_unit_test(test_another_protocol_is_never_wanted),
        cmocka_unit_test(test_a_head_is_bounded),
        cmocka_unit_test(test_a_text_is_bounded),
        cmocka_unit_test(test_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
