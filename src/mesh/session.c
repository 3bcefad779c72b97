/* The window is a ring of bits, one for a counter, as RFC 6479 has it: moving forward clears whole
 * words, and as the ring is twice the window, no counter that may still come was cleared. */
#include "mesh/session.h"

#include "os/os.h"

_Static_assert(SEALED_BODY + AEAD_TAG == SEAL_OVERHEAD, "what seal.h promises");
_Static_assert((SESSION_SEEN & (SESSION_SEEN - 1)) == 0, "a ring of 2^n words");

static struct str bytes(const void *p, size_t n)
{
    return (struct str){p, n};
}

bool session_begin(struct session *s, const struct hello *welcome, bool mine,
                   const uint8_t secret[SEAL_SECRET], uint64_t now)
{
    static const char label[] = "holdfast mesh 1";
    uint8_t salt[2 * HELLO_NONCE], info[sizeof label - 1 + 16], keys[2 * AEAD_KEY];
    /* A began it: of a WELCOME that is `to`, whom B answers. */
    memcpy(salt, welcome->a, HELLO_NONCE);
    memcpy(salt + HELLO_NONCE, welcome->b, HELLO_NONCE);
    memcpy(info, label, sizeof label - 1);
    le64_put(info + sizeof label - 1, welcome->to);
    le64_put(info + sizeof label - 1 + 8, welcome->from);
    *s = (struct session){.hello = *welcome, .mine = mine, .born = now};
    if (hkdf_sha256(bytes(secret, SEAL_SECRET), bytes(salt, sizeof salt), bytes(info, sizeof info),
                    keys, sizeof keys)) {
        s->out = aead_new(keys + (mine ? 0 : AEAD_KEY));
        s->in = aead_new(keys + (mine ? AEAD_KEY : 0));
    }
    wipe(keys, sizeof keys);
    if (s->out && s->in)
        return true;
    session_end(s);
    return false;
}

void session_end(struct session *s)
{
    aead_free(s->out);
    aead_free(s->in);
    wipe(s, sizeof *s);
}

static void nonce_of(uint32_t counter, uint8_t out[AEAD_NONCE])
{
    memset(out, 0, AEAD_NONCE);
    le32_put(out, counter);
}

size_t session_seal(struct session *s, const uint8_t tag[FRAME_TAG], const void *p, size_t n,
                    uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE];
    if (s->sent == SESSION_LAST)
        return 0;
    s->sent++; /* also when sealing fails: a nonce is used at most once */
    frame_header(out, FRAME_SEALED, tag);
    le64_put(out + SEALED_FROM, s->mine ? s->hello.to : s->hello.from);
    le32_put(out + SEALED_SID, s->hello.sid);
    le32_put(out + SEALED_COUNTER, s->sent);
    nonce_of(s->sent, nonce);
    bool ok = aead_seal(s->out, nonce, bytes(out, SEALED_BODY), p, n, out + SEALED_BODY);
    return ok ? n + SEAL_OVERHEAD : 0;
}

static uint64_t *word_of(struct session *s, uint32_t counter)
{
    return &s->seen[counter / 64 % SESSION_SEEN];
}

static bool is_new(struct session *s, uint32_t counter)
{
    if (counter > s->highest)
        return true;
    if (counter == 0 || s->highest - counter > SEAL_WINDOW)
        return false;
    return !(*word_of(s, counter) >> counter % 64 & 1);
}

static void mark(struct session *s, uint32_t counter)
{
    if (counter > s->highest) {
        uint32_t ahead = MIN(counter / 64 - s->highest / 64, (uint32_t)SESSION_SEEN);
        for (uint32_t i = 0; i < ahead; i++)
            s->seen[(counter / 64 - i) % SESSION_SEEN] = 0;
        s->highest = counter;
    }
    *word_of(s, counter) |= UINT64_C(1) << counter % 64;
}

enum seal_result session_open(struct session *s, uint8_t *datagram, size_t n)
{
    uint8_t nonce[AEAD_NONCE], *body = datagram + SEALED_BODY;
    uint32_t counter = le32_get(datagram + SEALED_COUNTER);
    CHECK(n >= SEAL_OVERHEAD);
    if (!is_new(s, counter))
        return SEAL_REPLAYED;
    nonce_of(counter, nonce);
    if (!aead_open(s->in, nonce, bytes(datagram, SEALED_BODY), body, n - SEALED_BODY, body))
        return SEAL_FORGED;
    mark(s, counter);
    return SEAL_OK;
}
