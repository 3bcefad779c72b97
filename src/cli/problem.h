/* problem: mistakes that a node found in its configuration, as its answer names them. */
#ifndef HF_CLI_PROBLEM_H
#define HF_CLI_PROBLEM_H

#include <jansson.h>

#include "base/base.h"

/* Appends every problem of the array as `check` prints them, with its source line where the file
 * can be read from here. */
void problems_print(const json_t *problems, bool colour, struct buf *out);

#endif
