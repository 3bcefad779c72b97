/* coord: what all nodes agree on, in one order. The front door of this room.
 *
 * A coordinator is a small map from keys to values with one revision for all of it: each change
 * raises it by one or more, and a key remembers the revision of its last change. Three things can
 * be asked: to change keys if they still are as they were read (coord_cas), what there is
 * (coord_range), and what changes (coord_watch). All answers are linearizable: what is answered
 * here is in one order for all nodes, and no older than when it was asked.
 *
 * Engines, one behind the same functions (docs/coordinator.md):
 *
 *   embedded  SQLite in the state directory: one machine, no set-up. A thread of its own waits for
 *             the disk, so that the loop never does.
 *   etcd      the v3 JSON gateway over libcurl: what holdfast runs itself on the voters, or one
 *             that is there already.
 *   model     store.h in memory, with faults to order: for tests.
 *
 * Keys are bytes without NUL, relative to the prefix that the engine was made with; "/" divides
 * them by custom only. Nothing here is retried behind the caller's back once it may have had an
 * effect: an outcome that is not known is said to be so (COORD_UNKNOWN), and whoever needs to know
 * reads again. A range is retried within its deadline. While the coordinator is away callers go on
 * with what they know: nothing that serves waits for an answer.
 *
 * One thread, one loop. Callbacks come from the loop and never from inside a function of this
 * header; in them everything may be called but coord_free. What a callback is given is its own
 * until it returns. */
#ifndef HF_COORD_H
#define HF_COORD_H

#include "base/base.h"
#include "os/os.h"

enum {
    COORD_KEY_MAX = 256,          /* bytes, the engine's prefix not counted; at least 1 */
    COORD_VALUE_MAX = 768 * 1024, /* bytes; etcd takes requests of 1.5 MiB, base64 included */
    COORD_OPS = 8,                /* in one cas; their values together at most COORD_VALUE_MAX */
    COORD_PENDING = 256,          /* requests under way; more are refused with ERR_BUSY */
    COORD_WATCHES = 32,
};

/* Some key, as it is or as it became. */
struct coord_item {
    struct str key, value;
    uint64_t revision; /* of its last change */
    bool gone;         /* it was removed at that revision; only watches say so */
};

/* One of the changes that a cas makes, all or none of them, at one revision. */
enum coord_do { COORD_PUT, COORD_REMOVE, COORD_LEAVE /* only compare */ };
#define COORD_ANY UINT64_MAX
struct coord_op {
    struct str key, value; /* value: for COORD_PUT */
    uint64_t expected;     /* the revision of its last change; 0: it is not there; COORD_ANY */
    enum coord_do act;
};

/* A cas that changes nothing (it only compares, or removes what is not there) is DONE at the
 * revision that is. A range is never UNKNOWN: without an answer in time it has FAILED. */
enum coord_outcome {
    COORD_DONE,     /* all of it happened, at `revision`, and survives the loss of a minority */
    COORD_CONFLICT, /* a key was not as expected: nothing happened */
    COORD_UNKNOWN,  /* no answer in time: it happened, did not, or may happen yet */
    COORD_FAILED,   /* it did not and will not happen; `why` tells */
};

struct coord_answer {
    enum coord_outcome outcome;
    uint64_t revision;              /* DONE: of the change, or as of which a range was read */
    const struct coord_item *items; /* of a range: ordered by key */
    uint32_t n;
    const struct err *why; /* UNKNOWN and FAILED, else NULL */
};
typedef void coord_done(void *context, const struct coord_answer *a);

struct coord;
void coord_free(struct coord *c); /* NULL is allowed; whatever is under way is never answered */

/* Every request is answered exactly once, by its deadline (clock_now's ns; plus a turn of the
 * loop), unless it is taken back. *ticket may be NULL. Keys and values are copied. Refused at once:
 * ERR_BUSY (COORD_PENDING), ERR_LIMIT (sizes), ERR_INVAL (a key twice or malformed), ERR_NOMEM. */
int coord_cas(struct coord *c, const struct coord_op *ops, uint32_t n, uint64_t deadline,
              coord_done *done, void *context, uint64_t *ticket, struct err *e);
/* All keys that begin with the prefix; "" are all. */
int coord_range(struct coord *c, struct str prefix, uint64_t deadline, coord_done *done,
                void *context, uint64_t *ticket, struct err *e);
/* The answer will not come. A cas may happen all the same. */
void coord_cancel(struct coord *c, uint64_t ticket);

/* Watching begins with all there is (`whole`: one call, also of nothing; keys that it does not name
 * are not there) and goes on with every change, in order, each once: a call has all changes of one
 * or several whole revisions and ends at `revision`. It survives any outage; where the engine's
 * history does not reach back to it (compaction), it is told the whole once more: values of a key
 * in between are left out, never the last one, nor that a key is gone. Whoever watches takes every
 * `whole` for all there is, and can be told one at any time. */
struct coord_watcher {
    void *context;
    void (*changes)(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                    bool whole);
};
struct coord_watch;
int coord_watch(struct coord *c, struct str prefix, const struct coord_watcher *w,
                struct coord_watch **out, struct err *e);
void coord_unwatch(struct coord_watch *w); /* NULL is allowed; no call comes any more */

/* How things are, for people and events. */
struct coord_health {
    bool reachable;    /* the latest answer was one, and is no older than a few seconds */
    uint64_t since;    /* ns: of that state */
    uint64_t revision; /* the highest that was seen */
    uint64_t done, conflicts, unknown, failed, watched; /* counted since the start */
    uint64_t last_ns;                                   /* what the last cas took; 0: none yet */
    char engine[16];                                    /* "embedded", "etcd", "model" */
    char at[128];                                       /* the file, or the endpoint in use */
    char problem[256]; /* why it is not reachable; empty when it is */
};
void coord_health(const struct coord *c, struct coord_health *out);
/* Called from the loop when `reachable` changes. NULL: nobody. */
void coord_on_health(struct coord *c, void (*changed)(void *context), void *context);

/* The engine of one machine. path: the database, made if it is not there, mode 0600. */
int coord_embedded_new(struct coord **out, struct loop *l, const char *path, struct err *e);

struct coord_etcd_options {
    const char *const *endpoints; /* "https://10.0.0.1:7301"; 1 to 16; tried in turn, one that
                                     answers is kept */
    uint32_t n_endpoints;
    const char *prefix;          /* before every key: "holdfast/prod/" */
    const char *ca, *cert, *key; /* files, PEM; NULL: plain, or the system's authorities */
    const char *user, *password; /* NULL: none */
};
/* Strings are copied, the password is wiped at the end. */
int coord_etcd_new(struct coord **out, struct loop *l, const struct coord_etcd_options *o,
                   struct err *e);
/* The endpoints change while requests and watches go on. */
int coord_etcd_endpoints(struct coord *c, const char *const *endpoints, uint32_t n, struct err *e);
/* What is known of their machines otherwise, all of it each time. near: the endpoint on this one,
 * in use whenever it does well; NULL: none. unheard: who has just fallen silent; if it was asked
 * anything, or led, no answer will come, so each that becomes unheard has all of them asked. */
void coord_etcd_machines(struct coord *c, const char *near, const char *const *unheard, uint32_t n);

#endif
