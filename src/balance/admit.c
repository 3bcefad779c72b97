#include "balance/admit.h"

#include "base/base.h"

void limit_set(struct limit *l, uint32_t most, uint32_t share_permille)
{
    uint64_t share = (uint64_t)most * MIN(MAX(share_permille, 1), 1000) / 1000;
    atomic_store(&l->most, most ? (uint32_t)MAX(share, 1) : 0);
}

bool limit_take(struct limit *l)
{
    uint32_t most = atomic_load(&l->most);
    uint32_t used = atomic_load(&l->used);
    do {
        if (most > 0 && used >= most)
            return false;
    } while (!atomic_compare_exchange_weak(&l->used, &used, used + 1));
    return true;
}

void limit_give(struct limit *l)
{
    uint32_t used = atomic_fetch_sub(&l->used, 1);
    CHECK(used > 0);
}

bool gate_take(struct gate *g)
{
    return atomic_load(&g->waiting) == 0 && limit_take(&g->limit);
}

/* Two that wake at once take different turns, unless one worker waits alone. */
int gate_next(struct gate *g)
{
    uint64_t waiting = atomic_load(&g->waiting);
    if (waiting == 0)
        return -1;
    uint32_t turn = atomic_load(&g->turn), next;
    do {
        uint64_t later = turn + 1 < GATE_WORKERS_MAX ? waiting >> (turn + 1) << (turn + 1) : 0;
        next = (uint32_t)__builtin_ctzll(later ? later : waiting);
    } while (!atomic_compare_exchange_weak(&g->turn, &turn, next));
    return (int)next;
}

void queue_init(struct queue *q, struct gate *g, uint32_t worker)
{
    CHECK(worker < GATE_WORKERS_MAX);
    *q = (struct queue){.gate = g, .worker = worker};
    list_init(&q->waiters);
}

static struct waiter *waiter_of(struct queue *q, struct list *link)
{
    return link == &q->waiters ? NULL : LIST_ENTRY(link, struct waiter, link);
}

static bool count_one(struct gate *g, uint32_t most)
{
    uint32_t queued = atomic_load(&g->queued);
    do {
        if (queued >= most)
            return false;
    } while (!atomic_compare_exchange_weak(&g->queued, &queued, queued + 1));
    return true;
}

bool queue_join(struct queue *q, struct waiter *w, uint32_t most, uint64_t now, uint64_t deadline)
{
    CHECK(!w->queued);
    if (!count_one(q->gate, most))
        return false;
    *w = (struct waiter){.deadline = deadline, .since = now, .queued = true};
    struct list *before = &q->waiters;
    while (before->prev != &q->waiters && waiter_of(q, before->prev)->deadline > deadline)
        before = before->prev;
    list_insert(&w->link, before);
    if (q->n++ == 0)
        atomic_fetch_or(&q->gate->waiting, UINT64_C(1) << q->worker);
    return true;
}

void queue_leave(struct queue *q, struct waiter *w)
{
    if (!w->queued)
        return;
    w->queued = false;
    list_remove(&w->link);
    atomic_fetch_sub(&q->gate->queued, 1);
    if (--q->n == 0)
        atomic_fetch_and(&q->gate->waiting, ~(UINT64_C(1) << q->worker));
}

struct waiter *queue_first(struct queue *q)
{
    return waiter_of(q, q->waiters.next);
}

struct waiter *queue_after(struct queue *q, struct waiter *w)
{
    return waiter_of(q, w->link.next);
}

struct waiter *queue_expired(struct queue *q, uint64_t now)
{
    struct waiter *w = queue_first(q);
    return w && w->deadline <= now ? w : NULL;
}

uint64_t queue_deadline(const struct queue *q)
{
    if (list_empty(&q->waiters))
        return UINT64_MAX;
    return LIST_ENTRY(q->waiters.next, struct waiter, link)->deadline;
}
