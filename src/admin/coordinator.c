/* Routes of the coordinator: how it is, a backup, a restore. */
#include "admin/inside.h"

static json_t *members_json(const struct admin_coordinator *k)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < k->n_members; i++) {
        const struct admin_coordinator_member *m = &k->members[i];
        struct json_object o = json_begin();
        json_put_text(&o, "id", m->id);
        json_put(&o, "node", m->name[0] ? json_string(m->name) : json_null());
        json_put_bool(&o, "self", m->self);
        json_put_bool(&o, "leader", m->leader);
        json_put_bool(&o, "learner", m->learner);
        json_put_bool(&o, "healthy", m->healthy);
        json_put_u64(&o, "heartbeat_ms", m->heartbeat_ms);
        json_put_u64(&o, "disk_heartbeat_ms", m->disk_heartbeat_ms);
        if (!json_push(a, json_end(&o))) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

static json_t *voters_json(const struct admin_coordinator *k)
{
    struct json_object o = json_begin();
    json_t *nodes = json_array();
    for (uint32_t i = 0; i < k->n_voters; i++)
        if (!json_push(nodes, json_string(k->voter[i])))
            o.bad = true;
    json_put_u64(&o, "version", k->voters);
    json_put(&o, "nodes", nodes);
    return json_end(&o);
}

static json_t *disk_json(const struct admin_coordinator *k, uint64_t now)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "sync_median_us", k->sync_median / 1000);
    json_put_u64(&o, "sync_p99_us", k->sync_p99 / 1000);
    json_put_u64(&o, "sync_worst_us", k->sync_worst / 1000);
    json_put_u64(&o, "measured_ms_ago", now > k->measured ? (now - k->measured) / NS_PER_MS : 0);
    return json_end(&o);
}

static json_t *etcd_json(const struct admin_coordinator *k, uint64_t now)
{
    struct json_object o = json_begin();
    json_put_text(&o, "state", k->etcd);
    json_put_u64(&o, "pid", k->pid);
    json_put_u64(&o, "starts", k->starts);
    json_put_text(&o, "version", k->version);
    json_put_u64(&o, "bytes", k->bytes);
    json_put_u64(&o, "bytes_used", k->used);
    json_put_u64(&o, "bytes_quota", k->quota);
    json_put_bool(&o, "full", k->full);
    json_put_u64(&o, "heartbeat_ms", k->heartbeat_ms);
    json_put_u64(&o, "election_ms", k->election_ms);
    json_put_u64(&o, "wanted_heartbeat_ms", k->wanted_heartbeat_ms);
    json_put_u64(&o, "wanted_election_ms", k->wanted_election_ms);
    json_put(&o, "disk", k->measured ? disk_json(k, now) : json_null());
    return json_end(&o);
}

static json_t *requests_json(const struct admin_coordinator *k)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "done", k->done);
    json_put_u64(&o, "conflicts", k->conflicts);
    json_put_u64(&o, "unknown", k->unknown);
    json_put_u64(&o, "failed", k->failed);
    json_put_u64(&o, "watched", k->watched);
    json_put_u64(&o, "last_us", k->last_ns / 1000);
    return json_end(&o);
}

static json_t *coordinator_json(const struct admin_coordinator *k, uint64_t now)
{
    struct json_object o = json_begin_schema("coordinator");
    bool managed = k->record != NULL;
    json_put_text(&o, "kind", k->kind);
    json_put_bool(&o, "reachable", k->reachable);
    json_put(&o, "engine", k->open ? json_string(k->engine) : json_null());
    json_put(&o, "at", k->open ? json_string(k->at) : json_null());
    json_put_text(&o, "problem", k->problem);
    json_put_u64(&o, "for_ms", k->open && now > k->since ? (now - k->since) / NS_PER_MS : 0);
    json_put_u64(&o, "revision", k->revision);
    json_put(&o, "requests", requests_json(k));
    json_put(&o, "cluster", k->cluster[0] ? json_string(k->cluster) : json_null());
    json_put_u64(&o, "generation", k->generation);
    json_put(&o, "record", managed ? json_string(k->record) : json_null());
    json_put_text(&o, "waits", k->waits);
    json_put_bool(&o, "restoring", k->restoring);
    json_put(&o, "voters", k->voters ? voters_json(k) : json_null());
    json_put(&o, "members", members_json(k));
    json_put(&o, "etcd", k->etcd ? etcd_json(k, now) : json_null());
    json_put(&o, "backup_time", k->backup_at ? json_time(k->backup_at) : json_null());
    json_put(&o, "backup_file", k->backup_at ? json_string(k->backup) : json_null());
    return json_end(&o);
}

static void tell(struct conn *c, unsigned status)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    struct admin_coordinator *k = mem_zero(1, sizeof *k);
    if (!k)
        conn_answer_json(c, 500, NULL);
    else if (!h->coordinator || !h->view(h->context))
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
    else if (h->coordinator(h->context, k, &e))
        route_error_of(c, &e);
    else
        conn_answer_json(c, status, coordinator_json(k, loop_now(c->admin->loop)));
    mem_free(k);
}

void answer_coordinator(struct conn *c, const struct captures *m)
{
    (void)m;
    tell(c, 200);
}

void answer_coordinator_backup(struct conn *c, const struct captures *m)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    (void)m;
    if (!h->coordinator || !h->view(h->context))
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
    else if (h->coordinator_backup(h->context, &e))
        route_error_of(c, &e);
    else
        tell(c, 202);
}

/* {"from": PATH, "force": true}, both or either left out. */
static bool read_restore(const json_t *root, const char **from, bool *force)
{
    const json_t *path = json_object_get(root, "from"), *f = json_object_get(root, "force");
    size_t known = (path ? 1u : 0u) + (f ? 1u : 0u);
    *from = json_string_value(path);
    *force = json_is_true(f);
    return json_is_object(root) && json_object_size(root) == known &&
           (!path || (json_is_string(path) && *from[0] == '/')) && (!f || json_is_boolean(f));
}

void answer_coordinator_restore(struct conn *c, const struct captures *m)
{
    const struct admin_host *h = &c->admin->host;
    struct err e = {0};
    json_error_t why;
    struct str body = m->body.n ? m->body : STR("{}");
    json_t *root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    const char *from;
    bool force;
    if (!read_restore(root, &from, &force))
        route_error(c, 422, "invalid",
                    "the body is {\"from\": \"/PATH\", \"force\": true}, or less", NULL, NULL);
    else if (!h->coordinator || !h->view(h->context))
        route_error(c, 503, "busy", "the node is still starting", NULL, NULL);
    else if (h->coordinator_restore(h->context, from, force, &e))
        route_error_of(c, &e);
    else
        tell(c, 202);
    json_decref(root);
}

/* Of the managed coordinator's member here. */
static void metrics_member(const struct admin_coordinator *k, struct exposition *x)
{
    static const struct labels no_labels;
    exposition_family(x, "holdfast_coordinator_file_bytes", METRIC_GAUGE,
                      "Size of the file of the coordinator's member here; 0: it does not answer.");
    exposition_count(x, &no_labels, k->bytes);
    exposition_family(x, "holdfast_coordinator_full", METRIC_GAUGE,
                      "1 while the file of a member is full: nothing is written.");
    exposition_count(x, &no_labels, k->full);
    exposition_family(x, "holdfast_coordinator_heartbeat_seconds", METRIC_GAUGE,
                      "Heartbeat of the member here; longer than usual for a slow disk.");
    exposition_ns(x, &no_labels, k->heartbeat_ms * NS_PER_MS);
    exposition_family(x, "holdfast_coordinator_disk_sync_seconds", METRIC_GAUGE,
                      "What the disk here took to sync, median; 0: not measured.");
    exposition_ns(x, &no_labels, k->sync_median);
}

void metrics_coordinator(struct admin *a, struct exposition *x)
{
    static const struct labels no_labels;
    struct admin_coordinator *k = mem_zero(1, sizeof *k);
    struct err e = {0};
    if (!k)
        x->out->failed = true;
    else if (a->host.coordinator && a->host.view(a->host.context) &&
             a->host.coordinator(a->host.context, k, &e) == 0 && strcmp(k->kind, "none") != 0) {
        exposition_family(x, "holdfast_coordinator_reachable", METRIC_GAUGE,
                          "1 while the coordinator answers.");
        exposition_count(x, &no_labels, k->reachable);
        exposition_family(x, "holdfast_coordinator_revision", METRIC_GAUGE,
                          "The highest revision that was seen.");
        exposition_count(x, &no_labels, k->revision);
        exposition_family(x, "holdfast_coordinator_members", METRIC_GAUGE,
                          "Members of the managed coordinator, learners included.");
        exposition_count(x, &no_labels, k->n_members);
        exposition_family(x, "holdfast_coordinator_voters_version", METRIC_GAUGE,
                          "Version of the set of voters; 0: none is known.");
        exposition_count(x, &no_labels, k->voters);
        if (k->record && k->etcd)
            metrics_member(k, x);
    }
    mem_free(k);
}
