/* reasons: an answer of GET /v1/why as text. Pure: JSON goes in, lines come out. */
#ifndef HF_CLI_REASONS_H
#define HF_CLI_REASONS_H

#include <jansson.h>

#include "cli/term.h"

struct reasons {
    const struct term *term;
    uint64_t now;   /* ns since 1970 */
    unsigned lines; /* of records at most, but always one; 0: all */
};

/* What it is now, or was at the time that was asked for, and who sees what. */
void reasons_state(const struct reasons *r, const json_t *why, struct buf *out);
/* What was recorded, newest first. True when lines ran out. */
bool reasons_records(const struct reasons *r, const json_t *why, struct buf *out);

#endif
