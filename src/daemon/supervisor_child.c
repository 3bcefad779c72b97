/* A child's life. It is started, watched, and started again whatever it died of. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/process.h"
#include "daemon/supervisor.h"

static void start_now(struct timer *t)
{
    child_start(CONTAINER_OF(t, struct child, again));
}

static struct process_row *row_of(const struct child *c)
{
    return &c->owner->cells.processes[c->row];
}

/* --- what it says --- */

static void from_control(struct supervisor *s, struct ipc_message *m)
{
    uint64_t epoch;
    uint32_t gently;
    struct str reason;
    int fd;
    switch ((enum ipc_type)m->type) {
    case IPC_VIEW:
        epoch = get_u64(&m->body);
        fd = ipc_take_fd(m);
        if (reader_done(&m->body) && fd >= 0) {
            view_offered(s, epoch, fd);
            return;
        }
        if (fd >= 0)
            close(fd);
        break;
    case IPC_UPGRADE:
        reason = get_str(&m->body);
        if (!reader_done(&m->body))
            break;
        upgrade_ask(s, reason);
        return;
    case IPC_RESTART:
        gently = get_u32(&m->body);
        reason = get_str(&m->body);
        if (!reader_done(&m->body))
            break;
        log_info(&s->log, "control asks for a new proxy: " STR_FMT, STR_ARG(reason));
        if (gently)
            handover_ask(s);
        else
            child_stop(serving_proxy(s), false, STOP_NOW_WITHIN);
        return;
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
    case IPC_RELOAD:
    case IPC_NO_VIEW:
    case IPC_ACCEPT:
    case IPC_HAND_OVER:
    case IPC_CHANGE:
    case IPC_AGENT:
    case IPC_AGENT_START:
    case IPC_AGENT_STOP:
    case IPC_AGENT_TASK:
    case IPC_AGENT_STATE:
    case IPC_AGENT_DONE:
    case IPC_AGENT_INSTANCE:
    case IPC_AGENT_ROLE:
    case IPC_AGENT_REPORT:
    case IPC_ROLES:
    case IPC_SECRET:
    case IPC_SENSE:
    case IPC_FINDING:
    case IPC_TYPES: break;
    }
    log_warning(&s->log, "control sent a message of type %u that makes no sense", m->type);
}

static void from_proxy(struct child *c, struct ipc_message *m)
{
    if (m->type == IPC_VIEW_TAKEN) {
        uint64_t epoch = get_u64(&m->body);
        if (reader_done(&m->body)) {
            view_taken(c, epoch);
            return;
        }
    }
    log_warning(&c->owner->log, "the proxy sent a message of type %u that makes no sense", m->type);
}

static void on_message(struct ipc *i, struct ipc_message *m)
{
    struct child *c = CONTAINER_OF(i, struct child, ipc);
    if (c->index == CHILD_CONTROL)
        from_control(c->owner, m);
    else if (child_is_proxy(c))
        from_proxy(c, m);
    else
        log_warning(&c->owner->log, "%s sent a message of type %u, and has nothing to say", c->name,
                    m->type);
}

/* Mostly it is about to be reaped. What lives on without its socket is no use to anybody. */
static void on_gone(struct ipc *i, const char *why)
{
    struct child *c = CONTAINER_OF(i, struct child, ipc);
    log_debug(&c->owner->log, "the connection to %s ended: %s", c->name, why);
    c->gone_ticks = GONE_GRACE;
}

/* --- what it is told --- */

static void tell_control(const struct child *about, enum ipc_child state, uint32_t status,
                         const char *what)
{
    struct child *control = &about->owner->children[CHILD_CONTROL];
    if (!ipc_is_open(&control->ipc))
        return;
    struct buf b = {0};
    put_u32(&b, child_is_proxy(about) ? PROCESS_PROXY : about->row);
    put_u32(&b, state);
    put_u32(&b, (uint32_t)about->pid);
    put_u32(&b, status);
    put_str(&b, str_of(what));
    if (!b.failed)
        ipc_send(&control->ipc, IPC_CHILD, buf_str(&b), NULL, 0, NULL);
    buf_free(&b);
}

/* A new line between the two; each drops the one that it had. */
static void join(struct child *control, struct child *proxy)
{
    int pair[2];
    struct err e;
    struct buf bank = {0};
    if (!ipc_is_open(&control->ipc) || !ipc_is_open(&proxy->ipc) || control->inherited ||
        proxy->foreign)
        return;
    put_u32(&bank, proxy->bank);
    if (bank.failed || net_message_pair(pair, &e)) {
        log_warning(&control->owner->log, "control and proxy cannot talk");
        buf_free(&bank);
        return;
    }
    ipc_send(&control->ipc, IPC_PEER, buf_str(&bank), &pair[0], 1, NULL);
    ipc_send(&proxy->ipc, IPC_PEER, buf_str(&bank), &pair[1], 1, NULL);
    buf_free(&bank);
    close(pair[0]);
    close(pair[1]);
}

/* The agent, or sense. */
static void join_other(struct child *control, struct child *other)
{
    int pair[2];
    enum ipc_type type = other->index == CHILD_AGENT ? IPC_AGENT : IPC_SENSE;
    if (!ipc_is_open(&control->ipc) || !ipc_is_open(&other->ipc) || control->inherited ||
        other->foreign)
        return;
    if (net_message_pair(pair, NULL)) {
        log_warning(&control->owner->log, "control and %s cannot talk", other->name);
        return;
    }
    ipc_send(&control->ipc, type, STR(""), &pair[0], 1, NULL);
    ipc_send(&other->ipc, type, STR(""), &pair[1], 1, NULL);
    close(pair[0]);
    close(pair[1]);
}

static void introduce(struct child *c)
{
    struct supervisor *s = c->owner;
    if (c->index == CHILD_AGENT || c->index == CHILD_SENSE) {
        join_other(&s->children[CHILD_CONTROL], c);
        return;
    }
    if (child_is_proxy(c)) {
        join(&s->children[CHILD_CONTROL], c);
        return;
    }
    for (unsigned i = CHILD_PROXY; i < CHILD_AGENT; i++)
        join(c, &s->children[i]);
    join_other(c, &s->children[CHILD_AGENT]);
    join_other(c, &s->children[CHILD_SENSE]);
}

static void brief_control(struct child *c)
{
    struct supervisor *s = c->owner;
    ipc_send(&c->ipc, IPC_ADMIN_SOCKET, STR(""), &s->admin_fd, 1, NULL);
    const struct child *others[] = {serving_proxy(s), &s->children[CHILD_AGENT],
                                    &s->children[CHILD_SENSE]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (child_runs(others[i]))
            tell_control(others[i], IPC_CHILD_STARTED, 0, "runs");
    if (s->now.view_fd < 0)
        ipc_send(&c->ipc, IPC_NO_VIEW, STR(""), NULL, 0, NULL);
    view_give(c);
    change_tell(s);
    if (s->reload_wanted)
        ipc_send(&c->ipc, IPC_RELOAD, STR(""), NULL, 0, NULL);
    s->reload_wanted = false;
}

/* --- start --- */

static int execute(struct child *c, struct err *e)
{
    struct supervisor *s = c->owner;
    const char *level = log_level_name(s->log.least);
    struct str node = supervisor_node(s);
    char name[256];
    str_copy(name, sizeof name, node);
    const char *control[] = {"holdfast", "@control", "--file", s->options->file,         "--state",
                             s->state,   "--log",    level,    node.n ? "--node" : NULL, name,
                             NULL};
    char bank[16];
    snprintf(bank, sizeof bank, "%u", c->bank);
    const char *proxy[] = {"holdfast",
                           "@proxy",
                           "--log",
                           level,
                           "--bank",
                           bank,
                           c->role == PROXY_STARTS ? "--wait" : NULL,
                           NULL};
    c->may = c->index == CHILD_AGENT ? agent_may(s) : 0;
    const char *agent[] = {"holdfast", "@agent", "--state", s->state, "--log",
                           level,      NULL,     NULL,      NULL};
    size_t more = 6;
    if (c->may & AGENT_MAY_PROGRAMS)
        agent[more++] = "--programs";
    if (c->may & AGENT_MAY_ADDRESSES)
        agent[more] = "--addresses";
    const char *sense[] = {
        "holdfast", "@sense", "--state", s->state, "--log", level, node.n ? "--node" : NULL,
        name,       NULL};
    const char **argv = c->index == CHILD_CONTROL ? control
                        : child_is_proxy(c)       ? proxy
                        : c->index == CHILD_AGENT ? agent
                                                  : sense;
    int pair[2];
    int r = net_message_pair(pair, e);
    if (r)
        return r;
    r = process_start((char *const *)(uintptr_t)argv, pair[1], s->cells_fd, &c->pid, e);
    close(pair[1]);
    if (r)
        close(pair[0]);
    else
        r = ipc_open(&c->ipc, s->loop, pair[0], e);
    return r;
}

static void start_watch(struct child *c)
{
    struct supervisor *s = c->owner;
    hang_start(&c->beat, cell_get(&row_of(c)->beat));
    for (uint32_t w = 0; child_is_proxy(c) && w < s->workers; w++)
        hang_start(&c->worker_beats[w], cell_get(&row_of(c)[1 + w].beat));
    c->sent = c->taken = 0;
    c->taking_ticks = c->gone_ticks = c->stop_ticks = 0;
}

static void retry_later(struct child *c, const struct err *why)
{
    uint64_t delay = MAX(restart_delay(&c->restart, 0), RESTART_FIRST);
    log_error(&c->owner->log, "%s does not start: %s; next try in %llu ms", c->name, why->text,
              (unsigned long long)(delay / NS_PER_MS));
    loop_timer_set(c->owner->loop, &c->again, loop_refresh(c->owner->loop) + delay);
}

void child_adopt(struct child *c)
{
    struct process_row *row = row_of(c);
    hang_start(&c->beat, cell_get(&row->beat));
    for (uint32_t w = 0; child_is_proxy(c) && w < c->owner->workers; w++)
        hang_start(&c->worker_beats[w], cell_get(&row[1 + w].beat));
    cell_set(&row->pid, (uint64_t)c->pid);
    cell_set(&row->started_at, c->started);
    if (child_is_proxy(c))
        cell_set(&row->generation, c->generation);
    if (c->role == PROXY_DRAINS && c->stop_ticks > STOP_PROXY_MARGIN)
        cell_set(&row->until,
                 loop_now(c->owner->loop) + (c->stop_ticks - STOP_PROXY_MARGIN) * NS_PER_S);
}

void child_start(struct child *c)
{
    struct supervisor *s = c->owner;
    struct err e;
    CHECK(!child_runs(c));
    if (child_is_proxy(c)) {
        c->generation = ++s->generations;
        cell_set(&row_of(c)->generation, c->generation);
    }
    start_watch(c);
    c->inherited = c->foreign = false;
    if (!child_is_proxy(c))
        cell_set(&row_of(c)->epoch, 0); /* until it has the view */
    c->started = loop_refresh(s->loop);
    if (execute(c, &e)) {
        if (child_runs(c))
            child_kill(c, e.text); /* started, but we cannot talk to it */
        else
            retry_later(c, &e);
        return;
    }
    cell_set(&row_of(c)->pid, (uint64_t)c->pid);
    cell_add(&row_of(c)->starts, 1);
    cell_set(&row_of(c)->started_at, c->started);
    log_info(&s->log, "%s runs as process %ld", c->name, (long)c->pid);
    if (c->index == CHILD_CONTROL)
        brief_control(c);
    else
        view_give(c);
    introduce(c);
    tell_control(c, IPC_CHILD_STARTED, 0, "started");
}

/* --- death --- */

static void start_again(struct child *c)
{
    struct supervisor *s = c->owner;
    uint64_t delay = restart_delay(&c->restart, loop_now(s->loop) - c->started);
    if (delay == 0) {
        child_start(c);
        return;
    }
    log_warning(&s->log, "%s starts again in %llu ms", c->name,
                (unsigned long long)(delay / NS_PER_MS));
    loop_timer_set(s->loop, &c->again, loop_now(s->loop) + delay);
}

static void buried(struct child *c, int status)
{
    struct supervisor *s = c->owner;
    bool ending = s->phase == PHASE_DRAINING || s->phase == PHASE_ENDING;
    bool wanted = ending || c->role == PROXY_DRAINS || c->inherited;
    char what[96];
    process_describe(status, what, sizeof what);
    log_line(&s->log, wanted && status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
             "%s (process %ld) %s", c->name, (long)c->pid, what);
    ipc_close(&c->ipc);
    if (c->index == CHILD_CONTROL)
        view_forget_waiting(s);
    else if (child_is_proxy(c))
        supervisor_clear_gauges(s, c->bank);
    tell_control(c, IPC_CHILD_ENDED, (uint32_t)status, what);
    cell_set(&row_of(c)->pid, 0);
    c->pid = 0;
    c->stop_ticks = 0;
    bool failed = upgrade_on_trial(s) && c->index == CHILD_CONTROL && !c->inherited;
    if (ending)
        supervisor_stop_next(s);
    else if (failed)
        upgrade_go_back(s, "the new control died");
    else if ((c->index == CHILD_AGENT && !agent_is_wanted(s)) ||
             (c->index == CHILD_SENSE && !sense_is_wanted(s)))
        loop_timer_stop(s->loop, &c->again);
    else if (!child_is_proxy(c) || !handover_ended(c, c->role))
        start_again(c);
}

void child_reap(struct child *c)
{
    int status;
    if (child_runs(c) && process_reap(c->pid, &status)) {
        loop_refresh(c->owner->loop);
        buried(c, status);
    }
}

void child_kill(struct child *c, const char *why)
{
    log_error(&c->owner->log, "%s (process %ld) is killed: %s", c->name, (long)c->pid, why);
    kill(c->pid, SIGKILL);
    /* It dies soon; until then no other deadline is of interest. */
    c->stop_ticks = c->gone_ticks = 0;
    ipc_close(&c->ipc);
}

void child_stop(struct child *c, bool drain, uint32_t ticks)
{
    if (!child_runs(c))
        return;
    struct buf b = {0};
    put_u32(&b, drain ? 1 : 0);
    if (b.failed || !ipc_is_open(&c->ipc) ||
        ipc_send(&c->ipc, IPC_STOP, buf_str(&b), NULL, 0, NULL))
        child_kill(c, "it cannot be told to stop");
    else
        c->stop_ticks = ticks;
    buf_free(&b);
}

/* --- watch --- */

static const char *why_hung(struct child *c)
{
    const struct process_row *rows = c->owner->cells.processes;
    if (hang_tick(&c->beat, cell_get(&rows[c->row].beat), c->hang_after, FIRST_BEAT_WITHIN))
        return "its main loop stands still";
    if (!child_is_proxy(c))
        return NULL;
    for (uint32_t w = 0; w < c->owner->workers; w++)
        if (hang_tick(&c->worker_beats[w], cell_get(&rows[c->row + 1 + w].beat), c->hang_after, 0))
            return "a worker's loop stands still";
    if (c->sent == c->taken)
        c->taking_ticks = 0;
    else if (++c->taking_ticks >= VIEW_TAKEN_WITHIN)
        return "it does not take the view that it was given";
    return NULL;
}

void child_tick(struct child *c)
{
    if (!child_runs(c))
        return;
    if (c->gone_ticks && --c->gone_ticks == 0) {
        child_kill(c, "it closed its connection or does not take its messages");
        return;
    }
    if (c->stop_ticks && --c->stop_ticks == 0) {
        child_kill(c, "it did not stop in time");
        return;
    }
    const char *why = ipc_is_open(&c->ipc) && !c->foreign ? why_hung(c) : NULL;
    if (why)
        child_kill(c, why);
}

void child_set_role(struct child *c, enum proxy_role role)
{
    c->role = role;
    cell_set(&row_of(c)->role, role);
}

void child_init(struct supervisor *s, unsigned index)
{
    /* a proxy's row depends on the number of workers */
    static const struct {
        const char *name;
        uint32_t row, hang_after;
    } kinds[] = {{"control", PROCESS_CONTROL, CONTROL_HANGS_AFTER},
                 {"the proxy", PROCESS_CONTROL, PROXY_HANGS_AFTER},
                 {"the agent", PROCESS_AGENT, AGENT_HANGS_AFTER},
                 {"sense", PROCESS_SENSE, SENSE_HANGS_AFTER}};
    struct child *c = &s->children[index];
    unsigned kind = index == CHILD_CONTROL ? 0
                    : index == CHILD_AGENT ? 2
                    : index == CHILD_SENSE ? 3
                                           : 1;
    *c = (struct child){
        .owner = s,
        .index = index,
        .bank = kind == 1 ? index - CHILD_PROXY : 0,
        .name = kinds[kind].name,
        .row = kinds[kind].row,
        .hang_after = kinds[kind].hang_after,
        .ipc = {.fd = -1, .on_message = on_message, .on_gone = on_gone},
    };
    timer_init(&c->again, start_now);
}
