/* redis_link: a connection to a Redis on the agent's loop: requests in a row, replies in the same
 * order, nothing waits.
 *
 *   closed --open--> connecting --connected, AUTH sent--> open --reset, nonsense, too much-->
 * closed
 *
 * Requests may be put from the begin on: they leave behind AUTH. Each has a tag that comes back
 * with its reply. Bounded: LINK_ASKED requests without a reply, LINK_REPLY bytes of one. */
#ifndef HF_RECOVER_REDIS_LINK_H
#define HF_RECOVER_REDIS_LINK_H

#include "base/base.h"
#include "os/os.h"
#include "wire/resp.h"
#include "wire/resp_frame.h"

enum { LINK_ASKED = 64, LINK_REPLY = 256 * 1024 };

struct redis_link {
    struct loop *loop;
    void *context;
    /* From the loop, never from inside a function of this header. The handler may close the link.
     */
    void (*on_reply)(void *context, uint8_t tag, const struct resp_value *v);
    void (*on_lost)(void *context, const char *why);
    /* private */
    int fd; /* -1: closed */
    bool connected;
    struct io io;
    struct task later;
    struct buf out, in;
    struct resp_frame frame;
    size_t framed; /* of in */
    uint8_t tags[LINK_ASKED];
    uint32_t first, asked;
};

enum { LINK_AUTH = 0xff /* the tag of its own */ };

void redis_link_init(struct redis_link *l, struct loop *loop);
/* user, password: NULL: none. Failures of the connection come by on_lost. */
int redis_link_open(struct redis_link *l, const struct addr *to, const char *user,
                    const char *password, struct err *e);
void redis_link_close(struct redis_link *l); /* harmless when closed */
static inline bool redis_link_is_open(const struct redis_link *l)
{
    return l->fd >= 0;
}
/* Whose reply comes next. False: none is waited for. */
static inline bool redis_link_waits(const struct redis_link *l, uint8_t *tag)
{
    *tag = l->tags[l->first];
    return l->asked > 0;
}
/* Where the next request is to be written (resp_put_words). NULL: closed, or too many are asked. */
struct buf *redis_link_ask(struct redis_link *l, uint8_t tag);
/* After one or more of them. */
void redis_link_flush(struct redis_link *l);

#endif
