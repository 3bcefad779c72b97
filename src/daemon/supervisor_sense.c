/* Whether sense runs: where the view in force names something for it to read. Its life is as any
 * child's (supervisor_child.c), and nobody waits for it: without it no new finding is made, and
 * those that there are fade.
 *
 * An upgrade does not keep it: it ends when the other program takes over, and that one starts its
 * own when it is sure of itself. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/supervisor.h"

enum { DEAD_WITHIN = 200 /* ms */ };

static bool ends(const struct supervisor *s)
{
    return s->phase == PHASE_DRAINING || s->phase == PHASE_ENDING;
}

bool sense_is_wanted(const struct supervisor *s)
{
    return !ends(s) && s->now.view && view_wants_sense(s->now.view);
}

void sense_follow(struct supervisor *s)
{
    struct child *c = &s->children[CHILD_SENSE];
    if (ends(s) || upgrade_on_trial(s))
        return;
    if (sense_is_wanted(s)) {
        if (!child_runs(c) && !timer_is_set(&c->again))
            child_start(c);
        return;
    }
    loop_timer_stop(s->loop, &c->again);
    if (child_runs(c) && !c->stop_ticks)
        child_stop(c, true, STOP_SENSE_WITHIN);
}

void sense_end_now(struct supervisor *s)
{
    struct child *c = &s->children[CHILD_SENSE];
    loop_timer_stop(s->loop, &c->again);
    if (!child_runs(c))
        return;
    kill(c->pid, SIGKILL);
    for (int ms = 0; ms < DEAD_WITHIN && waitpid(c->pid, NULL, WNOHANG) == 0; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    cell_set(&s->cells.processes[c->row].pid, 0);
    c->pid = 0;
    ipc_close(&c->ipc);
}
