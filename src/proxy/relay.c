/* relay: bytes both ways without a look, for a connection that switched protocols.
 *
 * Each way has one block: what was read and not yet taken by the other side. A side that ends (FIN)
 * has its end passed on when its last byte has been, and the other way goes on: a half-closed
 * connection is a connection. A side that breaks ends both. */
#include <sys/socket.h>

#include "proxy/internal.h"

/* Moves what can be moved from one side to the other; adds the bytes to *moved. True: there is more
 * to do, but others wait too. */
static bool pass(struct stream *from, struct stream *to, struct worker *w, uint64_t *moved)
{
    for (int i = 0; i < READ_BATCH; i++) {
        if (!stream_bytes(from).n && !stream_fill(from, w))
            break;
        if (!to->writable || to->broken)
            return false;
        size_t n = stream_send(to, (struct str){0}, stream_bytes(from));
        stream_consume(from, w, n);
        *moved += n;
    }
    if (from->eof && !stream_bytes(from).n && !to->fin_sent) {
        to->fin_sent = true;
        shutdown(to->io.fd,
                 SHUT_WR); /* fails only when the side is gone, which its next event tells */
    }
    return from->readable && !from->eof && !from->broken && to->writable;
}

void relay_run(struct exchange *x)
{
    struct client *c = x->client;
    struct stream *client = &c->s, *instance = &x->up->s;
    uint64_t in = 0, out = 0;
    bool more = pass(client, instance, c->worker, &in);
    if (client_flush(c))
        more = pass(instance, client, c->worker, &out) || more;
    x->body_bytes += in;
    x->bytes_out += out;
    if (in + out)
        x->active_at = loop_now(c->worker->loop);
    bool both_ended = client->fin_sent && instance->fin_sent;
    if (client->broken || instance->broken || both_ended)
        client_close(c);
    else if (more)
        loop_defer(c->worker->loop, &c->resume);
}
