/* log_line: what is known of a request when it has ended, as a line of the access log.
 *
 * The head of a request is gone by then, so that the parts of it that the form asks for are kept
 * at its beginning (log_facts), bounded. Nothing that a client sends can end a line, a quoted
 * string or a JSON value: control bytes, quotes and backslashes are escaped (\xHH in text, as JSON
 * escapes in JSON, where bytes that are not UTF-8 become U+FFFD). Pure. */
#ifndef HF_LOG_LINE_H
#define HF_LOG_LINE_H

#include "base/base.h"
#include "os/os.h"
#include "view/log_format.h"
#include "wire/http1.h"

enum {
    LOG_LINE_MAX = 4096,
    LOG_LINE_FIELDS = 3072, /* of a line: what the values of fields may take together */
    LOG_FACT_MAX = 1024,    /* of one header field or of a target */
    LOG_FACTS_MAX = 4096    /* of all that is kept of one request */
};
#define LOG_UNKNOWN UINT64_MAX /* of a time */

struct log_record {
    struct str client, listener, service, route, instance, cause; /* empty: none */
    struct str trace_id;          /* that was passed on; empty: what the client sent */
    struct str connection;        /* "TCP": no request; else empty */
    uint16_t client_port, status; /* 0: none; cut without an answer */
    uint32_t attempts;
    uint64_t bytes, bytes_in, wall_ns;
    uint64_t duration, connect, wait, first_byte, transfer; /* us, or LOG_UNKNOWN */
    struct str facts; /* what log_facts kept; empty: nothing */
};

/* Keeps what the form needs of a request's head; *facts is empty at first. Memory out: what is
 * missing is told as "-". */
void log_facts(struct buf *facts, const struct log_format *f, const struct http_head *h);
/* The line without its newline; returns its length. */
size_t log_render(const struct log_format *f, const struct log_record *r, char out[LOG_LINE_MAX]);

#endif
