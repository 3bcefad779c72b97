/* What a node says of instances: what is understood keeps its bounds, and reads the same when it is
 * written again. */
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "wire/health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct str written, struct str bytes)
{
    struct health_reader a, b;
    struct health_record x, y;
    CHECK(health_check(written));
    health_open(&a, bytes);
    health_open(&b, written);
    CHECK(a.isolated == b.isolated);
    while (health_next(&b, &y)) {
        CHECK(health_next(&a, &x));
        CHECK(str_eq(x.service, y.service) && addr_eq(&x.instance, &y.instance));
        CHECK(x.verdict == y.verdict && x.reason == y.reason && x.certain == y.certain &&
              x.age_ms == y.age_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct health_reader h;
    struct health_writer w;
    struct health_record r;
    struct buf out = {0};
    if (!health_check(bytes))
        return 0;
    health_open(&h, bytes);
    health_begin(&w, &out, h.isolated);
    while (health_next(&h, &r)) {
        CHECK(r.service.n && r.service.n <= HEALTH_NAME_MAX && r.verdict < HEALTH_VERDICTS);
        if (!health_put(&w, &r))
            break;
    }
    CHECK(!out.failed && out.n <= HEALTH_MESSAGE_MAX);
    check_again(buf_str(&out), bytes);
    buf_free(&out);
    return 0;
}
