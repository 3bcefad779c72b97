/* digest: SHA-256 (FIPS 180-4), by OpenSSL. */
#ifndef HF_OS_DIGEST_H
#define HF_OS_DIGEST_H

#include "base/base.h"

enum { DIGEST_BYTES = 32 };

/* False: memory is out. */
bool digest_sha256(struct str bytes, uint8_t out[DIGEST_BYTES]);
/* HMAC (RFC 2104) with SHA-256. False: memory is out. */
bool digest_hmac(struct str key, struct str bytes, uint8_t out[DIGEST_BYTES]);
/* Takes the same time wherever the two differ. */
bool digest_same(const uint8_t a[DIGEST_BYTES], const uint8_t b[DIGEST_BYTES]);

#endif
