/* prng: reproducible random numbers (xoshiro256**, Blackman and Vigna 2018; seeded by splitmix64).
 * Not for secrets. */
#ifndef HF_PRNG_H
#define HF_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_seed(struct prng *r, uint64_t seed);
uint64_t prng_next(struct prng *r);
/* Uniform in [0, bound), without modulo bias (Lemire 2019). bound > 0. */
uint64_t prng_below(struct prng *r, uint64_t bound);
/* Uniform in [0, 1). */
double prng_unit(struct prng *r);

#endif
