/* The rows and blocks of the comparison. */
#ifndef HF_BENCH_BALANCE_SCENARIOS_H
#define HF_BENCH_BALANCE_SCENARIOS_H

#include "sim.h"

enum { SCENARIOS = 9, VARIANTS = 11 };
extern const struct scenario scenarios[SCENARIOS];
extern const struct variant variants[VARIANTS];

#endif
