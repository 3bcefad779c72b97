#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ipc.h"

enum { EXEC_FAILED = 127 };

static void set_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Each may lie where the other has to go: both move out of the way first. */
static bool place_descriptors(int supervisor_fd, int cells_fd)
{
    int supervisor = fcntl(supervisor_fd, F_DUPFD_CLOEXEC, IPC_FD_CELLS + 1);
    int cells = fcntl(cells_fd, F_DUPFD_CLOEXEC, IPC_FD_CELLS + 1);
    if (supervisor < 0 || cells < 0 || dup2(supervisor, IPC_FD_SUPERVISOR) < 0 ||
        dup2(cells, IPC_FD_CELLS) < 0)
        return false;
    /* Ours close by themselves; this is for what a shell left open. Absent before Linux 5.11. */
    syscall(SYS_close_range, IPC_FD_CELLS + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    return true;
}

static _Noreturn void become(char *const *argv, int supervisor_fd, int cells_fd)
{
    setpgid(0, 0);
    set_signals();
    if (place_descriptors(supervisor_fd, cells_fd))
        execv("/proc/self/exe", argv);
    static const char complaint[] = "holdfast: cannot execute /proc/self/exe: is /proc mounted?\n";
    ssize_t n = write(STDERR_FILENO, complaint, sizeof complaint - 1);
    (void)n;
    _exit(EXEC_FAILED);
}

int process_start(char *const *argv, int supervisor_fd, int cells_fd, pid_t *pid, struct err *e)
{
    pid_t p = fork();
    if (p < 0)
        return err_errno(e, "cannot start a process");
    if (p == 0)
        become(argv, supervisor_fd, cells_fd);
    *pid = p;
    return 0;
}

bool process_reap(pid_t pid, int *status)
{
    pid_t r;
    do
        r = waitpid(pid, status, WNOHANG);
    while (r < 0 && errno == EINTR);
    CHECK(r >= 0);
    return r == pid;
}

void process_describe(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == EXEC_FAILED)
        snprintf(out, size, "could not be executed");
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}
