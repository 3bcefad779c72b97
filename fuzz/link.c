/* What a link carries inside TLS, from whoever has the key: any bytes as a stream of frames, as a
 * hello, and as the name by which an end that has proved nothing yet calls itself. What is accepted
 * lies within the input and is written the same again. */
#include <stddef.h>
#include <stdint.h>

#include "mesh/link_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const struct link_frame *f, struct str at)
{
    struct buf again = {0};
    CHECK(f->bytes >= LINK_FRAME_HEADER && f->bytes <= at.n);
    CHECK(f->body.p == at.p + LINK_FRAME_HEADER && f->body.n == f->bytes - LINK_FRAME_HEADER);
    link_frame_write(&again, f->kind, f->version, f->body);
    CHECK(again.n == f->bytes && memcmp(again.p, at.p, again.n) == 0);
    buf_free(&again);
}

/* A frame that is whole is not whole without its last byte. */
static void read_frames(struct str whole)
{
    struct link_frame f, cut;
    size_t frames = 0;
    while (link_frame_read(whole, LINK_MESSAGE_MAX, &f) == LINK_FRAME_WHOLE) {
        check_frame(&f, whole);
        CHECK(link_frame_read((struct str){whole.p, f.bytes - 1}, LINK_MESSAGE_MAX, &cut) ==
              LINK_FRAME_MORE);
        CHECK(f.body.n <= 256 || link_frame_read(whole, 256, &cut) == LINK_FRAME_TOO_LONG);
        whole = (struct str){whole.p + f.bytes, whole.n - f.bytes};
        CHECK(++frames <= SIZE_MAX / LINK_FRAME_HEADER);
    }
}

static void read_hello(struct str body)
{
    struct greeting h, ours = {1, 3, {"x", 1}};
    struct buf again = {0};
    if (!greeting_read(body, &h))
        return;
    CHECK(h.low > 0 && h.low <= h.high && h.program.n <= 64);
    uint16_t agreed = greeting_agree(&ours, &h);
    CHECK(agreed == greeting_agree(&h, &ours));
    CHECK(agreed == 0 || (agreed >= h.low && agreed <= h.high && agreed <= 3));
    greeting_write(&again, &h);
    CHECK(again.n <= body.n && memcmp(again.p, body.p, again.n) == 0);
    buf_free(&again);
}

static void read_identity(struct str name)
{
    struct identity who;
    char again[IDENTITY_MAX + 1];
    if (!identity_read(name, &who))
        return;
    CHECK(identity_write(&who, again) == name.n && memcmp(again, name.p, name.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = {(const char *)data, size};
    if (size == 0)
        return 0;
    read_frames(whole);
    read_hello(whole);
    read_identity(whole);
    return 0;
}
