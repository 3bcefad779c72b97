/* RESP from anybody, as commands and as replies: cut anywhere, its values end where they end in one
 * piece, and its words lie inside it. */
#include <stddef.h>
#include <stdint.h>

#include "wire/resp_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int frame_fn(struct resp_frame *f, const char *p, size_t n, size_t *used);

/* Where the first value ends; 0: nowhere in here. *bad: it is none. */
static size_t first_end(frame_fn *frame, const char *p, size_t n, size_t piece, bool *bad)
{
    struct resp_frame f = {0};
    *bad = false;
    for (size_t at = 0; at < n;) {
        size_t used, most = MIN(piece, n - at);
        int r = frame(&f, p + at, most, &used);
        CHECK(used <= most);
        at += used;
        if (r == RESP_DONE) {
            CHECK(at > 0 && resp_frame_between(&f));
            return at;
        }
        if (r == RESP_BAD) {
            *bad = true;
            return 0;
        }
        CHECK(used == most && !resp_frame_between(&f));
    }
    return 0;
}

static void try(frame_fn *frame, const char *p, size_t n)
{
    bool bad, bad_in_pieces;
    size_t end = first_end(frame, p, n, n, &bad);
    for (size_t piece = 1; piece < 8; piece += 3) {
        CHECK(first_end(frame, p, n, piece, &bad_in_pieces) == end);
        CHECK(bad == bad_in_pieces);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct str words[3];
    if (size == 0)
        return 0;
    try(resp_frame_reply, p, size);
    try(resp_frame_command, p, size);
    size_t n = resp_words(p, size, words, ARRAY_LEN(words));
    CHECK(n <= ARRAY_LEN(words));
    for (size_t i = 0; i < n; i++)
        CHECK(words[i].p >= p && words[i].p + words[i].n <= p + size);
    return 0;
}
