/* gossip: the bytes of a membership message (docs/mesh.md, "Heartbeats and membership"). Pure.
 *
 *     version 1 | kind 1 | flags 1 | incarnation 8 | sequence 4 | answers 4 | stamp 4 | echo 4 |
 *     held 4 | sections: tag 1, length 2, bytes
 *
 * Little-endian. Sections: SUBJECT (id 8), HEARING (n 1, n ids of 4 bytes, n answers of 2 bits),
 * RUMOURS (bytes of one 1, then id 8, incarnation 8, accuser 8, state 1 each, and what a later
 * release may add). Sections, kinds, flags and bytes of a rumour that are not known are skipped, so
 * that two adjacent releases understand each other. A section comes once.
 *
 * Whoever reads trusts nothing but the bounds that stand here: senders are authenticated one floor
 * below, and may be broken. */
#ifndef HF_GOSSIP_H
#define HF_GOSSIP_H

#include "base/base.h"

enum {
    GOSSIP_MAX = 1100,
    GOSSIP_HEARING_MAX = 32,
    GOSSIP_RUMOURS_MAX = 36, /* so that the longest message fits */
};
#define GOSSIP_INCARNATION_MAX (UINT64_C(1) << 62)

enum gossip_kind {
    GOSSIP_HEARTBEAT = 1,
    GOSSIP_PROBE,       /* answer with an ACK */
    GOSSIP_ACK,         /* with a subject: it answered me; with GOSSIP_NOT: it did not */
    GOSSIP_INDIRECT,    /* probe the subject for me */
    GOSSIP_RUMOURS,     /* an answer to PULL: subject is where to go on, 0 at the end */
    GOSSIP_PULL,        /* tell what you know, from the id `subject` on */
    GOSSIP_GOODBYE,     /* I leave */
    GOSSIP_GOODBYE_ACK, /* known */
};

enum gossip_flag {
    GOSSIP_MAINTENANCE = 1, /* the sender's own flag */
    GOSSIP_EXTRA = 2,       /* a heartbeat out of turn: its time says nothing about the next */
    GOSSIP_NOT = 4,
    GOSSIP_DENSE = 8, /* the sender heartbeats to everybody, and expects the same */
};

enum gossip_hearing { GOSSIP_UNKNOWN, GOSSIP_HEARS, GOSSIP_SILENT };
enum gossip_state { GOSSIP_ALIVE, GOSSIP_SUSPECT, GOSSIP_FAILED, GOSSIP_LEFT };

struct gossip_rumour {
    uint64_t id, incarnation;
    uint64_t accuser; /* suspect, failed: who says so */
    uint8_t state;    /* enum gossip_state */
    bool maintenance;
};

struct gossip {
    uint8_t kind, flags;
    bool has_subject, has_hearing;
    uint64_t incarnation; /* the sender's: 1 to GOSSIP_INCARNATION_MAX */
    uint32_t sequence;    /* rises with each message of the incarnation */
    uint32_t answers;     /* sequence of what this answers; 0: nothing */
    uint32_t stamp;       /* us, the sender's clock */
    uint32_t echo;        /* stamp of the receiver's last message; 0: none */
    uint32_t held;        /* us since that came */
    uint64_t subject;
    uint8_t n_hearing, n_rumours;
    /* Whom the sender hears: the low 32 bits of the id, enum gossip_hearing. */
    uint32_t ids[GOSSIP_HEARING_MAX];
    uint8_t hearing[GOSSIP_HEARING_MAX];
    struct gossip_rumour rumours[GOSSIP_RUMOURS_MAX];
};

/* Everything before the three lists is none and 0; the lists are not touched. */
void gossip_init(struct gossip *g, enum gossip_kind kind);
/* Bytes written. */
size_t gossip_write(const struct gossip *g, uint8_t out[GOSSIP_MAX]);
/* False when it is malformed; out then means nothing. */
bool gossip_read(const void *p, size_t n, struct gossip *out);

#endif
