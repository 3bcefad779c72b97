/* trace: what becomes of traceparent on the way through (W3C Trace Context; wire/trace_context.h).
 *
 * `pass` sends on what came: a step that nobody would find recorded anywhere must not put itself
 * between two that are. With `span` and `start` each attempt is a step of its own, so that a trace
 * shows retries apart; use them where spans are recorded (docs/proxy.md). The head is written once
 * for all attempts: only the span's id in it is written anew. */
#include "proxy/internal.h"

enum { SPAN_AT = 36 }; /* of traceparent */

static void fill(struct worker *w, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = prng_next(&w->prng);
        memcpy(to + i, &bits, 8);
    }
}

static void new_span(struct exchange *x)
{
    uint8_t id[8];
    fill(x->client->worker, id, sizeof id);
    trace_context_span(&x->trace, id);
}

void trace_begin(struct exchange *x, const struct http_head *h, struct http_forward *f,
                 char text[TRACEPARENT_BYTES])
{
    uint8_t mode = x->front->conf->trace, id[16];
    x->traced = trace_context_of(h, &x->trace);
    if (!x->traced && mode == TRACE_START) {
        fill(x->client->worker, id, sizeof id);
        trace_context_start(&x->trace, id, true);
        x->traced = f->new_trace = true;
    }
    if (!x->traced || mode == TRACE_PASS)
        return;
    new_span(x);
    trace_context_write(&x->trace, text);
    f->traceparent = (struct str){text, TRACEPARENT_BYTES};
}

void trace_find(struct exchange *x, struct str written)
{
    const char *at = written.n ? memmem(x->request.p, x->request.n, written.p, written.n) : NULL;
    x->trace_at = at ? (uint32_t)(at - x->request.p) : 0; /* 0: rules took it out */
}

void trace_attempt(struct exchange *x)
{
    char text[TRACEPARENT_BYTES];
    if (!x->trace_at || x->attempts == 0)
        return;
    new_span(x);
    trace_context_write(&x->trace, text);
    memcpy(x->request.p + x->trace_at + SPAN_AT, text + SPAN_AT, 16);
}
