/* One program that runs: its life as control is told of it. Whether it starts again when it has
 * ended is control's to decide: it knows whether the cluster still wants it, and how often it
 * failed.
 *
 *   life      event                              life then
 *   never     START: it was executed             running
 *   ended     START: it was executed             running
 *   running   STOP, or the agent leaves          stopping (SIGTERM, after its grace SIGKILL)
 *   running   it ends                            ended
 *   stopping  it ends                            ended, wanted; those who wait are answered */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/process_agent.h"

/* --- what is told --- */

/* As the user that it belongs to. An inode that is in use is in memory: no disk is waited for. */
static bool has_data(const struct agent_process *p)
{
    char path[PATHS_MAX];
    int n = snprintf(path, sizeof path, "%s/etcd/data/member", p->state);
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    if (p->drops)
        sandbox_act_as(&p->user);
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool absent = fd < 0 && errno == ENOENT; /* what cannot be looked at may be there */
    if (p->drops)
        sandbox_act_as_self();
    if (fd >= 0)
        close(fd);
    return !absent;
}

static void describe(const struct agent_unit *u, struct agent_state *s)
{
    *s = (struct agent_state){.kind = u->kind,
                              .life = u->life,
                              .wanted = u->wanted,
                              .has_data = has_data(u->owner),
                              .pid = (uint32_t)u->runner.pid,
                              .starts = u->starts,
                              .status = u->status,
                              .since = u->since,
                              .lines_lost = u->output.lost,
                              .etcd = u->etcd,
                              .n_lines = u->output.n};
    _Static_assert((int)AGENT_LINES == (int)OUTPUT_KEPT && (int)AGENT_LINE_MAX == (int)OUTPUT_LINE,
                   "what is kept is what is told");
    for (uint32_t i = 0; i < s->n_lines; i++)
        str_copy(s->lines[i], sizeof s->lines[i], str_of(output_line(&u->output, i)));
}

void unit_tell(struct agent_unit *u)
{
    struct agent_state s;
    struct buf b = {0};
    if (!ipc_is_open(&u->owner->control))
        return;
    describe(u, &s);
    agent_put_state(&b, &s);
    if (b.failed || ipc_send(&u->owner->control, IPC_AGENT_STATE, buf_str(&b), NULL, 0, NULL))
        log_debug(&u->owner->log, "control is not told of %s", agent_kind_name(u->kind));
    buf_free(&b);
}

static void change(struct agent_unit *u, enum agent_life life)
{
    u->life = life;
    u->since = loop_refresh(u->owner->loop);
    unit_tell(u);
}

/* --- what it does --- */

static void on_line(void *context, struct str line)
{
    struct agent_unit *u = context;
    log_line(&u->owner->log, etcd_complains(line) ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG,
             "%s: " STR_FMT, agent_kind_name(u->kind), STR_ARG(line));
}

static void on_output(struct runner *r, struct str bytes)
{
    struct agent_unit *u = CONTAINER_OF(r, struct agent_unit, runner);
    output_add(&u->output, bytes, loop_now(u->owner->loop));
}

static void on_ended(struct runner *r, int status)
{
    struct agent_unit *u = CONTAINER_OF(r, struct agent_unit, runner);
    struct agent_process *p = u->owner;
    char what[96];
    output_end(&u->output, loop_now(p->loop));
    runner_tell(status, what, sizeof what);
    u->wanted = u->life == AGENT_STOPPING || p->leaving;
    u->status = (uint32_t)status;
    log_line(&p->log, u->wanted ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "%s %s%s%s",
             agent_kind_name(u->kind), what, u->wanted || !u->output.n ? "" : "; its last words: ",
             u->wanted || !u->output.n ? "" : output_line(&u->output, u->output.n - 1));
    change(u, AGENT_ENDED);
    for (uint32_t i = 0; i < u->n_waiters; i++)
        agent_answer_simple(p, u->waiters[i], 0, NULL);
    u->n_waiters = 0;
    agent_may_leave(p);
}

void unit_init(struct agent_process *p, enum agent_kind kind)
{
    struct agent_unit *u = &p->units[kind];
    *u =
        (struct agent_unit){.owner = p, .kind = kind, .output = {.context = u, .on_line = on_line}};
    runner_init(&u->runner, p->loop);
    u->runner.on_output = on_output;
    u->runner.on_exit = on_ended;
    u->since = loop_now(p->loop);
    output_clear(&u->output, u->since);
}

static int execute(struct agent_unit *u, const struct agent_etcd *etcd, struct err *e)
{
    struct arena memory = {0};
    struct program what;
    int r = etcd_program(u->owner, etcd, &memory, &what, e);
    if (r == 0)
        r = runner_start(&u->runner, &what, e);
    arena_free(&memory);
    return r;
}

int unit_start(struct agent_unit *u, const struct agent_etcd *etcd, struct err *e)
{
    struct agent_process *p = u->owner;
    if (unit_runs(u))
        return err_set(e, ERR_BUSY, "%s runs already, as process %ld", agent_kind_name(u->kind),
                       (long)u->runner.pid);
    if (task_has_data(p))
        return err_set(e, ERR_BUSY, "its data is being put aside or removed");
    output_clear(&u->output, loop_refresh(p->loop));
    int r = execute(u, etcd, e);
    if (r)
        return r;
    u->etcd = *etcd;
    u->starts++;
    u->wanted = false;
    u->status = 0;
    log_info(&p->log, "%s runs as process %ld", agent_kind_name(u->kind), (long)u->runner.pid);
    change(u, AGENT_RUNNING);
    return 0;
}

void unit_stop(struct agent_unit *u, uint64_t ticket, uint64_t grace)
{
    struct err e;
    if (!unit_runs(u)) {
        agent_answer_simple(u->owner, ticket, 0, NULL);
        return;
    }
    if (u->n_waiters == AGENT_WAITERS) {
        int r = err_set(&e, ERR_BUSY, "%d wait for its end already", AGENT_WAITERS);
        agent_answer_simple(u->owner, ticket, r, &e);
        return;
    }
    u->waiters[u->n_waiters++] = ticket;
    runner_stop(&u->runner, grace);
    if (u->life != AGENT_STOPPING)
        change(u, AGENT_STOPPING);
}
