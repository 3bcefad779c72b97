#include "wire/http1_cases.h"

/* ISO C promises 4095 bytes a literal; both compilers have no bound. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

#define B(literal)                                                                                 \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST
#define OK   "HTTP/1.1 200 OK\r\n"
#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16
#define X256 X64 X64 X64 X64
#define O8   "o1,o2,o3,o4,o5,o6,o7,o8,"
#define F4   "a:\r\na:\r\na:\r\na:\r\n"
#define F16  F4 F4 F4 F4

const struct http_limits http1_case_limits = {1024, 64};

const struct http1_refused_case http1_refused_cases[] = {
/* clang-format off */
#define REQ(name, clause, bytes, status, code) {CASE_REQUEST, name, clause, B(bytes), status, code}
#define RES(name, clause, bytes, status, code) {CASE_RESPONSE, name, clause, B(bytes), status, code}
#define CHK(name, clause, bytes, status, code) {CASE_CHUNKED, name, clause, B(bytes), status, code}
    /* bytes */
    REQ("NUL in a value", "9110 5.5", GET HOST "a: b\0c\r\n\r\n", 400, "nul"),
    REQ("NUL in a name", "9110 5.5", GET HOST "a\0b: c\r\n\r\n", 400, "nul"),
    REQ("NUL in the target", "9110 5.5", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", 400, "nul"),
    REQ("NUL first", "9110 5.5", "\0GET / HTTP/1.1\r\n" HOST "\r\n", 400, "nul"),
    RES("NUL in a reason", "9110 5.5", "HTTP/1.1 200 O\0K\r\n\r\n", 400, "nul"),
    CHK("NUL in a trailer", "9110 5.5", "0\r\na: \0\r\n\r\n", 400, "nul"),
    REQ("vertical tab in a value", "9110 5.5", GET HOST "a: \vb\r\n\r\n", 400, "control-character"),
    REQ("vertical tab before chunked", "9110 5.5", POST "Transfer-Encoding: \vchunked\r\n\r\n", 400, "control-character"),
    REQ("DEL in a value", "9110 5.5", GET HOST "a: \177\r\n\r\n", 400, "control-character"),
    REQ("form feed in the request line", "9110 5.5", "GET\f/ HTTP/1.1\r\n" HOST "\r\n", 400, "control-character"),
    CHK("DEL in a trailer", "9110 5.5", "0\r\na: \177\r\n\r\n", 400, "control-character"),
    REQ("CR in a value", "9112 2.2", GET HOST "a: b\rc\r\n\r\n", 400, "bare-cr"),
    REQ("CR CR LF", "9112 2.2", GET HOST "a: b\r\r\n\r\n", 400, "bare-cr"),
    REQ("CR between fields", "9112 2.2", GET HOST "a: b\rTransfer-Encoding: chunked\r\n\r\n", 400, "bare-cr"),
    REQ("CR in the request line", "9112 2.2", "GET /\r HTTP/1.1\r\n" HOST "\r\n", 400, "bare-cr"),
    REQ("CR before the request line", "9112 2.2", "\rGET / HTTP/1.1\r\n" HOST "\r\n", 400, "bare-cr"),
    CHK("CR in a size line", "9112 2.2", "5\rX\r\nhello\r\n0\r\n\r\n", 400, "bare-cr"),
    CHK("CR in an extension", "9112 2.2", "5;a\rb\r\nhello\r\n0\r\n\r\n", 400, "bare-cr"),
    CHK("CR in a trailer", "9112 2.2", "0\r\na: b\rc\r\n\r\n", 400, "bare-cr"),
    CHK("CR in the last line", "9112 2.2", "0\r\n\rX\r\n\r\n", 400, "bare-cr"),
    REQ("LF ends the request line", "9112 2.2", "GET / HTTP/1.1\n" HOST "\r\n", 400, "bare-lf"),
    REQ("LF ends a field", "9112 2.2", GET "Host: a\n\r\n", 400, "bare-lf"),
    REQ("LF for the empty line", "9112 2.2", GET HOST "\n", 400, "bare-lf"),
    REQ("LF before the request line", "9112 2.2", "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "bare-lf"),
    RES("LF ends the status line", "9112 2.2", "HTTP/1.1 200 OK\n\r\n", 400, "bare-lf"),
    CHK("LF ends a size line", "9112 2.2", "5\nhello\r\n0\r\n\r\n", 400, "bare-lf"),
    CHK("LF in an extension", "9112 2.2", "5;a\nhello\r\n0\r\n\r\n", 400, "bare-lf"),
    CHK("LF in a quoted extension", "9112 2.2", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", 400, "bare-lf"),
    CHK("LF ends a trailer", "9112 2.2", "0\r\na: b\n\r\n", 400, "bare-lf"),
    CHK("LF for the last line", "9112 2.2", "0\r\n\n", 400, "bare-lf"),
    REQ("a long field", "6585 5", GET "a: " X256 X256 X256 X256 "\r\n\r\n", 431, "head-too-large"),
    RES("a long reason", "6585 5", "HTTP/1.1 200 " X256 X256 X256 X256 "\r\n\r\n", 431, "head-too-large"),
    REQ("a long target", "9110 15.5.15", "GET /" X256 X256 X256 X256 " HTTP/1.1\r\n\r\n", 414, "request-line-too-long"),
    REQ("a long method", "9110 15.5.15", X256 X256 X256 X256 X256, 414, "request-line-too-long"),
    /* request line */
    REQ("two empty lines", "9112 2.2", "\r\n\r\n" GET HOST "\r\n", 400, "empty-lines"),
    REQ("space first", "9112 2.2", " " GET HOST "\r\n", 400, "leading-space"),
    REQ("space behind an empty line", "9112 2.2", "\r\n " GET HOST "\r\n", 400, "leading-space"),
    RES("space before a status line", "9112 2.2", " " OK "\r\n", 400, "leading-space"),
    REQ("a method that is no token", "9112 3.1", "G(T / HTTP/1.1\r\n" HOST "\r\n", 400, "method"),
    REQ("a TLS hello", "9112 3.1", "\x16\x03\x01\x02", 400, "method"),
    REQ("no method", "9112 3.1", "/ HTTP/1.1\r\n" HOST "\r\n", 400, "method"),
    REQ("a response", "9112 3.1", "HTTP/1.1 200 OK\r\n" HOST "\r\n", 400, "method"),
    REQ("tab behind the method", "9112 3", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, "request-line"),
    REQ("two spaces behind the method", "9112 3", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "request-line"),
    REQ("two spaces behind the target", "9112 3", "GET /  HTTP/1.1\r\n" HOST "\r\n", 400, "request-line"),
    REQ("tab behind the target", "9112 3", "GET /\tHTTP/1.1\r\n" HOST "\r\n", 400, "request-line"),
    REQ("space in the target", "9112 3.2", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400, "request-line"),
    REQ("space behind the version", "9112 3", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "request-line"),
    REQ("HTTP/0.9", "9112 3", "GET /\r\n\r\n", 400, "request-line"),
    REQ("a method alone", "9112 3", "GET\r\n\r\n", 400, "request-line"),
    REQ("lower-case http", "9112 2.3", "GET / http/1.1\r\n" HOST "\r\n", 400, "version"),
    REQ("two digits", "9112 2.3", "GET / HTTP/1.10\r\n" HOST "\r\n", 400, "version"),
    REQ("no dot", "9112 2.3", "GET / HTTP/11\r\n" HOST "\r\n", 400, "version"),
    REQ("no version", "9112 2.3", "GET / \r\n" HOST "\r\n", 400, "version"),
    REQ("another protocol", "9112 2.3", "GET / RTSP/1.0\r\n" HOST "\r\n", 400, "version"),
    RES("another protocol answers", "9112 2.3", "HTTPS/1.1 200 OK\r\n\r\n", 400, "version"),
    REQ("HTTP/2's preface", "9110 15.6.6", "PRI * HTTP/2.0\r\n\r\n", 505, "version-major"),
    REQ("HTTP/0.9 by name", "9110 15.6.6", "GET / HTTP/0.9\r\n" HOST "\r\n", 505, "version-major"),
    RES("HTTP/2 answers", "9110 15.6.6", "HTTP/2.0 200 OK\r\n\r\n", 505, "version-major"),
    REQ("fragment", "9112 3.2", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "target-character"),
    REQ("byte above 0x7f", "9112 3.2", "GET /\xe9 HTTP/1.1\r\n" HOST "\r\n", 400, "target-character"),
    REQ("backslash in a path", "9112 3.2", "GET /..\\a HTTP/1.1\r\n" HOST "\r\n", 400, "target-character"),
    REQ("angle brackets", "9112 3.2", "GET /?<a> HTTP/1.1\r\n" HOST "\r\n", 400, "target-character"),
    REQ("relative path", "9112 3.2", "GET a HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("query alone", "9112 3.2", "GET ?a HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("authority for GET", "9112 3.2.3", "GET a:80 HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("asterisk for GET", "9112 3.2.4", "GET * HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("asterisk and more", "9112 3.2.4", "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("origin-form for CONNECT", "9112 3.2.3", "CONNECT / HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("CONNECT without port", "9112 3.2.3", "CONNECT a HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("CONNECT to port 0", "9112 3.2.3", "CONNECT a:0 HTTP/1.1\r\n" HOST "\r\n", 400, "target-form"),
    REQ("another scheme", "9112 3.2.2", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400, "target-scheme"),
    REQ("https without TLS", "9110 7.4", "GET https://a/ HTTP/1.1\r\n" HOST "\r\n", 421, "target-https"),
    REQ("user information", "9110 4.2.4", "GET http://u:p@a/ HTTP/1.1\r\n" HOST "\r\n", 400, "target-userinfo"),
    REQ("empty authority", "9110 4.2.1", "GET http:///b HTTP/1.1\r\n" HOST "\r\n", 400, "target-authority"),
    REQ("port without host", "9110 4.2.1", "GET http://:80/b HTTP/1.1\r\n" HOST "\r\n", 400, "target-authority"),
    REQ("port not a number", "9110 4.2.1", "GET http://a:x/ HTTP/1.1\r\n" HOST "\r\n", 400, "target-authority"),
    /* status line */
    RES("not HTTP", "9112 4", "ICY 200 OK\r\n\r\n", 502, "status-line"),
    RES("tab behind the version", "9112 4", "HTTP/1.1\t200 OK\r\n\r\n", 502, "status-line"),
    RES("a version alone", "9112 4", "HTTP/1.1\r\n\r\n", 502, "status-line"),
    RES("a letter behind the status", "9112 4", "HTTP/1.1 200OK\r\n\r\n", 502, "status-line"),
    RES("two digits of status", "9112 4", "HTTP/1.1 20 OK\r\n\r\n", 502, "status-code"),
    RES("four digits of status", "9112 4", "HTTP/1.1 2000 OK\r\n\r\n", 502, "status-code"),
    RES("status below 100", "9112 4", "HTTP/1.1 099 OK\r\n\r\n", 502, "status-code"),
    RES("status signed", "9112 4", "HTTP/1.1 +20 OK\r\n\r\n", 502, "status-code"),
    RES("two spaces before the status", "9112 4", "HTTP/1.1  200 OK\r\n\r\n", 502, "status-code"),
    /* field lines */
    REQ("space before the first field", "9112 2.2", GET " a: b\r\n" HOST "\r\n", 400, "space-before-fields"),
    RES("tab before the first field", "9112 2.2", OK "\ta: b\r\n\r\n", 400, "space-before-fields"),
    REQ("folded with a space", "9112 5.2", GET HOST "a: b\r\n c\r\n\r\n", 400, "obs-fold"),
    REQ("folded with a tab", "9112 5.2", POST "Transfer-Encoding: chunked\r\n\tx\r\n\r\n", 400, "obs-fold"),
    RES("folded in a response", "9112 5.2", OK "a: b\r\n c\r\n\r\n", 400, "obs-fold"),
    CHK("folded trailer", "9112 5.2", "0\r\na: b\r\n c\r\n\r\n", 400, "obs-fold"),
    REQ("no name", "9110 5.1", GET HOST ": b\r\n\r\n", 400, "field-name"),
    REQ("no colon", "9112 5", GET HOST "ab\r\n\r\n", 400, "field-name"),
    REQ("parenthesis in a name", "9110 5.1", GET HOST "a(b: c\r\n\r\n", 400, "field-name"),
    REQ("space within a name", "9110 5.1", GET HOST "a b: c\r\n\r\n", 400, "field-name"),
    REQ("byte above 0x7f in a name", "9110 5.1", GET HOST "\xe9: c\r\n\r\n", 400, "field-name"),
    CHK("no colon in a trailer", "9112 7.1.2", "0\r\nab\r\n\r\n", 400, "field-name"),
    CHK("no name in a trailer", "9112 7.1.2", "0\r\n: b\r\n\r\n", 400, "field-name"),
    REQ("space before the colon", "9112 5.1", GET "Host : a\r\n\r\n", 400, "space-before-colon"),
    REQ("tab before the colon", "9112 5.1", POST "Transfer-Encoding\t: chunked\r\n\r\n", 400, "space-before-colon"),
    RES("space before a response's colon", "9112 5.1", OK "Content-Length : 5\r\n\r\n", 400, "space-before-colon"),
    CHK("space before a trailer's colon", "9112 5.1", "0\r\na : b\r\n\r\n", 400, "space-before-colon"),
    REQ("65 fields", "6585 5", GET F16 F16 F16 F16 HOST "\r\n", 431, "too-many-fields"),
    /* Host */
    REQ("no Host", "9112 3.2", GET "\r\n", 400, "host-missing"),
    REQ("no Host beside an absolute target", "9112 3.2", "GET http://a/ HTTP/1.1\r\n\r\n", 400, "host-missing"),
    REQ("two of Host", "9112 3.2", GET HOST "Host: b\r\n\r\n", 400, "host-duplicate"),
    REQ("the same Host twice", "9112 3.2", GET HOST HOST "\r\n", 400, "host-duplicate"),
    REQ("two of Host in HTTP/1.0", "9112 3.2", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "host-duplicate"),
    REQ("list of hosts", "9112 3.2", GET "Host: a, b\r\n\r\n", 400, "host-invalid"),
    REQ("comma in Host", "9112 3.2", GET "Host: a,b\r\n\r\n", 400, "host-invalid"),
    REQ("user in Host", "9112 3.2", GET "Host: u@a\r\n\r\n", 400, "host-invalid"),
    REQ("path in Host", "9112 3.2", GET "Host: a/b\r\n\r\n", 400, "host-invalid"),
    REQ("port too large", "9112 3.2", GET "Host: a:65536\r\n\r\n", 400, "host-invalid"),
    REQ("port of six digits", "9112 3.2", GET "Host: a:000080\r\n\r\n", 400, "host-invalid"),
    REQ("port not a number", "9112 3.2", GET "Host: a:8x\r\n\r\n", 400, "host-invalid"),
    REQ("two ports", "9112 3.2", GET "Host: a:80:80\r\n\r\n", 400, "host-invalid"),
    REQ("IPv6 without brackets", "9112 3.2", GET "Host: 2001:db8::1\r\n\r\n", 400, "host-invalid"),
    REQ("brackets around a name", "9112 3.2", GET "Host: [a]\r\n\r\n", 400, "host-invalid"),
    REQ("bracket left open", "9112 3.2", GET "Host: [::1\r\n\r\n", 400, "host-invalid"),
    REQ("text behind a bracket", "9112 3.2", GET "Host: [::1]a:80\r\n\r\n", 400, "host-invalid"),
    REQ("zone in an address", "9112 3.2", GET "Host: [fe80::1%25eth0]\r\n\r\n", 400, "host-invalid"),
    REQ("malformed escape in Host", "9112 3.2", GET "Host: a%2\r\n\r\n", 400, "host-invalid"),
    REQ("Host refused beside an absolute target", "9112 3.2", "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400, "host-invalid"),
    /* framing */
    REQ("signed length", "9112 6.3", POST "Content-Length: +5\r\n\r\n", 400, "cl-malformed"),
    REQ("negative length", "9112 6.3", POST "Content-Length: -5\r\n\r\n", 400, "cl-malformed"),
    REQ("list of the same length", "9112 6.3", POST "Content-Length: 5, 5\r\n\r\n", 400, "cl-malformed"),
    REQ("list of lengths", "9112 6.3", POST "Content-Length: 5,6\r\n\r\n", 400, "cl-malformed"),
    REQ("empty length", "9112 6.3", POST "Content-Length:\r\n\r\n", 400, "cl-malformed"),
    REQ("hexadecimal length", "9112 6.3", POST "Content-Length: 0x5\r\n\r\n", 400, "cl-malformed"),
    REQ("text behind a length", "9112 6.3", POST "Content-Length: 5 a\r\n\r\n", 400, "cl-malformed"),
    REQ("fraction", "9112 6.3", POST "Content-Length: 5.0\r\n\r\n", 400, "cl-malformed"),
    RES("malformed length in a response", "9112 6.3", OK "Content-Length: 5;\r\n\r\n", 400, "cl-malformed"),
    REQ("2^63", "9112 6.3", POST "Content-Length: 9223372036854775808\r\n\r\n", 400, "cl-overflow"),
    REQ("2^64", "9112 6.3", POST "Content-Length: 18446744073709551616\r\n\r\n", 400, "cl-overflow"),
    REQ("thirty digits", "9112 6.3", POST "Content-Length: 100000000000000000000000000000\r\n\r\n", 400, "cl-overflow"),
    REQ("two lengths", "9112 6.3", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "cl-duplicate"),
    REQ("the same length twice", "9112 6.3", POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", 400, "cl-duplicate"),
    RES("two lengths in a response", "9112 6.3", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "cl-duplicate"),
    REQ("quoted coding", "9112 6.1", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "te-syntax"),
    REQ("coding with a parameter", "9112 7", POST "Transfer-Encoding: chunked;a=b\r\n\r\n", 400, "te-syntax"),
    REQ("empty element", "9112 6.1", POST "Transfer-Encoding: ,chunked\r\n\r\n", 400, "te-syntax"),
    REQ("trailing comma", "9112 6.1", POST "Transfer-Encoding: chunked,\r\n\r\n", 400, "te-syntax"),
    REQ("blank within a coding", "9112 6.1", POST "Transfer-Encoding: chun ked\r\n\r\n", 400, "te-syntax"),
    REQ("byte above 0x7f before chunked", "9112 6.1", POST "Transfer-Encoding: \x85" "chunked\r\n\r\n", 400, "te-syntax"),
    REQ("chunked twice", "9112 6.1", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "te-duplicate"),
    REQ("two lines", "9112 6.1", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "te-duplicate"),
    REQ("two lines, one another", "9112 6.1", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", 400, "te-duplicate"),
    REQ("identity", "9112 6.3", POST "Transfer-Encoding: identity\r\n\r\n", 400, "te-not-chunked"),
    REQ("chunked not last", "9112 6.3", POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "te-not-chunked"),
    REQ("a look-alike", "9112 6.3", POST "Transfer-Encoding: xchunked\r\n\r\n", 400, "te-not-chunked"),
    REQ("no coding", "9112 6.3", POST "Transfer-Encoding:\r\n\r\n", 400, "te-not-chunked"),
    RES("gzip alone in a response", "9112 6.3", OK "Transfer-Encoding: gzip\r\n\r\n", 400, "te-not-chunked"),
    REQ("gzip before chunked", "9112 6.1", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "te-coding"),
    REQ("HTTP/1.0 with a coding", "9112 6.1", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "te-http10"),
    RES("HTTP/1.0 answers with a coding", "9112 6.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "te-http10"),
    REQ("length, then coding", "9112 6.3", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "cl-and-te"),
    REQ("coding, then length", "9112 6.3", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, "cl-and-te"),
    RES("both in a response", "9112 6.3", OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, "cl-and-te"),
    RES("length in 100", "9112 6.3", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", 502, "informational-body"),
    RES("coding in 103", "9112 6.1", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "informational-body"),
    RES("length in 101", "9112 6.3", "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\n", 502, "informational-body"),
    /* connection */
    REQ("quoted option", "9110 7.6.1", GET HOST "Connection: \"close\"\r\n\r\n", 400, "connection-syntax"),
    REQ("option with a parameter", "9110 7.6.1", GET HOST "Connection: close;a\r\n\r\n", 400, "connection-syntax"),
    REQ("33 options", "9110 7.6.1", GET HOST "Connection: " O8 O8 O8 O8 "o9\r\n\r\n", 400, "connection-options"),
    REQ("another expectation", "9110 10.1.1", POST "Expect: 200-ok\r\n\r\n", 417, "expect"),
    REQ("expected twice", "9110 10.1.1", POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417, "expect"),
    REQ("malformed Max-Forwards", "9110 7.6.2", "TRACE / HTTP/1.1\r\n" HOST "Max-Forwards: -1\r\n\r\n", 400, "max-forwards"),
    REQ("two of Max-Forwards", "9110 7.6.2", "TRACE / HTTP/1.1\r\n" HOST "Max-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", 400, "max-forwards"),
    RES("101 without Upgrade", "9110 15.2.2", "HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", 502, "switching-without-upgrade"),
    RES("101 without Connection", "9110 15.2.2", "HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", 502, "switching-without-upgrade"),
    RES("101 to h2c", "9110 7.8", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 502, "switching-without-upgrade"),
    /* chunks */
    CHK("empty size", "9112 7.1", "\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("signed size", "9112 7.1", "+5\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("negative size", "9112 7.1", "-5\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("0x", "9112 7.1", "0x5\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("space before a size", "9112 7.1", " 5\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("space behind a size", "9112 7.1", "5 \r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("underscore in a size", "9112 7.1", "1_0\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("letter beyond F", "9112 7.1", "g\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("size without digits", "9112 7.1", ";a=b\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("NUL in a size", "9112 7.1", "5\0\r\nhello\r\n0\r\n\r\n", 400, "chunk-size"),
    CHK("2^63", "9112 7.1", "8000000000000000\r\n", 400, "chunk-overflow"),
    CHK("2^64 and 5", "9112 7.1", "10000000000000005\r\nhello\r\n0\r\n\r\n", 400, "chunk-overflow"),
    CHK("17 digits", "9112 7.1", "00000000000000005\r\nhello\r\n0\r\n\r\n", 400, "chunk-overflow"),
    CHK("space before an extension", "9112 7.1.1", "5; a=b\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("nameless extension", "9112 7.1.1", "5;=b\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("valueless extension", "9112 7.1.1", "5;a=\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("empty extension", "9112 7.1.1", "5;\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("CR in a quoted extension", "9112 7.1.1", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("text behind a quoted extension", "9112 7.1.1", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", 400, "chunk-extension"),
    CHK("a long extension", "9112 7.1.1", "5;" X256 "\r\nhello\r\n0\r\n\r\n", 400, "chunk-line-too-long"),
    CHK("a byte too many", "9112 7.1", "5\r\nhello!\r\n0\r\n\r\n", 400, "chunk-end"),
    CHK("LF behind a chunk", "9112 7.1", "5\r\nhello\n0\r\n\r\n", 400, "chunk-end"),
    CHK("CR behind a chunk", "9112 7.1", "5\r\nhello\rX0\r\n\r\n", 400, "chunk-end"),
    CHK("Content-Length as trailer", "9110 6.5.1", "0\r\nContent-Length: 5\r\n\r\n", 400, "trailer-forbidden"),
    CHK("Transfer-Encoding as trailer", "9110 6.5.1", "0\r\ntransfer-encoding: chunked\r\n\r\n", 400, "trailer-forbidden"),
    CHK("Host as trailer", "9110 6.5.1", "0\r\na: b\r\nHOST: c\r\n\r\n", 400, "trailer-forbidden"),
    CHK("X-Forwarded-For as trailer", "9110 6.5.1", "0\r\nX-Forwarded-For: c\r\n\r\n", 400, "trailer-forbidden"),
    CHK("Authorization as trailer", "9110 6.5.1", "0\r\nAuthorization: c\r\n\r\n", 400, "trailer-forbidden"),
    CHK("long trailers", "6585 5", "0\r\na: " X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256
        X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256 X256
        "\r\n\r\n", 431, "trailers-too-large"),
    /* clang-format on */
};
const size_t http1_refused_count = ARRAY_LEN(http1_refused_cases);

const struct http1_accepted_case http1_accepted_cases[] = {
/* clang-format off */
#define NONE   HTTP_BODY_NONE
#define LENGTH HTTP_BODY_LENGTH
#define CHUNKS HTTP_BODY_CHUNKED
#define CLOSE  HTTP_BODY_CLOSE
#define TUNNEL HTTP_BODY_TUNNEL
    {CASE_REQUEST, "least", B(GET HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "HTTP/1.0 without Host", B("GET / HTTP/1.0\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "HTTP/1.0 kept", B("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "empty line first", B("\r\n" GET HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "later minor version", B("GET / HTTP/1.2\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "empty Host", B(GET "Host:\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "Host with port", B(GET "Host: a.b:8080\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "Host with empty port", B(GET "Host: a.b:\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "Host with escape", B(GET "Host: a%2Fb\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "IPv6 Host", B(GET "Host: [2001:db8::1]:80\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "IPv6 Host without port", B(GET "Host: [::1]\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "query as browsers send it", B("GET /a?b[]=c|d&e={f}\\^`%zz HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "two slashes", B("GET //a//b HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "absolute target", B("GET http://b:81/c?d HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "absolute target without path", B("GET HTTP://b HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "absolute target, query alone", B("GET http://b?c HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "server-wide OPTIONS", B("OPTIONS * HTTP/1.1\r\n" HOST "Max-Forwards: 3\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "absolute OPTIONS", B("OPTIONS http://b HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "CONNECT", B("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "unknown method", B("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "length", B(POST "Content-Length: 5\r\n\r\n"), LENGTH, 5},
    {CASE_REQUEST, "length 0", B(POST "Content-Length: 0\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "length with zeros and blanks", B(POST "Content-Length: \t 005 \t\r\n\r\n"), LENGTH, 5},
    {CASE_REQUEST, "largest length", B(POST "Content-Length: 9223372036854775807\r\n\r\n"), LENGTH, INT64_MAX},
    {CASE_REQUEST, "length without blank", B(POST "content-length:7\r\n\r\n"), LENGTH, 7},
    {CASE_REQUEST, "chunked", B(POST "Transfer-Encoding: chunked\r\nTrailer: x\r\nTE: trailers\r\n\r\n"), CHUNKS, 0},
    {CASE_REQUEST, "chunked in capitals", B(POST "TRANSFER-ENCODING:CHUNKED\r\n\r\n"), CHUNKS, 0},
    {CASE_REQUEST, "100-continue", B(POST "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"), LENGTH, 5},
    {CASE_REQUEST, "upgrade", B(GET HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "upgrade to h2c", B(GET HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "empty values and elements", B(GET HOST "a:\r\nb: \t \r\nConnection: ,, x ,\r\nx: y\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "blanks behind values", B(GET HOST "a: b \r\nc: d\t \r\ne: f\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "values of any text", B(GET HOST "a: \xff\x80\t\"(;=,)~\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "forwarded before", B(GET HOST "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n"
        "Forwarded: for=192.0.2.1\r\nVia: 1.0 x\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\r\n"), NONE, 0},
    {CASE_REQUEST, "64 fields", B(GET F16 F16 F16 F4 F4 F4 "a:\r\nb:\r\nc:\r\n" HOST "\r\n"), NONE, 0},
    {CASE_REQUEST, "connection closed", B(GET HOST "Connection: close, keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "length", B(OK "Content-Length: 5\r\nDate: x\r\n\r\n"), LENGTH, 5},
    {CASE_RESPONSE, "length 0", B(OK "Content-Length: 0\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "chunked", B(OK "Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"), CHUNKS, 0},
    {CASE_RESPONSE, "until close", B(OK "\r\n"), CLOSE, 0},
    {CASE_RESPONSE, "HTTP/1.0", B("HTTP/1.0 200 OK\r\n\r\n"), CLOSE, 0},
    {CASE_RESPONSE, "empty reason", B("HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\n"), LENGTH, 1},
    {CASE_RESPONSE, "no reason", B("HTTP/1.1 404\r\nContent-Length: 1\r\n\r\n"), LENGTH, 1},
    {CASE_RESPONSE, "reason of any text", B("HTTP/1.1 999 \xff \t(x)\r\nContent-Length: 1\r\n\r\n"), LENGTH, 1},
    {CASE_RESPONSE, "100", B("HTTP/1.1 100 Continue\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "103", B("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "101", B("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), TUNNEL, 0},
    {CASE_RESPONSE, "204", B("HTTP/1.1 204 No Content\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "204 with length 0", B("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "204 that frames a body", B("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "304 with length", B("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), NONE, 5},
    {CASE_RESPONSE, "426", B("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n"), NONE, 0},
    {CASE_RESPONSE, "Host and Expect mean nothing", B(OK "Host: a b\r\nHost: c\r\nExpect: x\r\nContent-Length: 2\r\n\r\n"), LENGTH, 2},
    {CASE_RESPONSE, "Connection names its framing", B(OK "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"), CHUNKS, 0},
    {CASE_HEAD_RESPONSE, "length", B(OK "Content-Length: 5\r\n\r\n"), NONE, 5},
    {CASE_HEAD_RESPONSE, "chunked", B(OK "Transfer-Encoding: chunked\r\n\r\n"), NONE, 0},
    {CASE_HEAD_RESPONSE, "nothing framed", B(OK "\r\n"), NONE, 0},
    {CASE_CHUNKED, "empty", B("0\r\n\r\n"), CHUNKS, 0},
    {CASE_CHUNKED, "one chunk", B("5\r\nhello\r\n0\r\n\r\n"), CHUNKS, 5},
    {CASE_CHUNKED, "several", B("5\r\nhello\r\n1\r\n,\r\n006\r\n world\r\n000\r\n\r\n"), CHUNKS, 12},
    {CASE_CHUNKED, "hexadecimal", B("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"), CHUNKS, 21},
    {CASE_CHUNKED, "payload like framing", B("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"), CHUNKS, 7},
    {CASE_CHUNKED, "extensions", B("5;a;b=c;d=\"e;\\\"f\\\\ \"\r\nhello\r\n0;x\r\n\r\n"), CHUNKS, 5},
    {CASE_CHUNKED, "trailers", B("5\r\nhello\r\n0\r\nx:\r\nServer-Timing: a;dur=1 \xff\r\ndate: y\r\n\r\n"), CHUNKS, 5},
    {CASE_CHUNKED, "a trailer like a refused one", B("0\r\nhos: a\r\nhostt: b\r\ncontent-lengthcontent-length: 5\r\n\r\n"), CHUNKS, 0},
    {CASE_CHUNKED, "16 digits", B("0000000000000005\r\nhello\r\n0\r\n\r\n"), CHUNKS, 5},
    /* clang-format on */
};
const size_t http1_accepted_count = ARRAY_LEN(http1_accepted_cases);

int http1_case_parse(enum http1_case_kind kind, const char *p, size_t n, size_t seen,
                     struct http_head *out, const struct http_refusal **why)
{
    if (kind == CASE_REQUEST)
        return http_parse_request(p, n, seen, &http1_case_limits, out, why);
    return http_parse_response(p, n, seen, kind == CASE_HEAD_RESPONSE ? HTTP_HEAD : HTTP_GET,
                               &http1_case_limits, out, why);
}

int http1_case_decode(struct http_chunked *c, const char *p, size_t n, size_t piece, char *to,
                      size_t *payload, size_t *used, const struct http_refusal **why)
{
    *payload = *used = 0;
    size_t have = 0;
    int r = HTTP_MORE;
    while (r == HTTP_MORE && (*used < have || have < n)) {
        if (*used == have)
            have += MIN(piece, n - have);
        size_t step;
        struct str data;
        r = http_chunked_step(c, p + *used, have - *used, &step, &data, why);
        if (data.n)
            memcpy(to + *payload, data.p, data.n);
        *payload += data.n;
        *used += step;
    }
    return r;
}
