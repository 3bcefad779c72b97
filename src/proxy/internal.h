/* internal: the structures that the files of this room share. Each belongs to one worker's thread,
 * but for those marked shared.
 *
 * Endings: a client, exchange or upstream is never freed inside a handler. It is closed (descriptor
 * gone, flag set), put on the worker's graveyard, and freed by a task when the batch of events is
 * done: whoever still holds a pointer up the call stack checks `closed`. */
#ifndef HF_PROXY_INTERNAL_H
#define HF_PROXY_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "balance/balance.h"
#include "os/os.h"
#include "proxy/access_log.h"
#include "proxy/common.h"
#include "proxy/key.h"
#include "proxy/pressure.h"
#include "proxy/proxy.h"
#include "proxy/retry.h"
#include "proxy/rules.h"
#include "proxy/udp.h"
#include "wire/cookie.h"
#include "wire/http1.h"
#include "wire/proxy_protocol.h"
#include "wire/trace_context.h"

/* Memory that is kept for reuse would hide from the address sanitizer who uses it too long. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP(n) 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP(n) 0
#endif
#endif
#ifndef KEEP
#define KEEP(n) (n)
#endif

enum {
    BLOCK_SIZE = 32 * 1024,     /* one read; also the largest head */
    BLOCKS_KEPT = KEEP(256),    /* free blocks that a worker keeps */
    EXCHANGES_KEPT = KEEP(256), /* the same of exchanges, */
    HEAD_KEPT = 4096,           /* with so many bytes of a head at most */
    HEAD_SLACK = 1024,          /* what rewriting may add to a head */
    HEAD_ROOM = 128,            /* what it may add where the head then stays before its body */
    ACCEPT_BATCH = 64,          /* connections accepted before others get their turn */
    PIPES_KEPT = 16,            /* empty pipes that a worker keeps */
    READ_BATCH = 16,            /* blocks moved for one connection before others get their turn */
    PARKED_MAX = 2048,          /* bytes of an unfinished head that give their block back */
    IDLE_PER_TARGET = 512,      /* pooled connections to one instance, per worker */
};
#define HOP_SILENT_NS                                                                              \
    (250 * NS_PER_MS) /* a client at a node's address that is silent so long is no node */
#define TICK_NS          (250 * NS_PER_MS) /* housekeeping of a worker */
#define UPSTREAM_IDLE_NS (55 * NS_PER_S)   /* a pooled connection unused for this long is closed */
#define LINGER_NS        (2 * NS_PER_S) /* to let the client read an answer that it did not wait for */
#define DRAIN_IDLE_NS                                                                              \
    (1 * NS_PER_S) /* for an idle client to send one more request before it is closed */

struct block {
    struct block *next;       /* in the free list */
    uint32_t start, end, cap; /* cap: BLOCK_SIZE, or less where few bytes were parked */
    char room[HEAD_ROOM];     /* before data, for stream_put_before */
    char data[];
};

/* A view and how many hold it. Shared. */
struct shared_view {
    struct shared_view *older; /* the main thread's list of those to close */
    atomic_uint refs;
    struct view *view;
    int *fds; /* the proxy's descriptors, by index in view->sockets; listening ones are closed when
                 all workers have moved on */
    bool *lent; /* by socket: the next view has the same descriptor and will close it. The main
                   thread's */
    struct common **commons; /* by service: what all workers share of it */
    uint64_t *revision; /* by service: equal to another view's where nothing has changed since */
    struct access_log **logs; /* by index in view->sockets */
};

/* What the main thread may ask of a worker. */
enum order { ORDER_ACCEPT = 1, ORDER_HAND_OVER = 2, ORDER_DRAIN = 4, ORDER_STOP = 8 };

enum grave { GRAVE_CLIENT, GRAVE_EXCHANGE, GRAVE_UPSTREAM, GRAVE_MIRROR, GRAVE_PASSAGE, GRAVES };

struct worker {
    struct proxy *proxy;
    uint32_t index, proxy_workers; /* this one of how many */
    uint32_t lane;                 /* its rows in the cells */
    pthread_t thread;
    bool running;
    struct loop *loop;
    struct cells cells;
    struct process_row *row;
    struct log_ring *log;
    uint64_t slow_second; /* when slow requests were told of last, and of how many */
    uint32_t slow_told, slow_untold;

    /* commands of the main thread */
    struct io command_io;
    int command_fd; /* eventfd */
    pthread_mutex_t command_lock;
    struct shared_view *inbox; /* the next view; holds a reference */
    unsigned orders;           /* bits of enum order */
    _Atomic uint64_t
        took; /* epoch of the view in use: whoever reads it sees the older one let go */

    struct shared_view *view;
    struct list services;        /* of the view in use; the list holds a reference of each */
    struct service **by_slot;    /* the same */
    struct list listeners;       /* of the view in use */
    struct listener **by_number; /* the same, by descriptor */
    uint32_t n_numbers;
    struct list retired;     /* listeners that left the view and still have clients */
    struct target **targets; /* by slot */
    struct list waiting;     /* lane_queues with requests */
    struct task admit;       /* serves them */
    struct list clients;
    struct list doors;   /* of services of kind primary: door.c */
    struct list mirrors; /* copies of requests under way: mirror.c */
    uint32_t n_mirrors;
    uint32_t n_clients, max_clients;
    struct pressure pressure;
    bool held; /* accepts nothing yet */
    bool draining, accept_paused;
    bool handed_over; /* draining while another proxy accepts: nobody is in a hurry */
    bool told_drained;
    bool ending; /* the process ends: counters stay for its successor */
    uint64_t drain_began, drain_deadline;
    struct timer tick;
    struct task bury;
    struct list graves[GRAVES]; /* by enum grave */
    int pipes[PIPES_KEPT][2];   /* empty ones, for relays */
    uint32_t n_pipes;
    struct list free_exchanges; /* exchange.grave; with the memory of their requests' heads */
    uint32_t n_free_exchanges;
    struct block *free_blocks;
    uint32_t n_free_blocks;
    struct sip_key secret; /* of the process: for keys that clients choose */
    struct limit *places;  /* the proxy's, by slot */
    struct prng prng;      /* draws among a route's targets, makes request ids */
    uint64_t date_second;
    char date[32];
    /* scratch: valid only inside one handler */
    struct http_head head;
    char out[BLOCK_SIZE + HEAD_SLACK];
};

/* --- service.c --- */

/* An instance as one worker sees it. Outlives views while its slot and address stay. */
struct target {
    uint32_t refs;
    struct worker *worker;
    uint32_t slot;
    struct addr addr;
    char name[ADDR_TEXT_MAX];
    struct judge judge;    /* of this worker's own requests */
    struct timer hold;     /* judge_deadline */
    uint32_t ok_unsaid;    /* answered requests not yet told to the judge */
    uint64_t seen_changes; /* of the instance_verdict row */
    struct list idle;      /* upstream.link, last used first */
    uint32_t n_idle;
    struct instance_row *row;
    struct service *service; /* the current one; NULL once it left the view */
    uint32_t member;         /* index in that service's pool */
    uint32_t inflight;       /* picked and not yet done */
    uint32_t placed;         /* of these, those that took a place (worker's places) */
};

struct service {
    struct list link; /* worker's services */
    uint32_t refs;
    uint64_t revision;          /* shared_view.revision: what it was made of */
    uint64_t epoch;             /* of the newest view that it is in; 0: not in use yet */
    struct shared_view *shared; /* holds what `conf` points into. A service that a reload leaves
                                   alone moves on to the new view: nothing keeps pointers into it */
    const struct view_service *conf;
    struct worker *worker;
    struct pool pool;
    struct budget budget;
    struct target **targets; /* by pool member */
    struct service_row *row;
    struct access_log *log;           /* NULL: none */
    struct log_format *format;        /* NULL: nothing is told of requests */
    uint32_t log_share;               /* thousandths of a line that are due */
    struct rules rules, *route_rules; /* the latter by index in conf->routes */
    struct common *common;            /* holds a reference */
    struct sticky_members sessions;   /* where sessions are sticky */
    struct door *door;                /* of kind primary: holds a reference; else NULL */
    bool limited;                     /* there are limits on what is under way */
};

struct listener {
    struct list link;
    uint32_t refs; /* the worker's list and each client */
    struct worker *worker;
    struct io io;
    int fd; /* the shared view's */
    struct addr addr;
    struct service *service; /* holds a reference */
    struct listener_row *row;
    bool reads;               /* of kind primary: its clients only read, at replicas */
    struct udp_listener *udp; /* a datagram socket; `io` is not used then */
    uint64_t epoch;           /* of the newest view that it is in; 0: not in use yet */
    bool retired;
};

/* The service with this index in the view; before is the one of its name in use, or NULL. */
int service_new(struct worker *w, struct shared_view *sv, uint32_t index,
                const struct service *before, struct service **out, struct err *e);
/* The view is new, and nothing about the service is. */
void service_move(struct service *s, struct shared_view *sv, uint32_t index);
/* From now on its targets are this service's; their verdicts are read. Cannot fail. */
void service_activate(struct service *s);
/* No longer in the view: instances that no successor took over get nothing more, and their pooled
 * connections are closed. */
void service_leave(struct service *s);
void service_ref(struct service *s);
void service_unref(struct service *s);
/* Takes over what control wrote to the verdict rows since the last look. Before each pick. */
void service_sync(struct service *s);
void target_unref(struct target *t);
/* Feeds the worker's own judge, tells control of what it cannot count itself, and keeps the pool's
 * picture true. */
void target_signal(struct target *t, enum signal_kind kind, uint32_t detail);
/* An answered request: cheap, told to the judge in bulk unless the judge waits for good news. */
void target_ok(struct target *t, uint64_t latency_us);
void target_tick(struct target *t);
void service_tick(struct service *s);
/* pool_pick, pool_observe and pool_done for requests that may outlive the service that they began
 * with: what is under way on an instance counts in the pool that is in use. -1: nobody. */
enum { PICK_NOBODY = -1, PICK_FULL = -2 };
int service_pick(struct service *s, const struct tried *tried, uint64_t key);
/* This one, if it can take requests. */
int service_pick_sticky(struct service *s, const struct tried *tried, uint32_t member);
void service_observe(struct service *s, uint32_t member, enum outcome outcome, uint64_t latency);
void service_done(struct service *s, uint32_t member);

/* --- stream.c: what a client's and an instance's connection have in common --- */

struct stream {
    struct io io;
    struct block *in;        /* bytes read and not yet consumed; NULL when there are none */
    bool readable, writable; /* as far as is known: edges set them, a short read or a full socket
                                clears them */
    bool hangup;             /* the peer closed or failed: the end is to be read */
    bool eof;                /* read */
    bool broken;             /* reset or another error: nothing more will pass */
    bool fin_sent;           /* relays: our side is shut */
    int error;               /* errno of `broken` */
};

/* Broken by our own lack of memory, which is no news of the peer. */
static inline bool stream_short(const struct stream *s)
{
    return s->broken && s->error == ENOMEM;
}
void stream_init(struct stream *s, void (*on_ready)(struct io *, unsigned));
void stream_ready(struct stream *s, unsigned ready);
/* Reads once. True when there are unread bytes now. A block that is full stays as it is. */
bool stream_fill(struct stream *s, struct worker *w);
/* Sends a and then b with one system call; returns how many bytes went. */
size_t stream_send(struct stream *s, struct str a, struct str b);
static inline struct str stream_bytes(const struct stream *s)
{
    return s->in ? (struct str){s->in->data + s->in->start, s->in->end - s->in->start}
                 : (struct str){"", 0};
}
/* Copies a head to just before the unread bytes, where another was consumed: one send takes both.
 * Returns where it lies, or p when there is no room. */
const char *stream_put_before(struct stream *s, const char *p, size_t n);
/* The first n bytes are done with; an empty block goes back to the worker. */
void stream_consume(struct stream *s, struct worker *w, size_t n);
/* Makes room behind unread bytes by moving them to the block's front. False: the block is full of
 * them. */
bool stream_compact(struct stream *s);
/* The peer is slow to say more: few unread bytes wait in little room. */
void stream_park(struct stream *s, struct worker *w);
/* As stream_fill and stream_send, but into and out of a pipe, without a copy. Return how many bytes
 * went. */
size_t stream_to_pipe(struct stream *s, int pipe_in, size_t most);
size_t stream_from_pipe(struct stream *s, int pipe_out, size_t n);
void stream_close(struct stream *s, struct worker *w);

/* --- front.c: services of kind primary (front.h) --- */

struct passage;
struct door;

/* Must bytes come first, since they may be another node's header? */
bool front_listens(const struct listener *l, const struct addr *from);
void passage_begin(struct client *c, struct service *s);
void passage_run(struct passage *p);
void passage_timeout(struct passage *p);
/* The client goes. */
void passage_abort(struct passage *p);

/* --- door.c --- */

/* The door of a service of kind primary, with a reference; NULL when memory is out. */
struct door *door_get(struct worker *w, uint32_t slot);
void door_unref(struct door *d);
/* The service is the one in use from now on. */
void door_serve(struct door *d, struct service *s);
/* The service is not in use any more. */
void door_leave(struct door *d, const struct service *s);
/* Control says that roles have changed, or it is time for a look. */
void doors_look(struct worker *w);

/* --- upstream.c --- */

struct upstream {
    struct stream s;
    struct list link;                     /* target's idle list, or graveyard */
    struct list age;                      /* worker's idle connections, while pooled */
    struct target *target;                /* holds a reference */
    struct exchange *x;                   /* who uses it; or, if it is no exchange: */
    void (*on_event)(struct upstream *u); /* something has come, or can go */
    void *context;                        /* the user's */
    uint64_t idle_since;
    bool connected, reused, pooled, closed;
    bool write_dead; /* writing failed; an answer may still be there to read */
};

/* A pooled connection (unless fresh) or a new one on its way. NULL with *error, an errno, if not
 * even that. `sure` looks whether a pooled one is still open, at the price of a system call. */
struct upstream *upstream_get(struct target *t, struct exchange *x, bool fresh, bool sure,
                              int *error);
/* Back to the pool, or closed when the pool has enough. */
void upstream_release(struct upstream *u);
void upstream_close(struct upstream *u);

/* --- client.c --- */

enum client_state {
    CLIENT_HELLO,
    CLIENT_IDLE,
    CLIENT_HEAD,
    CLIENT_EXCHANGE,
    CLIENT_TUNNEL,
    CLIENT_PASSAGE,
    CLIENT_LINGER
};

/* An IP address and port in little room. kind ADDR_UNIX: a nameless client of a Unix socket. */
struct peer {
    uint8_t kind;
    uint16_t port;
    uint8_t ip[16];
};

struct client {
    struct stream s;
    struct timer timer;
    struct task resume;  /* goes on after others had their turn */
    struct list link;    /* worker's clients, or graveyard */
    struct list waiting; /* pressure.waiting, while it is in no request */
    uint64_t waiting_since;
    uint64_t counted; /* guard.h: its address, once it is counted; 0: not */
    struct worker *worker;
    struct listener *listener; /* holds a reference */
    struct exchange *x;
    struct passage *passage; /* of a service of kind primary: front.c */
    struct buf pending;      /* what the socket did not take yet; sent before anything else */
    uint32_t seen;           /* of http_parse_request */
    uint8_t state;           /* enum client_state */
    bool keep;               /* another request may follow */
    bool closed;
    bool from_node;       /* its address is that of a node of the cluster */
    bool hop, hop_marked; /* ... which passed it on, and understands gate_mark */
    struct peer peer;     /* the client: the connection's, or what a PROXY header named */
    char ip[48];          /* its address as text */
};

void client_accept(struct listener *l);
/* Does what can be done now; may close the client. */
void client_run(struct client *c);
void client_close(struct client *c);
/* Sends what is pending. True when nothing is. Closes nothing: sets broken. */
bool client_flush(struct client *c);
/* Sends a and then b, b only after all of a. What of a does not fit becomes pending; returns how
 * many bytes of b were taken. */
size_t client_send(struct client *c, struct str a, struct str b);
/* Refuses the connection's current bytes with an answer of our own, and ends it. */
void client_refuse(struct client *c, uint16_t status, const char *text);
/* The same for a request that is counted as one, and has nothing wrong with it. */
void client_turn_away(struct client *c, uint16_t status, const char *text);
/* The exchange is over: the next request, or the end of the connection. */
void client_exchange_done(struct client *c, bool body_read);
/* Sends what is pending, then the end, and waits a moment for the client's own. */
void client_linger(struct client *c);
void client_deadline(struct client *c, uint64_t ns_from_now);
/* The worker drains: an idle connection gets a last chance. */
void client_drain(struct client *c);

/* --- begin.c, exchange.c, request.c, response.c --- */

enum exchange_phase {
    PHASE_CONNECT,
    PHASE_REQUEST,
    PHASE_FIRST_BYTE,
    PHASE_RESPONSE,
    PHASE_QUEUE, /* before all others, and before a retry: admission.c */
    PHASES
};
enum body_coding { CODING_RAW, CODING_ENCHUNK, CODING_DECHUNK };

/* One direction of a relay. The pipe is there once the bytes have become many. */
struct way {
    int pipe[2];   /* 0, 0: none */
    uint32_t held; /* bytes in the pipe */
    uint8_t full;  /* reads in a row that filled a block */
};

/* One direction's body: how it is framed and how far it is. */
struct body {
    uint8_t framing; /* enum http_framing */
    bool done;
    uint64_t left; /* HTTP_BODY_LENGTH */
    struct http_chunked chunks;
    uint32_t run; /* bytes at the block's start that are checked and may go on */
};

struct exchange {
    struct client *client;
    struct service *front;                    /* whom the client speaks to; holds a reference */
    struct service *service;                  /* whose instances answer; holds a reference */
    uint32_t route;                           /* the one of front's that led here, + 1; 0: none */
    struct rules *rules[3];                   /* the front's, the route's, the service's */
    struct rules *hedge;                      /* whose hedging counts; NULL: none */
    struct http_edits edits[HTTP_EDIT_LISTS]; /* of the answer, one for each of rules */
    uint8_t n_rules;
    struct arena arena;         /* values filled into edits */
    struct trace_context trace; /* `traced`: the client's, or one that begins here */
    uint32_t trace_at;          /* of request: traceparent, when it is ours; 0: it is not */
    bool traced;
    struct service *mirror; /* gets a copy; holds a reference; NULL: none */
    struct rival *rival;    /* hedge.c */
    struct timer hedge_timer;
    struct list grave;
    /* the current attempt */
    struct upstream *up;
    struct target *target; /* holds a reference */
    uint32_t member;
    uint64_t attempt_at;
    uint64_t written;    /* bytes that this attempt wrote to the instance */
    size_t request_sent; /* of `request` */
    bool spent;          /* I4: bytes of a request that must not be sent twice were written */
    bool streamed; /* body bytes went straight from the client's block: they cannot be sent again */
    /* all attempts */
    struct waiter waiter; /* admission.c */
    uint64_t wait_until;  /* 0: it never waited */
    bool admitted;        /* it has a place in its service */
    struct breaker_ticket ticket;
    bool ticket_open;        /* what becomes of it is to be told */
    bool failed;             /* answered by us, for a failure */
    uint64_t token, session; /* of a sticky session: its instance, and the cookie's hash */
    struct tried tried;
    uint32_t attempts;
    uint64_t key;       /* what it is placed by, where the algorithm places by key */
    bool observed;      /* what this attempt showed was told to the pool */
    bool stale_retried; /* a pooled connection turned out closed; asked again without counting */
    /* the request */
    uint8_t method, client_minor;
    bool relay; /* a TCP connection: no request, no answer, only an instance to be found */
    bool idempotent, head_request, upgrade, expect;
    bool replay;         /* the body's bytes are kept in `request` */
    struct buf request;  /* the rewritten head, then kept body bytes */
    uint32_t head_bytes; /* of request */
    struct buf facts;    /* of the head, for the access log */
    struct body body;
    uint64_t body_bytes, body_limit;
    /* the response */
    uint8_t phase; /* enum exchange_phase */
    bool head_done, answered, continued, up_keep, closed;
    uint8_t coding;      /* enum body_coding */
    uint8_t timer_phase; /* the phase that the client's timer is set for, + 1 */
    bool chunk_open;     /* CODING_ENCHUNK: the current run's size line was sent */
    bool chunks_sent;    /* CODING_ENCHUNK: a chunk was sent before */
    uint32_t seen, hold; /* of http_parse_response; bytes to wait for before answering */
    uint16_t status;
    struct body response;
    bool judged;        /* relays: what the instance did has been told */
    struct way in, out; /* relays: towards the instance, towards the client */
    uint64_t bytes_out;
    uint64_t started_at, reached_at, active_at;
    struct slowness slowness;  /* of the client */
    uint64_t phase_at[PHASES]; /* of this attempt; 0: not reached */
    const char *cause;         /* why the answer is ours, or cut; NULL: it is the instance's */
};

/* The route that led here, as the view has it now; NULL: none. */
static inline const struct view_route *exchange_route(const struct exchange *x)
{
    return x->route ? &x->front->conf->routes[x->route - 1] : NULL;
}

/* A request whose head was parsed into w->head and lies at the client's block's start. */
void exchange_begin(struct client *c, struct service *front);
/* A TCP connection, from its first moment. */
void exchange_begin_relay(struct client *c, struct service *s);
void exchange_run(struct exchange *x);
/* Zeroed, with a reference to nothing; NULL when memory is out. */
struct exchange *exchange_new(struct worker *w);
void exchange_pool_free(struct worker *w);
/* Picks an instance and turns to it; ends the exchange when there is none. */
void exchange_attempt(struct exchange *x);
/* The same with what was picked, which may be PICK_NOBODY. */
void exchange_attempt_at(struct exchange *x, int member);
/* The client's timer ran out. */
void exchange_timeout(struct exchange *x);
/* This attempt failed: the next one, or an answer that says so. */
void exchange_attempt_failed(struct exchange *x, enum failure failure);
/* Tries a 5xx answer again elsewhere, if that may be. */
bool exchange_retry_5xx(struct exchange *x);
/* Tells the pool, once an attempt, what it showed. */
void exchange_observe(struct exchange *x, enum outcome outcome);
/* Ends it with our own answer, if none has begun; cuts the client otherwise. */
void exchange_fail(struct exchange *x, uint16_t status, const char *text);
/* The same, with fields that the answer has besides. */
void exchange_refuse(struct exchange *x, uint16_t status, const char *text,
                     const struct http_edits *extra);
/* Ends it: counts, logs, gives back what it holds. The client goes on or ends. */
void exchange_finish(struct exchange *x);
/* Ends it without a word: the client is gone. */
void exchange_abort(struct exchange *x);
void exchange_set_phase(struct exchange *x, enum exchange_phase phase);
/* Gives back what the attempt held. */
void exchange_attempt_end(struct exchange *x);

/* Move what can be moved now; both may end the exchange (x->closed). */
void request_pump(struct exchange *x);
void response_pump(struct exchange *x);
/* A status that tells against the instance: a 5xx, but for those that speak of the request. */
bool speaks_of_failure(uint16_t status);
void body_init(struct body *b, const struct http_head *h);
/* Checks the bytes at the block's start and sets run to how many of them belong to the body; done
 * with its last one. False: malformed. */
bool body_check(struct body *b, struct str bytes);
static inline bool request_complete(const struct exchange *x)
{
    return x->body.done && x->body.run == 0 && x->request_sent == x->request.n;
}

/* --- exchange_log.c --- */

/* The form of the lines follows the service's configuration: before its first request, and when
 * that has moved. False: memory is out. */
bool service_open_log(struct service *s);
/* Keeps what the log needs of a head. */
void exchange_keep_facts(struct exchange *x, const struct http_head *h);
/* Tells of a request that has ended, if its service wants that. */
void exchange_log(struct exchange *x, uint64_t us);
/* The same for bytes that were no request. */
void client_log_refusal(struct client *c, uint16_t status);

/* --- trace.c --- */

/* Whether the request is part of a trace, and what is to be written of it: f->traceparent, whose
 * bytes are in text. */
void trace_begin(struct exchange *x, const struct http_head *h, struct http_forward *f,
                 char text[TRACEPARENT_BYTES]);
/* The head is in x->request. */
void trace_find(struct exchange *x, struct str written);
/* One more attempt than the first: another span. */
void trace_attempt(struct exchange *x);

/* --- answer.c --- */

/* Ends it with this answer of our own; none has begun. extra may be NULL. */
void exchange_answer(struct exchange *x, uint16_t status, struct str type, struct str body,
                     const struct http_edits *extra);
/* Sends a refusal of bytes that are no request. */
void answer_refusal(struct client *c, uint16_t status, const char *text);

/* --- throttle.c --- */

/* What a client that came too often is told. */
struct throttle {
    char after[24], policy[96], left[96]; /* values of its fields */
    struct http_edit fields[3];
    struct http_edits extra; /* of them */
};
/* Whether a rate of its rules refuses this request; `t` is filled in then. Takes one from each that
 * lets it pass. */
bool throttled(struct exchange *x, const struct http_head *h, struct throttle *t);

/* --- circuit.c --- */

/* False: its service's breaker is open, and it was answered so. */
bool circuit_pass(struct exchange *x);
/* What became of it; the first time counts. */
void circuit_tell(struct exchange *x, enum outcome outcome);
/* The same, when nothing was told until its end. */
void circuit_end(struct exchange *x);
void circuit_tick(struct service *s);

/* --- admission.c --- */

/* An instance for it, and the places that it needs: a member, PICK_NOBODY or PICK_FULL. `waited`:
 * it is its turn. */
int admission_pick(struct exchange *x, bool waited);
/* Nobody had a place: it waits, or is refused. */
void admission_wait(struct exchange *x);
/* It waited too long. */
void admission_late(struct exchange *x);
/* It gives its places back, and waits no more. */
void admission_end(struct exchange *x);
/* A place at one of its instances came free. */
void admission_came_free(struct service *s);
/* Whoever waits in this worker and can go on does. */
void admission_serve(struct worker *w);

/* --- session.c --- */

int session_members_open(struct service *s, struct err *e);
/* Which session the request is of. */
void session_look(struct exchange *x, const struct http_head *h);
/* Its instance: as service_pick; PICK_NOBODY where it has none that can take it. */
int session_pick(struct exchange *x);
/* The instance has answered with this head: remembers whose the session is, or adds a list to the
 * answer's edits that tells the client. How many lists there are now. */
uint8_t session_mark(struct exchange *x, const struct http_head *h);

/* --- hedge.c --- */

/* The request is sent: if the answer takes long, another instance will be asked. */
void hedge_arm(struct exchange *x);
/* Moves the rival's bytes; it may win, and is then the exchange's attempt. */
void hedge_run(struct exchange *x);
/* The own attempt failed: the rival goes on in its place. False: there is none. */
bool hedge_takes_over(struct exchange *x);
/* How long an answer took. */
void hedge_learn(struct exchange *x, uint64_t ns);
/* The race is over. */
void hedge_end(struct exchange *x);

/* --- mirror.c --- */

/* Copies this request, if its rules want it: draws, and remembers to whom. */
void mirror_choose(struct exchange *x);
/* The request is sent: its copy goes out. */
void mirror_send(struct exchange *x);
/* Frees all copies that are under way. */
void mirror_end_all(struct worker *w);

/* --- relay.c --- */

/* Moves bytes both ways; ends the exchange when both ways have ended or one broke. */
void relay_run(struct exchange *x);
/* The instance is reached: from here on bytes go both ways. */
void relay_begin(struct exchange *x);
/* Gives back what the relay held beside its connections. */
void relay_end(struct exchange *x);

/* --- adopt.c: taking a view --- */

/* Takes over the caller's reference, unless it fails. */
int worker_take_view(struct worker *w, struct shared_view *sv, struct err *e);
/* Gives back all that the view in use brought; the worker ends. */
void worker_leave_view(struct worker *w);

/* --- worker.c --- */

int worker_start(struct worker *w, struct proxy *p, uint32_t index, struct err *e);
/* Hands the worker a view (with a reference; NULL: none) and orders. From the main thread. */
void worker_command(struct worker *w, struct shared_view *sv, unsigned orders);
/* Its loop turns. From any thread. */
void worker_wake(struct worker *w);
/* Stops the thread, if it runs, and frees what the worker holds. */
void worker_end(struct worker *w);
/* The service that `from` calls by an index into its view, as it is now; NULL when a newer view
 * does not have it any more. */
struct service *worker_service(struct worker *w, const struct service *from, uint32_t index);
struct block *block_get(struct worker *w); /* NULL when memory is out */
struct block *block_new(struct worker *w, uint32_t cap);
void block_put(struct worker *w, struct block *b);
struct str worker_date(struct worker *w);
/* No descriptors, or as many clients as allowed: accepting rests until a client goes or the next
 * tick. */
void worker_pause_accept(struct worker *w);
/* Accepts again, if it rests and may. */
void worker_listen_again(struct worker *w);
/* A client has gone; accepting may go on. */
void worker_client_gone(struct worker *w);
void worker_bury(struct worker *w, enum grave kind, struct list *link);
/* What the graveyard calls: frees the struct that holds the link. */
void client_end(struct worker *w, struct list *link);
void exchange_end(struct worker *w, struct list *link);
void upstream_end(struct worker *w, struct list *link);
void mirror_end(struct worker *w, struct list *link);
void passage_end(struct worker *w, struct list *link);
void listener_unref(struct listener *l);
/* Watches its socket, if it is not watched already. */
int listener_start(struct worker *w, struct listener *l, struct err *e);
/* Neither held nor draining; datagrams need no room for a client. */
bool listener_may_start(const struct worker *w, const struct listener *l);
void worker_on_acceptable(struct io *io, unsigned ready);

/* What the worker's thread tells the main one. proxy.c */
void proxy_worker_took(struct proxy *p, struct worker *w, uint64_t epoch);
void proxy_worker_drained(struct proxy *p);
void proxy_complain(struct proxy *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool proxy_evidence(struct proxy *p, const struct signal *s);
/* The worker with this number serves its queues. From any thread. */
void proxy_wake(struct proxy *p, uint32_t worker);
struct guard *proxy_guard(struct proxy *p);
void shared_view_ref(struct shared_view *sv);
void shared_view_unref(struct shared_view *sv);

#endif
