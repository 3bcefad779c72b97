/* exchange_log: what the end of a request is told: a line of its service's access log, and, when it
 * was slow, a sentence in the daemon's own log.
 *
 * Of a share of the requests every n-th has its line: a service's thousandths are added up, and
 * each whole one is a line. Who failed (5xx, cut) or was slow has one in any case. Sentences about
 * slow requests are bounded to a few a second and worker; those left out are counted and told of
 * afterwards. */
#include "proxy/internal.h"

#include <stdio.h>

enum { SLOW_A_SECOND = 10 };

bool service_open_log(struct service *s)
{
    const struct view_log *conf = &s->conf->log;
    struct str text = conf->format.n ? conf->format : STR("plain");
    s->log_share = 0;
    if (!s->log && !conf->slow)
        return true;
    if (!s->format)
        s->format = mem_zero(1, sizeof *s->format);
    if (!s->format)
        return false;
    int rc = log_format_compile(text, s->format, NULL);
    CHECK(rc == 0); /* the view was verified */
    s->format->request |= conf->slow > 0;
    return true;
}

/* Whose log it is: the service that answers has the first word, then the one that listens. */
static struct service *teller(const struct exchange *x)
{
    bool own = x->service->log || (x->service->format && !x->front->log);
    return own ? x->service : x->front;
}

void exchange_keep_facts(struct exchange *x, const struct http_head *h)
{
    if (teller(x)->format)
        log_facts(&x->facts, teller(x)->format, h);
}

/* --- the record --- */

static uint64_t between(uint64_t from, uint64_t to)
{
    return from && to >= from ? (to - from) / NS_PER_US : LOG_UNKNOWN;
}

static void put_times(const struct exchange *x, struct log_record *r)
{
    uint64_t now = loop_now(x->client->worker->loop);
    uint64_t connected = x->phase_at[PHASE_REQUEST], answered = x->phase_at[PHASE_RESPONSE];
    r->connect = connected ? between(x->attempt_at, connected) : LOG_UNKNOWN;
    r->wait = answered ? between(connected, answered) : LOG_UNKNOWN;
    r->first_byte = answered ? between(x->started_at, answered) : LOG_UNKNOWN;
    r->transfer = between(answered, now);
    if (x->relay)
        r->transfer = between(x->reached_at, now);
}

static struct log_record record_of(const struct client *c)
{
    return (struct log_record){
        .client = str_of(c->ip),
        .client_port = c->peer.port,
        .service = c->listener->service->conf->name,
        .wall_ns = clock_wall(),
        .duration = 0,
        .connect = LOG_UNKNOWN,
        .wait = LOG_UNKNOWN,
        .first_byte = LOG_UNKNOWN,
        .transfer = LOG_UNKNOWN,
    };
}

static void write_line(struct client *c, const struct service *s, struct log_record *r)
{
    char line[LOG_LINE_MAX], listener[ADDR_TEXT_MAX];
    r->listener = (struct str){listener, addr_format(&c->listener->addr, listener)};
    log_write(c->worker->log, s->log, (struct str){line, log_render(s->format, r, line)});
}

/* --- slow ones --- */

static bool slow_may_be_told(struct worker *w)
{
    uint64_t second = loop_now(w->loop) / NS_PER_S;
    if (second != w->slow_second) {
        if (w->slow_untold)
            proxy_complain(w->proxy, "%u more slow requests were not told of", w->slow_untold);
        w->slow_second = second;
        w->slow_told = w->slow_untold = 0;
    }
    if (w->slow_told < SLOW_A_SECOND) {
        w->slow_told++;
        return true;
    }
    w->slow_untold++;
    return false;
}

static void tell_slow(const struct exchange *x, const struct log_record *r)
{
    static const char sentence[] =
        "slow request: {method} {path} of service {service} took {duration} us (connect {connect}, "
        "wait {wait}, transfer {transfer}; {attempts} attempts, the last at {instance}), status "
        "{status}";
    char line[LOG_LINE_MAX];
    struct log_format f;
    if (!slow_may_be_told(x->client->worker))
        return;
    int rc = log_format_compile(str_of(sentence), &f, NULL);
    CHECK(rc == 0);
    size_t n = log_render(&f, r, line);
    proxy_complain(x->client->worker->proxy, "%.*s", (int)n, line);
}

/* --- what is told --- */

static bool sampled(struct service *s)
{
    s->log_share += s->conf->log.sample_permille;
    if (s->log_share < 1000)
        return false;
    s->log_share -= 1000;
    return true;
}

void exchange_log(struct exchange *x, uint64_t us)
{
    struct service *s = teller(x);
    if (!s->format)
        return;
    const struct view_route *route = exchange_route(x);
    uint64_t limit = x->service->conf->log.slow ? x->service->conf->log.slow : s->conf->log.slow;
    bool lasting = x->relay || x->client->state == CLIENT_TUNNEL;
    bool slow = limit && !lasting && us >= limit / NS_PER_US;
    bool failed = x->status >= 500 || (x->status == 0 && !lasting);
    bool line = s->log && (sampled(s) || slow || failed);
    if (!line && !slow)
        return;
    struct log_record r = record_of(x->client);
    r.service = x->service->conf->name;
    r.route = route ? route->name : STR("");
    r.instance = x->target ? str_of(x->target->name) : STR("");
    r.cause = x->cause ? str_of(x->cause) : STR("");
    r.connection = x->relay ? STR("TCP") : STR("");
    r.status = x->status;
    r.attempts = x->attempts;
    r.bytes = x->bytes_out;
    r.bytes_in = x->body_bytes;
    r.duration = us;
    r.facts = buf_str(&x->facts);
    char id[TRACE_ID_BYTES];
    if (x->traced) {
        trace_context_id(&x->trace, id);
        r.trace_id = (struct str){id, sizeof id};
    }
    put_times(x, &r);
    if (line)
        write_line(x->client, s, &r);
    if (slow)
        tell_slow(x, &r);
}

void client_log_refusal(struct client *c, uint16_t status)
{
    struct service *s = c->listener->service;
    struct log_record r = record_of(c);
    if (!s->log || !sampled(s))
        return;
    r.status = status;
    r.cause = status == 503 ? STR("shortage") : STR("bad-request");
    write_line(c, s, &r);
}
