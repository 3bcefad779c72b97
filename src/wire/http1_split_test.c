/* However a message is cut into pieces, it comes to the same; and what was searched once is not
 * searched again. */
#include "wire/http1_test.h"

struct outcome {
    int result;
    const struct http_refusal *why;
    struct http_head head;
};

static bool same_view(struct str a, const char *pa, struct str b, const char *pb)
{
    return a.n == b.n && (a.n == 0 || a.p - pa == b.p - pb);
}

/* Two heads parsed from two copies of the same bytes. */
static bool same_head(const struct http_head *a, const char *pa, const struct http_head *b,
                      const char *pb)
{
    bool same = a->bytes == b->bytes && a->minor == b->minor && a->method == b->method &&
                a->status == b->status && a->framing == b->framing && a->declared == b->declared &&
                a->length == b->length && a->keep_alive == b->keep_alive &&
                a->expect_continue == b->expect_continue && a->upgrade == b->upgrade &&
                a->te_trailers == b->te_trailers && a->max_forwards == b->max_forwards &&
                a->present == b->present && a->n_headers == b->n_headers;
    same = same && same_view(a->method_text, pa, b->method_text, pb) &&
           same_view(a->target, pa, b->target, pb) && same_view(a->path, pa, b->path, pb) &&
           same_view(a->host, pa, b->host, pb) && same_view(a->reason, pa, b->reason, pb);
    for (uint32_t i = 0; same && i < a->n_headers; i++) {
        const struct http_header *x = &a->headers[i], *y = &b->headers[i];
        same = same_view(x->name, pa, y->name, pb) && same_view(x->value, pa, y->value, pb) &&
               x->field == y->field && x->hop == y->hop;
    }
    return same;
}

/* Hands over the first `cut` bytes, then `step` more at a time. */
static void feed(enum http1_case_kind kind, const char *p, size_t n, size_t cut, size_t step,
                 struct outcome *out)
{
    size_t seen = 0;
    for (size_t have = cut;; have = MIN(have + step, n)) {
        char *piece = exactly(p, have);
        out->result = http1_case_parse(kind, piece, have, seen, &out->head, &out->why);
        free(piece);
        if (out->result != HTTP_MORE || have == n)
            break;
        seen = have;
    }
    if (out->result == HTTP_DONE) /* views into the bytes that stay */
        assert_int_equal(http1_case_parse(kind, p, n, 0, &out->head, &out->why), HTTP_DONE);
}

static void assert_same(const char *name, size_t cut, const struct outcome *a,
                        const struct outcome *b, const char *p)
{
    bool same = a->result == b->result;
    if (same && a->result == HTTP_REFUSED)
        same = a->why == b->why;
    if (same && a->result == HTTP_DONE)
        same = same_head(&a->head, p, &b->head, p);
    if (!same)
        fail_msg("%s: cut at %zu it comes to something else", name, cut);
}

static void split_head(enum http1_case_kind kind, const char *name, struct str bytes)
{
    static struct outcome whole, cut;
    feed(kind, bytes.p, bytes.n, bytes.n, 1, &whole);
    for (size_t i = 0; i <= bytes.n; i++) {
        feed(kind, bytes.p, bytes.n, i, bytes.n, &cut);
        assert_same(name, i, &whole, &cut, bytes.p);
    }
    feed(kind, bytes.p, bytes.n, 0, 1, &cut);
    assert_same(name, 1, &whole, &cut, bytes.p);
}

struct decoded {
    int result;
    const struct http_refusal *why;
    size_t used, payload;
    char *bytes;
};

static struct decoded decode(struct str s, size_t first, size_t piece)
{
    struct decoded d = {.bytes = calloc(1, s.n + 1)};
    struct http_chunked c = {0};
    size_t used = 0, payload = 0;
    d.result = http1_case_decode(&c, s.p, first, first, d.bytes, &payload, &used, &d.why);
    d.used = used, d.payload = payload;
    if (d.result == HTTP_MORE) {
        assert_int_equal(used, first);
        d.result = http1_case_decode(&c, s.p + first, s.n - first, piece, d.bytes + payload,
                                     &payload, &used, &d.why);
        d.used += used, d.payload += payload;
    }
    return d;
}

static void assert_decoded(const char *name, size_t cut, struct decoded a, struct decoded b)
{
    if (a.result != b.result || a.used != b.used || a.payload != b.payload || a.why != b.why ||
        memcmp(a.bytes, b.bytes, a.payload) != 0)
        fail_msg("%s: cut at %zu it comes to something else", name, cut);
    free(b.bytes);
}

static void split_chunked(const char *name, struct str s)
{
    struct decoded whole = decode(s, s.n, s.n);
    for (size_t i = 0; i <= s.n; i++) {
        assert_decoded(name, i, whole, decode(s, i, s.n));
        if (i == 0 || s.n < 1024)
            assert_decoded(name, i, whole, decode(s, i, 1));
    }
    free(whole.bytes);
}

static void split(enum http1_case_kind kind, const char *name, struct str bytes)
{
    char *p = exactly(bytes.p, bytes.n);
    struct str copy = {p, bytes.n};
    if (kind == CASE_CHUNKED)
        split_chunked(name, copy);
    else
        split_head(kind, name, copy);
    free(p);
}

static void accepted_messages_may_be_cut_anywhere(void **state)
{
    for (size_t i = 0; i < http1_accepted_count; i++)
        split(http1_accepted_cases[i].kind, http1_accepted_cases[i].name,
              http1_accepted_cases[i].bytes);
}

static void refused_messages_may_be_cut_anywhere(void **state)
{
    for (size_t i = 0; i < http1_refused_count; i++)
        split(http1_refused_cases[i].kind, http1_refused_cases[i].name,
              http1_refused_cases[i].bytes);
}

static void every_proper_prefix_of_an_accepted_head_is_more(void **state)
{
    static struct http_head h;
    const struct http_refusal *why;
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        for (size_t n = 0; c->kind != CASE_CHUNKED && n < c->bytes.n; n++)
            assert_int_equal(http1_case_parse(c->kind, c->bytes.p, n, 0, &h, &why), HTTP_MORE);
    }
}

/* A byte that was seen is spoilt: that it is not noticed shows that it was not looked at again. */
static void seen_bytes_are_not_searched_again(void **state)
{
    static struct http_head h;
    const struct http_refusal *why;
    char head[] = "GET / HTTP/1.1\r\nHost: a\r\nfield: a rather long value of it\r\nx: y";
    size_t n = sizeof head - 1;
    for (size_t spoilt = 1; spoilt + 3 < n; spoilt++) {
        char was = head[spoilt];
        head[spoilt] = 0;
        assert_int_equal(http1_case_parse(CASE_REQUEST, head, n, 0, &h, &why), HTTP_REFUSED);
        assert_int_equal(http1_case_parse(CASE_REQUEST, head, n, spoilt + 3, &h, &why), HTTP_MORE);
        head[spoilt] = was;
    }
}

static void the_bytes_behind_a_message_are_left_alone(void **state)
{
    static struct http_head h;
    const struct http_refusal *why;
    for (size_t i = 0; i < http1_accepted_count; i++) {
        const struct http1_accepted_case *c = &http1_accepted_cases[i];
        size_t n = c->bytes.n, payload, used;
        char *p = malloc(n + 32), to[512];
        memcpy(p, c->bytes.p, n);
        memset(p + n, '\n', 32);
        if (c->kind == CASE_CHUNKED) {
            struct http_chunked d = {0};
            assert_int_equal(http1_case_decode(&d, p, n + 32, n + 32, to, &payload, &used, &why),
                             HTTP_DONE);
        } else {
            assert_int_equal(http1_case_parse(c->kind, p, n + 32, 0, &h, &why), HTTP_DONE);
            used = h.bytes;
        }
        assert_int_equal(used, n);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_messages_may_be_cut_anywhere),
        cmocka_unit_test(refused_messages_may_be_cut_anywhere),
        cmocka_unit_test(every_proper_prefix_of_an_accepted_head_is_more),
        cmocka_unit_test(seen_bytes_are_not_searched_again),
        cmocka_unit_test(the_bytes_behind_a_message_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
