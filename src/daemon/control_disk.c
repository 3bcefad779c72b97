/* How long this node's disk takes to sync, measured by the agent, and the level of timers that it
 * asks for (coord/etcd_timers.h). What all members make of it is managed.h's to decide.
 *
 * Measured before the first start of etcd, then once a minute, and soon after the leader changed.
 * The agent's process writes a few small blocks and lets the disk rest in between for as long as
 * each took, so that etcd, which syncs to the same disk, hardly notices. A measurement that fails
 * says nothing: the level stays. */
#include "daemon/control.h"

#define AWAITED_NS (8 * NS_PER_S)  /* so long the first start waits */
#define LEAST_NS   (10 * NS_PER_S) /* between two measurements, whatever happens */
#define STEADY_NS  (75 * NS_PER_S) /* longer than between two measurements of any disk */
#define FAILED_NS  (60 * NS_PER_S) /* after one that failed: the disk may be full */
#define LOST_NS    (30 * NS_PER_S) /* an answer that has not come then never does */

static struct coord_disk *disk_of(struct control *c)
{
    return &c->coordinating.disk;
}

uint32_t disk_timers(const struct control *c)
{
    const struct agent_state *s = &c->coordinating.etcd;
    return s->life == AGENT_RUNNING ? etcd_level_of(s->etcd.heartbeat_ms) : 0;
}

/* While it is not known, a member that runs is not asked to change. */
uint32_t disk_level(const struct control *c)
{
    const struct disk_judge *j = &c->coordinating.disk.judge;
    return j->known ? j->level : disk_timers(c);
}

bool disk_is_steady(const struct control *c)
{
    const struct coord_disk *d = &c->coordinating.disk;
    return d->judge.known && loop_now(c->loop) - d->changed >= STEADY_NS;
}

void disk_forget_agent(struct control *c)
{
    struct coord_disk *d = disk_of(c);
    d->ticket = d->since = 0;
}

bool disk_awaited(const struct control *c)
{
    const struct coord_disk *d = &c->coordinating.disk;
    return !d->judge.known && d->since && loop_now(c->loop) - d->since < AWAITED_NS;
}

void disk_look(struct control *c)
{
    struct coord_disk *d = disk_of(c);
    d->next = MIN(d->next, MAX(loop_now(c->loop), d->measured + LEAST_NS));
}

/* Who keeps data of the coordinator, or is to. */
static bool is_concerned(const struct control *c)
{
    const struct coordinating *g = &c->coordinating;
    struct voters wanted;
    managed_wanted(c, &wanted);
    return g->record.said.record == MANAGED_DATA || voters_has(&wanted, view_self(c->view)->name) ||
           voters_has(&g->voters, view_self(c->view)->name);
}

void disk_tick(struct control *c)
{
    struct coordinating *g = &c->coordinating;
    struct coord_disk *d = &g->disk;
    uint64_t now = loop_now(c->loop);
    if (!g->agent_known || !is_concerned(c))
        return;
    d->since = d->since ? d->since : now;
    if (d->ticket ? now - d->asked < LOST_NS : now < d->next)
        return;
    if (g->etcd.life == AGENT_RUNNING && !d->judge.known)
        d->judge = (struct disk_judge){.known = true, .level = (uint8_t)disk_timers(c)};
    d->asked = now;
    d->next = now + LEAST_NS;
    if (agent_line_task(&g->agent, AGENT_DISK, &d->ticket, NULL))
        d->ticket = 0;
}

static void tell(struct control *c, uint32_t was)
{
    const struct coord_disk *d = disk_of(c);
    uint32_t level = d->judge.level;
    if (level == was)
        return;
    managed_say(c, true);
    coordinating_tell(
        c, level > was ? EVENT_WARNING : EVENT_INFO, "",
        "its disk takes %.1f ms to sync, %.1f ms at times: it asks for a heartbeat of "
        "%u ms and elections after %u ms",
        (double)d->figures.median / NS_PER_MS, (double)d->figures.p99 / NS_PER_MS,
        etcd_heartbeat_ms(level), etcd_election_ms(level));
}

void disk_measured(struct control *c, const struct agent_disk *f)
{
    struct coord_disk *d = disk_of(c);
    uint64_t now = loop_now(c->loop);
    uint32_t was = d->judge.level;
    d->ticket = 0;
    d->next = now + FAILED_NS;
    if (!f)
        return;
    d->figures = *f;
    d->measured = now;
    if (disk_judge(&d->judge, f->median, f->p99)) {
        d->changed = now;
        tell(c, was);
    }
    d->next = now + disk_judge_again(&d->judge) * NS_PER_S;
    coord_look(c);
}
