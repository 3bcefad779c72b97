#include "coord/etcd_known.h"

#include <stdlib.h>

struct known_key {
    uint64_t revision; /* 0: made ready, and not told of */
    bool gone;         /* until known_tidy */
};

bool known_ready(struct known *k, const struct coord_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (items[i].gone || map_get(&k->keys, items[i].key))
            continue;
        struct known_key *key = mem_zero(1, sizeof *key);
        if (!key || !map_put(&k->keys, items[i].key, key)) {
            mem_free(key);
            return false;
        }
    }
    return true;
}

bool known_learn(struct known *k, const struct coord_item *item)
{
    struct known_key *key = map_get(&k->keys, item->key);
    if (!key || key->revision >= item->revision || (item->gone && (!key->revision || key->gone)))
        return false;
    key->revision = item->revision;
    key->gone = item->gone;
    return true;
}

void known_tidy(struct known *k, const struct coord_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct known_key *key = items[i].gone ? map_get(&k->keys, items[i].key) : NULL;
        if (key && key->gone)
            mem_free(map_remove(&k->keys, items[i].key));
    }
}

void known_free(struct known *k)
{
    struct map_slot *s;
    for (size_t i = 0; (s = map_next(&k->keys, &i));)
        mem_free(s->value);
    map_free(&k->keys);
}

static int by_revision(const void *a, const void *b)
{
    const struct coord_item *x = a, *y = b;
    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

static bool have_names(struct map *present, const struct coord_item *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!map_put(present, all[i].key, present))
            return false;
    return true;
}

enum known_audit known_audit(const struct known *k, const struct coord_item *all, uint32_t n,
                             uint64_t revision, uint64_t upto)
{
    struct map present = {0};
    struct map_slot *s;
    bool behind = false, missed = false, ok = have_names(&present, all, n);
    for (uint32_t i = 0; ok && i < n; i++) {
        const struct known_key *key = map_get(&k->keys, all[i].key);
        bool told = key && key->revision >= all[i].revision;
        behind = behind || (!told && all[i].revision > upto);
        missed = missed || (!told && all[i].revision <= upto && !(!key && revision < upto));
    }
    for (size_t i = 0; ok && (s = map_next(&k->keys, &i));) {
        const struct known_key *key = s->value;
        if (!key->revision || key->revision > revision ||
            map_get(&present, (struct str){s->key, s->key_n}))
            continue;
        behind = behind || revision > upto;
        missed = missed || revision <= upto;
    }
    map_free(&present);
    return !ok ? KNOWN_UNSURE : missed ? KNOWN_MISSED : behind ? KNOWN_BEHIND : KNOWN_SAME;
}

/* Keys that were told of and are not among n items, to `out` with their names in `names`. */
static bool find_gone(const struct known *k, const struct coord_item *all, uint32_t n,
                      struct coord_item *out, uint32_t *n_out, struct buf *names)
{
    struct map present = {0};
    struct map_slot *s;
    size_t bytes = 0;
    bool ok = have_names(&present, all, n);
    for (size_t i = 0; (s = map_next(&k->keys, &i));)
        bytes += s->key_n;
    ok = ok && buf_reserve(names, bytes + 1); /* at once: names do not move */
    for (size_t i = 0; ok && (s = map_next(&k->keys, &i));) {
        const struct known_key *key = s->value;
        struct str name = {s->key, s->key_n};
        if (!key->revision || map_get(&present, name))
            continue;
        out[(*n_out)++] = (struct coord_item){
            .key = {names->p + names->n, name.n}, .value = STR(""), .gone = true};
        buf_add_str(names, name);
    }
    map_free(&present);
    return ok;
}

bool known_compare(struct known *k, const struct coord_item *all, uint32_t n, uint64_t revision,
                   bool first, struct difference *out)
{
    uint32_t n_gone = 0;
    *out = (struct difference){mem_zero(n + k->keys.n + 1, sizeof *out->items), 0, {0}};
    if (!out->items || !known_ready(k, all, n) ||
        !find_gone(k, all, n, out->items + n, &n_gone, &out->names)) {
        difference_free(out);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        if (known_learn(k, &all[i]))
            out->items[out->n++] = all[i];
    if (!first && out->n)
        qsort(out->items, out->n, sizeof *out->items, by_revision);
    for (uint32_t i = 0; i < n_gone; i++) {
        struct coord_item item = out->items[n + i];
        item.revision = revision;
        if (known_learn(k, &item))
            out->items[out->n++] = item;
    }
    known_tidy(k, out->items, out->n);
    return true;
}

void difference_free(struct difference *d)
{
    mem_free(d->items);
    buf_free(&d->names);
    *d = (struct difference){0};
}
