/* exchange: one request, from its parsed head to the last byte of its answer, over as many attempts
 * as the rules allow.
 *
 *   phase        waits for                           limit        when it runs out
 *   QUEUE        a place (admission.c)               wait         503
 *   CONNECT      the instance's kernel               connect      next attempt
 *   REQUEST      the rest of the request to go       idle         next attempt, or the client's 408
 *   FIRST_BYTE   the head of the answer              first-byte   next attempt
 *   RESPONSE     the rest of the body                idle         the client's connection is cut
 *
 * The rewritten head, and an idempotent request's body up to `replay_max`, stay in `request` until
 * the end, so that an attempt can start anew. Bytes beyond that go straight from the client's block
 * to the instance; once one has, the request cannot be sent again. A small response to a repeatable
 * request is held until it is whole: an instance that dies within it then costs an attempt, not an
 * answer. */
#include <errno.h>

#include "proxy/internal.h"

static uint64_t now_of(const struct exchange *x)
{
    return loop_now(x->client->worker->loop);
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
    memset(x->phase_at, 0, sizeof x->phase_at);
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

void exchange_attempt_end(struct exchange *x)
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

void exchange_attempt(struct exchange *x)
{
    int member = admission_pick(x, false);
    if (member == PICK_FULL)
        admission_wait(x);
    else
        exchange_attempt_at(x, member);
}

void exchange_attempt_at(struct exchange *x, int member)
{
    if (member < 0) {
        cell_add(&x->service->row->no_instance, 1);
        x->cause = "no-instance";
        exchange_fail(x, 503, "No instance of this service can take the request.");
        return;
    }
    trace_attempt(x);
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
    exchange_attempt_end(x);
    cell_add(&x->service->row->retries, 1);
    exchange_attempt(x);
}

struct failure_meaning {
    int signal; /* enum signal_kind, or -1: no evidence about the instance */
    uint16_t status;
    const char *cause; /* in the access log */
    const char *text;
};
static const struct failure_meaning meanings[FAILURES] = {
    [FAILURE_REFUSED] = {SIGNAL_REQ_REFUSED, 503, "refused",
                         "The instance refused the connection."},
    [FAILURE_CONNECT_TIMEOUT] = {SIGNAL_REQ_TIMEOUT, 504, "connect-timeout",
                                 "The instance did not accept the connection in time."},
    [FAILURE_STALE] = {-1, 502, "stale", "The instance closed the connection without an answer."},
    [FAILURE_RESET] = {SIGNAL_REQ_RESET, 502, "reset",
                       "The instance ended the connection without a whole answer."},
    [FAILURE_TIMEOUT] = {SIGNAL_REQ_TIMEOUT, 504, "timeout",
                         "The instance did not answer in time."},
    [FAILURE_5XX] = {SIGNAL_REQ_5XX, 502, "5xx", "The instance answered with an error."},
    [FAILURE_OURS] = {-1, 503, "shortage", "This node is short of descriptors or memory."},
};

void exchange_attempt_failed(struct exchange *x, enum failure failure)
{
    const struct failure_meaning *m = &meanings[failure];
    if (m->signal >= 0) {
        exchange_observe(x, OUTCOME_FAILED);
        target_signal(x->target, (enum signal_kind)m->signal, 0);
    }
    if (hedge_takes_over(x))
        return;
    if (!may_retry(x, failure)) {
        x->cause = m->cause;
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
    if (!x->phase_at[phase])
        x->phase_at[phase] = x->active_at;
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
    case PHASE_QUEUE: return x->wait_until - x->active_at;
    case PHASES: break;
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
    case PHASE_QUEUE: admission_late(x); break;
    case PHASE_CONNECT: exchange_attempt_failed(x, FAILURE_CONNECT_TIMEOUT); break;
    case PHASE_FIRST_BYTE: exchange_attempt_failed(x, FAILURE_TIMEOUT); break;
    case PHASE_REQUEST:
        if (!x->up->s.writable || (x->expect && !x->continued)) {
            exchange_attempt_failed(x, FAILURE_TIMEOUT);
        } else {
            c->keep = false;
            x->cause = "client-timeout";
            exchange_fail(x, 408, "The request body did not arrive in time.");
        }
        break;
    case PHASE_RESPONSE:
        if (!client_stalls && c->s.writable)
            target_signal(x->target, SIGNAL_REQ_TIMEOUT, 0);
        x->cause = client_stalls || !c->s.writable ? "client-timeout" : "silence";
        exchange_fail(x, 504, "The instance fell silent within its answer.");
        break;
    case PHASES: UNREACHABLE();
    }
}

/* --- ending --- */

/* An allocation for each request and one for its head would be a tenth of the time that we spend on
 * it: some of both are kept. */
struct exchange *exchange_new(struct worker *w)
{
    struct exchange *x;
    if (list_empty(&w->free_exchanges)) {
        x = mem_zero(1, sizeof *x);
        if (!x)
            return NULL;
    } else {
        x = LIST_ENTRY(w->free_exchanges.next, struct exchange, grave);
        list_remove(&x->grave);
        w->n_free_exchanges--;
        const struct buf head = {.p = x->request.p, .cap = x->request.cap};
        *x = (struct exchange){.request = head};
    }
    list_init(&x->grave);
    return x;
}

void exchange_end(struct worker *w, struct list *link)
{
    struct exchange *x = LIST_ENTRY(link, struct exchange, grave);
    buf_free(&x->facts);
    arena_free(&x->arena);
    if (x->request.cap > HEAD_KEPT)
        buf_free(&x->request);
    if (w->n_free_exchanges + 1 <= EXCHANGES_KEPT) {
        list_push_front(&w->free_exchanges, &x->grave);
        w->n_free_exchanges++;
        return;
    }
    buf_free(&x->request);
    mem_free(x);
}

void exchange_pool_free(struct worker *w)
{
    list_for_each_safe (it, &w->free_exchanges) {
        struct exchange *x = LIST_ENTRY(it, struct exchange, grave);
        list_remove(it);
        buf_free(&x->request);
        mem_free(x);
    }
    w->n_free_exchanges = 0;
}

static void count_in(struct service_row *row, const struct exchange *x, uint64_t us)
{
    if (!x->relay)
        cell_add(&row->status[x->status >= 100 && x->status < 600 ? x->status / 100 : 0], 1);
    cell_add(&row->bytes_in, x->body_bytes);
    cell_add(&row->bytes_out, x->bytes_out);
    cell_add(&row->latency_us_sum, us);
    cell_add(&row->latency[latency_bucket(us)], 1);
}

static void count(struct exchange *x)
{
    uint64_t us = (now_of(x) - x->started_at) / NS_PER_US;
    count_in(x->front->row, x, us);
    if (x->service != x->front)
        count_in(x->service->row, x, us);
    cell_add(&x->client->listener->row->bytes_in, x->body_bytes);
    cell_add(&x->client->listener->row->bytes_out, x->bytes_out);
    exchange_log(x, us);
}

/* The connection to the instance can carry another request. */
static bool reusable(const struct exchange *x)
{
    return x->up && x->up_keep && x->head_done && x->response.done && x->response.run == 0 &&
           request_complete(x) && !x->up->write_dead && !x->up->s.broken;
}

static void release(struct exchange *x)
{
    hedge_end(x);
    circuit_end(x);
    admission_end(x);
    if (reusable(x)) {
        struct upstream *u = x->up;
        x->up = NULL;
        upstream_release(u);
    }
    relay_end(x);
    exchange_attempt_end(x);
    service_unref(x->service);
    service_unref(x->front);
    if (x->mirror)
        service_unref(x->mirror);
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
    if (!x->cause && !x->relay && x->client->state != CLIENT_TUNNEL)
        x->cause = "client-closed";
    if (x->client->state != CLIENT_TUNNEL)
        x->status = x->answered ? x->status : 0;
    else
        cell_add(&x->service->row->tunnels, UINT64_MAX); /* minus one */
    count(x);
    x->client->x = NULL;
    release(x);
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
    circuit_tell(x, OUTCOME_OK);
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
 * (RFC 9112, 9.6 lets it). What a TCP client sent before lies in front of its end; once it has an
 * instance, relay.c reads. */
static void check_client(struct exchange *x)
{
    struct client *c = x->client;
    if (!c->s.hangup || c->s.eof || !(x->body.done && x->body.run == 0))
        return;
    if (x->relay && x->phase == PHASE_QUEUE && !c->s.in)
        stream_fill(&c->s, c->worker);
    if (x->relay ? x->phase == PHASE_QUEUE : !c->s.in)
        stream_fill(&c->s, c->worker);
}

void exchange_run(struct exchange *x)
{
    struct client *c = x->client;
    while (!x->closed && !c->s.broken) {
        uint32_t attempts = x->attempts;
        bool stale = x->stale_retried;
        check_client(x);
        if (x->phase == PHASE_QUEUE)
            break;
        check_upstream(x);
        if (!x->closed && x->up && x->up->connected)
            request_pump(x);
        if (!x->closed && x->up && x->up->connected && x->relay)
            relay_when_reached(x);
        else if (!x->closed && x->up && x->up->connected)
            response_pump(x);
        if (!x->closed && x->rival)
            hedge_run(x);
        if (x->closed || c->state != CLIENT_EXCHANGE)
            return;
        if (x->attempts == attempts && x->stale_retried == stale)
            break; /* else a new attempt has begun: see what it can do at once */
    }
    if (!x->closed && !c->s.broken)
        arm(x);
}
