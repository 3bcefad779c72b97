/* log_format: a line of the access log, compiled: literal text and fields, in order.
 *
 *   plain, common, combined, json        forms that are known by name
 *   "{client} {status} {header:Accept}"  a form of one's own: names in braces; {{ and }} are braces
 *
 * A form that begins with {{ is JSON: what stands for a field is then written as JSON writes it.
 * docs/access-log.md lists the fields. Pure; nothing is allocated: what is compiled points into the
 * text that it was compiled from. */
#ifndef HF_VIEW_LOG_FORMAT_H
#define HF_VIEW_LOG_FORMAT_H

#include "base/base.h"

enum {
    LOG_ITEMS_MAX = 64,   /* literals and fields of one form */
    LOG_HEADERS_MAX = 16, /* different header fields in one form */
    LOG_FORMAT_MAX = 1024 /* bytes of a form */
};

enum log_field {
    LOG_LITERAL,
    LOG_ATTEMPTS,
    LOG_BYTES,
    LOG_BYTES_IN,
    LOG_CAUSE,
    LOG_CLIENT,
    LOG_CLIENT_PORT,
    LOG_CONNECT,
    LOG_DURATION,
    LOG_FIRST_BYTE,
    LOG_HEADER,
    LOG_HOST,
    LOG_INSTANCE,
    LOG_LISTENER,
    LOG_METHOD,
    LOG_PATH,
    LOG_PROTOCOL,
    LOG_QUERY,
    LOG_REFERER,
    LOG_REQUEST,
    LOG_ROUTE,
    LOG_SERVICE,
    LOG_STATUS,
    LOG_TIME,
    LOG_TIME_ISO,
    LOG_TIME_UNIX,
    LOG_TRACE_ID,
    LOG_TRANSFER,
    LOG_USER_AGENT,
    LOG_WAIT,
    LOG_FIELDS
};

struct log_item {
    uint8_t field;  /* enum log_field */
    uint8_t header; /* LOG_HEADER and those that are header fields too: index in `headers` */
    uint16_t n;     /* LOG_LITERAL: bytes at p */
    const char *p;
};

struct log_format {
    bool json;
    bool request; /* the request line's parts are in it */
    uint8_t n, n_headers;
    struct log_item items[LOG_ITEMS_MAX];
    struct str headers[LOG_HEADERS_MAX]; /* names of header fields that are to be kept */
};

/* ERR_INVAL with a phrase for people. `text` must live as long as *out is used. */
int log_format_compile(struct str text, struct log_format *out, struct err *e);
/* The names without braces; NULL behind the last. LOG_HEADER is "header:NAME". */
const char *log_field_name(unsigned field);
/* "plain", "common", "combined", "json"; NULL behind the last. */
const char *log_form_name(unsigned i);

#endif
