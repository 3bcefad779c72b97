/* process: a child is our own binary, executed anew, with nothing of ours but what it is given.
 *
 * Descriptors 0 to 2 are shared, IPC_FD_SUPERVISOR and IPC_FD_CELLS are passed, everything else
 * closes. The child leads its own process group, so that a Ctrl-C on the terminal reaches the
 * supervisor alone, and ignores SIGINT, SIGTERM, SIGHUP and SIGPIPE: who stops is the supervisor's
 * decision, also when a service manager signals the whole group. */
#ifndef HF_PROCESS_H
#define HF_PROCESS_H

#include <sys/types.h>

#include "base/base.h"

enum { PROCESS_FIRST_FD = 3, PROCESS_MAX_FDS = 3 };

struct process_program {
    char *const *argv;
    int program; /* to execute; -1: our own binary */
    int fds[PROCESS_MAX_FDS];
    size_t n_fds;
    bool hurries; /* it starts before all others: priority_hurry */
};
/* The same with any program and descriptors, which begin at PROCESS_FIRST_FD. */
int process_start_program(const struct process_program *p, pid_t *pid, struct err *e);

/* argv[0] is the name for ps, argv[1] the hidden command. The descriptors stay the caller's.
 * Control hurries: within a lease it has to be back, however busy the machine is. */
int process_start(char *const *argv, int supervisor_fd, int cells_fd, pid_t *pid, struct err *e);
/* True when it has ended: it is then gone, and its number may mean another process. Until then, as
 * only its parent can reap it, pid is certain to mean this child: no pidfd is needed to signal it.
 */
bool process_reap(pid_t pid, int *status);
/* "was killed by signal 9 (Killed)", "ended with status 1". Terminated. */
void process_describe(int status, char *out, size_t size);

#endif
