/* error_words: whether a line speaks of something gone wrong, by its words.
 *
 * A guess of a reader who does not know the program: some word begins like "error", "fail",
 * "panic" (the table in the source), unless "no", "without" or a zero stands before it. Looked at
 * once a template, not once a line. Pure. */
#ifndef HF_DETECT_LOGS_ERROR_WORDS_H
#define HF_DETECT_LOGS_ERROR_WORDS_H

#include "base/base.h"

bool error_words(struct str line);

#endif
