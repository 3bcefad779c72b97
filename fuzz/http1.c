#include "http1.h"

#include <stdlib.h>

const struct http_limits fuzz_limits = {4096, 64};

static int parse(enum http_method answered, const char *p, size_t n, size_t seen,
                 struct fuzz_head *out)
{
    out->result =
        answered == FUZZ_REQUEST
            ? http_parse_request(p, n, seen, &fuzz_limits, &out->head, &out->why)
            : http_parse_response(p, n, seen, answered, &fuzz_limits, &out->head, &out->why);
    return out->result;
}

static void within(struct str s, const char *p, size_t n)
{
    CHECK(s.n == 0 || (s.p >= p && s.p + s.n <= p + n));
}

static void check_accepted(const struct http_head *h, const char *p, size_t n)
{
    CHECK(h->bytes <= n && h->bytes <= fuzz_limits.head_bytes);
    CHECK(h->n_headers <= fuzz_limits.head_fields);
    CHECK(memcmp(p + h->bytes - 2, "\r\n", 2) == 0);
    within(h->method_text, p, h->bytes);
    within(h->target, p, h->bytes);
    within(h->path, p, h->bytes);
    within(h->host, p, h->bytes);
    within(h->reason, p, h->bytes);
    for (uint32_t i = 0; i < h->n_headers; i++) {
        const struct http_header *x = &h->headers[i];
        CHECK(x->name.n > 0 && x->field < HTTP_FIELDS);
        within(x->name, p, h->bytes);
        within(x->value, p, h->bytes);
        CHECK(!memchr(x->value.p, '\r', x->value.n) && !memchr(x->value.p, '\n', x->value.n));
    }
}

/* Everything of a head but its views, which point into other copies of the bytes. */
static void check_same(const struct fuzz_head *a, const struct fuzz_head *b)
{
    CHECK(a->result == b->result);
    if (a->result == HTTP_REFUSED)
        CHECK(a->why == b->why);
    if (a->result != HTTP_DONE)
        return;
    const struct http_head *x = &a->head, *y = &b->head;
    CHECK(x->bytes == y->bytes && x->minor == y->minor && x->method == y->method);
    CHECK(x->status == y->status && x->framing == y->framing && x->length == y->length);
    CHECK(x->declared == y->declared && x->keep_alive == y->keep_alive && x->upgrade == y->upgrade);
    CHECK(x->present == y->present && x->n_headers == y->n_headers);
    CHECK(x->path.n == y->path.n && x->host.n == y->host.n && x->reason.n == y->reason.n);
}

/* Each piece in a block of its own size: a read beyond it is seen. */
static int parse_copy(enum http_method answered, const char *p, size_t n, size_t seen,
                      struct fuzz_head *out)
{
    char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    int r = parse(answered, copy, n, seen, out);
    free(copy);
    return r;
}

void fuzz_parse(enum http_method answered, const char *p, size_t n, struct fuzz_head *out)
{
    static struct fuzz_head cut;
    struct prng r;
    prng_seed(&r, str_hash((struct str){p, n}));
    size_t have = 0, seen = 0, step = 1 + prng_below(&r, n / 4 + 1);
    while (parse_copy(answered, p, have, seen, &cut) == HTTP_MORE && have < n) {
        size_t more = 1 + prng_below(&r, step);
        seen = have;
        have += MIN(more, n - have);
    }
    if (parse(answered, p, n, 0, out) == HTTP_DONE)
        check_accepted(&out->head, p, n);
    check_same(out, &cut);
}

static bool next_line(struct str *rest, struct str *line)
{
    const char *end = memmem(rest->p, rest->n, "\r\n", 2);
    if (!end || end == rest->p)
        return false;
    *line = (struct str){rest->p, (size_t)(end - rest->p)};
    *rest = (struct str){end + 2, rest->n - line->n - 2};
    return true;
}

static bool names(struct str line, struct str name)
{
    return line.n > name.n && line.p[name.n] == ':' &&
           str_eq_nocase((struct str){line.p, name.n}, name);
}

void fuzz_check_framing(const char *p, size_t n, enum http_framing framing, uint64_t length)
{
    struct str rest = {p, n}, line;
    unsigned lengths = 0, codings = 0;
    CHECK(next_line(&rest, &line)); /* the first */
    while (next_line(&rest, &line)) {
        if (names(line, STR("content-length"))) {
            uint64_t value;
            struct str digits = str_trim((struct str){line.p + 15, line.n - 15});
            CHECK(str_u64(digits, INT64_MAX, &value) && value == length);
            lengths++;
        }
        if (names(line, STR("transfer-encoding"))) {
            CHECK(str_eq(line, STR("Transfer-Encoding: chunked")));
            codings++;
        }
    }
    CHECK(rest.n == 2);
    CHECK(lengths + codings <= 1);
    CHECK(framing != HTTP_BODY_LENGTH || lengths);
    CHECK(framing != HTTP_BODY_CHUNKED || codings);
    CHECK(framing != HTTP_BODY_CLOSE || lengths + codings == 0);
}

static bool kept(const struct http_header *x)
{
    return !x->hop && x->field == HTTP_FIELD_OTHER;
}

void fuzz_check_fields(const struct http_head *a, const struct http_head *b)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < a->n_headers; i++) {
        const struct http_header *x = &a->headers[i];
        if (!kept(x))
            continue;
        while (k < b->n_headers && !kept(&b->headers[k]))
            k++;
        CHECK(k < b->n_headers);
        CHECK(str_eq(x->name, b->headers[k].name) && str_eq(x->value, b->headers[k].value));
        k++;
    }
    while (k < b->n_headers)
        CHECK(!kept(&b->headers[k++]));
}
