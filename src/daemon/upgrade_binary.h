/* upgrade_binary: which program a supervisor may become.
 *
 * The supervisor may be root, and who asks it for an upgrade (control, for whoever may speak to it)
 * is not. So a path is a proposal only. It is taken if nobody but root and the supervisor's own
 * user could have put something there:
 *
 *   - it is absolute, and once symbolic links are resolved its last part is the name of the program
 *     that runs ("holdfast"): no other program of the system can be made to run in its place;
 *   - the file is a regular one, an ELF program, executable, of root or the supervisor's user, and
 *     nobody else may write it;
 *   - the same goes for each directory above it, where a sticky one (as /tmp) may be written by
 *     others: they cannot replace what is not theirs.
 *
 * The file is opened once, and what was opened is what is looked at, checked and executed. */
#ifndef HF_UPGRADE_BINARY_H
#define HF_UPGRADE_BINARY_H

#include "base/base.h"

/* The program that runs: its path as it was started. */
int upgrade_binary_own(char *out, size_t size, struct err *e);
/* A descriptor to execute, or an error that says what is wrong with the path. name: what the last
 * part must be. */
int upgrade_binary_open(const char *path, const char *name, struct err *e);
/* The last part of a path. */
const char *upgrade_binary_name(const char *path);

#endif
