/* mesh_keys: changing the cluster's key while the cluster runs. One node, the driver, takes all
 * nodes through three steps; each begins when every node that is to take part has done the one
 * before, so that in each nodes differ by one step and understand each other all the while:
 *
 *     accept   the new key is understood      everybody still seals with the old one
 *     use      the new key seals              the old one is still understood; done when all else
 *                                             that a node makes of keys (the certificates of the
 *                                             coordinator's members) is known under both
 *     drop     the old keys go                after ROTATION_SETTLE_NS, when sessions and links
 *                                             have moved to the new key
 *
 *     driver -> node   MESH_KEYS  u8 1, u64 number, u8 step, str secret, u8 force
 *     node -> driver   MESH_KEYS  u8 2, u64 number, u8 step, u8 done, str why not
 *
 * A step is a state that the key file is to have, so doing it twice is harmless: the driver says it
 * again every second to those who have not answered, and after a crash it goes on where STATE's
 * file says it was. A node writes its file before it answers. What cannot be done at the first step
 * (a file that cannot be written, a second driver) ends the rotation there: the new key is then
 * accepted by some, used by nobody, and gone with the next rotation.
 *
 * All nodes must be alive, else the rotation does not begin, and one that fails in between is
 * waited for. With force, those that are not alive are left out; then nothing is dropped, and they
 * come in by the old key, which still opens a link (links.h): whoever sees a link from an older key
 * than his says `use` to the node at its other end.
 *
 * Of two drivers at a time each refuses the other. One thread; the host calls rotation_tick a few
 * times a second. */
#ifndef HF_MESH_KEYS_H
#define HF_MESH_KEYS_H

#include "base/base.h"
#include "mesh/seal.h"
#include "view/view.h"

#define ROTATION_AGAIN_NS  (1000000000ull)
#define ROTATION_SETTLE_NS (3 * 1000000000ull)

enum rotation_step { ROTATION_ACCEPT, ROTATION_USE, ROTATION_DROP, ROTATION_STEPS };
/* "accept", "use", "drop" */
const char *rotation_step_name(enum rotation_step s);
enum rotation_state { ROTATION_NONE, ROTATION_RUNS, ROTATION_DONE, ROTATION_FAILED };

struct rotation_node {
    struct str name;
    const char *state; /* "alive", "suspect", ... */
    bool alive, self;
};
struct rotation_host {
    void *context;
    uint32_t (*nodes)(void *context, struct rotation_node *out, uint32_t max);
    /* A MESH_KEYS message; what does not arrive is said again. */
    void (*send)(void *context, struct str node, struct str bytes);
    /* This node's key file; writing puts it into force. */
    int (*read)(void *context, struct keyring *out, struct err *e);
    int (*write)(void *context, const struct keyring *keys, struct err *e);
    /* The file is as it is to be: perhaps it was changed by somebody else (nodes of one machine may
     * share it), and is not in force. */
    int (*adopt)(void *context, struct err *e);
    void (*entropy)(void *context, void *out, size_t n);
    /* For the events: a step was done here, a rotation began, ended or failed. */
    void (*tell)(void *context, bool bad, const char *text);
    /* Whether the old keys may go, for all that this node makes of keys; it is asked again and
     * again. NULL: at once. */
    bool (*moved)(void *context);
};

struct rotation;
/* path: STATE's file; a rotation that stands in it goes on. */
int rotation_open(struct rotation **out, const char *path, const struct rotation_host *h,
                  struct err *e);
void rotation_free(struct rotation *r); /* NULL is allowed; it goes on after the next open */

/* Begins one as its driver. ERR_EXISTS: one runs already; ERR_DENIED: nodes that are not alive;
 * ERR_LIMIT: the key file is full; or what the key file has to say. */
int rotation_start(struct rotation *r, bool force, uint64_t now, struct err *e);
void rotation_hear(struct rotation *r, struct str from, struct str bytes, uint64_t now);
void rotation_tick(struct rotation *r, uint64_t now);
/* A link to the node came up that grew from this key. */
void rotation_link(struct rotation *r, struct str node, uint32_t key);

struct rotation_status {
    uint64_t number;
    uint8_t state, step; /* enum rotation_state, enum rotation_step */
    bool force;
    uint32_t key;   /* the new one */
    char text[512]; /* what it waits for, or how it ended */
    /* In the order of nodes(): who has done the step. */
    uint32_t n;
    const bool *done;
};
struct rotation_status rotation_status(const struct rotation *r);

#endif
