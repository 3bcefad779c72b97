/* seal: keys, sessions, sealed datagrams. docs/mesh.md, "Sessions and sealing", is the protocol.
 *
 * No socket, no clock, no randomness of its own: `now` and `entropy` come in, so that a simulator
 * can replay a run. One seal belongs to one node and one thread. Secrets are wiped when they end
 * and never logged. */
#ifndef HF_SEAL_H
#define HF_SEAL_H

#include "base/base.h"

enum {
    SEAL_SECRET = 32,  /* bytes of a cluster key */
    SEAL_KEYS_MAX = 8, /* in a key file */
    SEAL_DATAGRAM_MAX = 1200,
    SEAL_OVERHEAD = 40, /* bytes at most that sealing adds */
    SEAL_WINDOW = 1024, /* counters below the highest that may still come */
};

struct seal_key {
    uint32_t id; /* of its SHA-256; names it in datagrams and to people */
    bool use;    /* seals; the others are only understood */
    uint8_t secret[SEAL_SECRET];
};
struct keyring {
    uint32_t n; /* 0: none */
    struct seal_key keys[SEAL_KEYS_MAX];
};
/* The text of a key file; errors name the line and never the secret. */
int keyring_parse(struct str text, struct keyring *out, struct err *e);
void keyring_print(const struct keyring *k, struct buf *out);
const struct seal_key *keyring_in_use(const struct keyring *k);
void keyring_wipe(struct keyring *k);

/* The id of a node on the wire. */
uint64_t node_id(struct str cluster, struct str node);

enum seal_result {
    SEAL_OK,      /* a payload */
    SEAL_REPLY,   /* no payload; `reply` is to be sent back */
    SEAL_NOTHING, /* fine, nothing to do */
    SEAL_SHORT,
    SEAL_VERSION,
    SEAL_CLUSTER,
    SEAL_KEY,
    SEAL_FORGED,
    SEAL_REPLAYED, /* refused */
    SEAL_RESULTS
};
const char *seal_result_name(enum seal_result r);

struct seal_host {
    void *context;
    void (*entropy)(void *context, void *out, size_t n);
};
struct seal;
int seal_new(struct seal **out, struct str cluster, uint64_t self, const struct keyring *k,
             const struct seal_host *h, struct err *e);
void seal_free(struct seal *s);
/* Sessions that grew from keys that are gone end. */
void seal_set_keys(struct seal *s, const struct keyring *k);

/* Seals p for `to` into out (SEAL_DATAGRAM_MAX). Bytes written; if there is no session yet, they
 * are a HELLO and *sealed is false (at most one in 100 ms to a peer, else 0). */
size_t seal_write(struct seal *s, uint64_t to, const void *p, size_t n, uint64_t now, uint8_t *out,
                  bool *sealed);
struct seal_opened {
    uint64_t from;
    const uint8_t *p; /* payload, within the datagram's own memory (opened in place) */
    size_t n;
    uint8_t reply[128];
    size_t reply_n;
};
enum seal_result seal_read(struct seal *s, uint8_t *datagram, size_t n, uint64_t now,
                           struct seal_opened *out);
/* The peer is gone for good: its sessions end. */
void seal_forget(struct seal *s, uint64_t peer);
uint64_t seal_count(const struct seal *s, enum seal_result r);

#endif
