#include "base/sip.h"

struct sip {
    uint64_t v[4];
    uint64_t tail; /* bytes that do not make a word yet, the first one lowest */
    uint64_t n;    /* bytes so far */
};

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static void rounds(struct sip *s, int n)
{
    uint64_t *v = s->v;
    while (n-- > 0) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
}

static void word(struct sip *s, uint64_t m)
{
    s->v[3] ^= m;
    rounds(s, 2);
    s->v[0] ^= m;
}

static void begin(struct sip *s, const struct sip_key *key)
{
    *s = (struct sip){
        .v = {key->k[0] ^ UINT64_C(0x736f6d6570736575), key->k[1] ^ UINT64_C(0x646f72616e646f6d),
              key->k[0] ^ UINT64_C(0x6c7967656e657261), key->k[1] ^ UINT64_C(0x7465646279746573)}};
}

static void feed(struct sip *s, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        s->tail |= (uint64_t)(unsigned char)bytes.p[i] << (s->n % 8 * 8);
        if (++s->n % 8 == 0) {
            word(s, s->tail);
            s->tail = 0;
        }
    }
}

static uint64_t end(struct sip *s)
{
    word(s, s->tail | s->n << 56);
    s->v[2] ^= 0xff;
    rounds(s, 4);
    return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

uint64_t sip_hash(const struct sip_key *key, struct str bytes)
{
    struct sip s;
    begin(&s, key);
    feed(&s, bytes);
    return end(&s);
}

uint64_t sip_pair(const struct sip_key *key, struct str a, struct str b)
{
    struct sip s;
    uint64_t n = a.n;
    begin(&s, key);
    feed(&s, (struct str){(const char *)&n, sizeof n});
    feed(&s, a);
    feed(&s, b);
    return end(&s);
}
