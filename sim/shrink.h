/* shrink: makes a schedule that breaks an invariant small (delta debugging: A. Zeller and
 * R. Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002), then its faults
 * short and narrow. What is left is what a person reads. */
#ifndef HF_SIM_SHRINK_H
#define HF_SIM_SHRINK_H

#include "nemesis.h"

/* Does it still break? Any test of a schedule: the unit test has its own. */
struct shrink_test {
    void *context;
    bool (*breaks)(void *context, const struct faults *f);
};
/* f breaks; it becomes smaller. At most `tries` runs. Returns how many there were. */
uint32_t shrink(struct faults *f, const struct shrink_test *t, uint32_t tries);

#endif
