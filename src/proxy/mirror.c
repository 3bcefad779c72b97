/* mirror: copies of requests to another service, for trying it with real traffic.
 *
 *   state        waits for                      time limit
 *   CONNECT      the instance's kernel          connect
 *   SEND         room in its socket             idle
 *   ANSWER       the end of its answer          first-byte, then idle
 *
 * The client neither waits for a copy nor learns of it: the answer is read, counted for the
 * instance that gave it, and thrown away. A copy goes out when the request itself has been sent,
 * so only what is kept whole (retry.replay bytes of body) can be copied. At most MIRRORS_MAX are
 * under way in a worker, whatever the service's load: more are not sent, but counted. No copy is
 * ever repeated. The header rules of the mirrored service itself are not applied: it gets what the
 * other one got. */
#include "proxy/internal.h"

enum { MIRRORS_MAX = 256, MIRROR_READS = 64 };

struct mirror {
    struct list link; /* worker's mirrors, or graveyard */
    struct worker *worker;
    struct service *service; /* holds a reference */
    struct target *target;   /* holds a reference */
    uint32_t member;
    struct upstream *up;
    struct buf request;
    size_t sent;
    struct timer timer;
    struct task resume;
    uint64_t since;
    uint32_t seen;
    uint8_t method;
    bool head_done, over;
    struct body answer;
};

static void mirror_run(struct mirror *m);

/* --- ending --- */

void mirror_end(struct worker *w, struct list *link)
{
    struct mirror *m = LIST_ENTRY(link, struct mirror, link);
    buf_free(&m->request);
    mem_free(m);
}

static void end(struct mirror *m, enum outcome outcome)
{
    struct worker *w = m->worker;
    if (m->over)
        return;
    m->over = true;
    if (m->up) {
        m->up->on_event = NULL;
        upstream_close(m->up);
    }
    loop_timer_stop(w->loop, &m->timer);
    task_cancel(&m->resume);
    service_observe(m->service, m->member, outcome, loop_now(w->loop) - m->since);
    service_done(m->service, m->member);
    cell_add(&m->target->row->inflight, UINT64_MAX); /* minus one */
    target_unref(m->target);
    service_unref(m->service);
    list_remove(&m->link);
    w->n_mirrors--;
    worker_bury(w, GRAVE_MIRROR, &m->link);
}

static void failed(struct mirror *m, enum signal_kind evidence)
{
    if (stream_short(&m->up->s)) {
        end(m, OUTCOME_ABANDONED);
        return;
    }
    target_signal(m->target, evidence, 0);
    end(m, OUTCOME_FAILED);
}

void mirror_end_all(struct worker *w)
{
    list_for_each_safe (it, &w->mirrors)
        end(LIST_ENTRY(it, struct mirror, link), OUTCOME_ABANDONED);
}

/* --- beginning --- */

void mirror_choose(struct exchange *x)
{
    struct worker *w = x->client->worker;
    const struct view_rules *rule = NULL;
    for (uint32_t i = 0; i < x->n_rules; i++)
        if (x->rules[i]->conf->mirror_permille)
            rule = x->rules[i]->conf;
    if (!rule || x->upgrade || prng_below(&w->prng, 1000) >= rule->mirror_permille)
        return;
    /* a rule of the service that a route led to speaks of that service's view */
    const struct service *from = rule == &x->service->conf->rules ? x->service : x->front;
    x->mirror = worker_service(w, from, rule->mirror);
    if (x->mirror)
        service_ref(x->mirror);
}

static void on_timer(struct timer *t)
{
    struct mirror *m = CONTAINER_OF(t, struct mirror, timer);
    failed(m, SIGNAL_REQ_TIMEOUT);
}

static void on_resume(struct task *t)
{
    mirror_run(CONTAINER_OF(t, struct mirror, resume));
}

static void deadline(struct mirror *m, uint64_t ns)
{
    loop_timer_set(m->worker->loop, &m->timer, loop_now(m->worker->loop) + ns);
}

static void on_event(struct upstream *u)
{
    mirror_run(u->context);
}

static bool start(struct mirror *m)
{
    int error = 0;
    m->up = upstream_get(m->target, NULL, false, true, &error);
    if (!m->up)
        return false;
    m->up->on_event = on_event;
    m->up->context = m;
    deadline(m, m->service->conf->timeouts.connect);
    return true;
}

/* A copy with its place in the pool; NULL when there is no room, instance or memory. */
static struct mirror *copy(const struct exchange *x)
{
    struct worker *w = x->client->worker;
    struct service *s = x->mirror;
    struct mirror *m = w->n_mirrors < MIRRORS_MAX ? mem_zero(1, sizeof *m) : NULL;
    if (!m)
        return NULL;
    const struct tried none = {0};
    int member =
        buf_add(&m->request, x->request.p, x->request.n) ? service_pick(s, &none, x->key) : -1;
    if (member < 0) {
        buf_free(&m->request);
        mem_free(m);
        return NULL;
    }
    m->worker = w;
    m->service = s;
    m->member = (uint32_t)member;
    m->target = s->targets[member];
    m->method = x->method;
    m->since = loop_now(w->loop);
    return m;
}

void mirror_send(struct exchange *x)
{
    struct worker *w = x->client->worker;
    struct mirror *m = x->streamed ? NULL : copy(x);
    struct service_row *row = x->mirror->row;
    if (!m) {
        cell_add(&row->mirrors_lost, 1);
    } else {
        service_ref(m->service);
        m->target->refs++;
        timer_init(&m->timer, on_timer);
        task_init(&m->resume, on_resume);
        list_push_back(&w->mirrors, &m->link);
        w->n_mirrors++;
        cell_add(&m->target->row->inflight, 1);
        cell_add(&m->target->row->requests, 1);
        cell_add(&row->mirrored, 1);
        if (start(m))
            mirror_run(m);
        else
            end(m, OUTCOME_ABANDONED);
    }
    service_unref(x->mirror); /* one copy a request, whatever becomes of its attempts */
    x->mirror = NULL;
}

/* --- running --- */

static bool send_request(struct mirror *m)
{
    struct stream *s = &m->up->s;
    struct str rest = {m->request.p + m->sent, m->request.n - m->sent};
    if (rest.n && s->writable) {
        m->sent += stream_send(s, rest, (struct str){0});
        deadline(m, m->sent < m->request.n ? m->service->conf->timeouts.idle
                                           : m->service->conf->timeouts.first_byte);
    }
    return m->sent == m->request.n;
}

static void judge_answer(struct mirror *m, uint16_t status)
{
    uint64_t us = (loop_now(m->worker->loop) - m->since) / NS_PER_US;
    cell_add(&m->service->row->status[status / 100 % 6], 1);
    if (speaks_of_failure(status))
        target_signal(m->target, SIGNAL_REQ_5XX, status);
    else
        target_ok(m->target, us);
}

/* False: more bytes are needed, or it is over. */
static bool read_head(struct mirror *m)
{
    struct worker *w = m->worker;
    struct str bytes = stream_bytes(&m->up->s);
    struct http_limits limits = {BLOCK_SIZE, HTTP_MAX_FIELDS};
    const struct http_refusal *why;
    if (bytes.n <= m->seen)
        return false;
    int r = http_parse_response(bytes.p, bytes.n, m->seen, (enum http_method)m->method, &limits,
                                &w->head, &why);
    m->seen = r == HTTP_MORE ? (uint32_t)bytes.n : 0;
    if (r == HTTP_REFUSED || (r == HTTP_DONE && w->head.status == 101))
        failed(m, SIGNAL_REQ_RESET);
    if (r != HTTP_DONE || m->over)
        return false;
    stream_consume(&m->up->s, w, w->head.bytes);
    if (w->head.status < 200)
        return true;
    m->head_done = true;
    judge_answer(m, w->head.status);
    body_init(&m->answer, &w->head);
    return true;
}

/* Reads over the body. False: more bytes are needed, or it is over. */
static bool read_body(struct mirror *m)
{
    struct stream *s = &m->up->s;
    if (m->answer.done) {
        end(m, OUTCOME_OK);
        return false;
    }
    if (!stream_bytes(s).n)
        return false;
    if (!body_check(&m->answer, stream_bytes(s))) {
        failed(m, SIGNAL_REQ_RESET);
        return false;
    }
    stream_consume(s, m->worker, m->answer.run);
    m->answer.run = 0;
    return true;
}

static void read_answer(struct mirror *m)
{
    struct stream *s = &m->up->s;
    for (int i = 0; i < MIRROR_READS; i++) {
        bool more = m->head_done ? read_body(m) : read_head(m);
        if (m->over)
            return;
        if (more)
            continue;
        size_t before = stream_bytes(s).n;
        if (!stream_compact(s)) {
            failed(m, SIGNAL_REQ_RESET);
            return;
        }
        stream_fill(s, m->worker);
        if (stream_bytes(s).n == before)
            break;
        deadline(m, m->service->conf->timeouts.idle);
    }
    if (m->head_done && m->answer.framing == HTTP_BODY_CLOSE && s->eof)
        end(m, OUTCOME_OK);
    else if (s->eof || s->broken)
        failed(m, SIGNAL_REQ_RESET);
    else if (s->readable)
        loop_defer(m->worker->loop, &m->resume); /* the others first */
}

static void mirror_run(struct mirror *m)
{
    struct upstream *u = m->up;
    if (!u->connected) {
        if (u->s.broken)
            failed(m, SIGNAL_REQ_REFUSED);
        return;
    }
    if (send_request(m))
        read_answer(m);
    else if (u->s.broken)
        failed(m, SIGNAL_REQ_RESET);
}
