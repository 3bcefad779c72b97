#include "daemon/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/kept.h"
#include "daemon/process_memory.h"

static void on_tick(struct timer *t)
{
    struct supervisor *s = CONTAINER_OF(t, struct supervisor, tick);
    loop_timer_set(s->loop, t, loop_now(s->loop) + NS_PER_S);
    struct process_row *row = &s->cells.processes[PROCESS_SUPERVISOR];
    cell_add(&row->beat, 1);
    int fd = process_memory_open(); /* not kept: descriptors are numbered for an upgrade */
    cell_set(&row->memory, process_memory_read(fd));
    if (fd >= 0)
        close(fd);
    notify_send(s, "WATCHDOG=1\n");
    for (unsigned i = 0; i < CHILDREN; i++)
        child_tick(&s->children[i]);
    handover_tick(s);
    upgrade_tick(s);
    upgrade_trial_tick(s);
}

/* Every connection takes two descriptors. */
static void raise_descriptor_limit(struct supervisor *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        log_warning(&s->log, "the limit of open files cannot be raised: %s", strerror(errno));
}

int supervisor_make_cells(struct supervisor *s, struct err *e)
{
    uint32_t workers = s->workers = s->checked.view->workers;
    void *region;
    size_t size;
    s->cells_fd =
        memfd_region("holdfast-cells", cells_size(workers, VIEW_MAX_SERVICES, VIEW_MAX_SLOTS), e);
    if (s->cells_fd < 0)
        return s->cells_fd;
    int r = memfd_map(s->cells_fd, &region, &size, e);
    if (r)
        return r;
    s->boot = clock_now();
    cells_format(region, workers, VIEW_MAX_SERVICES, VIEW_MAX_SLOTS, s->boot);
    r = cells_attach(&s->cells, region, size, e);
    if (r)
        return r;
    struct process_row *own = &s->cells.processes[PROCESS_SUPERVISOR];
    cell_set(&own->pid, (uint64_t)getpid());
    cell_set(&own->starts, 1);
    cell_set(&own->started_at, clock_now());
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++)
        s->children[i].row = cells_proxy_row(workers, i - CHILD_PROXY);
    return 0;
}

void supervisor_init(struct supervisor *s, const struct run_options *o)
{
    *s = (struct supervisor){.options = o,
                             .lock_fd = -1,
                             .admin_fd = -1,
                             .cells_fd = -1,
                             .waiting_fd = -1,
                             .signal_fd = -1,
                             .notify_fd = -1};
    held_init(&s->checked);
    held_init(&s->now);
    held_init(&s->old);
    held_init(&s->upgrade.rest);
    s->upgrade.program_fd = s->upgrade.answer_fd = -1;
    for (unsigned i = 0; i < CHILDREN; i++)
        child_init(s, i);
    timer_init(&s->tick, on_tick);
    s->drops = sandbox_target(&s->user);
}

/* The sockets open before anything starts: a taken port is told at once, and the first view of
 * control finds them open. `checked` keeps a view of its own, for its paths. */
static int open_sockets(struct supervisor *s, struct err *e)
{
    struct buf bytes = {0};
    view_encode(s->checked.view, &bytes);
    int r = bytes.failed ? err_set(e, ERR_NOMEM, "no memory for the configuration")
                         : view_decode(buf_str(&bytes), &s->now.view, e);
    buf_free(&bytes);
    return r ? r : held_open(s, &s->now, NULL, !s->shared, e);
}

/* A version that needs what this machine has not (an address that is in use) is no reason not to
 * serve: while holdfast ran, the node would have stayed with the one before. */
static int open_some(struct supervisor *s, struct err *e)
{
    struct err why = {0};
    int r = open_sockets(s, e), failed = r;
    while (r && s->shared && kept_has_below(s->state, s->shared)) {
        log_warning(&s->log, "version %llu of the configuration cannot be used: %s",
                    (unsigned long long)s->shared, why.code ? why.text : e->text);
        held_free(&s->now);
        if (supervisor_check_older(s, &why))
            break;
        r = open_sockets(s, &why);
    }
    return r ? failed : 0;
}

static int prepare(struct supervisor *s, struct err *e)
{
    int r = log_open(&s->log, NULL, s->options->log, e);
    if (r == 0)
        r = paths_state(s->state, s->options->state_dir, s->options->node, e);
    if (r == 0)
        r = supervisor_check(s, e);
    if (r == 0)
        r = supervisor_state_open(s, e);
    if (r == 0)
        r = open_some(s, e);
    if (r == 0)
        r = supervisor_make_cells(s, e);
    if (r == 0)
        r = loop_new(&s->loop, e);
    if (r == 0)
        r = supervisor_signals_open(s, e);
    return r;
}

static void begin(struct supervisor *s)
{
    notify_open(s);
    child_start(&s->children[CHILD_CONTROL]);
    child_set_role(serving_proxy(s), PROXY_SERVES);
    child_start(serving_proxy(s));
    agent_follow(s);
    sense_follow(s);
}

/* The first descriptors that are opened must not be these: they are dup3ed onto. */
int supervisor_reserve(struct err *e)
{
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r = 0;
    if (program < 0 || nothing < 0)
        r = err_errno(e, "cannot open our own program: is /proc mounted?");
    for (int i = 0; r == 0 && i < 2; i++) { /* each may lie where the other has to go */
        int *fd = i ? &nothing : &program;
        if (*fd <= UPGRADE_FD_BACK)
            *fd = fcntl(*fd, F_DUPFD_CLOEXEC, UPGRADE_FD_BACK + 1);
    }
    if (r == 0 && (dup3(program, UPGRADE_FD_BACK, O_CLOEXEC) < 0 ||
                   dup3(nothing, UPGRADE_FD_STATE, O_CLOEXEC) < 0))
        r = err_errno(e, "cannot keep our own program open");
    if (program > UPGRADE_FD_BACK)
        close(program);
    if (nothing > UPGRADE_FD_BACK)
        close(nothing);
    return r;
}

int supervisor_loop(struct supervisor *s, struct err *e)
{
    raise_descriptor_limit(s);
    on_tick(&s->tick);
    int r = loop_run(s->loop, e);
    if (r)
        return r;
    if (s->result && e)
        *e = s->why;
    else if (!s->result)
        log_info(&s->log, "stopped");
    return s->result;
}

void supervisor_end(struct supervisor *s)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct child *c = &s->children[i];
        if (child_runs(c)) /* the loop itself failed */
            kill(c->pid, SIGKILL);
        ipc_close(&c->ipc);
    }
    view_forget_waiting(s);
    supervisor_signals_close(s);
    held_free(&s->now);
    held_free(&s->old);
    held_free(&s->upgrade.rest);
    upgrade_state_free(&s->upgrade.from);
    view_free(s->checked.view);
    view_free(s->own);
    supervisor_state_close(s);
    if (s->cells.header)
        munmap(s->cells.header, s->cells.size);
    if (s->cells_fd >= 0)
        close(s->cells_fd);
    if (s->notify_fd >= 0)
        close(s->notify_fd);
    loop_free(s->loop);
    mem_free(s);
}

int supervisor_run(const struct run_options *o, struct err *e)
{
    struct supervisor *s = mem_zero(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory to start");
    supervisor_init(s, o);
    int r = supervisor_reserve(e);
    if (r == 0)
        r = prepare(s, e);
    if (r == 0) {
        begin(s);
        r = supervisor_loop(s, e);
    }
    supervisor_end(s);
    return r;
}
