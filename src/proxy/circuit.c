/* circuit: a service most of whose requests fail is left alone for a while (balance/breaker.h), and
 * its clients are answered 503 at once, with the time after which to come again.
 *
 * Failed is what a client saw fail, after all retries: an answer of 500 or above (but 501 and 505,
 * which speak of the request), or none. What a client did itself (left, or sent nonsense) and what
 * our own limits refused says nothing. */
#include <inttypes.h>
#include <stdio.h>

#include "proxy/internal.h"

enum { PROBES = 3 };

static struct breaker_params params_of(const struct service *s)
{
    const struct view_breaker *b = &s->conf->breaker;
    return (struct breaker_params){.failure_permille = b->failed_permille,
                                   .requests = b->least,
                                   .window = b->window,
                                   .open_for = b->rest,
                                   .probes = PROBES};
}

static bool has_breaker(const struct service *s)
{
    return s->conf->breaker.failed_permille > 0;
}

static void changed(struct service *s)
{
    enum breaker_state now = breaker_state(&s->common->live->breaker);
    cell_set(&s->row->breaker, now);
    if (now == BREAKER_OPEN)
        cell_add(&s->row->breaker_opened, 1);
    proxy_complain(s->worker->proxy, "service " STR_FMT ": its breaker is %s",
                   STR_ARG(s->conf->name), breaker_state_name(now));
}

void circuit_tick(struct service *s)
{
    uint64_t now = has_breaker(s) ? breaker_state(&s->common->live->breaker) : BREAKER_CLOSED;
    if (cell_get(&s->row->breaker) != now)
        cell_set(&s->row->breaker, now);
}

static void stopped(struct exchange *x, uint64_t wait)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%" PRIu64, MAX(wait / NS_PER_S + (wait % NS_PER_S > 0), 1));
    const struct http_edit later = {HTTP_EDIT_SET, STR("Retry-After"), str_of(seconds)};
    const struct http_edits extra = {&later, 1};
    cell_add(&x->service->row->broken, 1);
    x->cause = "breaker";
    exchange_refuse(x, 503, "This service fails and is given rest: try again later.", &extra);
}

bool circuit_pass(struct exchange *x)
{
    struct service *s = x->service;
    if (!has_breaker(s))
        return true;
    bool news = false;
    uint64_t now = loop_now(s->worker->loop);
    struct breaker_params p = params_of(s);
    x->ticket = breaker_ask(&s->common->live->breaker, &p, now, &news);
    if (news)
        changed(s);
    if (x->ticket.stopped) {
        stopped(x, breaker_wait(&s->common->live->breaker, now));
        return false;
    }
    x->ticket_open = true;
    return true;
}

void circuit_tell(struct exchange *x, enum outcome outcome)
{
    struct service *s = x->service;
    if (!x->ticket_open)
        return;
    x->ticket_open = false;
    struct breaker_params p = params_of(s);
    if (breaker_tell(&s->common->live->breaker, &p, x->ticket, outcome, loop_now(s->worker->loop)))
        changed(s);
}

void circuit_end(struct exchange *x)
{
    circuit_tell(x, x->failed ? OUTCOME_FAILED : OUTCOME_ABANDONED);
}
