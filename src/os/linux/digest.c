/* SHA-256 by OpenSSL's libcrypto, which finds the fastest way that the processor has. */
#include "os/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

bool digest_sha256(struct str bytes, uint8_t out[DIGEST_BYTES])
{
    return SHA256((const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n, out) != NULL;
}

bool digest_hmac(struct str key, struct str bytes, uint8_t out[DIGEST_BYTES])
{
    unsigned n = 0;
    return HMAC(EVP_sha256(), key.n ? key.p : "", (int)key.n, (const unsigned char *)bytes.p,
                bytes.n, out, &n) != NULL;
}

bool digest_same(const uint8_t a[DIGEST_BYTES], const uint8_t b[DIGEST_BYTES])
{
    return CRYPTO_memcmp(a, b, DIGEST_BYTES) == 0;
}
