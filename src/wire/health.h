/* health: the bytes in which nodes tell each other what they think of instances. Pure.
 *
 *   version u8 (1), flags u8 (1: the sender hears so few that it cannot agree with anybody)
 *   then sections: tag u8, length u16, that many bytes
 *     1  a service: its name; what follows is about its instances
 *     2  an instance: verdict u8, reason u8, certain u8, age u32 (ms), address
 *        (kind u8, port u16, and 4, 16 or a path's bytes)
 *
 * Sections with other tags are skipped, and what a known one has behind its fields: two adjacent
 * releases understand each other. All else that is unexpected makes a message malformed, and the
 * reader says so before anything of it is used (health_check). */
#ifndef HF_WIRE_HEALTH_H
#define HF_WIRE_HEALTH_H

#include "base/base.h"

enum {
    HEALTH_VERSION = 1,
    HEALTH_MESSAGE_MAX = 48 * 1024, /* bytes that a writer fills at most */
    HEALTH_NAME_MAX = 63,
    HEALTH_VERDICTS = 4,
};

struct health_record {
    struct str service;
    struct addr instance;
    uint8_t verdict; /* below HEALTH_VERDICTS */
    uint8_t reason;  /* any */
    bool certain;
    uint32_t age_ms; /* of the verdict */
};

struct health_writer {
    struct buf *out; /* cleared at the start; check out->failed at the end */
    struct str service;
    uint32_t n; /* records in it */
};
void health_begin(struct health_writer *w, struct buf *out, bool isolated);
/* False: no room; send what there is, begin anew and put it again. */
bool health_put(struct health_writer *w, const struct health_record *r);

struct health_reader {
    struct reader r;
    struct str service;
    bool isolated;
};
/* Whether all of it can be read: else nothing of it is to be used. */
bool health_check(struct str bytes);
/* Of checked bytes. */
void health_open(struct health_reader *h, struct str bytes);
/* The next record; false at the end. Strings point into the bytes. */
bool health_next(struct health_reader *h, struct health_record *out);

#endif
