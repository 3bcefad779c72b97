/* coord_record: what a node keeps of the coordinator that it belongs to, in STATE/coordinator.json,
 * and of the voters, in STATE/voters. Both are written, synced and renamed before what they say is
 * done (coord/managed.h). A record that is there and cannot be read is never taken for none. */
#ifndef HF_COORD_RECORD_H
#define HF_COORD_RECORD_H

#include "coord/managed.h"

struct coord_record {
    struct managed_said said; /* record, line, founder, place and member of it */
    bool founding;            /* data: as the first member, which has not answered yet */
    bool restoring;           /* data: etcd is to go on alone with what is there */
    bool filling;             /* data: begun for what STATE/restore.json has, not all written */
    uint64_t raise;           /* data: the revision is to pass this one yet; 0: it did */
};
/* Without a file: a record that says never. ERR_PROTO: it is damaged. */
int coord_record_load(const char *path, struct coord_record *out, struct err *e);
int coord_record_save(const char *path, const struct coord_record *r, struct err *e);

/* {"version": 3, "nodes": ["a", "b"], "was": [...]}, also the value of the key `voters`. was: the
 * set before, its version does not count. Appends. */
bool coord_voters_write(const struct voters *v, const struct voters *was, uint64_t when_ms,
                        struct buf *out);
int coord_voters_read(struct str text, struct voters *v, struct voters *was, struct err *e);

#endif
