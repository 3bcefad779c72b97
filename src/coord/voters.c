#include "coord/voters.h"

static struct str name_at(const struct voters *v, uint32_t i)
{
    return str_of(v->names[i]);
}

/* Where it is, or where it belongs. */
static uint32_t place_of(const struct voters *v, struct str name)
{
    uint32_t i = 0;
    while (i < v->n && strncmp(v->names[i], name.p, name.n) < 0)
        i++;
    while (i < v->n && !str_eq(name_at(v, i), name) && strlen(v->names[i]) < name.n)
        i++;
    return i;
}

bool voters_has(const struct voters *v, struct str name)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (str_eq(name_at(v, i), name))
            return true;
    return false;
}

bool voters_same(const struct voters *a, const struct voters *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++)
        same = voters_has(b, name_at(a, i));
    return same;
}

bool voters_add(struct voters *v, struct str name)
{
    if (v->n == VOTERS_MAX || name.n == 0 || name.n >= VOTERS_NAME || memchr(name.p, 0, name.n) ||
        voters_has(v, name))
        return false;
    uint32_t at = place_of(v, name);
    memmove(v->names[at + 1], v->names[at], (v->n - at) * sizeof v->names[0]);
    str_copy(v->names[at], sizeof v->names[at], name);
    v->n++;
    return true;
}

bool voters_remove(struct voters *v, struct str name)
{
    for (uint32_t i = 0; i < v->n; i++) {
        if (!str_eq(name_at(v, i), name))
            continue;
        v->n--;
        memmove(v->names[i], v->names[i + 1], (v->n - i) * sizeof v->names[0]);
        memset(v->names[v->n], 0, sizeof v->names[v->n]);
        return true;
    }
    return false;
}

/* --- who should vote --- */

static bool zone_in(const struct voters_node *nodes, const bool *round, uint32_t n, struct str zone)
{
    for (uint32_t i = 0; i < n; i++)
        if (round[i] && str_eq(nodes[i].zone, zone))
            return true;
    return false;
}

/* One of each zone in the order of the file, then the second of each, and so on. */
static void spread(const struct voters_node *nodes, uint32_t n, uint32_t most, struct voters *out)
{
    enum { NODES = 128 };
    CHECK(n <= NODES);
    while (out->n < most) {
        bool round[NODES] = {false};
        for (uint32_t i = 0; i < n && out->n < most; i++)
            if (!zone_in(nodes, round, i, nodes[i].zone))
                round[i] = voters_add(out, nodes[i].name);
    }
}

void voters_choose(const struct voters_node *nodes, uint32_t n, struct voters *out)
{
    *out = (struct voters){0};
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i].named)
            voters_add(out, nodes[i].name);
    if (out->n == 0 && n)
        spread(nodes, n, n >= 5 ? 5 : n >= 3 ? 3 : 1, out);
}

/* --- from one set to another --- */

/* One of a that b has not, of those that are gone first; NULL: all are there. */
static const char *other(const struct voters *a, const struct voters *b,
                         bool (*gone)(void *context, struct str name), void *context)
{
    const char *found = NULL;
    for (uint32_t i = 0; i < a->n; i++) {
        if (voters_has(b, name_at(a, i)))
            continue;
        if (!found)
            found = a->names[i];
        if (gone && gone(context, name_at(a, i)))
            return a->names[i];
    }
    return found;
}

bool voters_next(const struct voters *now, const struct voters *wanted,
                 bool (*gone)(void *context, struct str name), void *context, struct voters *next)
{
    const char *in = other(wanted, now, NULL, NULL), *out = other(now, wanted, gone, context);
    CHECK(wanted->n > 0);
    if (!in && !out)
        return false;
    *next = *now;
    next->version++;
    bool grow = in && now->n < VOTERS_MAX && (!out || now->n % 2 == 1);
    bool done = grow ? voters_add(next, str_of(in)) : voters_remove(next, str_of(out));
    CHECK(done && next->n > 0);
    return true;
}

bool voters_ready(struct voters_patience *p, const struct voters *now, const struct voters *was,
                  uint64_t (*adopted)(void *context, struct str name), void *context,
                  uint64_t promise, uint64_t time)
{
    uint32_t have = 0;
    if (was->n == 0)
        return true; /* nobody could have promised anything */
    for (uint32_t i = 0; i < was->n; i++)
        have += adopted(context, name_at(was, i)) >= now->version;
    if (p->version == now->version)
        return time - p->since >= promise;
    if (have >= voters_majority(was))
        *p = (struct voters_patience){now->version, time};
    return false;
}
