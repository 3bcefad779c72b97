/* links: the links of a node to all others, kept up: who connects, who accepts, when to try again.
 *
 * Of two nodes the one with the lower id connects, the other waits for it; what comes the other way
 * round is refused. A link that is lost is tried again after 100 ms, 200 ms, ... 5 s, each time
 * half of it at random, and at once when `links_retry` says that the node was heard. A second link
 * of the same node replaces the first when it is up: its sender has started anew, or a key has
 * become another.
 *
 * A link grows from a key of the ring: the one in use, and after a failure the others in turn, so
 * that a node which slept through a rotation still comes in as long as its key is accepted. A link
 * from a key that is accepted and no longer used is replaced by one from the new key while it goes
 * on; one from a key that is gone ends.
 *
 * Strangers: at most LINKS_PENDING connections wait for their proof at a time, of one address at
 * most LINKS_PENDING_EACH, for at most LINK_HANDSHAKE_NS and with at most LINK_UNPROVEN_MAX bytes;
 * beyond, the oldest of the address that has most of them goes, the addresses of nodes last. Every
 * refusal is counted by reason and told once for its source and reason in ten minutes.
 *
 * Guests: who has a one-time token (mesh_join.h) comes with "token:ID" for an identity; the host
 * knows the secret that belongs to it. A guest may say one thing (MESH_JOIN) and gets one answer.
 *
 * One thread, one loop, belongs to mesh.c. Callbacks come from the loop and never from inside a
 * function of this header; in them everything may be called but links_free. */
#ifndef HF_MESH_LINKS_H
#define HF_MESH_LINKS_H

#include "base/base.h"
#include "mesh/link.h"
#include "mesh/seal.h"
#include "os/os.h"

enum {
    LINKS_PENDING = 64,
    LINKS_PENDING_EACH = 8,
    LINKS_GUESTS = 4,
};

struct links_host {
    void *context;
    /* The name of a node, for people; "" for one that is not known. */
    struct str (*name)(void *context, uint64_t id);
    void (*message)(void *context, uint64_t from, uint16_t kind, struct str bytes);
    /* A link came up, or went. Up again without having gone: what was under way is lost. Not called
     * for what the host itself ends. */
    void (*changed)(void *context, uint64_t peer, bool up);
    /* One sentence, once for its source and reason in ten minutes. */
    void (*complain)(void *context, const char *text);
    /* The secret from which links with this token grow. False: there is no such token. NULL: no
     * guests. */
    bool (*guest_key)(void *context, uint64_t token, uint8_t secret[SEAL_SECRET]);
    /* What a guest has to say; the answer goes to `answer`. It is sent and the link ends. */
    void (*guest)(void *context, uint64_t token, const struct addr *from, struct str bytes,
                  struct buf *answer);
};

struct links_counts {
    uint32_t up, pending;
    uint64_t sent, received, sent_bytes, received_bytes; /* messages, and their bytes */
    uint64_t ended[LINK_WHYS];                           /* links and attempts, by why they ended */
    uint64_t refused;                                    /* of these, strangers that came in */
    uint64_t told;                                       /* complaints that were not held back */
};

struct links;
/* cluster, keys and host are copied. */
int links_new(struct links **out, struct loop *l, struct str cluster, uint64_t self,
              const struct keyring *keys, const struct links_host *h, struct err *e);
void links_free(struct links *s); /* NULL is allowed; says goodbye, no callback */
void links_set_keys(struct links *s, const struct keyring *keys);
/* A node of the configuration, or its address when it is known. */
int links_set_peer(struct links *s, uint64_t id, const struct addr *at, struct err *e);
void links_drop_peer(struct links *s, uint64_t id);
/* Takes a listening socket, on failure too; -1: none. The one before is closed. */
int links_set_listener(struct links *s, int fd, struct err *e);

/* Queued on the node's link. ERR_ABSENT: no link is up; ERR_BUSY: its queue is full (LINK_QUEUE_MAX
 * bytes); ERR_LIMIT: longer than MESH_MESSAGE_MAX; ERR_NOMEM. Reliable and in order while the link
 * lives. */
int links_send(struct links *s, uint64_t to, uint16_t kind, struct str bytes, struct err *e);
/* To all whose link is up. How many took it. */
uint32_t links_broadcast(struct links *s, uint16_t kind, struct str bytes);
bool links_is_up(const struct links *s, uint64_t id);
/* The id of the key that the node's link grew from; 0: no link is up. */
uint32_t links_key(const struct links *s, uint64_t id);
/* The node was heard: a link that waits for its next attempt is tried now. */
void links_retry(struct links *s, uint64_t id);
/* The node has failed or left: its link ends now and not when its silence is noticed. It is tried
 * again as usual. */
void links_close(struct links *s, uint64_t id);
struct links_counts links_counts(const struct links *s);

#endif
