#include "base/suggest.h"

#include <limits.h>

#include "base/check.h"

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

static char folded(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool differ(struct str a, size_t i, struct str b, size_t k)
{
    return folded(a.p[i]) != folded(b.p[k]);
}

unsigned suggest_distance(struct str a, struct str b)
{
    unsigned rows[3][SUGGEST_LONGEST + 1]; /* the row before the last, the last, the current */
    if (MAX(a.n, b.n) > SUGGEST_LONGEST)
        return UINT_MAX;
    for (unsigned k = 0; k <= b.n; k++)
        rows[0][k] = rows[1][k] = k;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *before = rows[(i - 1) % 3], *last = rows[i % 3], *row = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned k = 1; k <= b.n; k++) {
            unsigned replaced = last[k - 1] + differ(a, i - 1, b, k - 1);
            row[k] = least(last[k] + 1, row[k - 1] + 1, replaced);
            bool swapped =
                i > 1 && k > 1 && !differ(a, i - 1, b, k - 2) && !differ(a, i - 2, b, k - 1);
            if (swapped)
                row[k] = MIN(row[k], before[k - 2] + 1);
        }
    }
    return rows[(a.n + 1) % 3][b.n];
}

struct suggest suggest_for(struct str word)
{
    return (struct suggest){.word = word};
}

/* UINT_MAX: too far to be meant. */
static unsigned nearness(struct str word, struct str candidate)
{
    size_t shorter = MIN(word.n, candidate.n), longer = MAX(word.n, candidate.n);
    if (shorter < 2)
        return UINT_MAX; /* one letter is near to everything */
    if (str_starts(candidate, word) && shorter < longer)
        return 1;
    size_t near = MAX((shorter + 1) / 3, (size_t)1);
    if (longer - shorter > near)
        return UINT_MAX; /* each byte more is a mistake already */
    unsigned d = suggest_distance(word, candidate);
    return d <= near ? d : UINT_MAX;
}

void suggest_try(struct suggest *s, struct str candidate)
{
    unsigned d = nearness(s->word, candidate);
    unsigned at = s->n;
    while (at > 0 && s->distance[at - 1] > d)
        at--;
    if (d == UINT_MAX || at == SUGGEST_MAX)
        return;
    s->n = MIN(s->n + 1, (unsigned)SUGGEST_MAX);
    for (unsigned i = s->n - 1; i > at; i--) {
        s->name[i] = s->name[i - 1];
        s->distance[i] = s->distance[i - 1];
    }
    s->name[at] = candidate;
    s->distance[at] = d;
}
