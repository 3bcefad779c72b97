/* hedge: a second instance is asked when the first one is silent for long (Dean and Barroso, "The
 * Tail at Scale", 2013).
 *
 * Only for requests that may be sent twice and whose bytes are all kept, and each one takes from
 * the retry budget, so that a slow service is not asked twice as much. The exchange's own attempt
 * goes on; the rival is a second connection beside it. Whoever has a whole head first that does not
 * speak of failure goes on, the other is given up without a word about its instance. When the own
 * attempt fails, the rival takes its place. */
#include "proxy/internal.h"

struct rival {
    struct upstream *up;
    struct target *target; /* holds a reference */
    uint32_t member;
    uint64_t since;
    size_t sent;
    uint32_t seen; /* of http_parse_response */
};

static uint64_t now_of(const struct exchange *x)
{
    return loop_now(x->client->worker->loop);
}

/* What the rival held is given back. */
static void rival_end(struct exchange *x, enum outcome outcome)
{
    struct rival *r = x->rival;
    x->rival = NULL;
    if (r->up)
        upstream_close(r->up);
    service_observe(x->service, r->member, outcome, now_of(x) - r->since);
    service_done(x->service, r->member);
    cell_add(&r->target->row->inflight, UINT64_MAX); /* minus one */
    target_unref(r->target);
    mem_free(r);
}

static void rival_failed(struct exchange *x, enum signal_kind evidence)
{
    if (stream_short(&x->rival->up->s)) {
        rival_end(x, OUTCOME_ABANDONED);
        return;
    }
    target_signal(x->rival->target, evidence, 0);
    rival_end(x, OUTCOME_FAILED);
}

void hedge_end(struct exchange *x)
{
    if (x->hedge_timer.on_fire)
        loop_timer_stop(x->client->worker->loop, &x->hedge_timer);
    if (x->rival)
        rival_end(x, OUTCOME_ABANDONED);
}

/* --- asking --- */

/* Another instance than the one that is asked already; -1 when there is none. */
static int pick_other(struct exchange *x)
{
    struct service *s = x->service;
    int member = service_pick(s, &x->tried, x->key);
    if (member >= 0 && tried_has(&x->tried, (uint32_t)member)) {
        service_done(s, (uint32_t)member);
        return -1;
    }
    return member;
}

static void ask(struct exchange *x)
{
    struct service *s = x->service;
    int error = 0, member = pick_other(x);
    if (member < 0)
        return;
    struct rival *r = mem_zero(1, sizeof *r);
    if (!r) {
        service_done(s, (uint32_t)member);
        return;
    }
    *r = (struct rival){
        .member = (uint32_t)member, .target = s->targets[member], .since = now_of(x)};
    r->target->refs++;
    tried_add(&x->tried, r->member);
    cell_add(&r->target->row->inflight, 1);
    cell_add(&r->target->row->requests, 1);
    cell_add(&s->row->hedges, 1);
    x->rival = r;
    trace_attempt(x); /* the first one's bytes are all sent */
    r->up = upstream_get(r->target, x, false, true, &error);
    if (!r->up)
        rival_end(x, OUTCOME_ABANDONED);
}

static void on_silence(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, hedge_timer);
    if (x->closed || x->rival || x->head_done || x->phase != PHASE_FIRST_BYTE || x->streamed)
        return;
    if (!budget_retry(&x->service->budget, now_of(x))) {
        cell_add(&x->service->row->retries_denied, 1);
        return;
    }
    ask(x);
    client_run(x->client);
}

/* 0: nobody else is asked. */
static uint64_t patience(const struct exchange *x)
{
    const struct view_rules *r = x->hedge->conf;
    uint64_t most = r->hedge_permille ? quantile_get(&x->hedge->slow) : 0;
    return r->hedge_permille && !most ? 0 : MAX(r->hedge_after, most);
}

void hedge_arm(struct exchange *x)
{
    if (!x->hedge || !x->idempotent || x->streamed || x->upgrade || x->service->pool.n < 2 ||
        x->hedge_timer.on_fire)
        return;
    uint64_t wait = patience(x);
    if (!wait)
        return;
    timer_init(&x->hedge_timer, on_silence);
    loop_timer_set(x->client->worker->loop, &x->hedge_timer, now_of(x) + wait);
}

void hedge_learn(struct exchange *x, uint64_t ns)
{
    if (x->hedge && x->hedge->conf->hedge_permille)
        quantile_add(&x->hedge->slow, x->hedge->conf->hedge_permille, ns);
}

/* --- running --- */

/* The rival becomes the exchange's attempt; the attempt before it has been given back. */
static void promote(struct exchange *x)
{
    struct rival *r = x->rival;
    CHECK(!x->up && !x->target);
    x->rival = NULL;
    x->up = r->up;
    x->target = r->target;
    x->member = r->member;
    x->attempt_at = r->since;
    x->request_sent = x->written = r->sent;
    x->head_done = x->observed = false;
    x->seen = x->hold = 0;
    x->timer_phase = 0;
    x->attempts++;
    exchange_set_phase(x, !r->up->connected         ? PHASE_CONNECT
                          : r->sent == x->request.n ? PHASE_FIRST_BYTE
                                                    : PHASE_REQUEST);
    cell_add(&x->service->row->hedges_won, 1);
    mem_free(r);
}

bool hedge_takes_over(struct exchange *x)
{
    if (!x->rival)
        return false;
    exchange_attempt_end(x);
    promote(x);
    return true;
}

static void send_request(struct exchange *x, struct rival *r)
{
    struct str rest = {x->request.p + r->sent, x->request.n - r->sent};
    if (rest.n && r->up->s.writable)
        r->sent += stream_send(&r->up->s, rest, (struct str){0});
}

/* What its bytes say. True: it has won. */
static bool has_answer(struct exchange *x, struct rival *r)
{
    struct worker *w = x->client->worker;
    struct http_limits limits = {BLOCK_SIZE, HTTP_MAX_FIELDS};
    const struct http_refusal *why;
    stream_fill(&r->up->s, w);
    struct str bytes = stream_bytes(&r->up->s);
    int result = bytes.n > r->seen
                     ? http_parse_response(bytes.p, bytes.n, r->seen, (enum http_method)x->method,
                                           &limits, &w->head, &why)
                     : HTTP_MORE;
    if (result == HTTP_REFUSED || (result == HTTP_DONE && speaks_of_failure(w->head.status))) {
        rival_failed(x, result == HTTP_REFUSED ? SIGNAL_REQ_RESET : SIGNAL_REQ_5XX);
        return false;
    }
    r->seen = result == HTTP_MORE ? (uint32_t)bytes.n : r->seen;
    if (result == HTTP_MORE && (r->up->s.eof || r->up->s.broken)) {
        if (r->up->reused && bytes.n == 0)
            rival_end(x, OUTCOME_ABANDONED); /* a pooled connection that had ended */
        else
            rival_failed(x, SIGNAL_REQ_RESET);
    }
    return result == HTTP_DONE;
}

void hedge_run(struct exchange *x)
{
    struct rival *r = x->rival;
    if (!r)
        return;
    if (x->head_done) {
        hedge_end(x);
        return;
    }
    if (!r->up->connected) {
        if (r->up->s.broken)
            rival_failed(x, SIGNAL_REQ_REFUSED);
        return;
    }
    send_request(x, r);
    if (has_answer(x, r))
        hedge_takes_over(x);
}
