#include "mesh/hello.h"

#include "os/os.h"

void le32_put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void le64_put(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

uint32_t le32_get(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t le64_get(const uint8_t *p)
{
    return le32_get(p) | (uint64_t)le32_get(p + 4) << 32;
}

void frame_header(uint8_t *out, enum frame_kind kind, const uint8_t tag[FRAME_TAG])
{
    out[0] = 'H';
    out[1] = 'F';
    out[2] = FRAME_VERSION;
    out[3] = (uint8_t)kind;
    memcpy(out + 4, tag, FRAME_TAG);
}

enum seal_result frame_read(const uint8_t *p, size_t n, const uint8_t tag[FRAME_TAG],
                            enum frame_kind *kind)
{
    if (n < FRAME_HEADER || n > SEAL_DATAGRAM_MAX)
        return SEAL_SHORT;
    if (p[0] != 'H' || p[1] != 'F' || p[2] != FRAME_VERSION || p[3] < FRAME_HELLO ||
        p[3] > FRAME_PLAIN)
        return SEAL_VERSION;
    *kind = (enum frame_kind)p[3];
    return memcmp(p + 4, tag, FRAME_TAG) == 0 ? SEAL_OK : SEAL_CLUSTER;
}

bool frame_tag(struct str cluster, uint8_t out[FRAME_TAG])
{
    uint8_t digest[DIGEST_BYTES];
    if (!digest_sha256(cluster, digest))
        return false;
    memcpy(out, digest, FRAME_TAG);
    return true;
}

/* The code over the n bytes at p. */
static bool code_of(const uint8_t *p, size_t n, const uint8_t secret[SEAL_SECRET],
                    uint8_t out[HELLO_CODE])
{
    uint8_t whole[HMAC_BYTES];
    bool ok = hmac_sha256((struct str){(const char *)secret, SEAL_SECRET},
                          (struct str){(const char *)p, n}, whole);
    if (ok)
        memcpy(out, whole, HELLO_CODE);
    wipe(whole, sizeof whole);
    return ok;
}

size_t hello_write(const struct hello *h, const uint8_t tag[FRAME_TAG],
                   const uint8_t secret[SEAL_SECRET], uint8_t *out)
{
    uint8_t *p = out + FRAME_HEADER;
    frame_header(out, h->kind, tag);
    le32_put(p, h->key);
    le64_put(p + 4, h->from);
    le64_put(p + 12, h->to);
    p[20] = h->minor;
    p += 21;
    memcpy(p, h->a, HELLO_NONCE);
    p += HELLO_NONCE;
    if (h->kind == FRAME_WELCOME) {
        memcpy(p, h->b, HELLO_NONCE);
        le32_put(p + HELLO_NONCE, h->sid);
        p += HELLO_NONCE + 4;
    }
    size_t n = (size_t)(p - out);
    return code_of(out, n, secret, p) ? n + HELLO_CODE : 0;
}

bool hello_read(const uint8_t *p, size_t n, enum frame_kind kind, struct hello *out)
{
    if (n < (size_t)(kind == FRAME_WELCOME ? WELCOME_SIZE : HELLO_SIZE))
        return false;
    p += FRAME_HEADER;
    *out = (struct hello){.kind = kind,
                          .key = le32_get(p),
                          .from = le64_get(p + 4),
                          .to = le64_get(p + 12),
                          .minor = p[20]};
    p += 21;
    memcpy(out->a, p, HELLO_NONCE);
    if (kind == FRAME_WELCOME) {
        memcpy(out->b, p + HELLO_NONCE, HELLO_NONCE);
        out->sid = le32_get(p + 2 * HELLO_NONCE);
    }
    return true;
}

bool hello_genuine(const uint8_t *p, size_t n, const uint8_t secret[SEAL_SECRET])
{
    uint8_t code[HELLO_CODE];
    return code_of(p, n - HELLO_CODE, secret, code) &&
           same_bytes(code, p + n - HELLO_CODE, HELLO_CODE);
}
