#include "cli/meant.h"

#include <limits.h>

enum { WORD_MAX = 31 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned meant_distance(struct str a, struct str b)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return UINT_MAX;
    for (unsigned i = 0; i <= a.n; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= b.n; j++)
        d[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned differs = a.p[i - 1] != b.p[j - 1];
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + differs);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.n][b.n];
}

struct meant meant_for(struct str word)
{
    /* One mistake for three letters: more than that is another word. */
    unsigned allowed = word.n < 3 ? 1 : (unsigned)(word.n + 2) / 3;
    return (struct meant){word, NULL, allowed + 1};
}

void meant_try(struct meant *s, const char *candidate)
{
    struct str c = str_of(candidate);
    unsigned distance = meant_distance(s->word, c);
    /* A beginning of at least two letters counts as close: "stat" means "status". */
    if (s->word.n >= 2 && s->word.n < c.n && str_starts(c, s->word))
        distance = 1;
    if (distance < s->distance) {
        s->distance = distance;
        s->best = candidate;
    }
}
