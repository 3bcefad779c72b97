/* sticky: the same client to the same instance, as long as that is there. Two ways:
 *
 * Insert: the answer sets a cookie of ours that names the instance by its token, 16 hexadecimal
 * digits: a keyed hash of the instance's key, so that a client learns nothing of what is behind us,
 * and every worker, node and restart reads it alike. Nothing is remembered here.
 *
 * Learn: the instance sets a cookie of its own (a session id); a table that the workers share
 * remembers which instance gave which value. Its memory is bounded: four values a set, and a new
 * one takes the place of the one unused for longest. An entry ends after a time without use.
 *
 * Either way what comes out is a token, and pool_pick_sticky() sends the request to its member, or
 * says that it is not there: unknown, drained, failed, or already tried. Then the pool picks as for
 * anybody, and the client is given a new cookie.
 *
 * The table: any thread but for open and close, no locks. A reader never gets the token of another
 * value: an entry that is written is nobody's meanwhile. Two workers that learn one value at the
 * same moment may keep it twice; the first is found. */
#ifndef HF_STICKY_H
#define HF_STICKY_H

#include "balance/balance.h"

enum { STICKY_TOKEN_SIZE = 16, STICKY_SLOTS_MAX = 1 << 24 };

/* Never 0: that is nobody's. */
uint64_t sticky_token(const struct sip_key *secret, uint64_t member_key);
/* Writes STICKY_TOKEN_SIZE bytes, no terminator. */
void sticky_write(uint64_t token, char *out);
/* 0: this is no token. */
uint64_t sticky_read(struct str value);

/* Which member has this token. One worker's, made anew with the pool. */
struct sticky_members {
    struct sticky_name {
        uint64_t token;
        uint32_t member;
    } * names; /* owned, by token */
    uint32_t n;
};
/* Of all members of the pool by their keys. ERR_NOMEM. */
int sticky_members_open(struct sticky_members *s, const struct sip_key *secret,
                        const struct pool *p, struct err *e);
void sticky_members_close(struct sticky_members *s); /* zeroed is allowed */
/* The member's index, or -1. */
int sticky_member(const struct sticky_members *s, uint64_t token);

struct sticky_table;

/* Room for at least `slots` values (rounded up to a power of two; 24 bytes each), each until `idle`
 * ns after its last use. ERR_INVAL, ERR_NOMEM. */
int sticky_open(struct sticky_table **out, uint32_t slots, uint64_t idle, struct err *e);
void sticky_close(struct sticky_table *t); /* NULL is allowed */
/* From now on this value (a keyed hash of it) belongs to this token. */
void sticky_learn(struct sticky_table *t, uint64_t value, uint64_t token, uint64_t now);
/* Its token, or 0. Counts as a use. */
uint64_t sticky_find(struct sticky_table *t, uint64_t value, uint64_t now);
/* How many were replaced before their time was over: the table is too small if this rises. */
uint64_t sticky_replaced(const struct sticky_table *t);

#endif
