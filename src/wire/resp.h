/* resp: what messages of Redis say, versions 2 and 3, and requests. Pure.
 *
 * Where messages end in a stream is resp_frame.h's; here a whole one lies in memory (redis.io/docs,
 * "Redis serialization protocol specification"). No allocation but the writer's buffer. */
#ifndef HF_WIRE_RESP_H
#define HF_WIRE_RESP_H

#include "base/base.h"

enum { RESP_COUNT = 1024 * 1024 * 1024 /* elements of an aggregate */ };
#define RESP_BULK_MAX (INT64_C(512) * 1024 * 1024)

/* Values are told by the byte that they begin with. */
enum resp_type {
    RESP_SIMPLE = '+',
    RESP_ERROR = '-',
    RESP_NUMBER = ':',
    RESP_BULK = '$',
    RESP_ARRAY = '*',
    RESP_NULL = '_',
    RESP_DOUBLE = ',',
    RESP_BOOL = '#',
    RESP_BLOB_ERROR = '!',
    RESP_VERBATIM = '=',
    RESP_BIG_NUMBER = '(',
    RESP_MAP = '%',
    RESP_SET = '~',
    RESP_PUSH = '>',      /* out of order: no reply to a request */
    RESP_ATTRIBUTE = '|', /* comes before the value that it is about */
};

/* --- what a message says --- */

struct resp_value {
    uint8_t type; /* enum resp_type */
    bool null;
    int64_t number;  /* NUMBER, BOOL; elements of an aggregate (of a MAP and an ATTRIBUTE: keys and
                      * values, twice the pairs) */
    struct str text; /* of all that are no aggregates; points into the message */
};
struct resp_reader {
    const char *p, *end;
    bool failed;
};
static inline struct resp_reader resp_reader_of(struct str message)
{
    return (struct resp_reader){message.p, message.n ? message.p + message.n : message.p, false};
}
/* The next value; of an aggregate only its head: its elements come next. False: none is left, or
 * `failed`. */
bool resp_get(struct resp_reader *r, struct resp_value *v);
/* The rest of v, which resp_get returned: its elements, at any depth. */
bool resp_skip(struct resp_reader *r, const struct resp_value *v);
static inline bool resp_is_error(const struct resp_value *v)
{
    return v->type == RESP_ERROR || v->type == RESP_BLOB_ERROR;
}
/* The value of a line "key:value" of what INFO answers. False: there is none. */
bool resp_info(struct str info, struct str key, struct str *value);
bool resp_info_u64(struct str info, struct str key, uint64_t *value);
/* The value of `key` in "key=value,key=value". */
bool resp_info_part(struct str line, struct str key, struct str *value);

/* --- requests --- */

/* An array of bulk strings; check b->failed. */
void resp_put(struct buf *b, const struct str *words, uint32_t n);
/* Terminated words, NULL at the end. */
void resp_put_words(struct buf *b, const char *word, ...) __attribute__((sentinel));

#endif
