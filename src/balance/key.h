/* What the algorithms that place by key share. Inside balance only.
 *
 * A key is 64 bits given by the caller; a member has an id. Tables are built over all members that
 * have a weight, pickable or not, and one that may not be picked is passed over at lookup. So when
 * an instance leaves, exactly its keys move, and exactly they come back. */
#ifndef HF_BALANCE_KEY_H
#define HF_BALANCE_KEY_H

#include "balance/algorithm.h"

/* Every bit of x on every bit of the result: the last step of splitmix64 (Steele, Lea and Flood
 * 2014). A bijection. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The k-th of independent values of x. */
static inline uint64_t mix_nth(uint64_t x, uint64_t k)
{
    return mix(x + k * UINT64_C(0x9e3779b97f4a7c15));
}

/* From 32 bits to [0, n). */
static inline uint32_t scale32(uint32_t bits, uint32_t n)
{
    return (uint32_t)(((uint64_t)bits * n) >> 32);
}

/* log2(x / 2^64) for x > 0, within 1e-9: from -64 to 0. */
double log2_unit(uint64_t x);

/* May it take this key? A candidate, and within the key's priority group and the bound on its load
 * (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016: of T requests
 * in flight, the new one included, at most ceil(bound * T * its share of the weight)). */
bool key_candidate(const struct pool *p, uint32_t i, const struct choice *c);
/* The same, and the key is among those that a member in slow start already takes: a part that
 * grows with its weight, so that each of its keys moves to it once. */
bool key_admitted(const struct pool *p, uint32_t i, const struct choice *c, uint64_t hash);
/* By rendezvous among the candidates: for whom a table has no answer. */
int key_rendezvous(const struct pool *p, const struct choice *c, uint64_t hash);

#endif
