/* Insertions, deletions, replacements and swaps of neighbours count one each (Damerau 1964, in the
 * optimal string alignment form: no substring is edited twice). Near is a third of the word, and
 * at least one: more, and the guess misleads. */
#include "conf/suggest.h"

enum { LONGEST = 32, FAR = LONGEST };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][LONGEST + 1]; /* the row before the last, the last, the current */
    CHECK(a.n <= LONGEST && b.n <= LONGEST);
    for (unsigned k = 0; k <= b.n; k++)
        rows[1][k] = k;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *before = rows[(i - 1) % 3], *last = rows[i % 3], *row = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned k = 1; k <= b.n; k++) {
            unsigned differ = a.p[i - 1] != b.p[k - 1];
            row[k] = least(last[k] + 1, row[k - 1] + 1, last[k - 1] + differ);
            if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1])
                row[k] = MIN(row[k], before[k - 2] + 1);
        }
    }
    return rows[(a.n + 1) % 3][b.n];
}

struct suggestion suggest_for(struct str word)
{
    return (struct suggestion){word, NULL, FAR};
}

/* Another case, and '_' for '-', cost nothing. */
static struct str fold(struct str s, char to[LONGEST + 1])
{
    CHECK(s.n <= LONGEST);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        to[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return (struct str){to, s.n};
}

static size_t apart(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

void suggest_try(struct suggestion *s, const char *candidate)
{
    char a[LONGEST + 1], b[LONGEST + 1];
    struct str other = str_of(candidate);
    size_t shorter = MIN(s->word.n, other.n);
    unsigned near = MAX((unsigned)shorter / 3, 1u);
    if (shorter < 2)
        near = 0; /* one letter is near to everything */
    if (MAX(s->word.n, other.n) > LONGEST || apart(s->word.n, other.n) > near)
        return;
    unsigned d = distance(fold(s->word, a), fold(other, b));
    if (d <= near && d < s->distance) {
        s->best = candidate;
        s->distance = d;
    }
}
