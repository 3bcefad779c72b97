/* Any bytes as a log, in pieces whose sizes the first byte draws: all lines come out, the words lie
 * in them and are the same with and without AVX2, and the miner keeps its bounds. */
#include <stddef.h>
#include <stdint.h>

#include "detect/logs/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(struct str line)
{
    struct words a, b;
    words_of(line, &a);
    words_of_portably(line, &b);
    CHECK(a.n == b.n && a.key == b.key && a.n <= WORDS_MAX);
    for (uint32_t i = 0; i < a.n; i++) {
        CHECK(a.from[i] < a.to[i] && a.to[i] <= line.n && a.from[i] == b.from[i]);
        CHECK(i == 0 || a.from[i] >= a.to[i - 1]);
        CHECK(i == 0 || a.hash[i] || a.hash[i - 1]);
    }
}

static void check_miner(const struct miner *m, uint64_t lines)
{
    uint64_t counted = 0;
    CHECK(miner_templates(m) <= 8 && miner_bytes(m) <= MINER_BYTES_MOST);
    for (uint32_t i = 0; i < miner_slots(m); i++)
        if (miner_slot(m, i))
            counted += miner_slot(m, i)->lines;
    CHECK(counted <= lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str all = {(const char *)data + 1, size - 1}, line;
    struct lines l = {0};
    struct miner *m = miner_new(8, NULL, NULL);
    uint64_t lines = 0, ends = 0;
    for (size_t at = 0; at < all.n; at += 1u + data[0]) {
        struct str bytes = {all.p + at, MIN(1u + data[0], all.n - at)};
        while (lines_next(&l, &bytes, &line)) {
            bool founded;
            check_words(line);
            miner_line(m, line, &founded);
            lines++;
        }
        CHECK(bytes.n == 0);
    }
    for (size_t i = 0; i < all.n; i++)
        ends += all.p[i] == '\n';
    CHECK(lines == ends || all.n > LINES_LONGEST);
    lines_last(&l, &line);
    check_miner(m, lines);
    miner_free(m);
    lines_free(&l);
    return 0;
}
