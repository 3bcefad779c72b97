/* session: what two nodes share after a handshake: a key for each direction, the counters sent and
 * seen. Zero-initialised it is none. Pure but for libcrypto. */
#ifndef HF_MESH_SESSION_H
#define HF_MESH_SESSION_H

#include "mesh/hello.h"

struct aead;

enum {
    SESSION_SEEN = 2 * SEAL_WINDOW / 64
};                              /* words: cleared whole, they hold the window anywhere */
#define SESSION_LAST UINT32_MAX /* counter of the last datagram */
#define SESSION_OLD  (SESSION_LAST - (1u << 24)) /* from here on it is due to be replaced */

struct session {
    struct aead *out, *in; /* NULL: no session */
    struct hello hello;    /* the WELCOME that made it: ids, nonces, key, session id */
    bool mine;             /* this node began it */
    uint64_t born;
    uint32_t sent, highest; /* counters; 0: none yet */
    uint64_t seen[SESSION_SEEN];
};

static inline bool session_live(const struct session *s)
{
    return s->out != NULL;
}

/* From a WELCOME, said or heard. False: memory is out, and s is none. */
bool session_begin(struct session *s, const struct hello *welcome, bool mine,
                   const uint8_t secret[SEAL_SECRET], uint64_t now);
void session_end(struct session *s);

/* Bytes written, n + SEAL_OVERHEAD; 0: its counters are used up, or libcrypto is out of memory. */
size_t session_seal(struct session *s, const uint8_t tag[FRAME_TAG], const void *p, size_t n,
                    uint8_t *out);
/* A SEALED datagram with the id of s, opened in place: SEAL_OK, SEAL_FORGED, SEAL_REPLAYED.
 */
enum seal_result session_open(struct session *s, uint8_t *datagram, size_t n);

/* Where things are in a SEALED datagram. */
enum { SEALED_FROM = FRAME_HEADER, SEALED_SID = 16, SEALED_COUNTER = 20, SEALED_BODY = 24 };

#endif
