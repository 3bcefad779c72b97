/* process_agent: the agent process, which runs programs of others for control (agent.h). Inside
 * this room only.
 *
 *   process_agent.c       messages, beats, the end
 *   process_agent_unit.c  one program: its life, its words, who waits for its end
 *   process_agent_etcd.c  etcd's arguments and environment, from typed fields
 *   process_agent_keep.c  instances of services, by recover/agents/keeper.h
 *   process_agent_task.c  what takes time: our own program once more, as the children's user
 *   agent_task.c          ... and what that does
 *
 * One thread, one loop, and nothing in it waits for a disk or a name: what does is a process of its
 * own with a limit of time. So the agent beats while a disk hangs.
 *
 * Rights: where the supervisor is root the agent stays root in name, with four capabilities (to
 * become another user, to signal and to favour its processes), no way to gain others, and a file
 * system in which it can only execute what the system installed and write to the state directory.
 * What it starts is the children's user, as control is. */
#ifndef HF_PROCESS_AGENT_H
#define HF_PROCESS_AGENT_H

#include "base/base.h"
#include "daemon/agent.h"
#include "daemon/daemon.h"
#include "daemon/ipc.h"
#include "daemon/log.h"
#include "daemon/paths.h"
#include "daemon/sandbox.h"
#include "recover/agents/keeper.h"
#include "recover/agents/process.h"
#include "view/cells.h"

enum {
    AGENT_WAITERS = 8, /* stops of one program that wait for its end */
    AGENT_INSTANCES = 64,
};
#define AGENT_ORDERLY (5 * NS_PER_S) /* what programs are given to end when we do */

struct agent_process;

struct agent_unit {
    struct agent_process *owner;
    enum agent_kind kind;
    enum agent_life life;
    bool wanted;
    uint32_t starts, status;
    uint64_t since;
    struct agent_etcd etcd;
    struct runner runner;
    struct output output;
    uint64_t waiters[AGENT_WAITERS]; /* tickets of the line there is */
    uint32_t n_waiters;
};

struct agent_job {
    struct agent_process *owner;
    struct command *command; /* NULL: free */
    enum agent_task task;
    uint64_t ticket;
    bool answered_for; /* its line is gone: nobody waits */
};

/* One of a service of kind primary. Its kind never changes: another one takes its place when it has
 * ended. */
struct agent_kept {
    struct keeper *keeper; /* NULL: free */
    bool over;             /* to be closed by p->reap */
    bool replaced;         /* by `next` */
    struct agent_instance next;
};

struct agent_process {
    struct log log;
    struct loop *loop;
    struct cells cells;
    struct ipc supervisor, control;
    struct timer beat;
    int memory_fd;
    char state[PATHS_MAX]; /* absolute */
    bool drops;
    struct sandbox_user user;
    struct agent_unit units[AGENT_KINDS];
    struct agent_job jobs[AGENT_TASKS_AT_ONCE];
    struct view *view, *next_view; /* in force; between VIEW_BEGIN and VIEW_END. May be NULL */
    struct keeper_host host;
    struct agent_kept kept[AGENT_INSTANCES];
    struct task reap;
    struct arena words; /* what keep_words returned last */
    bool leaving;       /* ends when the last unit has */
    int result;
};

/* process_agent.c */
void agent_answer(struct agent_process *p, const struct agent_answer *a);
/* r and e: as a function left them; r 0 is success. */
void agent_answer_simple(struct agent_process *p, uint64_t ticket, int r, const struct err *e);
/* A unit ended: perhaps we may. */
void agent_may_leave(struct agent_process *p);
/* As whom and how gently programs run. */
void agent_fill(const struct agent_process *p, struct program *what);

/* process_agent_unit.c */
void unit_init(struct agent_process *p, enum agent_kind kind);
int unit_start(struct agent_unit *u, const struct agent_etcd *etcd, struct err *e);
/* The answer comes when it is dead. */
void unit_stop(struct agent_unit *u, uint64_t ticket, uint64_t grace);
void unit_tell(struct agent_unit *u);
static inline bool unit_runs(const struct agent_unit *u)
{
    return runner_runs(&u->runner);
}

/* process_agent_etcd.c: argv and envp point into *memory, the caller's to free in any case. */
int etcd_program(const struct agent_process *p, const struct agent_etcd *etcd, struct arena *memory,
                 struct program *out, struct err *e);
/* Is this line of etcd's worth an operator's attention? Pure. */
bool etcd_complains(struct str line);

/* process_agent_keep.c */
void keep_init(struct agent_process *p);
/* The view that the supervisor hands over. False: malformed. */
bool keep_view(struct agent_process *p, struct ipc_message *m);
bool keep_instance(struct agent_process *p, struct ipc_message *m);
bool keep_role(struct agent_process *p, struct ipc_message *m);
void keep_forget_line(struct agent_process *p);
void keep_tell(struct agent_process *p);
void keep_stop(struct agent_process *p, uint64_t grace);
bool keep_runs(const struct agent_process *p);
void keep_end(struct agent_process *p);

/* process_agent_task.c */
void task_run(struct agent_process *p, const struct agent_order *o);
/* Does one of them touch the data of programs now? */
bool task_has_data(const struct agent_process *p);
void tasks_end(struct agent_process *p);
/* The line is gone: nobody waits for their answers. */
void tasks_forget_line(struct agent_process *p);

/* agent_task.c: @agent-task WORD STATE. The words of agent_task_name. */
const char *agent_task_name(enum agent_task t);
/* "ok", or "ok WRITES MEDIAN P99 WORST". Pure. */
bool agent_task_parse(enum agent_task t, struct str output, struct agent_disk *disk);

#endif
