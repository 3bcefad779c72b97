#include "recover/agents/keeper.h"

#include <stdarg.h>
#include <stdio.h>

#include "recover/agents/keeper_hook.h"
#include "recover/agents/keeper_vip.h"

#define TELL_EVERY (50 * NS_PER_MS)
#define STOP_GRACE (10 * NS_PER_S)

const struct keeper_ops *const keeper_kinds[INSTANCE_KINDS] = {
    [KIND_NONE] = NULL,
    [KIND_REDIS] = &keeper_redis,
    [KIND_PROCESS] = &keeper_process,
    [KIND_HOOK] = &keeper_hook,
};

/* --- what is told --- */

void keeper_log(struct keeper *k, bool warning, const char *fmt, ...)
{
    char text[384];
    int n = snprintf(text, sizeof text, "%s: ", k->spec.service);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
    va_end(args);
    k->host->log(k->host->context, warning, text);
}

static void tell_now(struct keeper *k)
{
    loop_timer_stop(k->loop, &k->tell_timer);
    k->told = k->report;
    k->told_at = loop_now(k->loop);
    k->host->report(k->host->context, &k->report);
}

static void on_tell(struct timer *t)
{
    tell_now(CONTAINER_OF(t, struct keeper, tell_timer));
}

/* Other than in what moves all the time. */
static bool differs(const struct agent_report *a, const struct agent_report *b)
{
    bool other = a->state != b->state || a->well != b->well || a->joined != b->joined ||
                 a->vip != b->vip || a->follows != b->follows || a->epoch != b->epoch ||
                 a->history != b->history || a->pid != b->pid || a->starts != b->starts ||
                 a->n_followers != b->n_followers || strcmp(a->sentence, b->sentence) != 0;
    for (uint32_t i = 0; i < a->n_followers && !other; i++)
        other = a->followers[i].connected != b->followers[i].connected;
    return other;
}

static bool moved(const struct agent_report *a, const struct agent_report *b)
{
    bool other = a->position != b->position;
    for (uint32_t i = 0; i < a->n_followers && !other; i++)
        other = a->followers[i].position != b->followers[i].position;
    return other;
}

void keeper_tell(struct keeper *k)
{
    uint64_t due = k->told_at + TELL_EVERY;
    if (differs(&k->report, &k->told))
        tell_now(k);
    else if (moved(&k->report, &k->told) && !timer_is_set(&k->tell_timer))
        loop_timer_set(k->loop, &k->tell_timer, MAX(due, loop_now(k->loop)));
}

void keeper_tell_again(struct keeper *k)
{
    tell_now(k);
}

void keeper_state(struct keeper *k, enum role_instance state)
{
    if (k->report.state == state)
        return;
    k->report.state = (uint8_t)state;
    k->report.since = loop_now(k->loop);
    if (state != INSTANCE_PRIMARY)
        k->report.n_followers = 0;
    keeper_hook_follow(k);
}

void keeper_well(struct keeper *k, const char *why_not, ...)
{
    char *text = k->report.sentence;
    k->report.well = why_not == KEEPER_GOOD;
    text[0] = 0;
    if (why_not) {
        va_list args;
        va_start(args, why_not);
        vsnprintf(text, sizeof k->report.sentence, why_not, args);
        va_end(args);
    }
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
}

/* --- orders --- */

static void answer(struct keeper *k, int r, const struct err *e)
{
    if (k->ordered && k->ticket)
        k->host->answer(k->host->context, k->ticket, r, r ? e->text : "", k->report.history,
                        k->report.position);
    k->ordered = false;
    k->ticket = 0;
}

void keeper_done(struct keeper *k, int r, const struct err *e)
{
    if (!k->ordered)
        return;
    if (r)
        keeper_log(k, true, "cannot %s: %s", instance_order_name(k->order.what), e->text);
    answer(k, r, e);
    keeper_tell(k);
}

void keeper_rests(struct keeper *k)
{
    k->acts = false;
    loop_timer_stop(k->loop, &k->lease_timer);
}

void keeper_over(struct keeper *k)
{
    k->over = true;
    keeper_rests(k);
    keeper_state(k, INSTANCE_DOWN);
    answer(k, 0, NULL);
    keeper_tell(k);
    k->host->ended(k->host->context, k);
}

void keeper_forget(struct keeper *k)
{
    k->ticket = 0;
}

static void supersede(struct keeper *k)
{
    struct err e;
    if (k->ordered)
        answer(k, err_set(&e, ERR_BUSY, "another order came"), &e);
}

/* At the deadline; and, as a lease may be given up before, every D. */
static void watch_lease(struct keeper *k, uint64_t until)
{
    loop_timer_set(k->loop, &k->lease_timer, MIN(until, loop_now(k->loop) + k->spec.demotion));
}

static void on_lease(struct timer *t)
{
    struct keeper *k = CONTAINER_OF(t, struct keeper, lease_timer);
    uint64_t epoch, until = k->host->lease(k->host->context, k->spec.slot, &epoch);
    struct err e;
    if (!k->acts)
        return;
    if (keeper_lease_holds(k, loop_refresh(k->loop))) {
        watch_lease(k, until);
        return;
    }
    keeper_log(k, true, "the lease of epoch %llu has run out: no writes any more",
               (unsigned long long)k->acts_epoch);
    if (k->ordered && k->order.what == ORDER_PROMOTE)
        answer(k, err_set(&e, ERR_DENIED, "the lease has run out"), &e);
    keeper_vip_leave(k);
    k->ops->lapse(k);
    keeper_tell(k);
}

static int may_promote(struct keeper *k, uint64_t epoch, struct err *e)
{
    uint64_t held, until = k->host->lease(k->host->context, k->spec.slot, &held);
    if (loop_refresh(k->loop) >= until || held != epoch)
        return err_set(e, ERR_DENIED, "the lease of epoch %llu is not held here",
                       (unsigned long long)epoch);
    k->acts = true;
    k->acts_epoch = epoch;
    watch_lease(k, until);
    return 0;
}

static int admit(struct keeper *k, const struct agent_role *o, struct err *e)
{
    bool always = o->what == ORDER_DEMOTE || o->what == ORDER_STOP || o->what == ORDER_VIP_LEAVE;
    if (k->ending && o->what != ORDER_STOP)
        return err_set(e, ERR_BUSY, "it is being stopped");
    if (!always && o->epoch < k->report.epoch)
        return err_set(e, ERR_DENIED, "epoch %llu is over: %llu was heard of",
                       (unsigned long long)o->epoch, (unsigned long long)k->report.epoch);
    k->report.epoch = MAX(k->report.epoch, o->epoch);
    if (o->what == ORDER_FOLLOW && (o->primary >= k->spec.n_places || o->primary == k->spec.place))
        return err_set(e, ERR_INVAL, "nobody at place %u can be followed", o->primary);
    return o->what == ORDER_PROMOTE ? may_promote(k, o->epoch, e) : 0;
}

/* The address is no order to the instance: what that is about goes on. */
static void order_address(struct keeper *k, const struct agent_role *o, uint64_t ticket)
{
    struct err e = {0};
    int r = admit(k, o, &e);
    if (r == 0 && o->what == ORDER_VIP_TAKE)
        r = keeper_vip_take(k, o->epoch, &e);
    if (o->what == ORDER_VIP_LEAVE)
        keeper_vip_leave(k);
    if (r && r != -ERR_BUSY)
        keeper_log(k, true, "cannot %s: %s", instance_order_name(o->what), e.text);
    k->host->answer(k->host->context, ticket, r, r ? e.text : "", k->report.history,
                    k->report.position);
}

void keeper_order(struct keeper *k, const struct agent_role *o, uint64_t ticket)
{
    struct err e;
    if (o->what == ORDER_VIP_TAKE || o->what == ORDER_VIP_LEAVE) {
        order_address(k, o, ticket);
        return;
    }
    bool stays = o->what == ORDER_PROMOTE ||
                 (o->what == ORDER_FENCE && k->acts && k->acts_epoch == o->epoch);
    if (!stays)
        keeper_vip_leave(k); /* it goes before the role */
    supersede(k);
    k->order = *o;
    k->ticket = ticket;
    k->ordered = true;
    int r = admit(k, o, &e);
    if (r)
        keeper_done(k, r, &e);
    else if (o->what == ORDER_STOP)
        keeper_stop(k, STOP_GRACE);
    else
        k->ops->order(k);
    keeper_tell(k);
}

void keeper_stop(struct keeper *k, uint64_t grace)
{
    k->ending = true;
    keeper_vip_leave(k);
    k->ops->stop(k, grace);
}

/* --- life --- */

int keeper_open(struct keeper **out, struct loop *l, const struct keeper_host *host,
                const struct agent_instance *spec, struct err *e)
{
    const struct keeper_ops *ops = keeper_kinds[spec->kind];
    struct keeper *k = mem_zero(1, sizeof *k);
    CHECK(ops != NULL);
    if (!k)
        return err_set(e, ERR_NOMEM, "no memory for an instance of %s", spec->service);
    k->ops = ops;
    k->host = host;
    k->loop = l;
    k->spec = *spec;
    k->report = (struct agent_report){.kind = spec->kind,
                                      .state = INSTANCE_DOWN,
                                      .follows = ROLE_NOBODY,
                                      .since = loop_now(l),
                                      .sentence = "it is being started"};
    str_copy(k->report.service, sizeof k->report.service, str_of(spec->service));
    list_init(&k->link);
    timer_init(&k->lease_timer, on_lease);
    timer_init(&k->tell_timer, on_tell);
    keeper_vip_init(k);
    int r = ops->open(k, e);
    if (r) {
        mem_free(k);
        return r;
    }
    *out = k;
    keeper_vip_configure(k);
    tell_now(k);
    return 0;
}

void keeper_configure(struct keeper *k, const struct agent_instance *spec)
{
    struct agent_instance was = k->spec;
    CHECK(spec->kind == was.kind);
    k->spec = *spec;
    k->ops->configure(k, &was);
    keeper_vip_configure(k);
    k->ops->look(k);
    wipe(&was, sizeof was);
}

void keeper_close(struct keeper *k)
{
    keeper_vip_end(k);
    k->ops->close(k);
    command_abandon(k->hook);
    loop_timer_stop(k->loop, &k->lease_timer);
    loop_timer_stop(k->loop, &k->tell_timer);
    list_remove(&k->link);
    wipe(&k->spec, sizeof k->spec);
    mem_free(k);
}
