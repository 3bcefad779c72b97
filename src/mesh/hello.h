/* hello: the bytes of a handshake, and the header that every datagram of the mesh begins with.
 *
 *     header   "HF", version 1, kind, tag of the cluster (4)
 *     HELLO    header, key id (4), from (8), to (8), minor (1), nonce A (16), ..., code (16)
 *     WELCOME  header, key id (4), from (8), to (8), minor (1), nonce A (16), nonce B (16),
 *              session id (4), ..., code (16)
 *     SEALED   header, from (8), session id (4), counter (4), ciphertext, tag (16)
 *
 * Numbers are little-endian. The code is the first half of HMAC-SHA256 under the cluster key over
 * all before it. A release that says more puts it where the dots are and raises `minor`; who does
 * not know it passes over it, authenticated as it is. Pure but for libcrypto. */
#ifndef HF_MESH_HELLO_H
#define HF_MESH_HELLO_H

#include "mesh/seal.h"

enum frame_kind { FRAME_HELLO = 1, FRAME_WELCOME, FRAME_SEALED, FRAME_PLAIN };
enum {
    FRAME_VERSION = 1,
    FRAME_MINOR = 0,
    FRAME_TAG = 4, /* bytes that tell clusters apart */
    FRAME_HEADER = 8,
    HELLO_NONCE = 16,
    HELLO_CODE = 16,
    HELLO_SIZE = FRAME_HEADER + 4 + 8 + 8 + 1 + HELLO_NONCE + HELLO_CODE,
    WELCOME_SIZE = HELLO_SIZE + HELLO_NONCE + 4,
};

/* Writes FRAME_HEADER bytes. */
void frame_header(uint8_t *out, enum frame_kind kind, const uint8_t tag[FRAME_TAG]);
/* Reads it: SEAL_OK, or why it is refused. */
enum seal_result frame_read(const uint8_t *p, size_t n, const uint8_t tag[FRAME_TAG],
                            enum frame_kind *kind);
/* False: memory is out. */
bool frame_tag(struct str cluster, uint8_t out[FRAME_TAG]);

/* Little-endian numbers to and from fixed places. */
void le32_put(uint8_t *p, uint32_t v);
void le64_put(uint8_t *p, uint64_t v);
uint32_t le32_get(const uint8_t *p);
uint64_t le64_get(const uint8_t *p);

struct hello {
    enum frame_kind kind; /* FRAME_HELLO or FRAME_WELCOME */
    uint32_t key, sid;    /* sid: of a WELCOME */
    uint64_t from, to;
    uint8_t minor;
    uint8_t a[HELLO_NONCE], b[HELLO_NONCE]; /* b: of a WELCOME */
};
/* Bytes written, at most WELCOME_SIZE; 0: memory is out. */
size_t hello_write(const struct hello *h, const uint8_t tag[FRAME_TAG],
                   const uint8_t secret[SEAL_SECRET], uint8_t *out);
/* The fields of a datagram whose header was read. False: too short. */
bool hello_read(const uint8_t *p, size_t n, enum frame_kind kind, struct hello *out);
/* Its code is of somebody who has the key. */
bool hello_genuine(const uint8_t *p, size_t n, const uint8_t secret[SEAL_SECRET]);

#endif
