/* literals: what a line must contain for a pattern to match it.
 *
 * Of the patterns that people write most have a text in them without which nothing matches: FATAL
 * or PANIC in "FATAL|PANIC", " of memory" in "(Out|out) of memory: kill". To look for texts is
 * cheaper by far than to try the pattern on every line.
 *
 * The pattern is read by a small part of the grammar of PCRE2: texts, classes, groups, alternatives
 * and quantifiers. Whatever else stands in it makes the answer "unknown", never a wrong one: a text
 * is named only if every match has it, whatever the case of its letters. Pure. */
#ifndef HF_DETECT_LOGS_LITERALS_H
#define HF_DETECT_LOGS_LITERALS_H

#include "base/base.h"

enum { LITERALS_MOST = 16, LITERAL_MOST = 24, LITERAL_LEAST = 4 };

/* One of them is in every line that matches. Folded (literal_fold). */
struct literals {
    uint32_t n; /* 0: unknown */
    struct literal {
        uint8_t n; /* at least LITERAL_LEAST */
        char p[LITERAL_MOST];
    } all[LITERALS_MOST];
};

struct literals literals_of(struct str pattern);

/* Letters become small ones. Other bytes may become alike too: enough to find, not to decide. */
static inline char literal_fold(char c)
{
    return (char)(c | 0x20);
}

#endif
