/* supervisor: starts control and proxy, keeps the listening sockets and the last good view, and
 * starts again what dies. It parses nothing that comes from the network and decides nothing about
 * services; docs/processes.md tells why. One thread, one loop. Inside this room only.
 *
 *   supervisor.c          start-up and end of `holdfast run`
 *   supervisor_state.c    the state directory: lock, admin socket, ownership
 *   supervisor_check.c    the configuration is read once before anything starts
 *   supervisor_child.c    a child's life: start, death, restart, hang
 *   supervisor_agent.c    whether the agent runs
 *   supervisor_sense.c    ... and sense
 *   supervisor_view.c     the reload transaction
 *   supervisor_handover.c one proxy takes over from another
 *   supervisor_upgrade.c  out of this program, into another
 *   supervisor_resume.c   in from another program, and back to it
 *   supervisor_socket.c   opening what a view names, with whose rights
 *   supervisor_stop.c     signals, draining, the end
 *   supervisor_gauge.c    what a dead proxy left in the cells
 *   supervisor_notify.c   the service manager's socket */
#ifndef HF_SUPERVISOR_H
#define HF_SUPERVISOR_H

#include <sys/types.h>

#include "admin/admin.h"
#include "base/base.h"
#include "daemon/daemon.h"
#include "daemon/ipc.h"
#include "daemon/log.h"
#include "daemon/paths.h"
#include "daemon/process_hang.h"
#include "daemon/process_restart.h"
#include "daemon/sandbox.h"
#include "daemon/upgrade_state.h"
#include "os/os.h"
#include "view/cells.h"
#include "view/view.h"

/* Proxies by bank (cells.h): one accepts, others may start or drain. The agent runs where a view
 * wants one. */
enum { CHILD_CONTROL, CHILD_PROXY, CHILD_AGENT = CHILD_PROXY + CELLS_BANKS, CHILD_SENSE, CHILDREN };

/* In ticks of one second of the supervisor's own loop. */
enum {
    PROXY_HANGS_AFTER = 5,
    CONTROL_HANGS_AFTER = 10,
    AGENT_HANGS_AFTER = 10,
    SENSE_HANGS_AFTER = 10,
    FIRST_BEAT_WITHIN = 30,
    VIEW_TAKEN_WITHIN = 30,
    GONE_GRACE = 2, /* its socket is closed and it has not died yet */
    STOP_CONTROL_WITHIN = 5,
    STOP_AGENT_WITHIN = 10, /* over what it gives its programs */
    STOP_SENSE_WITHIN = 5,
    STOP_PROXY_MARGIN = 5, /* over the longest drain time of the view */
    STOP_NOW_WITHIN = 2,
    HAND_OVER_WITHIN = 10, /* a new proxy takes the view */
};

struct supervisor;

struct child {
    struct supervisor *owner;
    unsigned index; /* CHILD_CONTROL, CHILD_AGENT, CHILD_SENSE, or CHILD_PROXY + bank */
    uint32_t bank;  /* proxies */
    enum proxy_role role;
    uint64_t generation; /* of the proxy that has the bank, counted from 1 */
    const char *name;    /* "control", "the proxy", "the agent", "sense" */
    uint32_t row;        /* PROCESS_* of cells.h */
    uint32_t hang_after; /* ticks */
    pid_t pid;           /* 0: does not run */
    struct ipc ipc;
    uint64_t started;
    struct restart restart;
    struct timer again; /* fires when a delayed restart is due */
    struct hang beat;
    struct hang worker_beats[CELLS_MAX_WORKERS];
    uint64_t sent, taken; /* epochs: the view that it was given, and confirmed (proxy) */
    uint32_t taking_ticks;
    uint32_t gone_ticks; /* since its socket closed; 0: it is open */
    uint32_t stop_ticks; /* until it is killed; 0: no deadline */
    unsigned may;        /* the agent was started for: AGENT_MAY_... */
    bool inherited;      /* started by the program before an upgrade */
    bool foreign;        /* and of other formats: it writes another region and knows other views */
};

/* A view and what was opened for it. */
struct held {
    struct view *view; /* NULL: none */
    int view_fd;       /* the sealed memory file; -1: it was only checked, nobody compiled it yet */
    int *fds;          /* fds[i] belongs to view->sockets[i]; -1: passed on or closed */
    int32_t *from;     /* until it is adopted: which of the sockets in force each one is */
};

enum phase {
    PHASE_STARTING, /* no view has been taken yet */
    PHASE_RUNNING,
    PHASE_DRAINING, /* the proxy ends its connections, then control ends */
    PHASE_ENDING,   /* all end now */
};

/* The latest change of hands, as control tells it to whoever asks. */
struct change {
    uint64_t number;
    enum change_kind kind;
    enum change_state state;
    char text[240];
};

struct handover {
    struct child *next; /* starts, and is to accept; NULL: nobody */
    uint32_t ticks;     /* that it has left to take the view */
};

/* Kept free by every supervisor, for what it leaves to another program. */
enum { UPGRADE_FD_STATE = 3, UPGRADE_FD_BACK = 4 /* the program to go back to */ };

enum upgrade_step {
    UPGRADE_IDLE,
    UPGRADE_CHECKS, /* the new program checks itself */
    UPGRADE_LEAVES, /* it may be executed as soon as nothing waits to be sent */
    UPGRADE_TRIAL,  /* we are the new program, and may go back */
};

struct upgrade {
    enum upgrade_step step;
    uint32_t ticks; /* that the step has left */
    int program_fd; /* to become; -1 */
    pid_t checker;  /* 0: none */
    int answer_fd;  /* from it; -1 */
    char version[UPGRADE_VERSION_MAX];
    /* on trial */
    struct timer poll;
    struct upgrade_state from; /* what the program before left */
    struct held rest;          /* sockets of it that are not used any more */
};

struct supervisor {
    const struct run_options *options;
    struct run_options resumed; /* what `options` is after an upgrade */
    char state[PATHS_MAX];
    struct log log;
    struct loop *loop;
    int lock_fd, admin_fd, cells_fd;
    struct addr admin;
    struct cells cells;
    uint32_t workers; /* as the region was made; its header is not to be trusted any more */
    uint64_t boot;    /* ns, when the region was made */
    bool drops;       /* children become `user` */
    struct sandbox_user user;
    struct held checked; /* what is to run, as it stood at the start */
    uint64_t shared;     /* that is this version of what all nodes share; 0: the own file */
    struct view *own;    /* then: the own file alone; NULL: it says nothing without the version */
    struct held now;     /* the last good view */
    struct held old;     /* what `now` replaced, until the proxy has taken `now` */
    bool taking;         /* control waits for VIEW_TAKEN of `now` */
    int waiting_fd;      /* one more view, while `taking` or on trial; -1: none */
    uint64_t waiting_epoch;
    bool reload_wanted; /* SIGHUP came while control was down */
    struct child children[CHILDREN];
    uint32_t serving;     /* bank of the proxy that accepts */
    uint64_t generations; /* proxies ever started */
    struct handover handover;
    struct change change;
    struct upgrade upgrade;
    enum phase phase;
    struct io signals;
    int signal_fd;
    struct timer tick;
    int notify_fd; /* of the service manager; -1: none */
    int result;    /* of supervisor_run, with its sentence */
    struct err why;
};

/* supervisor_state.c */
int supervisor_state_open(struct supervisor *s, struct err *e);
void supervisor_state_close(struct supervisor *s);

/* Which of its cluster this node is: as the view in force says, else as we were told; may be empty.
 */
struct str supervisor_node(const struct supervisor *s);

/* supervisor_check.c: prints the problems of the file. */
int supervisor_check(struct supervisor *s, struct err *e);
/* Its version cannot be used here: the next older one. */
int supervisor_check_older(struct supervisor *s, struct err *e);

/* supervisor_child.c */
void child_init(struct supervisor *s, unsigned index);
void child_start(struct child *c);
void child_adopt(struct child *c); /* one that runs already: it is watched */
void child_reap(struct child *c);
void child_tick(struct child *c);
/* It will be reaped, and started again unless everything ends. */
void child_kill(struct child *c, const char *why);
void child_stop(struct child *c, bool drain, uint32_t ticks);
void child_set_role(struct child *c, enum proxy_role role);
static inline bool child_runs(const struct child *c)
{
    return c->pid != 0;
}
static inline bool child_is_proxy(const struct child *c)
{
    return c->index >= CHILD_PROXY && c->index < CHILD_AGENT;
}
static inline struct child *serving_proxy(struct supervisor *s)
{
    return &s->children[CHILD_PROXY + s->serving];
}

/* supervisor_agent.c */
/* Does the view in force name commands for it to run? */
unsigned agent_may(const struct supervisor *s);
bool agent_is_wanted(const struct supervisor *s);
/* Starts and ends the agent as the view in force wants it. */
void agent_follow(struct supervisor *s);
/* A program before this one had started it: another takes its place. */
void agent_renew(struct supervisor *s);

/* supervisor_sense.c */
bool sense_is_wanted(const struct supervisor *s);
/* Starts and ends sense as the view in force wants it. */
void sense_follow(struct supervisor *s);
/* Another program takes over, or this one could not: what sense knows it knows again soon. */
void sense_end_now(struct supervisor *s);

/* supervisor_view.c */
void view_offered(struct supervisor *s, uint64_t epoch, int fd); /* takes fd */
void view_taken(struct child *c, uint64_t epoch);
void view_give(struct child *c); /* the last good view, if there is one */
void view_forget_waiting(struct supervisor *s);
void view_apply_waiting(struct supervisor *s); /* nothing hinders it any more */

/* supervisor_handover.c */
/* Starts a proxy beside the one that accepts. How it goes on is told to control. */
void handover_ask(struct supervisor *s);
/* The new proxy has a view: is it the one in force? */
void handover_taken(struct child *c);
/* A proxy of this role has ended. True: that was foreseen, and it does not start again. */
bool handover_ended(struct child *c, enum proxy_role role);
void handover_tick(struct supervisor *s);
/* The end comes: what has not accepted yet never will. */
void handover_cancel(struct supervisor *s, const char *why);
/* What runs is told to control, now and when another control starts. */
void change_begin(struct supervisor *s, enum change_kind kind, const char *what);
void change_report(struct supervisor *s, enum change_state state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void change_tell(struct supervisor *s);
/* ERR_BUSY: every bank is taken. */
int handover_room(struct supervisor *s, struct err *e);
/* For an upgrade: the new proxy starts, and accepts when handover_switch says so. */
void handover_start(struct supervisor *s);
void handover_switch(struct supervisor *s);

/* supervisor_upgrade.c */
void upgrade_ask(struct supervisor *s, struct str path); /* empty: the path of this program */
bool upgrade_reap(struct supervisor *s);
void upgrade_try_to_leave(struct supervisor *s);
void upgrade_tick(struct supervisor *s);
void upgrade_cancel(struct supervisor *s);
/* What the state names stays open over the next exec, or does not. */
void upgrade_keep_open(const struct upgrade_state *st, bool on);

/* supervisor_resume.c */
static inline bool upgrade_on_trial(const struct supervisor *s)
{
    return s->upgrade.step == UPGRADE_TRIAL;
}
/* Does not return, unless that fails too: then everything ends. */
void upgrade_go_back(struct supervisor *s, const char *why);
/* Sure of ourselves, or without a choice: the new proxy accepts. */
void upgrade_confirm(struct supervisor *s);
void upgrade_trial_tick(struct supervisor *s);

/* supervisor.c: what a start and a resumption share */
void supervisor_init(struct supervisor *s, const struct run_options *o);
int supervisor_make_cells(struct supervisor *s, struct err *e);
/* Turns until all has ended. */
int supervisor_loop(struct supervisor *s, struct err *e);
void supervisor_end(struct supervisor *s);
/* Descriptors 3 and 4, before any other is opened. */
int supervisor_reserve(struct err *e);

/* supervisor_socket.c */
void held_init(struct held *h);
void held_free(struct held *h);
/* Gives h descriptors for its view: those of `now` that it keeps, and new ones. All or nothing;
 * `now` may be NULL and is unchanged until held_adopt. trusted: paths are opened with our rights.
 */
int held_open(struct supervisor *s, struct held *h, const struct held *now, bool trusted,
              struct err *e);
/* h took over what it keeps: `now` loses it. */
void held_adopt(struct held *h, struct held *now);
/* Closes the listening sockets, removes their files. */
void held_stop_listening(struct held *h);

/* supervisor_stop.c */
int supervisor_signals_open(struct supervisor *s, struct err *e);
void supervisor_signals_close(struct supervisor *s);
void supervisor_stop(struct supervisor *s, bool drain);
/* A child ended while the supervisor stops: what comes next. */
void supervisor_stop_next(struct supervisor *s);
/* What connections are given to end, with a margin. */
uint32_t supervisor_drain_ticks(const struct supervisor *s);
/* It cannot start: ends everything, with this result. */
void supervisor_give_up(struct supervisor *s, const struct err *e);

/* supervisor_gauge.c: the proxy of the bank is dead. */
void supervisor_clear_gauges(struct supervisor *s, uint32_t bank);
/* Rows that `next` gives to other instances than `now` (may be NULL) begin at zero, where no proxy
 * writes. */
void supervisor_clear_new(struct supervisor *s, const struct view *now, const struct view *next);

/* supervisor_notify.c */
void notify_open(struct supervisor *s);
void notify_send(struct supervisor *s, const char *text);
/* What goes on now may take so long, whatever the service manager's own limit is. */
void notify_patience(struct supervisor *s, uint64_t seconds);

#endif
