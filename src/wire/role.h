/* role: the bytes in which candidates for a role tell each other where they are. Pure.
 *
 *     version 1 | messages 1 | bytes of a message 1 | messages:
 *     kind 1 | flags 1 | instance 1 | state 1 | role 8 | epoch 8 | data 8 | position 8 |
 *     incarnation 8 | load 4
 *
 * Little-endian. A later release may make messages longer: what is beyond the fields above is
 * skipped, as are messages of kinds that are not known. */
#ifndef HF_WIRE_ROLE_H
#define HF_WIRE_ROLE_H

#include "base/base.h"

enum role_kind {
    ROLE_SAYS = 1, /* how the sender's instance is. epoch: under which it acts; 0: it does not */
    ROLE_FENCE,    /* take nothing more from whoever was primary before `epoch`; answer */
    ROLE_FENCED,   /* done: from now on, and this is where it is */
    ROLE_UNFENCED, /* not done: `epoch` is the highest that it has seen, or it could not */
    ROLE_STEP, /* of the chain that led to the sender's promotion under `epoch`: flags: its kind;
                  instance: its place; state: its number, from 0; data: its age, ns; load: the bytes
                  steps, the place of the primary before, 0, 0 */
    ROLE_KINDS
};
enum role_flag {
    ROLE_WELL = 1,      /* it answers as it should */
    ROLE_ANSWER_ME = 2, /* ROLE_SAYS: the receiver may not have been heard: say how you are */
};
struct role_message {
    uint8_t kind;     /* enum role_kind */
    uint8_t flags;    /* enum role_flag; unknown ones are kept */
    uint8_t instance; /* enum role_instance */
    uint8_t state;    /* enum role_state, for people */
    uint64_t role;    /* the hash of the service's name */
    uint64_t epoch;
    uint64_t data; /* whose history its data is a prefix of; 0: it does not know any more */
    uint64_t position;
    uint64_t incarnation; /* of the sender: another at each start */
    uint32_t load;
};

enum {
    ROLE_VERSION = 1,
    ROLE_MESSAGE = 48, /* bytes of one */
    ROLE_BATCH = 16,   /* in one piece */
    ROLE_BYTES_MAX = 3 + ROLE_BATCH * ROLE_MESSAGE,
};

/* Bytes written. n: 1 to ROLE_BATCH. */
size_t role_write(const struct role_message *m, uint32_t n, uint8_t out[ROLE_BYTES_MAX]);
/* How many messages are in out, those of kinds that are not known left out; -1: malformed. */
int role_read(const void *p, size_t n, struct role_message out[ROLE_BATCH]);

#endif
