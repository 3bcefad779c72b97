/* ipc: the messages between our processes. Typed, length-checked, over SOCK_SEQPACKET socketpairs;
 * descriptors ride along.
 *
 *                    supervisor
 *                   /          \            control compiles views and judges; the supervisor opens
 * sockets and keeps the control -------- proxy       last view; the proxy serves it. Each line is
 * one socketpair.
 *
 * A reload, start to end (control's side; the supervisor handles one at a time):
 *
 *   control -> supervisor   VIEW        epoch, sealed memfd with the encoded view
 *   supervisor              opens what view.sockets names and is not open yet. If anything fails:
 * all that it opened is closed again and supervisor -> control   VIEW_REFUSED  epoch, the sentence;
 * nothing has changed. Otherwise the view is now the last good one: supervisor -> proxy VIEW_BEGIN
 * epoch, view memfd;  then VIEW_SOCKET messages with up to IPC_MAX_FDS descriptors each, in the
 * order of view.sockets (only those of the proxy's uses; `first` is the index in view.sockets);
 * then VIEW_END epoch proxy -> supervisor     VIEW_TAKEN  epoch: every worker serves it. The
 * supervisor closes the sockets that no view names any more and supervisor -> control   VIEW_TAKEN
 * epoch.  (If the proxy dies meanwhile, its successor gets the view at its start.) supervisor ->
 * control   VIEW_SOCKET for control's uses (metrics), before VIEW_TAKEN
 *
 * A process that starts inherits: descriptor 3 its socket to the supervisor, 4 the shared region
 * (cells.h). Everything else arrives by message: PEER (a socketpair end to the other child) and, if
 * there is a last good view, VIEW_BEGIN ... VIEW_END. When a child restarts, the other gets a new
 * PEER and drops its old one.
 *
 * Nobody blocks on a peer: a message that does not fit the socket is queued, bounded (IPC_QUEUE);
 * past that the peer counts as hung and the supervisor ends and restarts it. Signals from proxy to
 * control are the exception: what does not fit is dropped and counted. */
#ifndef HF_IPC_H
#define HF_IPC_H

#include "base/base.h"
#include "detect/detect.h"
#include "os/os.h"

enum {
    IPC_FD_SUPERVISOR = 3,
    IPC_FD_CELLS = 4,
    IPC_MAX_FDS = 64,
    IPC_MAX_BYTES = 16 * 1024,
    IPC_QUEUE = 1024
};

enum ipc_type {
    IPC_VIEW = 1,     /* control -> supervisor: u64 epoch; fd: view */
    IPC_VIEW_REFUSED, /* supervisor -> control: u64 epoch, str sentence */
    IPC_VIEW_BEGIN,   /* supervisor -> any: u64 epoch; fd: view */
    IPC_VIEW_SOCKET, /* supervisor -> any: u64 epoch, u32 n, n * u32 index into view.sockets; fds: n
                      */
    IPC_VIEW_END,    /* supervisor -> any: u64 epoch */
    IPC_VIEW_TAKEN,  /* proxy -> supervisor -> control: u64 epoch */
    IPC_PEER,        /* supervisor -> any: fd: socket to the other child */
    IPC_CHILD, /* supervisor -> control: u32 process (cells.h), u32 pid, u32 status (of wait; 0 at a
                  start), str what happened */
    IPC_STOP,  /* supervisor -> any: u32 1 drain first, 0 now. proxy answers by exiting when it is
                  drained */
    IPC_SIGNALS,      /* proxy -> control: u32 n, n * signal */
    IPC_ADMIN_SOCKET, /* supervisor -> control, at its start: fd: the listening admin socket */
    IPC_RESTART, /* control -> supervisor: str reason; used by `holdfast upgrade` and tests, ends
                    and restarts the proxy */
    IPC_TYPES
};

/* A received message. The payload is read with the reader; descriptors not taken (set to -1) are
 * closed by ipc_message_end. */
struct ipc_message {
    uint32_t type;
    struct reader body;
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    uint8_t bytes[IPC_MAX_BYTES];
};

struct ipc {
    int fd; /* owned; -1 when closed */
    struct loop *loop;
    struct io io;
    struct list queue; /* messages that did not fit the socket */
    uint32_t queued;
    void (*on_message)(struct ipc *c,
                       struct ipc_message *m); /* a malformed body is the handler's to refuse */
    void (*on_gone)(struct ipc *c, const char *why); /* the peer closed, broke the protocol, or its
                                                        queue is full; closed after */
};

/* Takes fd. */
int ipc_open(struct ipc *c, struct loop *l, int fd, struct err *e);
void ipc_close(struct ipc *c);
/* Sends or queues; descriptors are duplicated when queued, so that the caller keeps its own. */
int ipc_send(struct ipc *c, enum ipc_type type, struct str body, const int *fds, size_t n_fds,
             struct err *e);
/* Sends now or not at all (ERR_BUSY); safe from any thread on a bare descriptor. */
int ipc_send_now(int fd, enum ipc_type type, struct str body, struct err *e);
void ipc_message_end(struct ipc_message *m);

void ipc_put_signal(struct buf *b, const struct signal *s);
bool ipc_get_signal(struct reader *r,
                    struct signal *s); /* false: out of range; the message is to be dropped */

#endif
