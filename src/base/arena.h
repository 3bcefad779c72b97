/* arena: memory that is freed all at once. For configuration, views and other trees with one owner
 * and one end. Allocation returns NULL when memory is out or the bound is reached; what was handed
 * out stays valid until arena_free. */
#ifndef HF_ARENA_H
#define HF_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used;  /* bytes handed out, alignment included */
    size_t limit; /* no more than this; 0 is no bound */
};

void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size);
char *arena_cstr(struct arena *a, struct str s); /* a terminated copy */
struct str arena_str(struct arena *a,
                     struct str s); /* a terminated copy as a view; .p is NULL when memory is out */
void arena_free(struct arena *a);   /* frees all; the arena may be used again */

#endif
