/* etcd: the engine for etcd, inside. etcd.c has its making and its five functions (engine.h).
 *
 * Who is asked (etcd_ends.c). One endpoint is in use; it is asked something small that a majority
 * must answer, every PING_NS, busy or not. While it does answer, the engine is sure of it, and
 * requests go to it at once. When it fails, is silent, or lets a request wait unusually long, the
 * engine is not sure any more: new requests wait, the endpoints are asked all at once, and the
 * first one that answers is in use from then on. So a change is hardly ever given to a member that
 * is dead, paused, cut off, or without a leader, where its outcome would stay unknown. Whoever
 * knows of a machine that has fallen silent says so: then it is not waited for
 * (etcd_ends_machines), and an endpoint on this machine is preferred, since it is never lost
 * without us.
 *
 * Requests (etcd_request.c). A change is one transaction, sent once; it is sent again only after a
 * refusal that says for certain that it was not taken up (etcd_meaning.c). A range is read in pages
 * as of one revision (etcd_fetch.c), and asked again until its deadline.
 *
 * Watches (etcd_watch.c) read all there is and then follow; each remembers the keys that it has
 * told of, so that it can find out what it missed.
 *
 * Bounds: an answer ETCD_ANSWER_MAX, a range in all its pages ETCD_RANGE_MAX, a watch's unread
 * lines ETCD_STREAM_MAX. What is broken ends its connection and is counted. */
#ifndef HF_COORD_ETCD_H
#define HF_COORD_ETCD_H

#include "coord/engine.h"
#include "coord/etcd_http.h"
#include "coord/etcd_json.h"

enum {
    ETCD_ENDS = 16,
    ETCD_URL_MAX = 256,
    ETCD_ANSWER_MAX = 4 * 1024 * 1024,
    ETCD_STREAM_MAX = 16 * 1024 * 1024,
    ETCD_RANGE_MAX = 128 * 1024 * 1024,
    ETCD_PAGE = 16, /* keys asked for at first; fewer when they are large, and more: */
    ETCD_PAGE_MAX = 512,
};

struct etcd;

/* One endpoint, and the question that it is asked again and again. */
struct etcd_end {
    struct list link; /* in etcd->ends */
    struct etcd *etcd;
    uint64_t id; /* never used twice: who remembers an end remembers this */
    char url[ETCD_URL_MAX];
    struct etcd_call ping;
    bool logs_in; /* what runs is the question for a token */
    uint64_t asked_at;
    struct timer again;
    uint32_t failures; /* in a row */
    uint32_t quick;    /* answers in a row that came soon */
    uint64_t connect_ns;
    bool near;    /* on this machine */
    bool unheard; /* its machine has fallen silent */
};

struct etcd {
    struct coord coord;
    struct etcd_http *http;
    char *prefix, *user, *password;
    struct buf token; /* terminated; empty: none */
    bool open;        /* it knows no users: none is needed */
    struct list ends;
    uint32_t n_ends;
    uint64_t ids;
    struct etcd_end *in_use; /* NULL: none has ever answered, or it was taken away */
    bool sure;               /* it has answered, and nothing was to be said against it since */
    bool hunts;              /* all are asked */
    uint64_t doubted_at;     /* not sure since; 0: sure */
    struct timer tick;       /* while anything waits for an answer */
    struct task strand;      /* changes are to be answered that nobody else will */
    uint64_t broken;         /* answers that were none */
    uint64_t astray;         /* watches that a check found not to have told all */
    struct prng prng;        /* spreads repetitions */
};

static inline struct etcd *etcd_of(struct coord *c)
{
    return CONTAINER_OF(c, struct etcd, coord);
}

/* --- etcd_ends.c --- */

int etcd_ends_set(struct etcd *t, const char *const *urls, uint32_t n, struct err *e);
void etcd_ends_init(struct etcd *t);
void etcd_ends_start(struct etcd *t);
void etcd_ends_machines(struct etcd *t, const char *near, const char *const *unheard, uint32_t n);
/* The endpoint of this id is not in use, and its machine has fallen silent. */
bool etcd_end_gone(const struct etcd *t, uint64_t id);
void etcd_ends_free(struct etcd *t);
/* Prepares a call to the endpoint in use. */
void etcd_aim(struct etcd *t, struct etcd_call *c, const char *path);
/* Something speaks against the endpoint in use. hard: it failed, and the others are asked at once;
 * else it is only slow, and has a moment to answer. */
void etcd_doubt(struct etcd *t, bool hard);
/* A call's result, when it was about the endpoint `id`: nothing is to be said against another. */
void etcd_doubt_end(struct etcd *t, uint64_t id, bool hard);
/* It was refused with the token that is known: the next ping gets another. */
void etcd_token_refused(struct etcd *t);
/* Looks for what takes too long from now on. */
void etcd_attend(struct etcd *t);
/* How long to wait before the n-th repetition. */
uint64_t etcd_pause(struct etcd *t, uint32_t n);

/* --- etcd_request.c --- */

int etcd_begin(struct coord *c, struct coord_request *r, struct err *e);
bool etcd_drop(struct coord *c, struct coord_request *r);
/* The engine has become sure: what waits goes on, ranges leave an endpoint that is not in use, and
 * changes that were sent to one that is gone are answered: unknown. */
void etcd_requests_go(struct etcd *t);
void etcd_requests_strand(struct task *task);
/* Whether one waits for the endpoint in use since before `since`; each is reported once. Also
 * whether any waits at all. */
bool etcd_requests_late(struct etcd *t, uint64_t since, bool *any);

/* --- etcd_watch.c --- */

int etcd_watch_begin(struct coord *c, struct coord_watch *w, struct err *e);
void etcd_watch_end(struct coord *c, struct coord_watch *w);
void etcd_watches_go(struct etcd *t);

/* --- etcd_fetch.c: all keys with a prefix, in pages as of one revision --- */

struct etcd_fetch {
    struct etcd *etcd;
    struct etcd_call call;
    struct etcd_scope scope; /* its prefix is the owner's */
    uint64_t end;            /* whom it asks */
    uint64_t asked_at;       /* 0: it waits */
    bool late;               /* that it waits long was reported */
    bool idle;               /* neither begun nor waiting */
    bool keys_only;
    uint64_t revision; /* as of which; 0 before the first page */
    uint32_t limit, failures;
    struct buf after; /* the last key that came, absolute */
    struct etcd_items *pages;
    uint32_t n_pages, n;
    size_t bytes;
    struct timer again;
    /* code 0: `pages` have `n` items as of `revision`; else why. */
    void (*done)(struct etcd_fetch *f, int code, const struct err *why);
};

void etcd_fetch_init(struct etcd_fetch *f, struct etcd *t, struct etcd_scope scope,
                     void (*done)(struct etcd_fetch *, int, const struct err *));
/* Begins, or begins anew. */
void etcd_fetch_start(struct etcd_fetch *f);
void etcd_fetch_go(struct etcd_fetch *f);
/* All items in one row, which the caller frees; they point into the pages. NULL: no memory. */
struct coord_item *etcd_fetch_items(const struct etcd_fetch *f);
/* Stops and frees what came. */
void etcd_fetch_end(struct etcd_fetch *f);

#endif
