/* What all engines have in common: engine.h tells the rules.
 *
 * One timer serves all deadlines: requests are at most COORD_PENDING, so the next one is found by
 * looking at each. Watches that end lie in their list until the loop's turn is over, so that who
 * walks over the list may call back. */
#include "coord/engine.h"

#include <stdio.h>

#include "coord/store.h"

static void on_due(struct timer *t);

static void sweep(struct task *t)
{
    struct coord *c = CONTAINER_OF(t, struct coord, sweep);
    list_for_each_safe (it, &c->watches) {
        struct coord_watch *w = LIST_ENTRY(it, struct coord_watch, link);
        if (!w->gone)
            continue;
        list_remove(&w->link);
        mem_free(w);
    }
}

static void tell_health(struct task *t)
{
    struct coord *c = CONTAINER_OF(t, struct coord, tell_health);
    if (c->told_reachable == c->health.reachable)
        return;
    c->told_reachable = c->health.reachable;
    if (c->changed)
        c->changed(c->changed_context);
}

void coord_init(struct coord *c, const struct coord_engine *engine, struct loop *l)
{
    *c = (struct coord){.engine = engine, .loop = l};
    list_init(&c->requests);
    list_init(&c->watches);
    timer_init(&c->due, on_due);
    task_init(&c->sweep, sweep);
    task_init(&c->tell_health, tell_health);
    c->health.since = loop_now(l);
    snprintf(c->health.engine, sizeof c->health.engine, "%s", engine->name);
    snprintf(c->health.problem, sizeof c->health.problem, "no answer yet");
}

void coord_end(struct coord *c)
{
    loop_timer_stop(c->loop, &c->due);
    task_cancel(&c->sweep);
    task_cancel(&c->tell_health);
}

/* ---- Requests ---- */

static bool drop(struct coord_request *r)
{
    struct coord *c = r->coord;
    c->inside++;
    bool maybe = r->begun && c->engine->drop(c, r);
    c->inside--;
    return maybe;
}

static void forget(struct coord_request *r)
{
    list_remove(&r->link);
    r->coord->pending--;
    mem_free(r->ops);
    mem_free(r);
}

void coord_free(struct coord *c)
{
    if (!c)
        return;
    CHECK(!c->inside);
    while (!list_empty(&c->requests)) {
        struct coord_request *r = LIST_ENTRY(c->requests.next, struct coord_request, link);
        drop(r);
        forget(r);
    }
    list_for_each (it, &c->watches)
        coord_unwatch(LIST_ENTRY(it, struct coord_watch, link));
    sweep(&c->sweep);
    coord_end(c);
    c->engine->free(c);
}

/* Sets the timer to the next deadline or, when a question stays unanswered, to the end of
 * patience. */
static void plan(struct coord *c)
{
    uint64_t next = UINT64_MAX;
    list_for_each (it, &c->requests) {
        const struct coord_request *r = LIST_ENTRY(it, struct coord_request, link);
        next = MIN(next, r->deadline);
    }
    if (c->asked && c->health.reachable)
        next = MIN(next, c->asked + COORD_SILENCE);
    if (next == UINT64_MAX)
        loop_timer_stop(c->loop, &c->due);
    else
        loop_timer_set(c->loop, &c->due, MAX(next, 1));
}

static void expire(struct coord_request *r)
{
    bool maybe = drop(r);
    struct err why;
    if (!r->begun)
        err_set(&why, ERR_TIMEOUT, "its deadline had passed before it was asked");
    else
        err_set(&why, ERR_TIMEOUT, "no answer within %llu ms",
                (unsigned long long)((r->deadline - r->begun) / NS_PER_MS));
    coord_answer_why(r, maybe && !r->is_range ? COORD_UNKNOWN : COORD_FAILED, &why);
}

static struct coord_request *overdue(struct coord *c, uint64_t now, uint64_t last)
{
    list_for_each (it, &c->requests) {
        struct coord_request *r = LIST_ENTRY(it, struct coord_request, link);
        if (r->deadline <= now && r->ticket <= last)
            return r;
    }
    return NULL;
}

static void on_due(struct timer *t)
{
    struct coord *c = CONTAINER_OF(t, struct coord, due);
    uint64_t now = loop_now(c->loop);
    if (c->asked && c->health.reachable && now >= c->asked + COORD_SILENCE) {
        struct err why;
        err_set(&why, ERR_TIMEOUT, "no answer for %llu s",
                (unsigned long long)(COORD_SILENCE / NS_PER_S));
        coord_lost(c, &why);
    }
    /* What callbacks ask for now waits for the next turn, late or not. */
    uint64_t last = c->tickets;
    for (struct coord_request *r; (r = overdue(c, now, last));)
        expire(r);
    plan(c);
}

static struct str copy(char **at, struct str s)
{
    struct str to = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return to;
}

/* One block: the operations, then their keys and values. */
static struct coord_op *ops_copy(const struct coord_op *ops, uint32_t n)
{
    size_t bytes = n * sizeof *ops;
    for (uint32_t i = 0; i < n; i++)
        bytes += ops[i].key.n + (ops[i].act == COORD_PUT ? ops[i].value.n : 0);
    struct coord_op *to = mem_alloc(bytes);
    if (!to)
        return NULL;
    char *at = (char *)(to + n);
    for (uint32_t i = 0; i < n; i++) {
        to[i] = ops[i];
        to[i].key = copy(&at, ops[i].key);
        to[i].value = copy(&at, ops[i].act == COORD_PUT ? ops[i].value : STR(""));
    }
    return to;
}

static int request_new(struct coord *c, struct coord_request **out, struct str prefix,
                       uint64_t deadline, coord_done *done, void *context, struct err *e)
{
    if (c->pending >= COORD_PENDING)
        return err_set(e, ERR_BUSY, "%d requests to the coordinator are under way; try again later",
                       COORD_PENDING);
    struct coord_request *r = mem_alloc(sizeof *r + prefix.n);
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory for a request to the coordinator");
    *r = (struct coord_request){
        .coord = c, .deadline = deadline, .done = done, .context = context, .is_range = true};
    char *at = (char *)(r + 1);
    r->prefix = copy(&at, prefix);
    list_push_back(&c->requests, &r->link);
    c->pending++;
    *out = r;
    return 0;
}

/* Takes r over. */
static int begin(struct coord_request *r, uint64_t *ticket, struct err *e)
{
    struct coord *c = r->coord;
    uint64_t now = clock_now();
    int bad = 0;
    r->ticket = ++c->tickets;
    if (r->deadline > now) {
        r->begun = now;
        c->inside++;
        bad = c->engine->begin(c, r, e);
        c->inside--;
    }
    if (bad) {
        forget(r);
        return bad;
    }
    if (r->begun && !c->asked)
        c->asked = now;
    if (ticket)
        *ticket = r->ticket;
    plan(c);
    return 0;
}

int coord_cas(struct coord *c, const struct coord_op *ops, uint32_t n, uint64_t deadline,
              coord_done *done, void *context, uint64_t *ticket, struct err *e)
{
    struct coord_request *r = NULL;
    int bad = coord_check_ops(ops, n, e);
    bad = bad ? bad : request_new(c, &r, STR(""), deadline, done, context, e);
    if (bad)
        return bad;
    r->is_range = false;
    r->n = n;
    r->ops = ops_copy(ops, n);
    if (!r->ops) {
        forget(r);
        return err_set(e, ERR_NOMEM, "no memory for a request to the coordinator");
    }
    return begin(r, ticket, e);
}

int coord_range(struct coord *c, struct str prefix, uint64_t deadline, coord_done *done,
                void *context, uint64_t *ticket, struct err *e)
{
    struct coord_request *r = NULL;
    int bad = coord_check_prefix(prefix, e);
    bad = bad ? bad : request_new(c, &r, prefix, deadline, done, context, e);
    return bad ? bad : begin(r, ticket, e);
}

void coord_cancel(struct coord *c, uint64_t ticket)
{
    list_for_each_safe (it, &c->requests) {
        struct coord_request *r = LIST_ENTRY(it, struct coord_request, link);
        if (r->ticket != ticket)
            continue;
        drop(r);
        forget(r);
        if (!c->pending)
            c->asked = 0; /* nobody waits for an answer any more */
        plan(c);
        return;
    }
}

static void count(struct coord_health *h, const struct coord_request *r,
                  const struct coord_answer *a)
{
    switch (a->outcome) {
    case COORD_DONE: h->done++; break;
    case COORD_CONFLICT: h->conflicts++; break;
    case COORD_UNKNOWN: h->unknown++; break;
    case COORD_FAILED: h->failed++; break;
    }
    if (!r->is_range && r->begun && (a->outcome == COORD_DONE || a->outcome == COORD_CONFLICT))
        h->last_ns = clock_now() - r->begun;
}

void coord_answer(struct coord_request *r, const struct coord_answer *a)
{
    struct coord *c = r->coord;
    CHECK(!c->inside);
    CHECK((a->outcome == COORD_UNKNOWN || a->outcome == COORD_FAILED) == (a->why != NULL));
    CHECK(!(r->is_range && a->outcome == COORD_UNKNOWN));
    count(&c->health, r, a);
    coord_seen(c, a->revision);
    coord_done *done = r->done;
    void *context = r->context;
    forget(r);
    if (!a->why)
        coord_reached(c);
    plan(c);
    done(context, a);
}

void coord_answer_why(struct coord_request *r, enum coord_outcome outcome, const struct err *why)
{
    coord_answer(r, &(struct coord_answer){.outcome = outcome, .why = why});
}

/* ---- Watches ---- */

int coord_watch(struct coord *c, struct str prefix, const struct coord_watcher *watcher,
                struct coord_watch **out, struct err *e)
{
    int bad = coord_check_prefix(prefix, e);
    if (bad)
        return bad;
    if (c->watching >= COORD_WATCHES)
        return err_set(e, ERR_BUSY, "the coordinator is watched %d times already", COORD_WATCHES);
    struct coord_watch *w = mem_alloc(sizeof *w + prefix.n);
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory to watch the coordinator");
    *w = (struct coord_watch){.coord = c, .watcher = *watcher};
    char *at = (char *)(w + 1);
    w->prefix = copy(&at, prefix);
    list_push_back(&c->watches, &w->link);
    c->inside++;
    bad = c->engine->watch(c, w, e);
    c->inside--;
    if (bad) {
        list_remove(&w->link);
        mem_free(w);
        return bad;
    }
    c->watching++;
    *out = w;
    return 0;
}

void coord_unwatch(struct coord_watch *w)
{
    if (!w || w->gone)
        return;
    struct coord *c = w->coord;
    w->gone = true;
    c->watching--;
    c->inside++;
    c->engine->unwatch(c, w);
    c->inside--;
    loop_defer(c->loop, &c->sweep);
}

bool coord_tell(struct coord_watch *w, const struct coord_item *items, uint32_t n,
                uint64_t revision, bool whole)
{
    struct coord *c = w->coord;
    CHECK(!c->inside);
    if (w->gone)
        return true;
    if (whole ? w->whole && revision < w->revision : !w->whole || revision <= w->revision)
        return false;
    w->whole = true;
    w->revision = revision;
    c->health.watched += n;
    coord_seen(c, revision);
    if (n || whole)
        w->watcher.changes(w->watcher.context, items, n, revision, whole);
    return true;
}

/* ---- Health ---- */

void coord_seen(struct coord *c, uint64_t revision)
{
    c->health.revision = MAX(c->health.revision, revision);
}

static void reachable(struct coord *c, bool is)
{
    if (c->health.reachable != is) {
        c->health.reachable = is;
        c->health.since = loop_now(c->loop);
    }
    if (c->told_reachable != is)
        loop_defer(c->loop, &c->tell_health);
}

void coord_reached(struct coord *c)
{
    c->asked = 0;
    for (struct list *it = c->requests.next; it != &c->requests && !c->asked; it = it->next)
        c->asked = LIST_ENTRY(it, struct coord_request, link)->begun ? clock_now() : 0;
    c->health.problem[0] = 0;
    reachable(c, true);
}

void coord_lost(struct coord *c, const struct err *why)
{
    snprintf(c->health.problem, sizeof c->health.problem, "%s", why->text);
    reachable(c, false);
}

void coord_at(struct coord *c, const char *at)
{
    snprintf(c->health.at, sizeof c->health.at, "%s", at);
}

void coord_health(const struct coord *c, struct coord_health *out)
{
    *out = c->health;
}

void coord_on_health(struct coord *c, void (*changed)(void *context), void *context)
{
    c->changed = changed;
    c->changed_context = context;
}
