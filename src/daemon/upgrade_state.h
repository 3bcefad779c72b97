/* upgrade_state: what a supervisor leaves to the program that it becomes. Pure.
 *
 * A supervisor that is upgraded executes the new program in its own process, so that whoever
 * watches it sees the same one. Descriptors stay open under their numbers; what they are is written
 * into a sealed memory file, as fields in the order of this struct (base/codec.h). It begins with a
 * magic number and the format, and ends with a hash of all before. A program that does
 * not read the format is not upgraded to.
 *
 * Nobody but a supervisor writes it, and still nothing of it is believed before it is checked:
 * numbers are in range, each descriptor is named once, names end. That the descriptors are what
 * they should be shows when they are used. */
#ifndef HF_UPGRADE_STATE_H
#define HF_UPGRADE_STATE_H

#include "base/base.h"
#include "daemon/paths.h"
#include "view/cells.h"
#include "view/view.h"

enum {
    UPGRADE_MAGIC = 0x50554648, /* "HFUP" */
    UPGRADE_FORMAT = 3,
    UPGRADE_FORMAT_PLAIN = 2,  /* has no agent; written where none runs, for programs before */
    UPGRADE_FORMAT_OLDEST = 1, /* has no node */
    UPGRADE_MAX_BYTES = 8 * 1024 * 1024,
    UPGRADE_AGENT = 1 + CELLS_BANKS, /* its row */
    UPGRADE_CHILDREN,
    UPGRADE_VERSION_MAX = 64,
    UPGRADE_NODE_MAX = 64,
};

struct upgrade_child {
    uint32_t row; /* 0: control, 1 + bank: a proxy, UPGRADE_AGENT */
    uint32_t role;
    uint32_t pid;
    int32_t fd; /* to it */
    uint64_t generation, started, sent, taken;
    uint32_t stop_ticks;
};

struct upgrade_socket {
    struct view_socket socket;
    int32_t fd; /* -1: not open */
};

struct upgrade_state {
    uint32_t ipc_version, view_format, cells_version; /* what the children speak */
    char version[UPGRADE_VERSION_MAX];                /* of the program, for people */
    char file[PATHS_MAX], state[PATHS_MAX];
    char node[UPGRADE_NODE_MAX]; /* which of its cluster this is; may be empty */
    uint32_t log_level;
    uint32_t workers, serving;
    uint64_t epoch, generations, change, boot;
    int32_t lock_fd, admin_fd, cells_fd, view_fd, notify_fd; /* the last may be -1 */
    uint32_t n_children;
    struct upgrade_child children[UPGRADE_CHILDREN];
    uint32_t n_sockets;
    struct upgrade_socket *sockets; /* owned; as in the view, in its order */
};

void upgrade_state_free(struct upgrade_state *s);
/* Check out->failed. */
void upgrade_state_encode(const struct upgrade_state *s, struct buf *out);
/* *out is the caller's to free in any case. */
int upgrade_state_decode(struct str bytes, struct upgrade_state *out, struct err *e);
/* Calls f with every descriptor that it names. */
void upgrade_state_each(const struct upgrade_state *s, void (*f)(int fd, void *context),
                        void *context);

#endif
