#include "mesh/contacts.h"

static uint32_t place_of(const struct contacts *p, uint64_t id)
{
    uint32_t low = 0, high = p->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (p->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct contact *contacts_find(const struct contacts *p, uint64_t id)
{
    uint32_t i = place_of(p, id);
    return i < p->n && p->list[i].id == id ? &p->list[i] : NULL;
}

const struct contact *contacts_named(const struct contacts *p, struct str name)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (str_eq(p->list[i].name, name))
            return &p->list[i];
    return NULL;
}

void contacts_begin(struct contacts *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->list[i].seen = false;
}

static int insert(struct contacts *p, uint32_t at, uint64_t id, struct str name, struct err *e)
{
    if (p->n == ARRAY_LEN(p->list))
        return err_set(e, ERR_LIMIT, "a cluster has at most %d nodes", VIEW_MAX_NODES);
    char *copy = mem_alloc(name.n + 1);
    if (!copy)
        return err_set(e, ERR_NOMEM, "no memory for a node");
    memcpy(copy, name.p, name.n);
    copy[name.n] = 0;
    memmove(&p->list[at + 1], &p->list[at], (p->n - at) * sizeof p->list[0]);
    p->list[at] = (struct contact){.id = id, .name = {copy, name.n}};
    p->n++;
    return 0;
}

int contacts_put(struct contacts *p, uint64_t id, struct str name, const struct addr *a,
                 struct err *e)
{
    uint32_t i = place_of(p, id);
    bool known = i < p->n && p->list[i].id == id;
    if (known && !str_eq(p->list[i].name, name))
        return err_set(e, ERR_EXISTS, "nodes %.*s and %.*s have the same id: rename one",
                       (int)name.n, name.p, (int)p->list[i].name.n, p->list[i].name.p);
    int r = known ? 0 : insert(p, i, id, name, e);
    if (r == 0) {
        p->list[i].addr = *a;
        p->list[i].seen = true;
    }
    return r;
}

static void end(struct contact *x)
{
    mem_free((void *)(uintptr_t)x->name.p);
}

void contacts_end(struct contacts *p, void (*gone)(void *context, const struct contact *),
                  void *context)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->n; i++) /* all are still found while somebody hears of it */
        if (!p->list[i].seen)
            gone(context, &p->list[i]);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->list[i].seen)
            p->list[kept++] = p->list[i];
        else
            end(&p->list[i]);
    }
    p->n = kept;
}

void contacts_free(struct contacts *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        end(&p->list[i]);
    p->n = 0;
}
