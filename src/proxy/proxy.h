/* proxy: accept -> parse -> pick -> forward. The data plane.
 *
 * One main thread talks to the rest of holdfast through the host's functions; `view.workers`
 * threads serve, each with a loop, connections and pools of its own, sharing on the data path only
 * the listening sockets, the cells, and, where limits must hold for all of them, a few atomics. A
 * worker reads only the view that it took last and the verdicts in the cells: nobody above it needs
 * to be alive (static stability).
 *
 *   proxy.c       main thread: views in, acknowledgements out, drain
 *   worker.c      a thread: its loop and listeners; adopt.c takes a view
 *   common.c      what limits of a service share over workers; admission.c, circuit.c, throttle.c
 *                 and guard.c hold requests and connections to them
 *   pressure.c    who makes room when descriptors or places are short
 *   service.c     a service as one worker sees it: pool, targets with their judges, retry budget
 *   client.c      a client's connection: requests in, one after the other
 *   begin.c       from a parsed head to the first attempt
 *   route.c       which way a request goes (pure)
 *   rules.c       the header edits (pure)
 *   session.c     the instance that a cookie names
 *   answer.c      what the proxy says itself
 *   hedge.c       a second instance when the first is silent
 *   mirror.c      copies for another service
 *   exchange.c    one request and its attempts; request.c and response.c move its bytes
 *   upstream.c    a connection to an instance, in use or pooled
 *   stream.c      what the two kinds of connection have in common: a socket and a block
 *   front.c       services of kind primary: front.h has the files
 *   relay.c       bytes both ways without a look: TCP services, upgraded connections
 *   udp.c         datagram services: flows
 *   trace.c       what becomes of traceparent
 *   key.c         what a request is placed by (pure)
 *   retry.c       may this attempt be followed by another? (pure)
 *   access_log.c  lines out, never waiting for the disk
 *   log_line.c    one of them; exchange_log.c decides which requests have one
 *
 * docs/proxy.md tells the protocol of an exchange, the retry rules (I4) and every bound;
 * docs/gate.md those of services of kind primary. */
#ifndef HF_PROXY_H
#define HF_PROXY_H

#include "base/base.h"
#include "detect/detect.h"
#include "os/os.h"
#include "view/cells.h"
#include "view/view.h"

struct proxy;

enum { PROXY_SECRET_MAX = 128 };

/* What the proxy needs of its surroundings. All but `evidence` and `complain` are called on the
 * main thread. */
struct proxy_host {
    void *context;
    /* All workers serve this view now. */
    void (*view_taken)(void *context, uint64_t epoch);
    /* Something that a request told about an instance. Called on any worker's thread; must not
     * block. False: it was dropped. */
    bool (*evidence)(void *context, const struct signal *s);
    /* One sentence for the log. Called on any thread; must not block for long. */
    void (*complain)(void *context, const char *text);
    /* Every connection has ended after proxy_drain or proxy_hand_over. */
    void (*drained)(void *context);
};

/* l is the main thread's loop. cells->bank is the one to write. Nothing runs until the first view.
 */
int proxy_new(struct proxy **out, struct loop *l, const struct cells *cells,
              const struct proxy_host *host, struct err *e);

/* Takes the view and the descriptors in any case; fds[i] belongs to view->sockets[i], -1 where the
 * use is not the proxy's. view_taken follows when the workers have it. A view with another number
 * of workers than the first is ERR_INVAL. */
int proxy_take_view(struct proxy *p, struct view *v, int *fds, struct err *e);

/* Before the first view: it is taken and acknowledged, but nothing is accepted until proxy_accept.
 */
void proxy_hold(struct proxy *p);
void proxy_accept(struct proxy *p);

/* The cells of roles have changed (cells.h): whoever waits at a gate is not to wait for the next
 * look. */
void proxy_roles_changed(struct proxy *p);
/* What the gates of this service say to its instance from now on, in place of a client's password;
 * at most PROXY_SECRET_MAX bytes, empty: nothing. It is copied. */
int proxy_set_secret(struct proxy *p, struct str service, struct str secret, struct err *e);

/* Another proxy accepts from the same sockets now: this one lets go of them, goes on with the
 * connections that it has, and still takes views. An idle client may send one more request as long
 * as it is not silent for too long; each service's connections are cut after its drain time. */
void proxy_hand_over(struct proxy *p);

/* No new connections; those that are open end after their current response, idle ones within a
 * second, each service's by its drain time. */
void proxy_drain(struct proxy *p);

/* Ends the workers at once and frees everything. NULL is allowed. */
void proxy_free(struct proxy *p);

#endif
