/* process: runs programs of others, and ends them. What every agent that starts something stands
 * on.
 *
 * A program is started by its absolute path with the arguments and the environment that are given,
 * and nothing else of ours: no search path, no shell, no descriptor, no signal that is ignored or
 * blocked, no controlling terminal. It leads a session and a process group of its own, standard
 * input is /dev/null, what it prints comes back over one pipe. It gains no privileges by what it
 * executes, dumps no core, and dies with us (PR_SET_PDEATHSIG): what we started and could not watch
 * any more must not go on.
 *
 *   state     event                                           what happens               state then
 *   idle      runner_start                                   fork, execute              runs
 *   runs      runner_stop                                    SIGTERM to the leader      stops
 *   stops     the grace is over                               SIGKILL to the group       stops
 *   any       the leader ends (pidfd)                         SIGKILL to what is left of
 *                                                             the group, on_exit         idle
 *
 * An end is known at once and for certain: a pidfd becomes readable, no time-out is involved, and
 * its number cannot mean another process meanwhile. SIGTERM goes to the leader alone, which is to
 * end its own children in its own order; what it leaves behind is killed with its group. A process
 * that made itself a session of its own is out of reach of that.
 *
 * Output is read as fast as it comes, so that a program never waits for us, and is handed over as
 * it is: output.h makes bounded lines of it, command.h a bounded text. At most TURN bytes a turn of
 * the loop: a flood costs time and no memory.
 *
 * One loop, one thread, which must be the thread that goes on for as long as the process does
 * (the death signal is tied to it). Failure modes: what keeps a program from being executed is
 * known when runner_start returns; a program that cannot be killed (it waits for a dead disk)
 * stays in "stops" until the kernel lets go of it. */
#ifndef HF_RECOVER_PROCESS_H
#define HF_RECOVER_PROCESS_H

#include <sys/types.h>

#include "base/base.h"
#include "os/os.h"
#include "recover/agents/command.h"
#include "recover/agents/output.h"
#include "recover/agents/program.h"

struct runner {
    struct loop *loop;
    void *context;
    /* Set by the owner before the start. Called from the loop, never from inside a function of this
     * header. on_output may be NULL. */
    void (*on_output)(struct runner *p, struct str bytes);
    /* It has ended, with this status of wait(2), and all that it printed was handed over. The owner
     * may start it again or end its memory. */
    void (*on_exit)(struct runner *p, int status);
    /* private */
    pid_t pid; /* 0: idle */
    int pidfd, out;
    struct io exit_io, out_io;
    struct task more;
    struct timer kill_timer;
    bool stopping, ended;
};

/* Idle. */
void runner_init(struct runner *p, struct loop *l);
/* ERR_ABSENT: there is no such program; other errors name the step that failed. */
int runner_start(struct runner *p, const struct program *what, struct err *e);
/* Harmless when it does not run, and when it stops already: the shorter grace counts. 0: SIGKILL
 * now. */
void runner_stop(struct runner *p, uint64_t grace);
/* Kills it, waits until it is gone (milliseconds, unless the kernel holds it), calls nobody.
 * Harmless when it does not run. */
void runner_abandon(struct runner *p);
static inline bool runner_runs(const struct runner *p)
{
    return p->pid != 0;
}
/* "was killed by signal 9 (Killed)", "ended with status 1". Terminated. */
void runner_tell(int status, char *out, size_t size);

#endif
