/* link_frame: the messages of a link, as bytes. Pure.
 *
 *     u32 length of the body | u16 kind | u16 version | body           little-endian
 *
 * The first frame of either end is its hello (LINK_HELLO): u16 lowest and u16 highest version that
 * it speaks, str its program's version for people; what follows is for later releases and not read.
 * Its own version is 0; that of all others is the one that both speak. Kinds below LINK_KINDS_OWN
 * belong to the mesh (enum mesh_kind); those that a node does not know it passes over. */
#ifndef HF_MESH_LINK_FRAME_H
#define HF_MESH_LINK_FRAME_H

#include "base/base.h"

enum {
    LINK_FRAME_HEADER = 8,
    LINK_MESSAGE_MAX = 256 * 1024, /* bytes of a body */
    LINK_HELLO_MAX = 256,
    LINK_KINDS_OWN = 0xff00, /* from here on the link's own */
    LINK_HELLO = 0xff01,
    LINK_PING = 0xff02,
};

enum link_frame_result { LINK_FRAME_MORE, LINK_FRAME_WHOLE, LINK_FRAME_TOO_LONG };

struct link_frame {
    uint16_t kind, version;
    struct str body; /* within the bytes that were read */
    size_t bytes;    /* of all of it */
};

/* The frame at the start of p. max: of its body. */
enum link_frame_result link_frame_read(struct str p, size_t max, struct link_frame *out);
void link_frame_write(struct buf *b, uint16_t kind, uint16_t version, struct str body);

struct greeting {
    uint16_t low, high;
    struct str program;
};
bool greeting_read(struct str body, struct greeting *out);
void greeting_write(struct buf *b, const struct greeting *h);
/* The highest version that both speak; 0: none. */
uint16_t greeting_agree(const struct greeting *a, const struct greeting *b);

/* What a node calls itself towards another when it connects: "KEYID:CLUSTER:FROM:TO", or a guest:
 * "token:ID"; hexadecimal, lower case, with all zeros. */
struct identity {
    bool guest;
    uint32_t key;
    uint64_t cluster, from, to; /* node_id of the cluster without a node, and of the nodes */
    uint64_t token;
};
enum { IDENTITY_MAX = 8 + 3 * 17 };
bool identity_read(struct str s, struct identity *out);
size_t identity_write(const struct identity *i, char out[IDENTITY_MAX + 1]);

#endif
