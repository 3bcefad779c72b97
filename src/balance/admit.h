/* admit: how much at once. Counters with limits that all workers share, and the queue of those who
 * wait for a place.
 *
 * A limit counts what is under way at one instance, or in one service. A service's gate adds to its
 * limit who waits: each worker keeps a queue of its own requests (they never change hands), and the
 * gate knows which workers have one. Nobody passes a worker that waits: a newcomer goes to the back
 * of its own worker's queue.
 *
 * Whoever gives a place back asks gate_next() which worker to wake. Workers that wait are taken in
 * turn, so that each gets places as often as the others, however long its queue is; within a worker
 * the one whose deadline is nearest goes first, which is who came first where all may wait for the
 * same time. A worker that is woken and finds no use for a place asks gate_next() again, so that
 * no place is lost.
 *
 * Why no wake-up is lost: who waits first says so (queue_join) and then tries once more; who gives
 * back first gives and then looks who waits. Whatever the order, one of the two sees the other
 * (all of these are sequentially consistent).
 *
 * Limits and gates: any thread, no locks. Queues: one thread each. */
#ifndef HF_ADMIT_H
#define HF_ADMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { GATE_WORKERS_MAX = 64 };

/* Zeroed: no limit, nothing under way. */
struct limit {
    _Atomic uint32_t used;
    _Atomic uint32_t most; /* 0: no limit */
    char apart[56];        /* from the next one's cache line */
};

/* From now on; what is under way stays, even where it is more. `share` (1..1000) is the seam for a
 * cluster: the part of the limit that is this node's; at least 1 of it. limit 0: none. */
void limit_set(struct limit *l, uint32_t most, uint32_t share_permille);
/* Takes a place; false: none is free. */
bool limit_take(struct limit *l);
/* Gives it back. Also where there was no limit when it was taken: everything is counted. */
void limit_give(struct limit *l);
static inline bool limit_full(const struct limit *l)
{
    uint32_t most = atomic_load(&l->most);
    return most > 0 && atomic_load(&l->used) >= most;
}
static inline uint32_t limit_used(const struct limit *l)
{
    return atomic_load_explicit(&l->used, memory_order_relaxed);
}

/* Zeroed: nobody waits. */
struct gate {
    struct limit limit;
    _Atomic uint64_t waiting; /* a bit for each worker with a queue */
    _Atomic uint32_t queued;  /* of all workers */
    _Atomic uint32_t turn;    /* the worker that was woken last */
};

/* A newcomer's try: false also where others wait before it. */
bool gate_take(struct gate *g);

/* The worker to wake because something came free: the next in turn of those that wait, or -1 if
 * none does. */
int gate_next(struct gate *g);

struct waiter {
    struct list link;
    uint64_t deadline; /* ns */
    uint64_t since;    /* ns, when it began to wait */
    bool queued;
};

/* Of one worker and gate. */
struct queue {
    struct gate *gate;
    struct list waiters; /* by deadline */
    uint32_t worker;     /* < GATE_WORKERS_MAX */
    uint32_t n;
};

void queue_init(struct queue *q, struct gate *g, uint32_t worker);
/* Joins the queue; false: `most` wait already, of all workers. Try queue_first once after it: what
 * came free in between would otherwise wake nobody. */
bool queue_join(struct queue *q, struct waiter *w, uint32_t most, uint64_t now, uint64_t deadline);
/* Leaves it, whether it got what it waited for or not. Not queued: harmless. */
void queue_leave(struct queue *q, struct waiter *w);
/* Who is next, or NULL. It stays until queue_leave. */
struct waiter *queue_first(struct queue *q);
/* The one behind it, or NULL. */
struct waiter *queue_after(struct queue *q, struct waiter *w);
/* The first whose deadline has come, or NULL. */
struct waiter *queue_expired(struct queue *q, uint64_t now);
/* UINT64_MAX: nobody waits. */
uint64_t queue_deadline(const struct queue *q);

#endif
