#include "admin/protobuf.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2 };

void protobuf_varint(struct buf *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_add(out, bytes, n);
}

static void tag(struct buf *out, uint32_t field, enum wire_type type)
{
    CHECK(field >= 1 && field < 1u << 29);
    protobuf_varint(out, (uint64_t)field << 3 | type);
}

void protobuf_uint(struct buf *out, uint32_t field, uint64_t v)
{
    tag(out, field, WIRE_VARINT);
    protobuf_varint(out, v);
}

/* Small numbers stay short on either side of zero. */
static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

void protobuf_sint(struct buf *out, uint32_t field, int64_t v)
{
    protobuf_uint(out, field, zigzag(v));
}

void protobuf_packed_sint(struct buf *out, int64_t v)
{
    protobuf_varint(out, zigzag(v));
}

void protobuf_double(struct buf *out, uint32_t field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    tag(out, field, WIRE_64);
    put_u64(out, bits);
}

void protobuf_bytes(struct buf *out, uint32_t field, struct str bytes)
{
    tag(out, field, WIRE_BYTES);
    protobuf_varint(out, bytes.n);
    buf_add_str(out, bytes);
}
