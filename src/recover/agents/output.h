/* output: what a program printed, as bounded lines. Pure: time comes in.
 *
 * Bytes in, lines out, each at most OUTPUT_LINE - 1 bytes (the rest of a longer one is dropped),
 * made printable: what is below a blank becomes '?', so that a program cannot paint on a terminal
 * that shows its words. The last OUTPUT_KEPT are kept. A token bucket decides which are also told
 * to the owner: OUTPUT_BURST at once, then OUTPUT_RATE a second; the others are counted as lost,
 * though the last of them are kept. Memory is fixed. */
#ifndef HF_RECOVER_OUTPUT_H
#define HF_RECOVER_OUTPUT_H

#include "base/base.h"

enum { OUTPUT_LINE = 240, OUTPUT_KEPT = 20, OUTPUT_RATE = 100, OUTPUT_BURST = 500 };

struct output {
    void *context;
    void (*on_line)(void *context, struct str line); /* NULL: nobody is told */
    uint64_t lost;
    /* private */
    char lines[OUTPUT_KEPT][OUTPUT_LINE];
    uint32_t first, n;      /* of lines */
    char open[OUTPUT_LINE]; /* a line without its end */
    uint32_t open_n;
    bool any;                /* something of the open line came, if only dropped bytes */
    uint64_t tokens, filled; /* thousandths of a line; when */
};

/* Empty; context and on_line stay. */
void output_clear(struct output *o, uint64_t now);
void output_add(struct output *o, struct str bytes, uint64_t now);
/* The program ended: so does its last line. */
void output_end(struct output *o, uint64_t now);
/* The i-th of those that are kept, oldest first; i < o->n. Terminated. */
const char *output_line(const struct output *o, uint32_t i);

#endif
