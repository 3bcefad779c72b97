#include "recover/lag.h"

#define MS 1000000 /* ns */

/* Of all but the first and the latest, the one whose absence leaves the smallest gap for its age.
 */
static uint32_t least_missed(const struct lag *l, uint64_t now)
{
    uint32_t best = 1;
    double least = 0;
    for (uint32_t i = 1; i + 1 < l->n; i++) {
        uint64_t gap = l->marks[i + 1].at - l->marks[i - 1].at, age = now - l->marks[i].at;
        double cost = (double)gap / (double)MAX(age, (uint64_t)MS);
        if (i > 1 && cost >= least)
            continue;
        best = i;
        least = cost;
    }
    return best;
}

static void drop(struct lag *l, uint32_t i)
{
    memmove(&l->marks[i], &l->marks[i + 1], (--l->n - i) * sizeof l->marks[0]);
}

void lag_saw(struct lag *l, uint64_t position, uint64_t now)
{
    while (l->n && l->marks[l->n - 1].position > position)
        l->n--;
    if (l->n && l->marks[l->n - 1].position == position) {
        l->marks[l->n - 1].at = MAX(now, l->marks[l->n - 1].at);
        return;
    }
    if (l->n == LAG_MARKS)
        drop(l, least_missed(l, now));
    l->marks[l->n++] = (struct lag_mark){position, now};
}

bool lag_of(const struct lag *l, uint64_t position, uint64_t now, uint64_t *out)
{
    if (!l->n)
        return false;
    uint32_t i = l->n - 1;
    while (i > 0 && l->marks[i].position > position)
        i--;
    *out = now - MIN(now, l->marks[i].at);
    return true;
}

uint64_t lag_top(const struct lag *l)
{
    return l->n ? l->marks[l->n - 1].position : 0;
}
