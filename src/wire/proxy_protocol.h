/* proxy_protocol: who the client is, said by the proxy before ours or told to the instance behind
 * us (haproxy's PROXY protocol, versions 1 and 2). Pure: bytes in, structure out.
 *
 * A connection that should begin with such a header and does not is refused: guessing would let a
 * client name its own address. */
#ifndef HF_PROXY_PROTOCOL_H
#define HF_PROXY_PROTOCOL_H

#include "base/base.h"

enum {
    PROXY_HEADER_MAX = 4096, /* of version 2 with its extensions; version 1 has at most 107 bytes */
    PROXY_HEADER_WRITTEN_MAX = 240,
};

/* An extension of our own (of the types that are left to users): the connection comes from a node
 * of the cluster that is not the primary's, and must not be passed on once more. */
enum { PROXY_TLV_HOP = 0xe7, PROXY_HOP_VERSION = 1 };
enum { PROXY_HOP_MARKED = 1 /* the sender understands the mark of an orderly end */ };

enum { PROXY_MORE = 0, PROXY_DONE = 1, PROXY_REFUSED = -1 };

struct proxy_header {
    uint32_t bytes;  /* of the header, all extensions included */
    uint8_t version; /* 1 or 2 */
    bool local;      /* the sender speaks for itself (version 2 LOCAL, version 1 UNKNOWN): keep the
                        connection's own addresses */
    bool hop;        /* it has PROXY_TLV_HOP, of a version that is known here */
    uint8_t hop_flags;    /* PROXY_HOP_*; unknown ones are ignored */
    struct addr from, to; /* kind ADDR_NONE where the sender gave none */
};

/* Parses a header at the start of p, of either version. PROXY_REFUSED: no valid header; *why is one
 * sentence. */
int proxy_header_parse(const char *p, size_t n, struct proxy_header *out, const char **why);

/* Writes the header of a version. Where the families differ, an IP client's address stays as it is
 * and the other is mapped to its family or left open (0.0.0.0, ::); a client that has none, or a
 * Unix one in version 1, is written as unknown. Returns its length, at most
 * PROXY_HEADER_WRITTEN_MAX. */
size_t proxy_header_write(uint8_t version, const struct addr *from, const struct addr *to,
                          char out[PROXY_HEADER_WRITTEN_MAX]);
/* One of version 2 with PROXY_TLV_HOP; both are IP addresses. */
size_t proxy_header_write_hop(const struct addr *from, const struct addr *to, uint8_t flags,
                              char out[PROXY_HEADER_WRITTEN_MAX]);

#endif
