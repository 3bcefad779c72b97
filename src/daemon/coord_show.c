/* What operators see of the coordinator. */
#include "daemon/control.h"

#include <stdio.h>

static const char *const kinds[COORDINATOR_KINDS] = {[COORDINATOR_LOCAL] = "local",
                                                     [COORDINATOR_NONE] = "none",
                                                     [COORDINATOR_MANAGED] = "managed",
                                                     [COORDINATOR_EXTERNAL] = "external"};

static void show_engine(const struct coordinating *g, struct admin_coordinator *out)
{
    struct coord_health h;
    if (!g->coord)
        return;
    coord_health(g->coord, &h);
    out->open = true;
    memcpy(out->engine, h.engine, sizeof out->engine);
    memcpy(out->at, h.at, sizeof out->at);
    memcpy(out->problem, h.problem, sizeof out->problem);
    out->reachable = h.reachable;
    out->since = h.since;
    out->revision = h.revision;
    out->done = h.done;
    out->conflicts = h.conflicts;
    out->unknown = h.unknown;
    out->failed = h.failed;
    out->watched = h.watched;
    out->last_ns = h.last_ns;
}

static void show_member(struct control *c, const struct standing_member *m,
                        struct admin_coordinator_member *to)
{
    const struct view_cluster *k = &c->view->cluster;
    const struct coordinating *g = &c->coordinating;
    uint32_t node = managed_owner(c, m);
    const struct standing *s = NULL;
    snprintf(to->id, sizeof to->id, "%llx", (unsigned long long)m->id);
    to->learner = m->learner;
    if (node >= k->n_nodes)
        return;
    str_copy(to->name, sizeof to->name, k->nodes[node].name);
    to->self = node == k->self;
    bool heard = to->self || managed_hears(c, node, &s);
    uint64_t leader = to->self ? g->status.leader : heard ? s->said.leader : 0;
    uint64_t member = to->self ? g->status.member : heard ? s->said.member : 0;
    uint32_t timers = to->self ? disk_timers(c) : heard ? s->said.timers : 0;
    uint32_t disk = to->self ? disk_level(c) : heard ? s->said.disk : 0;
    to->heartbeat_ms = member ? etcd_heartbeat_ms(timers) : 0;
    to->disk_heartbeat_ms = heard ? etcd_heartbeat_ms(disk) : 0;
    to->healthy = leader != 0 && member == m->id;
    to->leader = to->healthy && leader == m->id;
}

static void show_managed(struct control *c, struct admin_coordinator *out)
{
    static const char *const records[MANAGED_RECORDS] = {"never", "knows", "data"};
    const struct coordinating *g = &c->coordinating;
    out->record = records[g->record.said.record];
    out->generation = g->record.said.line.generation;
    for (int i = 0; i < MANAGED_ID && g->record.said.record != MANAGED_NEVER; i++)
        snprintf(out->cluster + 2 * i, 3, "%02x", g->record.said.line.id[i]);
    str_copy(out->waits, sizeof out->waits, str_of(g->text));
    out->n_members = MIN(g->list.n, (uint32_t)ADMIN_MEMBERS);
    for (uint32_t i = 0; i < out->n_members; i++)
        show_member(c, &g->list.members[i], &out->members[i]);
    out->etcd = agent_life_name(g->etcd.life);
    out->pid = g->etcd.pid;
    out->starts = g->etcd.starts;
    memcpy(out->version, g->status.version, sizeof out->version);
    out->bytes = g->status.bytes;
    out->used = g->status.used;
    out->quota = SPACE_QUOTA;
    out->heartbeat_ms = g->etcd.etcd.heartbeat_ms;
    out->election_ms = g->etcd.etcd.election_ms;
    out->wanted_heartbeat_ms = etcd_heartbeat_ms(g->pace);
    out->wanted_election_ms = etcd_election_ms(g->pace);
    out->measured = g->disk.measured;
    out->sync_median = g->disk.figures.median;
    out->sync_p99 = g->disk.figures.p99;
    out->sync_worst = g->disk.figures.worst;
    out->full = g->full;
}

int coordinating_picture(void *context, struct admin_coordinator *out, struct err *e)
{
    struct control *c = context;
    const struct coordinating *g = &c->coordinating;
    *out = (struct admin_coordinator){.kind = kinds[g->kind]};
    show_engine(g, out);
    if (g->kind == COORDINATOR_MANAGED)
        show_managed(c, out);
    out->restoring = g->restore_from[0] != 0 || g->record.restoring || g->record.raise;
    out->voters = g->voters.version;
    out->n_voters = MIN(g->voters.n, (uint32_t)ADMIN_VOTERS);
    for (uint32_t i = 0; i < out->n_voters; i++)
        str_copy(out->voter[i], sizeof out->voter[i], str_of(g->voters.names[i]));
    out->backup_at = g->backup_at;
    str_copy(out->backup, sizeof out->backup, str_of(g->backup_path));
    (void)e;
    return 0;
}
