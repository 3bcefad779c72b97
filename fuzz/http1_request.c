/* Requests: however they are cut they come to the same, and what is written for an instance reads
 * back as the request that was read: no other one can be smuggled through. */
#include "http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever edits do, the message that goes on is the one that was read. */
static void check_edited(const struct http_head *h, const struct http_forward *plain)
{
    static char to[16384];
    static struct fuzz_head again;
    static const struct http_edit list[] = {
        {HTTP_EDIT_SET, {"a", 1}, {"b", 1}},
        {HTTP_EDIT_REMOVE, {"Cookie", 6}, {"", 0}},
        {HTTP_EDIT_REMOVE, {"Content-Length", 14}, {"", 0}},
        {HTTP_EDIT_SET, {"transfer-encoding", 17}, {"chunked", 7}},
        {HTTP_EDIT_ADD, {"host", 4}, {"evil", 4}},
        {HTTP_EDIT_REMOVE, {"via", 3}, {"", 0}},
    };
    static const struct http_edits lists[] = {{list, 3}, {list + 3, 3}};
    struct http_forward f = *plain;
    f.edits = lists;
    f.n_edits = ARRAY_LEN(lists);
    f.path = STR("/rewritten?a");
    size_t n = http_write_request(h, &f, to, sizeof to);
    if (n == 0 || n > fuzz_limits.head_bytes || h->n_headers + 12 > fuzz_limits.head_fields)
        return;
    fuzz_parse(FUZZ_REQUEST, to, n, &again);
    CHECK(again.result == HTTP_DONE && again.head.bytes == n);
    const struct http_head *w = &again.head;
    CHECK(str_eq(w->method_text, h->method_text) && str_eq(w->path, f.path));
    CHECK(str_eq(w->host, h->host) && w->upgrade == h->upgrade);
    CHECK(w->framing == h->framing && w->length == h->length && w->declared == h->declared);
    fuzz_check_framing(to, n, h->framing, h->length);
}

static void check_written(const struct http_head *h, const char *p, size_t n)
{
    static struct fuzz_head again;
    fuzz_parse(FUZZ_REQUEST, p, n, &again);
    CHECK(again.result == HTTP_DONE && again.head.bytes == n);
    const struct http_head *w = &again.head;
    CHECK(w->minor == 1 && w->method == h->method && str_eq(w->method_text, h->method_text));
    CHECK(str_eq(w->host, h->host) && w->upgrade == h->upgrade);
    CHECK(w->framing == h->framing && w->length == h->length && w->declared == h->declared);
    CHECK(w->path.n >= h->path.n &&
          memcmp(w->path.p + w->path.n - h->path.n, h->path.p, h->path.n) == 0);
    CHECK(w->path.n - h->path.n <= 1);
    fuzz_check_fields(h, w);
    fuzz_check_framing(p, n, h->framing, h->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_head in;
    static char to[16384];
    fuzz_parse(FUZZ_REQUEST, (const char *)data, size, &in);
    if (in.result != HTTP_DONE)
        return 0;
    const struct http_head *h = &in.head;
    bool odd = size & 1;
    struct http_forward f = {.client_ip = odd ? STR("2001:db8::1") : STR("192.0.2.1"),
                             .proto = STR("http"),
                             .via = STR("holdfast"),
                             .keep_upstream = odd,
                             .drop_expect = size & 2,
                             .distrust = size & 4};
    if (h->method != HTTP_CONNECT && !str_eq(h->path, STR("*")))
        check_edited(h, &f);
    size_t n = http_write_request(h, &f, to, sizeof to);
    /* What is added can exceed the limits that the parser is given here. */
    if (n == 0 || n > fuzz_limits.head_bytes || h->n_headers + 12 > fuzz_limits.head_fields)
        return 0;
    check_written(h, to, n);
    return 0;
}
