/* The metrics of what the senses hold against subjects. */
#include "admin/exposition.h"
#include "admin/inside.h"

enum { LISTED_MOST = 1000 /* subjects in one scrape */ };

static struct labels finding_labels(const struct admin_held *h, enum finding_kind k)
{
    return (struct labels){{{"of", str_of(subject_kind_name(h->kind))},
                            {"subject", str_of(h->name)},
                            {"finding", str_of(finding_name(k))}},
                           3};
}

/* A row for each kind that is raised; its value is the worst verdict that one of them asks for. */
static void held_rows(struct exposition *x, const struct admin_held *h)
{
    for (unsigned k = 0; k < FINDING_KINDS; k++) {
        enum verdict worst = VERDICT_HEALTHY;
        for (uint32_t i = 0; i < h->findings->n; i++) {
            const struct finding *f = &h->findings->list[i];
            if (f->raised && f->kind == (enum finding_kind)k)
                worst = verdict_worse(worst, f->verdict);
        }
        struct labels l = finding_labels(h, (enum finding_kind)k);
        if (worst != VERDICT_HEALTHY)
            exposition_count(x, &l, worst);
    }
}

static void log_counts(struct admin *a, struct exposition *x)
{
    const struct process_row *r = &a->host.cells(a->host.context)->processes[PROCESS_SENSE];
    const struct {
        const char *name, *help;
        uint64_t n;
    } rows[] = {
        {"holdfast_log_lines_total", "Lines of logs that were read.", cell_get(&r->log_lines)},
        {"holdfast_log_bytes_total", "Bytes of logs that were read.", cell_get(&r->log_bytes)},
        {"holdfast_log_shed_lines_total", "Lines that were skipped, in too large a backlog.",
         cell_get(&r->log_shed_lines)},
        {"holdfast_log_shed_bytes_total", "Bytes of these lines.", cell_get(&r->log_shed_bytes)},
    };
    struct labels none = {.n = 0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        exposition_family(x, rows[i].name, METRIC_COUNTER, rows[i].help);
        exposition_count(x, &none, rows[i].n);
    }
}

void metrics_findings(struct admin *a, struct exposition *x)
{
    struct admin_held h;
    uint32_t n = 0;
    if (!a->host.found)
        return;
    struct admin_found found = a->host.found(a->host.context);
    exposition_family(x, "holdfast_finding_raised", METRIC_GAUGE,
                      "What the senses hold against a subject: 1 for degraded, 3 for failed.");
    for (size_t at = 0; n < LISTED_MOST && held_next(a, &at, &h); n++)
        held_rows(x, &h);
    exposition_family(x, "holdfast_findings_total", METRIC_COUNTER,
                      "Findings that were raised, since control was started.");
    for (unsigned k = 0; k < FINDING_KINDS; k++) {
        struct labels l = {{{"finding", str_of(finding_name((enum finding_kind)k))}}, 1};
        exposition_count(x, &l, found.raised[k]);
    }
    exposition_family(x, "holdfast_findings_refused_total", METRIC_COUNTER,
                      "Findings that were not taken, for want of room or sense.");
    struct labels none = {.n = 0};
    exposition_count(x, &none, found.refused);
    log_counts(a, x);
}
