/* http1: HTTP/1.1 heads and bodies as bytes (RFC 9112, RFC 9110). Pure: bytes in, structure out; no
 * allocation, no I/O, no clock.
 *
 * A head is parsed in place: every struct str points into the caller's bytes. What RFC 9112 leaves
 * to a recipient's leniency is refused: two parties that read one message differently are how
 * requests are smuggled. docs/http1.md lists each refusal with its clause. */
#ifndef HF_HTTP1_H
#define HF_HTTP1_H

#include "base/base.h"

enum http_method {
    HTTP_OTHER, /* any token that is not below */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_CONNECT,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_PATCH,
};
/* RFC 9110, 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE. */
bool http_method_idempotent(enum http_method m);

/* Fields that a proxy must understand; the others are HTTP_FIELD_OTHER. */
enum http_field {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_PROXY_CONNECTION,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_VIA,
    HTTP_FIELD_FORWARDED,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_X_FORWARDED_PROTO,
    HTTP_FIELD_X_FORWARDED_HOST,
    HTTP_FIELD_DATE,
    HTTP_FIELD_SERVER,
    HTTP_FIELD_MAX_FORWARDS,
    HTTP_FIELD_PROXY_AUTHORIZATION,
    HTTP_FIELD_PROXY_AUTHENTICATE,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_SET_COOKIE,
    HTTP_FIELD_TRACEPARENT,
    HTTP_FIELD_TRACESTATE,
    HTTP_FIELDS,
};

struct http_header {
    struct str name;
    struct str value; /* without the blanks around it */
    uint8_t field;    /* enum http_field */
    bool hop;         /* ends here: a hop-by-hop field or named by Connection */
};

enum { HTTP_MAX_FIELDS = 256 }; /* the hard bound; the configured one is at most this */

struct http_limits {
    uint32_t head_bytes;  /* up to and with the empty line */
    uint32_t head_fields; /* at most HTTP_MAX_FIELDS */
};

enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH, /* .length bytes */
    HTTP_BODY_CHUNKED,
    HTTP_BODY_CLOSE,  /* responses only: until the connection ends */
    HTTP_BODY_TUNNEL, /* 101, or 2xx to CONNECT: bytes both ways from here */
};

struct http_head {
    uint32_t bytes; /* of the head, its empty line included */
    uint8_t minor;  /* HTTP/1.minor, 0 or 1 */
    /* request */
    uint8_t method; /* enum http_method */
    struct str method_text;
    struct str target; /* as received, in any of its four forms */
    struct str path;   /* what is sent on: origin-form or "*". An absolute target's is what follows
                          its authority: it may be empty or begin with '?' */
    struct str
        host; /* of the request: an absolute target's authority, else Host; empty if neither */
    uint32_t max_forwards; /* of TRACE and OPTIONS; UINT32_MAX when not given. At 0 the request is
                              not forwarded (RFC 9110, 7.6.2) */
    bool te_trailers;      /* the client takes trailers */
    /* response */
    uint16_t status;
    struct str reason;
    /* both */
    uint8_t framing;  /* enum http_framing: of the bytes that follow. LENGTH is never of 0 bytes */
    uint8_t declared; /* what the fields say, NONE, LENGTH or CHUNKED: differs from framing for
                         "Content-Length: 0", and where no body may follow (HEAD, 304) */
    uint64_t length;  /* declared HTTP_BODY_LENGTH */
    bool keep_alive;  /* the sender will take or send another message on this connection */
    bool expect_continue; /* the client holds its body back until 100 (Continue) */
    bool upgrade;     /* asks for (request) or grants (101) another protocol, Connection: upgrade
                         included; never to h2c, TLS or another HTTP */
    uint32_t present; /* 1u << enum http_field for each field that occurs */
    uint32_t n_headers;
    struct http_header headers[HTTP_MAX_FIELDS];
};

/* Why bytes were refused. One entry per row of the refusal table of docs/http1.md. */
struct http_refusal {
    uint16_t status;  /* what to answer a client: 400, 414, 417, 421, 431, 501, 502, 505. Refused
                         bytes of an instance are a 502 whatever stands here */
    const char *code; /* stable and short: "cl-and-te" */
    const char *text; /* one sentence */
};
/* The table itself, from 0; NULL behind its end. */
const struct http_refusal *http_refusal_at(unsigned i);

enum { HTTP_MORE = 0, HTTP_DONE = 1, HTTP_REFUSED = -1 };

/* Parses a request head at the start of p. *out is meaningful after HTTP_DONE only, *why after
 * HTTP_REFUSED only. The answer depends on the bytes alone, never on how they were cut. After a
 * refusal the connection is answered and closed: where its next message would begin is unknown.
 * `seen` is how many bytes an earlier call with HTTP_MORE
 * looked at (0 at first): they are not searched for the end again, so that a head that arrives byte
 * by byte costs linear time. Empty lines before the request line are skipped (RFC 9112, 2.2), at
 * most one CRLF, and counted in bytes. */
int http_parse_request(const char *p, size_t n, size_t seen, const struct http_limits *lim,
                       struct http_head *out, const struct http_refusal **why);
/* The same for a response; what it frames depends on the method that it answers (RFC 9112, 6.3).
 * An informational response (1xx but 101) is one more head with HTTP_BODY_NONE: parse again. */
int http_parse_response(const char *p, size_t n, size_t seen, enum http_method request,
                        const struct http_limits *lim, struct http_head *out,
                        const struct http_refusal **why);

enum {
    HTTP_CHUNK_DIGITS = 16,    /* of a chunk's size, leading zeros included */
    HTTP_CHUNK_LINE = 256,     /* bytes of a chunk's size and extensions */
    HTTP_TRAILER_BYTES = 8192, /* of a trailer section */
};

/* Chunked transfer coding, byte by byte if it must be. Zero-initialise. */
struct http_chunked {
    uint64_t left;     /* payload bytes of the current chunk */
    uint32_t line;     /* bytes of the current line so far: size lines and trailers are bounded */
    uint32_t trailers; /* bytes of the trailer section so far */
    uint8_t state;
    uint8_t refusal;  /* why, once refused: it stays so */
    uint8_t name_len; /* of the current trailer's name, up to the size of name */
    char name[23];    /* its first bytes, in lower case: a name may arrive in pieces */
};
/* Consumes a prefix of p: sets *used, and *data to a run of payload in it (empty if none).
 * HTTP_MORE: call again with what is left, or more input. HTTP_DONE: the body and its trailers
 * ended with *used. HTTP_REFUSED: malformed. Bytes used are valid to forward as they are. */
int http_chunked_step(struct http_chunked *c, const char *p, size_t n, size_t *used,
                      struct str *data, const struct http_refusal **why);

/* A change to the fields of a head that is sent on. Names and values are the caller's bytes, and
 * must be valid (http_edit_wrong): a line end in one would be a field of somebody else's making. */
enum http_edit_op {
    HTTP_EDIT_REMOVE, /* all fields of that name; the value is not looked at */
    HTTP_EDIT_SET,    /* instead of all fields of that name, or where there was none */
    HTTP_EDIT_ADD,    /* one more line, whatever is there */
};
struct http_edit {
    uint8_t op; /* enum http_edit_op */
    struct str name, value;
};
struct http_edits {
    const struct http_edit *list;
    uint32_t n;
};
enum { HTTP_EDIT_LISTS = 4 }; /* for one head */
/* NULL when the edit may be done, else why not, as one sentence. What frames a message or ends at
 * the next hop is never edited: Content-Length, Transfer-Encoding, Connection, Keep-Alive, Upgrade,
 * TE, Trailer, Expect, Max-Forwards, Proxy-*. Of requests Host may be set (not added to, not
 * removed), to what may stand there. */
const char *http_edit_wrong(const struct http_edit *e);
/* An origin-form: begins with '/' and holds what a path, and behind '?' a query, may hold. */
bool http_path_valid(struct str path);

/* What the proxy knows beside the head itself. */
struct http_forward {
    struct str client_ip; /* "192.0.2.1", "2001:db8::1" or "unix" */
    struct str proto;     /* "http" */
    struct str via;       /* pseudonym for Via: "holdfast" */
    bool keep_upstream;   /* ask the instance to keep the connection */
    bool drop_expect;     /* 100 (Continue) was answered here: the instance is not asked for it */
    bool distrust;        /* drop what the client says in X-Forwarded-* and Forwarded */
    bool new_trace;       /* the trace begins here: the client's tracestate is dropped */
    uint8_t n_edits;      /* lists, at most HTTP_EDIT_LISTS */
    const struct http_edits *edits; /* applied one after the other, also to what is added below */
    struct str path;        /* goes on instead of the path as received; empty: as received. A '/' is
                               put before it when it has none */
    struct str traceparent; /* instead of the client's; empty: as received */
};
/* Writes the head that goes to the instance: hop-by-hop fields dropped, framing written anew from
 * the parsed facts (never copied), Host first and always one, X-Forwarded-For/-Proto/-Host and
 * Forwarded appended (RFC 7239), Via appended (RFC 9110, 7.6.3), Upgrade kept only for an upgrade.
 * Returns the length, or 0 when it does not fit in size. */
size_t http_write_request(const struct http_head *h, const struct http_forward *f, char *to,
                          size_t size);

struct http_answer {
    bool keep_client;     /* "Connection: close" is written if not (or "keep-alive" to an HTTP/1.0
                             client) */
    uint8_t client_minor; /* of the client's request */
    bool head_request;    /* the request was HEAD: no body whatever is framed */
    uint8_t n_edits;      /* lists, at most HTTP_EDIT_LISTS */
    struct str via;
    struct str date; /* an IMF-fixdate, used when the instance sent none; may be empty */
    const struct http_edits *edits; /* of all but 1xx, applied one after the other */
};
/* Writes the head that goes to the client, from a parsed response. *framing is how the body must be
 * sent: chunked becomes HTTP_BODY_CLOSE for an HTTP/1.0 client, HTTP_BODY_CLOSE becomes chunked for
 * an HTTP/1.1 one. With HTTP_BODY_CLOSE "Connection: close" is written whatever keep_client says:
 * the caller closes behind the body. Returns the length, or 0 when it does not fit in size. */
size_t http_write_response(const struct http_head *h, const struct http_answer *a, uint8_t *framing,
                           char *to, size_t size);

/* The head of a response of our own, whose `length` bytes of body the caller sends (but not to
 * HEAD). `type` is its Content-Type, none if empty. `extra` may be NULL; it goes before a->edits,
 * and both may change all fields but the framing. Statuses that have no body frame none. */
size_t http_write_own(uint16_t status, struct str type, uint64_t length,
                      const struct http_edits *extra, const struct http_answer *a, char *to,
                      size_t size);
/* A whole response of our own (an error page): text/plain, Content-Length, our reason phrase; body
 * omitted for HEAD. `retry_after` in seconds adds Retry-After; 0 does not. */
size_t http_write_error(uint16_t status, const char *text, const struct http_answer *a,
                        unsigned retry_after, char *to, size_t size);
/* The reason phrase of a registered status (RFC 9110, 15; RFC 6585), "" for others. */
const char *http_status_text(uint16_t status);

#endif
