/* Whether the agent runs: where the view in force has a coordinator that is ours to run. Its life
 * is as any child's (supervisor_child.c), its end is the end of what it runs.
 *
 * What may be executed below it, and what it may do, is bounded when it starts (sandbox_agent.c).
 * An agent that was started for etcd and Redis alone is replaced when the first `command`, `hook`
 * or `vip` comes into the configuration.
 *
 * An upgrade leaves the old agent in place until the new program is sure of itself, as two of them
 * could not share etcd's data. Then the old one is told to end in order, and the new one starts. */
#include "daemon/supervisor.h"

static bool ends(const struct supervisor *s)
{
    return s->phase == PHASE_DRAINING || s->phase == PHASE_ENDING;
}

bool agent_is_wanted(const struct supervisor *s)
{
    return !ends(s) && s->now.view && view_wants_agent(s->now.view);
}

unsigned agent_may(const struct supervisor *s)
{
    const struct view *v = s->now.view;
    unsigned may = 0;
    for (uint32_t i = 0; v && i < v->n_services; i++) {
        const struct view_primary *p = &v->services[i].primary;
        if (!view_is_primary(&v->services[i]))
            continue;
        may |= p->command.n || p->hook.n ? AGENT_MAY_PROGRAMS : 0;
        may |= p->vip.kind ? AGENT_MAY_ADDRESSES : 0;
    }
    return may;
}

static void replace_for_more(struct supervisor *s)
{
    struct child *c = &s->children[CHILD_AGENT];
    if (c->inherited || c->stop_ticks || !(agent_may(s) & ~c->may))
        return;
    log_warning(&s->log, "the agent is started anew: until now it was not to run commands of the "
                         "configuration, or not to have addresses");
    child_stop(c, true, STOP_AGENT_WITHIN);
}

void agent_follow(struct supervisor *s)
{
    struct child *c = &s->children[CHILD_AGENT];
    if (ends(s) || upgrade_on_trial(s))
        return;
    if (agent_is_wanted(s)) {
        if (!child_runs(c) && !timer_is_set(&c->again))
            child_start(c);
        else if (child_runs(c))
            replace_for_more(s);
        return;
    }
    loop_timer_stop(s->loop, &c->again);
    if (child_runs(c) && !c->stop_ticks)
        child_stop(c, true, STOP_AGENT_WITHIN);
}

void agent_renew(struct supervisor *s)
{
    struct child *c = &s->children[CHILD_AGENT];
    if (child_runs(c) && c->inherited && !c->stop_ticks)
        child_stop(c, true, STOP_AGENT_WITHIN); /* another starts when it has ended */
    agent_follow(s);
}
