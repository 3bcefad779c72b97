/* follow_names: what the names of files say about them. Pure. */
#ifndef HF_SENSE_FOLLOW_NAMES_H
#define HF_SENSE_FOLLOW_NAMES_H

#include "base/base.h"

/* Is `name` the name of a rotated `base`, both in one directory? app.log.1, app.log-20240131,
 * app.log.2024-01-31T10:00:00, app.log.old, and with the number before the ending: app-1.log. Not
 * those of compressed files. *number: a smaller one is younger, 0 if there is none such. */
bool name_is_rotated(struct str base, struct str name, uint64_t *number);
/* Do these first bytes belong to compressed data? */
bool bytes_are_compressed(struct str head);

#endif
