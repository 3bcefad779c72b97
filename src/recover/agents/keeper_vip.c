#include "recover/agents/keeper_vip.h"

#include "recover/agents/vip.h"

/* The lease is renewed about as often; the address follows it. */
#define RENEW (25 * NS_PER_MS)
/* There was no memory or no socket for it. */
#define AGAIN (1 * NS_PER_S)
#define WARN  (5 * NS_PER_S) /* once in so long of a conflict that goes on */

/* A new deadline is looked for now and then: until there is one the address is held until the old
 * one and no longer (vip.h sees to that by itself). */
static int hold(struct keeper *k, struct err *e)
{
    uint64_t epoch, until = k->host->lease(k->host->context, k->spec.slot, &epoch);
    if (epoch < k->vip_epoch || until <= loop_refresh(k->loop))
        return err_set(e, ERR_DENIED, "the lease of epoch %llu is not held here",
                       (unsigned long long)k->vip_epoch);
    return vip_hold(k->vip, until, e);
}

static void look(struct keeper *k)
{
    struct vip_look l;
    vip_look(k->vip, &l);
    if (k->report.vip == (l.state == VIP_HELD))
        return;
    k->report.vip = l.state == VIP_HELD;
    keeper_tell(k);
}

static void renew(struct keeper *k, struct err *e)
{
    hold(k, e);
    look(k);
    loop_timer_set(k->loop, &k->vip_timer, loop_now(k->loop) + RENEW);
}

static void on_timer(struct timer *t)
{
    struct keeper *k = CONTAINER_OF(t, struct keeper, vip_timer);
    struct err e;
    if (k->vip)
        renew(k, &e);
    else
        keeper_vip_configure(k);
}

static void on_changed(void *context)
{
    struct keeper *k = context;
    struct vip_look l;
    uint64_t now = loop_now(k->loop);
    vip_look(k->vip, &l);
    if (l.state == VIP_BROKEN && strcmp(l.sentence, k->vip_said) != 0)
        keeper_log(k, true, "its address: %s", l.sentence);
    str_copy(k->vip_said, sizeof k->vip_said, str_of(l.sentence));
    if (l.conflicts > k->vip_conflicts && now >= k->vip_warned) {
        k->vip_warned = now + WARN;
        keeper_log(k, true,
                   "somebody else says that its address is his: %02x:%02x:%02x:%02x:%02x:%02x",
                   l.rival[0], l.rival[1], l.rival[2], l.rival[3], l.rival[4], l.rival[5]);
    }
    k->vip_conflicts = l.conflicts;
    look(k);
}

void keeper_vip_init(struct keeper *k)
{
    timer_init(&k->vip_timer, on_timer);
}

static bool is_same(const struct keeper *k)
{
    const struct agent_instance *s = &k->spec;
    return k->vip && addr_eq(&k->vip_address, &s->vip) && k->vip_prefix == s->vip_prefix &&
           strcmp(k->vip_interface, s->vip_interface) == 0;
}

void keeper_vip_configure(struct keeper *k)
{
    const struct agent_instance *s = &k->spec;
    struct err e;
    if (is_same(k) || (!k->vip && !s->vip.kind && !timer_is_set(&k->vip_timer)))
        return;
    bool wanted = k->vip_wanted;
    uint64_t epoch = k->vip_epoch;
    keeper_vip_end(k);
    if (!s->vip.kind)
        return;
    struct vip_options o = {.loop = k->loop,
                            .address = s->vip,
                            .prefix = s->vip_prefix,
                            .interface = s->vip_interface,
                            .context = k,
                            .changed = on_changed};
    if (vip_new(&k->vip, &o, &e)) {
        keeper_log(k, true, "its address: %s", e.text);
        k->vip_wanted = wanted;
        k->vip_epoch = epoch;
        loop_timer_set(k->loop, &k->vip_timer, loop_now(k->loop) + AGAIN);
        return;
    }
    k->vip_address = s->vip;
    k->vip_prefix = s->vip_prefix;
    str_copy(k->vip_interface, sizeof k->vip_interface, str_of(s->vip_interface));
    if (wanted)
        (void)keeper_vip_take(k, epoch, &e);
}

int keeper_vip_take(struct keeper *k, uint64_t epoch, struct err *e)
{
    if (!k->vip && !timer_is_set(&k->vip_timer))
        return err_set(e, ERR_ABSENT, "%s has no address here", k->spec.service);
    k->vip_wanted = true;
    k->vip_epoch = epoch;
    if (!k->vip)
        return err_set(e, ERR_BUSY, "it could not be begun yet, and is tried again");
    int r = hold(k, e);
    look(k);
    loop_timer_set(k->loop, &k->vip_timer, loop_now(k->loop) + RENEW);
    return r;
}

void keeper_vip_leave(struct keeper *k)
{
    k->vip_wanted = false;
    if (!k->vip)
        return;
    loop_timer_stop(k->loop, &k->vip_timer);
    vip_release(k->vip);
    look(k);
}

void keeper_vip_end(struct keeper *k)
{
    keeper_vip_leave(k);
    loop_timer_stop(k->loop, &k->vip_timer);
    vip_free(k->vip);
    k->vip = NULL;
}
