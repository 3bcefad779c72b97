/* request: the request's bytes, from the client's block to the instance. */
#include <errno.h>

#include "proxy/internal.h"

void body_init(struct body *b, const struct http_head *h)
{
    *b = (struct body){.framing = h->framing, .left = h->length};
    b->done = h->framing == HTTP_BODY_NONE || (h->framing == HTTP_BODY_LENGTH && h->length == 0);
}

static bool check_chunks(struct body *b, struct str bytes)
{
    const struct http_refusal *why;
    while (bytes.n && !b->done) {
        size_t used = 0;
        struct str data;
        int r = http_chunked_step(&b->chunks, bytes.p, bytes.n, &used, &data, &why);
        if (r == HTTP_REFUSED)
            return false;
        CHECK(used > 0 || r == HTTP_DONE);
        bytes.p += used;
        bytes.n -= used;
        b->run += (uint32_t)used;
        b->done = r == HTTP_DONE;
    }
    return true;
}

bool body_check(struct body *b, struct str bytes)
{
    CHECK(b->run == 0 && bytes.n <= BLOCK_SIZE);
    switch ((enum http_framing)b->framing) {
    case HTTP_BODY_NONE: return true;
    case HTTP_BODY_LENGTH:
        b->run = (uint32_t)MIN(b->left, bytes.n);
        b->left -= b->run;
        b->done = b->left == 0;
        return true;
    case HTTP_BODY_CHUNKED: return check_chunks(b, bytes);
    case HTTP_BODY_CLOSE:
    case HTTP_BODY_TUNNEL: b->run = (uint32_t)bytes.n; return true;
    }
    UNREACHABLE();
}

/* The client's request cannot be completed. */
static void refuse(struct exchange *x, uint16_t status, const char *text)
{
    x->client->keep = false;
    exchange_fail(x, status, text);
}

/* Finds the next run of body bytes in the client's block, reading if it must. False: none now, or
 * the exchange has ended. */
static bool next_run(struct exchange *x)
{
    struct client *c = x->client;
    if (x->body.run)
        return true;
    if (x->body.done)
        return false;
    if (!stream_bytes(&c->s).n && !stream_fill(&c->s, c->worker)) {
        if (c->s.eof)
            refuse(x, 400, "The connection ended within the request body.");
        return false;
    }
    if (!body_check(&x->body, stream_bytes(&c->s))) {
        refuse(x, 400, "The request body's chunks are malformed.");
        return false;
    }
    x->body_bytes += x->body.run;
    x->active_at = loop_now(c->worker->loop);
    if (x->body_limit && x->body_bytes > x->body_limit && x->body.framing == HTTP_BODY_CHUNKED) {
        refuse(x, 413, "The request body is larger than allowed here.");
        return false;
    }
    return x->body.run > 0;
}

/* Moves body bytes into `request`, so that they can be sent more than once; stops keeping when they
 * are too many. */
static void keep_body(struct exchange *x)
{
    struct client *c = x->client;
    uint64_t max = x->service->conf->retry.replay_max;
    while (x->replay && next_run(x)) {
        uint32_t run = x->body.run;
        if (x->request.n - x->head_bytes + run > max ||
            !buf_add(&x->request, stream_bytes(&c->s).p, run)) {
            x->replay = false;
            x->request.failed = false;
            return;
        }
        x->body.run = 0;
        stream_consume(&c->s, c->worker, run);
    }
}

static void sent(struct exchange *x, size_t n)
{
    size_t kept = MIN(n, x->request.n - x->request_sent);
    size_t streamed = n - kept;
    x->written += n;
    x->request_sent += kept;
    x->spent = x->spent || !x->idempotent;
    x->active_at = loop_now(x->client->worker->loop);
    if (!streamed)
        return;
    x->streamed = true;
    x->body.run -= (uint32_t)streamed;
    stream_consume(&x->client->s, x->client->worker, streamed);
}

static void all_sent(struct exchange *x)
{
    exchange_set_phase(x, PHASE_FIRST_BYTE);
    if (x->mirror)
        mirror_send(x);
    if (x->hedge)
        hedge_arm(x);
}

void request_pump(struct exchange *x)
{
    struct client *c = x->client;
    for (int i = 0; i < READ_BATCH; i++) {
        struct upstream *u = x->up;
        if (x->phase != PHASE_REQUEST && x->phase != PHASE_RESPONSE)
            return;
        if (u->write_dead || request_complete(x))
            return;
        if (x->replay)
            keep_body(x);
        if (!x->closed && !x->replay)
            next_run(x);
        if (x->closed)
            return;
        struct str kept = {x->request.p + x->request_sent, x->request.n - x->request_sent};
        struct str run = {stream_bytes(&c->s).p, x->replay ? 0 : x->body.run};
        if (kept.n + run.n) {
            if (!u->s.writable)
                return;
            size_t n = stream_send(&u->s, kept, run);
            if (u->s.broken) { /* an answer may have been sent before the connection broke:
                                  response_pump looks */
                u->write_dead = true;
                u->s.broken = false;
                u->s.readable = true;
                return;
            }
            if (n)
                sent(x, n);
        }
        if (request_complete(x)) {
            if (x->phase == PHASE_REQUEST)
                all_sent(x);
            return;
        }
        if (kept.n + run.n == 0)
            return; /* waits for the client */
    }
    loop_defer(c->worker->loop, &c->resume);
}
