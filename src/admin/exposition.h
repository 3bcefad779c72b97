/* exposition: metrics in one of the two forms that Prometheus takes: its text format 0.0.4, or
 * delimited messages io.prometheus.client.MetricFamily of Protocol Buffers, in which histograms are
 * native ones (and classic as well, for who does not know native ones).
 *
 * The caller writes family after family: exposition_family, then its samples, at last
 * exposition_end. */
#ifndef HF_ADMIN_EXPOSITION_H
#define HF_ADMIN_EXPOSITION_H

#include "view/latency.h"

enum exposition_form { EXPOSITION_TEXT, EXPOSITION_PROTOBUF, EXPOSITION_FORMS };
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct exposition {
    struct buf *out; /* check ->failed at the end */
    enum exposition_form form;
    const char *name; /* of the family that is open */
    enum metric_type type;
    struct buf family, metric, part, inner; /* protobuf: messages under construction */
};

struct label {
    const char *name;
    struct str value;
};
enum { LABELS_MAX = 4 };
struct labels {
    struct label list[LABELS_MAX];
    size_t n;
};

/* Counts of durations, and which of their bounds are told as classic buckets: cells first, first +
 * step ... last. */
struct durations {
    const uint64_t *counts; /* [LATENCY_BUCKETS] */
    uint64_t us_sum;
    unsigned first, last, step;
};

/* The form that an Accept field asks for; text when it asks for neither. */
enum exposition_form exposition_accepted(struct str accept);
const char *exposition_content_type(enum exposition_form form);

void exposition_family(struct exposition *x, const char *name, enum metric_type type,
                       const char *help);
void exposition_count(struct exposition *x, const struct labels *labels, uint64_t v);
/* Not negative; three decimals in text. */
void exposition_real(struct exposition *x, const struct labels *labels, double v);
/* ns, told as seconds; six decimals in text. */
void exposition_ns(struct exposition *x, const struct labels *labels, uint64_t ns);
void exposition_durations(struct exposition *x, const struct labels *labels,
                          const struct durations *d);
void exposition_end(struct exposition *x);

#endif
