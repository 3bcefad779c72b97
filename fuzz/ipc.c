/* Messages between processes: any bytes as a datagram, and its body as every kind of field in turn.
 * Whatever comes, the reader stays inside the input, and what it accepts encodes to the same bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "daemon/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_signals(struct reader r)
{
    uint32_t n = get_count(&r, IPC_SIGNAL_BYTES);
    const uint8_t *from = r.p;
    struct buf again = {0};
    struct signal s;
    uint32_t taken = 0;
    while (taken < n && ipc_get_signal(&r, &s)) {
        ipc_put_signal(&again, &s);
        taken++;
    }
    CHECK(!again.failed && again.n == (size_t)taken * IPC_SIGNAL_BYTES);
    CHECK(again.n == 0 || memcmp(again.p, from, again.n) == 0);
    buf_free(&again);
}

static void read_sockets(struct reader r)
{
    get_u64(&r);
    uint32_t n = get_count(&r, 4);
    for (uint32_t i = 0; i < n; i++)
        get_u32(&r);
    CHECK(!r.failed || n == 0);
}

static void read_child(struct reader r)
{
    get_u32(&r);
    get_u32(&r);
    get_u32(&r);
    struct str what = get_str(&r);
    uint64_t sum = 0;
    for (size_t i = 0; i < what.n; i++)
        sum += (unsigned char)what.p[i];
    CHECK(what.n || sum == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t type = 0;
    struct reader body;
    struct err e;
    if (ipc_parse((struct str){(const char *)data, size}, &type, &body, &e)) {
        CHECK(e.code == -ERR_PROTO && e.text[0]);
        return 0;
    }
    CHECK(type > 0 && type < IPC_TYPES);
    CHECK((size_t)(body.end - body.p) == size - IPC_HEADER);
    read_signals(body);
    read_sockets(body);
    read_child(body);
    return 0;
}
