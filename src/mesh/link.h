/* link: an encrypted, authenticated stream of messages between two ends that share a secret: two
 * nodes with a cluster key, or a node and a guest with a one-time token.
 *
 * TLS 1.3 (RFC 8446) and nothing older, one cipher suite (TLS_AES_256_GCM_SHA384), X25519, a
 * pre-shared key given from outside (RFC 9257) and always an exchange of fresh keys beside it
 * (psk_dhe_ke): who records everything and learns the secret later reads nothing. No certificates,
 * no tickets, no early data. The pre-shared key is
 *
 *     HKDF-SHA256(secret, salt "holdfast link 1", info = identity)
 *
 * so that each identity has its own. Nodes call themselves "KEYID:CLUSTER:FROM:TO" (hexadecimal;
 * CLUSTER and nodes as node_id has them): with both ends named, what one end says cannot be turned
 * back at itself (N. Drucker, S. Gueron, "Selfie: reflections on TLS 1.3 with PSK", 2019). An
 * identity that is not known gets a random key: it fails as a wrong key does, and tells nobody who
 * is known here.
 *
 * Inside, frames (link_frame.h). The first of either end is its hello: the versions of this
 * protocol that it speaks. The highest that both speak holds; none in common ends the link. An end
 * that has nothing to say says so every LINK_PING_NS; one that is not heard for LINK_SILENCE_NS is
 * gone.
 *
 * One thread, one loop. A link belongs to whoever made it until `gone` has been called or link_end
 * returns; it frees itself. Callbacks come from the loop, never from inside a function of this
 * header; in them everything may be called but the ending of link_tls. All memory of ours is
 * mem.h's; what OpenSSL takes for itself is OpenSSL's. */
#ifndef HF_MESH_LINK_H
#define HF_MESH_LINK_H

#include "base/base.h"
#include "mesh/link_frame.h"
#include "os/os.h"

enum {
    LINK_SECRET = 32,
    LINK_IDENTITY_MAX = 128,
    LINK_VERSION_LOW = 1, /* of the protocol: what this program speaks */
    LINK_VERSION_HIGH = 1,
    LINK_UNPROVEN_MAX = 16 * 1024, /* bytes that an end takes before the other has its proof */
    LINK_QUEUE_MAX = 1024 * 1024,  /* bytes that wait to be sent */
};
#define LINK_HANDSHAKE_NS (5 * NS_PER_S) /* to be up, from the connection on */
#define LINK_PING_NS      (2 * NS_PER_S)
#define LINK_SILENCE_NS   (10 * NS_PER_S)

/* Why a link ended, or never came to be. */
enum link_why {
    LINK_GOODBYE,     /* the other end closed it in order */
    LINK_UNREACHABLE, /* nobody accepts the connection */
    LINK_LATE,        /* the proof took too long */
    LINK_PLAIN,       /* what came is no TLS 1.3 */
    LINK_KEY,         /* one end has not the other's key, or does not know it */
    LINK_FLOOD,       /* too many bytes without a proof */
    LINK_MALFORMED,   /* frames or hello */
    LINK_VERSION,     /* no version in common */
    LINK_SILENT,      /* nothing was heard for too long */
    LINK_BROKEN,      /* the connection was reset or cut */
    LINK_NOMEM,
    LINK_DROPPED, /* by this end: made room, replaced, unwanted */
    LINK_WHYS
};
/* "goodbye", "unreachable", ... for metrics and logs. */
const char *link_why_name(enum link_why w);

struct link;
struct link_host {
    /* The other end says that it is `identity`: the secret it must have. Must not end the link.
     * False: nobody is known by that name. Accepting links only. */
    bool (*secret)(struct link *k, struct str identity, uint8_t out[LINK_SECRET]);
    void (*up)(struct link *k);
    void (*message)(struct link *k, uint16_t kind, struct str bytes);
    /* It has ended; text: one phrase more than `why` for people. */
    void (*gone)(struct link *k, enum link_why why, const char *text);
};

/* What all links of a node share. */
struct link_tls;
int link_tls_new(struct link_tls **out, struct err *e);
void link_tls_free(struct link_tls *t); /* NULL is allowed; after the links */
/* Another range of versions than this program's, for tests of other releases; and other times than
 * LINK_HANDSHAKE_NS, LINK_PING_NS and LINK_SILENCE_NS. */
void link_tls_versions(struct link_tls *t, uint16_t low, uint16_t high);
void link_tls_times(struct link_tls *t, uint64_t handshake, uint64_t ping, uint64_t silence);

/* Connects to `at` as `identity` with its secret; owner is for the host's use. h must stay. */
int link_connect(struct link **out, struct link_tls *t, struct loop *l, const struct addr *at,
                 struct str identity, const uint8_t secret[LINK_SECRET], const struct link_host *h,
                 void *owner, struct err *e);
/* Takes fd, an accepted connection, on failure too. */
int link_accept(struct link **out, struct link_tls *t, struct loop *l, int fd,
                const struct addr *from, const struct link_host *h, void *owner, struct err *e);
/* Ends it: what is queued is lost, `gone` is not called. */
void link_end(struct link *k);
/* Ends it when all that is queued has been sent; no message is heard any more. `gone` is called. */
void link_finish(struct link *k);

/* Queued. ERR_BUSY when LINK_QUEUE_MAX bytes wait, ERR_LIMIT when it is longer than
 * LINK_MESSAGE_MAX, ERR_ABSENT while the link is not up, ERR_NOMEM. Kinds above LINK_KINDS_OWN are
 * ours. */
int link_send(struct link *k, uint16_t kind, struct str bytes, struct err *e);
bool link_is_up(const struct link *k);
bool link_is_proven(const struct link *k); /* the other end has the key */
void *link_owner(const struct link *k);
const struct addr *link_peer(const struct link *k);
struct str link_identity(const struct link *k);
uint16_t link_version(const struct link *k); /* that both speak; 0 while it is not up */
size_t link_queued(const struct link *k);    /* bytes */

#endif
