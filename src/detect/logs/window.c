/* window: see rules.h. */
#include "detect/logs/rules.h"

uint32_t window_sum(struct window *w, uint64_t length, uint64_t now)
{
    uint64_t part = now / MAX(length / WINDOW_PARTS, 1);
    if (part <= w->part)
        return w->sum;
    uint64_t gone = MIN(part - w->part, WINDOW_PARTS);
    for (uint64_t i = 1; i <= gone; i++) {
        uint32_t *count = &w->counts[(w->part + i) % WINDOW_PARTS];
        w->sum -= *count;
        *count = 0;
    }
    w->part = part;
    return w->sum;
}

void window_add(struct window *w, uint64_t length, uint64_t now, uint32_t n)
{
    window_sum(w, length, now);
    n = MIN(n, UINT32_MAX - w->sum);
    w->counts[w->part % WINDOW_PARTS] += n;
    w->sum += n;
}
