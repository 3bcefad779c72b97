#include "queue.h"

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void queue_put(struct queue *q, struct event e)
{
    if (q->n == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 256;
        q->v = sim_resize(q->v, q->cap * sizeof *q->v);
    }
    e.order = q->order++;
    size_t i = q->n++;
    for (; i > 0 && before(&e, &q->v[(i - 1) / 2]); i = (i - 1) / 2)
        q->v[i] = q->v[(i - 1) / 2];
    q->v[i] = e;
}

bool queue_take(struct queue *q, uint64_t until, struct event *out)
{
    if (!q->n || q->v[0].at > until)
        return false;
    *out = q->v[0];
    struct event last = q->v[--q->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->n; i = child) {
        if (child + 1 < q->n && before(&q->v[child + 1], &q->v[child]))
            child++;
        if (!before(&q->v[child], &last))
            break;
        q->v[i] = q->v[child];
    }
    q->v[i] = last;
    return true;
}

void queue_free(struct queue *q)
{
    mem_free(q->v);
    *q = (struct queue){0};
}
