#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ipc.h"
#include "os/os.h"

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

/* Absent before Linux 5.11. Ours close by themselves; this is for what a shell left open, or what
 * an upgrade keeps open. */
static void close_from(unsigned first)
{
    struct rlimit limit = {.rlim_cur = 1024};
    if (syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned fd = first; fd < MIN(limit.rlim_cur, 65536u); fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

/* Each may lie where another has to go: all move out of the way first. */
static bool place_descriptors(int fds[PROCESS_MAX_FDS + 1], size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        if (fds[i] < 0)
            continue;
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PROCESS_FIRST_FD + PROCESS_MAX_FDS);
        if (fds[i] < 0)
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (dup2(fds[i], PROCESS_FIRST_FD + (int)i) < 0)
            return false;
    close_from(PROCESS_FIRST_FD + (unsigned)n);
    return true;
}

static _Noreturn void become(const struct process_program *p)
{
    int fds[PROCESS_MAX_FDS + 1];
    memcpy(fds, p->fds, p->n_fds * sizeof fds[0]);
    fds[p->n_fds] = p->program;
    setpgid(0, 0);
    set_signals();
    if (p->hurries)
        priority_hurry();
    if (place_descriptors(fds, p->n_fds)) {
        if (p->program >= 0)
            fexecve(fds[p->n_fds], p->argv, environ);
        else
            execv("/proc/self/exe", p->argv);
    }
    static const char complaint[] = "holdfast: cannot execute a program: is /proc mounted?\n";
    ssize_t n = write(STDERR_FILENO, complaint, sizeof complaint - 1);
    (void)n;
    _exit(EXEC_FAILED);
}

int process_start_program(const struct process_program *p, pid_t *pid, struct err *e)
{
    CHECK(p->n_fds <= PROCESS_MAX_FDS);
    pid_t child = fork();
    if (child < 0)
        return err_errno(e, "cannot start a process");
    if (child == 0)
        become(p);
    *pid = child;
    return 0;
}

int process_start(char *const *argv, int supervisor_fd, int cells_fd, pid_t *pid, struct err *e)
{
    struct process_program p = {
        .argv = argv, .program = -1, .fds = {supervisor_fd, cells_fd}, .n_fds = 2};
    p.hurries = strcmp(argv[1], "@control") == 0;
    return process_start_program(&p, pid, e);
}

bool process_reap(pid_t pid, int *status)
{
    pid_t r;
    do
        r = waitpid(pid, status, WNOHANG);
    while (r < 0 && errno == EINTR);
    if (r < 0) { /* after an upgrade that was taken back: the other program buried it */
        CHECK(errno == ECHILD);
        *status = 0;
        return true;
    }
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
