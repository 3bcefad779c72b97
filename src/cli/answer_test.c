/* Every answer in one piece, cut in two everywhere, and byte by byte: it must be the same. What is
 * no answer, what is too long, and memory that runs out. */
#include "cli/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HEAD "HTTP/1.1 200 OK\r\n"

static int feed(struct answer *a, const char *p, size_t n)
{
    return n && !a->whole ? answer_add(a, p, n, NULL) : 0;
}

static const struct {
    const char *bytes, *body;
    unsigned status;
    bool keep, to_end; /* to_end: only the connection's end makes it whole */
} good[] = {
    {HEAD "Content-Length: 2\r\n\r\n{}", "{}", 200, true, false},
    {HEAD "Content-Length: 0\r\n\r\n", "", 200, true, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, false},
    {HEAD "Content-Length: 2\r\nConnection: close\r\n\r\n{}", "{}", 200, false, false},
    {"HTTP/1.0 503 Busy\r\nContent-Length: 2\r\n\r\n{}", "{}", 503, false, false},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n3;x=y\r\n\"a\"\r\n0\r\nt: v\r\n\r\n",
     "{\"a\"", 200, true, false},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", 200, true, false},
    {HEAD "\r\n{\"to\": \"the end\"}", "{\"to\": \"the end\"}", 200, false, true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" HEAD
     "Content-Length: 3\r\n\r\nabc",
     "abc", 200, true, false},
};

static void check(const struct answer *a, size_t i)
{
    assert_true(a->whole && a->began);
    assert_int_equal(a->status, good[i].status);
    assert_int_equal(a->keep_alive, good[i].keep);
    assert_true(str_eq(buf_str(&a->body), str_of(good[i].body)));
}

static void however_it_is_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const char *p = good[i].bytes;
        size_t n = strlen(p);
        for (size_t cut = 0; cut <= n + 1; cut++) { /* the last round: byte by byte */
            struct answer a = {.body.limit = 100};
            if (cut <= n) {
                assert_int_equal(feed(&a, p, cut), 0);
                assert_int_equal(a.whole, cut == n && !good[i].to_end);
                assert_int_equal(feed(&a, p + cut, n - cut), 0);
            } else {
                for (size_t k = 0; k < n; k++)
                    assert_int_equal(feed(&a, p + k, 1), 0);
            }
            assert_int_equal(a.whole, !good[i].to_end);
            if (good[i].to_end)
                assert_int_equal(answer_end(&a, NULL), 0);
            check(&a, i);
            answer_free(&a);
        }
    }
}

static void an_end_in_the_middle_is_no_answer(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        size_t n = strlen(good[i].bytes);
        for (size_t cut = 0; cut < n; cut++) {
            struct answer a = {.body.limit = 100};
            assert_int_equal(feed(&a, good[i].bytes, cut), 0);
            assert_int_equal(a.began, cut > 0);
            bool cut_body = good[i].to_end && a.status;
            assert_int_equal(answer_end(&a, NULL), cut_body ? 0 : -ERR_PROTO);
            answer_free(&a);
        }
    }
}

static void what_is_no_answer(void **state)
{
    static const char *const bad[] = {
        "nonsense\r\n\r\n",
        "{\"schema\": 1}\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct answer a = {.body.limit = 100};
        struct err e = {0};
        assert_int_equal(answer_add(&a, bad[i], strlen(bad[i]), &e), -ERR_PROTO);
        assert_true(e.text[0] != 0);
        answer_free(&a);
    }
}

static void a_head_without_end_is_refused(void **state)
{
    struct answer a = {.body.limit = 100};
    int rc = answer_add(&a, HEAD, strlen(HEAD), NULL);
    size_t given = 0;
    for (; rc == 0 && given < 2 * ANSWER_HEAD_MAX; given += 8)
        rc = answer_add(&a, "x: long\n", 8, NULL);
    assert_int_equal(rc, -ERR_PROTO);
    assert_true(given <= ANSWER_HEAD_MAX);
    answer_free(&a);
}

static void what_follows_ends_the_connection(void **state)
{
    static const char *const more[] = {
        HEAD "Content-Length: 2\r\n\r\n{}HTTP/1.1",
        HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nx",
        "HTTP/1.1 204 No Content\r\n\r\nx",
    };
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        struct answer a = {.body.limit = 100};
        assert_int_equal(feed(&a, more[i], strlen(more[i])), 0);
        assert_true(a.whole && !a.keep_alive);
        assert_true(a.body.n == 0 || str_eq(buf_str(&a.body), STR("{}")));
        answer_free(&a);
    }
}

static void a_body_is_bounded(void **state)
{
    static const char *const ways[] = {
        HEAD "Content-Length: 5\r\n\r\n12345",
        HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n",
        HEAD "\r\n12345",
    };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        for (size_t limit = 4; limit <= 5; limit++) {
            struct answer a = {.body.limit = limit};
            assert_int_equal(feed(&a, ways[i], strlen(ways[i])), limit == 4 ? -ERR_LIMIT : 0);
            answer_free(&a);
        }
    }
    struct answer a = {.body.limit = 4}; /* said before: not even begun */
    assert_int_equal(feed(&a, HEAD "Content-Length: 5\r\n\r\n", strlen(HEAD) + 21), -ERR_LIMIT);
    answer_free(&a);
}

static void memory_runs_out(void **state)
{
    const char *p = HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    unsigned long n = 1;
    for (int failed = 1; failed; n++) {
        struct answer a = {.body.limit = 100};
        mem_fail_at(n);
        int rc = answer_add(&a, p, strlen(p), NULL);
        failed = mem_failed();
        assert_int_equal(rc, failed ? -ERR_NOMEM : 0);
        mem_fail_at(0);
        answer_free(&a);
    }
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(however_it_is_cut),
        cmocka_unit_test(an_end_in_the_middle_is_no_answer),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(what_follows_ends_the_connection),
        cmocka_unit_test(a_body_is_bounded),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
