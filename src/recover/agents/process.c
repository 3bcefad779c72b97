#include "recover/agents/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 16 * 1024, TURN = 8 * PIECE };

/* --- output --- */

/* What there is, at most TURN bytes. False: there is more. */
static bool read_output(struct runner *p)
{
    char piece[PIECE];
    for (size_t sum = 0; p->out >= 0 && sum < TURN;) {
        ssize_t n = read(p->out, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true; /* nothing now, or nobody holds the other end any more */
        sum += (size_t)n;
        if (p->on_output)
            p->on_output(p, (struct str){piece, (size_t)n});
    }
    return p->out < 0;
}

static void on_more(struct task *t)
{
    struct runner *p = CONTAINER_OF(t, struct runner, more);
    if (!read_output(p))
        loop_defer(p->loop, &p->more);
}

static void on_out(struct io *io, unsigned ready)
{
    struct runner *p = CONTAINER_OF(io, struct runner, out_io);
    (void)ready;
    on_more(&p->more);
}

/* --- the end --- */

static void release(struct runner *p)
{
    loop_timer_stop(p->loop, &p->kill_timer);
    task_cancel(&p->more);
    loop_io_stop(p->loop, &p->exit_io);
    loop_io_stop(p->loop, &p->out_io);
    if (p->pidfd >= 0)
        close(p->pidfd);
    if (p->out >= 0)
        close(p->out);
    p->pidfd = p->out = -1;
    p->pid = 0;
    p->stopping = p->ended = false;
}

/* While the leader is not buried its number, which is the group's, is nobody else's. */
static bool bury(struct runner *p, bool wait, int *status)
{
    siginfo_t info = {0};
    int options = WEXITED | WNOWAIT | (wait ? 0 : WNOHANG);
    while (waitid(P_PID, (id_t)p->pid, &info, options) < 0 && errno == EINTR)
        continue;
    if (info.si_pid != p->pid)
        return false;
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, status, 0) < 0 && errno == EINTR)
        continue;
    return true;
}

static void on_ended(struct io *io, unsigned ready)
{
    struct runner *p = CONTAINER_OF(io, struct runner, exit_io);
    int status = 0;
    (void)ready;
    if (!bury(p, false, &status))
        return;
    p->ended = true; /* the number is anybody's from now on */
    /* What the pipe holds is bounded; somebody outside the group may go on writing. */
    read_output(p);
    release(p);
    p->on_exit(p, status);
}

static void on_kill(struct timer *t)
{
    struct runner *p = CONTAINER_OF(t, struct runner, kill_timer);
    kill(-p->pid, SIGKILL);
}

/* --- the front --- */

void runner_init(struct runner *p, struct loop *l)
{
    *p = (struct runner){.loop = l, .pidfd = -1, .out = -1};
    io_init(&p->exit_io, on_ended);
    io_init(&p->out_io, on_out);
    task_init(&p->more, on_more);
    timer_init(&p->kill_timer, on_kill);
}

static int watch(struct runner *p, struct err *e)
{
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0); /* close-on-exec by itself */
    if (p->pidfd < 0)
        return err_errno(e, "cannot watch a process");
    int r = loop_io_start(p->loop, &p->exit_io, p->pidfd, e);
    return r ? r : loop_io_start(p->loop, &p->out_io, p->out, e);
}

int runner_start(struct runner *p, const struct program *what, struct err *e)
{
    CHECK(!runner_runs(p) && p->on_exit);
    int r = program_execute(what, &p->pid, &p->out, e);
    if (r)
        return r;
    r = watch(p, e);
    if (r)
        runner_abandon(p);
    return r;
}

void runner_stop(struct runner *p, uint64_t grace)
{
    uint64_t at = loop_now(p->loop) + grace;
    if (!runner_runs(p) || p->ended)
        return;
    if (grace == 0) {
        kill(-p->pid, SIGKILL);
    } else {
        if (!p->stopping)
            kill(p->pid, SIGTERM);
        /* One that is stopped (SIGSTOP) does not hear it. */
        kill(p->pid, SIGCONT);
        if (!timer_is_set(&p->kill_timer) || at < p->kill_timer.at)
            loop_timer_set(p->loop, &p->kill_timer, at);
    }
    p->stopping = true;
}

void runner_abandon(struct runner *p)
{
    int status;
    if (!runner_runs(p))
        return;
    kill(-p->pid, SIGKILL);
    bury(p, true, &status);
    release(p);
}

void runner_tell(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}
