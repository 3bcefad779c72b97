/* The status: one picture of the node, built anew for every request. */
#include "admin/inside.h"

#include <stdio.h>

#define TURNING_NS (2 * NS_PER_S)

static const struct cells *cells_of(const struct admin *a)
{
    return a->host.cells(a->host.context);
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static uint64_t since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

uint64_t admin_uptime(const struct admin *a)
{
    return since(loop_now(a->loop), cells_of(a)->header->boot);
}

uint32_t process_rows(const struct admin *a)
{
    const struct view *v = a->host.view(a->host.context);
    uint32_t most = cells_of(a)->workers;
    return PROCESS_WORKER0 + (v ? MIN(v->workers, most) : 0);
}

void process_name(uint32_t row, char out[32])
{
    static const char *const names[] = {"supervisor", "control", "agent", "sense", "proxy"};
    if (row < PROCESS_WORKER0)
        str_copy(out, 32, str_of(names[row]));
    else
        snprintf(out, 32, "worker-%u", row - PROCESS_WORKER0);
}

bool process_is_there(const struct cells *c, uint32_t row)
{
    return (row != PROCESS_AGENT && row != PROCESS_SENSE) ||
           cell_get(&c->processes[row].starts) != 0;
}

/* The rows of the proxy that accepts, where the name of a process is asked for. */
uint32_t process_place(const struct cells *c, uint32_t row)
{
    if (row < PROCESS_PROXY)
        return row;
    return cells_proxy_row(c->workers, cells_serving(c)) + (row - PROCESS_PROXY);
}

/* Workers are threads of the proxy: the supervisor knows only the process. */
static const struct process_row *owner_row(const struct cells *c, uint32_t row)
{
    return &c->processes[process_place(c, MIN(row, (uint32_t)PROCESS_PROXY))];
}

static json_t *process_json(const struct admin *a, uint32_t row)
{
    uint32_t place = process_place(cells_of(a), row);
    const struct process_row *r = &cells_of(a)->processes[place], *p = owner_row(cells_of(a), row);
    uint64_t now = loop_now(a->loop);
    char name[32];
    process_name(row, name);
    struct json_object o = json_begin();
    json_put_text(&o, "name", name);
    json_put_u64(&o, "pid", cell_get(&p->pid));
    json_put_u64(&o, "starts", cell_get(&p->starts));
    json_put_real(&o, "uptime_seconds", seconds(since(now, cell_get(&p->started_at))));
    json_put_u64(&o, "epoch", cell_get(&r->epoch));
    json_put_u64(&o, "beat", cell_get(&r->beat));
    json_put_bool(&o, "turning", since(now, a->beats[place].changed_at) < TURNING_NS);
    if (row < PROCESS_WORKER0)
        json_put_u64(&o, "memory_bytes", cell_get(&r->memory));
    if (row >= PROCESS_WORKER0) {
        json_put_u64(&o, "connections", cell_get(&r->connections));
        json_put_u64(&o, "accepted", cell_get(&r->accepted));
        json_put_u64(&o, "signals_dropped", cell_get(&r->signals_dropped));
        json_put_u64(&o, "log_dropped", cell_get(&r->log_dropped));
    }
    return json_end(&o);
}

static json_t *latency_json(const uint64_t counts[LATENCY_BUCKETS])
{
    static const struct {
        const char *name;
        double q;
    } wanted[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    double us;
    if (!latency_quantile(counts, 0.5, &us))
        return json_null();
    struct json_object o = json_begin();
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        latency_quantile(counts, wanted[i].q, &us);
        json_put_u64(&o, wanted[i].name, (uint64_t)(us + 0.5));
    }
    return json_end(&o);
}

static json_t *errors_json(const struct instance_totals *t)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "refused", t->refused);
    json_put_u64(&o, "timeouts", t->timeouts);
    json_put_u64(&o, "resets", t->resets);
    json_put_u64(&o, "5xx", t->errors_5xx);
    return json_end(&o);
}

struct admin_verdict admin_shown(struct admin *a, uint32_t slot)
{
    struct admin_verdict v = {VERDICT_SUSPECT, REASON_UNCHECKED, false, loop_now(a->loop)};
    const struct judge *j = a->host.judge(a->host.context, slot);
    if (j && (!a->host.shown || !a->host.shown(a->host.context, slot, &v)))
        v = (struct admin_verdict){(uint8_t)j->verdict, (uint8_t)j->reason, false, j->since};
    return v;
}

static json_t *observer_json(const struct admin_observer *n, uint64_t now)
{
    struct json_object o = json_begin();
    json_put_text(&o, "node", n->node);
    json_put_text(&o, "verdict", verdict_name((enum verdict)n->verdict));
    json_put_text(&o, "reason", reason_name((enum reason)n->reason));
    json_put_bool(&o, "certain", n->certain);
    json_put_bool(&o, "counts", n->counts);
    json_put_real(&o, "since_seconds", seconds(since(now, n->since)));
    json_put_real(&o, "age_seconds", seconds(since(now, n->at)));
    return json_end(&o);
}

static json_t *observers_json(struct admin *a, uint32_t slot)
{
    struct admin_observer all[VIEW_MAX_NODES];
    json_t *list = json_array();
    uint32_t n =
        a->host.observers ? a->host.observers(a->host.context, slot, all, ARRAY_LEN(all)) : 0;
    for (uint32_t i = 0; i < n; i++)
        if (!json_push(list, observer_json(&all[i], loop_now(a->loop)))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void put_verdict(struct json_object *o, struct admin *a, uint32_t slot)
{
    const struct judge *j = a->host.judge(a->host.context, slot);
    struct admin_verdict v = admin_shown(a, slot);
    uint64_t now = loop_now(a->loop);
    char text[384] = "";
    if (j && a->host.explain)
        a->host.explain(a->host.context, slot, text, sizeof text);
    else if (j)
        judge_explain(j, now, text, sizeof text);
    json_put_text(o, "verdict", verdict_name((enum verdict)v.verdict));
    json_put_text(o, "reason", reason_name((enum reason)v.reason));
    json_put_text(o, "explanation", text);
    json_put_real(o, "since_seconds", seconds(since(now, v.since)));
    json_put_text(o, "own_verdict", verdict_name(j ? j->verdict : VERDICT_SUSPECT));
    json_put_bool(o, "maintenance", v.maintenance);
    json_put(o, "observers", observers_json(a, slot));
    json_put(o, "findings",
             findings_json(a->host.held_at ? a->host.held_at(a->host.context, slot) : NULL, now));
}

static bool draining(const struct admin *a, uint32_t slot)
{
    const struct cells *c = cells_of(a);
    return slot < c->header->slots && cell_get(&cells_verdict(c, slot)->draining) != 0;
}

/* Its share, and who says so. */
static void put_placement(struct json_object *o, const struct view_instance *in)
{
    static const char *const origins[ORIGINS] = {"file", "dns", "drop-in", "api"};
    char source[256];
    int n = snprintf(source, sizeof source, "%s%s%.*s", origins[in->origin],
                     in->source.n ? " " : "", (int)MIN(in->source.n, 200u), in->source.p);
    json_put_u64(o, "weight", in->weight);
    json_put_u64(o, "own_weight", in->own_weight);
    json_put_u64(o, "priority", in->priority);
    json_put_str(o, "source", (struct str){source, (size_t)n});
}

json_t *instance_json(struct admin *a, const struct view_instance *in)
{
    struct instance_totals t;
    struct recent recent;
    char address[ADDR_TEXT_MAX];
    uint32_t workers = a->host.view(a->host.context)->workers;
    totals_instance(cells_of(a), workers, in->slot, &t);
    history_instance(&a->history, in->slot, &t, loop_now(a->loop), &recent);
    addr_format(&in->addr, address);
    struct json_object o = json_begin();
    json_put_str(&o, "name", in->name);
    json_put_text(&o, "address", address);
    put_placement(&o, in);
    put_verdict(&o, a, in->slot);
    json_put_bool(&o, "draining", draining(a, in->slot));
    json_put_text(&o, "proxy_verdict", verdict_name(t.proxy_verdict));
    json_put_u64(&o, "inflight", t.inflight);
    json_put_u64(&o, "idle", t.idle);
    json_put_u64(&o, "connects", t.connects);
    json_put_u64(&o, "requests", t.requests);
    json_put_real(&o, "requests_per_second", recent.requests_per_second);
    json_put(&o, "errors", errors_json(&t));
    json_put(&o, "latency_us", latency_json(recent.latency));
    return json_end(&o);
}

static json_t *responses_json(const struct service_totals *t)
{
    static const char *const names[] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct json_object o = json_begin();
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_put_u64(&o, names[i], t->status[i]);
    return json_end(&o);
}

/* Healthy while every instance that takes requests is; failed when none is better; suspect while
 * nothing better than suspect is known; and no better than what is held against it itself. */
static enum verdict service_verdict(struct admin *a, const struct view_service *s)
{
    enum verdict best = VERDICT_FAILED, worst = VERDICT_HEALTHY;
    const struct findings *held = held_of(a, SUBJECT_SERVICE, s->name);
    const struct finding *found = held ? findings_worst(held) : NULL;
    enum verdict least = found ? found->verdict : VERDICT_HEALTHY;
    for (uint32_t i = 0; i < s->n_instances; i++) {
        enum verdict v = (enum verdict)admin_shown(a, s->instances[i].slot).verdict;
        if (draining(a, s->instances[i].slot))
            continue;
        best = MIN(best, v);
        worst = verdict_worse(worst, v);
    }
    if (best >= VERDICT_SUSPECT || worst == VERDICT_HEALTHY)
        return verdict_worse(best, least);
    return verdict_worse(VERDICT_DEGRADED, least);
}

static json_t *listen_json(const struct view *v, const struct view_service *s)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < s->n_sockets; i++) {
        char address[ADDR_TEXT_MAX];
        addr_format(&v->sockets[s->sockets[i]].addr, address);
        if (!json_push(a, json_string(address))) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

void listener_url(const struct view_service *s, const struct view_socket *k,
                  char out[ADDR_TEXT_MAX + 8])
{
    char address[ADDR_TEXT_MAX];
    addr_format(&k->addr, address);
    snprintf(out, ADDR_TEXT_MAX + 8, "%s%s", view_mode_scheme(s->mode), address);
}

static json_t *bytes_json(uint64_t in, uint64_t out)
{
    struct json_object bytes = json_begin();
    json_put_u64(&bytes, "in", in);
    json_put_u64(&bytes, "out", out);
    return json_end(&bytes);
}

static json_t *listener_json(struct admin *a, const struct view *v, const struct view_service *s,
                             const struct view_socket *k)
{
    struct listener_totals t;
    char url[ADDR_TEXT_MAX + 8];
    listener_url(s, k, url);
    totals_listener(cells_of(a), v->workers, k->slot, &t);
    struct json_object o = json_begin();
    json_put_text(&o, "url", url);
    json_put_u64(&o, "connections", t.open);
    json_put_u64(&o, "accepted", t.accepted);
    json_put_u64(&o, "refused", t.refused);
    json_put_u64(&o, "bad_proxy_headers", t.bad_hellos);
    json_put_u64(&o, "refused_heads", t.bad_heads);
    json_put_u64(&o, "accept_pauses", t.rests);
    json_put(&o, "bytes", bytes_json(t.bytes_in, t.bytes_out));
    return json_end(&o);
}

static json_t *listeners_json(struct admin *a, const struct view *v, const struct view_service *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->n_sockets; i++)
        if (!json_push(list, listener_json(a, v, s, &v->sockets[s->sockets[i]]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *instances_json(struct admin *a, const struct view_service *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->n_instances; i++)
        if (!json_push(list, instance_json(a, &s->instances[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void put_counters(struct json_object *o, const struct service_totals *t,
                         const struct recent *recent)
{
    json_put_u64(o, "requests", t->requests);
    json_put_real(o, "requests_per_second", recent->requests_per_second);
    json_put_real(o, "errors_per_second", recent->errors_per_second);
    json_put(o, "responses", responses_json(t));
    json_put_u64(o, "retries", t->retries);
    json_put_u64(o, "retries_denied", t->retries_denied);
    json_put_u64(o, "refused_heads", t->refused_heads);
    json_put_u64(o, "no_instance", t->no_instance);
    json_put_u64(o, "tunnels", t->tunnels);
    json_put_u64(o, "relayed", t->relayed);
    json_put(o, "bytes", bytes_json(t->bytes_in, t->bytes_out));
    json_put(o, "latency_us", latency_json(recent->latency));
}

static json_t *service_json(struct admin *a, const struct view *v, const struct view_service *s)
{
    struct service_totals t;
    struct recent recent;
    totals_service(cells_of(a), v->workers, s->slot, &t);
    history_service(&a->history, s->slot, &t, loop_now(a->loop), &recent);
    const char *balance = algorithm_name((enum algorithm)s->balance);
    struct json_object o = json_begin();
    json_put_str(&o, "name", s->name);
    json_put_text(&o, "balance", balance ? balance : "unknown");
    json_put_text(&o, "mode", s->mode == VIEW_UDP ? "udp" : s->mode == VIEW_TCP ? "tcp" : "http");
    json_put(&o, "listen", listen_json(v, s));
    json_put(&o, "listeners", listeners_json(a, v, s));
    json_put_text(&o, "verdict",
                  verdict_name(view_is_primary(s) ? role_verdict(a, s) : service_verdict(a, s)));
    json_put(&o, "role", role_short_json(a, v, s));
    put_counters(&o, &t, &recent);
    json_put(&o, "instances", instances_json(a, s));
    return json_end(&o);
}

static json_t *services_json(struct admin *a, const struct view *v)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < v->n_services; i++)
        if (!json_push(list, service_json(a, v, &v->services[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *processes_json(const struct admin *a)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < process_rows(a); i++)
        if (process_is_there(cells_of(a), i) && !json_push(list, process_json(a, i))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* --- the proxies that live: one accepts, others may start or drain --- */

const char *proxy_role_name(uint64_t role)
{
    static const char *const names[PROXY_ROLES] = {"absent", "starting", "accepting", "draining"};
    return role < PROXY_ROLES ? names[role] : names[PROXY_ABSENT];
}

static json_t *proxy_json(const struct admin *a, uint32_t bank)
{
    const struct cells *c = cells_of(a);
    const struct process_row *r = &c->processes[cells_proxy_row(c->workers, bank)];
    uint64_t now = loop_now(a->loop), connections = 0, until = cell_get(&r->until);
    for (uint32_t w = 1; w <= c->workers; w++)
        connections += cell_get(&r[w].connections);
    struct json_object o = json_begin();
    json_put_u64(&o, "generation", cell_get(&r->generation));
    json_put_u64(&o, "pid", cell_get(&r->pid));
    json_put_text(&o, "role", proxy_role_name(cell_get(&r->role)));
    json_put_u64(&o, "epoch", cell_get(&r->epoch));
    json_put_real(&o, "uptime_seconds", seconds(since(now, cell_get(&r->started_at))));
    json_put_u64(&o, "connections", connections);
    if (cell_get(&r->role) == PROXY_DRAINS)
        json_put_real(&o, "drain_seconds_left", seconds(since(until, now)));
    else
        json_put(&o, "drain_seconds_left", json_null());
    return json_end(&o);
}

static json_t *proxies_json(const struct admin *a)
{
    const struct cells *c = cells_of(a);
    json_t *list = json_array();
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        uint64_t role = cell_get(&c->processes[cells_proxy_row(c->workers, bank)].role);
        if (role != PROXY_ABSENT && role < PROXY_ROLES && !json_push(list, proxy_json(a, bank))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *status_json(struct admin *a)
{
    const struct view *v = a->host.view(a->host.context);
    struct json_object o = json_begin_schema("status");
    json_put_text(&o, "version", HF_VERSION);
    json_put_text(&o, "node", a->host.node);
    json_put_u64(&o, "epoch", v->epoch);
    json_put_str(&o, "file", v->file);
    json_put(&o, "time", json_time(clock_wall()));
    json_put_real(&o, "uptime_seconds", seconds(admin_uptime(a)));
    json_put_u64(&o, "workers", v->workers);
    json_put_u64(&o, "last_event", a->host.events->next - 1);
    json_put(&o, "processes", processes_json(a));
    json_put(&o, "proxies", proxies_json(a));
    json_put(&o, "config", config_json(a));
    json_put(&o, "cluster", cluster_json(a));
    json_put(&o, "services", services_json(a, v));
    json_put(&o, "beats", beats_json(a));
    json_put(&o, "findings", held_all_json(a));
    return json_end(&o);
}
