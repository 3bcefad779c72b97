/* leash: a program may run until a deadline that moves, whatever becomes of us.
 *
 *   agent ----- starts, watches, ends ------> program and its process group
 *     |                                        ^          ^
 *     | fork                                   | SIGKILL  | SIGKILL
 *     v                                        | by the   | by the kernel,
 *   leash: looks at the deadline, moves        | kernel,  | when the leash ends
 *          its own kernel timer along          | when the agent ends
 *
 * The leash is a process that does one thing: each 20 ms it reads the deadline and sets a timer of
 * the kernel's to it, which sends SIGKILL to the leash itself. Its end, of whatever cause, is the
 * end of the program's whole group: the kernel sends SIGKILL to it when a pipe loses its last
 * writer (F_SETOWN, F_SETSIG, O_ASYNC: fcntl(2)). A second pipe is the same with the agent's end.
 * So the program does not outlive its deadline when the agent hangs, is stopped or is killed, nor
 * when all processes of ours are at once: timers go on for processes that are stopped, and SIGKILL
 * reaches them. A machine that wakes finds the timer due before the program does anything.
 *
 *   event                                     the program's group is killed by
 *   deadline passed, agent runs               the agent (keeper.h), at the deadline
 *   deadline passed, agent hangs or stopped   the leash's timer, `grace` later
 *   the leash killed, stopped or starved      the same
 *   the agent killed                          the pipe; and PR_SET_PDEATHSIG, its leader
 *   all of ours killed at once                one of the two pipes: whoever ends later holds its
 *                                             reading end still
 *
 * The caller's thread; nothing waits but for the start (a fork). What leaves the program's group
 * (setsid, setpgid) is out of reach. Failure modes: no process or pipe more is an error of the
 * start.
 */
#ifndef HF_RECOVER_LEASH_H
#define HF_RECOVER_LEASH_H

#include <sys/types.h>

#include "base/base.h"

struct leash {
    pid_t pid;                 /* 0: none */
    int watched, held, theirs; /* our ends of the pipes; the leash's, until it is tied */
};
/* The deadline, by CLOCK_BOOTTIME; 0: none that counts. Called in the leash, which has the memory
 * of its parent as it was, and what is shared with others as it is. */
typedef uint64_t leash_deadline(void *context);

/* It is armed when this returns. ERR_NOMEM and what the system says. */
int leash_start(struct leash *l, leash_deadline *deadline, void *context, uint64_t grace,
                struct err *e);
/* From now on this group ends with the leash, and with us. An error: it has ended already. */
int leash_tie(struct leash *l, pid_t group, struct err *e);
/* The group is gone. Harmless without a leash. */
void leash_end(struct leash *l);

#endif
