/* codec: fixed-width little-endian fields in and out of bytes, for views and messages between our
 * own processes.
 *
 * Writing appends to a buf; check b->failed once at the end. Reading never leaves the input: past
 * the end, or on a length that does not fit, it marks the reader failed and returns zeros, so that
 * a decoder reads a whole record and checks once. */
#ifndef HF_CODEC_H
#define HF_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

void put_u8(struct buf *b, uint8_t v);
void put_u16(struct buf *b, uint16_t v);
void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
void put_str(struct buf *b, struct str s); /* u32 length, then the bytes */

struct reader {
    const uint8_t *p, *end;
    bool failed;
};

static inline struct reader reader_of(const void *p, size_t n)
{
    const uint8_t *bytes = p; /* NULL where there are none, to which C adds not even 0 */
    return (struct reader){bytes, n ? bytes + n : bytes, false};
}

uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
struct str get_str(struct reader *r); /* points into the input */
/* A count of records of at least `min` bytes each: fails when that many cannot be left, so that it
 * may be trusted for an allocation. */
uint32_t get_count(struct reader *r, size_t min);
/* All was read and nothing failed. */
bool reader_done(const struct reader *r);

#endif
