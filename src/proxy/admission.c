/* admission: how many requests are under way at a time, in a service and at an instance; the others
 * wait for their turn (balance/admit.h).
 *
 * A request takes a place in its service when it enters and keeps it until it ends, whatever
 * becomes of its attempts; each attempt takes one at its instance. Who finds none joins the queue
 * of its own worker, in a phase of its own (PHASE_QUEUE) with the time limit `wait`. Whoever gives
 * a place back wakes the next worker in turn, over its command descriptor; that one serves its
 * queue. Who waits for its session's instance lets the others pass (LOOK of them at most).
 *
 * What could be missed is looked at with every tick: a limit that a reload raised, an instance that
 * came back, a waiter for whose instance another worker was woken. */
#include "proxy/internal.h"

enum { LOOK = 16, SERVED_AT_ONCE = 64 };

static struct lane_queue *queue_of(const struct exchange *x)
{
    return &x->service->common->live->queues[x->client->worker->index];
}

static void show(const struct exchange *x)
{
    cell_set(&x->service->row->waiting, queue_of(x)->queue.n);
}

static void wake(struct worker *w, struct live *live)
{
    int next = gate_next(&live->gate);
    if (next == (int)w->index)
        loop_defer(w->loop, &w->admit);
    else if (next >= 0)
        proxy_wake(w->proxy, (uint32_t)next);
}

void admission_came_free(struct service *s)
{
    wake(s->worker, s->common->live);
}

/* --- places --- */

int admission_pick(struct exchange *x, bool waited)
{
    struct service *s = x->service;
    struct gate *gate = &s->common->live->gate;
    if (s->limited && !x->admitted) {
        if (!(waited ? limit_take(&gate->limit) : gate_take(gate)))
            return PICK_FULL;
        x->admitted = true;
    }
    int member = session_pick(x);
    return member == PICK_NOBODY ? service_pick(s, &x->tried, x->key) : member;
}

/* --- waiting --- */

static void refuse(struct exchange *x, cell *counter, const char *cause, const char *text)
{
    cell_add(counter, 1);
    x->cause = cause;
    circuit_tell(x, OUTCOME_ABANDONED); /* our limit's doing, not the service's */
    exchange_fail(x, 503, text);
}

void admission_wait(struct exchange *x)
{
    struct service *s = x->service;
    struct worker *w = x->client->worker;
    struct lane_queue *q = queue_of(x);
    uint64_t now = loop_now(w->loop);
    if (!x->wait_until)
        x->wait_until = now + s->conf->admit.wait;
    if (x->wait_until <= now) {
        refuse(x, &s->row->queue_late, "queue-late", "The service is busy.");
        return;
    }
    if (!queue_join(&q->queue, &x->waiter, s->conf->admit.queue, now, x->wait_until)) {
        refuse(x, &s->row->queue_full, "queue-full",
               "The service is busy, and no more requests may wait for it.");
        return;
    }
    if (q->queue.n == 1)
        list_push_back(&w->waiting, &q->link);
    cell_add(&s->row->waited, 1);
    show(x);
    exchange_set_phase(x, PHASE_QUEUE);
    loop_defer(w->loop, &w->admit); /* what came free meanwhile has woken nobody */
}

static void leave(struct exchange *x)
{
    struct lane_queue *q = queue_of(x);
    queue_leave(&q->queue, &x->waiter);
    show(x);
    if (q->queue.n == 0)
        list_remove(&q->link);
}

void admission_late(struct exchange *x)
{
    refuse(x, &x->service->row->queue_late, "queue-late",
           "The service is busy, and the request waited for as long as it may.");
}

void admission_end(struct exchange *x)
{
    struct live *live = x->service->common->live;
    bool waited = x->waiter.queued;
    if (waited)
        leave(x);
    if (x->admitted)
        limit_give(&live->gate.limit);
    /* who leaves unserved may have been woken for a place: the next one shall have it */
    if (x->admitted || waited)
        wake(x->client->worker, live);
    x->admitted = false;
}

/* --- serving --- */

/* One of the first in the queue goes on. False: none can. */
static bool serve_one(struct lane_queue *q)
{
    struct waiter *waiter = queue_first(&q->queue);
    for (int i = 0; waiter && i < LOOK; i++, waiter = queue_after(&q->queue, waiter)) {
        struct exchange *x = CONTAINER_OF(waiter, struct exchange, waiter);
        int member = admission_pick(x, true);
        if (member == PICK_FULL && !x->admitted)
            return false; /* none in the service, for nobody */
        if (member == PICK_FULL)
            continue;
        leave(x);
        exchange_attempt_at(x, member);
        client_run(x->client); /* unless closed, which it looks at */
        return true;
    }
    return false;
}

static void serve(struct worker *w, struct lane_queue *q)
{
    int n = 0;
    while (n < SERVED_AT_ONCE && serve_one(q))
        n++;
    if (n == SERVED_AT_ONCE)
        loop_defer(w->loop, &w->admit); /* the others first */
    else if (q->queue.n == 0 && !limit_full(&q->live->gate.limit))
        wake(w, q->live);
}

void admission_serve(struct worker *w)
{
    list_for_each_safe (it, &w->waiting)
        serve(w, LIST_ENTRY(it, struct lane_queue, link));
}
