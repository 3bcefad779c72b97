/* protobuf: writes messages of Protocol Buffers, field by field. No descriptors, no reading: who
 * calls knows the message that it writes.
 *
 * A message inside another is written into a buffer of its own and then added as bytes, since its
 * length stands before it. Appending follows buf.h: check ->failed once at the end.
 *
 * Source: "Encoding", Protocol Buffers documentation. Pure. */
#ifndef HF_ADMIN_PROTOBUF_H
#define HF_ADMIN_PROTOBUF_H

#include "base/base.h"

/* A varint by itself, as before a message in a delimited stream. */
void protobuf_varint(struct buf *out, uint64_t v);

void protobuf_uint(struct buf *out, uint32_t field, uint64_t v); /* uint32, uint64, enum, bool */
void protobuf_sint(struct buf *out, uint32_t field, int64_t v);  /* sint32, sint64 */
void protobuf_double(struct buf *out, uint32_t field, double v);
/* A string, bytes, or a message that was written before; also packed numbers. */
void protobuf_bytes(struct buf *out, uint32_t field, struct str bytes);
/* One of a packed field's numbers: zigzag as sint32 and sint64 are. */
void protobuf_packed_sint(struct buf *out, int64_t v);

#endif
