/* By OpenSSL 3's EVP. The cipher is looked up once a key; a message only sets the nonce, which is
 * what makes small datagrams cheap. */
#include "os/aead.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

struct aead {
    EVP_CIPHER_CTX *seal, *open; /* each is made when it is first needed */
    uint8_t key[AEAD_KEY];
};

struct aead *aead_new(const uint8_t key[AEAD_KEY])
{
    struct aead *a = mem_zero(1, sizeof *a);
    if (a)
        memcpy(a->key, key, AEAD_KEY);
    return a;
}

void aead_free(struct aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->seal); /* wipes */
    EVP_CIPHER_CTX_free(a->open);
    wipe(a, sizeof *a);
    mem_free(a);
}

/* *c, with the key in it. NULL: memory is out. */
static EVP_CIPHER_CTX *keyed(EVP_CIPHER_CTX **c, const uint8_t *key, int encrypt)
{
    EVP_CIPHER_CTX *made = *c;
    if (made)
        return made;
    made = EVP_CIPHER_CTX_new();
    if (made && EVP_CipherInit_ex(made, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) == 1)
        return *c = made;
    EVP_CIPHER_CTX_free(made);
    return NULL;
}

static const uint8_t *bytes_of(struct str s)
{
    return (const uint8_t *)(s.n ? s.p : "");
}

/* Nonce and header, then the n bytes themselves. */
static bool feed(EVP_CIPHER_CTX *c, const uint8_t *nonce, struct str header, const uint8_t *p,
                 size_t n, uint8_t *out)
{
    int got;
    CHECK(n <= INT_MAX && header.n <= INT_MAX);
    return EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) == 1 &&
           EVP_CipherUpdate(c, NULL, &got, bytes_of(header), (int)header.n) == 1 &&
           (n == 0 || EVP_CipherUpdate(c, out, &got, p, (int)n) == 1);
}

bool aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct str header, const void *p,
               size_t n, uint8_t *out)
{
    int got;
    uint8_t none[AEAD_TAG];
    EVP_CIPHER_CTX *c = keyed(&a->seal, a->key, 1);
    return c && feed(c, nonce, header, p, n, out) && EVP_CipherFinal_ex(c, none, &got) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + n) == 1;
}

bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct str header, const uint8_t *p,
               size_t n, uint8_t *out)
{
    if (n < AEAD_TAG)
        return false;
    int got;
    uint8_t tag[AEAD_TAG], none[AEAD_TAG];
    EVP_CIPHER_CTX *c = keyed(&a->open, a->key, 0);
    memcpy(tag, p + n - AEAD_TAG, AEAD_TAG);
    if (c && feed(c, nonce, header, p, n - AEAD_TAG, out) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) == 1 &&
        EVP_CipherFinal_ex(c, none, &got) == 1)
        return true;
    memset(out, 0, n - AEAD_TAG); /* nobody reads what nobody vouches for */
    return false;
}

bool hmac_sha256(struct str key, struct str message, uint8_t out[HMAC_BYTES])
{
    unsigned n = 0;
    CHECK(key.n <= INT_MAX);
    return HMAC(EVP_sha256(), bytes_of(key), (int)key.n, bytes_of(message), message.n, out, &n) &&
           n == HMAC_BYTES;
}

/* T(i) = HMAC(key, T(i-1) || info || i), of which out takes as much as it needs. */
static bool expand(struct str key, struct str info, uint8_t *out, size_t n)
{
    uint8_t block[HMAC_BYTES + 256 + 1], t[HMAC_BYTES] = {0};
    size_t before = 0;
    bool ok = true;
    CHECK(info.n <= 256);
    for (uint8_t i = 1; ok && n; i++) {
        memcpy(block, t, before);
        memcpy(block + before, bytes_of(info), info.n);
        block[before + info.n] = i;
        ok = hmac_sha256(key, (struct str){(char *)block, before + info.n + 1}, t);
        size_t take = MIN(n, sizeof t);
        memcpy(out, t, ok ? take : 0);
        out += take;
        n -= take;
        before = sizeof t;
    }
    wipe(block, sizeof block);
    wipe(t, sizeof t);
    return ok;
}

bool hkdf_sha256(struct str secret, struct str salt, struct str info, uint8_t *out, size_t n)
{
    static const char zeros[HMAC_BYTES]; /* the salt of those who have none */
    uint8_t key[HMAC_BYTES];
    CHECK(n <= HKDF_MAX);
    bool ok = hmac_sha256(salt.n ? salt : (struct str){zeros, sizeof zeros}, secret, key) &&
              expand((struct str){(char *)key, sizeof key}, info, out, n);
    if (!ok)
        wipe(out, n);
    wipe(key, sizeof key);
    return ok;
}

void wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

bool same_bytes(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
