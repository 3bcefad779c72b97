/* guard: how many connections an address has, in all workers. Shared by them, without locks.
 *
 * A count-min sketch (Cormode and Muthukrishnan 2005): each address adds to one counter in each of
 * two rows, and its count is the smaller of its two. It never counts too few; it counts too many
 * only where both counters are shared with others, which is rare while a node has fewer connections
 * than a row has counters. Memory is fixed, nothing is ever evicted, and the hash has a secret, so
 * that nobody can choose whom he shares with. */
#ifndef HF_PROXY_GUARD_H
#define HF_PROXY_GUARD_H

#include "base/base.h"
#include "base/sip.h"

enum { GUARD_COLUMNS = 65536, GUARD_ROWS = 2 };

struct guard;

struct guard *guard_new(const struct sip_key *secret); /* NULL when memory is out */
void guard_free(struct guard *g);
/* What stands for an address at a service; never 0. An IPv6 address is its /64: one subscriber has
 * as many as it likes. n: 4 or 16. */
uint64_t guard_key(const struct guard *g, uint32_t service, const uint8_t *ip, size_t n);
/* Counts one more; returns how many there are with it. */
uint32_t guard_enter(struct guard *g, uint64_t key);
void guard_leave(struct guard *g, uint64_t key);

#endif
