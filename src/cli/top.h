/* top: the parts of the live view that need no terminal, for its tests. */
#ifndef HF_CLI_TOP_H
#define HF_CLI_TOP_H

#include "cli/term.h"

/* One frame of exactly term->rows lines: a head line, then the body from line `scroll` on (moved
 * back when it lies too far down), then a foot line. Every line is cut to the width by escape-aware
 * counting and ends by clearing its rest. */
void top_frame(const struct term *term, struct str body, size_t *scroll, struct str head,
               struct str foot, struct buf *out);

#endif
