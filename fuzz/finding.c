/* What sense tells control: any bytes as the body. What is accepted is in range and encodes to the
 * same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "daemon/finding_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct sense_finding f;
    struct buf again = {0};
    if (!finding_get(&r, &f))
        return 0;
    CHECK(f.subject < SUBJECT_KINDS && f.signal.kind < FINDING_KINDS && f.name.n);
    CHECK(f.signal.verdict < VERDICTS && f.signal.weight >= 0 && f.signal.weight <= 1);
    CHECK(f.signal.says.n < FINDING_SAYS && f.signal.sample.n <= SENSE_SAMPLE_MAX);
    finding_put(&again, &f);
    CHECK(!again.failed && again.n == size && memcmp(again.p, data, size) == 0);
    buf_free(&again);
    return 0;
}
