/* map: string to pointer, open addressing with linear probing, at most 3/4 full. Keys are copied;
 * values belong to the caller. For configuration and administration, not for the data path; the
 * hash (str_hash) does not resist chosen keys. */
#ifndef HF_MAP_H
#define HF_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map_slot {
    char *key; /* owned; NULL is free */
    size_t key_n;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t n;
};

void *map_get(const struct map *m, struct str key); /* NULL when absent */
bool map_put(struct map *m, struct str key,
             void *value); /* replaces; false when memory is out. value is not NULL */
void *map_remove(struct map *m, struct str key); /* the value that was there, or NULL */
void map_free(struct map *m);                    /* the table and its keys, never the values */

/* Visits every entry in table order: for (size_t i = 0; (s = map_next(m, &i));) */
struct map_slot *map_next(const struct map *m, size_t *i);

#endif
