/* etcd_http: requests over HTTP on our loop, with libcurl. The only files that know libcurl.
 *
 * libcurl wants level-triggered sockets: it may stop reading before a socket is empty and relies on
 * being told again. Our loop is edge-triggered. So libcurl's sockets lie in an epoll instance of
 * their own, level-triggered, and the loop watches that instance: it becomes readable when one of
 * its sockets is ready, and is drained until nothing is ready any more (or, after a bounded number
 * of rounds, goes on in the loop's next turn, so that a fast sender starves nobody).
 *
 * libcurl must not be called from within its own callbacks. They only note what came; who waits is
 * told afterwards, from here, when libcurl has returned. So in on_data and on_done everything may
 * be done: start, stop, free calls, this one too.
 *
 * A request that must not be sent twice: when a kept connection turns out to be closed, libcurl
 * sends the request again on a new one, also a POST (Curl_retry_request). It asks
 * CURLOPT_PREREQFUNCTION before each sending: the first makes `sent` true, and of a call that is
 * `once` a second one is refused. `sent` false is a promise that no byte of the request left.
 *
 * TLS: authority, certificate and key are files, read here and handed over as bytes; when a file
 * changes, new connections use the new content (libcurl tells connections apart by it).
 *
 * libcurl's own memory is not from mem.h: 7.88 divides by zero some time after an allocation of its
 * own has failed (the hash of its sockets), so no test makes one fail. One thread. */
#ifndef HF_COORD_ETCD_HTTP_H
#define HF_COORD_ETCD_HTTP_H

#include "base/base.h"
#include "os/os.h"

struct etcd_http;

struct etcd_http_options {
    const char *ca, *cert, *key; /* files; NULL: none */
};

int etcd_http_new(struct etcd_http **out, struct loop *l, const struct etcd_http_options *o,
                  struct err *e);
/* Every call was stopped before. */
void etcd_http_free(struct etcd_http *h);
/* Reads the files again if they have changed. An error: what was read before stays in use. */
int etcd_http_refresh(struct etcd_http *h, struct err *e);

struct etcd_call {
    /* What is asked; to be set before etcd_call_start. */
    const char *base, *path;  /* of the URL; copied */
    const char *token;        /* for "Authorization"; NULL: none; copied */
    const char *const *lines; /* of the head, besides its own; not copied before the start */
    uint32_t n_lines;
    struct buf request; /* the body; not to be touched while it is under way */
    bool once;
    bool secret;         /* request and answer are wiped when they have been used */
    bool require_leader; /* the member ends it when it loses sight of a leader */
    uint64_t connect_ns; /* for name, connection and handshake */
    uint64_t limit_ns;   /* for all of it; 0: none */
    size_t answer_max;   /* bytes of the body that are kept */
    /* More of the answer lies in `answer`, to be taken from its front. NULL: it is kept until all
     * of it has come. What came together with its end is told by on_done alone. */
    void (*on_data)(struct etcd_call *c);
    void (*on_done)(struct etcd_call *c);

    /* What came of it. */
    struct buf answer;
    unsigned status; /* 0: no whole answer; why tells */
    bool sent;
    struct err why;

    /* private */
    struct etcd_http *http; /* NULL: not under way */
    void *easy;
    void *headers;
    struct list fresh; /* in http->fresh: data or its end is to be told */
    bool ended, overflow;
    int result;
    char detail[256];
};

void etcd_call_init(struct etcd_call *c, void (*on_done)(struct etcd_call *));
/* An error: nothing was started, and on_done is not called. */
int etcd_call_start(struct etcd_http *h, struct etcd_call *c, struct err *e);
static inline bool etcd_call_runs(const struct etcd_call *c)
{
    return c->http != NULL;
}
/* Forgets it: closes its connection if it is under way. on_done is not called. */
void etcd_call_stop(struct etcd_call *c);
/* Stops it and frees its buffers. */
void etcd_call_end(struct etcd_call *c);

#endif
