/* http1_cases: messages with what they must come to. The tests of this room share them. */
#ifndef HF_HTTP1_CASES_H
#define HF_HTTP1_CASES_H

#include "wire/http1.h"

enum http1_case_kind { CASE_REQUEST, CASE_RESPONSE, CASE_HEAD_RESPONSE, CASE_CHUNKED };

struct http1_refused_case {
    enum http1_case_kind kind;
    const char *name;
    const char *clause; /* the RFC's, as docs/http1.md has it */
    struct str bytes;
    uint16_t status;
    const char *code;
};
extern const struct http1_refused_case http1_refused_cases[];
extern const size_t http1_refused_count;

struct http1_accepted_case {
    enum http1_case_kind kind;
    const char *name;
    struct str bytes; /* all of it: a head or a chunked body, and nothing behind */
    enum http_framing framing;
    uint64_t length; /* payload bytes of a chunked body */
};
extern const struct http1_accepted_case http1_accepted_cases[];
extern const size_t http1_accepted_count;

/* The limits that the cases are written for. */
extern const struct http_limits http1_case_limits;

/* Parses the head of a case that is not CASE_CHUNKED. */
int http1_case_parse(enum http1_case_kind kind, const char *p, size_t n, size_t seen,
                     struct http_head *out, const struct http_refusal **why);

/* Decodes n bytes handed over in pieces of at most `piece`. Payload goes to `to`, of at least n
 * bytes, its length to *payload; *used is how many bytes the body took. */
int http1_case_decode(struct http_chunked *c, const char *p, size_t n, size_t piece, char *to,
                      size_t *payload, size_t *used, const struct http_refusal **why);

#endif
