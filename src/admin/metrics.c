/* The metrics: Prometheus text format 0.0.4, one family after the other, each with HELP and TYPE.
 * docs/metrics.md lists them; a test compares.
 *
 * A family is a row of a table: its name, its type, and where its samples' numbers lie. Counters
 * and gauges come from the shared cells as they are: a scrape changes nothing. */
#include "admin/inside.h"

#include <stdio.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

static const char *const type_names[] = {"counter", "gauge", "histogram"};

static void family(struct buf *out, const char *name, enum metric_type type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type_names[type]);
}

/* A label's value: backslash, quote and line feed are escaped, all else goes as it is. */
static void label(struct buf *out, const char *name, struct str value, bool first)
{
    buf_printf(out, "%s%s=\"", first ? "{" : ",", name);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_add(out, "\\n", 2);
        else
            buf_add(out, &c, 1);
    }
    buf_add(out, "\"", 1);
}

static void value_u64(struct buf *out, uint64_t v)
{
    buf_printf(out, "} %llu\n", (unsigned long long)v);
}

struct scrape {
    struct admin *a;
    const struct view *v;
    const struct cells *c;
    struct buf *out;
};

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
        const char *at = (const char *)&c->processes[place] + m->at;
        sum += cell_get((const cell *)(const void *)at);
    }
    return sum;
}

static void process_family(const struct scrape *s, const struct process_metric *m)
{
    family(s->out, m->name, m->type, m->help);
    uint32_t from = m->workers ? PROCESS_WORKER0 : 0;
    uint32_t to = m->owner ? PROCESS_WORKER0 : process_rows(s->a);
    for (uint32_t i = from; i < to; i++) {
        char name[32];
        process_name(i, name);
        buf_printf(s->out, "%s", m->name);
        label(s->out, m->workers ? "worker" : "process",
              str_of(m->workers ? name + strlen("worker-") : name), true);
        value_u64(s->out, process_value(s->c, m, i));
    }
}

static void process_uptime(const struct scrape *s)
{
    const char *name = "holdfast_process_uptime_seconds";
    uint64_t now = loop_now(s->a->loop);
    family(s->out, name, METRIC_GAUGE, "Seconds since the process was started.");
    for (uint32_t i = 0; i < PROCESS_WORKER0; i++) {
        char process[32];
        process_name(i, process);
        uint64_t at = cell_get(&s->c->processes[process_place(s->c, i)].started_at);
        buf_printf(s->out, "%s", name);
        label(s->out, "process", str_of(process), true);
        buf_printf(s->out, "} %.3f\n", now > at && at ? (double)(now - at) / 1e9 : 0.0);
    }
}

/* ---- histograms ---- */

/* Buckets 2^first us, 2^(first + step) us ... 2^last us, +Inf. */
struct steps {
    unsigned first, last, step;
};
static const struct steps fine = {6, 25, 1}, coarse = {6, 24, 2};

static void histogram(struct buf *out, const char *name, const struct buf *labels,
                      const uint64_t counts[LATENCY_BUCKETS], uint64_t sum_us,
                      const struct steps *steps)
{
    uint64_t below = 0;
    unsigned next = steps->first;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        below += counts[i];
        if (i != next || i > steps->last)
            continue;
        next += steps->step;
        buf_printf(out, "%s_bucket", name);
        buf_add_str(out, buf_str(labels));
        buf_printf(out, ",le=\"%.9g\"} %llu\n", (double)(UINT64_C(1) << i) / 1e6,
                   (unsigned long long)below);
    }
    buf_printf(out, "%s_bucket", name);
    buf_add_str(out, buf_str(labels));
    buf_printf(out, ",le=\"+Inf\"} %llu\n%s_sum", (unsigned long long)below, name);
    buf_add_str(out, buf_str(labels));
    buf_printf(out, "} %.6f\n%s_count", (double)sum_us / 1e6, name);
    buf_add_str(out, buf_str(labels));
    value_u64(out, below);
}

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
    {"holdfast_service_refused_heads_total", METRIC_COUNTER, SERVICE(refused_heads),
     "Requests answered 4xx by the parser or a limit."},
    {"holdfast_service_unroutable_requests_total", METRIC_COUNTER, SERVICE(no_instance),
     "Requests answered 503 because no instance could be picked."},
    {"holdfast_service_tunnels", METRIC_GAUGE, SERVICE(tunnels),
     "Upgraded connections and connections of TCP services open now."},
    {"holdfast_service_relayed_total", METRIC_COUNTER, SERVICE(relayed),
     "Connections of TCP services that reached an instance."},
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

static void service_label(struct buf *out, const struct view_service *svc)
{
    label(out, "service", svc->name, true);
}

static void service_families(const struct scrape *s, const struct service_totals *totals)
{
    for (size_t m = 0; m < ARRAY_LEN(service_metrics); m++) {
        family(s->out, service_metrics[m].name, service_metrics[m].type, service_metrics[m].help);
        for (uint32_t i = 0; i < s->v->n_services; i++) {
            buf_printf(s->out, "%s", service_metrics[m].name);
            service_label(s->out, &s->v->services[i]);
            value_u64(s->out, total_at(&totals[i], service_metrics[m].at));
        }
    }
}

static void service_responses(const struct scrape *s, const struct service_totals *totals)
{
    static const char *const classes[] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const char *name = "holdfast_service_responses_total";
    family(s->out, name, METRIC_COUNTER,
           "Responses to clients by status class; cut: the connection ended without one.");
    for (uint32_t i = 0; i < s->v->n_services; i++)
        for (size_t k = 0; k < ARRAY_LEN(classes); k++) {
            buf_printf(s->out, "%s", name);
            service_label(s->out, &s->v->services[i]);
            label(s->out, "class", str_of(classes[k]), false);
            value_u64(s->out, totals[i].status[k]);
        }
}

static void service_latency(const struct scrape *s, const struct service_totals *totals)
{
    const char *name = "holdfast_service_response_seconds";
    family(s->out, name, METRIC_HISTOGRAM, "Time from a request's head to its response's.");
    for (uint32_t i = 0; i < s->v->n_services; i++) {
        struct buf labels = {0};
        service_label(&labels, &s->v->services[i]);
        s->out->failed |= labels.failed;
        histogram(s->out, name, &labels, totals[i].latency, totals[i].latency_us_sum, &fine);
        buf_free(&labels);
    }
}

static void services_text(const struct scrape *s)
{
    struct service_totals *totals = mem_zero(MAX(s->v->n_services, 1u), sizeof *totals);
    if (!totals) {
        s->out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s->v->n_services; i++)
        totals_service(s->c, s->v->workers, s->v->services[i].slot, &totals[i]);
    service_families(s, totals);
    service_responses(s, totals);
    service_latency(s, totals);
    mem_free(totals);
}

/* ---- instances ---- */

struct instance_sample {
    const struct view_service *service;
    const struct view_instance *instance;
    struct instance_totals totals;
};

static void instance_labels(struct buf *out, const struct instance_sample *i)
{
    label(out, "service", i->service->name, true);
    label(out, "instance", i->instance->name, false);
}

static void instance_families(const struct scrape *s, const struct instance_sample *list, size_t n)
{
    for (size_t m = 0; m < ARRAY_LEN(instance_metrics); m++) {
        const struct total_metric *row = &instance_metrics[m];
        family(s->out, row->name, row->type, row->help);
        for (size_t i = 0; i < n; i++) {
            buf_printf(s->out, "%s", row->name);
            instance_labels(s->out, &list[i]);
            value_u64(s->out, total_at(&list[i].totals, row->at));
        }
    }
}

static void instance_outcomes(const struct scrape *s, const struct instance_sample *list, size_t n)
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
    const char *name = "holdfast_instance_outcomes_total";
    family(s->out, name, METRIC_COUNTER, "Attempts by how they ended.");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(outcomes); k++) {
            buf_printf(s->out, "%s", name);
            instance_labels(s->out, &list[i]);
            label(s->out, "outcome", str_of(outcomes[k].name), false);
            value_u64(s->out, total_at(&list[i].totals, outcomes[k].at));
        }
}

/* One sample for each verdict, 1 for the one that holds, so that alerts need no numbers. */
static void verdict_set(const struct scrape *s, const struct instance_sample *i, const char *name,
                        enum verdict is)
{
    for (unsigned v = 0; v < VERDICTS; v++) {
        buf_printf(s->out, "%s", name);
        instance_labels(s->out, i);
        label(s->out, "verdict", str_of(verdict_name((enum verdict)v)), false);
        value_u64(s->out, is == v);
    }
}

static void instance_verdicts(const struct scrape *s, const struct instance_sample *list, size_t n)
{
    const char *name = "holdfast_instance_verdict", *own = "holdfast_instance_proxy_verdict";
    family(s->out, name, METRIC_GAUGE, "Control's verdict: 1 for the one that holds.");
    for (size_t i = 0; i < n; i++) {
        const struct judge *j = s->a->host.judge(s->a->host.context, list[i].instance->slot);
        verdict_set(s, &list[i], name, j ? j->verdict : VERDICT_SUSPECT);
    }
    family(s->out, own, METRIC_GAUGE,
           "Worst verdict of the proxy's workers: 1 for the one that holds.");
    for (size_t i = 0; i < n; i++)
        verdict_set(s, &list[i], own, list[i].totals.proxy_verdict);
}

static const cell *verdict_cell(const struct scrape *s, uint32_t slot, size_t at)
{
    static const cell none;
    if (slot >= s->c->header->slots)
        return &none;
    return (const cell *)(const void *)((const char *)cells_verdict(s->c, slot) + at);
}

static void instance_cells(const struct scrape *s, const struct instance_sample *list, size_t n)
{
    static const struct total_metric rows[] = {
        {"holdfast_instance_draining", METRIC_GAUGE, offsetof(struct instance_verdict, draining),
         "1 while an operator keeps the instance out."},
        {"holdfast_instance_verdict_changes_total", METRIC_COUNTER,
         offsetof(struct instance_verdict, changes), "Changes of verdict, reason or drain."},
    };
    for (size_t m = 0; m < ARRAY_LEN(rows); m++) {
        family(s->out, rows[m].name, rows[m].type, rows[m].help);
        for (size_t i = 0; i < n; i++) {
            buf_printf(s->out, "%s", rows[m].name);
            instance_labels(s->out, &list[i]);
            value_u64(s->out, cell_get(verdict_cell(s, list[i].instance->slot, rows[m].at)));
        }
    }
    family(s->out, "holdfast_instance_weight", METRIC_GAUGE, "Weight as configured.");
    for (size_t i = 0; i < n; i++) {
        buf_printf(s->out, "holdfast_instance_weight");
        instance_labels(s->out, &list[i]);
        value_u64(s->out, list[i].instance->weight);
    }
}

static void instance_latency(const struct scrape *s, const struct instance_sample *list, size_t n)
{
    const char *name = "holdfast_instance_response_seconds";
    family(s->out, name, METRIC_HISTOGRAM, "Time of answered attempts at the instance.");
    for (size_t i = 0; i < n; i++) {
        struct buf labels = {0};
        instance_labels(&labels, &list[i]);
        s->out->failed |= labels.failed;
        histogram(s->out, name, &labels, list[i].totals.latency, list[i].totals.latency_us_sum,
                  &coarse);
        buf_free(&labels);
    }
}

static void instances_text(const struct scrape *s)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->v->n_services; i++)
        n += s->v->services[i].n_instances;
    struct instance_sample *list = mem_zero(MAX(n, (size_t)1), sizeof *list);
    if (!list) {
        s->out->failed = true;
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

/* ---- the node ---- */

static void node_text(const struct scrape *s)
{
    const struct events *e = s->a->host.events;
    family(s->out, "holdfast_build_info", METRIC_GAUGE, "Always 1; the version is in the label.");
    buf_printf(s->out, "holdfast_build_info");
    label(s->out, "version", str_of(HF_VERSION), true);
    value_u64(s->out, 1);
    family(s->out, "holdfast_view_epoch", METRIC_GAUGE, "Epoch of the view in force.");
    buf_printf(s->out, "holdfast_view_epoch %llu\n", (unsigned long long)(s->v ? s->v->epoch : 0));
    family(s->out, "holdfast_uptime_seconds", METRIC_GAUGE, "Seconds since the node was started.");
    buf_printf(s->out, "holdfast_uptime_seconds %.3f\n", (double)admin_uptime(s->a) / 1e9);
    family(s->out, "holdfast_events_total", METRIC_COUNTER,
           "Events by code, since control was started.");
    for (unsigned i = 0; i < EVENT_CODES; i++) {
        buf_printf(s->out, "holdfast_events_total");
        label(s->out, "code", str_of(event_code_name((enum event_code)i)), true);
        value_u64(s->out, e->by_code[i]);
    }
}

void metrics_text(struct admin *a, struct buf *out)
{
    struct scrape s = {a, a->host.view(a->host.context), a->host.cells(a->host.context), out};
    node_text(&s);
    process_uptime(&s);
    for (size_t i = 0; i < ARRAY_LEN(process_metrics); i++)
        process_family(&s, &process_metrics[i]);
    if (!s.v)
        return;
    services_text(&s);
    instances_text(&s);
}
