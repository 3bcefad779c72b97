/* moment: a point in time as people write it. Pure but for the zone of this machine.
 *
 *   10m 2h 3d 45s 1w                  so long ago
 *   14:05 14:05:30                    the last time that this machine's clock showed it
 *   2026-11-23 2026-11-23T14:05[:30]  by this machine's clock; a blank may stand for the T
 *   2026-11-23T13:05:30.125Z          in UTC */
#ifndef HF_CLI_MOMENT_H
#define HF_CLI_MOMENT_H

#include "base/base.h"

/* now, *out: ns since 1970. False: it is none. */
bool moment_parse(struct str text, uint64_t now, uint64_t *out);
/* As the admin API takes it: "2026-11-23T13:05:30.125Z". */
enum { MOMENT_MAX = 40 };
void moment_format(uint64_t wall, char out[MOMENT_MAX]);
/* As people read it: the time of day by this machine's clock, with the date unless it is that of
 * `now`. */
void moment_local(uint64_t wall, uint64_t now, char out[MOMENT_MAX]);
/* What moment_format wrote; 0: it is none. */
uint64_t moment_of(struct str text);

#endif
