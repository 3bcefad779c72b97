/* round: what a primary says of its replicas, and whether that is enough. Pure.
 *
 * Redis counts in bytes of its replication stream. A reply that was there when a round began was
 * made at or before the offset that the round's first picture has; it may go once enough of the
 * in-sync places acknowledge at least that offset in the second one. A place is known by the
 * address that its replica has in `INFO replication`. */
#ifndef HF_PROXY_ROUND_H
#define HF_PROXY_ROUND_H

#include "base/base.h"
#include "proxy/gate.h"

struct round_replica {
    struct addr addr;
    uint64_t offset; /* acknowledged */
};
struct round_picture {
    bool primary; /* it says that it is one */
    uint64_t offset;
    struct round_replica replicas[GATE_PLACES]; /* those that are online; more are left out */
    uint32_t n;
};

/* Reads the text of INFO replication; what is not understood is passed over. False: it has no role
 * or no offset. */
bool round_read(struct str info, struct round_picture *out);

struct round_places {
    struct addr at[GATE_PLACES]; /* of the instances */
    uint32_t n;
    int self;
};
/* The in-sync places that have at least this offset, as bits. */
uint16_t round_acknowledged(const struct round_picture *p, const struct round_places *places,
                            uint16_t insync, uint64_t offset);
static inline bool round_confirms(uint16_t acknowledged, uint32_t need)
{
    return (uint32_t)__builtin_popcount(acknowledged) >= need;
}

#endif
