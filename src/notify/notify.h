/* notify: which events an operator is told of, when, and how often it is tried. The front door of
 * this room; docs/notifications.md tells the whole.
 *
 * One struct notify is one destination. Events and the time come in; out comes, one at a time, what
 * is to be sent now. Who sends says what became of it. Pure: no clock, no socket, no memory but one
 * piece at the start.
 *
 *   offer -> selected? -> the same within `repeat`? -> queue -> next -> sent | failed | refused
 *                              held: told when the time is over
 *
 * An event is the same as another when code, subject, level and verdict are. What was held is told
 * at the end of its time, with how often it came: a receiver that has the latest of each is right.
 * An event that ends a trouble that was told is told too, whatever its level.
 *
 * Bounds: NOTIFY_QUEUE wait, NOTIFY_ROWS are remembered. A full queue sheds the oldest that is no
 * error, else the oldest; the one that is under way stays. A full memory forgets what is oldest.
 * After a failure everything waits: 1 s, twice as long each time, up to NOTIFY_WAIT_MOST, of that a
 * random half to all. What waits for NOTIFY_GIVE_UP is dropped.
 *
 * One owner; one thread. */
#ifndef HF_NOTIFY_H
#define HF_NOTIFY_H

#include "base/base.h"

enum {
    NOTIFY_QUEUE = 512,
    NOTIFY_ROWS = 1024,
    NOTIFY_CODES = 256,
    NOTIFY_FAILING_AFTER = 3, /* failures in a row, until it is news */
    NOTIFY_SUBJECT_MAX = 160,
    NOTIFY_TEXT_MAX = 320,
    NOTIFY_BY_MAX = 96,
};
#define NOTIFY_SECOND    UINT64_C(1000000000)
#define NOTIFY_WAIT_MOST (300 * NOTIFY_SECOND)
#define NOTIFY_GIVE_UP   (6 * 3600 * NOTIFY_SECOND)

struct notify_event {
    uint64_t seq, wall; /* which it is: of the ring of events; ns since 1970 */
    uint8_t code, level;
    bool judged; /* it has from, to and reason */
    uint8_t from, to, reason;
    uint8_t trouble; /* which kind it begins or ends; 0: none */
    bool over;       /* it ends it */
    char subject[NOTIFY_SUBJECT_MAX], text[NOTIFY_TEXT_MAX], by[NOTIFY_BY_MAX];
};

struct notify_item {
    struct notify_event ev;
    uint64_t since;   /* ns: it waits */
    uint32_t repeats; /* how often it came while it was held */
    bool resolved;    /* it ends a trouble that was told */
};

struct notify_policy {
    uint8_t levels;                  /* bits */
    uint8_t critical;                /* the level that is shed last */
    uint8_t codes[NOTIFY_CODES / 8]; /* bits: told whatever their level */
    uint64_t repeat;                 /* ns */
};

struct notify_counts {
    uint64_t sent, failed; /* of failed: each try */
    uint64_t held;         /* came again within their time */
    uint64_t shed, given_up;
};

enum notify_outcome {
    NOTIFY_SENT,
    NOTIFY_FAILED,  /* try again */
    NOTIFY_REFUSED, /* this one never will be taken */
};

enum notify_news {
    NOTIFY_NO_NEWS,
    NOTIFY_FAILS,   /* some tries in a row have failed */
    NOTIFY_WORKS,   /* it works again */
    NOTIFY_DROPS,   /* the first is dropped since the queue was empty */
    NOTIFY_DROPPED, /* it is empty again: so many were */
};

struct notify;

int notify_new(struct notify **out, const struct notify_policy *p, uint64_t seed, struct err *e);
void notify_free(struct notify *n);
/* Of those that wait nothing changes. */
void notify_set_policy(struct notify *n, const struct notify_policy *p);
/* True: it is to be told, now or when its time is over. */
bool notify_offer(struct notify *n, const struct notify_event *ev, uint64_t now);
/* To the end of the queue, whatever the policy: what waited in a life before, or a test. */
void notify_push(struct notify *n, const struct notify_item *item);
/* What is to be sent now, and is under way from here; NULL: nothing, or one is under way. */
const struct notify_item *notify_next(struct notify *n, uint64_t now);
void notify_done(struct notify *n, enum notify_outcome what, uint64_t now);
/* When notify_next may have something; UINT64_MAX: not by time alone. */
uint64_t notify_deadline(const struct notify *n);
/* To be told to people; until there is none. dropped: for NOTIFY_DROPPED. */
enum notify_news notify_news(struct notify *n, uint64_t *dropped);
struct notify_counts notify_counts(const struct notify *n);
/* Those that wait, oldest first, the one under way included. */
uint32_t notify_waiting(const struct notify *n);
const struct notify_item *notify_at(const struct notify *n, uint32_t i);
/* Held ones, in no order: i below NOTIFY_ROWS; NULL: none there. */
const struct notify_item *notify_held(const struct notify *n, uint32_t i);

#endif
