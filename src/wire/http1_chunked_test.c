/* The chunked decoder beyond what the tables of cases say. */
#include "wire/http1_test.h"

static void accepted_bodies_decode(void **state)
{
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        if (c->kind != CASE_CHUNKED)
            continue;
        const struct http_refusal *why = NULL;
        struct http_chunked d = {0};
        size_t payload, used;
        char *p = exactly(c->bytes.p, c->bytes.n), *to = exactly(p, c->bytes.n);
        int r = http1_case_decode(&d, p, c->bytes.n, c->bytes.n, to, &payload, &used, &why);
        if (r != HTTP_DONE)
            fail_msg("%s: %s", c->name, why ? why->code : "more");
        assert_int_equal(used, c->bytes.n);
        assert_int_equal(payload, c->length);
        free(p);
        free(to);
    }
}

static void payload_comes_in_one_run_a_call(void **state)
{
    const char *body = "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\nnext";
    const struct http_refusal *why;
    struct http_chunked d = {0};
    struct str data;
    size_t used;
    assert_int_equal(http_chunked_step(&d, body, 27, &used, &data, &why), HTTP_MORE);
    assert_true(data.p == body + 3 && data.n == 5);
    assert_int_equal(used, 13); /* up to the next payload */
    assert_int_equal(http_chunked_step(&d, body + 13, 14, &used, &data, &why), HTTP_DONE);
    assert_true(data.p == body + 13 && data.n == 3);
    assert_int_equal(used, 10);
}

static void an_end_stays_an_end(void **state)
{
    const struct http_refusal *why, *again;
    struct http_chunked d = {0};
    struct str data;
    size_t used;
    assert_int_equal(http_chunked_step(&d, "0\r\n\r\n", 5, &used, &data, &why), HTTP_DONE);
    assert_int_equal(http_chunked_step(&d, "5\r\n", 3, &used, &data, &why), HTTP_DONE);
    assert_int_equal(used, 0);
    d = (struct http_chunked){0};
    assert_int_equal(http_chunked_step(&d, "5\rx", 3, &used, &data, &why), HTTP_REFUSED);
    assert_int_equal(used, 2);
    assert_int_equal(http_chunked_step(&d, "\n", 1, &used, &data, &again), HTTP_REFUSED);
    assert_ptr_equal(why, again);
    assert_int_equal(used, 0);
}

static void the_largest_chunk(void **state)
{
    const struct http_refusal *why;
    struct http_chunked d = {0};
    struct str data;
    size_t used;
    assert_int_equal(http_chunked_step(&d, "7fffffffffffffff\r\nxyz", 21, &used, &data, &why),
                     HTTP_MORE);
    assert_int_equal(data.n, 3);
    assert_int_equal(d.left, INT64_MAX - 3);
}

static int decode(const char *text, size_t n, const struct http_refusal **why)
{
    struct http_chunked d = {0};
    size_t payload, used;
    char *to = malloc(n);
    int r = http1_case_decode(&d, text, n, n, to, &payload, &used, why);
    free(to);
    return r;
}

static void size_lines_are_bounded_exactly(void **state)
{
    const struct http_refusal *why;
    char text[HTTP_CHUNK_LINE + 16] = "0;";
    memset(text + 2, 'x', HTTP_CHUNK_LINE - 4);
    memcpy(text + HTTP_CHUNK_LINE - 2, "\r\n\r\n", 4);
    assert_int_equal(decode(text, HTTP_CHUNK_LINE + 2, &why), HTTP_DONE);
    memcpy(text + HTTP_CHUNK_LINE - 2, "x\r\n\r\n", 5);
    assert_int_equal(decode(text, HTTP_CHUNK_LINE + 3, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "chunk-line-too-long");
}

static void trailers_are_bounded_exactly(void **state)
{
    const struct http_refusal *why;
    static char text[HTTP_TRAILER_BYTES + 16] = "0\r\nx:";
    size_t n = 3 + HTTP_TRAILER_BYTES;
    memset(text + 5, 'x', sizeof text - 5);
    memcpy(text + n - 4, "\r\n\r\n", 4);
    assert_int_equal(decode(text, n, &why), HTTP_DONE);
    memcpy(text + n - 4, "x\r\n\r\n", 5);
    assert_int_equal(decode(text, n + 1, &why), HTTP_REFUSED);
    assert_string_equal(why->code, "trailers-too-large");
}

static void names_that_no_trailer_may_have(void **state)
{
    static const char *const names[] = {"Host",
                                        "Content-Length",
                                        "Transfer-Encoding",
                                        "Connection",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Upgrade",
                                        "Expect",
                                        "Via",
                                        "Forwarded",
                                        "X-Forwarded-For",
                                        "X-Forwarded-Proto",
                                        "X-Forwarded-Host",
                                        "Max-Forwards",
                                        "Proxy-Authorization",
                                        "Proxy-Authenticate",
                                        "Authorization",
                                        "Cache-Control",
                                        "Content-Encoding",
                                        "Content-Location",
                                        "Content-Range",
                                        "Content-Type",
                                        "Cookie",
                                        "Set-Cookie",
                                        "WWW-Authenticate"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct http_refusal *why;
        char text[64] = "0\r\n";
        strcat(strcat(text, names[i]), ": x\r\n\r\n");
        assert_int_equal(decode(text, strlen(text), &why), HTTP_REFUSED);
        assert_string_equal(why->code, "trailer-forbidden");
        /* One byte more is another name. */
        strcpy(text, "0\r\n");
        strcat(strcat(text, names[i]), "x: x\r\n\r\n");
        assert_int_equal(decode(text, strlen(text), &why), HTTP_DONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_bodies_decode),
        cmocka_unit_test(payload_comes_in_one_run_a_call),
        cmocka_unit_test(an_end_stays_an_end),
        cmocka_unit_test(the_largest_chunk),
        cmocka_unit_test(size_lines_are_bounded_exactly),
        cmocka_unit_test(trailers_are_bounded_exactly),
        cmocka_unit_test(names_that_no_trailer_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
