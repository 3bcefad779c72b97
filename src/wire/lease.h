/* lease: the bytes of what holders and voters say to each other (docs/protocol/lease.md). Pure.
 *
 *     version 2 | messages 1 | bytes of a message 1 | L 8 | D 8 | rho 4 | messages:
 *     kind 1 | refusal 1 | role 8 | epoch 8 | incarnation 8 | round 8 | voters 8 | seen 8 | wait 8
 *
 * Little-endian. L, D and rho are the sender's terms: nodes whose terms differ make no promises to
 * each other. It is the whole payload of a sealed datagram, beside gossip's, whose version is 1.
 * A later release may make messages longer: what is beyond the fields above is skipped, as are
 * messages of kinds that are not known. */
#ifndef HF_WIRE_LEASE_H
#define HF_WIRE_LEASE_H

#include "base/base.h"

enum lease_kind { LEASE_RENEW = 1, LEASE_ACK, LEASE_REFUSED, LEASE_RELEASE, LEASE_KINDS };
enum lease_refusal {
    LEASE_TAKEN = 1, /* promised to another; `wait` tells for how much longer */
    LEASE_OLD_EPOCH, /* `seen` is higher */
    LEASE_QUIET,     /* the voter has just started; `wait` */
    LEASE_OTHER_SET, /* of voters: older or newer than the voter's own */
    LEASE_VOID,      /* the round was released before */
    LEASE_FULL,      /* LEASE_ROLES_MAX promises are out */
    LEASE_TERMS,     /* the voter's are others: see the datagram's */
    LEASE_REFUSALS
};
struct lease_terms {
    uint64_t lease, demote; /* L and D, ns */
    uint32_t rho;           /* millionths */
};
struct lease_message {
    uint8_t kind;    /* enum lease_kind */
    uint8_t refusal; /* enum lease_refusal, of LEASE_REFUSED */
    uint64_t role, epoch;
    uint64_t incarnation; /* of the asker */
    uint64_t round;       /* from 1; of LEASE_RELEASE: the highest that was sent */
    uint64_t voters;      /* version of the set */
    uint64_t seen;        /* answers: the highest epoch that the voter has seen for the role */
    uint64_t wait;        /* ns, refusals: a hint */
};

enum {
    LEASE_VERSION = 2,
    LEASE_HEADER = 23,  /* bytes */
    LEASE_MESSAGE = 58, /* bytes of one */
    LEASE_BATCH = 18,   /* in a datagram */
    LEASE_DATAGRAM_MAX = LEASE_HEADER + LEASE_BATCH * LEASE_MESSAGE,
};

/* Bytes written. n: 1 to LEASE_BATCH. */
size_t lease_write(const struct lease_terms *t, const struct lease_message *m, uint32_t n,
                   uint8_t out[LEASE_DATAGRAM_MAX]);
/* How many messages are in out, those of kinds that are not known left out; -1: malformed. */
int lease_read(const void *p, size_t n, struct lease_terms *t,
               struct lease_message out[LEASE_BATCH]);
/* Whether a payload is one of these, or of something else. */
bool lease_is(const void *p, size_t n);

#endif
