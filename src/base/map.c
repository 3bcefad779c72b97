#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

static size_t find(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key) {
        struct map_slot *s = &m->slots[i];
        if (s->hash == hash && str_eq((struct str){s->key, s->key_n}, key))
            break;
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

static bool grow(struct map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct map bigger = {mem_zero(cap, sizeof *bigger.slots), cap, m->n};
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        struct map_slot *s = &m->slots[i];
        if (s->key)
            bigger.slots[find(&bigger, (struct str){s->key, s->key_n}, s->hash)] = *s;
    }
    mem_free(m->slots);
    *m = bigger;
    return true;
}

void *map_get(const struct map *m, struct str key)
{
    return m->cap ? m->slots[find(m, key, str_hash(key))].value : NULL;
}

bool map_put(struct map *m, struct str key, void *value)
{
    CHECK(value);
    if (m->n + 1 > m->cap / 4 * 3 && !grow(m))
        return false;
    uint64_t hash = str_hash(key);
    struct map_slot *s = &m->slots[find(m, key, hash)];
    if (!s->key) {
        s->key = mem_alloc(key.n + 1);
        if (!s->key)
            return false;
        str_copy(s->key, key.n + 1, key);
        s->key_n = key.n;
        s->hash = hash;
        m->n++;
    }
    s->value = value;
    return true;
}

void *map_remove(struct map *m, struct str key)
{
    if (!m->cap)
        return NULL;
    size_t hole = find(m, key, str_hash(key));
    struct map_slot *s = &m->slots[hole];
    if (!s->key)
        return NULL;
    void *value = s->value;
    mem_free(s->key);
    m->n--;
    /* Close the gap: move back every later entry of the run whose home lies at or before the hole.
     */
    for (size_t i = hole;;) {
        i = (i + 1) & (m->cap - 1);
        if (!m->slots[i].key)
            break;
        size_t home = m->slots[i].hash & (m->cap - 1);
        if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    return value;
}

void map_free(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        mem_free(m->slots[i].key);
    mem_free(m->slots);
    *m = (struct map){0};
}

struct map_slot *map_next(const struct map *m, size_t *i)
{
    while (*i < m->cap) {
        struct map_slot *s = &m->slots[(*i)++];
        if (s->key)
            return s;
    }
    return NULL;
}
