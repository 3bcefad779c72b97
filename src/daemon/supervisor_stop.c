/* Signals, and the way to an end: the proxy drains first, while control still checks and judges for
 * it; then control; then the agent, which lets its programs end. A second request to stop means
 * now.
 *
 *   phase      SIGTERM or SIGINT        the proxy ended          control ended
 *   starting   drain                    (is started again)       (is started again)
 *   running    drain                    (is started again)       (is started again)
 *   draining   end now                  stop control             stop the agent; without one, done
 *   ending     -                        done, if all have        done, if all have */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor.h"

uint32_t supervisor_drain_ticks(const struct supervisor *s)
{
    uint64_t longest = 0;
    const struct view *v = s->now.view;
    for (uint32_t i = 0; v && i < v->n_services; i++)
        longest = MAX(longest, v->services[i].timeouts.drain);
    uint64_t ticks = longest / NS_PER_S + STOP_PROXY_MARGIN;
    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void finish(struct supervisor *s)
{
    loop_timer_stop(s->loop, &s->tick);
    loop_stop(s->loop);
}

void supervisor_stop_next(struct supervisor *s)
{
    struct child *control = &s->children[CHILD_CONTROL], *agent = &s->children[CHILD_AGENT];
    struct child *sense = &s->children[CHILD_SENSE];
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++)
        if (child_runs(&s->children[i]))
            return;
    struct child *next = child_runs(control) ? control : child_runs(sense) ? sense : agent;
    if (!child_runs(next))
        finish(s);
    else if (s->phase == PHASE_DRAINING && !next->stop_ticks)
        child_stop(next, true, next == agent ? STOP_AGENT_WITHIN : STOP_CONTROL_WITHIN);
}

static void cancel_restarts(struct supervisor *s)
{
    for (unsigned i = 0; i < CHILDREN; i++)
        loop_timer_stop(s->loop, &s->children[i].again);
}

static void begin_drain(struct supervisor *s)
{
    s->phase = PHASE_DRAINING;
    uint32_t ticks = supervisor_drain_ticks(s);
    log_info(&s->log, "stopping: connections are given up to %u s to end", ticks);
    notify_patience(s,
                    (uint64_t)ticks + STOP_CONTROL_WITHIN + STOP_AGENT_WITHIN + STOP_PROXY_MARGIN);
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++) {
        struct child *c = &s->children[i]; /* who drains already keeps its deadline */
        child_stop(c, true, c->stop_ticks ? MIN(c->stop_ticks, ticks) : ticks);
    }
    /* Nobody will accept any more: new clients are to learn that at once. */
    held_stop_listening(&s->now);
    held_stop_listening(&s->old);
}

static void begin_end(struct supervisor *s)
{
    s->phase = PHASE_ENDING;
    log_info(&s->log, "stopping now");
    for (unsigned i = 0; i < CHILDREN; i++)
        child_stop(&s->children[i], false, STOP_NOW_WITHIN);
}

void supervisor_stop(struct supervisor *s, bool drain)
{
    if (s->phase == PHASE_ENDING)
        return;
    if (s->phase != PHASE_DRAINING)
        notify_send(s, "STOPPING=1\n");
    upgrade_cancel(s);
    handover_cancel(s, "holdfast is stopping");
    cancel_restarts(s);
    view_forget_waiting(s);
    if (drain && s->phase != PHASE_DRAINING)
        begin_drain(s);
    else
        begin_end(s);
    supervisor_stop_next(s);
}

void supervisor_give_up(struct supervisor *s, const struct err *e)
{
    s->why = *e;
    s->result = e->code;
    supervisor_stop(s, false);
}

static void ask_reload(struct supervisor *s)
{
    struct child *control = &s->children[CHILD_CONTROL];
    log_info(&s->log, "SIGHUP: reload");
    if (!ipc_is_open(&control->ipc) || ipc_send(&control->ipc, IPC_RELOAD, STR(""), NULL, 0, NULL))
        s->reload_wanted = true;
}

static bool is_known(const struct supervisor *s, pid_t pid)
{
    for (unsigned i = 0; i < CHILDREN; i++)
        if (s->children[i].pid == pid)
            return true;
    return s->upgrade.checker == pid;
}

/* Those of a program that was taken back, a self-check that was given up, and in a container
 * whoever has lost its parents. */
static void reap_orphans(struct supervisor *s)
{
    for (int i = 0; i < 64; i++) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == 0 ||
            is_known(s, info.si_pid))
            return; /* a known one that ended just now has its own signal */
        waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void handle(struct supervisor *s, uint32_t number)
{
    switch (number) {
    case SIGCHLD:
        for (unsigned i = 0; i < CHILDREN; i++)
            child_reap(&s->children[i]);
        if (!upgrade_reap(s))
            reap_orphans(s);
        break;
    case SIGHUP: ask_reload(s); break;
    case SIGTERM:
    case SIGINT: supervisor_stop(s, true); break;
    default: break;
    }
}

static void on_signal(struct io *io, unsigned ready)
{
    struct supervisor *s = CONTAINER_OF(io, struct supervisor, signals);
    struct signalfd_siginfo info;
    (void)ready;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        handle(s, info.ssi_signo);
}

int supervisor_signals_open(struct supervisor *s, struct err *e)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaddset(&set, numbers[i]);
    signal(SIGPIPE, SIG_IGN);
    /* Ignored, as a shell's background job has SIGINT, they would not reach a signalfd. */
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        signal(numbers[i], SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return err_errno(e, "cannot block signals");
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return err_errno(e, "cannot wait for signals");
    io_init(&s->signals, on_signal);
    return loop_io_start(s->loop, &s->signals, s->signal_fd, e);
}

void supervisor_signals_close(struct supervisor *s)
{
    if (s->signal_fd < 0)
        return;
    loop_io_stop(s->loop, &s->signals);
    close(s->signal_fd);
    s->signal_fd = -1;
}
