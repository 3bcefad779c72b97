#include "admin/exposition.h"

#include <stdio.h>

#include "admin/protobuf.h"

/* Field numbers of io/prometheus/client/metrics.proto (prometheus/client_model). */
enum {
    FAMILY_NAME = 1,
    FAMILY_HELP = 2,
    FAMILY_TYPE = 3,
    FAMILY_METRIC = 4,
    METRIC_LABEL = 1,
    METRIC_GAUGE_VALUE = 2,
    METRIC_COUNTER_VALUE = 3,
    METRIC_HISTOGRAM_VALUE = 7,
    LABEL_NAME = 1,
    LABEL_VALUE = 2,
    NUMBER_VALUE = 1,
    HISTOGRAM_COUNT = 1,
    HISTOGRAM_SUM = 2,
    HISTOGRAM_BUCKET = 3,
    HISTOGRAM_SCHEMA = 5,
    HISTOGRAM_ZERO_THRESHOLD = 6,
    HISTOGRAM_ZERO_COUNT = 7,
    HISTOGRAM_POSITIVE_SPAN = 12,
    HISTOGRAM_POSITIVE_DELTA = 13,
    BUCKET_COUNT = 1,
    BUCKET_BOUND = 2,
    SPAN_OFFSET = 1,
    SPAN_LENGTH = 2,
};

static const struct {
    const char *text;
    uint32_t number;
} types[] = {
    [METRIC_COUNTER] = {"counter", 0},
    [METRIC_GAUGE] = {"gauge", 1},
    [METRIC_HISTOGRAM] = {"histogram", 4},
};

const char *exposition_content_type(enum exposition_form form)
{
    switch (form) {
    case EXPOSITION_PROTOBUF:
        return "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
               "encoding=delimited";
    case EXPOSITION_TEXT: return "text/plain; version=0.0.4; charset=utf-8";
    case EXPOSITION_FORMS: break;
    }
    UNREACHABLE();
}

/* --- text --- */

/* A label's value: backslash, quote and line feed are escaped, all else goes as it is. */
static void text_value(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_add(out, "\\n", 2);
        else
            buf_add(out, &c, 1);
    }
}

/* name suffix {labels, le} and a blank. le: NULL, or the text of one more label. */
static void text_series(struct exposition *x, const char *suffix, const struct labels *labels,
                        const char *le)
{
    buf_printf(x->out, "%s%s", x->name, suffix);
    for (size_t i = 0; i < labels->n; i++) {
        buf_printf(x->out, "%s%s=\"", i ? "," : "{", labels->list[i].name);
        text_value(x->out, labels->list[i].value);
        buf_add(x->out, "\"", 1);
    }
    if (le)
        buf_printf(x->out, "%sle=\"%s\"", labels->n ? "," : "{", le);
    buf_printf(x->out, labels->n || le ? "} " : " ");
}

static void text_durations(struct exposition *x, const struct labels *labels,
                           const struct durations *d)
{
    char le[32];
    uint64_t below = 0;
    unsigned next = d->first;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        below += d->counts[i];
        if (i != next || i > d->last)
            continue;
        next += d->step;
        snprintf(le, sizeof le, "%.17g", latency_bound(i));
        text_series(x, "_bucket", labels, le);
        buf_printf(x->out, "%llu\n", (unsigned long long)below);
    }
    text_series(x, "_bucket", labels, "+Inf");
    buf_printf(x->out, "%llu\n", (unsigned long long)below);
    text_series(x, "_sum", labels, NULL);
    buf_printf(x->out, "%.6f\n", (double)d->us_sum / 1e6);
    text_series(x, "_count", labels, NULL);
    buf_printf(x->out, "%llu\n", (unsigned long long)below);
}

/* --- protobuf --- */

/* The open family goes out whole, its length first. */
static void proto_flush(struct exposition *x)
{
    if (x->family.n) {
        protobuf_varint(x->out, x->family.n);
        buf_add_str(x->out, buf_str(&x->family));
    }
    x->out->failed |= x->family.failed;
    buf_clear(&x->family);
}

static void proto_begin(struct exposition *x, const struct labels *labels)
{
    buf_clear(&x->metric);
    for (size_t i = 0; i < labels->n; i++) {
        buf_clear(&x->part);
        protobuf_bytes(&x->part, LABEL_NAME, str_of(labels->list[i].name));
        protobuf_bytes(&x->part, LABEL_VALUE, labels->list[i].value);
        x->out->failed |= x->part.failed;
        protobuf_bytes(&x->metric, METRIC_LABEL, buf_str(&x->part));
    }
    buf_clear(&x->part);
}

/* The value in `part` ends the metric. */
static void proto_end(struct exposition *x, uint32_t field)
{
    protobuf_bytes(&x->metric, field, buf_str(&x->part));
    protobuf_bytes(&x->family, FAMILY_METRIC, buf_str(&x->metric));
    x->out->failed |= x->part.failed || x->metric.failed;
}

static void proto_number(struct exposition *x, const struct labels *labels, double v)
{
    proto_begin(x, labels);
    protobuf_double(&x->part, NUMBER_VALUE, v);
    proto_end(x, x->type == METRIC_COUNTER ? METRIC_COUNTER_VALUE : METRIC_GAUGE_VALUE);
}

static void proto_inner(struct exposition *x, uint32_t field)
{
    protobuf_bytes(&x->part, field, buf_str(&x->inner));
    x->out->failed |= x->inner.failed;
    buf_clear(&x->inner);
}

static void proto_classic(struct exposition *x, const struct durations *d)
{
    uint64_t below = 0;
    unsigned next = d->first;
    for (unsigned i = 0; i <= d->last; i++) {
        below += d->counts[i];
        if (i != next)
            continue;
        next += d->step;
        protobuf_uint(&x->inner, BUCKET_COUNT, below);
        protobuf_double(&x->inner, BUCKET_BOUND, latency_bound(i));
        proto_inner(x, HISTOGRAM_BUCKET);
    }
}

/* The next run of buckets that are not empty, from cell *at on; a gap of up to two zeros costs less
 * than a new run. False: there is none. */
static bool next_run(const uint64_t counts[LATENCY_BUCKETS], unsigned *at, unsigned *end)
{
    enum { GAP = 2 };
    while (*at < LATENCY_BUCKETS && !counts[*at])
        ++*at;
    *end = *at + 1;
    for (unsigned k = *end; k < LATENCY_BUCKETS && k <= *end + GAP; k++)
        if (counts[k])
            *end = k + 1;
    return *at < LATENCY_BUCKETS;
}

static void proto_spans(struct exposition *x, const uint64_t counts[LATENCY_BUCKETS])
{
    int before = 0; /* native index behind the run before */
    for (unsigned at = 1, end; next_run(counts, &at, &end); at = end) {
        protobuf_sint(&x->inner, SPAN_OFFSET, (int)at + LATENCY_NATIVE - before);
        protobuf_uint(&x->inner, SPAN_LENGTH, end - at);
        proto_inner(x, HISTOGRAM_POSITIVE_SPAN);
        before = (int)end + LATENCY_NATIVE;
    }
}

/* The counts of the same runs, each as what it is more than the one before. */
static void proto_deltas(struct exposition *x, const uint64_t counts[LATENCY_BUCKETS])
{
    int64_t before = 0;
    for (unsigned at = 1, end; next_run(counts, &at, &end); at = end)
        for (unsigned i = at; i < end; i++) {
            protobuf_packed_sint(&x->inner, (int64_t)counts[i] - before);
            before = (int64_t)counts[i];
        }
    if (x->inner.n)
        proto_inner(x, HISTOGRAM_POSITIVE_DELTA);
}

static void proto_durations(struct exposition *x, const struct labels *labels,
                            const struct durations *d)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        count += d->counts[i];
    proto_begin(x, labels);
    buf_clear(&x->inner);
    protobuf_uint(&x->part, HISTOGRAM_COUNT, count);
    protobuf_double(&x->part, HISTOGRAM_SUM, (double)d->us_sum / 1e6);
    proto_classic(x, d);
    protobuf_sint(&x->part, HISTOGRAM_SCHEMA, LATENCY_SCHEMA);
    protobuf_double(&x->part, HISTOGRAM_ZERO_THRESHOLD, latency_bound(0));
    protobuf_uint(&x->part, HISTOGRAM_ZERO_COUNT, d->counts[0]);
    proto_spans(x, d->counts);
    proto_deltas(x, d->counts);
    proto_end(x, METRIC_HISTOGRAM_VALUE);
}

/* --- both --- */

void exposition_family(struct exposition *x, const char *name, enum metric_type type,
                       const char *help)
{
    x->name = name;
    x->type = type;
    if (x->form == EXPOSITION_TEXT) {
        buf_printf(x->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type].text);
        return;
    }
    proto_flush(x);
    protobuf_bytes(&x->family, FAMILY_NAME, str_of(name));
    protobuf_bytes(&x->family, FAMILY_HELP, str_of(help));
    protobuf_uint(&x->family, FAMILY_TYPE, types[type].number);
}

void exposition_count(struct exposition *x, const struct labels *labels, uint64_t v)
{
    if (x->form == EXPOSITION_PROTOBUF) {
        proto_number(x, labels, (double)v);
        return;
    }
    text_series(x, "", labels, NULL);
    buf_printf(x->out, "%llu\n", (unsigned long long)v);
}

void exposition_real(struct exposition *x, const struct labels *labels, double v)
{
    if (x->form == EXPOSITION_PROTOBUF) {
        proto_number(x, labels, v);
        return;
    }
    text_series(x, "", labels, NULL);
    buf_printf(x->out, "%.3f\n", v);
}

void exposition_ns(struct exposition *x, const struct labels *labels, uint64_t ns)
{
    double v = (double)ns / 1e9;
    if (x->form == EXPOSITION_PROTOBUF) {
        proto_number(x, labels, v);
        return;
    }
    text_series(x, "", labels, NULL);
    buf_printf(x->out, "%.6f\n", v);
}

void exposition_durations(struct exposition *x, const struct labels *labels,
                          const struct durations *d)
{
    if (x->form == EXPOSITION_PROTOBUF)
        proto_durations(x, labels, d);
    else
        text_durations(x, labels, d);
}

void exposition_end(struct exposition *x)
{
    proto_flush(x);
    buf_free(&x->family);
    buf_free(&x->metric);
    buf_free(&x->part);
    buf_free(&x->inner);
}
