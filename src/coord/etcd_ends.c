/* etcd_ends: which endpoint is in use (etcd.h tells the idea).
 *
 *   state    | leaves it when                           | to
 *   sure     | a failure; a ping is silent for LATE_NS; | hunting: all are asked
 *            | some machine has fallen silent           |
 *   sure     | a request waits for SLOW_NS              | doubting: the one in use is asked
 *   sure     | the near one, asked beside it, does well | sure of the near one
 *   doubting | it answers                               | sure
 *   doubting | it does not within DOUBT_NS              | hunting: it too is asked
 *   hunting  | the first that answers                   | sure of that one
 *
 * An answer is one to a linearizable range of a single key: a majority stood behind its member. An
 * endpoint that fails is asked again after a pause that grows to a second.
 *
 * A machine that falls silent may have had etcd's leader. What its followers are given meanwhile is
 * lost, but a read is answered once there is another leader: so all are asked, whichever is in use,
 * and a change waits for that answer instead of being lost. */
#include "coord/etcd.h"

#include <stdio.h>

#define PING_NS        (400 * NS_PER_MS) /* between the end of one and the next */
#define LATE_NS        (600 * NS_PER_MS) /* a ping that takes longer speaks against its endpoint */
#define SLOW_NS        (150 * NS_PER_MS) /* a request that takes longer does so */
#define DOUBT_NS       (250 * NS_PER_MS)
#define GIVE_UP_NS     (2 * NS_PER_S) /* a ping */
#define LOST_NS        (2 * NS_PER_S) /* not sure for so long: not reachable */
#define TICK_NS        (50 * NS_PER_MS)
#define QUICK_NS       (50 * NS_PER_MS)  /* the near one answers within this, and */
#define QUICK_TIMES    3                 /* so often in a row: it does well */
#define CONNECT_NS     (300 * NS_PER_MS) /* doubled by each time-out, up to: */
#define CONNECT_MAX_NS (3 * NS_PER_S)
#define PAUSE_NS       (20 * NS_PER_MS) /* doubled by each failure, up to: */
#define PAUSE_MAX_NS   NS_PER_S

static void on_ping(struct etcd_call *c);
static void ask(struct etcd_end *end);

uint64_t etcd_pause(struct etcd *t, uint32_t n)
{
    uint64_t most = MIN(PAUSE_NS << MIN(n, 10u), PAUSE_MAX_NS);
    return most / 2 + prng_below(&t->prng, most / 2 + 1);
}

/* --- questions --- */

static void ask_later(struct etcd_end *end, uint64_t pause)
{
    loop_timer_set(end->etcd->coord.loop, &end->again, clock_now() + pause);
}

static void on_again(struct timer *timer)
{
    ask(CONTAINER_OF(timer, struct etcd_end, again));
}

static bool put_question(struct etcd_end *end)
{
    struct etcd *t = end->etcd;
    struct etcd_call *c = &end->ping;
    end->logs_in = t->user && !t->token.n && !t->open;
    buf_clear(&c->request);
    c->secret = end->logs_in;
    if (end->logs_in)
        return etcd_ask_token(t->user, t->password ? t->password : "", &c->request);
    struct etcd_range r = {.prefix = str_of(t->prefix), .limit = 1, .keys_only = true, .one = true};
    return etcd_ask_range(&r, &c->request);
}

static void ask(struct etcd_end *end)
{
    struct etcd *t = end->etcd;
    struct etcd_call *c = &end->ping;
    if (etcd_call_runs(c))
        return;
    loop_timer_stop(t->coord.loop, &end->again);
    (void)etcd_http_refresh(t->http, NULL); /* what was read before is used on */
    bool ready = put_question(end);
    c->base = end->url;
    c->path = end->logs_in ? "/v3/auth/authenticate" : "/v3/kv/range";
    c->token = t->token.n && !end->logs_in ? t->token.p : NULL;
    c->connect_ns = end->connect_ns;
    c->limit_ns = GIVE_UP_NS;
    c->answer_max = ETCD_ANSWER_MAX;
    end->asked_at = clock_now();
    if (!ready || etcd_call_start(t->http, c, NULL))
        ask_later(end, etcd_pause(t, ++end->failures));
    etcd_attend(t);
}

static void ask_all(struct etcd *t)
{
    if (t->hunts)
        return;
    t->hunts = true;
    list_for_each (it, &t->ends) {
        struct etcd_end *end = LIST_ENTRY(it, struct etcd_end, link);
        end->failures = 0; /* what was before says nothing of now */
        ask(end);
    }
}

/* --- answers --- */

static void be_sure_of(struct etcd_end *end)
{
    struct etcd *t = end->etcd;
    list_for_each (it, &t->ends) {
        struct etcd_end *other = LIST_ENTRY(it, struct etcd_end, link);
        if (other == end)
            continue;
        other->quick = 0;
        etcd_call_stop(&other->ping);
        if (other->near)
            ask_later(other, PING_NS);
        else
            loop_timer_stop(t->coord.loop, &other->again);
    }
    t->in_use = end;
    t->sure = true;
    t->hunts = false;
    t->doubted_at = 0;
    coord_at(&t->coord, end->url);
    etcd_requests_go(t);
    etcd_watches_go(t);
}

static void answered(struct etcd_end *end)
{
    struct etcd *t = end->etcd;
    bool quick = clock_now() < end->asked_at + QUICK_NS;
    end->failures = 0;
    end->quick = quick ? end->quick + 1 : 0;
    end->connect_ns = CONNECT_NS;
    ask_later(end, PING_NS);
    coord_reached(&t->coord);
    if (!t->sure || (end != t->in_use && end->near && end->quick >= QUICK_TIMES))
        be_sure_of(end);
}

static void failed(struct etcd_end *end, const char *text)
{
    struct etcd *t = end->etcd;
    struct err why;
    err_set(&why, ERR_IO, "%.100s: %.140s", end->url, text);
    end->quick = 0;
    ask_later(end, etcd_pause(t, end->failures++));
    if (t->sure && end != t->in_use)
        return;
    if (t->sure)
        etcd_doubt(t, true);
    if (!t->coord.health.reachable || clock_now() >= t->doubted_at + LOST_NS)
        coord_lost(&t->coord, &why);
}

static void refused(struct etcd_end *end)
{
    struct etcd *t = end->etcd;
    struct etcd_refusal r;
    etcd_read_refusal(end->ping.status, buf_str(&end->ping.answer), &r);
    bool token = etcd_meaning_of(&r) == ETCD_TOKEN && t->user;
    if (end->logs_in && r.grpc == 9 && strstr(r.text, "authentication is not enabled")) {
        t->open = true;
        ask(end);
    } else if (token && !end->logs_in && (t->token.n || t->open) && !end->failures) {
        end->failures++;
        etcd_token_refused(t);
        ask(end);
    } else {
        if (token)
            etcd_token_refused(t);
        failed(end, r.text);
    }
}

static void on_ping(struct etcd_call *c)
{
    struct etcd_end *end = CONTAINER_OF(c, struct etcd_end, ping);
    struct etcd *t = end->etcd;
    struct etcd_scope scope = {str_of(t->prefix), 0};
    struct etcd_page page;
    struct err e = {0};
    if (c->status && c->status != 200) {
        refused(end);
        return;
    }
    if (!c->status) {
        if (c->why.code == -ERR_TIMEOUT && !c->sent)
            end->connect_ns = MIN(2 * end->connect_ns, CONNECT_MAX_NS);
        failed(end, c->why.text);
        return;
    }
    int bad = end->logs_in ? etcd_read_token(buf_str(&c->answer), &t->token, &e)
                           : etcd_read_range(buf_str(&c->answer), &scope, &page, &e);
    t->broken += bad == -ERR_PROTO;
    if (bad) {
        failed(end, e.text);
    } else if (end->logs_in) {
        ask(end);
    } else {
        coord_seen(&t->coord, page.header.revision);
        etcd_items_free(&page.items);
        answered(end);
    }
}

void etcd_token_refused(struct etcd *t)
{
    if (t->token.p)
        wipe(t->token.p, t->token.cap);
    buf_clear(&t->token);
    t->open = false;
}

/* --- doubts --- */

void etcd_doubt(struct etcd *t, bool hard)
{
    if (t->sure) {
        t->sure = false;
        t->doubted_at = clock_now();
        if (!hard && t->in_use)
            ask(t->in_use);
    }
    if (hard)
        ask_all(t);
    etcd_attend(t);
}

void etcd_doubt_end(struct etcd *t, uint64_t id, bool hard)
{
    if (!t->in_use || t->in_use->id == id)
        etcd_doubt(t, hard);
}

static void on_tick(struct timer *timer)
{
    struct etcd *t = CONTAINER_OF(timer, struct etcd, tick);
    uint64_t now = clock_now();
    bool any = false;
    bool late = etcd_requests_late(t, now - SLOW_NS, &any);
    if (t->sure && etcd_call_runs(&t->in_use->ping) && now > t->in_use->asked_at + LATE_NS)
        etcd_doubt(t, true);
    else if (t->sure && late)
        etcd_doubt(t, false);
    else if (!t->sure && !t->hunts && now > t->doubted_at + DOUBT_NS)
        ask_all(t);
    if (!t->sure && t->coord.health.reachable && now > t->doubted_at + LOST_NS) {
        struct err why;
        err_set(&why, ERR_TIMEOUT, "none of %u endpoints answers", (unsigned)t->n_ends);
        coord_lost(&t->coord, &why);
    }
    if (t->sure && any)
        etcd_requests_go(t); /* what could not be sent for want of memory */
    if (any || !t->sure || etcd_call_runs(&t->in_use->ping))
        etcd_attend(t);
}

void etcd_attend(struct etcd *t)
{
    if (!timer_is_set(&t->tick))
        loop_timer_set(t->coord.loop, &t->tick, clock_now() + TICK_NS);
}

void etcd_aim(struct etcd *t, struct etcd_call *c, const char *path)
{
    CHECK(t->sure && t->in_use);
    c->base = t->in_use->url;
    c->path = path;
    c->token = t->token.n ? t->token.p : NULL;
    c->connect_ns = t->in_use->connect_ns;
    c->answer_max = ETCD_ANSWER_MAX;
    etcd_attend(t);
}

/* --- the list --- */

static int check_url(const char *url, struct err *e)
{
    struct str s = str_of(url);
    size_t scheme = str_starts(s, STR("https://")) ? 8 : str_starts(s, STR("http://")) ? 7 : 0;
    bool bare = scheme && s.n > scheme && !memchr(s.p + scheme, '/', s.n - scheme);
    for (size_t i = 0; i < s.n; i++)
        bare = bare && s.p[i] > ' ' && s.p[i] < 0x7f && !strchr("?#@\\", s.p[i]);
    if (!bare || s.n >= ETCD_URL_MAX)
        return err_set(e, ERR_INVAL,
                       "'%.80s' is no endpoint of etcd; write it like https://10.0.0.1:2379", url);
    return 0;
}

static struct etcd_end *find(const struct list *ends, const char *url)
{
    list_for_each (it, ends) {
        struct etcd_end *end = LIST_ENTRY(it, struct etcd_end, link);
        if (strcmp(end->url, url) == 0)
            return end;
    }
    return NULL;
}

static struct etcd_end *end_new(struct etcd *t, const char *url)
{
    struct etcd_end *end = mem_zero(1, sizeof *end);
    if (!end)
        return NULL;
    end->etcd = t;
    end->id = ++t->ids;
    end->connect_ns = CONNECT_NS;
    snprintf(end->url, sizeof end->url, "%s", url);
    etcd_call_init(&end->ping, on_ping);
    timer_init(&end->again, on_again);
    return end;
}

static void end_free(struct etcd_end *end)
{
    etcd_call_end(&end->ping);
    loop_timer_stop(end->etcd->coord.loop, &end->again);
    list_remove(&end->link);
    mem_free(end);
}

static void free_all(struct list *ends)
{
    while (!list_empty(ends))
        end_free(LIST_ENTRY(ends->next, struct etcd_end, link));
}

/* Makes those that are not there yet. */
static int make_new(struct etcd *t, const char *const *urls, uint32_t n, struct list *made,
                    struct err *e)
{
    if (n < 1 || n > ETCD_ENDS)
        return err_set(e, ERR_INVAL, "etcd has 1 to %d endpoints, not %u", ETCD_ENDS, (unsigned)n);
    for (uint32_t i = 0; i < n; i++) {
        int bad = check_url(urls[i], e);
        if (bad)
            return bad;
        if (find(&t->ends, urls[i]) || find(made, urls[i]))
            continue;
        struct etcd_end *end = end_new(t, urls[i]);
        if (!end)
            return err_set(e, ERR_NOMEM, "no memory for an endpoint");
        list_push_back(made, &end->link);
    }
    return 0;
}

static bool is_among(const struct etcd_end *end, const char *const *urls, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(end->url, urls[i]) == 0)
            return true;
    return false;
}

int etcd_ends_set(struct etcd *t, const char *const *urls, uint32_t n, struct err *e)
{
    struct list made = LIST_INIT(made);
    int bad = make_new(t, urls, n, &made, e);
    if (bad) {
        free_all(&made);
        return bad;
    }
    list_for_each_safe (it, &t->ends) {
        struct etcd_end *end = LIST_ENTRY(it, struct etcd_end, link);
        if (is_among(end, urls, n))
            continue;
        if (end == t->in_use) {
            t->in_use = NULL;
            t->doubted_at = t->sure ? clock_now() : t->doubted_at;
            t->sure = false;
        }
        end_free(end);
    }
    while (!list_empty(&made)) {
        struct list *first = made.next;
        list_remove(first);
        list_push_back(&t->ends, first);
    }
    t->n_ends = 0;
    list_for_each (it, &t->ends)
        t->n_ends++;
    return 0;
}

/* --- their machines --- */

static void set_near(struct etcd_end *end, bool near)
{
    struct etcd *t = end->etcd;
    if (near == end->near)
        return;
    end->near = near;
    end->quick = 0;
    if (!t->sure || end == t->in_use)
        return;
    if (near) {
        ask(end);
    } else {
        etcd_call_stop(&end->ping);
        loop_timer_stop(t->coord.loop, &end->again);
    }
}

void etcd_ends_machines(struct etcd *t, const char *near, const char *const *unheard, uint32_t n)
{
    bool another = false;
    list_for_each (it, &t->ends) {
        struct etcd_end *end = LIST_ENTRY(it, struct etcd_end, link);
        bool gone = is_among(end, unheard, n);
        another = another || (gone && !end->unheard);
        end->unheard = gone;
        set_near(end, near && strcmp(end->url, near) == 0);
    }
    if (another)
        etcd_doubt(t, true);
}

bool etcd_end_gone(const struct etcd *t, uint64_t id)
{
    if (t->in_use && t->in_use->id == id)
        return false;
    list_for_each (it, &t->ends) {
        const struct etcd_end *end = LIST_ENTRY(it, struct etcd_end, link);
        if (end->id == id)
            return end->unheard;
    }
    return false; /* it was taken away: nobody says that it is gone */
}

void etcd_ends_init(struct etcd *t)
{
    list_init(&t->ends);
    timer_init(&t->tick, on_tick);
    task_init(&t->strand, etcd_requests_strand);
}

void etcd_ends_start(struct etcd *t)
{
    if (t->sure)
        return;
    if (!t->doubted_at)
        t->doubted_at = clock_now();
    t->hunts = false;
    ask_all(t);
    etcd_attend(t);
}

void etcd_ends_free(struct etcd *t)
{
    free_all(&t->ends);
    loop_timer_stop(t->coord.loop, &t->tick);
    task_cancel(&t->strand);
}
