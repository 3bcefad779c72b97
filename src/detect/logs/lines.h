/* lines: the bytes of a log made into lines.
 *
 * Bytes come in pieces of any size. A line that lies wholly in one piece is handed out where it
 * stands; only what is cut by the end of a piece is kept, at most LINES_LONGEST bytes. Of a longer
 * line the first LINES_LONGEST bytes are a line, and the rest up to its end is skipped and counted.
 * A carriage return before the end is not part of a line. Any other byte may be in one, NUL and
 * what is no UTF-8 included.
 *
 * One struct belongs to one stream of bytes (a file, a pipe), zeroed at its beginning. Where memory
 * is out for what is to be kept, that line is lost and counted. Pure. */
#ifndef HF_DETECT_LOGS_LINES_H
#define HF_DETECT_LOGS_LINES_H

#include "base/base.h"

enum { LINES_LONGEST = 8192 };

struct lines {
    struct buf kept;  /* the beginning of a line, or the line handed out last */
    bool spent;       /* what is kept was handed out */
    bool skipping;    /* the rest of a line that was too long, or was lost */
    uint64_t n;       /* lines handed out */
    uint64_t cut;     /* of them, shortened */
    uint64_t lost;    /* for want of memory */
    uint64_t skipped; /* bytes of shortened and lost lines */
};

/* The next line. False: *bytes are used up, and what began in them is kept. The line is valid until
 * the next call, and as long as the bytes are. */
bool lines_next(struct lines *l, struct str *bytes, struct str *line);
/* What is kept without an end, for the end of a stream. False: nothing. */
bool lines_last(struct lines *l, struct str *line);
void lines_free(struct lines *l);

#endif
