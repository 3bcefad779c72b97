/* An answer to a check, cut anywhere: the probe stays inside its memory, and how the bytes were cut
 * makes no difference to what it decides. The first bytes choose the wanted text and the cut. */
#include <stddef.h>
#include <stdint.h>

#include "detect/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int result;
    uint16_t status;
    const char *why;
};

static struct outcome run(struct str text, const char *p, size_t n, size_t piece)
{
    static struct probe probe;
    CHECK(probe_init(&probe, 200, 399, text));
    int r = PROBE_MORE;
    for (size_t at = 0; at < n && r == PROBE_MORE; at += piece)
        r = probe_feed(&probe, p + at, MIN(piece, n - at));
    if (r == PROBE_MORE)
        r = probe_end(&probe);
    CHECK(r == PROBE_OK || r == PROBE_BAD);
    CHECK((r == PROBE_BAD) == (probe.why != NULL));
    CHECK(r == PROBE_BAD || (probe.status >= 200 && probe.status <= 399));
    return (struct outcome){r, probe.status, probe.why};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 2;
    size_t n = size - 2, text_n = data[0] % 8, piece = 1 + data[1] % 64;
    struct str text = {p + (n > text_n ? n - text_n : 0), MIN(text_n, n)}; /* it does occur */
    struct outcome whole = run(text, p, n, n ? n : 1);
    struct outcome cut = run(text, p, n, piece);
    CHECK(whole.result == cut.result && whole.status == cut.status && whole.why == cut.why);
    return 0;
}
