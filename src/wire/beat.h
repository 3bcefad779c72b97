/* beat: the line in which a job says that it lives. Pure: bytes in, structure out.
 *
 *   NAME [TOKEN] [ok | failed TEXT]
 *
 * Words are parted by blanks and tabs; the line ends with LF, CR LF, or its datagram. A name has 1
 * to 63 letters, digits, '.', '_' and '-'; a token is 16 to 256 visible ASCII characters, so that
 * neither "ok" nor "failed" is one; TEXT is the rest of the line, without control characters.
 * What is not understood is refused, never guessed at. Strings point into the line. */
#ifndef HF_WIRE_BEAT_H
#define HF_WIRE_BEAT_H

#include "base/base.h"

enum {
    BEAT_LINE_MAX = 1024, /* bytes with its end */
    BEAT_NAME_MAX = 63,
    BEAT_TOKEN_MIN = 16,
    BEAT_TOKEN_MAX = 256
};

struct beat_line {
    struct str name;
    struct str token; /* empty: none */
    struct str text;  /* of a failure; may be empty */
    bool failed;
};

enum beat_result {
    BEAT_LINE_OK,
    BEAT_LINE_LONG,
    BEAT_LINE_NAME,  /* no name, or what is none */
    BEAT_LINE_TOKEN, /* the second word is neither a token nor ok nor failed */
    BEAT_LINE_WORD,  /* neither ok nor failed where one of them is due, or more behind ok */
    BEAT_LINE_TEXT,  /* control characters */
    BEAT_LINE_RESULTS
};
/* What is wrong, for its sender: "the name has ...". */
const char *beat_result_text(enum beat_result r);

/* One line; its end may be there or not. *out is set when the result is BEAT_LINE_OK. */
enum beat_result beat_read(struct str line, struct beat_line *out);

#endif
