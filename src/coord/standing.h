/* standing: the bytes in which nodes tell each other how they stand to the coordinator, over links
 * (MESH_COORD). Each node tells all others when something of it changes, when a link comes up, and
 * each second; the latest counts. Pure.
 *
 *   version u8 (1), then sections: tag u8, length u16, that many bytes
 *     1  itself: record u8, flags u8 (1: etcd's disk is full; 2: a restore is under way), line (id
 *        16 bytes, generation u64, draw u64), place u64, member u64, leader u64, term u64, applied
 *        u64, version of the voters u64, version of the configuration u64, revision u64
 *     2  founder: name
 *     3  whom its file makes the founder: name
 *     4  a member, by the node whose member leads: id u64, flags u8 (1: learner), place u64,
 * address (kind u8, port u16, 4 or 16 bytes), name (the rest; may be empty)
 *     5  timers, by levels: disk u8, timers u8, pace u8, turn u64
 *     6  the file of its member: bytes u64, used u64; absent: not known
 *
 * Section 1 stands first, once. Sections with other tags are skipped, and what a known one has
 * behind its fields (4 excepted): two adjacent releases understand each other. All else that is
 * unexpected makes a message malformed. */
#ifndef HF_COORD_STANDING_H
#define HF_COORD_STANDING_H

#include "coord/managed.h"

enum { STANDING_VERSION = 1, STANDING_MAX = 4096 };

struct standing_member {
    uint64_t id, place;
    bool learner;
    char name[MANAGED_NAME]; /* as it started; empty: it never did */
    struct addr peer;        /* an IP address and a port */
};

struct standing {
    struct managed_said said;
    bool full, restoring;
    uint64_t bytes, used;              /* of its member's file; 0: not known */
    uint64_t voters, config, revision; /* the highest versions it has kept; what it has seen */
    uint32_t n;
    struct standing_member members[MANAGED_MEMBERS];
};
/* Appends; check out->failed. */
void standing_put(const struct standing *s, struct buf *out);
/* False: malformed, *s is anything. */
bool standing_get(struct str bytes, struct standing *s);

#endif
