/* prober: active checks on the loop. The I/O around the pure core of detect/probe.h: connects,
 * feeds bytes, and turns how it ended into one signal. Who judges the signals, and when the next
 * check is due, is the owner's matter.
 *
 * A new instance is checked at once; its later checks start at a random point of the interval, so
 * that ten thousand instances do not fall into step. At most `most` checks are in flight; the
 * others wait their turn. The time-out covers connecting and the answer.
 *
 * A check that cannot be made for want of our own (descriptors, memory, local ports) is evidence of
 * nothing: it sends no signal, tells on_starved, and is tried again. */
#ifndef HF_PROBER_H
#define HF_PROBER_H

#include "base/base.h"
#include "detect/detect.h"
#include "os/os.h"
#include "view/view.h"

struct prober;

struct prober_owner {
    void *context;
    void (*on_signal)(void *context, const struct signal *s);
    /* ns from the start of a check to the next. */
    uint64_t (*delay)(void *context, uint32_t slot);
    void (*on_starved)(void *context, const char *why);
};

enum { PROBER_MOST = 256 };

int prober_new(struct prober **out, struct loop *l, uint32_t slots, uint32_t most,
               const struct prober_owner *owner, struct err *e);
void prober_free(struct prober *p); /* NULL is allowed */

/* Checks this slot from now on; address and check are copied. If neither changed, nothing does, a
 * check in flight included. CHECK_NONE is prober_remove. */
void prober_set(struct prober *p, uint32_t slot, const struct addr *addr,
                const struct view_check *check);
void prober_remove(struct prober *p, uint32_t slot);
/* The delay may have become shorter. */
void prober_hurry(struct prober *p, uint32_t slot);

#endif
