/* Control's end of the line to the agent: what it asks gets a ticket, what it hears is checked. */
#include "daemon/agent.h"

static void hear(struct agent_line *a, struct ipc_message *m)
{
    struct agent_state s;
    struct agent_answer answer;
    struct agent_report report;
    if (m->type == IPC_AGENT_STATE && agent_get_state(&m->body, &s))
        a->on_state(a->context, &s);
    else if (m->type == IPC_AGENT_DONE && agent_get_answer(&m->body, &answer))
        a->on_answer(a->context, &answer);
    else if (m->type == IPC_AGENT_REPORT && agent_get_report(&m->body, &report)) {
        if (a->on_report)
            a->on_report(a->context, &report);
    } else {
        ipc_close(&a->ipc);
        a->on_gone(a->context, "it sent a message that makes no sense");
    }
}

static void on_message(struct ipc *i, struct ipc_message *m)
{
    hear(CONTAINER_OF(i, struct agent_line, ipc), m);
}

static void on_gone(struct ipc *i, const char *why)
{
    struct agent_line *a = CONTAINER_OF(i, struct agent_line, ipc);
    a->on_gone(a->context, why);
}

void agent_line_init(struct agent_line *a, struct loop *l)
{
    *a = (struct agent_line){.loop = l,
                             .ipc = {.fd = -1, .on_message = on_message, .on_gone = on_gone}};
}

int agent_line_open(struct agent_line *a, int fd, struct err *e)
{
    ipc_close(&a->ipc);
    return ipc_open(&a->ipc, a->loop, fd, e);
}

void agent_line_close(struct agent_line *a)
{
    ipc_close(&a->ipc);
}

/* Ends b. */
static int send(struct agent_line *a, enum ipc_type type, struct buf *b, uint64_t *ticket,
                struct err *e)
{
    int r = b->failed ? err_set(e, ERR_NOMEM, "no memory to ask the agent") : 0;
    if (r == 0)
        r = ipc_send(&a->ipc, type, buf_str(b), NULL, 0, e);
    buf_free(b);
    if (r == 0 && ticket)
        *ticket = a->tickets;
    return r;
}

static int may_ask(struct agent_line *a, struct err *e)
{
    if (!agent_line_is_open(a))
        return err_set(e, ERR_ABSENT, "the agent does not run: nothing can be started now");
    a->tickets++;
    return 0;
}

int agent_line_start(struct agent_line *a, const struct agent_etcd *etcd, uint64_t *ticket,
                     struct err *e)
{
    struct buf b = {0};
    int r = agent_etcd_check(etcd, e);
    if (r == 0)
        r = may_ask(a, e);
    if (r)
        return r;
    struct agent_start s = {.ticket = a->tickets, .kind = AGENT_ETCD, .etcd = *etcd};
    agent_put_start(&b, &s);
    return send(a, IPC_AGENT_START, &b, ticket, e);
}

int agent_line_stop(struct agent_line *a, enum agent_kind kind, uint64_t grace, uint64_t *ticket,
                    struct err *e)
{
    struct buf b = {0};
    int r = may_ask(a, e);
    if (r)
        return r;
    struct agent_stop s = {a->tickets, kind, MIN(grace, AGENT_STOP_MOST)};
    agent_put_stop(&b, &s);
    return send(a, IPC_AGENT_STOP, &b, ticket, e);
}

int agent_line_task(struct agent_line *a, enum agent_task task, uint64_t *ticket, struct err *e)
{
    struct buf b = {0};
    int r = may_ask(a, e);
    if (r)
        return r;
    struct agent_order o = {a->tickets, task};
    agent_put_order(&b, &o);
    return send(a, IPC_AGENT_TASK, &b, ticket, e);
}

int agent_line_instance(struct agent_line *a, const struct agent_instance *i, struct err *e)
{
    struct buf b = {0};
    int r = instance_check(i, e);
    r = r ? r : may_ask(a, e);
    if (r)
        return r;
    agent_put_instance(&b, i);
    return send(a, IPC_AGENT_INSTANCE, &b, NULL, e);
}

int agent_line_role(struct agent_line *a, const struct agent_role *role, uint64_t *ticket,
                    struct err *e)
{
    struct buf b = {0};
    if (!agent_role_check(role))
        return err_set(e, ERR_INVAL, "an order to an instance that cannot be");
    int r = may_ask(a, e);
    if (r)
        return r;
    agent_put_role(&b, role, a->tickets);
    return send(a, IPC_AGENT_ROLE, &b, ticket, e);
}
