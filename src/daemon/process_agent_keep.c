/* Instances of services: what control says of them, and what their keepers ask of this process. The
 * words of `command` and `hook` come from the view that the supervisor hands over. */
#include <stdio.h>
#include <unistd.h>

#include "daemon/process_agent.h"
#include "view/view.h"

_Static_assert((int)KIND_NONE == (int)AGENT_NONE && (int)KIND_REDIS == (int)AGENT_REDIS &&
                   (int)KIND_PROCESS == (int)AGENT_PROCESS && (int)KIND_HOOK == (int)AGENT_HOOK &&
                   (int)INSTANCE_KINDS == (int)AGENTS,
               "an instance's kind is the view's agent");

/* --- what keepers ask of us --- */

static void host_fill(void *context, struct program *what)
{
    agent_fill(context, what);
}

/* A slot that is out of range has no lease. */
static uint64_t host_lease(void *context, uint32_t slot, uint64_t *epoch)
{
    const struct agent_process *p = context;
    *epoch = 0;
    if (slot >= p->cells.header->services)
        return 0;
    const struct role_row *row = cells_role(&p->cells, slot);
    *epoch = cell_get(&row->lease_epoch);
    return cell_get(&row->lease_until);
}

static const struct view_words *find_words(const struct view *v, const char *service,
                                           enum keeper_words which)
{
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        if (view_is_primary(s) && str_eq(s->name, str_of(service)))
            return which == WORDS_COMMAND ? &s->primary.command
                   : which == WORDS_HOOK  ? &s->primary.hook
                                          : &s->primary.redis;
    }
    return NULL;
}

static const char *const *host_words(void *context, const char *service, enum keeper_words which)
{
    struct agent_process *p = context;
    const struct view_words *w = find_words(p->view, service, which);
    arena_free(&p->words);
    if (!w || w->n == 0)
        return NULL;
    bool program = which != WORDS_REDIS;
    if (program && (w->n >= PROGRAM_WORDS || w->list[0].n == 0 || w->list[0].p[0] != '/'))
        return NULL;
    const char **argv = arena_array(&p->words, w->n + 1, sizeof *argv);
    for (uint32_t i = 0; argv && i < w->n; i++) {
        argv[i] = arena_cstr(&p->words, w->list[i]);
        if (!argv[i])
            return NULL;
    }
    return argv;
}

static void host_report(void *context, const struct agent_report *r)
{
    struct agent_process *p = context;
    struct buf b = {0};
    if (!ipc_is_open(&p->control))
        return;
    agent_put_report(&b, r);
    if (b.failed || ipc_send(&p->control, IPC_AGENT_REPORT, buf_str(&b), NULL, 0, NULL))
        log_debug(&p->log, "control is not told of the instance of %s", r->service);
    buf_free(&b);
}

static void host_answer(void *context, uint64_t ticket, int code, const char *sentence,
                        uint64_t history, uint64_t position)
{
    struct agent_answer a = {
        .ticket = ticket, .code = code, .history = history, .position = position};
    str_copy(a.sentence, sizeof a.sentence, str_of(sentence));
    for (char *c = a.sentence; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    agent_answer(context, &a);
}

static void host_log(void *context, bool warning, const char *text)
{
    struct agent_process *p = context;
    log_line(&p->log, warning ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "%s", text);
}

static struct agent_kept *find(struct agent_process *p, const char *service)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (p->kept[i].keeper && strcmp(p->kept[i].keeper->spec.service, service) == 0)
            return &p->kept[i];
    return NULL;
}

static void host_ended(void *context, struct keeper *k)
{
    struct agent_process *p = context;
    struct agent_kept *kept = find(p, k->spec.service);
    if (kept) /* else it ended while it was opened */
        kept->over = true;
    loop_defer(p->loop, &p->reap);
}

/* --- their lives --- */

static int open_in(struct agent_process *p, struct agent_kept *kept,
                   const struct agent_instance *spec, struct err *e)
{
    loop_refresh(p->loop);
    return keeper_open(&kept->keeper, p->loop, &p->host, spec, e);
}

static void on_reap(struct task *t)
{
    struct agent_process *p = CONTAINER_OF(t, struct agent_process, reap);
    struct err e;
    for (size_t i = 0; i < AGENT_INSTANCES; i++) {
        struct agent_kept *kept = &p->kept[i];
        if (!kept->keeper || !kept->over)
            continue;
        keeper_close(kept->keeper);
        kept->keeper = NULL;
        kept->over = false;
        bool opens = kept->replaced && !p->leaving;
        kept->replaced = false;
        if (opens && open_in(p, kept, &kept->next, &e))
            log_error(&p->log, "%s", e.text);
        wipe(&kept->next, sizeof kept->next);
    }
    agent_may_leave(p);
}

static int adopt(struct agent_process *p, const struct agent_instance *spec, struct err *e)
{
    struct agent_kept *kept = find(p, spec->service);
    if (p->leaving)
        return err_set(e, ERR_BUSY, "holdfast is stopping");
    if (kept && !kept->keeper->ending && kept->keeper->spec.kind == spec->kind) {
        keeper_configure(kept->keeper, spec);
        return 0;
    }
    if (kept) {
        kept->next = *spec;
        kept->replaced = true;
        if (!kept->keeper->ending)
            keeper_stop(kept->keeper, AGENT_ORDERLY);
        return 0;
    }
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (!p->kept[i].keeper)
            return open_in(p, &p->kept[i], spec, e);
    return err_set(e, ERR_LIMIT, "there are %d instances here", AGENT_INSTANCES);
}

bool keep_instance(struct agent_process *p, struct ipc_message *m)
{
    struct agent_instance spec;
    struct err e;
    int r = agent_get_instance(&m->body, &spec, &e);
    bool sense = r != -ERR_PROTO;
    r = r ? r : adopt(p, &spec, &e);
    if (r && sense)
        log_warning(&p->log, "no instance: %s", e.text);
    wipe(&spec, sizeof spec);
    wipe(m->bytes, sizeof m->bytes);
    return sense;
}

bool keep_role(struct agent_process *p, struct ipc_message *m)
{
    struct agent_role role;
    struct err e;
    uint64_t ticket;
    if (!agent_get_role(&m->body, &role, &ticket))
        return false;
    struct agent_kept *kept = find(p, role.service);
    if (kept && role.what == ORDER_STOP)
        kept->replaced = false;
    if (kept)
        keeper_order(kept->keeper, &role, ticket);
    else if (role.what == ORDER_STOP || role.what == ORDER_DEMOTE || role.what == ORDER_VIP_LEAVE)
        agent_answer_simple(p, ticket, 0, NULL);
    else
        agent_answer_simple(
            p, ticket, err_set(&e, ERR_ABSENT, "there is no instance of %s here", role.service),
            &e);
    return true;
}

bool keep_view(struct agent_process *p, struct ipc_message *m)
{
    struct err e;
    if (m->type == IPC_VIEW_SOCKET)
        return true;
    if (m->type == IPC_VIEW_END) {
        if (p->next_view) {
            view_free(p->view);
            p->view = p->next_view;
            p->next_view = NULL;
        }
        return true;
    }
    int fd = ipc_take_fd(m);
    if (fd < 0)
        return false;
    view_free(p->next_view);
    p->next_view = NULL;
    int r = ipc_read_view(fd, &p->next_view, &e);
    close(fd);
    if (r)
        log_error(&p->log, "a view cannot be read: %s", e.text);
    return true;
}

void keep_forget_line(struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (p->kept[i].keeper)
            keeper_forget(p->kept[i].keeper);
}

void keep_tell(struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (p->kept[i].keeper)
            keeper_tell_again(p->kept[i].keeper);
}

void keep_stop(struct agent_process *p, uint64_t grace)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (p->kept[i].keeper && !p->kept[i].over)
            keeper_stop(p->kept[i].keeper, grace);
}

bool keep_runs(const struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++)
        if (p->kept[i].keeper)
            return true;
    return false;
}

void keep_init(struct agent_process *p)
{
    p->host = (struct keeper_host){
        .context = p,
        .state = p->state,
        .fill = host_fill,
        .lease = host_lease,
        .words = host_words,
        .report = host_report,
        .answer = host_answer,
        .log = host_log,
        .ended = host_ended,
    };
    task_init(&p->reap, on_reap);
}

void keep_end(struct agent_process *p)
{
    for (size_t i = 0; i < AGENT_INSTANCES; i++) {
        if (p->kept[i].keeper)
            keeper_close(p->kept[i].keeper);
        wipe(&p->kept[i].next, sizeof p->kept[i].next);
    }
    if (p->host.context)
        task_cancel(&p->reap);
    arena_free(&p->words);
    view_free(p->view);
    view_free(p->next_view);
}
