/* Messages of a Redis, or of whatever is at its address. What is accepted lies inside the input,
 * and a message ends where its framer says. */
#include <stddef.h>
#include <stdint.h>

#include "wire/resp.h"
#include "wire/resp_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str whole)
{
    CHECK(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void read_info(struct str info)
{
    struct str value, part;
    if (!resp_info(info, STR("slave0"), &value))
        return;
    inside(value, info);
    if (resp_info_part(value, STR("ip"), &part))
        inside(part, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    struct resp_reader r = resp_reader_of(all);
    struct resp_value v;
    while (resp_get(&r, &v)) {
        inside(v.text, all);
        CHECK(v.number == 0 || !v.null);
        struct resp_reader from = r;
        if (!resp_skip(&r, &v))
            break;
        CHECK(r.p >= from.p && r.p <= r.end && !r.failed);
        read_info(v.text);
    }
    struct resp_frame f = {0};
    size_t used = 0;
    r = resp_reader_of(all);
    if (size && data[0] != RESP_ATTRIBUTE && resp_get(&r, &v) && resp_skip(&r, &v) &&
        resp_frame_reply(&f, all.p, all.n, &used) == RESP_DONE)
        CHECK(used == (size_t)(r.p - all.p));
    return 0;
}
