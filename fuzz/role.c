/* What a node says of its instances, from anybody: what is understood reads the same when it is
 * written again. */
#include <stddef.h>
#include <stdint.h>

#include "wire/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct role_message m[ROLE_BATCH], again[ROLE_BATCH];
    uint8_t out[ROLE_BYTES_MAX];
    int n = role_read(data, size, m);
    CHECK(n <= ROLE_BATCH);
    if (n < 1)
        return 0;
    CHECK(role_read(out, role_write(m, (uint32_t)n, out), again) == n);
    for (int i = 0; i < n; i++) {
        CHECK(m[i].kind == again[i].kind && m[i].flags == again[i].flags);
        CHECK(m[i].instance == again[i].instance && m[i].state == again[i].state);
        CHECK(m[i].role == again[i].role && m[i].epoch == again[i].epoch);
        CHECK(m[i].data == again[i].data && m[i].position == again[i].position);
        CHECK(m[i].incarnation == again[i].incarnation && m[i].load == again[i].load);
    }
    return 0;
}
