/* Heap sort of the pool's scratch. qsort may allocate; this does not, and takes the same time
 * whatever the order was. */
#include "balance/algorithm.h"

typedef bool before_fn(const struct pool *p, uint16_t a, uint16_t b);

static void swap(uint16_t *a, uint16_t *b)
{
    uint16_t was = *a;
    *a = *b;
    *b = was;
}

static void sift(const struct pool *p, uint32_t root, uint32_t n, before_fn *before)
{
    uint16_t *o = p->order;
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && before(p, o[child], o[child + 1]))
            child++;
        if (!before(p, o[root], o[child]))
            return;
        swap(&o[root], &o[child]);
    }
}

void order_sort(struct pool *p, uint32_t n, before_fn *before)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift(p, i, n, before);
    for (uint32_t end = n; end-- > 1;) {
        swap(&p->order[0], &p->order[end]);
        sift(p, 0, end, before);
    }
}
