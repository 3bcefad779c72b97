/* seal: keys, sessions, sealed datagrams. docs/mesh.md, "Sessions and sealing", is the protocol.
 *
 * No socket, no clock, no randomness of its own: `now` and `entropy` come in, so that a simulator
 * can replay a run. One seal belongs to one node and one thread. Secrets are wiped when they end
 * and never logged.
 *
 * Bounded: SEAL_PEERS_MAX peers, of which only those that the owner names (seal_know, or when
 * asked: host.member) can open sessions; two sessions a peer; per peer one HELLO in
 * SEAL_HELLO_EVERY and ten answers a second; in all SEAL_CHECKS handshakes a second are looked at.
 */
#ifndef HF_SEAL_H
#define HF_SEAL_H

#include "base/base.h"

enum {
    SEAL_SECRET = 32,  /* bytes of a cluster key */
    SEAL_KEYS_MAX = 8, /* in a key file */
    SEAL_DATAGRAM_MAX = 1200,
    SEAL_OVERHEAD = 40, /* bytes that sealing adds */
    SEAL_WINDOW = 1024, /* counters below the highest that may still come */
    SEAL_PEERS_MAX = 8192,
    SEAL_CHECKS = 2000, /* HELLOs and WELCOMEs a second whose authentication is checked */
};
#define SEAL_HELLO_EVERY UINT64_C(100000000) /* ns between HELLOs to a peer */

struct seal_key {
    uint32_t id; /* of its SHA-256; names it in datagrams and to people, as %08x */
    bool use;    /* seals; the others are only understood */
    uint8_t secret[SEAL_SECRET];
};
struct keyring {
    uint32_t n;                          /* 0: none */
    struct seal_key keys[SEAL_KEYS_MAX]; /* newest first */
};
enum { KEYRING_TEXT_MAX = 16 * 1024 };
/* The text of a key file; errors name the line and never the secret. */
int keyring_parse(struct str text, struct keyring *out, struct err *e);
/* Reserve KEYRING_TEXT_MAX before, and wipe the buffer after, so that no copy of it stays. */
void keyring_print(const struct keyring *k, struct buf *out);
const struct seal_key *keyring_in_use(const struct keyring *k); /* NULL: there is none */
const struct seal_key *keyring_find(const struct keyring *k, uint32_t id);
/* Puts a key first, whose state is accept; or use, when it is the only one. ERR_LIMIT, ERR_EXISTS,
 * ERR_NOMEM. */
int keyring_add(struct keyring *k, const uint8_t secret[SEAL_SECRET], struct err *e);
/* From now on this one seals. ERR_ABSENT. */
int keyring_use(struct keyring *k, uint32_t id, struct err *e);
/* ERR_ABSENT; ERR_DENIED for the one in use. */
int keyring_drop(struct keyring *k, uint32_t id, struct err *e);
void keyring_wipe(struct keyring *k);

/* Reads a key file; errors name it. ERR_ABSENT. */
int keyring_load(const char *path, struct keyring *out, struct err *e);
/* Replaces a key file that is there at once, with its mode and owner. ERR_ABSENT. */
int keyring_save(const char *path, const struct keyring *k, struct err *e);
/* Makes one that only its owner can read. ERR_EXISTS: there is one, and it stays. */
int keyring_create(const char *path, const struct keyring *k, struct err *e);

/* The id of a node on the wire; 0: memory is out. */
uint64_t node_id(struct str cluster, struct str node);

enum seal_result {
    SEAL_OK,       /* a payload */
    SEAL_REPLY,    /* no payload; part of a handshake */
    SEAL_NOTHING,  /* fine, nothing to do */
    SEAL_SHORT,    /* refused, all that follow: no length that its kind can have */
    SEAL_VERSION,  /* no datagram of ours, or of a version or kind that is not understood */
    SEAL_CLUSTER,  /* of another cluster */
    SEAL_KEY,      /* under a key that this node has not */
    SEAL_STRANGER, /* of a node that this one does not know, or for another node */
    SEAL_SESSION,  /* of a session that this node has not, or no more */
    SEAL_FORGED,
    SEAL_REPLAYED,
    SEAL_LIMITED, /* more handshakes than are looked at, or memory is out */
    SEAL_RESULTS
};
/* "ok", "reply", "nothing"; "short" ..: the stable names of reasons. */
const char *seal_result_name(enum seal_result r);

struct seal_host {
    void *context;
    void (*entropy)(void *context, void *out, size_t n);
    /* Asked about ids that seal_know did not name: may this one have sessions? NULL: no. */
    bool (*member)(void *context, uint64_t id);
};
struct seal;
int seal_new(struct seal **out, struct str cluster, uint64_t self, const struct keyring *k,
             const struct seal_host *h, struct err *e);
void seal_free(struct seal *s); /* NULL is allowed */
/* Sessions that grew from keys that are gone end; those of older keys than the one in use are
 * replaced while they go on. */
void seal_set_keys(struct seal *s, const struct keyring *k);
/* This peer may have sessions. Again: nothing. ERR_LIMIT, ERR_NOMEM; ERR_INVAL for the node itself.
 */
int seal_know(struct seal *s, uint64_t peer, struct err *e);
bool seal_knows(const struct seal *s, uint64_t peer);
/* The peer is gone for good: its sessions end. */
void seal_forget(struct seal *s, uint64_t peer);

/* Seals p (n <= SEAL_DATAGRAM_MAX - SEAL_OVERHEAD) for `to` into out (SEAL_DATAGRAM_MAX). Bytes
 * written; if there is no session yet, they are a HELLO and *sealed is false (at most one in
 * SEAL_HELLO_EVERY to a peer, else 0). */
size_t seal_write(struct seal *s, uint64_t to, const void *p, size_t n, uint64_t now, uint8_t *out,
                  bool *sealed);
/* To be called after what seal_write sealed: a HELLO into out when the session is due to be
 * replaced, mostly 0. */
size_t seal_renew(struct seal *s, uint64_t to, uint64_t now, uint8_t *out);

struct seal_opened {
    uint64_t from;    /* of SEAL_STRANGER: who it claims to be */
    const uint8_t *p; /* payload, within the datagram's own memory (opened in place) */
    size_t n;
    bool up;            /* a session with `from` has just come into use */
    uint8_t reply[128]; /* to be sent to `from` when reply_n is not 0, whatever the result */
    size_t reply_n;
};
enum seal_result seal_read(struct seal *s, uint8_t *datagram, size_t n, uint64_t now,
                           struct seal_opened *out);
uint64_t seal_count(const struct seal *s, enum seal_result r);

#endif
