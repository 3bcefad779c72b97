/* Any bytes as datagrams to a node that has a session with another: as they are; as edits of a
 * genuine one (two bytes where, one byte what); and as the fields of a handshake of somebody who
 * has the key. Only the last may do anything, and whatever comes, the two nodes still speak in the
 * end. The first byte chooses. */
#include <stddef.h>
#include <stdint.h>

#include "mesh/hello.h"
#include "os/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct datagram {
    uint8_t p[SEAL_DATAGRAM_MAX + 64];
    size_t n;
};

static const struct seal_key key = {.id = 0x72cd6e84, .use = true, .secret = {1}};
static uint64_t now;

static void counted(void *context, void *out, size_t n)
{
    uint64_t *count = context;
    memset(out, 0, n);
    memcpy(out, count, MIN(n, sizeof *count));
    ++*count;
}

static struct seal *node(uint64_t self, uint64_t other, uint64_t *count)
{
    struct seal *s;
    const struct keyring k = {.n = 1, .keys = {key}};
    const struct seal_host h = {.context = count, .entropy = counted};
    CHECK(seal_new(&s, STR("prod"), self, &k, &h, NULL) == 0);
    CHECK(seal_know(s, other, NULL) == 0);
    return s;
}

static enum seal_result read_checked(struct seal *s, struct datagram *d, struct datagram *reply)
{
    struct seal_opened o;
    enum seal_result r = seal_read(s, d->p, d->n, now, &o);
    CHECK(r < SEAL_RESULTS && o.reply_n <= sizeof o.reply);
    CHECK(o.n == 0 || (o.p >= d->p && o.p + o.n <= d->p + d->n && r == SEAL_OK));
    memcpy(reply->p, o.reply, o.reply_n);
    reply->n = o.reply_n;
    return r;
}

/* What a writes to b, and all that follows. */
static enum seal_result speak(struct seal *a, struct seal *b)
{
    struct datagram d, reply;
    bool sealed;
    d.n = seal_write(a, 2, "hello", 5, now, d.p, &sealed);
    enum seal_result first = SEAL_NOTHING;
    for (int i = 0; i < 4 && d.n; i++, d = reply) {
        enum seal_result r = read_checked(i % 2 ? a : b, &d, &reply);
        first = i ? first : r;
    }
    return first;
}

/* A genuine one, edited, or with a code of its own making. */
static void disturb(struct seal *a, struct seal *b, uint8_t how, struct str bytes)
{
    struct datagram d = {.n = MIN(bytes.n, sizeof d.p)}, reply;
    bool sealed;
    if (how & 1) {
        d.n = seal_write(a, 2, "hello", 5, now, d.p, &sealed);
        for (size_t i = 0; d.n && i + 3 <= bytes.n; i += 3)
            d.p[((uint8_t)bytes.p[i] << 8 | (uint8_t)bytes.p[i + 1]) % d.n] =
                (uint8_t)bytes.p[i + 2];
    } else {
        memcpy(d.p, bytes.p, d.n);
    }
    if (how & 2 && d.n >= HELLO_SIZE) {
        uint8_t code[HMAC_BYTES], tag[FRAME_TAG];
        CHECK(frame_tag(STR("prod"), tag));
        frame_header(d.p, how & 4 ? FRAME_HELLO : FRAME_WELCOME, tag);
        le32_put(d.p + 8, key.id);
        le64_put(d.p + 12, 1);
        le64_put(d.p + 20, 2);
        CHECK(hmac_sha256((struct str){(const char *)key.secret, SEAL_SECRET},
                          (struct str){(const char *)d.p, d.n - HELLO_CODE}, code));
        memcpy(d.p + d.n - HELLO_CODE, code, HELLO_CODE);
    }
    read_checked(b, &d, &reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t count = 1;
    if (size < 1)
        return 0;
    now = UINT64_C(1000000000);
    struct seal *a = node(1, 2, &count), *b = node(2, 1, &count);
    if (!(data[0] & 8))
        speak(a, b);
    disturb(a, b, data[0], (struct str){(const char *)data + 1, size - 1});
    bool done = false;
    for (int i = 0; i < 8 && !done; i++, now += 4 * SEAL_HELLO_EVERY)
        done = speak(a, b) == SEAL_OK;
    CHECK(done);
    seal_free(a);
    seal_free(b);
    return 0;
}
