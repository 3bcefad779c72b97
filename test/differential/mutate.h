/* mutate: small changes to messages, of the kinds that smuggling is made of. */
#ifndef HF_MUTATE_H
#define HF_MUTATE_H

#include "base/base.h"

/* Changes n bytes at p, which has room for size, in one place or a few; parts of `other` may be
 * put in. Returns the new length. */
size_t mutate(struct prng *r, char *p, size_t n, size_t size, struct str other);

#endif
