#include "discover/records.h"

static int compare(const struct record *a, const struct record *b)
{
    int c = memcmp(&a->addr.kind, &b->addr.kind, sizeof a->addr.kind);
    if (c == 0)
        c = memcmp(a->addr.ip, b->addr.ip, sizeof a->addr.ip);
    if (c == 0)
        c = strcmp(a->target, b->target);
    if (c == 0)
        c = (a->addr.port > b->addr.port) - (a->addr.port < b->addr.port);
    return c;
}

static bool grow(struct records *r)
{
    if (r->n < r->cap)
        return true;
    uint32_t cap = MIN(MAX(2 * r->cap, 4u), (uint32_t)RECORDS_MAX);
    struct record *list = cap > r->cap ? mem_resize(r->list, cap * sizeof *list) : NULL;
    if (!list)
        return false;
    r->list = list;
    r->cap = cap;
    return true;
}

bool records_add(struct records *r, const struct record *one)
{
    uint32_t low = 0, high = r->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int c = compare(one, &r->list[middle]);
        if (c == 0)
            return true;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (!grow(r))
        return false;
    memmove(&r->list[low + 1], &r->list[low], (r->n - low) * sizeof *r->list);
    r->list[low] = *one;
    r->n++;
    return true;
}

bool records_same(const struct records *a, const struct records *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (compare(&a->list[i], &b->list[i]) || a->list[i].priority != b->list[i].priority ||
            a->list[i].weight != b->list[i].weight)
            return false;
    return true;
}

bool records_join(struct records *a, const struct records *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->n; i++)
        ok &= records_add(a, &b->list[i]);
    return ok;
}

void records_free(struct records *r)
{
    mem_free(r->list);
    *r = (struct records){0};
}

/* How many different priorities are lower, as far as groups can tell them apart. */
static uint32_t group_of(const struct records *r, uint16_t priority)
{
    uint32_t group = 0;
    uint32_t above = 0; /* the lowest priority that is not counted yet */
    while (group < POOL_GROUPS - 1) {
        uint32_t next = UINT32_MAX;
        for (uint32_t i = 0; i < r->n; i++)
            if (r->list[i].priority >= above && r->list[i].priority < next)
                next = r->list[i].priority;
        if (next >= priority)
            break;
        above = next + 1;
        group++;
    }
    return group;
}

void records_place(const struct records *r, uint32_t index, uint32_t *group, uint32_t *weight)
{
    const struct record *one = &r->list[index];
    uint32_t most = 0;
    for (uint32_t i = 0; i < r->n; i++)
        most = MAX(most, r->list[i].weight);
    *group = group_of(r, one->priority);
    *weight = one->weight;
    if (most > VIEW_MAX_WEIGHT)
        *weight = one->weight * (uint32_t)VIEW_MAX_WEIGHT / most;
    *weight = MAX(*weight, 1u);
}
