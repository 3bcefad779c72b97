#include "daemon/process_agent.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/process_memory.h"

#define BEAT_EVERY (250 * NS_PER_MS)
enum { RAISED = -10, FILES = 65536 };

/* --- what units and tasks ask of us --- */

void agent_answer(struct agent_process *p, const struct agent_answer *a)
{
    struct buf b = {0};
    agent_put_answer(&b, a);
    if (ipc_is_open(&p->control) &&
        (b.failed || ipc_send(&p->control, IPC_AGENT_DONE, buf_str(&b), NULL, 0, NULL)))
        log_warning(&p->log, "control is not answered");
    buf_free(&b);
}

void agent_answer_simple(struct agent_process *p, uint64_t ticket, int r, const struct err *e)
{
    struct agent_answer a = {.ticket = ticket, .code = r};
    if (r)
        str_copy(a.sentence, sizeof a.sentence, str_of(e->text));
    for (char *c = a.sentence; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    agent_answer(p, &a);
}

void agent_fill(const struct agent_process *p, struct program *what)
{
    what->drop = p->drops;
    what->uid = p->user.uid;
    what->gid = p->user.gid;
    what->files = FILES;
    what->nice = RAISED;
}

/* --- what control says --- */

static void on_start(struct agent_process *p, struct ipc_message *m)
{
    struct agent_start s;
    struct err e;
    int r = agent_get_start(&m->body, &s, &e);
    if (r == 0)
        r = p->leaving ? err_set(&e, ERR_BUSY, "holdfast is stopping")
                       : unit_start(&p->units[s.kind], &s.etcd, &e);
    if (r)
        log_warning(&p->log, "%s is not started: %s", agent_kind_name(s.kind), e.text);
    agent_answer_simple(p, s.ticket, r, &e);
}

static bool hear_control(struct agent_process *p, struct ipc_message *m)
{
    struct agent_stop stop;
    struct agent_order order;
    switch ((enum ipc_type)m->type) {
    case IPC_AGENT_START: on_start(p, m); return true;
    case IPC_AGENT_STOP:
        if (!agent_get_stop(&m->body, &stop))
            return false;
        unit_stop(&p->units[stop.kind], stop.ticket, stop.grace);
        return true;
    case IPC_AGENT_TASK:
        if (!agent_get_order(&m->body, &order))
            return false;
        task_run(p, &order);
        return true;
    case IPC_AGENT_INSTANCE: return keep_instance(p, m);
    case IPC_AGENT_ROLE: return keep_role(p, m);
    case IPC_VIEW:
    case IPC_VIEW_REFUSED:
    case IPC_VIEW_BEGIN:
    case IPC_VIEW_SOCKET:
    case IPC_VIEW_END:
    case IPC_VIEW_TAKEN:
    case IPC_PEER:
    case IPC_CHILD:
    case IPC_STOP:
    case IPC_SIGNALS:
    case IPC_ADMIN_SOCKET:
    case IPC_RESTART:
    case IPC_RELOAD:
    case IPC_NO_VIEW:
    case IPC_ACCEPT:
    case IPC_HAND_OVER:
    case IPC_CHANGE:
    case IPC_UPGRADE:
    case IPC_AGENT:
    case IPC_AGENT_STATE:
    case IPC_AGENT_DONE:
    case IPC_AGENT_REPORT:
    case IPC_ROLES:
    case IPC_SECRET:
    case IPC_SENSE:
    case IPC_FINDING:
    case IPC_TYPES: break;
    }
    return false;
}

static void on_control(struct ipc *i, struct ipc_message *m)
{
    struct agent_process *p = CONTAINER_OF(i, struct agent_process, control);
    if (!hear_control(p, m))
        log_warning(&p->log, "control sent a message of type %u that makes no sense", m->type);
}

static void forget_line(struct agent_process *p)
{
    for (unsigned k = 0; k < AGENT_KINDS; k++)
        p->units[k].n_waiters = 0;
    tasks_forget_line(p);
    keep_forget_line(p);
}

static void on_control_gone(struct ipc *i, const char *why)
{
    struct agent_process *p = CONTAINER_OF(i, struct agent_process, control);
    log_debug(&p->log, "control is gone (%s): what runs goes on", why);
    forget_line(p);
}

/* --- what the supervisor says --- */

static void take_line(struct agent_process *p, struct ipc_message *m)
{
    struct err e;
    int fd = ipc_take_fd(m);
    if (fd < 0)
        return;
    ipc_close(&p->control);
    forget_line(p);
    if (ipc_open(&p->control, p->loop, fd, &e)) {
        log_error(&p->log, "control cannot be heard: %s", e.text);
        return;
    }
    for (unsigned k = 0; k < AGENT_KINDS; k++)
        unit_tell(&p->units[k]);
    keep_tell(p);
}

void agent_may_leave(struct agent_process *p)
{
    for (unsigned k = 0; k < AGENT_KINDS; k++)
        if (unit_runs(&p->units[k]))
            return;
    if (p->leaving && !keep_runs(p))
        loop_stop(p->loop);
}

static void leave(struct agent_process *p, bool orderly)
{
    p->leaving = true;
    tasks_end(p);
    for (unsigned k = 0; k < AGENT_KINDS; k++)
        runner_stop(&p->units[k].runner, orderly ? AGENT_ORDERLY : 0);
    keep_stop(p, orderly ? AGENT_ORDERLY : 0);
    agent_may_leave(p);
}

static void on_supervisor(struct ipc *i, struct ipc_message *m)
{
    struct agent_process *p = CONTAINER_OF(i, struct agent_process, supervisor);
    if (m->type == IPC_AGENT)
        take_line(p, m);
    else if (m->type == IPC_VIEW_BEGIN || m->type == IPC_VIEW_SOCKET || m->type == IPC_VIEW_END)
        keep_view(p, m);
    else if (m->type == IPC_STOP)
        leave(p, get_u32(&m->body) == 1);
    else
        log_warning(&p->log, "the supervisor sent a message of type %u, which is not for us",
                    m->type);
}

/* A new supervisor starts an agent of its own, and two etcds cannot share their data. */
static void on_supervisor_gone(struct ipc *i, const char *why)
{
    struct agent_process *p = CONTAINER_OF(i, struct agent_process, supervisor);
    log_error(&p->log, "the supervisor is gone (%s): ending what runs here", why);
    p->result = 1;
    leave(p, false);
}

/* --- the process --- */

static void on_beat(struct timer *t)
{
    struct agent_process *p = CONTAINER_OF(t, struct agent_process, beat);
    struct process_row *row = &p->cells.processes[PROCESS_AGENT];
    cell_add(&row->beat, 1);
    cell_set(&row->memory, process_memory_read(p->memory_fd));
    loop_timer_set(p->loop, t, loop_now(p->loop) + BEAT_EVERY);
}

struct arguments {
    const char *state, *level;
    unsigned may; /* AGENT_MAY_... */
};

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"log", required_argument, NULL, 'l'},
        {"programs", no_argument, NULL, 'p'},
        {"addresses", no_argument, NULL, 'a'},
        {0},
    };
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 's')
            a->state = optarg;
        else if (o == 'l')
            a->level = optarg;
        else if (o == 'p')
            a->may |= AGENT_MAY_PROGRAMS;
        else if (o == 'a')
            a->may |= AGENT_MAY_ADDRESSES;
        else
            return false;
    }
    return a->state && optind == argc;
}

/* The programs work elsewhere: a relative path would be another one there. */
static int find_state(struct agent_process *p, const char *given, struct err *e)
{
    char *real = realpath(given, NULL);
    if (!real)
        return err_errno(e, "cannot find the state directory %s", given);
    int r = strlen(real) < sizeof p->state - 64
                ? 0
                : err_set(e, ERR_INVAL, "the path of the state directory is too long");
    if (r == 0)
        str_copy(p->state, sizeof p->state, str_of(real));
    free(real); /* the C library's own */
    return r;
}

static int attach_cells(struct agent_process *p, struct err *e)
{
    void *region;
    size_t size;
    int r = memfd_map(IPC_FD_CELLS, &region, &size, e);
    return r ? r : cells_attach(&p->cells, region, size, e);
}

static int prepare(struct agent_process *p, const struct arguments *a, struct err *e)
{
    struct sandbox_notes notes = {0};
    priority_favour(); /* where it may not, its own delays still count for nobody's (patience.h) */
    p->drops = sandbox_target(&p->user);
    int r = find_state(p, a->state, e);
    if (r == 0)
        r = sandbox_enter_agent(p->state, a->may, &p->drops, &notes, e);
    if (notes.text[0])
        log_info(&p->log, "%s", notes.text);
    if (r == 0)
        r = attach_cells(p, e);
    if (r == 0)
        r = loop_new(&p->loop, e);
    if (r)
        return r;
    for (unsigned k = 0; k < AGENT_KINDS; k++)
        unit_init(p, k);
    keep_init(p);
    return ipc_open(&p->supervisor, p->loop, IPC_FD_SUPERVISOR, e);
}

static int run(struct agent_process *p, const struct arguments *a, struct err *e)
{
    int r = prepare(p, a, e);
    if (r == 0) {
        on_beat(&p->beat);
        r = loop_run(p->loop, e);
    }
    tasks_end(p);
    for (unsigned k = 0; p->loop && k < AGENT_KINDS; k++)
        if (p->units[k].owner)
            runner_abandon(&p->units[k].runner);
    keep_end(p);
    ipc_close(&p->control);
    ipc_close(&p->supervisor);
    loop_free(p->loop);
    return r;
}

int agent_main(int argc, char **argv)
{
    struct arguments a = {0};
    struct err e = {0};
    struct agent_process *p = mem_zero(1, sizeof *p);
    if (!p)
        return EXIT_FAILURE;
    if (!read_arguments(argc, argv, &a) || log_open(&p->log, "agent", a.level, &e)) {
        fprintf(stderr, "@agent is started by holdfast itself: --state DIR%s%s\n",
                e.code ? "; " : "", e.text);
        mem_free(p);
        return 2;
    }
    p->supervisor =
        (struct ipc){.fd = -1, .on_message = on_supervisor, .on_gone = on_supervisor_gone};
    p->control = (struct ipc){.fd = -1, .on_message = on_control, .on_gone = on_control_gone};
    p->memory_fd = process_memory_open();
    timer_init(&p->beat, on_beat);
    int r = run(p, &a, &e);
    if (r)
        log_error(&p->log, "%s", e.text);
    if (p->memory_fd >= 0)
        close(p->memory_fd);
    r = r ? r : p->result;
    mem_free(p);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
