/* The reload transaction, as ipc.h tells it. Either every socket of a view opens and it becomes the
 * last good one, or nothing has changed. From then on it does not depend on control any more:
 * whichever child starts is given it. */
#include <stdio.h>
#include <unistd.h>

#include "daemon/supervisor.h"

static uint64_t epoch_now(const struct supervisor *s)
{
    return s->now.view_fd >= 0 ? s->now.view->epoch : 0;
}

static void send_epoch(struct child *c, enum ipc_type type, uint64_t epoch, const int *fd)
{
    struct buf b = {0};
    put_u64(&b, epoch);
    if (b.failed || ipc_send(&c->ipc, type, buf_str(&b), fd, fd ? 1 : 0, NULL))
        log_debug(&c->owner->log, "%s was not told of view %llu", c->name,
                  (unsigned long long)epoch);
    buf_free(&b);
}

static void refuse(struct supervisor *s, uint64_t epoch, const struct err *why)
{
    log_warning(&s->log, "view %llu is refused: %s", (unsigned long long)epoch, why->text);
    struct buf b = {0};
    put_u64(&b, epoch);
    put_str(&b, str_of(why->text));
    struct child *control = &s->children[CHILD_CONTROL];
    if (!b.failed && ipc_is_open(&control->ipc))
        ipc_send(&control->ipc, IPC_VIEW_REFUSED, buf_str(&b), NULL, 0, NULL);
    buf_free(&b);
}

/* --- giving --- */

/* Who drains has the listening sockets too, and watches none of them. */
static bool is_used_by(const struct child *c, uint8_t use)
{
    return socket_is_of_control(use) == (c->index == CHILD_CONTROL);
}

static void send_batch(struct child *c, const uint32_t *indices, const int *fds, uint32_t n)
{
    struct buf b = {0};
    put_u64(&b, epoch_now(c->owner));
    put_u32(&b, n);
    for (uint32_t i = 0; i < n; i++)
        put_u32(&b, indices[i]);
    if (b.failed || ipc_send(&c->ipc, IPC_VIEW_SOCKET, buf_str(&b), fds, n, NULL))
        log_warning(&c->owner->log, "%s was not given its sockets", c->name);
    buf_free(&b);
}

static void send_sockets(struct child *c)
{
    const struct held *h = &c->owner->now;
    uint32_t indices[IPC_MAX_FDS];
    int fds[IPC_MAX_FDS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->view->n_sockets; i++) {
        if (h->fds[i] < 0 || !is_used_by(c, h->view->sockets[i].use))
            continue;
        indices[n] = i;
        fds[n++] = h->fds[i];
        if (n == IPC_MAX_FDS) {
            send_batch(c, indices, fds, n);
            n = 0;
        }
    }
    if (n)
        send_batch(c, indices, fds, n);
}

void view_give(struct child *c)
{
    struct supervisor *s = c->owner;
    uint64_t epoch = epoch_now(s);
    if (epoch == 0 || !ipc_is_open(&c->ipc) || c->foreign)
        return;
    send_epoch(c, IPC_VIEW_BEGIN, epoch, &s->now.view_fd);
    /* Those two want to know what they run and read, and listen nowhere. */
    if (c->index != CHILD_AGENT && c->index != CHILD_SENSE)
        send_sockets(c);
    send_epoch(c, IPC_VIEW_END, epoch, NULL);
    c->sent = epoch;
    c->taking_ticks = 0;
}

/* --- taking over --- */

static int examine(struct supervisor *s, uint64_t epoch, const struct view *v, struct err *e)
{
    if (v->epoch != epoch)
        return err_set(e, ERR_PROTO, "the view says that its epoch is %llu",
                       (unsigned long long)v->epoch);
    if (epoch <= epoch_now(s))
        return err_set(e, ERR_INVAL, "epoch %llu is in force already",
                       (unsigned long long)epoch_now(s));
    if (v->workers != s->workers)
        return err_set(e, ERR_INVAL,
                       "the number of workers is fixed at the start: %u now, %u in the file; "
                       "restart holdfast to change it",
                       s->workers, v->workers);
    return 0;
}

static void adopt(struct supervisor *s, struct held *next)
{
    CHECK(!s->old.view);
    held_adopt(next, &s->now);
    supervisor_clear_new(s, s->now.view, next->view);
    s->old = s->now;
    s->now = *next;
    s->taking = true;
    cell_set(&s->cells.processes[PROCESS_SUPERVISOR].epoch, s->now.view->epoch);
    log_info(&s->log, "view %llu: %u services, %u sockets", (unsigned long long)s->now.view->epoch,
             s->now.view->n_services, s->now.view->n_sockets);
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++)
        view_give(&s->children[i]);
    view_give(&s->children[CHILD_AGENT]);
    view_give(&s->children[CHILD_SENSE]);
    agent_follow(s);
    sense_follow(s);
}

static void apply(struct supervisor *s, uint64_t epoch, int fd)
{
    struct held next;
    struct err e;
    held_init(&next);
    next.view_fd = fd;
    int r = ipc_read_view(fd, &next.view, &e);
    if (r == 0)
        r = examine(s, epoch, next.view, &e);
    if (r == 0)
        r = held_open(s, &next, &s->now, false, &e);
    if (r == 0) {
        adopt(s, &next);
        return;
    }
    /* The sockets are those of an older version, and control will come to it too. */
    bool too_new = next.view && next.view->version > s->now.view->version;
    held_free(&next);
    refuse(s, epoch, &e);
    if (upgrade_on_trial(s) && s->phase == PHASE_STARTING)
        upgrade_go_back(s, e.text);
    else if (s->phase == PHASE_STARTING && !too_new)
        supervisor_give_up(s, &e);
}

void view_forget_waiting(struct supervisor *s)
{
    if (s->waiting_fd >= 0)
        close(s->waiting_fd);
    s->waiting_fd = -1;
}

void view_offered(struct supervisor *s, uint64_t epoch, int fd)
{
    struct err e;
    if (s->phase == PHASE_DRAINING || s->phase == PHASE_ENDING) {
        err_set(&e, ERR_BUSY, "holdfast is stopping");
        refuse(s, epoch, &e);
        close(fd);
        return;
    }
    bool on_trial = upgrade_on_trial(s) && s->phase == PHASE_RUNNING;
    if (!s->taking && !on_trial) {
        apply(s, epoch, fd);
        return;
    }
    if (s->waiting_fd >= 0) {
        err_set(&e, ERR_BUSY, "view %llu came after it, while the proxy was taking another",
                (unsigned long long)epoch);
        refuse(s, s->waiting_epoch, &e);
        view_forget_waiting(s);
    }
    s->waiting_fd = fd;
    s->waiting_epoch = epoch;
}

void view_apply_waiting(struct supervisor *s)
{
    int fd = s->waiting_fd;
    if (fd < 0 || s->taking || upgrade_on_trial(s))
        return;
    s->waiting_fd = -1;
    apply(s, s->waiting_epoch, fd);
}

static void complete(struct supervisor *s)
{
    struct child *control = &s->children[CHILD_CONTROL];
    s->taking = false;
    held_free(&s->old);
    if (ipc_is_open(&control->ipc)) {
        send_sockets(control);
        send_epoch(control, IPC_VIEW_TAKEN, epoch_now(s), NULL);
    }
    if (s->phase == PHASE_STARTING) {
        s->phase = PHASE_RUNNING;
        log_info(&s->log, "ready");
        notify_send(s, "READY=1\n");
    }
}

void view_taken(struct child *c, uint64_t epoch)
{
    struct supervisor *s = c->owner;
    if (epoch > c->sent) {
        log_warning(&s->log, "the proxy took view %llu, which it was never given",
                    (unsigned long long)epoch);
        return;
    }
    c->taken = epoch;
    handover_taken(c);
    if (!s->taking || c != serving_proxy(s) || epoch != epoch_now(s))
        return;
    complete(s);
    view_apply_waiting(s);
}
