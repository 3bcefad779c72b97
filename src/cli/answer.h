/* answer: one HTTP/1.1 response put together from the bytes that come, however they are cut. Pure.
 *
 * Bounded: a head of ANSWER_HEAD_MAX bytes, a body of answer.body.limit. Informational responses
 * are passed over. Framing is the parser's (wire/http1.h), with all that it refuses. */
#ifndef HF_CLI_ANSWER_H
#define HF_CLI_ANSWER_H

#include "base/base.h"
#include "wire/http1.h"

enum { ANSWER_HEAD_MAX = 16 * 1024, ANSWER_FIELDS_MAX = 100 };

/* Zero-initialise but for body.limit. */
struct answer {
    struct buf body; /* the payload; the caller may take it out */
    uint16_t status; /* 0: the head is not whole yet */
    bool began;      /* anything came at all */
    bool whole;      /* it has ended */
    bool keep_alive; /* once whole: the connection may be asked again */
    /* private */
    struct buf head;
    size_t seen;
    uint8_t framing;
    uint64_t left;
    struct http_chunked chunked;
};

/* The next bytes of the connection. ERR_LIMIT: the body is above its limit; ERR_NOMEM; ERR_PROTO
 * with the reason: this is no answer. */
int answer_add(struct answer *a, const char *p, size_t n, struct err *e);
/* The connection ended: the end of an answer without a length, ERR_PROTO of any other. */
int answer_end(struct answer *a, struct err *e);
void answer_free(struct answer *a);

#endif
