/* What a node says of leases, from anybody: what is understood reads the same when it is written
 * again. */
#include <stddef.h>
#include <stdint.h>

#include "wire/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lease_message m[LEASE_BATCH], again[LEASE_BATCH];
    struct lease_terms t, same;
    uint8_t out[LEASE_DATAGRAM_MAX];
    int n = lease_read(data, size, &t, m);
    CHECK(n < 0 || lease_is(data, size));
    CHECK(n <= LEASE_BATCH);
    if (n < 1)
        return 0;
    CHECK(lease_read(out, lease_write(&t, m, (uint32_t)n, out), &same, again) == n);
    CHECK(t.lease == same.lease && t.demote == same.demote && t.rho == same.rho);
    for (int i = 0; i < n; i++) {
        CHECK(m[i].kind == again[i].kind && m[i].refusal == again[i].refusal);
        CHECK(m[i].role == again[i].role && m[i].epoch == again[i].epoch);
        CHECK(m[i].incarnation == again[i].incarnation && m[i].round == again[i].round);
        CHECK(m[i].voters == again[i].voters && m[i].seen == again[i].seen);
        CHECK(m[i].wait == again[i].wait);
    }
    return 0;
}
