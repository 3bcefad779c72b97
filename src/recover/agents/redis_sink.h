/* redis_sink: a primary that says nothing. What a fenced Redis follows.
 *
 * A Redis must take nothing from its old primary from a moment on, and yet keep its place in the
 * stream: so that it can go on with a partial resynchronisation behind the new primary, and so that
 * others can fetch from it what they lack. One that follows nobody begins a history of its own
 * (REPLICAOF NO ONE), and one whose primary is out of reach serves no replica ("NOMASTERLINK"). So
 * it follows this: PSYNC with a place in a stream is answered by "+CONTINUE", and nothing ever
 * comes. PSYNC without one, of a Redis that has just started, is refused: it waits, read-only.
 *
 * Loopback only, a port that the kernel chooses. Whoever else connects gets nothing. */
#ifndef HF_RECOVER_REDIS_SINK_H
#define HF_RECOVER_REDIS_SINK_H

#include "base/base.h"
#include "os/os.h"
#include "wire/resp_frame.h"

enum { SINK_CLIENTS = 4, SINK_REQUEST = 1024 };

struct redis_sink;
struct sink_client {
    struct redis_sink *sink;
    int fd; /* -1: free */
    struct io io;
    struct resp_frame frame;
    uint32_t n;
    uint64_t at; /* when it came: the oldest makes room */
    char in[SINK_REQUEST];
};
struct redis_sink {
    struct loop *loop;
    int fd;
    struct io io;
    uint16_t port;
    struct sink_client clients[SINK_CLIENTS];
};
int redis_sink_open(struct redis_sink *s, struct loop *l, struct err *e);
void redis_sink_close(struct redis_sink *s); /* harmless on a zeroed one whose fd is -1 */

#endif
