/* begin: from a parsed head to the first attempt.
 *
 * The service that listens looks for a route; the route leads to another service's instances, to
 * its own, or to an answer from here. Then the head is rewritten once, for all attempts. The front
 * is whom the client speaks to: its limits, pages and log count. The service is who answers: its
 * instances, time limits and retries count. Most often they are one. */
#include "proxy/internal.h"

static struct exchange *begin(struct client *c, struct service *front)
{
    cell_add(&front->row->requests, 1);
    struct exchange *x = exchange_new(c->worker);
    if (!x)
        return NULL;
    x->client = c;
    x->front = x->service = front;
    service_ref(front);
    service_ref(front);
    c->x = x;
    x->started_at = x->active_at = loop_now(c->worker->loop);
    return x;
}

/* --- the way --- */

static void lead_to(struct exchange *x, struct service *s)
{
    if (s == x->service)
        return;
    service_ref(s);
    service_unref(x->service);
    x->service = s;
    cell_add(&s->row->requests, 1);
}

/* The narrowest rule counts where only one can. */
static void add_rules(struct exchange *x, struct rules *r)
{
    CHECK(x->n_rules < ARRAY_LEN(x->rules));
    x->rules[x->n_rules++] = r;
    if (r->conf->hedge_after || r->conf->hedge_permille)
        x->hedge = r;
}

/* It has, or may be given, instances of its own. */
static bool serves_itself(const struct view_service *s)
{
    return s->n_instances || s->n_sources || s->dynamic;
}

/* 0, or the status to refuse with. */
static uint16_t find_way(struct exchange *x, const struct route_request *q, struct str *rest,
                         const char **text)
{
    struct service *front = x->front;
    struct worker *w = x->client->worker;
    const struct view_route *route = route_find(front->conf, q, rest);
    add_rules(x, &front->rules);
    if (!route) {
        *text = "No route of this service takes the request.";
        return front->conf->n_routes && !serves_itself(front->conf) ? 404 : 0;
    }
    x->route = (uint32_t)(route - front->conf->routes) + 1;
    add_rules(x, &front->route_rules[x->route - 1]);
    int index = route_target(route, prng_next(&w->prng));
    struct service *to = index < 0 ? front : worker_service(w, front, (uint32_t)index);
    if (!to) {
        *text = "The service that this route leads to is gone.";
        return 503;
    }
    if (to != front) {
        lead_to(x, to);
        add_rules(x, &to->rules);
    }
    return 0;
}

/* --- the head --- */

/* What the rules do to the answer, whoever gives it. False: memory is out. */
static bool fill_response(struct exchange *x, const struct route_values *v)
{
    for (uint32_t i = 0; i < x->n_rules; i++)
        if (!rules_response(x->rules[i], v, &x->arena, &x->edits[i]))
            return false;
    return true;
}

static bool fill_request(struct exchange *x, const struct route_values *v,
                         struct http_edits request[HTTP_EDIT_LISTS])
{
    for (uint32_t i = 0; i < x->n_rules; i++)
        if (!rules_request(x->rules[i], v, &x->arena, &request[i]))
            return false;
    return true;
}

static bool make_room(struct exchange *x, const struct http_head *h, const struct http_forward *f)
{
    uint32_t more = f->path.n > h->path.n ? (uint32_t)(f->path.n - h->path.n) : 0;
    more += f->traceparent.n ? (uint32_t)(sizeof "traceparent: \r\n" + f->traceparent.n) : 0;
    for (uint32_t i = 0; i < f->n_edits; i++)
        for (uint32_t k = 0; k < f->edits[i].n; k++)
            more += (uint32_t)(f->edits[i].list[k].name.n + f->edits[i].list[k].value.n + 4);
    return buf_reserve(&x->request, h->bytes + HEAD_SLACK + more);
}

/* 0, or the status to refuse with. */
static uint16_t rewrite_head(struct exchange *x, const struct http_head *h,
                             const struct route_values *v, const char **text)
{
    struct http_edits request[HTTP_EDIT_LISTS];
    struct buf path = {0};
    char traceparent[TRACEPARENT_BYTES];
    struct http_forward f = {.client_ip = str_of(x->client->ip),
                             .proto = STR("http"),
                             .via = STR("holdfast"),
                             .keep_upstream = true,
                             .edits = request,
                             .n_edits = x->n_rules};
    bool ok = fill_request(x, v, request);
    const struct view_route *route = exchange_route(x);
    if (route && route->rewrite.n) {
        route_rewrite(route, v->request, v->rest, &path);
        f.path = buf_str(&path);
    }
    trace_begin(x, h, &f, traceparent);
    ok = ok && !path.failed && make_room(x, h, &f);
    size_t n = ok ? http_write_request(h, &f, x->request.p, x->request.cap) : 0;
    buf_free(&path);
    *text = ok ? "The request head is too large to forward." : "Out of memory.";
    if (n == 0)
        return ok ? 431 : 503;
    x->request.n = n;
    x->head_bytes = (uint32_t)n;
    trace_find(x, f.traceparent);
    return 0;
}

static void read_facts(struct exchange *x, const struct http_head *h)
{
    const struct view_service *conf = x->service->conf;
    x->idempotent = http_method_idempotent((enum http_method)h->method);
    for (uint32_t i = 0; i < x->n_rules; i++)
        x->idempotent |= x->rules[i]->conf->idempotent;
    x->upgrade = h->upgrade;
    x->expect = h->expect_continue;
    x->body_limit = conf->limits.body_bytes;
    mirror_choose(x);
    bool small = h->framing != HTTP_BODY_LENGTH || h->length <= conf->retry.replay_max;
    x->replay = (x->idempotent || x->mirror) && small && conf->retry.replay_max > 0;
}

/* What any answer depends on. */
static void read_message(struct exchange *x, const struct http_head *h)
{
    x->method = h->method;
    x->client_minor = h->minor;
    x->head_request = h->method == HTTP_HEAD;
    x->client->keep = h->keep_alive;
    body_init(&x->body, h);
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
    uint64_t limit = x->service->conf->limits.body_bytes;
    if (h->method == HTTP_CONNECT || h->method == HTTP_TRACE) {
        *text = "This method is not served here.";
        return 501;
    }
    if (h->method == HTTP_OPTIONS && h->max_forwards == 0) {
        *text = "A reverse proxy: holdfast.";
        return 200;
    }
    if (limit && h->framing == HTTP_BODY_LENGTH && h->length > limit) {
        *text = "The request body is larger than allowed here.";
        return 413;
    }
    return 0;
}

/* --- answers from here --- */

static void consume_head(struct exchange *x, const struct http_head *h)
{
    stream_consume(&x->client->s, x->client->worker, h->bytes);
}

/* The route has the answer: a redirect or a page. */
static void respond(struct exchange *x, const struct http_head *h, const struct view_route *r,
                    const struct route_values *v)
{
    struct http_edit location = {HTTP_EDIT_SET, STR("Location"), STR("")};
    struct buf to = {0};
    if (r->action == ROUTE_REDIRECT) {
        route_expand(r->location, v, &to);
        location.value = to.n ? str_trim(buf_str(&to)) : STR("");
    }
    x->cause = "route";
    consume_head(x, h);
    const struct http_edits extra = {&location, r->action == ROUTE_REDIRECT};
    if (to.failed)
        exchange_fail(x, 503, "Out of memory.");
    else if (extra.n && http_edit_wrong(&location))
        exchange_fail(x, 400, "The request's address cannot be redirected.");
    else
        exchange_answer(x, r->status, r->type, r->body, &extra);
    buf_free(&to);
}

static void refuse(struct exchange *x, const struct http_head *h, uint16_t status, const char *text)
{
    x->client->keep = x->client->keep && status == 404; /* an answer like any other */
    consume_head(x, h);
    exchange_fail(x, status, text);
}

static void too_often(struct exchange *x, const struct http_head *h, const struct throttle *t)
{
    cell_add(&x->front->row->rate_limited, 1);
    x->cause = "rate";
    consume_head(x, h);
    exchange_refuse(x, 429, "Too many requests: try again later.", &t->extra);
}

/* --- beginning --- */

static void request_id(struct worker *w, char to[33])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 2; i++) {
        uint64_t bits = prng_next(&w->prng);
        for (int k = 0; k < 16; k++, bits >>= 4)
            to[i * 16 + k] = digits[bits & 15];
    }
    to[32] = 0;
}

static bool fills_in(const struct service *s)
{
    return s->rules.expand_request || s->rules.expand_response;
}

/* All is ready: to the service, if that takes requests. */
static void enter(struct exchange *x)
{
    if (!circuit_pass(x))
        return;
    budget_request(&x->service->budget, x->started_at);
    exchange_attempt(x);
}

/* A head that was refused, or answered from here, or the beginning of the first attempt. */
static void take(struct exchange *x, const struct http_head *h)
{
    struct worker *w = x->client->worker;
    struct route_request q = {.head = h};
    struct route_values v = {.request = &q, .client = str_of(x->client->ip)};
    const char *text = NULL;
    char id[33] = "";
    bool look = x->front->conf->n_routes || fills_in(x->front);
    if (look) {
        route_look(h, w->out, &q);
        request_id(w, id);
        v.request_id = str_of(id);
    }
    uint16_t status = find_way(x, &q, &v.rest, &text);
    exchange_keep_facts(x, h);
    v.service = x->service->conf->name;
    const struct view_route *route = exchange_route(x);
    v.route = route ? route->name : STR("");
    if (!fill_response(x, &v)) {
        status = 503;
        text = "Out of memory.";
    }
    struct throttle t;
    if (!status && throttled(x, h, &t)) {
        too_often(x, h, &t);
        return;
    }
    if (!status)
        status = unwanted(x, h, &text);
    if (!status && route && route->action != ROUTE_FORWARD) {
        respond(x, h, route, &v);
        return;
    }
    read_facts(x, h);
    if (!status)
        status = rewrite_head(x, h, &v, &text);
    if (status) {
        refuse(x, h, status, text);
        return;
    }
    place(x, h);
    session_look(x, h);
    consume_head(x, h);
    enter(x);
}

void exchange_begin(struct client *c, struct service *front)
{
    struct exchange *x = begin(c, front);
    if (!x) {
        client_turn_away(c, 503, "Out of memory.");
        return;
    }
    read_message(x, &c->worker->head);
    take(x, &c->worker->head);
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
    struct exchange *x = begin(c, s);
    if (!x) {
        client_close(c);
        return;
    }
    c->state = CLIENT_EXCHANGE;
    x->relay = true;
    x->body.done = true;
    place(x, NULL);
    if (!announce(x)) {
        client_close(c);
        return;
    }
    enter(x);
}
