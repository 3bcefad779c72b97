#include "proxy/pressure.h"

#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/guard.h"
#include "proxy/internal.h"

enum rate_way { RATE_NONE, RATE_SENDS, RATE_READS };

enum { RATE_EVERY = 4 }; /* ticks */
#define GRACE_MOST          NS_PER_S
#define GRACE_LEAST         (50 * NS_PER_MS)
#define TELL_EVERY          (60 * NS_PER_S)
#define OVER_AFTER          (10 * NS_PER_S)
#define RATE_WINDOW         (10 * NS_PER_S)
#define RATE_WINDOW_PRESSED (2 * NS_PER_S) /* while there is no room for others */
#define RATE_PRESSED        100            /* bytes a second that are asked of all then */

void pressure_init(struct pressure *p)
{
    *p = (struct pressure){.grace = GRACE_MOST};
    list_init(&p->waiting);
    list_init(&p->idle);
}

/* --- what is told --- */

static const char *const over[SHORTAGES] = {
    [SHORT_CLIENTS] = "there is room for clients again",
    [SHORT_DESCRIPTORS] = "there are descriptors again",
    [SHORT_OF_SERVICE] = "no service has too many connections any more",
    [SHORT_OF_ADDRESS] = "no address has too many connections any more",
    [SHORT_RATE] = "no client is too slow any more",
};

static unsigned long long descriptor_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) ? 0 : limit.rlim_cur;
}

static void tell(struct worker *w, enum shortage kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct worker *w, enum shortage kind, const char *format, ...)
{
    struct alarm *a = &w->pressure.alarms[kind];
    uint64_t now = loop_now(w->loop);
    bool due = a->since == 0 || now - a->told >= TELL_EVERY;
    a->count++;
    a->last = now;
    if (a->since == 0)
        a->since = now;
    if (!due)
        return;
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    a->told = now;
    proxy_complain(w->proxy, "worker %u: %s (%llu so far)", w->index, text,
                   (unsigned long long)a->count);
}

static void tell_what_is_over(struct worker *w, uint64_t now)
{
    for (int i = 0; i < SHORTAGES; i++) {
        struct alarm *a = &w->pressure.alarms[i];
        if (a->since == 0 || now - a->last < OVER_AFTER)
            continue;
        proxy_complain(w->proxy, "worker %u: %s; it happened %llu times in %.1f s", w->index,
                       over[i], (unsigned long long)a->count, (double)(a->last - a->since) / 1e9);
        *a = (struct alarm){0};
    }
}

/* --- who waits --- */

void pressure_wait(struct client *c)
{
    struct pressure *p = &c->worker->pressure;
    c->waiting_since = loop_now(c->worker->loop);
    list_remove(&c->waiting);
    if (c->state == CLIENT_LINGER)
        list_push_front(&p->waiting, &c->waiting);
    else
        list_push_back(&p->waiting, &c->waiting);
}

void pressure_busy(struct client *c)
{
    list_remove(&c->waiting);
}

static struct client *who_may_go(const struct worker *w)
{
    const struct pressure *p = &w->pressure;
    if (list_empty(&p->waiting))
        return NULL;
    struct client *c = LIST_ENTRY(p->waiting.next, struct client, waiting);
    bool may = c->state == CLIENT_LINGER || loop_now(w->loop) - c->waiting_since >= p->grace;
    return may ? c : NULL;
}

/* An idle connection is closed as servers do; half a head gets no answer. */
static bool shed(struct worker *w)
{
    struct client *c = who_may_go(w);
    if (!c) {
        w->pressure.pressed = true;
        return false;
    }
    if (c->state != CLIENT_IDLE)
        net_set_reset_on_close(c->s.io.fd);
    cell_add(&w->row->shed, 1);
    client_close(c);
    return true;
}

bool pressure_has_room(const struct worker *w)
{
    return who_may_go(w) != NULL;
}

bool pressure_make_room(struct worker *w)
{
    tell(w, SHORT_CLIENTS,
         "all %u client connections that it may have are in use: those longest without a request "
         "are closed for new ones; raise LimitNOFILE (now %llu) for more",
         w->max_clients, descriptor_limit());
    return shed(w);
}

/* --- descriptors --- */

bool pressure_give_up(struct worker *w)
{
    struct pressure *p = &w->pressure;
    tell(w, SHORT_DESCRIPTORS,
         "no descriptor is left: pooled connections and idle clients are closed; raise LimitNOFILE "
         "(now %llu)",
         descriptor_limit());
    if (w->n_pipes) {
        w->n_pipes--;
        close(w->pipes[w->n_pipes][0]);
        close(w->pipes[w->n_pipes][1]);
        return true;
    }
    if (!list_empty(&p->idle)) {
        upstream_close(LIST_ENTRY(p->idle.next, struct upstream, age));
        return true;
    }
    return shed(w);
}

/* --- limits of connections --- */

/* Of all workers of this proxy, with the client that asks. */
static uint64_t connections_of(const struct worker *w, const struct service *s)
{
    const struct view_socket *sockets = s->shared->view->sockets;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->conf->n_sockets; i++)
        for (uint32_t k = 0; k < w->proxy_workers; k++) {
            uint32_t lane = cells_lane(&w->cells, w->cells.bank, k);
            uint32_t slot = sockets[s->conf->sockets[i]].slot;
            sum += cell_get(&cells_listener(&w->cells, lane, slot)->open);
        }
    return sum;
}

static bool within_service(struct client *c, const struct service *s)
{
    uint32_t most = s->conf->limits.connections;
    if (most == 0 || connections_of(c->worker, s) <= most)
        return true;
    tell(c->worker, SHORT_OF_SERVICE,
         "service " STR_FMT " has %u connections, as many as `limit { connections }` allows: more "
         "are reset",
         STR_ARG(s->conf->name), most);
    return false;
}

static bool within_address(struct client *c, const struct service *s)
{
    struct guard *g = proxy_guard(c->worker->proxy);
    uint32_t most = s->conf->limits.connections_per_address;
    size_t n = c->peer.kind == ADDR_IP6 ? 16 : c->peer.kind == ADDR_IP4 ? 4 : 0;
    if (most == 0 || n == 0)
        return true;
    c->counted = guard_key(g, s->conf->slot, c->peer.ip, n);
    if (guard_enter(g, c->counted) <= most)
        return true;
    tell(c->worker, SHORT_OF_ADDRESS,
         "service " STR_FMT ": %s has %u connections, as many as `limit { connections-per-address "
         "}` allows: more are reset",
         STR_ARG(s->conf->name), c->ip, most);
    return false;
}

bool pressure_admit(struct client *c)
{
    const struct service *s = c->listener->service;
    return within_service(c, s) && within_address(c, s);
}

void pressure_leave(struct client *c)
{
    list_remove(&c->waiting);
    if (c->counted)
        guard_leave(proxy_guard(c->worker->proxy), c->counted);
    c->counted = 0;
}

/* --- slow clients --- */

/* Does an exchange wait for its client, and for nobody else? */
static enum rate_way waits_for(const struct exchange *x)
{
    const struct client *c = x->client;
    const struct upstream *u = x->up;
    if (!u || x->relay || c->state != CLIENT_EXCHANGE)
        return RATE_NONE;
    if (x->phase == PHASE_RESPONSE && (c->pending.n || !c->s.writable))
        return RATE_READS;
    bool expects = x->expect && !x->continued;
    if (x->phase == PHASE_REQUEST && u->s.writable && !x->body.done && !c->s.readable && !expects)
        return RATE_SENDS;
    return RATE_NONE;
}

static int64_t progress(const struct exchange *x, enum rate_way way)
{
    int unread = 0;
    if (way == RATE_SENDS)
        return (int64_t)x->body_bytes;
    if (ioctl(x->client->s.io.fd, SIOCOUTQ, &unread))
        unread = 0;
    return (int64_t)x->bytes_out - unread;
}

static void cut(struct exchange *x, enum rate_way way, uint64_t least)
{
    struct client *c = x->client;
    struct worker *w = c->worker;
    cell_add(&w->row->cut_slow, 1);
    tell(w, SHORT_RATE, "service " STR_FMT ": %s %s less than %llu bytes a second (%s) and is cut",
         STR_ARG(x->service->conf->name), c->ip, way == RATE_SENDS ? "sends" : "reads",
         (unsigned long long)least,
         least > x->service->conf->limits.min_rate ? "there is no room for others"
                                                   : "`limit { min-rate }`");
    c->keep = false;
    x->cause = "min-rate";
    exchange_fail(x, 408, "The request body did not arrive in time.");
    if (!c->closed)
        client_run(c);
}

static void measure(struct exchange *x, uint64_t now, bool pressed)
{
    uint64_t window = pressed ? RATE_WINDOW_PRESSED : RATE_WINDOW;
    uint64_t least = MAX(x->service->conf->limits.min_rate, pressed ? RATE_PRESSED : 0);
    struct slowness *r = &x->slowness;
    enum rate_way way = least ? waits_for(x) : RATE_NONE;
    if (way == RATE_NONE) {
        r->since = 0;
        return;
    }
    int64_t bytes = progress(x, way);
    bool goes_on = r->since && r->way == way;
    if (goes_on && now - r->since < window)
        return;
    if (goes_on && bytes - r->mark < (int64_t)(least * ((now - r->since) / NS_PER_MS) / 1000)) {
        cut(x, way, least);
        return;
    }
    *r = (struct slowness){.way = (uint8_t)way, .since = now, .mark = bytes};
}

static void measure_all(struct worker *w, uint64_t now)
{
    bool pressed = w->pressure.grace < GRACE_MOST;
    list_for_each_safe (it, &w->clients) {
        struct client *c = LIST_ENTRY(it, struct client, link);
        if (c->x)
            measure(c->x, now, pressed);
    }
}

void pressure_tick(struct worker *w)
{
    struct pressure *p = &w->pressure;
    uint64_t now = loop_now(w->loop);
    /* Who waits in the kernel's queue while accepting rests asks no more. */
    bool full = w->accept_paused && w->n_clients >= w->max_clients && !who_may_go(w);
    p->grace = p->pressed || full ? MAX(p->grace / 2, GRACE_LEAST) : MIN(p->grace * 2, GRACE_MOST);
    p->pressed = false;
    if (++p->ticks % RATE_EVERY == 0)
        measure_all(w, now);
    tell_what_is_over(w, now);
}
