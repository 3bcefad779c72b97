/* response: the response's bytes, from the instance to the client.
 *
 *   instance frames by   client speaks   sent as
 *   length, none         any             they came (RAW)
 *   chunks               HTTP/1.1        they came, each byte checked (RAW)
 *   chunks               HTTP/1.0        payload, until close (DECHUNK)
 *   close                HTTP/1.1        chunks (ENCHUNK)
 *   close                HTTP/1.0        they came, until close (RAW)
 *
 * Back-pressure: nothing is read from the instance while the client's socket is full; at most one
 * block and one head are held. */
#include <errno.h>
#include <stdio.h>

#include "proxy/internal.h"

static void cut(struct exchange *x, enum signal_kind evidence)
{
    bool ours = stream_short(&x->up->s);
    if (!ours)
        target_signal(x->target, evidence, 0);
    x->cause = ours ? "shortage" : "reset";
    exchange_fail(x, 502, "The instance ended the connection without a whole answer.");
}

/* --- heads --- */

static void send_100(struct exchange *x)
{
    if (!x->expect || x->continued || x->client_minor < 1)
        return;
    x->continued = true;
    client_send(x->client, STR("HTTP/1.1 100 Continue\r\n\r\n"), (struct str){0});
}

/* An interim response: passed on to whom it may concern (RFC 9110, 15.2), and the final one is
 * still to come. */
static void interim(struct exchange *x, const struct http_head *h)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    if (h->status == 100) {
        send_100(x);
    } else if (x->client_minor >= 1) {
        struct http_answer a = {
            .keep_client = true, .client_minor = x->client_minor, .via = STR("holdfast")};
        uint8_t framing;
        size_t n = http_write_response(h, &a, &framing, w->out, sizeof w->out);
        client_send(c, (struct str){w->out, n}, (struct str){0});
    }
    stream_consume(&x->up->s, w, h->bytes);
    x->seen = 0;
}

/* A short answer to a request that could be sent again is worth waiting for. */
static bool worth_holding(const struct exchange *x, const struct http_head *h, size_t here)
{
    return x->idempotent && !x->streamed && h->framing == HTTP_BODY_LENGTH &&
           h->length <= BLOCK_SIZE - h->bytes && here < h->bytes + h->length;
}

static void choose_coding(struct exchange *x, const struct http_head *h, uint8_t sent_as)
{
    if (h->framing == HTTP_BODY_CLOSE && sent_as == HTTP_BODY_CHUNKED)
        x->coding = CODING_ENCHUNK;
    else if (h->framing == HTTP_BODY_CHUNKED && sent_as == HTTP_BODY_CLOSE)
        x->coding = CODING_DECHUNK;
    else
        x->coding = CODING_RAW;
    if (sent_as == HTTP_BODY_CLOSE)
        x->client->keep = false;
}

/* 501 and 505 speak of the request, not of the instance's health. */
bool speaks_of_failure(uint16_t status)
{
    return status >= 500 && status != 501 && status != 505;
}

static void judge_answer(struct exchange *x, uint16_t status)
{
    uint64_t us = (loop_now(x->client->worker->loop) - x->attempt_at) / NS_PER_US;
    exchange_observe(x, speaks_of_failure(status) ? OUTCOME_FAILED : OUTCOME_OK);
    hedge_learn(x, us * NS_PER_US);
    if (speaks_of_failure(status))
        target_signal(x->target, SIGNAL_REQ_5XX, status);
    else
        target_ok(x->target, us);
}

/* Passes the head on, and what has come of the body with it. */
static void answer(struct exchange *x, const struct http_head *h)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    if (!request_complete(x) || w->draining || c->listener->retired)
        c->keep = false;
    struct http_answer a = {
        .keep_client = c->keep,
        .client_minor = x->client_minor,
        .head_request = x->head_request,
        .via = STR("holdfast"),
        .date = worker_date(w),
        .edits = x->edits,
        .n_edits = session_mark(x, h),
    };
    uint8_t sent_as = h->framing;
    size_t n = http_write_response(h, &a, &sent_as, w->out, sizeof w->out);
    if (n == 0) {
        exchange_fail(x, 502, "The answer's head and the rules for it are too large together.");
        return;
    }
    x->head_done = x->answered = true;
    x->status = h->status;
    circuit_tell(x, speaks_of_failure(h->status) ? OUTCOME_FAILED : OUTCOME_OK);
    x->up_keep = h->keep_alive;
    exchange_set_phase(x, PHASE_RESPONSE);
    body_init(&x->response, h);
    choose_coding(x, h, sent_as);
    stream_consume(&x->up->s, w, h->bytes);
    struct str run = {"", 0}, head = {w->out, n};
    if (x->coding == CODING_RAW && !x->response.done && stream_bytes(&x->up->s).n) {
        if (!body_check(&x->response, stream_bytes(&x->up->s))) {
            x->head_done = x->answered = false;
            exchange_attempt_failed(x, FAILURE_RESET);
            return;
        }
        run = (struct str){stream_bytes(&x->up->s).p, x->response.run};
        head.p = stream_put_before(&x->up->s, w->out, n);
    }
    size_t body = client_send(c, head, run);
    x->bytes_out += body;
    x->response.run -= (uint32_t)body;
    stream_consume(&x->up->s, w, body);
}

static void switch_protocols(struct exchange *x, const struct http_head *h)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    struct http_answer a = {
        .keep_client = true,
        .client_minor = x->client_minor,
        .via = STR("holdfast"),
        .edits = x->edits,
        .n_edits = session_mark(x, h),
    };
    uint8_t framing;
    size_t n = http_write_response(h, &a, &framing, w->out, sizeof w->out);
    if (!x->upgrade || n == 0) {
        exchange_attempt_failed(x, FAILURE_RESET);
        return;
    }
    judge_answer(x, h->status);
    x->head_done = x->answered = true;
    x->status = h->status;
    circuit_tell(x, OUTCOME_OK);
    x->response.framing = HTTP_BODY_TUNNEL;
    stream_consume(&x->up->s, w, h->bytes);
    client_send(c, (struct str){w->out, n}, (struct str){0});
    relay_begin(x);
}

/* The head is whole. False: this attempt is over. */
static void take_head(struct exchange *x, const struct http_head *h)
{
    if (h->status == 101) {
        switch_protocols(x, h);
        return;
    }
    if (h->status < 200) {
        interim(x, h);
        return;
    }
    if (worth_holding(x, h, stream_bytes(&x->up->s).n)) {
        x->hold = (uint32_t)(h->bytes + h->length);
        return;
    }
    judge_answer(x, h->status);
    if (speaks_of_failure(h->status) && exchange_retry_5xx(x))
        return;
    answer(x, h);
}

/* Parses what has come. True: go on at once; false: more bytes are needed, or the attempt is over.
 */
static bool parse_head(struct exchange *x)
{
    struct worker *w = x->client->worker;
    struct upstream *u = x->up;
    struct str bytes = stream_bytes(&u->s);
    if (bytes.n <= x->seen || bytes.n < x->hold)
        return false;
    struct http_limits limits = {BLOCK_SIZE, HTTP_MAX_FIELDS};
    const struct http_refusal *why;
    int r = http_parse_response(bytes.p, bytes.n, x->seen, (enum http_method)x->method, &limits,
                                &w->head, &why);
    if (r == HTTP_MORE) {
        x->seen = (uint32_t)bytes.n;
        return false;
    }
    if (r == HTTP_REFUSED) {
        exchange_attempt_failed(x, FAILURE_RESET);
        return false;
    }
    x->hold = 0;
    take_head(x, &w->head);
    return !x->closed && x->up == u && x->hold == 0 && x->client->state == CLIENT_EXCHANGE;
}

/* The instance's side has ended before its answer did. */
static void ended_early(struct exchange *x)
{
    struct upstream *u = x->up;
    if (x->head_done) {
        cut(x, SIGNAL_REQ_RESET);
        return;
    }
    bool stale = u->reused && !stream_bytes(&u->s).n && !x->continued;
    exchange_attempt_failed(x, u->s.error == ENOMEM ? FAILURE_OURS
                               : stale              ? FAILURE_STALE
                                                    : FAILURE_RESET);
}

static void pump_head(struct exchange *x)
{
    struct worker *w = x->client->worker;
    while (!x->head_done) {
        struct upstream *u = x->up;
        if (parse_head(x))
            continue;
        if (x->closed || x->up != u || x->head_done || x->client->state != CLIENT_EXCHANGE)
            return;
        size_t before = stream_bytes(&u->s).n;
        if (!stream_compact(&u->s)) { /* a block full of head */
            exchange_attempt_failed(x, FAILURE_RESET);
            return;
        }
        stream_fill(&u->s, w);
        if (stream_bytes(&u->s).n > before)
            continue;
        if (u->s.eof || u->s.broken)
            ended_early(x);
        return;
    }
}

/* --- bodies --- */

/* Sends what of `run` the client takes, between size lines of our own. */
static void send_chunk(struct exchange *x)
{
    struct client *c = x->client;
    struct upstream *u = x->up;
    char line[24];
    size_t n = 0;
    if (!x->chunk_open)
        n = (size_t)snprintf(line, sizeof line, "%s%x\r\n", x->chunks_sent ? "\r\n" : "",
                             x->response.run);
    x->chunk_open = x->chunks_sent = true;
    size_t body =
        client_send(c, (struct str){line, n}, (struct str){stream_bytes(&u->s).p, x->response.run});
    x->bytes_out += body;
    x->response.run -= (uint32_t)body;
    stream_consume(&u->s, c->worker, body);
    if (x->response.run == 0)
        x->chunk_open = false;
}

/* What the client does not take stays in the instance's block: no second copy of it is held. */
static void send_run(struct exchange *x)
{
    struct client *c = x->client;
    struct upstream *u = x->up;
    size_t n =
        client_send(c, (struct str){0}, (struct str){stream_bytes(&u->s).p, x->response.run});
    x->bytes_out += n;
    x->response.run -= (uint32_t)n;
    stream_consume(&u->s, c->worker, n);
}

/* One step of payload out of its chunks. False: malformed. */
static bool send_dechunked(struct exchange *x)
{
    struct client *c = x->client;
    struct upstream *u = x->up;
    struct str bytes = stream_bytes(&u->s), data = {"", 0};
    const struct http_refusal *why;
    size_t used = 0;
    int r = http_chunked_step(&x->response.chunks, bytes.p, bytes.n, &used, &data, &why);
    if (r == HTTP_REFUSED)
        return false;
    if (data.n)
        client_send(c, data, (struct str){0});
    x->bytes_out += data.n;
    x->response.done = r == HTTP_DONE;
    stream_consume(&u->s, c->worker, used);
    return true;
}

/* The body has ended as it should. */
static void complete(struct exchange *x)
{
    if (x->coding == CODING_ENCHUNK)
        client_send(x->client, x->chunks_sent ? STR("\r\n0\r\n\r\n") : STR("0\r\n\r\n"),
                    (struct str){0});
    exchange_finish(x);
}

/* One step of the body. False: nothing more can be done now, or the exchange has ended. */
static bool step_body(struct exchange *x)
{
    struct client *c = x->client;
    struct upstream *u = x->up;
    if (!client_flush(c) || c->s.broken)
        return false;
    if (x->response.done && x->response.run == 0) {
        complete(x);
        return false;
    }
    if (x->response.run == 0 && !stream_bytes(&u->s).n && !stream_fill(&u->s, c->worker)) {
        if (x->response.framing == HTTP_BODY_CLOSE && u->s.eof) {
            x->response.done = true;
            return true;
        }
        if (u->s.eof || u->s.broken)
            ended_early(x);
        return false;
    }
    x->active_at = loop_now(c->worker->loop);
    if (x->coding == CODING_DECHUNK) {
        if (!send_dechunked(x))
            cut(x, SIGNAL_REQ_RESET);
        return !x->closed;
    }
    if (x->response.run == 0 && !body_check(&x->response, stream_bytes(&u->s))) {
        cut(x, SIGNAL_REQ_RESET);
        return false;
    }
    if (x->coding == CODING_ENCHUNK)
        send_chunk(x);
    else
        send_run(x);
    return c->s.writable || x->response.run == 0;
}

void response_pump(struct exchange *x)
{
    struct client *c = x->client;
    if (!x->head_done)
        pump_head(x);
    if (x->closed || !x->head_done || c->state != CLIENT_EXCHANGE)
        return;
    for (int i = 0; i < READ_BATCH; i++)
        if (!step_body(x))
            return;
    if (!x->closed)
        loop_defer(c->worker->loop, &c->resume);
}
