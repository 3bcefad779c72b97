/* aead: what the mesh needs of cryptography, by OpenSSL: AES-256-GCM (NIST SP 800-38D),
 * HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869), and forgetting.
 *
 * Deterministic: nonces come from the caller, who must never seal two messages under one key and
 * nonce. One struct aead belongs to one thread; it is made once a key and then costs well below a
 * microsecond a message. */
#ifndef HF_OS_AEAD_H
#define HF_OS_AEAD_H

#include "base/base.h"

enum { AEAD_KEY = 32, AEAD_NONCE = 12, AEAD_TAG = 16, HMAC_BYTES = 32, HKDF_MAX = 255 * 32 };

struct aead;

/* NULL: memory is out. */
struct aead *aead_new(const uint8_t key[AEAD_KEY]);
void aead_free(struct aead *a); /* NULL is allowed; the key is wiped */

/* out has n + AEAD_TAG bytes and may be p itself. False: libcrypto is out of memory. */
bool aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct str header, const void *p,
               size_t n, uint8_t *out);
/* p has n bytes, the tag at their end; out has n - AEAD_TAG and may be p itself. False: forged;
 * then out holds zeros. */
bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct str header, const uint8_t *p,
               size_t n, uint8_t *out);

/* False: memory is out. */
bool hmac_sha256(struct str key, struct str message, uint8_t out[HMAC_BYTES]);
/* n <= HKDF_MAX. False: memory is out; then out holds zeros. */
bool hkdf_sha256(struct str secret, struct str salt, struct str info, uint8_t *out, size_t n);

/* Zeros that no compiler leaves out. */
void wipe(void *p, size_t n);
/* Takes the same time wherever the two differ. */
bool same_bytes(const void *a, const void *b, size_t n);

#endif
