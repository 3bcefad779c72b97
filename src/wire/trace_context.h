/* trace_context: the traceparent field (W3C Trace Context, level 1). Pure: random bytes are given.
 *
 * One request through many programs is a trace; each step of it a span. A program that passes a
 * request on keeps the trace's id, gives its own step an id, and tells that to the next as the
 * parent. tracestate is others' business and is passed on as it is, unless a trace begins here. */
#ifndef HF_TRACE_CONTEXT_H
#define HF_TRACE_CONTEXT_H

#include "base/base.h"

struct http_head;

enum { TRACEPARENT_BYTES = 55, TRACE_ID_BYTES = 32 /* as text */ };
enum { TRACE_SAMPLED = 1 }; /* the only flag that version 00 has; others are not passed on */

struct trace_context {
    uint8_t trace[16]; /* never all 0 */
    uint8_t span[8];   /* never all 0: the sender's step, the receiver's parent */
    uint8_t flags;     /* TRACE_SAMPLED */
};

/* A traceparent of version 00, or of a later one as far as 00 is in it (3.2.2). False when it is
 * malformed: then it is as if there were none, and tracestate is not passed on either. */
bool trace_context_parse(struct str value, struct trace_context *out);
/* The same of the one such field of a request; false when it has none or several. */
bool trace_context_of(const struct http_head *h, struct trace_context *out);

/* A trace that begins here. */
void trace_context_start(struct trace_context *t, const uint8_t random[16], bool sampled);
/* The next step gets this id: what is passed on by t afterwards is a child of what t was. Also for
 * a trace that begins, and for each attempt. */
void trace_context_span(struct trace_context *t, const uint8_t random[8]);

/* As version 00; not terminated. */
void trace_context_write(const struct trace_context *t, char to[TRACEPARENT_BYTES]);
/* The trace's id alone, as it stands in the field and in a log. */
void trace_context_id(const struct trace_context *t, char to[TRACE_ID_BYTES]);

#endif
