/* say: sentences put together in a caller's array, cut to fit, never allocated. Inside this room
 * only. */
#ifndef HF_DETECT_SAY_H
#define HF_DETECT_SAY_H

#include "detect/detect.h"

struct out {
    char *p;
    size_t size, n;
};

/* Terminated from the start; size may be 0. */
struct out say_into(char *p, size_t size);
void say(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "0.4 s", "12 s" */
void say_span(struct out *o, uint64_t from, uint64_t to);
/* " Latest signals: check-refused x3, check-ok." of a ring of which n were put in ever; nothing of
 * an empty one. */
void say_signals(struct out *o, const struct signal *ring, uint64_t size, uint64_t n);

#endif
