/* http1_refuse: every reason to refuse bytes, once. docs/http1.md has a row for each with its
 * clause; a test holds the two together. */
#ifndef HF_HTTP1_REFUSE_H
#define HF_HTTP1_REFUSE_H

#include "wire/http1.h"

/* X(name, status, code, text) */
#define HTTP1_REFUSALS(X)                                                                          \
    X(NUL, 400, "nul", "a NUL byte in the head")                                                   \
    X(CONTROL, 400, "control-character", "a control character in the head")                        \
    X(BARE_CR, 400, "bare-cr", "a CR without its LF")                                              \
    X(BARE_LF, 400, "bare-lf", "a LF without its CR")                                              \
    X(HEAD_SIZE, 431, "head-too-large", "the head is larger than the limit")                       \
    X(LINE_SIZE, 414, "request-line-too-long", "the first line is larger than the limit")          \
    X(EMPTY_LINES, 400, "empty-lines", "more than one empty line before a request")                \
    X(LEADING_SPACE, 400, "leading-space", "whitespace before the first line")                     \
    X(METHOD, 400, "method", "the method is not a token")                                          \
    X(REQUEST_LINE, 400, "request-line", "not a method, a target and a version, one space apart")  \
    X(VERSION, 400, "version", "not HTTP/digit.digit")                                             \
    X(VERSION_MAJOR, 505, "version-major", "a major version other than 1")                         \
    X(TARGET_CHARACTER, 400, "target-character", "a character that a target may not have")         \
    X(TARGET_FORM, 400, "target-form", "a target of a form that its method may not have")          \
    X(TARGET_SCHEME, 400, "target-scheme", "an absolute target of another scheme than http")       \
    X(TARGET_HTTPS, 421, "target-https", "an https target on a connection without TLS")            \
    X(TARGET_USERINFO, 400, "target-userinfo", "user information in a target")                     \
    X(TARGET_AUTHORITY, 400, "target-authority", "a target with a malformed host or port")         \
    X(STATUS_LINE, 502, "status-line", "not a version, a status and a reason, one space apart")    \
    X(STATUS_CODE, 502, "status-code", "the status is not three digits from 100 on")               \
    X(FIELD_SPACE, 400, "space-before-fields", "whitespace before the first field")                \
    X(OBS_FOLD, 400, "obs-fold", "a field that goes on in a second line")                          \
    X(FIELD_NAME, 400, "field-name", "a field name that is not a token")                           \
    X(COLON_SPACE, 400, "space-before-colon", "whitespace between a field's name and its colon")   \
    X(FIELD_COUNT, 431, "too-many-fields", "more fields than the limit")                           \
    X(HOST_MISSING, 400, "host-missing", "an HTTP/1.1 request without Host")                       \
    X(HOST_DUPLICATE, 400, "host-duplicate", "more than one Host")                                 \
    X(HOST_INVALID, 400, "host-invalid", "Host is not a host with an optional port")               \
    X(CL_MALFORMED, 400, "cl-malformed", "Content-Length is not one decimal number")               \
    X(CL_OVERFLOW, 400, "cl-overflow", "Content-Length is beyond 2^63 - 1")                        \
    X(CL_DUPLICATE, 400, "cl-duplicate", "more than one Content-Length")                           \
    X(TE_SYNTAX, 400, "te-syntax", "Transfer-Encoding is not a list of tokens")                    \
    X(TE_DUPLICATE, 400, "te-duplicate", "more than one Transfer-Encoding, or chunked twice")      \
    X(TE_NOT_CHUNKED, 400, "te-not-chunked", "Transfer-Encoding does not end in chunked")          \
    X(TE_CODING, 501, "te-coding", "a transfer coding other than chunked")                         \
    X(TE_HTTP10, 400, "te-http10", "Transfer-Encoding in HTTP/1.0")                                \
    X(CL_AND_TE, 400, "cl-and-te", "both Content-Length and Transfer-Encoding")                    \
    X(CONNECTION, 400, "connection-syntax", "Connection is not a list of tokens")                  \
    X(CONNECTION_COUNT, 400, "connection-options", "Connection has more options than the limit")   \
    X(EXPECT, 417, "expect", "an expectation other than 100-continue")                             \
    X(MAX_FORWARDS, 400, "max-forwards", "Max-Forwards is not one decimal number")                 \
    X(INFORMATIONAL_BODY, 502, "informational-body", "an informational response with a body")      \
    X(SWITCHING, 502, "switching-without-upgrade", "101 without Connection: upgrade and Upgrade")  \
    X(CHUNK_SIZE, 400, "chunk-size", "a chunk's size is not hexadecimal digits alone")             \
    X(CHUNK_OVERFLOW, 400, "chunk-overflow", "a chunk's size is too large")                        \
    X(CHUNK_EXTENSION, 400, "chunk-extension", "a malformed chunk extension")                      \
    X(CHUNK_LINE, 400, "chunk-line-too-long", "chunk extensions are larger than the limit")        \
    X(CHUNK_END, 400, "chunk-end", "a chunk is not followed by CR LF")                             \
    X(TRAILER_NAME, 400, "trailer-forbidden", "a field that may not be a trailer")                 \
    X(TRAILER_SIZE, 431, "trailers-too-large", "the trailers are larger than the limit")

enum http1_refuse {
    REFUSE_NONE,
#define X(name, status, code, text) REFUSE_##name,
    HTTP1_REFUSALS(X)
#undef X
        REFUSE_COUNT
};

/* For the public face: stores the reason and returns HTTP_REFUSED. */
int http1_refused(enum http1_refuse r, const struct http_refusal **why);

#endif
