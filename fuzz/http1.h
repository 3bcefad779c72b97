/* http1: what the HTTP/1.1 fuzz targets share. A property that does not hold aborts. */
#ifndef HF_FUZZ_HTTP1_H
#define HF_FUZZ_HTTP1_H

#include "wire/http1.h"

extern const struct http_limits fuzz_limits;

struct fuzz_head {
    int result;
    const struct http_refusal *why;
    struct http_head head;
};

/* HTTP_OTHER parses a request; any other method a response to it. */
enum { FUZZ_REQUEST = HTTP_OTHER };

/* Parses n bytes at once, and again in pieces of sizes that the bytes themselves determine: both
 * must come to the same. What an accepted head points to must lie within it. */
void fuzz_parse(enum http_method answered, const char *p, size_t n, struct fuzz_head *out);

/* A written head, read line by line in the plainest way there is: it says what `meant` does, and
 * once. */
void fuzz_check_framing(const char *p, size_t n, enum http_framing framing, uint64_t length);

/* The fields of a that do not end here are those of b, in order. */
void fuzz_check_fields(const struct http_head *a, const struct http_head *b);

#endif
