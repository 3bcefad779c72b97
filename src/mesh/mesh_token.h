/* mesh_token: one-time tokens with which a new machine asks a node for the cluster's keys.
 *
 * A token is text: "hf1." and base64url (RFC 4648, section 5) of where the node is, the cluster's
 * name, the token's id, 32 random bytes, and a checksum against letters that were lost on the way.
 * From the 32 bytes come two keys (HKDF-SHA256): one for the link (link.h), so that only who has
 * the token is heard and both ends know each other, and one to be shown inside it. The node keeps
 * the first, for there is no other way to speak TLS with it, and of the second only a digest: who
 * reads the node's file cannot join with what stands in it.
 *
 * The book of tokens is STATE/tokens, one line a token; used and expired ones stay for a day, so
 * that a second use is told from a stranger. A token counts as used when that is on the disk, which
 * is before anything is handed out. At most TOKENS_MAX are open at a time.
 *
 * Belongs to control: one thread. Times are the wall clock's, for tokens outlive a restart. */
#ifndef HF_MESH_TOKEN_H
#define HF_MESH_TOKEN_H

#include "base/base.h"
#include "mesh/seal.h"
#include "os/os.h"

enum {
    TOKENS_MAX = 32, /* open at a time */
    TOKEN_TEXT_MAX = 512,
    TOKEN_NAME_MAX = 255, /* of clusters and nodes */
    TOKEN_PROOF = 32,
};
#define TOKEN_TTL_MIN     (1 * NS_PER_S)
#define TOKEN_TTL_DEFAULT (600 * NS_PER_S)
#define TOKEN_TTL_MAX     (7 * 24 * 3600 * NS_PER_S)

struct token {
    struct addr at; /* of the node that made it */
    char cluster[TOKEN_NAME_MAX + 1];
    uint64_t id;
    uint8_t secret[SEAL_SECRET];
};
/* Appends the text; out->failed tells whether memory was out. */
void token_print(const struct token *t, struct buf *out);
/* ERR_INVAL, with what to do, when it is no token or not a whole one. */
int token_parse(struct str text, struct token *out, struct err *e);
void token_wipe(struct token *t);
/* The two keys of its secret. False: memory is out. */
bool token_link_key(const uint8_t secret[SEAL_SECRET], uint8_t out[SEAL_SECRET]);
bool token_proof(const uint8_t secret[SEAL_SECRET], uint8_t out[TOKEN_PROOF]);

/* As the book has it. */
struct token_entry {
    uint64_t id, expires_at, used_at; /* wall ns; used_at 0: it has not been */
    uint8_t link_key[SEAL_SECRET];
    uint8_t proof[DIGEST_BYTES];   /* SHA-256 of it */
    char node[TOKEN_NAME_MAX + 1]; /* for this one alone; "" for any */
    char by[TOKEN_NAME_MAX + 1];   /* which node used it */
};

struct tokens;
/* path: of the book; one that is not there is empty. */
int tokens_open(struct tokens **out, const char *path, struct err *e);
void tokens_free(struct tokens *t); /* NULL is allowed */
/* A new one, kept; *out holds its secret. node: "" for any. ERR_LIMIT: too many are open;
 * ERR_INVAL: ttl; ERR_IO. */
int tokens_make(struct tokens *t, struct str cluster, const struct addr *at, struct str node,
                uint64_t ttl, uint64_t now, struct token *out, struct err *e);
/* Of whatever token is in the book, used ones too: its end learns why it is refused. */
bool tokens_link_key(const struct tokens *t, uint64_t id, uint8_t out[SEAL_SECRET]);
/* Uses it up. ERR_DENIED with the reason: used, expired, for another node, forged; ERR_IO: nothing
 * has changed. */
int tokens_use(struct tokens *t, uint64_t id, const uint8_t proof[TOKEN_PROOF], struct str node,
               uint64_t now, struct err *e);
uint32_t tokens_count(const struct tokens *t, uint64_t now); /* that are open */

#endif
