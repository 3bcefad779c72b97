/* cert: certificates that grow from a shared secret, by OpenSSL: who has the secret can make itself
 * one that all others who have it accept, and nobody has to be asked.
 *
 * The authority's key is derived (HKDF-SHA256, "holdfast coordinator authority") and its
 * certificate signed by itself; both are functions of the secret alone, so that every node has the
 * same bytes without a word said. Ed25519 (RFC 8032): its signatures are deterministic, any 32
 * bytes are a key, and all TLS 1.2 and 1.3 libraries of today know it, Go's since 1.13 (RFC 8410,
 * 8422).
 *
 * A node's key is random and stays on the node. Its certificate serves both as a server's and as a
 * client's: etcd's JSON gateway dials its own server with it.
 *
 * Validity is 1970 to 9999. What ends trust here is that the secret is replaced, which nodes do
 * together and without a clock; a date would only add a day on which every node fails at once, and
 * a machine whose clock starts in 1970 could not join. For the same reason there is no list of
 * revoked ones: whoever had a certificate had the secret. */
#ifndef HF_OS_CERT_H
#define HF_OS_CERT_H

#include "base/base.h"

enum {
    CERT_SECRET = 32,
    CERT_SECRETS = 8,
    CERT_ADDRESSES = 16,
    CERT_NAME_MAX = 64, /* of a node, without NUL: the bound of a common name (RFC 5280) */
    CERT_PEM_MAX = 16 * 1024,
};

/* Whom a certificate is for. */
struct cert_node {
    struct str name;              /* its common name, and a DNS name if it can be one */
    const struct addr *addresses; /* IP, ports are ignored; 1 to CERT_ADDRESSES */
    uint32_t n_addresses;
};

/* Appends the authority's certificate, PEM. ERR_NOMEM. */
int cert_authority(const uint8_t secret[CERT_SECRET], struct buf *pem, struct err *e);
/* A new key and a certificate for it, PEM. Wipe `key` before it is freed; CERT_PEM_MAX is reserved
 * in it, so that no copy stays behind. ERR_INVAL, ERR_NOMEM. */
int cert_issue(const uint8_t secret[CERT_SECRET], const struct cert_node *n, struct buf *cert,
               struct buf *key, struct err *e);
/* Is this key's certificate, issued under the secret, and for this node as it is now? */
bool cert_fits(const uint8_t secret[CERT_SECRET], const struct cert_node *n, struct str cert,
               struct str key);
/* Is the certificate good for server and client in the eyes of who trusts these authorities (PEM,
 * one or more)? ERR_DENIED with the reason. */
int cert_verify(struct str authorities, struct str cert, struct err *e);

/* What cert_write changed. A TLS server may have to be told: etcd reads a new certificate by
 * itself, and new authorities when it starts. */
struct cert_changes {
    bool authorities, node;
};
/* Brings a directory up to date: ca.pem (the authorities of all n secrets, newest first), node.pem
 * and node.key (under secrets[use]; kept as long as they fit). The directory is made with mode
 * 0700, the files have 0600, are fsynced and renamed. *c may be NULL. */
int cert_write(const char *dir, const uint8_t (*secrets)[CERT_SECRET], uint32_t n, uint32_t use,
               const struct cert_node *node, struct cert_changes *c, struct err *e);

#endif
