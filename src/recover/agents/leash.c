#include "recover/agents/leash.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

enum { LOOK_MS = 20, TELLS = 3, WATCHES = 4, FIRST_OTHER = 5 };

/* --- the leash --- */

/* At once, if it is over. */
static void arm(timer_t timer, uint64_t at)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};
    if (timer_settime(timer, TIMER_ABSTIME, &when, NULL))
        _exit(1);
}

/* Only what the two pipes need stays open: the agent's lines end with the agent. */
static void keep_only(int tells, int watches)
{
    int t = fcntl(tells, F_DUPFD, FIRST_OTHER), w = fcntl(watches, F_DUPFD, FIRST_OTHER);
    if (t < 0 || w < 0 || dup2(t, TELLS) < 0 || dup2(w, WATCHES) < 0)
        _exit(1);
    if (syscall(SYS_close_range, FIRST_OTHER, ~0u, 0))
        for (int fd = FIRST_OTHER; fd < 65536; fd++)
            close(fd);
}

static _Noreturn void hold(leash_deadline *deadline, void *context, uint64_t grace, pid_t parent)
{
    struct sigevent end = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct pollfd agent = {.fd = WATCHES, .events = POLLIN};
    uint64_t until = 1; /* long over */
    timer_t timer;
    if (timer_create(CLOCK_BOOTTIME, &end, &timer))
        _exit(1);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != parent)
        _exit(1);
    for (bool told = false;; told = true) {
        uint64_t now = deadline(context);
        if (!told || (now && now != until)) { /* none that counts: what was, goes on */
            until = now ? now : until;
            arm(timer, until + grace);
        }
        if (!told && write(TELLS, "+", 1) != 1)
            _exit(1);
        if (poll(&agent, 1, LOOK_MS) > 0)
            _exit(0);
    }
}

static _Noreturn void begin(int tells, int watches, leash_deadline *deadline, void *context,
                            uint64_t grace, pid_t parent)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* whoever ends the agent politely does not mean us */
    setsid();
    prctl(PR_SET_NAME, "holdfast-leash", 0, 0, 0);
    keep_only(tells, watches);
    hold(deadline, context, grace, parent);
}

/* --- who holds it --- */

static void close_pair(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void bury(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* It says so when its timer runs. */
static int hear(int fd, struct err *e)
{
    char c;
    ssize_t n;
    do
        n = read(fd, &c, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : err_set(e, ERR_IO, "its deadline cannot be watched: the watcher ended");
}

int leash_start(struct leash *l, leash_deadline *deadline, void *context, uint64_t grace,
                struct err *e)
{
    int up[2] = {-1, -1}, down[2] = {-1, -1};
    CHECK(l->pid == 0);
    int r = pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC) ? err_errno(e, "cannot make a pipe") : 0;
    pid_t parent = getpid(), pid = r ? -1 : fork();
    if (pid == 0)
        begin(up[1], down[0], deadline, context, grace, parent);
    if (r == 0 && pid < 0)
        r = err_errno(e, "cannot watch its deadline");
    if (r) {
        close_pair(up);
        close_pair(down);
        return r;
    }
    close(up[1]);
    *l = (struct leash){.pid = pid, .watched = up[0], .held = down[1], .theirs = down[0]};
    r = hear(l->watched, e);
    if (r)
        leash_end(l);
    return r;
}

/* What is set here belongs to the open file, not to the descriptor: the leash has the same. */
static bool tie_pipe(int fd, pid_t group)
{
    return fcntl(fd, F_SETSIG, SIGKILL) == 0 && fcntl(fd, F_SETOWN, -group) == 0 &&
           fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0;
}

int leash_tie(struct leash *l, pid_t group, struct err *e)
{
    CHECK(l->pid && group > 1);
    if (!tie_pipe(l->watched, group) || !tie_pipe(l->theirs, group))
        return err_errno(e, "cannot tie it to its deadline");
    close(l->theirs);
    l->theirs = -1;
    struct pollfd ended = {.fd = l->watched, .events = POLLIN};
    if (poll(&ended, 1, 0) != 0)
        return err_set(e, ERR_DENIED, "its deadline has passed");
    return 0;
}

void leash_end(struct leash *l)
{
    if (!l->pid)
        return;
    close(l->watched);
    bury(l->pid);
    close(l->held);
    if (l->theirs >= 0)
        close(l->theirs);
    *l = (struct leash){0};
}
