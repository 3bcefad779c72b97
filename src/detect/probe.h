/* probe: the pure half of an active check. Bytes of an answer go in, in pieces of any size; whether
 * it is the wanted one comes out, as soon as that is known.
 *
 * The owner connects, sends, reads and keeps the time; what it cannot connect to, or what takes too
 * long, never gets here. A TCP check has passed once it is connected and needs no probe.
 * Memory is bounded: the head is kept, the body is searched as it passes. Strict as the proxy
 * itself: heads and chunks go through wire/http1.h. */
#ifndef HF_PROBE_H
#define HF_PROBE_H

#include "base/base.h"
#include "wire/http1.h"

enum {
    PROBE_HEAD_MAX = 8192,  /* bytes of the answer's head */
    PROBE_BODY_MAX = 65536, /* bytes of the body that are searched */
    PROBE_TEXT_MAX = 256,   /* bytes of the text that is searched for */
    PROBE_INTERIM_MAX = 8,  /* 1xx answers before the real one */
};

enum {
    PROBE_MORE, /* undecided: read on */
    PROBE_OK,   /* SIGNAL_CHECK_OK */
    PROBE_BAD,  /* SIGNAL_CHECK_BAD with status as its detail */
};

struct probe {
    uint16_t status; /* of the answer; 0 while none came */
    const char *why; /* PROBE_BAD: half a sentence, "the status is not the wanted one" */
    /* the probe's own */
    uint16_t status_min, status_max;
    uint8_t result, framing;
    bool in_body;
    uint8_t interim;
    uint16_t matched; /* bytes of the text that the body's end so far matches */
    uint16_t text_n;
    uint32_t head_n, seen;
    uint64_t length; /* HTTP_BODY_LENGTH: bytes to come */
    uint32_t searched;
    struct http_chunked chunked;
    char text[PROBE_TEXT_MAX];
    uint16_t fallback[PROBE_TEXT_MAX]; /* Knuth, Morris, Pratt 1977 */
    char head[PROBE_HEAD_MAX];
};

/* The request for an HTTP check. 0 when it does not fit, or path or host would break a request (no
 * leading slash, empty, blanks, controls, bytes above 0x7e). */
size_t probe_request(struct str path, struct str host, char *to, size_t size);

/* Wants a status from min to max and, if text is not empty, a body that contains it. False when the
 * text is too long. The text is copied. */
bool probe_init(struct probe *p, uint16_t min, uint16_t max, struct str text);
/* PROBE_MORE, PROBE_OK or PROBE_BAD; once decided it stays so and reads no more. */
int probe_feed(struct probe *p, const char *bytes, size_t n);
/* The other side closed its end. Never PROBE_MORE. */
int probe_end(struct probe *p);

#endif
