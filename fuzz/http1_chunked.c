/* Chunked bodies: however they are cut they come to the same; what is accepted decodes in the
 * plainest way to the same payload, and its trailers are accepted as fields of a head. */
#include "http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decoded {
    int result;
    const struct http_refusal *why;
    size_t used, payload;
    char *bytes;
};

/* Pieces of at most `piece` bytes, each in a block of its own if `copies`. */
static struct decoded decode(const char *p, size_t n, size_t piece, bool copies)
{
    struct decoded d = {.bytes = malloc(n + 1)};
    struct http_chunked c = {0};
    CHECK(d.bytes);
    while (d.result == HTTP_MORE && d.used < n) {
        size_t have = MIN(piece, n - d.used), used;
        struct str data;
        const char *at = p + d.used;
        char *copy = copies ? malloc(have) : NULL;
        if (copy)
            at = memcpy(copy, at, have);
        d.result = http_chunked_step(&c, at, have, &used, &data, &d.why);
        CHECK(used <= have && (d.result != HTTP_MORE || used > 0));
        CHECK(data.n == 0 || (data.p >= at && data.p + data.n <= at + used));
        if (data.n)
            memcpy(d.bytes + d.payload, data.p, data.n);
        d.payload += data.n;
        d.used += used;
        free(copy);
    }
    return d;
}

static void check_same(struct decoded a, struct decoded b)
{
    CHECK(a.result == b.result && a.used == b.used && a.payload == b.payload);
    CHECK(memcmp(a.bytes, b.bytes, a.payload) == 0);
    if (a.result == HTTP_REFUSED)
        CHECK(a.why == b.why);
    free(b.bytes);
}

static size_t line_end(struct str s, size_t from)
{
    const char *end = memmem(s.p + from, s.n - from, "\r\n", 2);
    CHECK(end);
    return (size_t)(end - s.p);
}

/* Trusts the bytes: they were accepted. Returns where the trailers begin. */
static size_t plainly(struct str s, struct decoded d)
{
    size_t at = 0, done = 0;
    for (;;) {
        char *stop;
        size_t n = strtoul(s.p + at, &stop, 16);
        CHECK(*stop == ';' || *stop == '\r');
        at = line_end(s, at) + 2;
        if (n == 0)
            break;
        CHECK(n <= s.n - at && done + n <= d.payload);
        CHECK(memcmp(s.p + at, d.bytes + done, n) == 0);
        CHECK(memcmp(s.p + at + n, "\r\n", 2) == 0);
        done += n;
        at += n + 2;
    }
    CHECK(done == d.payload);
    return at;
}

static void check_trailers(struct str trailers)
{
    static struct http_head h;
    static char head[16384] = "GET / HTTP/1.0\r\n";
    const struct http_limits lim = {sizeof head, HTTP_MAX_FIELDS};
    const struct http_refusal *why;
    if (16 + trailers.n > sizeof head)
        return;
    memcpy(head + 16, trailers.p, trailers.n);
    int r = http_parse_request(head, 16 + trailers.n, 0, &lim, &h, &why);
    if (r == HTTP_REFUSED && strcmp(why->code, "too-many-fields") == 0)
        return;
    CHECK(r == HTTP_DONE && h.bytes == 16 + trailers.n);
    CHECK(
        !(h.present & ~(1u << HTTP_FIELD_OTHER | 1u << HTTP_FIELD_DATE | 1u << HTTP_FIELD_SERVER)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct decoded whole = decode(p, size, size, false);
    check_same(whole, decode(p, size, 1, false));
    check_same(whole, decode(p, size, 1 + str_hash((struct str){p, size}) % 16, true));
    if (whole.result == HTTP_DONE) {
        struct str body = {p, whole.used};
        size_t trailers = plainly(body, whole);
        check_trailers((struct str){p + trailers, whole.used - trailers});
    }
    free(whole.bytes);
    return 0;
}
