/* From fork to execve. The child may call only what is safe after a fork (signal-safety(7)); what
 * fails there comes back over a pipe that closes when the program is executed. */
#include "recover/agents/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 127, FIRST = 3 };

enum step {
    STEP_OUTPUT,
    STEP_LIMITS,
    STEP_USER,
    STEP_PRIVILEGES,
    STEP_DIRECTORY,
    STEP_EXECUTE,
    STEPS
};

struct failure {
    int32_t step, error;
};

/* --- in the child --- */

static _Noreturn void fail(int report, enum step step)
{
    struct failure f = {step, errno};
    ssize_t n = write(report, &f, sizeof f);
    (void)n;
    _exit(FAILED);
}

/* By the kernel's own call: the C library keeps two signals for itself and will not touch them,
 * while whoever started us may have had them ignored. */
static void default_signals(void)
{
    const uint64_t zeros[8] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags, no mask */
    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, zeros, NULL, sizeof(uint64_t)); /* SIGKILL, SIGSTOP refuse */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool redirect(const struct program *p, int out)
{
    int in = p->input ? p->input : open("/dev/null", O_RDONLY | O_CLOEXEC);
    return in >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
           dup2(out, STDERR_FILENO) >= 0;
}

static bool limit(const struct program *p)
{
    struct rlimit none = {0, 0}, files, address = {p->address, p->address};
    if (setrlimit(RLIMIT_CORE, &none) || getrlimit(RLIMIT_NOFILE, &files))
        return false;
    if (p->files && p->files < files.rlim_max)
        files.rlim_max = p->files;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files))
        return false;
    return p->address == 0 || setrlimit(RLIMIT_AS, &address) == 0;
}

/* Every capability too: those of the bounding set can come back by a set-user-ID program only,
 * which no_new_privs forbids. By the kernel's own calls: the C library's would have all threads do
 * the same by a signal, whose action is the default by now. */
static bool become(const struct program *p)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};
    if (!p->drop)
        return true;
    return syscall(SYS_setgroups, 0, NULL) == 0 &&
           syscall(SYS_setresgid, p->gid, p->gid, p->gid) == 0 &&
           syscall(SYS_setresuid, p->uid, p->uid, p->uid) == 0 &&
           syscall(SYS_capset, &head, sets) == 0;
}

/* After the change of user, which clears the death signal. Who lost its parent in between ends. */
static bool tie(pid_t parent)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

static void close_others(void)
{
    if (syscall(SYS_close_range, FIRST, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    struct rlimit l = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &l);
    for (unsigned fd = FIRST; fd < MIN(l.rlim_cur, 65536u); fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

/* Where the kernel groups processes by session, ours weighs as much as any other, whatever the nice
 * of those in it: the group has one of its own (sched(7), "The autogroup feature"). */
static void favour(int nice)
{
    char text[16], *at = text + sizeof text;
    unsigned digits = (unsigned)(nice < 0 ? -nice : nice);
    setpriority(PRIO_PROCESS, 0, nice);
    int group = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (group < 0)
        return;
    do
        *--at = (char)('0' + digits % 10);
    while (digits /= 10);
    if (nice < 0)
        *--at = '-';
    ssize_t n = write(group, at, (size_t)(text + sizeof text - at));
    (void)n;
    close(group);
}

static _Noreturn void run(const struct program *p, int out, int report, pid_t parent)
{
    setsid();
    default_signals();
    if (!redirect(p, out))
        fail(report, STEP_OUTPUT);
    close_others();
    if (!limit(p))
        fail(report, STEP_LIMITS);
    if (p->nice)
        favour(p->nice);
    if (!become(p))
        fail(report, STEP_USER);
    if (!tie(parent))
        fail(report, STEP_PRIVILEGES);
    umask(0077);
    if (chdir(p->directory ? p->directory : "/"))
        fail(report, STEP_DIRECTORY);
    execve(p->path, (char *const *)(uintptr_t)p->argv, (char *const *)(uintptr_t)p->envp);
    fail(report, STEP_EXECUTE);
}

/* --- in the parent --- */

/* The program was executed (0), or why not. */
static int hear(int report, const struct program *p, struct err *e)
{
    static const char *const steps[STEPS] = {
        [STEP_OUTPUT] = "its output cannot be connected",
        [STEP_LIMITS] = "its limits cannot be set",
        [STEP_USER] = "it cannot become its user",
        [STEP_PRIVILEGES] = "it cannot be bound to us",
        [STEP_DIRECTORY] = "its directory cannot be entered",
        [STEP_EXECUTE] = "it cannot be executed",
    };
    struct failure f;
    ssize_t n;
    do
        n = read(report, &f, sizeof f);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != sizeof f || f.step < 0 || f.step >= STEPS)
        return err_set(e, ERR_IO, "cannot start %s: it was killed at once", p->path);
    if (f.step == STEP_EXECUTE && f.error == ENOENT)
        return err_set(e, ERR_ABSENT, "there is no program %s", p->path);
    errno = f.error;
    err_errno(e, "%s", steps[f.step]);
    return err_wrap(e, "cannot start %s", p->path);
}

static int pipes(int out[2], int report[2], struct err *e)
{
    if (pipe2(out, O_CLOEXEC))
        return err_errno(e, "cannot make a pipe");
    if (pipe2(report, O_CLOEXEC) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    int r = err_errno(e, "cannot make a pipe");
    close(out[0]);
    close(out[1]);
    return r;
}

static void bury(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int program_execute(const struct program *p, pid_t *pid, int *out, struct err *e)
{
    int output[2], report[2];
    CHECK(p->path[0] == '/');
    int r = pipes(output, report, e);
    if (r)
        return r;
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        run(p, output[1], report[1], parent);
    r = child < 0 ? err_errno(e, "cannot start %s", p->path) : 0;
    close(output[1]);
    close(report[1]);
    if (r == 0) {
        r = hear(report[0], p, e);
        if (r)
            bury(child);
    }
    close(report[0]);
    if (r) {
        close(output[0]);
        return r;
    }
    *pid = child;
    *out = output[0];
    return 0;
}
