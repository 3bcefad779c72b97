/* Responses: however they are cut they come to the same, and what is written for a client is framed
 * as the writer says it is, for every kind of request and client. */
#include "http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(enum http_method answered, const struct http_head *h,
                          const struct http_answer *a)
{
    static struct fuzz_head again;
    static char to[16384];
    uint8_t framing;
    size_t n = http_write_response(h, a, &framing, to, sizeof to);
    if (n == 0 || n > fuzz_limits.head_bytes || h->n_headers + 6 > fuzz_limits.head_fields)
        return;
    fuzz_parse(answered, to, n, &again);
    CHECK(again.result == HTTP_DONE && again.head.bytes == n);
    CHECK(again.head.status == h->status && again.head.framing == framing);
    CHECK(framing != HTTP_BODY_LENGTH || again.head.length == h->length);
    CHECK(framing != HTTP_BODY_CLOSE || a->client_minor == 0);
    fuzz_check_fields(h, &again.head);
    fuzz_check_framing(to, n, (enum http_framing)framing, h->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_method answered[] = {HTTP_GET, HTTP_HEAD, HTTP_CONNECT};
    static struct fuzz_head in;
    enum http_method request = answered[size % ARRAY_LEN(answered)];
    fuzz_parse(request, (const char *)data, size, &in);
    for (uint8_t minor = 0; in.result == HTTP_DONE && minor < 2; minor++) {
        struct http_answer a = {.keep_client = size & 1,
                                .client_minor = minor,
                                .head_request = request == HTTP_HEAD,
                                .via = STR("holdfast"),
                                .date = STR("Mon, 01 Jan 2024 00:00:00 GMT")};
        check_written(request, &in.head, &a);
    }
    return 0;
}
