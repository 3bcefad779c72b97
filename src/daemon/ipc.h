/* ipc: the messages between our processes. Typed, length-checked, over SOCK_SEQPACKET socketpairs;
 * descriptors ride along. docs/processes.md tells the same with its reasons.
 *
 *                    supervisor          control compiles views and judges; the supervisor opens
 *                   /          \         sockets and keeps the last view; the proxy serves it.
 *            control -------- proxy      Each line is one socketpair. The agent (agent.h) has one
 * to the supervisor and one to control.
 *
 * A message is a header (u32 type, u32 length of the body, little-endian) and the body, in one
 * datagram of at most IPC_MAX_BYTES. A header that does not fit its datagram ends the connection.
 *
 * A reload, start to end (the supervisor handles one at a time and keeps one waiting; a third
 * replaces the one that waits, which is refused):
 *
 *   control -> supervisor  VIEW          epoch, sealed memfd with the encoded view
 *   the supervisor opens what view.sockets names and is not open yet. If anything fails, all that
 *   it opened is closed again and
 *   supervisor -> control  VIEW_REFUSED  epoch, the sentence; nothing has changed
 *   otherwise the view is now the last good one:
 *   supervisor -> proxy    VIEW_BEGIN    epoch, view memfd
 *   supervisor -> proxy    VIEW_SOCKET   as often as needed, up to IPC_MAX_FDS descriptors each, in
 *                                        the order of view.sockets, only those of the proxy's uses
 *   supervisor -> proxy    VIEW_END      epoch
 *   proxy -> supervisor    VIEW_TAKEN    epoch: every worker serves it; the supervisor closes the
 *                                        sockets that no view names any more
 *   supervisor -> control  VIEW_SOCKET   for control's uses (metrics, admin API, other nodes)
 *   supervisor -> control  VIEW_TAKEN    epoch
 *
 * If the proxy dies meanwhile, its successor gets the view at its start and takes it then.
 *
 * Proxies that have handed over (docs/handover.md) are given every view as well; each proxy has a
 * line of its own to control.
 *
 * A process that starts inherits: descriptor 3 its socket to the supervisor, 4 the shared region
 * (cells.h). Everything else arrives by message: PEER (a socketpair end to the other child) and, if
 * there is a last good view, VIEW_BEGIN ... VIEW_END; for control also ADMIN_SOCKET, before them.
 * NO_VIEW instead of a view says that there is none yet: control then compiles the file. A child is
 * not answered when it takes the view of its start unless a reload waits for it. When a child
 * restarts, the other gets a new PEER and drops its old one.
 *
 * Nobody blocks on a peer: a message that does not fit the socket is queued, bounded (IPC_QUEUE);
 * past that the peer counts as hung: on_gone, and the supervisor ends and restarts it. Signals from
 * proxy to control are the exception: what does not fit is dropped and counted (ipc_send_now). */
#ifndef HF_IPC_H
#define HF_IPC_H

#include "base/base.h"
#include "detect/detect.h"
#include "os/os.h"
#include "view/view.h"

enum {
    IPC_FD_SUPERVISOR = 3,
    IPC_FD_CELLS = 4,
    IPC_MAX_FDS = 64,
    IPC_MAX_BYTES = 16 * 1024,
    IPC_HEADER = 8,
    IPC_MAX_BODY = IPC_MAX_BYTES - IPC_HEADER,
    IPC_QUEUE = 1024,
    /* Raised when the meaning of a message changes. Whatever it is, IPC_STOP and IPC_HAND_OVER are
     * understood, so that an old proxy can be told to end by a newer supervisor. */
    IPC_VERSION = 1,
};

enum ipc_type {
    IPC_VIEW = 1,     /* control -> supervisor: u64 epoch; fd: view */
    IPC_VIEW_REFUSED, /* supervisor -> control: u64 epoch, str sentence */
    IPC_VIEW_BEGIN,   /* supervisor -> any: u64 epoch; fd: view */
    IPC_VIEW_SOCKET, /* supervisor -> any: u64 epoch, u32 n, n * u32 index into view.sockets; fds: n
                      */
    IPC_VIEW_END,    /* supervisor -> any: u64 epoch */
    IPC_VIEW_TAKEN,  /* proxy -> supervisor -> control: u64 epoch */
    IPC_PEER,  /* supervisor -> any: u32 bank of the proxy (cells.h); fd: socket to the other child
                */
    IPC_CHILD, /* supervisor -> control: u32 process (cells.h), u32 enum ipc_child, u32 pid, u32
                  status (of wait; 0 while it lives), str what happened */
    IPC_STOP,  /* supervisor -> any: u32 1 drain first, 0 now. The answer is to exit with 0 */
    IPC_SIGNALS,      /* proxy -> control: u32 n, n * signal */
    IPC_ADMIN_SOCKET, /* supervisor -> control, at its start: fd: the listening admin socket */
    IPC_RESTART, /* control -> supervisor: u32 1 hand over to a new proxy, 0 end it and start anew;
                    str reason */
    IPC_RELOAD,  /* supervisor -> control: somebody sent SIGHUP; compile the file again */
    IPC_NO_VIEW, /* supervisor -> control, at its start: there is no view yet */
    IPC_ACCEPT,  /* supervisor -> proxy: one that was started to wait begins to accept */
    IPC_HAND_OVER, /* supervisor -> proxy: another accepts now; end when the last connection has */
    IPC_CHANGE,  /* supervisor -> control: u64 number, u32 enum change_kind, u32 enum change_state,
                    str sentence: how the latest hand-over or upgrade is getting on */
    IPC_UPGRADE, /* control -> supervisor: str path of the new program, or empty: the path of this
                  * one
                  */
    /* agent.h tells of these */
    IPC_AGENT,          /* supervisor -> control, agent: fd: socket to the other */
    IPC_AGENT_START,    /* control -> agent */
    IPC_AGENT_STOP,     /* control -> agent */
    IPC_AGENT_TASK,     /* control -> agent */
    IPC_AGENT_STATE,    /* agent -> control */
    IPC_AGENT_DONE,     /* agent -> control */
    IPC_AGENT_INSTANCE, /* control -> agent */
    IPC_AGENT_ROLE,     /* control -> agent */
    IPC_AGENT_REPORT,   /* agent -> control */
    /* docs/gate.md; between control and proxy, on their own line */
    IPC_ROLES,  /* control -> proxy: the cells of roles have changed */
    IPC_SECRET, /* control -> proxy: str service, str what its gates say to its instance */
    /* docs/detection.md; between control and sense */
    IPC_SENSE,   /* supervisor -> control, sense: fd: socket to the other */
    IPC_FINDING, /* sense -> control: finding_message.h */
    IPC_TYPES
};

/* An orderly end has the status of a start: what happened is said by itself. */
enum ipc_child { IPC_CHILD_STARTED, IPC_CHILD_ENDED, IPC_CHILD_STATES };

/* A received message. The payload is read with the reader; descriptors not taken (set to -1) are
 * closed by ipc_message_end. */
struct ipc_message {
    uint32_t type;
    struct reader body;
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    uint8_t bytes[IPC_MAX_BYTES];
};

/* One end of a socketpair on a loop. The fields up to queued are private. */
struct ipc {
    int fd; /* owned; -1 when closed */
    struct loop *loop;
    struct io io;
    struct task later;  /* goes on reading after a full turn's share, or reports `broken` */
    const char *broken; /* why sending failed: to be reported by on_gone, not inside ipc_send */
    struct list queue;  /* messages that did not fit the socket */
    uint32_t queued;
    /* A malformed body is the handler's to refuse. The handler may close or end c only by
     * ipc_close; the memory of c must outlive the call. */
    void (*on_message)(struct ipc *c, struct ipc_message *m);
    /* The peer closed, broke the protocol, or its queue is full. c is closed already, and the
     * handler may end its memory. Never called from inside ipc_send. */
    void (*on_gone)(struct ipc *c, const char *why);
};

/* Takes fd, also when it fails. The handlers are set by the caller, before. */
int ipc_open(struct ipc *c, struct loop *l, int fd, struct err *e);
/* Drops what is queued; no handler is called any more. Harmless on a closed one, but not on one
 * that was never opened or zeroed with fd -1. */
void ipc_close(struct ipc *c);
static inline bool ipc_is_open(const struct ipc *c)
{
    return c->fd >= 0 && !c->broken;
}
/* Sends or queues; descriptors are duplicated when queued, so that the caller keeps its own. The
 * body is at most IPC_MAX_BODY bytes. */
int ipc_send(struct ipc *c, enum ipc_type type, struct str body, const int *fds, size_t n_fds,
             struct err *e);
/* Sends now or not at all (ERR_BUSY); safe from any thread on a bare descriptor. */
int ipc_send_now(int fd, enum ipc_type type, struct str body, struct err *e);
/* The next message of a bare descriptor; its owner closes it with ipc_message_end. 0, ERR_BUSY when
 * there is none, ERR_ABSENT when the peer is gone, else an error that ends the connection. */
int ipc_receive(int fd, struct ipc_message *m, struct err *e);
/* Takes the one descriptor that the message must have brought; -1 when it brought none. */
int ipc_take_fd(struct ipc_message *m);
void ipc_message_end(struct ipc_message *m);

/* The view in a memfd that came with a message; *out is the caller's. The descriptor stays open. */
int ipc_read_view(int fd, struct view **out, struct err *e);

/* Pure: a whole datagram into type and body; ERR_PROTO when header and length do not agree. */
int ipc_parse(struct str datagram, uint32_t *type, struct reader *body, struct err *e);

enum { IPC_SIGNAL_BYTES = 24, IPC_MAX_SIGNALS = (IPC_MAX_BODY - 4) / IPC_SIGNAL_BYTES };
void ipc_put_signal(struct buf *b, const struct signal *s);
/* False: out of range; the message is to be dropped. */
bool ipc_get_signal(struct reader *r, struct signal *s);

#endif
