/* talk: what a connection to a Redis says, as far as one must know it to stop between two commands
 * and to go on elsewhere. Pure.
 *
 *   client's bytes --talk_ask--> how many of them may go now
 *   instance's bytes --talk_answer--> how many replies have ended
 *
 * Each command has one reply. Commands that change what the connection is (HELLO, AUTH, SELECT,
 * CLIENT SETNAME and their like) go alone: they wait for the replies before them, and what comes
 * after them for theirs. So their text is known, and that they were accepted; talk_replay repeats
 * them to another instance. A connection of which that cannot be known is *fixed*: it cannot move.
 *
 *   free      may move while nothing is under way
 *   fixed     tracks keys (CLIENT TRACKING), or has a state too long to be kept
 *   wild      what comes back is no longer one reply for each command (SUBSCRIBE, MONITOR, CLIENT
 *             REPLY, PSYNC): bytes pass without a look
 *   within MULTI or WATCH it may not move either, until EXEC, DISCARD or UNWATCH */
#ifndef HF_PROXY_TALK_H
#define HF_PROXY_TALK_H

#include <sys/types.h>

#include "base/base.h"
#include "wire/resp_frame.h"

enum {
    TALK_STATE_MAX = 1024 /* bytes of one command that is kept */
};

/* What is kept, in no order; `at` tells that. */
enum talk_kept {
    KEPT_HELLO,
    KEPT_AUTH,
    KEPT_SELECT,
    KEPT_NAME,
    KEPT_LIBRARY,
    KEPT_VERSION,
    KEPT_EVICT,
    KEPT_TOUCH,
    KEPT_READONLY,
    KEPTS
};

struct talk {
    struct resp_frame ask, answer;
    uint64_t asked, answered; /* commands that went (or began to), and replies that ended */
    uint64_t barrier;         /* nothing more goes before so many are answered */
    uint64_t blocking;        /* the command, counted, whose reply may be long in coming */
    bool wild, fixed, multi, watch;
    bool stop;         /* the caller's: no command begins any more */
    bool keeps;        /* the command under way is to be kept, if it is accepted: in `next` */
    bool resets;       /* ... it is RESET */
    uint8_t next_kept; /* ... as what: enum talk_kept */
    uint64_t kept_n;   /* how many ever were */
    struct {
        struct buf text;
        uint64_t at; /* of kept_n; 0: none */
    } kept[KEPTS];
    struct buf next;
};

/* How many of the client's bytes may go now; part of a command only when there is no `room` for the
 * rest of it. -1: this is no RESP. */
ssize_t talk_ask(struct talk *t, const char *p, size_t n, bool room);
/* How many of these bytes are replies: all, or those before a zero byte between two. -1: this is no
 * RESP. */
ssize_t talk_answer(struct talk *t, const char *p, size_t n);
/* Between two commands, with nothing to come. */
static inline bool talk_idle(const struct talk *t)
{
    return !t->wild && t->asked == t->answered && resp_frame_between(&t->ask) &&
           resp_frame_between(&t->answer);
}
/* ... and it can be led on. */
static inline bool talk_movable(const struct talk *t)
{
    return talk_idle(t) && !t->fixed && !t->multi && !t->watch;
}
/* Nothing is to come, but for what a command waits for that blocks (BLPOP). */
static inline bool talk_quiet(const struct talk *t)
{
    return talk_idle(t) || (t->blocking > t->answered && t->blocking == t->answered + 1);
}
/* Appends what a new connection must be told first; *replies: how many answers that has. False:
 * memory is out. */
bool talk_replay(const struct talk *t, struct buf *out, uint32_t *replies);
void talk_free(struct talk *t);

#endif
