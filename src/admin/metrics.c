/* The metrics, one family after the other. docs/metrics.md lists them; a test compares.
 *
 * A family is a row of a table: its name, its type, and where its samples' numbers lie. Counters
 * and gauges come from the shared cells as they are: a scrape changes nothing. */
#include "admin/exposition.h"
#include "admin/inside.h"

#include <stdio.h>

struct scrape {
    struct admin *a;
    const struct view *v;
    const struct cells *c;
    struct exposition x;
};

static const struct labels no_labels;

static struct labels one_label(const char *name, struct str value)
{
    return (struct labels){{{name, value}}, 1};
}

static struct labels and_label(struct labels l, const char *name, struct str value)
{
    CHECK(l.n < LABELS_MAX);
    l.list[l.n++] = (struct label){name, value};
    return l;
}

static uint64_t cell_at(const void *row, size_t at)
{
    return cell_get((const cell *)(const void *)((const char *)row + at));
}

/* ---- processes ---- */

struct process_metric {
    const char *name;
    uint8_t type;
    bool workers; /* only the proxy's workers have it */
    bool owner;   /* kept by the supervisor for the whole process: workers do not repeat it */
    size_t at;    /* offset in struct process_row */
    const char *help;
};

static const struct process_metric process_metrics[] = {
    {"holdfast_process_starts_total", METRIC_COUNTER, false, true,
     offsetof(struct process_row, starts), "Times that the process was started."},
    {"holdfast_process_view_epoch", METRIC_GAUGE, false, false, offsetof(struct process_row, epoch),
     "Epoch of the view that the process serves."},
    {"holdfast_process_memory_bytes", METRIC_GAUGE, false, true,
     offsetof(struct process_row, memory),
     "Memory of the process's own, without what processes share."},
    {"holdfast_process_beats_total", METRIC_COUNTER, false, false,
     offsetof(struct process_row, beat),
     "Heartbeats of the process's loop: it hangs when they stop."},
    {"holdfast_worker_client_connections", METRIC_GAUGE, true, false,
     offsetof(struct process_row, connections), "Client connections open now."},
    {"holdfast_worker_accepted_connections_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, accepted), "Client connections accepted."},
    {"holdfast_worker_dropped_signals_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, signals_dropped),
     "Evidence about instances that control could not take in time."},
    {"holdfast_worker_dropped_log_lines_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, log_dropped),
     "Access log lines that the disk could not take in time."},
    {"holdfast_worker_shed_clients_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, shed),
     "Client connections without a request that were closed to make room for others."},
    {"holdfast_worker_slow_clients_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, cut_slow), "Client connections cut for less than min-rate."},
    {"holdfast_worker_buffer_bytes", METRIC_GAUGE, true, false,
     offsetof(struct process_row, buffers), "Memory of the worker's buffers, used and free."},
    {"holdfast_worker_drain_cut_connections_total", METRIC_COUNTER, true, false,
     offsetof(struct process_row, drain_cut),
     "Client connections that were cut because their time to drain was over."},
};

/* What adds up is summed over all generations of the proxy; an epoch is that of the one that
 * accepts. */
static uint64_t process_value(const struct cells *c, const struct process_metric *m, uint32_t row)
{
    uint32_t banks =
        row < PROCESS_PROXY || (m->type == METRIC_GAUGE && !m->workers) ? 1 : CELLS_BANKS;
    uint64_t sum = 0;
    for (uint32_t bank = 0; bank < banks; bank++) {
        uint32_t place = banks == 1 ? process_place(c, row)
                                    : cells_proxy_row(c->workers, bank) + row - PROCESS_PROXY;
        sum += cell_at(&c->processes[place], m->at);
    }
    return sum;
}

static void process_family(struct scrape *s, const struct process_metric *m)
{
    exposition_family(&s->x, m->name, m->type, m->help);
    uint32_t from = m->workers ? PROCESS_WORKER0 : 0;
    uint32_t to = m->owner ? PROCESS_WORKER0 : process_rows(s->a);
    for (uint32_t i = from; i < to; i++) {
        char name[32];
        if (!process_is_there(s->c, i))
            continue;
        process_name(i, name);
        struct labels l = one_label(m->workers ? "worker" : "process",
                                    str_of(m->workers ? name + strlen("worker-") : name));
        exposition_count(&s->x, &l, process_value(s->c, m, i));
    }
}

/* How many proxies live, and the connections that they have, by role. */
static void proxies(struct scrape *s)
{
    uint64_t count[PROXY_ROLES] = {0}, open[PROXY_ROLES] = {0};
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        const struct process_row *r = &s->c->processes[cells_proxy_row(s->c->workers, bank)];
        uint64_t role = MIN(cell_get(&r->role), (uint64_t)PROXY_ROLES);
        if (role == PROXY_ABSENT || role == PROXY_ROLES)
            continue;
        count[role]++;
        for (uint32_t w = 1; w <= s->c->workers; w++)
            open[role] += cell_get(&r[w].connections);
    }
    exposition_family(&s->x, "holdfast_proxies", METRIC_GAUGE, "Proxy processes that live.");
    for (uint32_t role = PROXY_STARTS; role < PROXY_ROLES; role++) {
        struct labels l = one_label("role", str_of(proxy_role_name(role)));
        exposition_count(&s->x, &l, count[role]);
    }
    exposition_family(&s->x, "holdfast_proxy_connections", METRIC_GAUGE,
                      "Client connections of the proxies in that role.");
    for (uint32_t role = PROXY_STARTS; role < PROXY_ROLES; role++) {
        struct labels l = one_label("role", str_of(proxy_role_name(role)));
        exposition_count(&s->x, &l, open[role]);
    }
}

static void process_uptime(struct scrape *s)
{
    uint64_t now = loop_now(s->a->loop);
    exposition_family(&s->x, "holdfast_process_uptime_seconds", METRIC_GAUGE,
                      "Seconds since the process was started.");
    for (uint32_t i = 0; i < PROCESS_WORKER0; i++) {
        char process[32];
        if (!process_is_there(s->c, i))
            continue;
        process_name(i, process);
        uint64_t at = cell_get(&s->c->processes[process_place(s->c, i)].started_at);
        struct labels l = one_label("process", str_of(process));
        exposition_real(&s->x, &l, now > at && at ? (double)(now - at) / 1e9 : 0.0);
    }
}

/* Classic buckets: each twice the last, from 2^-14 s to 2^5 s; of the many instances, each four
 * times the last, up to 2^4 s. Native histograms have all that is counted. */
#define CELL_OF(power) (((power)-LATENCY_LOW) * LATENCY_PER_DOUBLING)
#define FINE_BOUNDS    CELL_OF(-14), CELL_OF(5), LATENCY_PER_DOUBLING
#define COARSE_BOUNDS  CELL_OF(-14), CELL_OF(4), 2 * LATENCY_PER_DOUBLING

/* ---- services ---- */

struct total_metric {
    const char *name;
    uint8_t type;
    size_t at; /* offset in the totals, of a uint64_t */
    const char *help;
};

#define SERVICE(field)  offsetof(struct service_totals, field)
#define INSTANCE(field) offsetof(struct instance_totals, field)

static const struct total_metric service_metrics[] = {
    {"holdfast_service_requests_total", METRIC_COUNTER, SERVICE(requests),
     "Requests received from clients."},
    {"holdfast_service_retries_total", METRIC_COUNTER, SERVICE(retries),
     "Attempts beyond the first of a request."},
    {"holdfast_service_denied_retries_total", METRIC_COUNTER, SERVICE(retries_denied),
     "Retries that the budget did not allow."},
    {"holdfast_service_hedges_total", METRIC_COUNTER, SERVICE(hedges),
     "Second instances asked because the first was silent for long."},
    {"holdfast_service_won_hedges_total", METRIC_COUNTER, SERVICE(hedges_won),
     "Of these, how many answered first."},
    {"holdfast_service_mirrored_requests_total", METRIC_COUNTER, SERVICE(mirrored),
     "Copies of other services' requests sent here."},
    {"holdfast_service_lost_mirrors_total", METRIC_COUNTER, SERVICE(mirrors_lost),
     "Copies that were not sent: no room, no instance, or a body too large to keep."},
    {"holdfast_service_rate_limited_requests_total", METRIC_COUNTER, SERVICE(rate_limited),
     "Requests answered 429."},
    {"holdfast_service_waiting_requests", METRIC_GAUGE, SERVICE(waiting),
     "Requests in the queue for a place now."},
    {"holdfast_service_waited_requests_total", METRIC_COUNTER, SERVICE(waited),
     "Requests that were in the queue for a place."},
    {"holdfast_service_overflowed_requests_total", METRIC_COUNTER, SERVICE(queue_full),
     "Requests answered 503 because as many wait as may."},
    {"holdfast_service_outwaited_requests_total", METRIC_COUNTER, SERVICE(queue_late),
     "Requests answered 503 because they waited as long as one may."},
    {"holdfast_service_sticky_requests_total", METRIC_COUNTER, SERVICE(stuck),
     "Requests of a session that went to its instance."},
    {"holdfast_service_moved_sessions_total", METRIC_COUNTER, SERVICE(unstuck),
     "Requests of a session whose instance could not take them."},
    {"holdfast_service_broken_requests_total", METRIC_COUNTER, SERVICE(broken),
     "Requests answered 503 because the breaker is open."},
    {"holdfast_service_breaker_state", METRIC_GAUGE, SERVICE(breaker),
     "Of the breaker: 0 closed, 1 open, 2 half-open."},
    {"holdfast_service_opened_breakers_total", METRIC_COUNTER, SERVICE(breaker_opened),
     "Times that the breaker opened."},
    {"holdfast_service_refused_heads_total", METRIC_COUNTER, SERVICE(refused_heads),
     "Requests answered 4xx by the parser or a limit."},
    {"holdfast_service_unroutable_requests_total", METRIC_COUNTER, SERVICE(no_instance),
     "Requests answered 503 because no instance could be picked."},
    {"holdfast_service_tunnels", METRIC_GAUGE, SERVICE(tunnels),
     "Upgraded connections and connections of TCP services open now."},
    {"holdfast_service_relayed_total", METRIC_COUNTER, SERVICE(relayed),
     "Connections of TCP services that reached an instance."},
    {"holdfast_service_held_connections", METRIC_GAUGE, SERVICE(held),
     "Connections that wait for a primary now."},
    {"holdfast_service_waited_connections_total", METRIC_COUNTER, SERVICE(held_total),
     "Connections that waited for a primary."},
    {"holdfast_service_outwaited_connections_total", METRIC_COUNTER, SERVICE(hold_refused),
     "Connections cut because they waited for a primary for too long, or with too many."},
    {"holdfast_service_deposed_connections_total", METRIC_COUNTER, SERVICE(cut_deposed),
     "Connections cut with a command under way when their primary was one no more."},
    {"holdfast_service_moved_connections_total", METRIC_COUNTER, SERVICE(led_on),
     "Times that a connection went on at another primary, or waited for one, between two "
     "commands."},
    {"holdfast_service_readers_total", METRIC_COUNTER, SERVICE(read_replica),
     "Connections of readers that were led to a replica."},
    {"holdfast_service_readers_at_primary_total", METRIC_COUNTER, SERVICE(read_primary),
     "Connections of readers that were led to the primary, because no replica was fit."},
    {"holdfast_service_readers_left_total", METRIC_COUNTER, SERVICE(read_left),
     "Times that a connection of a reader had to leave a replica that was fit no more."},
    {"holdfast_service_commits_total", METRIC_COUNTER, SERVICE(commits),
     "Rounds in which enough replicas had what replies waited for."},
    {"holdfast_service_received_bytes_total", METRIC_COUNTER, SERVICE(bytes_in),
     "Bytes received from clients."},
    {"holdfast_service_sent_bytes_total", METRIC_COUNTER, SERVICE(bytes_out),
     "Bytes sent to clients."},
};

static const struct total_metric instance_metrics[] = {
    {"holdfast_instance_inflight_requests", METRIC_GAUGE, INSTANCE(inflight),
     "Requests at the instance now."},
    {"holdfast_instance_idle_connections", METRIC_GAUGE, INSTANCE(idle),
     "Connections kept for reuse now."},
    {"holdfast_instance_requests_total", METRIC_COUNTER, INSTANCE(requests),
     "Attempts sent to the instance."},
    {"holdfast_instance_connections_total", METRIC_COUNTER, INSTANCE(connects),
     "Connections opened to the instance."},
};

static uint64_t total_at(const void *totals, size_t at)
{
    uint64_t v;
    memcpy(&v, (const char *)totals + at, sizeof v);
    return v;
}

static struct labels service_labels(const struct view_service *svc)
{
    return one_label("service", svc->name);
}

static void service_families(struct scrape *s, const struct service_totals *totals)
{
    for (size_t m = 0; m < ARRAY_LEN(service_metrics); m++) {
        const struct total_metric *row = &service_metrics[m];
        exposition_family(&s->x, row->name, row->type, row->help);
        for (uint32_t i = 0; i < s->v->n_services; i++) {
            struct labels l = service_labels(&s->v->services[i]);
            exposition_count(&s->x, &l, total_at(&totals[i], row->at));
        }
    }
}

static void service_responses(struct scrape *s, const struct service_totals *totals)
{
    static const char *const classes[] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
    exposition_family(&s->x, "holdfast_service_responses_total", METRIC_COUNTER,
                      "Responses to clients by status class; cut: the connection ended without "
                      "one.");
    for (uint32_t i = 0; i < s->v->n_services; i++)
        for (size_t k = 0; k < ARRAY_LEN(classes); k++) {
            struct labels l =
                and_label(service_labels(&s->v->services[i]), "class", str_of(classes[k]));
            exposition_count(&s->x, &l, totals[i].status[k]);
        }
}

static void service_latency(struct scrape *s, const struct service_totals *totals)
{
    exposition_family(&s->x, "holdfast_service_response_seconds", METRIC_HISTOGRAM,
                      "Time from a request's head to the end of its response.");
    for (uint32_t i = 0; i < s->v->n_services; i++) {
        struct labels l = service_labels(&s->v->services[i]);
        struct durations d = {totals[i].latency, totals[i].latency_us_sum, FINE_BOUNDS};
        exposition_durations(&s->x, &l, &d);
    }
}

static void services_families(struct scrape *s)
{
    struct service_totals *totals = mem_zero(MAX(s->v->n_services, 1u), sizeof *totals);
    if (!totals) {
        s->x.out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s->v->n_services; i++)
        totals_service(s->c, s->v->workers, s->v->services[i].slot, &totals[i]);
    service_families(s, totals);
    service_responses(s, totals);
    service_latency(s, totals);
    mem_free(totals);
}

/* ---- listeners ---- */

struct listener_sample {
    const struct view_service *service;
    char url[ADDR_TEXT_MAX + 8]; /* as in the configuration */
    struct listener_totals totals;
};

#define LISTENER(field) offsetof(struct listener_totals, field)

static const struct total_metric listener_metrics[] = {
    {"holdfast_listener_connections", METRIC_GAUGE, LISTENER(open),
     "Client connections open now; flows of a UDP listener."},
    {"holdfast_listener_accepted_connections_total", METRIC_COUNTER, LISTENER(accepted),
     "Client connections accepted; flows of a UDP listener."},
    {"holdfast_listener_refused_connections_total", METRIC_COUNTER, LISTENER(refused),
     "Connections closed at once for want of memory or descriptors."},
    {"holdfast_listener_bad_proxy_headers_total", METRIC_COUNTER, LISTENER(bad_hellos),
     "Connections closed because no valid PROXY header came."},
    {"holdfast_listener_refused_heads_total", METRIC_COUNTER, LISTENER(bad_heads),
     "Requests answered 4xx by the parser or a limit."},
    {"holdfast_listener_accept_pauses_total", METRIC_COUNTER, LISTENER(rests),
     "Times that accepting rested: too many clients, or no descriptors."},
    {"holdfast_listener_received_bytes_total", METRIC_COUNTER, LISTENER(bytes_in),
     "Bytes of bodies and datagrams received from clients."},
    {"holdfast_listener_sent_bytes_total", METRIC_COUNTER, LISTENER(bytes_out),
     "Bytes of bodies and datagrams sent to clients."},
};

static void listener_families(struct scrape *s, const struct listener_sample *list, size_t n)
{
    for (size_t m = 0; m < ARRAY_LEN(listener_metrics); m++) {
        const struct total_metric *row = &listener_metrics[m];
        exposition_family(&s->x, row->name, row->type, row->help);
        for (size_t i = 0; i < n; i++) {
            struct labels l = and_label(one_label("service", list[i].service->name), "listener",
                                        str_of(list[i].url));
            exposition_count(&s->x, &l, total_at(&list[i].totals, row->at));
        }
    }
}

static void listeners_families(struct scrape *s)
{
    struct listener_sample *list = mem_zero(MAX(s->v->n_sockets, 1u), sizeof *list);
    size_t n = 0;
    if (!list) {
        s->x.out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s->v->n_services; i++) {
        const struct view_service *svc = &s->v->services[i];
        for (uint32_t k = 0; k < svc->n_sockets && n < s->v->n_sockets; k++) {
            const struct view_socket *socket = &s->v->sockets[svc->sockets[k]];
            struct listener_sample *one = &list[n++];
            one->service = svc;
            listener_url(svc, socket, one->url);
            totals_listener(s->c, s->v->workers, socket->slot, &one->totals);
        }
    }
    listener_families(s, list, n);
    mem_free(list);
}

/* ---- instances ---- */

struct instance_sample {
    const struct view_service *service;
    const struct view_instance *instance;
    struct instance_totals totals;
};

static struct labels instance_labels(const struct instance_sample *i)
{
    return and_label(one_label("service", i->service->name), "instance", i->instance->name);
}

static void instance_families(struct scrape *s, const struct instance_sample *list, size_t n)
{
    for (size_t m = 0; m < ARRAY_LEN(instance_metrics); m++) {
        const struct total_metric *row = &instance_metrics[m];
        exposition_family(&s->x, row->name, row->type, row->help);
        for (size_t i = 0; i < n; i++) {
            struct labels l = instance_labels(&list[i]);
            exposition_count(&s->x, &l, total_at(&list[i].totals, row->at));
        }
    }
}

static void instance_outcomes(struct scrape *s, const struct instance_sample *list, size_t n)
{
    static const struct {
        const char *name;
        size_t at;
    } outcomes[] = {
        {"ok", INSTANCE(ok)},
        {"refused", INSTANCE(refused)},
        {"timeout", INSTANCE(timeouts)},
        {"reset", INSTANCE(resets)},
        {"5xx", INSTANCE(errors_5xx)},
    };
    exposition_family(&s->x, "holdfast_instance_outcomes_total", METRIC_COUNTER,
                      "Attempts by how they ended.");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(outcomes); k++) {
            struct labels l =
                and_label(instance_labels(&list[i]), "outcome", str_of(outcomes[k].name));
            exposition_count(&s->x, &l, total_at(&list[i].totals, outcomes[k].at));
        }
}

/* One sample for each verdict, 1 for the one that holds, so that alerts need no numbers. */
static void verdict_set(struct scrape *s, const struct instance_sample *i, enum verdict is)
{
    for (unsigned v = 0; v < VERDICTS; v++) {
        struct labels l =
            and_label(instance_labels(i), "verdict", str_of(verdict_name((enum verdict)v)));
        exposition_count(&s->x, &l, is == v);
    }
}

static void instance_verdicts(struct scrape *s, const struct instance_sample *list, size_t n)
{
    exposition_family(&s->x, "holdfast_instance_verdict", METRIC_GAUGE,
                      "The verdict in force: 1 for the one that holds.");
    for (size_t i = 0; i < n; i++)
        verdict_set(s, &list[i], (enum verdict)admin_shown(s->a, list[i].instance->slot).verdict);
    exposition_family(&s->x, "holdfast_instance_proxy_verdict", METRIC_GAUGE,
                      "Worst verdict of the proxy's workers: 1 for the one that holds.");
    for (size_t i = 0; i < n; i++)
        verdict_set(s, &list[i], list[i].totals.proxy_verdict);
}

static uint64_t verdict_cell(struct scrape *s, uint32_t slot, size_t at)
{
    return slot < s->c->header->slots ? cell_at(cells_verdict(s->c, slot), at) : 0;
}

static void instance_cells(struct scrape *s, const struct instance_sample *list, size_t n)
{
    static const struct total_metric rows[] = {
        {"holdfast_instance_draining", METRIC_GAUGE, offsetof(struct instance_verdict, draining),
         "1 while an operator keeps the instance out."},
        {"holdfast_instance_verdict_changes_total", METRIC_COUNTER,
         offsetof(struct instance_verdict, changes), "Changes of verdict, reason or drain."},
    };
    for (size_t m = 0; m < ARRAY_LEN(rows); m++) {
        exposition_family(&s->x, rows[m].name, rows[m].type, rows[m].help);
        for (size_t i = 0; i < n; i++) {
            struct labels l = instance_labels(&list[i]);
            exposition_count(&s->x, &l, verdict_cell(s, list[i].instance->slot, rows[m].at));
        }
    }
    exposition_family(&s->x, "holdfast_instance_weight", METRIC_GAUGE, "Weight as configured.");
    for (size_t i = 0; i < n; i++) {
        struct labels l = instance_labels(&list[i]);
        exposition_count(&s->x, &l, list[i].instance->weight);
    }
}

static void instance_latency(struct scrape *s, const struct instance_sample *list, size_t n)
{
    exposition_family(&s->x, "holdfast_instance_response_seconds", METRIC_HISTOGRAM,
                      "Time of answered attempts at the instance.");
    for (size_t i = 0; i < n; i++) {
        const struct instance_totals *t = &list[i].totals;
        struct labels l = instance_labels(&list[i]);
        struct durations d = {t->latency, t->latency_us_sum, COARSE_BOUNDS};
        exposition_durations(&s->x, &l, &d);
    }
}

static void instances_families(struct scrape *s)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->v->n_services; i++)
        n += s->v->services[i].n_instances;
    struct instance_sample *list = mem_zero(MAX(n, (size_t)1), sizeof *list);
    if (!list) {
        s->x.out->failed = true;
        return;
    }
    n = 0;
    for (uint32_t i = 0; i < s->v->n_services; i++)
        for (uint32_t k = 0; k < s->v->services[i].n_instances; k++) {
            struct instance_sample *one = &list[n++];
            one->service = &s->v->services[i];
            one->instance = &one->service->instances[k];
            totals_instance(s->c, s->v->workers, one->instance->slot, &one->totals);
        }
    instance_families(s, list, n);
    instance_outcomes(s, list, n);
    instance_verdicts(s, list, n);
    instance_cells(s, list, n);
    instance_latency(s, list, n);
    mem_free(list);
}

/* ---- watched jobs ---- */

static void beat_families(struct scrape *s)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } counters[] = {
        {"holdfast_beat_received_total", "Beats that came, failures among them.",
         offsetof(struct beat_watch, beats)},
        {"holdfast_beat_failures_total", "Beats that said that the job failed.",
         offsetof(struct beat_watch, failures)},
        {"holdfast_beat_missed_total", "Times that the job went missing.",
         offsetof(struct beat_watch, missed)},
    };
    uint64_t now = loop_now(s->a->loop);
    for (size_t m = 0; m < ARRAY_LEN(counters) + 2; m++) {
        bool age = m == ARRAY_LEN(counters), failed = m > ARRAY_LEN(counters);
        if (age)
            exposition_family(&s->x, "holdfast_beat_age_seconds", METRIC_GAUGE,
                              "Seconds since the last beat, or since the watch began.");
        else if (failed)
            exposition_family(&s->x, "holdfast_beat_failed", METRIC_GAUGE,
                              "1 while the job is missing or said that it failed.");
        else
            exposition_family(&s->x, counters[m].name, METRIC_COUNTER, counters[m].help);
        for (uint32_t i = 0; i < s->v->n_beats; i++) {
            const struct beat_watch *w = s->a->host.beat(s->a->host.context, i);
            struct labels l = one_label("beat", s->v->beats[i].name);
            if (w && age)
                exposition_real(&s->x, &l, (double)beat_age(w, now) / 1e9);
            else if (w)
                exposition_count(
                    &s->x, &l, failed ? w->verdict == VERDICT_FAILED : total_at(w, counters[m].at));
        }
    }
}

/* Lines over the network, by what became of them. */
static void beat_lines(struct scrape *s)
{
    struct admin_beat_counts n = s->a->host.beat_counts(s->a->host.context);
    const struct {
        const char *result;
        uint64_t count;
    } lines[] = {
        {"taken", n.taken},
        {"malformed", n.malformed},
        {"denied", n.denied},
        {"dropped", n.dropped},
    };
    exposition_family(&s->x, "holdfast_beat_lines_total", METRIC_COUNTER,
                      "Lines about beats that came over the network, since control was started.");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct labels l = one_label("result", str_of(lines[i].result));
        exposition_count(&s->x, &l, lines[i].count);
    }
}

/* ---- the node ---- */

static void node_count(struct scrape *s, const char *name, const char *help, uint64_t v)
{
    exposition_family(&s->x, name, METRIC_GAUGE, help);
    exposition_count(&s->x, &no_labels, v);
}

static void node_families(struct scrape *s)
{
    const struct events *e = s->a->host.events;
    struct labels l = one_label("version", str_of(HF_VERSION));
    exposition_family(&s->x, "holdfast_build_info", METRIC_GAUGE,
                      "Always 1; the version is in the label.");
    exposition_count(&s->x, &l, 1);
    node_count(s, "holdfast_view_epoch", "Epoch of the view in force.", s->v ? s->v->epoch : 0);
    exposition_family(&s->x, "holdfast_uptime_seconds", METRIC_GAUGE,
                      "Seconds since the node was started.");
    exposition_real(&s->x, &no_labels, (double)admin_uptime(s->a) / 1e9);
    exposition_family(&s->x, "holdfast_events_total", METRIC_COUNTER,
                      "Events by code, since control was started.");
    for (unsigned i = 0; i < EVENT_CODES; i++) {
        l = one_label("code", str_of(event_code_name((enum event_code)i)));
        exposition_count(&s->x, &l, e->by_code[i]);
    }
}

void metrics_write(struct admin *a, enum exposition_form form, struct buf *out)
{
    struct scrape s = {a,
                       a->host.view(a->host.context),
                       a->host.cells(a->host.context),
                       {.out = out, .form = form}};
    node_families(&s);
    process_uptime(&s);
    proxies(&s);
    for (size_t i = 0; i < ARRAY_LEN(process_metrics); i++)
        process_family(&s, &process_metrics[i]);
    metrics_cluster(a, &s.x);
    metrics_config(a, &s.x);
    metrics_coordinator(a, &s.x);
    metrics_roles(a, &s.x);
    metrics_findings(a, &s.x);
    metrics_notify(a, &s.x);
    if (s.v) {
        services_families(&s);
        listeners_families(&s);
        instances_families(&s);
        if (s.v->n_beats)
            beat_families(&s);
        beat_lines(&s);
    }
    exposition_end(&s.x);
}
