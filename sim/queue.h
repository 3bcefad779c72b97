/* queue: what will happen, in the order of virtual time; what was put in first comes first among
 * equals, so that a run is the same each time. A binary heap. */
#ifndef HF_SIM_QUEUE_H
#define HF_SIM_QUEUE_H

#include "sim.h"

struct event {
    uint64_t at, order;
    uint32_t kind, node;
    uint64_t tag;
    void *p;
};
struct queue {
    struct event *v;
    size_t n, cap;
    uint64_t order;
};

void queue_put(struct queue *q, struct event e);                     /* e.order is given here */
bool queue_take(struct queue *q, uint64_t until, struct event *out); /* the first, if due by then */
void queue_free(struct queue *q);

#endif
