/* keep: small files that a restart finds again: written aside and renamed, not synced. What cannot
 * be written is not kept, and what cannot be read was not there. `folder` is an open
 * directory. Inside this room only. */
#ifndef HF_SENSE_KEEP_H
#define HF_SENSE_KEEP_H

#include "base/base.h"

bool keep_write(int folder, const char *name, struct str bytes);
/* False: there is none, or it is larger than `max`. */
bool keep_read(int folder, const char *name, size_t max, struct buf *out);
/* Removes the files of names that `is_known` does not know. */
void keep_sweep(int folder, bool (*is_known)(void *context, const char *name), void *context);

#endif
