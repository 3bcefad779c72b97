/* exchange: one request, from its parsed head to the last byte of its answer, over as many attempts
 * as the rules allow.
 *
 *   phase        from                         waits for                        time limit     when
 * it runs out CONNECT      a connection was started     the instance's kernel            connect
 * next attempt REQUEST      connected                    the rest of the request to go    idle next
 * attempt (instance) or 408 (client) FIRST_BYTE   all of the request written   the response's head
 * first-byte     next attempt RESPONSE     the head was passed on       the rest of the body idle
 * the client's connection is cut
 *
 * The rewritten head, and an idempotent request's body up to `replay_max`, stay in `request` until
 * the end, so that an attempt can start anew. Bytes beyond that go straight from the client's block
 * to the instance; once one has, the request cannot be sent again. A small response to a repeatable
 * request is held until it is whole: an instance that dies within it then costs an attempt, not an
 * answer. */
#include <errno.h>

#include "proxy/internal.h"

static void attempt(struct exchange *x);

static uint64_t now_of(const struct exchange *x)
{
    return loop_now(x->client->worker->loop);
}

/* --- beginning --- */

/* 0, or the status to refuse with. */
static uint16_t rewrite_head(struct exchange *x, const struct http_head *h, const char **text)
{
    struct client *c = x->client;
    struct http_forward f = {.client_ip = str_of(c->ip),
                             .proto = STR("http"),
                             .via = STR("holdfast"),
                             .keep_upstream = true};
    if (!buf_reserve(&x->request, h->bytes + HEAD_SLACK)) {
        *text = "Out of memory.";
        return 503;
    }
    size_t n = http_write_request(h, &f, x->request.p, x->request.cap);
    if (n == 0) {
        *text = "The request head is too large to forward.";
        return 431;
    }
    x->request.n = n;
    x->head_bytes = (uint32_t)n;
    const char *end = memchr(x->request.p, '\r', n);
    x->line_bytes = end ? (uint32_t)(end - x->request.p) : 0;
    return 0;
}

static void read_facts(struct exchange *x, const struct http_head *h)
{
    const struct view_service *conf = x->service->conf;
    x->method = h->method;
    x->client_minor = h->minor;
    x->idempotent = http_method_idempotent((enum http_method)h->method);
    x->head_request = h->method == HTTP_HEAD;
    x->upgrade = h->upgrade;
    x->expect = h->expect_continue;
    x->body_limit = conf->limits.body_bytes;
    body_init(&x->body, h);
    bool small = h->framing != HTTP_BODY_LENGTH || h->length <= conf->retry.replay_max;
    x->replay = x->idempotent && small && conf->retry.replay_max > 0;
}

/* By what it is placed; the head lies in the client's block only until it is consumed. */
static void place(struct exchange *x, const struct http_head *h)
{
    const struct peer *p = &x->client->peer;
    size_t n = p->kind == ADDR_IP6 ? 16 : p->kind == ADDR_IP4 ? 4 : 0;
    if (algorithm_by_key((enum algorithm)x->service->conf->balance))
        x->key = key_of(&x->service->conf->hash, h, p->ip, n);
}

/* What is answered here although its syntax is fine: refusals, and an OPTIONS that asks for us (RFC
 * 9110, 7.6.2). 0: nothing. */
static uint16_t unwanted(const struct exchange *x, const struct http_head *h, const char **text)
{
    if (h->method == HTTP_CONNECT || h->method == HTTP_TRACE) {
        *text = "This method is not served here.";
        return 501;
    }
    if (h->method == HTTP_OPTIONS && h->max_forwards == 0) {
        *text = "A reverse proxy: holdfast.";
        return 200;
    }
    if (x->body_limit && h->framing == HTTP_BODY_LENGTH && h->length > x->body_limit) {
        *text = "The request body is larger than allowed here.";
        return 413;
    }
    return 0;
}

bool exchange_begin(struct client *c, struct service *s)
{
    struct worker *w = c->worker;
    const struct http_head *h = &w->head;
    cell_add(&s->row->requests, 1);
    struct exchange *x = mem_zero(1, sizeof *x);
    if (!x) {
        client_refuse(c, 503, "Out of memory.");
        return false;
    }
    list_init(&x->grave);
    x->client = c;
    x->service = s;
    service_ref(s);
    c->x = x;
    c->keep = h->keep_alive;
    x->started_at = x->active_at = now_of(x);
    read_facts(x, h);
    const char *text = NULL;
    uint16_t refuse = unwanted(x, h, &text);
    if (!refuse)
        refuse = rewrite_head(x, h, &text);
    place(x, h);
    stream_consume(&c->s, w, h->bytes);
    if (refuse) {
        c->keep = false;
        exchange_fail(x, refuse, text);
        return false;
    }
    budget_request(&s->budget, now_of(x));
    attempt(x);
    return true;
}

/* What the instance is told about the client before its first byte. */
static bool announce(struct exchange *x)
{
    struct client *c = x->client;
    uint8_t version = x->service->conf->proxy_out;
    struct addr from = {.kind = c->peer.kind, .port = c->peer.port}, to = {0};
    char header[PROXY_HEADER_WRITTEN_MAX];
    if (!version)
        return true;
    memcpy(from.ip, c->peer.ip, sizeof from.ip);
    net_local_addr(c->s.io.fd, &to); /* unknown: the header says so */
    size_t n = proxy_header_write(version, &from, &to, header);
    return buf_add(&x->request, header, n);
}

void exchange_begin_relay(struct client *c, struct service *s)
{
    cell_add(&s->row->requests, 1);
    struct exchange *x = mem_zero(1, sizeof *x);
    if (!x) {
        client_close(c);
        return;
    }
    list_init(&x->grave);
    x->client = c;
    x->service = s;
    service_ref(s);
    c->x = x;
    c->state = CLIENT_EXCHANGE;
    x->relay = true;
    x->body.done = true;
    x->started_at = x->active_at = now_of(x);
    place(x, NULL);
    if (!announce(x)) {
        client_close(c);
        return;
    }
    budget_request(&s->budget, now_of(x));
    attempt(x);
}

/* --- attempts --- */

static void attempt_begin(struct exchange *x, uint32_t member)
{
    struct service *s = x->service;
    CHECK(!x->spent); /* I4 */
    x->member = member;
    x->target = s->targets[member];
    x->target->refs++;
    tried_add(&x->tried, member);
    x->attempts++;
    x->attempt_at = now_of(x);
    x->written = 0;
    x->request_sent = 0;
    x->head_done = false;
    x->seen = x->hold = 0;
    x->timer_phase = 0;
    x->observed = false;
    struct instance_row *row = x->target->row;
    cell_add(&row->inflight, 1);
    cell_add(&row->requests, 1);
}

void exchange_observe(struct exchange *x, enum outcome outcome)
{
    if (x->observed)
        return;
    x->observed = true;
    service_observe(x->service, x->member, outcome, now_of(x) - x->attempt_at);
}

/* Gives back what the attempt held. */
static void attempt_end(struct exchange *x)
{
    if (x->up)
        upstream_close(x->up);
    x->up = NULL;
    if (!x->target)
        return;
    exchange_observe(x, OUTCOME_ABANDONED);
    cell_add(&x->target->row->inflight, UINT64_MAX); /* minus one */
    service_done(x->service, x->member);
    target_unref(x->target);
    x->target = NULL;
}

/* What the errno of a connection that did not come about says. */
static enum failure connect_failure(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL: return FAILURE_OURS;
    case ETIMEDOUT:
    case EAGAIN:
        return FAILURE_CONNECT_TIMEOUT; /* a Unix socket whose backlog is full says EAGAIN */
    default: return FAILURE_REFUSED;
    }
}

static void attempt(struct exchange *x)
{
    struct service *s = x->service;
    int member = service_pick(s, &x->tried, x->key);
    if (member < 0) {
        cell_add(&s->row->no_instance, 1);
        exchange_fail(x, 503, "No instance of this service can take the request.");
        return;
    }
    attempt_begin(x, (uint32_t)member);
    int error = 0;
    x->up = upstream_get(x->target, x, x->stale_retried, !x->idempotent, &error);
    if (!x->up)
        exchange_attempt_failed(x, connect_failure(error));
    else
        exchange_set_phase(x, x->up->connected ? PHASE_REQUEST : PHASE_CONNECT);
}

static bool may_retry(struct exchange *x, enum failure failure)
{
    struct service *s = x->service;
    struct retry_facts f = {
        .failure = failure,
        .on = s->conf->retry.on,
        .attempts = x->attempts,
        .attempts_max = s->conf->retry.attempts,
        .written = x->written > 0,
        .idempotent = x->idempotent,
        .replayable = !x->streamed,
        .answered = x->answered,
        .stale_retried = x->stale_retried,
    };
    switch (retry_decide(&f)) {
    case RETRY_NO: return false;
    case RETRY_FREE: return true;
    case RETRY_BUDGET:
        if (budget_retry(&s->budget, now_of(x)))
            return true;
        cell_add(&s->row->retries_denied, 1);
        return false;
    }
    UNREACHABLE();
}

static void next_attempt(struct exchange *x)
{
    attempt_end(x);
    cell_add(&x->service->row->retries, 1);
    attempt(x);
}

struct failure_meaning {
    int signal; /* enum signal_kind, or -1: no evidence about the instance */
    uint16_t status;
    const char *text;
};
static const struct failure_meaning meanings[FAILURES] = {
    [FAILURE_REFUSED] = {SIGNAL_REQ_REFUSED, 503, "The instance refused the connection."},
    [FAILURE_CONNECT_TIMEOUT] = {SIGNAL_REQ_TIMEOUT, 504,
                                 "The instance did not accept the connection in time."},
    [FAILURE_STALE] = {-1, 502, "The instance closed the connection without an answer."},
    [FAILURE_RESET] = {SIGNAL_REQ_RESET, 502,
                       "The instance ended the connection without a whole answer."},
    [FAILURE_TIMEOUT] = {SIGNAL_REQ_TIMEOUT, 504, "The instance did not answer in time."},
    [FAILURE_5XX] = {SIGNAL_REQ_5XX, 502, "The instance answered with an error."},
    [FAILURE_OURS] = {-1, 503, "This node is short of descriptors or memory."},
};

void exchange_attempt_failed(struct exchange *x, enum failure failure)
{
    const struct failure_meaning *m = &meanings[failure];
    if (m->signal >= 0) {
        exchange_observe(x, OUTCOME_FAILED);
        target_signal(x->target, (enum signal_kind)m->signal, 0);
    }
    if (!may_retry(x, failure)) {
        exchange_fail(x, m->status, m->text);
        return;
    }
    if (failure == FAILURE_STALE) { /* not this attempt's fault: it does not count, and the same
                                       instance may be asked */
        x->stale_retried = true;
        x->attempts--;
        if (x->tried.n)
            x->tried.n--;
    }
    next_attempt(x);
}

bool exchange_retry_5xx(struct exchange *x)
{
    if (!may_retry(x, FAILURE_5XX))
        return false;
    next_attempt(x);
    return true;
}

/* --- time --- */

void exchange_set_phase(struct exchange *x, enum exchange_phase phase)
{
    x->phase = (uint8_t)phase;
    x->active_at = now_of(x);
}

static uint64_t phase_limit(const struct exchange *x)
{
    const struct view_timeouts *t = &x->service->conf->timeouts;
    if (x->client->state == CLIENT_TUNNEL)
        return t->tunnel;
    switch ((enum exchange_phase)x->phase) {
    case PHASE_CONNECT: return t->connect;
    case PHASE_REQUEST: return x->expect && !x->continued ? t->first_byte : t->idle;
    case PHASE_FIRST_BYTE: return t->first_byte;
    case PHASE_RESPONSE: return t->idle;
    }
    UNREACHABLE();
}

/* Sets the client's timer for a phase once; later bytes of the phase only move active_at, and the
 * timer looks again when it fires. */
static void arm(struct exchange *x)
{
    uint8_t want = (uint8_t)(x->phase + 1);
    if (x->timer_phase == want)
        return;
    x->timer_phase = want;
    client_deadline(x->client, phase_limit(x));
}

void exchange_timeout(struct exchange *x)
{
    struct client *c = x->client;
    uint64_t due = x->active_at + phase_limit(x), now = now_of(x);
    if (now < due) {
        client_deadline(c, due - now);
        return;
    }
    x->timer_phase = 0;
    if (c->state == CLIENT_TUNNEL) {
        client_close(c);
        return;
    }
    bool client_stalls = c->pending.n > 0;
    switch ((enum exchange_phase)x->phase) {
    case PHASE_CONNECT: exchange_attempt_failed(x, FAILURE_CONNECT_TIMEOUT); break;
    case PHASE_FIRST_BYTE: exchange_attempt_failed(x, FAILURE_TIMEOUT); break;
    case PHASE_REQUEST:
        if (!x->up->s.writable || (x->expect && !x->continued)) {
            exchange_attempt_failed(x, FAILURE_TIMEOUT);
        } else {
            c->keep = false;
            exchange_fail(x, 408, "The request body did not arrive in time.");
        }
        break;
    case PHASE_RESPONSE:
        if (!client_stalls && c->s.writable)
            target_signal(x->target, SIGNAL_REQ_TIMEOUT, 0);
        exchange_fail(x, 504, "The instance fell silent within its answer.");
        break;
    }
}

/* --- ending --- */

void exchange_end(struct list *link)
{
    struct exchange *x = LIST_ENTRY(link, struct exchange, grave);
    buf_free(&x->request);
    mem_free(x);
}

static void count(struct exchange *x)
{
    struct service_row *row = x->service->row;
    uint64_t us = (now_of(x) - x->started_at) / NS_PER_US;
    if (!x->relay)
        cell_add(&row->status[x->status >= 100 && x->status < 600 ? x->status / 100 : 0], 1);
    cell_add(&row->bytes_in, x->body_bytes);
    cell_add(&row->bytes_out, x->bytes_out);
    cell_add(&x->client->listener->row->bytes_in, x->body_bytes);
    cell_add(&x->client->listener->row->bytes_out, x->bytes_out);
    cell_add(&row->latency_us_sum, us);
    cell_add(&row->latency[latency_bucket(us)], 1);
    if (!x->service->log)
        return;
    struct log_entry entry = {
        .client = str_of(x->client->ip),
        .request_line = x->relay ? STR("TCP") : (struct str){x->request.p, x->line_bytes},
        .service = x->service->conf->name,
        .instance = x->target ? str_of(x->target->name) : STR("-"),
        .status = x->status,
        .bytes = x->bytes_out,
        .duration_us = us,
        .wall_ns = clock_wall(),
        .attempts = x->attempts,
    };
    log_write(x->client->worker->log, x->service->log, &entry);
}

/* The connection to the instance can carry another request. */
static bool reusable(const struct exchange *x)
{
    return x->up && x->up_keep && x->head_done && x->response.done && x->response.run == 0 &&
           request_complete(x) && !x->up->write_dead && !x->up->s.broken;
}

static void release(struct exchange *x)
{
    if (reusable(x)) {
        struct upstream *u = x->up;
        x->up = NULL;
        upstream_release(u);
    }
    relay_end(x);
    attempt_end(x);
    service_unref(x->service);
    worker_bury(x->client->worker, GRAVE_EXCHANGE, &x->grave);
}

void exchange_finish(struct exchange *x)
{
    CHECK(!x->closed);
    struct client *c = x->client;
    bool body_read = x->body.done && x->body.run == 0;
    x->closed = true;
    count(x);
    release(x);
    client_exchange_done(c, body_read);
}

void exchange_abort(struct exchange *x)
{
    CHECK(!x->closed);
    x->closed = true;
    if (x->client->state != CLIENT_TUNNEL)
        x->status = x->answered ? x->status : 0;
    else
        cell_add(&x->service->row->tunnels, UINT64_MAX); /* minus one */
    count(x);
    x->client->x = NULL;
    release(x);
}

void exchange_fail(struct exchange *x, uint16_t status, const char *text)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    if (x->answered || x->relay) {
        /* The client must not take the part that it has for the whole, nor an end for an answer. */
        net_set_reset_on_close(c->s.io.fd);
        c->keep = false;
        client_close(c);
        return;
    }
    bool body_read = x->body.done && x->body.run == 0;
    struct http_answer a = {
        .keep_client = c->keep && body_read && !w->draining,
        .client_minor = x->client_minor,
        .head_request = x->head_request,
        .via = STR("holdfast"),
        .date = worker_date(w),
    };
    c->keep = a.keep_client;
    x->answered = true;
    x->status = status;
    x->up_keep = false;
    size_t n = http_write_error(status, text, &a, status == 503 ? 1 : 0, w->out, sizeof w->out);
    client_send(c, (struct str){w->out, n}, (struct str){0});
    exchange_finish(x);
}

/* --- running --- */

/* A TCP connection has found its instance, which knows whom it speaks to. */
static void relay_when_reached(struct exchange *x)
{
    struct service_row *row = x->service->row;
    if (!request_complete(x))
        return;
    x->reached_at = now_of(x);
    exchange_observe(x, OUTCOME_OK);
    cell_add(&row->relayed, 1);
    relay_begin(x);
}

static void check_upstream(struct exchange *x)
{
    struct upstream *u = x->up;
    if (!u->connected) {
        if (u->s.broken)
            exchange_attempt_failed(x, connect_failure(u->s.error));
    } else if (x->phase == PHASE_CONNECT) {
        exchange_set_phase(x, PHASE_REQUEST);
    }
}

/* The client hung up while it has nothing to send: gone for good (reset), or only its sending side
 * (RFC 9112, 9.6 lets it). */
static void check_client(struct exchange *x)
{
    struct client *c = x->client;
    if (x->relay || !c->s.hangup || c->s.eof || c->s.in || !(x->body.done && x->body.run == 0))
        return;
    stream_fill(&c->s, c->worker);
}

void exchange_run(struct exchange *x)
{
    struct client *c = x->client;
    while (!x->closed && !c->s.broken) {
        uint32_t attempts = x->attempts;
        bool stale = x->stale_retried;
        check_client(x);
        check_upstream(x);
        if (!x->closed && x->up && x->up->connected)
            request_pump(x);
        if (!x->closed && x->up && x->up->connected && x->relay)
            relay_when_reached(x);
        else if (!x->closed && x->up && x->up->connected)
            response_pump(x);
        if (x->closed || c->state != CLIENT_EXCHANGE)
            return;
        if (x->attempts == attempts && x->stale_retried == stale)
            break; /* else a new attempt has begun: see what it can do at once */
    }
    if (!x->closed && !c->s.broken)
        arm(x);
}
