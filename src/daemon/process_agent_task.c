/* What may take long: moving and removing data, and measuring the disk. Each is our own program
 * once more (agent_task.c), as the children's user and with a limit of time: a disk that hangs
 * costs a process and not the agent, and nothing in a directory that is another user's is touched
 * with our rights. */
#include "daemon/process_agent.h"

static uint64_t limit_of(enum agent_task t)
{
    switch (t) {
    case AGENT_DATA_ASIDE: return 60 * NS_PER_S;
    case AGENT_DATA_REMOVE: return 60 * NS_PER_S;
    case AGENT_DISK: return 10 * NS_PER_S;
    case AGENT_TASKS: break;
    }
    UNREACHABLE();
}

static bool touches_data(enum agent_task t)
{
    return t != AGENT_DISK;
}

bool task_has_data(const struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_TASKS_AT_ONCE; i++)
        if (p->jobs[i].command && touches_data(p->jobs[i].task))
            return true;
    return false;
}

static void on_done(void *context, const struct command_end *end)
{
    struct agent_job *j = context;
    struct agent_process *p = j->owner;
    struct agent_answer a = {.ticket = j->ticket};
    struct err e;
    int r = command_result(end, agent_task_name(j->task), &e);
    if (r == 0 && !agent_task_parse(j->task, end->output, &a.disk))
        r = err_set(&e, ERR_PROTO, "%s answered nonsense", agent_task_name(j->task));
    j->command = NULL;
    if (r)
        log_warning(&p->log, "%s", e.text);
    if (touches_data(j->task))
        unit_tell(&p->units[AGENT_ETCD]);
    if (j->answered_for)
        return;
    if (r)
        agent_answer_simple(p, j->ticket, r, &e);
    else
        agent_answer(p, &a);
}

static int begin(struct agent_process *p, struct agent_job *j, const struct agent_order *o,
                 struct err *e)
{
    const char *const argv[] = {"holdfast", "@agent-task", agent_task_name(o->task), p->state,
                                NULL};
    const char *const nothing[] = {NULL};
    struct program what = {.path = "/proc/self/exe", .argv = argv, .envp = nothing};
    agent_fill(p, &what);
    *j = (struct agent_job){.owner = p, .task = o->task, .ticket = o->ticket};
    loop_refresh(p->loop);
    return command_start(&j->command, p->loop, &what, limit_of(o->task), on_done, j, e);
}

static int try_task(struct agent_process *p, const struct agent_order *o, struct err *e)
{
    if (p->leaving)
        return err_set(e, ERR_BUSY, "holdfast is stopping");
    if (touches_data(o->task) && unit_runs(&p->units[AGENT_ETCD]))
        return err_set(e, ERR_BUSY, "etcd runs: its data stays where it is");
    if (touches_data(o->task) && task_has_data(p))
        return err_set(e, ERR_BUSY, "its data is being put aside or removed already");
    for (size_t i = 0; i < AGENT_TASKS_AT_ONCE; i++)
        if (!p->jobs[i].command)
            return begin(p, &p->jobs[i], o, e);
    return err_set(e, ERR_BUSY, "%d tasks are under way", AGENT_TASKS_AT_ONCE);
}

void task_run(struct agent_process *p, const struct agent_order *o)
{
    struct err e;
    int r = try_task(p, o, &e);
    if (r)
        agent_answer_simple(p, o->ticket, r, &e);
}

void tasks_end(struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_TASKS_AT_ONCE; i++) {
        command_abandon(p->jobs[i].command);
        p->jobs[i].command = NULL;
    }
}

void tasks_forget_line(struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_TASKS_AT_ONCE; i++)
        p->jobs[i].answered_for = true;
}
