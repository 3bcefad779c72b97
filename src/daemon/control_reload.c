/* The reload transaction: file -> view -> supervisor -> taken or refused -> answer.
 *
 * One runs at a time. Whoever asks meanwhile is answered by the next one, which reads the file
 * after they asked. Nothing of the old view is touched before VIEW_TAKEN. When the supervisor does
 * not answer in time the askers are told so, and the transaction stays undecided: its answer still
 * counts, and until then there is no other. */
#include <stdio.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/paths.h"

enum { RELOAD_MAX_WAITING = 8 };

/* ---- answers ---- */

static void answer(struct control *c, const struct admin_reload_result *result)
{
    while (!list_empty(&c->reloading.serving)) {
        struct admin_reload *r = LIST_ENTRY(c->reloading.serving.next, struct admin_reload, link);
        list_remove(&r->link);
        r->done(r, result);
    }
}

static void back_to_idle(struct control *c)
{
    struct reloading *g = &c->reloading;
    loop_timer_stop(c->loop, &g->deadline);
    view_free(g->next);
    g->next = NULL;
    buf_clear(&g->changes);
    g->state = RELOAD_IDLE;
    c->discovering.runs = false;
    configuring_idle(c);
    reload_go_on(c);
}

void reload_go_on(struct control *c)
{
    struct reloading *g = &c->reloading;
    if (g->state == RELOAD_IDLE && !list_empty(&g->waiting))
        loop_defer(c->loop, &g->run);
    discovering_plan(c);
}

static void tell_subject(struct control *c, struct event *ev)
{
    if (c->configuring.running)
        event_subject(ev, "version %llu", (unsigned long long)c->configuring.target.version.number);
    else
        event_subject(ev, "%s", c->discovering.runs ? "discovery" : c->o.file);
}

static void tell_refused(struct control *c, const struct err *e)
{
    struct event *ev = control_event(c, EVENT_RELOAD_REFUSED, EVENT_WARNING);
    if (!c->discovering.runs)
        event_by(ev, c->reloading.by);
    tell_subject(c, ev);
    event_text(ev, "%s", e->text);
    control_event_end(c, ev);
}

static void fail(struct control *c, const struct err *e, const struct admin_problem *problems,
                 size_t n_problems)
{
    discovering_failed(c, e);
    tell_refused(c, e);
    struct admin_reload_result result = {
        .code = e->code,
        .epoch = c->view ? c->view->epoch : 0,
        .text = e->text,
        .problems = problems,
        .n_problems = n_problems,
    };
    answer(c, &result);
}

/* Warnings too, which change nothing about the outcome. */
static void log_problems(struct control *c, const struct conf_problems *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct conf_problem *one = &p->list[i];
        log_line(c->log, one->severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                 "%s:%u:%u: %s", one->file, one->line, one->column, one->text);
    }
}

static void fail_with_problems(struct control *c, const struct conf_problems *p, struct err *e)
{
    struct admin_problem *list = mem_zero(MAX(p->n, 1u), sizeof *list);
    size_t n = 0;
    for (uint32_t i = 0; list && i < p->n; i++) {
        const struct conf_problem *from = &p->list[i];
        if (from->severity == CONF_ERROR)
            list[n++] = (struct admin_problem){str_of(from->file), from->line, from->column,
                                               str_of(from->text), str_of(from->hint)};
    }
    fail(c, e, list, n);
    mem_free(list);
}

struct str *reload_lines(struct str text, size_t *n)
{
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    struct str *list = mem_zero(count + 1, sizeof *list);
    *n = 0;
    while (list && *n < count) {
        const char *end = memchr(text.p, '\n', text.n);
        list[(*n)++] = (struct str){text.p, (size_t)(end - text.p)};
        text.n -= (size_t)(end + 1 - text.p);
        text.p = end + 1;
    }
    return list;
}

static void succeed(struct control *c)
{
    discovering_done(c);
    size_t n = 0;
    struct str *list = reload_lines(buf_str(&c->reloading.changes), &n);
    size_t n_left = 0;
    struct str *left = reload_lines(buf_str(&c->configuring.left), &n_left);
    struct admin_reload_result result = {.changed = n > 0,
                                         .epoch = c->view->epoch,
                                         .list = list,
                                         .n_list = n,
                                         .version = c->view->version,
                                         .left = left,
                                         .n_left = n_left};
    answer(c, &result);
    mem_free(list);
    mem_free(left);
}

/* ---- the new view ---- */

static bool writes_logs(const struct view *v)
{
    for (uint32_t i = 0; i < v->n_sockets; i++)
        if (v->sockets[i].use == SOCKET_ACCESS_LOG)
            return true;
    return false;
}

/* A node may move, and its cluster may begin, grow and shrink. It is never in another cluster,
 * where its peers would not know what it did in this one. That it stays the same node is seen to
 * where the file is read. */
static int check_cluster(const struct view_cluster *was, const struct view_cluster *is,
                         struct err *e)
{
    if (was->n_nodes == 0 || str_eq(was->name, is->name))
        return 0;
    return err_set(e, ERR_DENIED,
                   "cluster " STR_FMT " becomes cluster " STR_FMT
                   ": a node stays in its cluster while holdfast runs, restart it for that",
                   STR_ARG(was->name), STR_ARG(is->name));
}

static bool has_primaries(const struct view *v)
{
    for (uint32_t i = 0; i < v->n_services; i++)
        if (view_is_primary(&v->services[i]))
            return true;
    return false;
}

/* A voter that keeps its promises for the old time does not protect who holds a lease for the new
 * one. */
static int check_lease(const struct view *now, const struct view *next, struct err *e)
{
    const struct view_cluster *was = &now->cluster, *is = &next->cluster;
    if (!has_primaries(now) || (was->lease == is->lease && was->demotion == is->demotion))
        return 0;
    return err_set(
        e, ERR_DENIED,
        "the cluster's lease changes from %llu to %llu ms, its demotion from %llu to "
        "%llu ms: both are fixed while services have primaries (lease is six heartbeats "
        "unless it is set)",
        (unsigned long long)was->lease / 1000000, (unsigned long long)is->lease / 1000000,
        (unsigned long long)was->demotion / 1000000, (unsigned long long)is->demotion / 1000000);
}

static int check_fixed(const struct control *c, const struct view *next, struct err *e)
{
    uint32_t workers = c->view ? c->view->workers : c->cells.header->workers;
    if (next->workers != workers)
        return err_set(
            e, ERR_DENIED,
            "workers changes from %u to %u: the number of workers is fixed while holdfast "
            "runs, restart it for that",
            workers, next->workers);
    int rc = c->view ? check_cluster(&c->view->cluster, &next->cluster, e) : 0;
    return rc || !c->view ? rc : check_lease(c->view, next, e);
}

/* The shared tables were sized when the supervisor started. */
int reload_check_slots(const struct control *c, const struct view *next, struct err *e)
{
    for (uint32_t i = 0; i < next->n_services; i++) {
        const struct view_service *s = &next->services[i];
        if (s->slot >= c->cells.header->services)
            return err_set(e, ERR_DENIED, "more than %u services: restart holdfast for that",
                           c->cells.header->services);
        for (uint32_t k = 0; k < s->n_instances; k++)
            if (s->instances[k].slot >= c->cells.header->slots)
                return err_set(e, ERR_DENIED, "more than %u instances: restart holdfast for that",
                               c->cells.header->slots);
    }
    return 0;
}

static void save_epoch(struct control *c)
{
    char path[PATHS_MAX], text[32];
    struct err e = {0};
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)c->epoch);
    int r = paths_join(path, c->o.state_dir, "epoch", &e);
    if (r == 0)
        r = file_replace(path, (struct str){text, (size_t)n}, 0640, &e);
    control_unsaved(c, r ? &e : NULL);
}

static int send_view(struct control *c, const struct view *next, struct err *e)
{
    struct buf bytes = {.limit = VIEW_MAX_BYTES}, body = {0};
    int fd = -1, r = 0;
    view_encode(next, &bytes);
    put_u64(&body, next->epoch);
    if (bytes.failed || body.failed)
        r = err_set(e, ERR_NOMEM, "no memory to encode the view, or it is above %d bytes",
                    VIEW_MAX_BYTES);
    if (r == 0)
        fd = r = memfd_sealed("view", buf_str(&bytes), e);
    if (fd >= 0) {
        r = ipc_send(&c->supervisor, IPC_VIEW, buf_str(&body), &fd, 1, e);
        close(fd);
    }
    buf_free(&bytes);
    buf_free(&body);
    return r;
}

/* Everything up to the supervisor's answer. 1: nothing is to be done. */
static int propose(struct control *c, struct view *next, struct err *e)
{
    struct reloading *g = &c->reloading;
    buf_clear(&g->changes);
    int r = check_fixed(c, next, e);
    if (r)
        return r;
    int changes = conf_diff(c->view, next, &g->changes);
    if (changes < 0)
        return err_set(e, ERR_NOMEM, "no memory to compare the configurations");
    /* Access logs are opened anew with each view: that is how a rotated one is let go. */
    if (c->view && changes == 0 && !writes_logs(next) && !c->discovering.runs &&
        next->version == c->view->version)
        return 1;
    uint64_t resting[VIEW_MAX_SLOTS / 64];
    discovering_resting(c, resting);
    r = view_assign_slots_but(next, c->view, resting, e);
    if (r == 0)
        r = reload_check_slots(c, next, e);
    if (r)
        return r;
    next->epoch = ++c->epoch;
    save_epoch(c);
    judging_prepare(c, next);
    return send_view(c, next, e);
}

/* Ends the caller's hold of next. */
static void propose_or_end(struct control *c, struct view *next, struct err *e)
{
    struct reloading *g = &c->reloading;
    int r = propose(c, next, e);
    if (r == 0) {
        g->next = next;
        g->state = RELOAD_ASKED;
        loop_timer_set(c->loop, &g->deadline, loop_refresh(c->loop) + c->o.reload_deadline);
        return;
    }
    view_free(next);
    if (r == 1) {
        log_info(c->log, "reload: %s is unchanged", c->o.file);
        meshing_adopt(c); /* the key file may not be */
        succeed(c);
    } else {
        fail(c, e, NULL, 0);
    }
    back_to_idle(c);
}

void reload_merged(struct control *c, struct view *next)
{
    struct err e = {0};
    CHECK(c->reloading.state == RELOAD_IDLE);
    propose_or_end(c, next, &e);
}

static void load(struct control *c)
{
    struct conf_problems problems = {0};
    struct view *next = NULL;
    struct err e = {0};
    int r = configuring_load(c, &next, &problems, &e);
    log_problems(c, &problems);
    if (r) {
        fail_with_problems(c, &problems, &e);
        conf_problems_free(&problems);
        back_to_idle(c);
        return;
    }
    conf_problems_free(&problems);
    discovering_begin(c);
    r = discovering_complete(c, &next, &e);
    if (r == 0) {
        propose_or_end(c, next, &e);
        return;
    }
    view_free(next);
    fail(c, &e, NULL, 0);
    back_to_idle(c);
}

static void on_run(struct task *t)
{
    struct control *c = CONTAINER_OF(t, struct control, reloading.run);
    struct reloading *g = &c->reloading;
    if (g->state != RELOAD_IDLE)
        return;
    if (list_empty(&g->waiting)) {
        discovering_run(c);
        return;
    }
    while (!list_empty(&g->waiting)) {
        struct list *first = g->waiting.next;
        list_remove(first);
        list_push_back(&g->serving, first);
    }
    load(c);
}

/* ---- the supervisor's answer ---- */

void reload_refused(struct control *c, uint64_t epoch, struct str sentence)
{
    struct reloading *g = &c->reloading;
    if (g->state == RELOAD_IDLE || g->next->epoch != epoch)
        return;
    struct err e = {0};
    err_set(&e, ERR_DENIED, "%.*s", (int)MIN(sentence.n, sizeof e.text), sentence.p);
    bool older = configuring_refused(c, e.text);
    fail(c, &e, NULL, 0);
    back_to_idle(c);
    if (older)
        reload_hangup(c);
}

void reload_taken(struct control *c, uint64_t epoch)
{
    struct reloading *g = &c->reloading;
    if (g->state == RELOAD_IDLE || g->next->epoch != epoch)
        return;
    struct view *next = g->next;
    g->next = NULL;
    control_adopt(c, next, false);
    size_t n = 0;
    struct str *list = reload_lines(buf_str(&g->changes), &n);
    struct event *ev = control_event(c, EVENT_VIEW_TAKEN, EVENT_INFO);
    if (!c->discovering.runs)
        event_by(ev, c->reloading.by);
    tell_subject(c, ev);
    if (n && list)
        event_text(ev, "%zu change%s: %.*s%s", n, n == 1 ? "" : "s", (int)MIN(list[0].n, 200u),
                   list[0].p, n > 1 ? ", ..." : "");
    else
        event_text(ev,
                   c->configuring.running ? "no changes" : "no changes; access logs opened anew");
    control_event_end(c, ev);
    mem_free(list);
    succeed(c);
    back_to_idle(c);
}

static void on_deadline(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, reloading.deadline);
    struct err e = {0};
    c->reloading.state = RELOAD_UNDECIDED;
    err_set(
        &e, ERR_TIMEOUT,
        "the supervisor did not confirm epoch %llu in %.1f s; it may still come into force: see "
        "the events",
        (unsigned long long)c->reloading.next->epoch, (double)c->o.reload_deadline / 1e9);
    fail(c, &e, NULL, 0);
}

/* ---- who asks ---- */

int reload_request(struct control *c, struct admin_reload *r, struct err *e)
{
    struct reloading *g = &c->reloading;
    if (g->state == RELOAD_UNDECIDED)
        return err_set(e, ERR_BUSY, "the supervisor has not confirmed epoch %llu yet",
                       (unsigned long long)g->next->epoch);
    unsigned n = 0;
    list_for_each (it, &g->waiting)
        n++;
    if (n >= RELOAD_MAX_WAITING)
        return err_set(e, ERR_BUSY, "%u reloads wait already", n);
    list_push_back(&g->waiting, &r->link);
    str_copy(g->by, sizeof g->by, str_of(c->auditing.by));
    if (g->state == RELOAD_IDLE)
        loop_defer(c->loop, &g->run);
    return 0;
}

static void on_hangup_done(struct admin_reload *r, const struct admin_reload_result *result)
{
    (void)r;
    (void)result; /* the events tell */
}

void reload_hangup(struct control *c)
{
    struct err e = {0};
    if (!list_empty(&c->reloading.hangup.link)) {
        /* One of us waits or runs. If it runs, it may have read the file before the change. */
        if (c->reloading.state == RELOAD_IDLE)
            return;
        list_remove(&c->reloading.hangup.link);
    }
    c->reloading.hangup.done = on_hangup_done;
    if (reload_request(c, &c->reloading.hangup, &e))
        tell_refused(c, &e);
}

void reloading_init(struct control *c)
{
    struct reloading *g = &c->reloading;
    *g = (struct reloading){.state = RELOAD_IDLE};
    list_init(&g->waiting);
    list_init(&g->serving);
    list_init(&g->hangup.link);
    task_init(&g->run, on_run);
    timer_init(&g->deadline, on_deadline);
}

void reloading_end(struct control *c)
{
    struct reloading *g = &c->reloading;
    loop_timer_stop(c->loop, &g->deadline);
    task_cancel(&g->run);
    while (!list_empty(&g->waiting))
        list_remove(g->waiting.next);
    while (!list_empty(&g->serving))
        list_remove(g->serving.next);
    view_free(g->next);
    buf_free(&g->changes);
}
