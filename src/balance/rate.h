/* rate: how often may this key come. A token bucket for each key, in a table of bounded memory that
 * all workers share.
 *
 * The bucket is kept as one time (the generic cell rate algorithm, ITU-T I.371, the virtual
 * scheduling form): when it would be full again. Each request moves it on by the interval between
 * two requests at the rate, and is refused if that would be more than `burst` intervals ahead.
 *
 * The table is set-associative, four keys a set. A key that finds no place takes that of the one
 * whose bucket is fullest, which has gone unused for longest; whoever was replaced starts with a
 * full bucket when it comes back. So a flood of keys loosens limits and never tightens them: make
 * the table larger than the number of clients that are expected within the time in which a bucket
 * fills.
 *
 * Any thread may call everything here but open and close. No locks: a known key costs one
 * compare-and-swap. Where two workers meet a new key at once, each may let one request too many
 * through; where its place is taken while it is charged, the new owner may be charged for it. */
#ifndef HF_RATE_H
#define HF_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { RATE_BURST_MAX = 1000000000, RATE_SLOTS_MAX = 1 << 24 };

struct rate;

/* Room for at least `slots` keys (rounded up to a power of two; 16 bytes each), each with
 * `requests` per `per` ns and `burst` at once. Times are whole nanoseconds, rounded up: up to a
 * million a second the rate is met within 0.1 %. ERR_INVAL for what is 0 or out of range,
 * ERR_NOMEM.
 */
int rate_open(struct rate **out, uint32_t slots, uint64_t requests, uint64_t per, uint64_t burst,
              struct err *e);
void rate_close(struct rate *r); /* NULL is allowed */

/* What is left of a bucket, for the RateLimit fields of an answer. */
struct rate_left {
    uint64_t requests; /* that would be let through now */
    uint64_t full_in;  /* ns until the bucket is full */
};

/* Takes one. 0: it may pass; else the ns until the next one may, and nothing was taken. key is a
 * keyed hash (base/sip.h): whoever could choose it could empty the table. left may be NULL. */
uint64_t rate_take(struct rate *r, uint64_t key, uint64_t now, struct rate_left *left);

/* The seam for a cluster: of each key's rate and burst, this node enforces this share (1..1000),
 * from now on. What was taken is not forgotten. */
void rate_set_share(struct rate *r, uint32_t permille);

/* How many keys were replaced while their buckets were not full: the table is too small if this
 * rises. */
uint64_t rate_replaced(const struct rate *r);

#endif
