/* The way out of this program into another, in the same process. docs/handover.md tells the whole.
 *
 *   step      event                                what happens                              step
 * then IDLE      somebody asks                        the file is looked at and opened; it is
 * CHECKS run as @self-check beside us CHECKS    it ends with 0                       - LEAVES
 *   CHECKS    it ends otherwise, or takes long     refused with its sentence                  IDLE
 *   LEAVES    no message waits to be sent          the state is written, the program is (TRIAL,
 * there) executed in our place LEAVES    that fails, or messages wait long    refused: nothing has
 * changed               IDLE
 *
 * Nothing is changed before the new program is executed, and nothing that cannot be undone before
 * it is sure of itself (supervisor_resume.c). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/process.h"
#include "daemon/supervisor.h"
#include "daemon/upgrade_binary.h"

enum { SELF_CHECK_WITHIN = 15, LEAVE_WITHIN = 5 /* ticks */, ANSWER_MAX = 400 };

static void forget(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->program_fd >= 0)
        close(u->program_fd);
    if (u->answer_fd >= 0)
        close(u->answer_fd);
    u->program_fd = u->answer_fd = -1;
    u->checker = 0;
    u->step = UPGRADE_IDLE;
}

static void refuse(struct supervisor *s, const char *why)
{
    forget(s);
    change_report(s, CHANGE_FAILED, "not upgraded, nothing has changed: %s", why);
}

/* --- what we leave --- */

static void describe_child(struct upgrade_state *st, const struct child *c)
{
    if (!child_runs(c) || !ipc_is_open(&c->ipc))
        return;
    st->children[st->n_children++] = (struct upgrade_child){
        .row = c->index,
        .role = c->role,
        .pid = (uint32_t)c->pid,
        .fd = c->ipc.fd,
        .generation = c->generation,
        .started = c->started,
        .sent = c->sent,
        .taken = c->taken,
        .stop_ticks = c->stop_ticks,
    };
}

static int describe(struct supervisor *s, struct upgrade_state *st, struct err *e)
{
    const struct view *v = s->now.view;
    *st = (struct upgrade_state){
        .ipc_version = IPC_VERSION,
        .view_format = VIEW_FORMAT,
        .cells_version = CELLS_VERSION,
        .version = HF_VERSION,
        .log_level = s->log.least,
        .workers = s->workers,
        .serving = s->serving,
        .epoch = v->epoch,
        .generations = s->generations,
        .change = s->change.number,
        .boot = s->boot,
        .lock_fd = s->lock_fd,
        .admin_fd = s->admin_fd,
        .cells_fd = s->cells_fd,
        .view_fd = s->now.view_fd,
        .notify_fd = s->notify_fd,
        .n_sockets = v->n_sockets,
    };
    str_copy(st->file, sizeof st->file, str_of(s->options->file));
    str_copy(st->state, sizeof st->state, str_of(s->state));
    str_copy(st->node, sizeof st->node, supervisor_node(s));
    for (unsigned i = 0; i < CHILDREN; i++)
        describe_child(st, &s->children[i]);
    st->sockets = mem_zero(v->n_sockets + 1, sizeof *st->sockets);
    if (!st->sockets)
        return err_set(e, ERR_NOMEM, "no memory to describe %u sockets", v->n_sockets);
    for (uint32_t i = 0; i < v->n_sockets; i++)
        st->sockets[i] = (struct upgrade_socket){v->sockets[i], s->now.fds[i]};
    return 0;
}

static int write_state(const struct upgrade_state *st, struct err *e)
{
    struct buf bytes = {.limit = UPGRADE_MAX_BYTES};
    upgrade_state_encode(st, &bytes);
    int fd = bytes.failed ? err_set(e, ERR_NOMEM, "no memory to write the state down")
                          : memfd_sealed("holdfast-state", buf_str(&bytes), e);
    buf_free(&bytes);
    return fd;
}

/* --- the check --- */

static int start_checker(struct supervisor *s, int state_fd, struct err *e)
{
    struct upgrade *u = &s->upgrade;
    int answer[2];
    const char *argv[] = {"holdfast", "@self-check", "--file", s->options->file, NULL};
    if (pipe2(answer, O_CLOEXEC | O_NONBLOCK))
        return err_errno(e, "cannot make a pipe");
    struct process_program p = {.argv = (char *const *)(uintptr_t)argv,
                                .program = u->program_fd,
                                .fds = {state_fd, s->now.view_fd, answer[1]},
                                .n_fds = 3};
    int r = process_start_program(&p, &u->checker, e);
    close(answer[1]);
    if (r) {
        close(answer[0]);
        u->checker = 0;
        return r;
    }
    u->answer_fd = answer[0];
    return 0;
}

static int check(struct supervisor *s, struct err *e)
{
    struct upgrade_state st;
    int r = describe(s, &st, e);
    int fd = r ? r : write_state(&st, e);
    upgrade_state_free(&st);
    if (fd < 0)
        return fd;
    r = start_checker(s, fd, e);
    close(fd);
    return r;
}

static int may_begin(struct supervisor *s, struct err *e)
{
    if (s->phase != PHASE_RUNNING)
        return err_set(e, ERR_BUSY, "the node starts or stops");
    if (s->handover.next || s->upgrade.step != UPGRADE_IDLE)
        return err_set(e, ERR_BUSY, "another hand-over has begun and not ended");
    return handover_room(s, e);
}

static int open_program(struct supervisor *s, struct str path, struct err *e)
{
    char own[PATHS_MAX], given[PATHS_MAX];
    int r = upgrade_binary_own(own, sizeof own, e);
    if (r)
        return r;
    if (path.n >= sizeof given)
        return err_set(e, ERR_INVAL, "the path of the new program is too long");
    str_copy(given, sizeof given, path.n ? path : str_of(own));
    return s->upgrade.program_fd = upgrade_binary_open(given, upgrade_binary_name(own), e);
}

void upgrade_ask(struct supervisor *s, struct str path)
{
    struct err e;
    bool alone = !s->handover.next && s->upgrade.step == UPGRADE_IDLE;
    if (!alone) /* whoever asked sees how that one ends */
        return;
    change_begin(s, CHANGE_UPGRADE, "the new program checks itself");
    int r = may_begin(s, &e);
    if (r == 0)
        r = open_program(s, path, &e) < 0 ? -1 : 0;
    if (r == 0)
        r = check(s, &e);
    if (r) {
        refuse(s, e.text);
        return;
    }
    s->upgrade.step = UPGRADE_CHECKS;
    s->upgrade.ticks = SELF_CHECK_WITHIN;
}

/* "ok VERSION" or a sentence; printable, one line. */
static void read_answer(struct supervisor *s, char out[ANSWER_MAX])
{
    ssize_t n = read(s->upgrade.answer_fd, out, ANSWER_MAX - 1);
    out[n > 0 ? n : 0] = 0;
    for (char *p = out; *p; p++)
        if (*p == '\n' || (unsigned char)*p < ' ')
            *p = *p == '\n' ? 0 : '?';
}

static void checked(struct supervisor *s, int status)
{
    char text[ANSWER_MAX], what[96], why[ANSWER_MAX + 128];
    read_answer(s, text);
    process_describe(status, what, sizeof what);
    s->upgrade.checker = 0;
    if (status == 0 && strncmp(text, "ok ", 3) == 0) {
        str_copy(s->upgrade.version, sizeof s->upgrade.version, str_of(text + 3));
        s->upgrade.step = UPGRADE_LEAVES;
        s->upgrade.ticks = LEAVE_WITHIN;
        upgrade_try_to_leave(s);
        return;
    }
    snprintf(why, sizeof why, "the new program's self-check %s%s%s", what, text[0] ? ": " : "",
             text);
    refuse(s, why);
}

bool upgrade_reap(struct supervisor *s)
{
    int status;
    if (!s->upgrade.checker || !process_reap(s->upgrade.checker, &status))
        return false;
    checked(s, status);
    return true;
}

/* --- leaving --- */

static void keep_open(int fd, void *context)
{
    (void)context;
    fcntl(fd, F_SETFD, 0);
}

static void close_on_exec(int fd, void *context)
{
    (void)context;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void upgrade_keep_open(const struct upgrade_state *st, bool on)
{
    upgrade_state_each(st, on ? keep_open : close_on_exec, NULL);
    (on ? keep_open : close_on_exec)(UPGRADE_FD_STATE, NULL);
    (on ? keep_open : close_on_exec)(UPGRADE_FD_BACK, NULL);
}

/* Returns only when it has failed. */
static int leave(struct supervisor *s, struct err *e)
{
    static const char *const argv[] = {"holdfast", "@resume", NULL};
    struct upgrade_state st;
    int r = describe(s, &st, e);
    int fd = r ? r : write_state(&st, e);
    if (fd >= 0 && dup3(fd, UPGRADE_FD_STATE, O_CLOEXEC) < 0)
        r = err_errno(e, "cannot pass the state on");
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && r == 0) {
        upgrade_keep_open(&st, true);
        fexecve(s->upgrade.program_fd, (char *const *)(uintptr_t)argv, environ);
        r = err_errno(e, "the new program cannot be executed");
        upgrade_keep_open(&st, false);
    }
    upgrade_state_free(&st);
    return fd < 0 ? fd : r;
}

static bool all_is_said(const struct supervisor *s)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        const struct child *c = &s->children[i];
        if (child_runs(c) && (!ipc_is_open(&c->ipc) || c->ipc.queued || c->gone_ticks))
            return false;
    }
    return !s->taking && !s->handover.next && child_runs(serving_proxy((struct supervisor *)s));
}

void upgrade_try_to_leave(struct supervisor *s)
{
    struct err e;
    if (!all_is_said(s))
        return;
    log_info(&s->log, "upgrade: holdfast %s takes the place of " HF_VERSION, s->upgrade.version);
    sense_end_now(s);
    leave(s, &e);
    refuse(s, e.text);
    sense_follow(s);
}

void upgrade_tick(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->step == UPGRADE_LEAVES)
        upgrade_try_to_leave(s);
    if ((u->step != UPGRADE_CHECKS && u->step != UPGRADE_LEAVES) || --u->ticks)
        return;
    if (u->checker) {
        kill(u->checker, SIGKILL); /* buried as an orphan */
        refuse(s, "the new program's self-check took too long");
    } else {
        refuse(s, "a process does not take its messages, or is about to be replaced");
    }
}

void upgrade_cancel(struct supervisor *s)
{
    if (s->upgrade.checker)
        kill(s->upgrade.checker, SIGKILL);
    if (s->upgrade.step == UPGRADE_CHECKS || s->upgrade.step == UPGRADE_LEAVES)
        refuse(s, "holdfast is stopping");
    s->upgrade.step = UPGRADE_IDLE; /* on trial: both programs end */
}
