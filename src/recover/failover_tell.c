/* What people are told, and why a lost primary is not replaced. */
#include "recover/failover_inside.h"

#include <stdarg.h>
#include <stdio.h>

#define WAITS_NS (1 * SECOND) /* what ends sooner is not told */

void failover_tell(struct failover *f, enum failover_what what, uint8_t place, const char *fmt, ...)
{
    char text[FAILOVER_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct failover_news news = {what, place, f->record.r.epoch, text};
    f->host.news(f->host.context, &news);
}

const char *failover_waits(const struct failover *f)
{
    return f->waits ? f->waits : "";
}

void tell_state(struct failover *f, enum role_state before, uint64_t now)
{
    enum role_state s = f->role.state;
    if (s == before)
        return;
    if (before == ROLE_ACQUIRES && s == ROLE_CONFIRMS)
        chain_step(f, FAILOVER_STEP_LEASED, f->params.self, 0, now);
    /* one that has everything already is passed through at once */
    if (s == ROLE_YIELDS || (before == ROLE_PRIMARY && s == ROLE_HANDS_OVER))
        failover_tell(f, FAILOVER_NEWS_YIELDS, f->role.hands_to, "a switchover begins");
    if (before == ROLE_YIELDS && s == ROLE_PRIMARY) {
        f->stays_at = now;
        failover_tell(f, FAILOVER_NEWS_STAYS, f->role.hands_to, "the switchover was given up: %s",
                      f->rehearsal.failed ? f->rehearsal.failed
                                          : "the other one did not catch up in time");
    }
}

/* Why a lost primary is not replaced, for people. */
static const char *waits_for(const struct failover *f, uint64_t now)
{
    const struct role_facts *k = &f->facts;
    uint8_t primary = k->record.primary;
    bool any = false;
    for (uint8_t i = 0; i < k->n; i++)
        any |= role_rank(k, i) != ROLE_NOBODY;
    if (!k->record.known)
        return "the coordinator has not said yet who the primary is";
    if (k->record.paused)
        return "an operator has paused it";
    if (!k->coordinator)
        return "the coordinator cannot be reached, and nothing is promoted without it";
    if (k->isolated)
        return "this node hears no majority of the others";
    bool far = false;
    for (uint8_t i = 0; i < k->n; i++)
        far |= k->nodes[i].far;
    if (!any && far)
        return "no replica was within lag-bytes and lag-time of the primary: "
               "`holdfast failover --force` takes what there is";
    if (!any)
        return k->record.sync ? "no in-sync instance is well" : "no instance is well";
    bool rests = primary == k->self && !f->promoted;
    if (!rests && now < k->not_before)
        return "it has failed over too often in a short time: the next one waits (`flaps`)";
    return rests ? "the lease is not held yet" : NULL;
}

static const char *fault_of(const struct failover *f)
{
    uint8_t p = f->facts.record.primary;
    if (p >= f->facts.n)
        return NULL;
    const struct role_node *n = &f->facts.nodes[p];
    if (n->failed)
        return "its node has failed";
    if (n->instance == INSTANCE_DOWN)
        return "its instance is down";
    return n->instance != INSTANCE_UNKNOWN && !n->well ? "its instance is not well" : NULL;
}

/* Nobody acts, whatever the reason; or who does is not well, and would be replaced. */
static bool is_lost_here(const struct failover *f)
{
    uint8_t p = f->facts.record.primary;
    bool acts = p == f->params.self ? f->promoted != 0 : failover_acts(f, p);
    return !acts || fault_of(f);
}

static void tell_fault(struct failover *f, uint64_t now)
{
    uint8_t p = f->facts.record.primary;
    const char *fault = p != f->params.self ? fault_of(f) : NULL;
    if (fault && !f->fault_told) {
        if (f->role.state == ROLE_REPLICA)
            chain_begin(f, now);
        failover_tell(f, FAILOVER_NEWS_LOST, p, "%s", fault);
    }
    f->fault_told = fault != NULL;
}

void tell_step(struct failover *f, uint64_t now)
{
    bool lost = is_lost_here(f);
    if (!lost && f->role.state == ROLE_REPLICA && failover_acts(f, f->record.r.primary))
        f->drafting.n = 0; /* another was faster: its chain is the one */
    if (!lost)
        f->lost_at = 0;
    else if (!f->lost_at)
        f->lost_at = now;
    tell_fault(f, now);
    enum role_state s = f->role.state;
    bool idle = s == ROLE_REPLICA || s == ROLE_PRIMARY;
    bool asks = s == ROLE_CHALLENGE && !f->facts.coordinator; /* and is not answered */
    if (s != ROLE_TAKES_OVER)
        f->waits = lost && (idle || asks) ? waits_for(f, now) : NULL;
    if (!f->waits) {
        f->told_waits[0] = 0;
        return;
    }
    wake_at(f, f->lost_at + WAITS_NS > now ? f->lost_at + WAITS_NS : UINT64_MAX);
    if (now < f->lost_at + WAITS_NS || strcmp(f->told_waits, f->waits) == 0)
        return;
    str_copy(f->told_waits, sizeof f->told_waits, str_of(f->waits));
    failover_tell(f, FAILOVER_NEWS_WAITS, f->record.r.primary, "%s", f->waits);
}
