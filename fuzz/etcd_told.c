/* What a member of etcd says of itself and of the others, or whatever is at its address: the first
 * byte says to what question. */
#include <stddef.h>
#include <stdint.h>

#include "coord/etcd_members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etcd_told t;
    struct err e = {0};
    if (size < 1)
        return 0;
    struct str body = {(const char *)data + 1, size - 1};
    enum etcd_question q = data[0] % ETCD_QUESTIONS;
    if (etcd_read_told(q, body, &t, &e)) {
        CHECK(e.code == -ERR_PROTO && e.text[0]);
        return 0;
    }
    CHECK(t.n <= ETCD_MEMBERS_MAX && t.n_full <= ETCD_MEMBERS_MAX && (!t.n_full || t.no_space));
    CHECK(memchr(t.version, 0, sizeof t.version));
    for (uint32_t i = 0; i < t.n; i++)
        CHECK(memchr(t.members[i].name, 0, ETCD_MEMBER_NAME) &&
              memchr(t.members[i].peer, 0, ETCD_MEMBER_URL));
    return 0;
}
