#include "admin/events.h"

static const char *const code_names[EVENT_CODES] = {
    [EVENT_CONTROL_START] = "control-start",
    [EVENT_VIEW_TAKEN] = "view-taken",
    [EVENT_RELOAD_REFUSED] = "reload-refused",
    [EVENT_INSTANCE_VERDICT] = "instance-verdict",
    [EVENT_DRAIN] = "drain",
    [EVENT_RESUME] = "resume",
    [EVENT_PROCESS_START] = "process-start",
    [EVENT_PROCESS_EXIT] = "process-exit",
    [EVENT_PROBES_STARVED] = "probes-starved",
    [EVENT_SIGNALS_DROPPED] = "signals-dropped",
    [EVENT_STATE_UNSAVED] = "state-unsaved",
    [EVENT_METRICS_REFUSED] = "metrics-refused",
    [EVENT_INSTANCE_ADDED] = "instance-added",
    [EVENT_INSTANCE_REMOVED] = "instance-removed",
    [EVENT_SOURCE_FAILED] = "source-failed",
    [EVENT_SOURCE_BACK] = "source-back",
    [EVENT_INSTANCES_LEFT_OUT] = "instances-left-out",
    [EVENT_STATE_DAMAGED] = "state-damaged",
    [EVENT_HAND_OVER] = "hand-over",
    [EVENT_ADMIN_DENIED] = "admin-denied",
    [EVENT_BEAT_MISSING] = "beat-missing",
    [EVENT_BEAT_FAILED] = "beat-failed",
    [EVENT_BEAT_BACK] = "beat-back",
    [EVENT_STOPPING] = "stopping",
    [EVENT_NODE_SUSPECT] = "node-suspect",
    [EVENT_NODE_FAILED] = "node-failed",
    [EVENT_NODE_ALIVE] = "node-alive",
    [EVENT_NODE_LEFT] = "node-left",
    [EVENT_MAINTENANCE] = "maintenance",
    [EVENT_PARTITION] = "partition",
    [EVENT_PARTITION_HEALED] = "partition-healed",
    [EVENT_MESH_REFUSED] = "mesh-refused",
    [EVENT_CLUSTER_KEY] = "cluster-key",
    [EVENT_JOIN] = "join",
    [EVENT_COORDINATOR] = "coordinator",
    [EVENT_AUDIT_FAILED] = "audit-failed",
    [EVENT_AUDIT_BACK] = "audit-back",
    [EVENT_AUDIT_LOST] = "audit-lost",
    [EVENT_LEAVING] = "leaving",
    [EVENT_CONFIG_APPLIED] = "config-applied",
    [EVENT_CONFIG_ADOPTED] = "config-adopted",
    [EVENT_CONFIG_REFUSED] = "config-refused",
    [EVENT_ROLE_RECORDED] = "role-recorded",
    [EVENT_ROLE_LOST] = "role-lost",
    [EVENT_ROLE_WAITS] = "role-waits",
    [EVENT_ROLE_TAKEN] = "role-taken",
    [EVENT_ROLE_PROMOTED] = "role-promoted",
    [EVENT_ROLE_FAILED] = "role-failed",
    [EVENT_ROLE_DEMOTED] = "role-demoted",
    [EVENT_ROLE_LAPSED] = "role-lapsed",
    [EVENT_ROLE_INSYNC] = "role-insync",
    [EVENT_ROLE_TOLD] = "role-told",
    [EVENT_ROLE_INSTANCE] = "role-instance",
    [EVENT_ROLE_PAUSED] = "role-paused",
    [EVENT_SWITCHOVER] = "switchover",
    [EVENT_SWITCHOVER_BEGAN] = "switchover-began",
    [EVENT_SWITCHOVER_DONE] = "switchover-done",
    [EVENT_SWITCHOVER_FAILED] = "switchover-failed",
    [EVENT_FAILOVER_FORCED] = "failover-forced",
    [EVENT_FINDING_RAISED] = "finding-raised",
    [EVENT_FINDING_CLEARED] = "finding-cleared",
    [EVENT_NOTIFY_FAILED] = "notify-failed",
    [EVENT_NOTIFY_BACK] = "notify-back",
    [EVENT_NOTIFY_DROPPED] = "notify-dropped",
};

const char *event_code_name(enum event_code c)
{
    CHECK(c < EVENT_CODES);
    return code_names[c];
}

/* Those that are more than events, or have a subject. */
static const struct {
    uint8_t decides; /* enum audit_kind, AUDIT_EVENT - kind, so that 0 is an event */
    const char *subject;
} meanings[EVENT_CODES] = {
#define IS(kind) (AUDIT_EVENT - AUDIT_##kind)
    [EVENT_CONTROL_START] = {IS(ACTION), "process"},
    [EVENT_VIEW_TAKEN] = {IS(DECISION), "config"},
    [EVENT_RELOAD_REFUSED] = {IS(DECISION), "config"},
    [EVENT_INSTANCE_VERDICT] = {IS(VERDICT), "instance"},
    [EVENT_DRAIN] = {IS(DECISION), "instance"},
    [EVENT_RESUME] = {IS(DECISION), "instance"},
    [EVENT_PROCESS_START] = {IS(ACTION), "process"},
    [EVENT_PROCESS_EXIT] = {IS(EVENT), "process"},
    [EVENT_SIGNALS_DROPPED] = {IS(EVENT), "process"},
    [EVENT_HAND_OVER] = {IS(ACTION), "process"},
    [EVENT_INSTANCE_ADDED] = {IS(DECISION), "instance"},
    [EVENT_INSTANCE_REMOVED] = {IS(DECISION), "instance"},
    [EVENT_SOURCE_FAILED] = {IS(EVENT), "source"},
    [EVENT_SOURCE_BACK] = {IS(EVENT), "source"},
    [EVENT_INSTANCES_LEFT_OUT] = {IS(EVENT), "service"},
    [EVENT_STATE_DAMAGED] = {IS(EVENT), "file"},
    [EVENT_ADMIN_DENIED] = {IS(EVENT), "address"},
    [EVENT_BEAT_MISSING] = {IS(VERDICT), "beat"},
    [EVENT_BEAT_FAILED] = {IS(VERDICT), "beat"},
    [EVENT_BEAT_BACK] = {IS(VERDICT), "beat"},
    [EVENT_STOPPING] = {IS(ACTION), ""},
    [EVENT_NODE_SUSPECT] = {IS(VERDICT), "node"},
    [EVENT_NODE_FAILED] = {IS(VERDICT), "node"},
    [EVENT_NODE_ALIVE] = {IS(VERDICT), "node"},
    [EVENT_NODE_LEFT] = {IS(VERDICT), "node"},
    [EVENT_MAINTENANCE] = {IS(DECISION), "node"},
    [EVENT_JOIN] = {IS(DECISION), "node"},
    [EVENT_CLUSTER_KEY] = {IS(ACTION), ""},
    [EVENT_LEAVING] = {IS(DECISION), "node"},
    [EVENT_ROLE_RECORDED] = {IS(DECISION), "service"},
    [EVENT_ROLE_LOST] = {IS(EVENT), "service"},
    [EVENT_ROLE_WAITS] = {IS(EVENT), "service"},
    [EVENT_ROLE_TAKEN] = {IS(DECISION), "service"},
    [EVENT_ROLE_PROMOTED] = {IS(ACTION), "service"},
    [EVENT_ROLE_FAILED] = {IS(ACTION), "service"},
    [EVENT_ROLE_DEMOTED] = {IS(ACTION), "service"},
    [EVENT_ROLE_LAPSED] = {IS(EVENT), "service"},
    [EVENT_ROLE_INSYNC] = {IS(DECISION), "service"},
    [EVENT_ROLE_TOLD] = {IS(ACTION), "service"},
    [EVENT_ROLE_INSTANCE] = {IS(EVENT), "service"},
    [EVENT_ROLE_PAUSED] = {IS(DECISION), "service"},
    [EVENT_SWITCHOVER] = {IS(DECISION), "service"},
    [EVENT_SWITCHOVER_BEGAN] = {IS(ACTION), "service"},
    [EVENT_SWITCHOVER_DONE] = {IS(ACTION), "service"},
    [EVENT_SWITCHOVER_FAILED] = {IS(ACTION), "service"},
    [EVENT_FAILOVER_FORCED] = {IS(DECISION), "service"},
    [EVENT_FINDING_RAISED] = {IS(EVENT), NULL}, /* whose, depends */
    [EVENT_FINDING_CLEARED] = {IS(EVENT), NULL},
#undef IS
};

enum audit_kind event_kind(enum event_code c)
{
    CHECK(c < EVENT_CODES);
    return (enum audit_kind)(AUDIT_EVENT - meanings[c].decides);
}

const char *event_subject_kind(enum event_code c)
{
    CHECK(c < EVENT_CODES);
    return meanings[c].subject ? meanings[c].subject : "";
}

const char *event_level_name(enum event_level l)
{
    static const char *const names[EVENT_LEVELS] = {"info", "warning", "error"};
    CHECK(l < EVENT_LEVELS);
    return names[l];
}

int events_init(struct events *e, uint32_t size, uint64_t first, struct err *err)
{
    CHECK(size && (size & (size - 1)) == 0);
    *e = (struct events){.size = size};
    e->ring = mem_zero(size, sizeof *e->ring);
    if (!e->ring)
        return err_set(err, ERR_NOMEM, "no memory for %u events", size);
    e->start = e->first = e->next = first ? first : 1;
    return 0;
}

void events_free(struct events *e)
{
    mem_free(e->ring);
    *e = (struct events){0};
}

static struct event *slot_of(const struct events *e, uint64_t seq)
{
    return &e->ring[seq & (e->size - 1)];
}

struct event *events_begin(struct events *e, enum event_code code, enum event_level level,
                           uint64_t boot, uint64_t wall, uint64_t epoch)
{
    CHECK(code < EVENT_CODES && level < EVENT_LEVELS);
    if (e->next - e->first == e->size)
        e->first++;
    struct event *ev = slot_of(e, e->next);
    *ev = (struct event){.seq = e->next,
                         .boot = boot,
                         .wall = wall,
                         .epoch = epoch,
                         .code = (uint8_t)code,
                         .level = (uint8_t)level};
    return ev;
}

void events_commit(struct events *e)
{
    const struct event *ev = slot_of(e, e->next);
    e->by_code[ev->code]++;
    e->next++;
    if (e->keep)
        e->keep(e->keeper, ev);
    if (e->on_add)
        e->on_add(e, e->context);
}

void event_evidence(struct event *ev, const struct judge *j)
{
    uint64_t n = MIN(j->evidence_n, (uint64_t)JUDGE_EVIDENCE);
    for (uint64_t i = 0; i < n; i++)
        ev->evidence[i] = j->evidence[(j->evidence_n - n + i) % JUDGE_EVIDENCE];
    ev->n_evidence = (uint8_t)n;
}

const struct event *events_after(const struct events *e, uint64_t after)
{
    if (after >= e->next)
        after = 0;
    uint64_t seq = MAX(after + 1, e->first);
    return seq < e->next ? slot_of(e, seq) : NULL;
}

const struct event *events_next(const struct events *e, const struct event *ev)
{
    return ev->seq + 1 < e->next ? slot_of(e, ev->seq + 1) : NULL;
}

uint64_t events_lost(const struct events *e, uint64_t after)
{
    if (after == 0 || after >= e->next)
        return 0;
    uint64_t from = MAX(after + 1, e->start);
    return from < e->first ? e->first - from : 0;
}
