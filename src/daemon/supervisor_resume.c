/* In from another program: `holdfast @resume`, in the process that the supervisor before was.
 *
 * The state at descriptor 3 says what the open descriptors are; 4 is the program to go back to.
 * Until this one is sure of itself it is on trial: it starts a control and a proxy of its own, and
 * the old proxy goes on accepting. What it inherited stays open as it was, so that the program
 * before finds everything again by the same state.
 *
 *   event                                              what happens
 *   the state or the file cannot be read               back
 *   control beats and has the view, the proxy has too  the new proxy accepts, the old one drains:
 * done the new control or the new proxy dies              back 30 ticks have passed back we crash,
 * or hang for 60 s                         back, out of the signal's handler the old proxy dies
 * done: nobody else could accept
 *
 * Back: what was started here is killed, and the program at 4 is executed with "back" and the
 * reason. It starts a control of its own again, and everything is as before.
 *
 * Other formats: if the view cannot be read here, or the tables of the shared region or the
 * messages are others, there is nothing to go on with but sockets. Then the file is compiled anew,
 * there is a new region whose counters begin at zero, and the old proxies are told nothing more
 * than to drain: they go on with the view that they have and with what their own requests tell
 * them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/supervisor.h"

enum { TRIAL_WITHIN = 30 /* ticks */, HANGS_AFTER = 60 /* seconds */, DEAD_WITHIN = 2000 /* ms */ };
#define POLL_EVERY (20 * NS_PER_MS)

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGALRM};

/* --- back --- */

static void execute_back(const char *why)
{
    const char *argv[] = {"holdfast", "@resume", "back", why, NULL};
    syscall(SYS_execveat, UPGRADE_FD_BACK, "", (char *const *)(uintptr_t)argv, environ,
            AT_EMPTY_PATH);
}

/* Only what may be called in a handler: one system call. */
static void on_crash(int number)
{
    execute_back(number == SIGALRM   ? "the new program hung"
                 : number == SIGABRT ? "the new program found itself broken"
                                     : "the new program crashed");
    _exit(126);
}

static void arm(void)
{
    struct sigaction a = {.sa_handler = on_crash, .sa_flags = SA_NODEFER};
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        sigaction(crashes[i], &a, NULL);
    alarm(HANGS_AFTER);
}

static void disarm(void)
{
    alarm(0);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        signal(crashes[i], SIG_DFL);
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Those that the program before does not know. */
static void end_own_children(struct supervisor *s)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct child *c = &s->children[i];
        if (!child_runs(c) || c->inherited)
            continue;
        kill(c->pid, SIGKILL);
        for (int ms = 0; ms < DEAD_WITHIN && waitpid(c->pid, NULL, WNOHANG) == 0; ms++)
            pause_a_little();
        c->pid = 0;
        ipc_close(&c->ipc);
    }
}

void upgrade_go_back(struct supervisor *s, const char *why)
{
    char reason[200];
    str_copy(reason, sizeof reason, str_of(why));
    log_error(&s->log, "upgrade: %s: going back to holdfast %s", reason, s->upgrade.from.version);
    end_own_children(s);
    upgrade_keep_open(&s->upgrade.from, true);
    execute_back(reason);
    struct err e;
    err_errno(&e, "cannot go back to the program before");
    disarm();
    s->upgrade.step = UPGRADE_IDLE;
    s->handover.next = NULL;
    if (s->loop)
        supervisor_give_up(s, &e);
}

/* --- sure --- */

/* What only the program before had a use for. */
static void close_left(struct supervisor *s)
{
    const struct upgrade_state *st = &s->upgrade.from;
    for (uint32_t i = 0; i < st->n_children; i++)
        close(st->children[i].fd);
    if (st->cells_fd != s->cells_fd)
        close(st->cells_fd);
    if (st->view_fd != s->now.view_fd)
        close(st->view_fd);
    held_free(&s->upgrade.rest);
}

/* From here on we are who others go back to. */
static void keep_own_program(struct supervisor *s)
{
    struct err e;
    upgrade_keep_open(&s->upgrade.from, false);
    close_left(s);
    if (supervisor_reserve(&e))
        log_warning(&s->log, "%s", e.text);
}

void upgrade_confirm(struct supervisor *s)
{
    loop_timer_stop(s->loop, &s->upgrade.poll);
    disarm();
    keep_own_program(s);
    s->upgrade.step = UPGRADE_IDLE;
    handover_switch(s);
    upgrade_state_free(&s->upgrade.from);
    agent_renew(s);
    sense_follow(s);
    view_apply_waiting(s);
}

static bool control_is_there(struct supervisor *s)
{
    const struct child *c = &s->children[CHILD_CONTROL];
    const struct process_row *row = &s->cells.processes[PROCESS_CONTROL];
    return child_runs(c) && !c->inherited && cell_get(&row->beat) != c->beat.beat &&
           (s->phase == PHASE_STARTING || cell_get(&row->epoch) == s->now.view->epoch);
}

static void on_poll(struct timer *t)
{
    struct supervisor *s = CONTAINER_OF(t, struct supervisor, upgrade.poll);
    const struct child *next = s->handover.next;
    if (!upgrade_on_trial(s))
        return;
    if (control_is_there(s) && next && s->now.view_fd >= 0 && next->taken == s->now.view->epoch)
        upgrade_confirm(s);
    else
        loop_timer_set(s->loop, t, loop_now(s->loop) + POLL_EVERY);
}

void upgrade_trial_tick(struct supervisor *s)
{
    if (upgrade_on_trial(s) && --s->upgrade.ticks == 0)
        upgrade_go_back(s, control_is_there(s) ? "the new proxy did not take the view in time"
                                               : "the new control did not come up in time");
}

/* --- in --- */

static int read_state(struct upgrade_state *st, struct err *e)
{
    struct buf bytes = {0};
    int r = memfd_read(UPGRADE_FD_STATE, UPGRADE_MAX_BYTES, &bytes, e);
    if (r == 0)
        r = upgrade_state_decode(buf_str(&bytes), st, e);
    buf_free(&bytes);
    return r;
}

static int take_basics(struct supervisor *s, struct err *e)
{
    const struct upgrade_state *st = &s->upgrade.from;
    s->resumed = (struct run_options){
        .file = st->file,
        .state_dir = st->state,
        .node = st->node[0] ? st->node : NULL,
        .log = log_level_name((enum log_level)MIN(st->log_level, (uint32_t)LOG_LEVEL_DEBUG))};
    s->options = &s->resumed;
    str_copy(s->state, sizeof s->state, str_of(st->state));
    s->lock_fd = st->lock_fd;
    s->admin_fd = st->admin_fd;
    s->notify_fd = st->notify_fd;
    s->serving = st->serving;
    s->generations = st->generations;
    s->change.number = st->change;
    s->change.kind = CHANGE_UPGRADE;
    s->change.state = CHANGE_RUNS;
    int r = log_open(&s->log, NULL, s->options->log, e);
    return r ? r : paths_admin_socket(&s->admin, s->state, e);
}

/* Every child can write the region's header: it is written anew from what the supervisor knows. */
static bool same_region(struct supervisor *s)
{
    const struct upgrade_state *st = &s->upgrade.from;
    struct err e = {0};
    void *region = NULL;
    size_t size = 0;
    if (memfd_map(st->cells_fd, &region, &size, &e))
        return false;
    if (size == cells_size(st->workers, VIEW_MAX_SERVICES, VIEW_MAX_SLOTS)) {
        cells_format(region, st->workers, VIEW_MAX_SERVICES, VIEW_MAX_SLOTS, st->boot);
        if (cells_attach(&s->cells, region, size, &e) == 0)
            return true;
    }
    munmap(region, size);
    return false;
}

/* The region as it is, with the view in force. */
static bool same_formats(struct supervisor *s)
{
    const struct upgrade_state *st = &s->upgrade.from;
    struct err e = {0};
    if (st->ipc_version != IPC_VERSION || st->view_format != VIEW_FORMAT ||
        st->cells_version != CELLS_VERSION || ipc_read_view(st->view_fd, &s->now.view, &e))
        return false;
    if (s->now.view->n_sockets == st->n_sockets && s->now.view->epoch == st->epoch &&
        same_region(s))
        return true;
    view_free(s->now.view);
    s->now.view = NULL;
    return false;
}

static int go_on(struct supervisor *s, struct err *e)
{
    const struct upgrade_state *st = &s->upgrade.from;
    s->cells_fd = st->cells_fd;
    s->workers = st->workers;
    s->boot = st->boot;
    s->now.view_fd = st->view_fd;
    s->now.fds = mem_alloc((st->n_sockets + 1) * sizeof(int));
    if (!s->now.fds)
        return err_set(e, ERR_NOMEM, "no memory for %u sockets", st->n_sockets);
    for (uint32_t i = 0; i < st->n_sockets; i++)
        s->now.fds[i] = st->sockets[i].fd;
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++)
        s->children[i].row = cells_proxy_row(s->workers, i - CHILD_PROXY);
    s->phase = PHASE_RUNNING;
    return 0;
}

/* The sockets that were left, in the shape of a view's. */
static int hold_rest(struct supervisor *s, struct err *e)
{
    const struct upgrade_state *st = &s->upgrade.from;
    struct held *h = &s->upgrade.rest;
    h->view = view_new();
    h->fds = mem_alloc((st->n_sockets + 1) * sizeof(int));
    struct view_socket *list =
        h->view ? arena_array(&h->view->arena, st->n_sockets + 1, sizeof *list) : NULL;
    if (!list || !h->fds)
        return err_set(e, ERR_NOMEM, "no memory for %u sockets", st->n_sockets);
    for (uint32_t i = 0; i < st->n_sockets; i++) {
        list[i] = st->sockets[i].socket;
        h->fds[i] = st->sockets[i].fd;
    }
    h->view->sockets = list;
    h->view->n_sockets = st->n_sockets;
    return 0;
}

static int begin_anew(struct supervisor *s, struct err *e)
{
    struct buf bytes = {0};
    log_warning(&s->log,
                "upgrade: holdfast %s has other formats: counters begin anew, and its proxies "
                "drain with the view that they have",
                s->upgrade.from.version);
    view_encode(s->checked.view, &bytes);
    int r = bytes.failed ? err_set(e, ERR_NOMEM, "no memory for the configuration")
                         : view_decode(buf_str(&bytes), &s->now.view, e);
    buf_free(&bytes);
    if (r == 0)
        r = hold_rest(s, e);
    if (r == 0)
        r = held_open(s, &s->now, &s->upgrade.rest, !s->shared, e);
    if (r)
        return r;
    held_adopt(&s->now, &s->upgrade.rest);
    s->phase = PHASE_STARTING;
    return supervisor_make_cells(s, e);
}

static int take_child(struct supervisor *s, const struct upgrade_child *from, bool foreign,
                      struct err *e)
{
    struct child *c = &s->children[from->row];
    /* A duplicate: it closes with the child, and the number must stay what the state says. */
    int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, UPGRADE_FD_BACK + 1);
    if (fd < 0)
        return err_errno(e, "the line to a process is lost");
    int r = ipc_open(&c->ipc, s->loop, fd, e);
    if (r)
        return r;
    c->pid = (pid_t)from->pid;
    c->generation = from->generation;
    c->started = from->started;
    c->sent = from->sent;
    c->taken = from->taken;
    c->stop_ticks = from->stop_ticks;
    c->inherited = true;
    c->foreign = foreign;
    child_adopt(c);
    if (!child_is_proxy(c))
        return 0;
    child_set_role(c, (enum proxy_role)from->role);
    return 0;
}

static int take_children(struct supervisor *s, bool foreign, struct err *e)
{
    const struct upgrade_state *st = &s->upgrade.from;
    for (uint32_t i = 0; i < st->n_children; i++) {
        int r = take_child(s, &st->children[i], foreign, e);
        if (r)
            return r;
    }
    return 0;
}

static int resume(struct supervisor *s, bool back, struct err *e)
{
    int r = read_state(&s->upgrade.from, e);
    if (r == 0)
        r = take_basics(s, e);
    if (r)
        return r;
    r = supervisor_check(s, e);
    if (r && !back)
        return r;
    bool same = same_formats(s);
    if (!same && back)
        return err_set(e, ERR_PROTO, "our own state cannot be read");
    r = same ? go_on(s, e) : begin_anew(s, e);
    if (r == 0)
        r = loop_new(&s->loop, e);
    if (r == 0)
        r = supervisor_signals_open(s, e);
    return r ? r : take_children(s, !same, e);
}

static void begin_trial(struct supervisor *s)
{
    struct child *control = &s->children[CHILD_CONTROL];
    s->upgrade.step = UPGRADE_TRIAL;
    s->upgrade.ticks = TRIAL_WITHIN;
    str_copy(s->change.text, sizeof s->change.text, STR("the new program starts its processes"));
    timer_init(&s->upgrade.poll, on_poll);
    loop_timer_set(s->loop, &s->upgrade.poll, loop_now(s->loop) + POLL_EVERY);
    handover_start(s);
    if (child_runs(control))
        child_stop(control, false, STOP_NOW_WITHIN); /* ours starts when it has ended */
    else
        child_start(control);
}

/* What the program that failed had started and could not end. */
static void end_strangers(struct supervisor *s)
{
    char path[64];
    struct buf list = {0};
    long pid = (long)getpid();
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", pid);
    if (file_read(path, 64 * 1024, &list, NULL) || !buf_add(&list, "", 1)) {
        buf_free(&list);
        return;
    }
    for (char *p = list.p, *end; (pid = strtol(p, &end, 10)) > 0 && end != p; p = end) {
        bool ours = false;
        for (unsigned i = 0; i < CHILDREN; i++)
            ours = ours || s->children[i].pid == (pid_t)pid;
        if (!ours)
            kill((pid_t)pid, SIGKILL);
    }
    buf_free(&list);
}

static void begin_again(struct supervisor *s, const char *why)
{
    keep_own_program(s);
    end_strangers(s);
    change_report(s, CHANGE_FAILED, "taken back, holdfast " HF_VERSION " goes on: %s", why);
    if (!child_runs(&s->children[CHILD_CONTROL]))
        child_start(&s->children[CHILD_CONTROL]);
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct child *c = &s->children[i];
        if (child_runs(c))
            child_reap(c); /* those that ended meanwhile; control, mostly */
        else if (child_is_proxy(c))
            child_set_role(c, PROXY_ABSENT); /* what the other had begun */
        c->inherited = false;
    }
    upgrade_state_free(&s->upgrade.from);
    agent_follow(s);
    sense_follow(s);
}

static int run(struct supervisor *s, const char *back, struct err *e)
{
    int r = log_open(&s->log, NULL, NULL, e);
    if (r == 0)
        r = resume(s, back != NULL, e);
    if (r && !back) {
        upgrade_go_back(s, e->text);
        return r;
    }
    if (r)
        return r;
    if (back)
        begin_again(s, back);
    else
        begin_trial(s);
    return supervisor_loop(s, e);
}

int resume_main(int argc, char **argv)
{
    struct err e = {0};
    const char *back = argc == 3 && strcmp(argv[1], "back") == 0 ? argv[2] : NULL;
    if (argc != 1 && !back) {
        fprintf(stderr, "@resume is what holdfast itself becomes in an upgrade\n");
        return 2;
    }
    if (back)
        disarm();
    else
        arm();
    struct supervisor *s = mem_zero(1, sizeof *s);
    if (!s) {
        execute_back("no memory to start");
        return 1;
    }
    supervisor_init(s, NULL);
    int r = run(s, back, &e);
    if (r)
        log_error(&s->log, "%s", e.text);
    supervisor_end(s);
    return r ? 1 : 0;
}
