/* Which names were probably meant: the nearest by edit distance (Levenshtein 1966), and those that
 * begin with what was written. */
#include "admin/inside.h"

enum { LONGEST = 64 };

static uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
    return MIN(a, MIN(b, c));
}

/* Levenshtein's distance over the first 64 bytes. */
static uint32_t distance(struct str a, struct str b)
{
    uint32_t row[LONGEST + 1];
    a.n = MIN(a.n, (size_t)LONGEST);
    b.n = MIN(b.n, (size_t)LONGEST);
    for (uint32_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (uint32_t i = 1; i <= a.n; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            uint32_t above = row[j];
            uint32_t swap = diagonal + (a.p[i - 1] != b.p[j - 1]);
            row[j] = least(above + 1, row[j - 1] + 1, swap);
            diagonal = above;
        }
    }
    return row[b.n];
}

void suggest_begin(struct suggest *s, struct str want)
{
    *s = (struct suggest){.want = want};
}

void suggest_offer(struct suggest *s, struct str name)
{
    uint32_t d = distance(s->want, name);
    if (str_starts(name, s->want) && s->want.n)
        d = MIN(d, 1u);
    if (d > MAX(2u, (uint32_t)MIN(s->want.n, (size_t)LONGEST) / 3))
        return;
    uint32_t at = s->n;
    while (at > 0 && s->distance[at - 1] > d)
        at--;
    if (at == ARRAY_LEN(s->name))
        return;
    s->n = MIN(s->n + 1, (uint32_t)ARRAY_LEN(s->name));
    for (uint32_t i = s->n - 1; i > at; i--) {
        s->name[i] = s->name[i - 1];
        s->distance[i] = s->distance[i - 1];
    }
    s->name[at] = name;
    s->distance[at] = d;
}

json_t *suggest_json(const struct suggest *s)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < s->n; i++)
        if (!json_push(a, json_text(s->name[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}
