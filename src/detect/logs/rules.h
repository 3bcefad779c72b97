/* rules: patterns that people wrote, tried on every line.
 *
 * A set of rules is compiled once and may be shared by many sources of the same thread; what a
 * source has counted is the source's. Patterns are Perl's regular expressions (PCRE2, on bytes,
 * compiled to machine code where that is allowed). So that no line and no pattern can hold the
 * process up, a match gives up after RULES_STEPS steps, and never takes more than RULES_HEAP_KIB of
 * memory: that counts as no match, and is counted. A line is tried only by those rules of which it
 * contains a necessary text (literals.h, needles.h).
 *
 * A rule's finding is raised when `over` lines matched within `window`, and cleared when those of
 * the last window are at most half as many. The window moves in WINDOW_PARTS parts: it is never
 * longer than said, and at most one part shorter. Pure. */
#ifndef HF_DETECT_LOGS_RULES_H
#define HF_DETECT_LOGS_RULES_H

#include "base/base.h"

enum {
    RULES_MOST = 256,
    RULES_PATTERN_MOST = 1024,
    RULES_OVER_MOST = 1000000,
    RULES_STEPS = 20000,
    RULES_HEAP_KIB = 64,
    WINDOW_PARTS = 20
};

struct logs_rule {
    const char *name;   /* for findings */
    const char *match;  /* a pattern */
    const char *except; /* a line that matches this does not count; NULL: none */
    uint32_t over;      /* so many lines; at least 1 */
    uint64_t window;    /* ns, at least WINDOW_PARTS */
    bool failed;        /* the subject is failed, else degraded */
    bool certain;       /* one line is proof (oom-kill, an I/O error) */
};

struct rules;

/* Copies what it needs, names not: they outlive the set. NULL, and *e says why: a pattern that is
 * wrong with its place, too many rules, a bound, no memory. */
struct rules *rules_new(const struct logs_rule *rules, uint32_t n, struct err *e);
void rules_free(struct rules *r);
uint32_t rules_n(const struct rules *r);
const struct logs_rule *rules_get(const struct rules *r, uint32_t i);

/* Calls matched(context, rule) for each that the line matches. */
void rules_match(struct rules *r, struct str line, void (*matched)(void *context, uint32_t rule),
                 void *context);
/* Matches that were given up. */
uint64_t rules_given_up(const struct rules *r);
/* For tests: whether one rule matches, without looking for its texts before. */
bool rules_match_one(struct rules *r, uint32_t rule, struct str line);
/* Whether machine code runs. */
bool rules_fast(const struct rules *r);

/* How many in the last window. Zeroed at its beginning. */
struct window {
    uint32_t counts[WINDOW_PARTS];
    uint32_t sum;
    uint64_t part; /* the latest */
};
void window_add(struct window *w, uint64_t length, uint64_t now, uint32_t n);
/* Moves on; n lines in the window. */
uint32_t window_sum(struct window *w, uint64_t length, uint64_t now);

#endif
