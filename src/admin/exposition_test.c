/* The protobuf form, by a reader of its own, and which form a scraper is given. */
#include "admin/fixture.h"

/* --- a reader of messages --- */

static uint64_t varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = get_u8(r);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    r->failed = true;
    return 0;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

struct field {
    uint32_t number;
    uint64_t value;      /* varints; the bits of a double */
    struct reader bytes; /* a message, a string */
};

static double real(const struct field *f)
{
    double v;
    memcpy(&v, &f->value, sizeof v);
    return v;
}

/* False at the end. */
static bool next(struct reader *r, struct field *f)
{
    if (r->failed || r->p == r->end)
        return false;
    uint64_t tag = varint(r);
    *f = (struct field){.number = (uint32_t)(tag >> 3)};
    switch (tag & 7) {
    case 0: f->value = varint(r); return true;
    case 1: f->value = get_u64(r); return true;
    case 2: {
        uint64_t n = varint(r);
        assert_true(n <= (size_t)(r->end - r->p));
        f->bytes = reader_of(r->p, (size_t)n);
        r->p += n;
        return true;
    }
    default: fail_msg("wire type %u", (unsigned)(tag & 7));
    }
    return false;
}

static bool find(struct reader message, uint32_t number, struct field *f)
{
    while (next(&message, f))
        if (f->number == number)
            return true;
    return false;
}

static bool is_text(const struct reader *r, const char *text)
{
    return str_eq((struct str){(const char *)r->p, (size_t)(r->end - r->p)}, str_of(text));
}

/* The family of this name in a delimited stream. */
static struct reader family(const struct buf *out, const char *name)
{
    struct reader r = reader_of(out->p, out->n);
    struct field f;
    while (r.p < r.end) {
        uint64_t n = varint(&r);
        assert_true(!r.failed && n <= (size_t)(r.end - r.p));
        struct reader one = reader_of(r.p, (size_t)n);
        r.p += n;
        assert_true(find(one, 1, &f));
        if (is_text(&f.bytes, name))
            return one;
    }
    fail_msg("no family %s", name);
    return r;
}

/* --- histograms --- */

static struct buf histogram_of(const uint64_t counts[LATENCY_BUCKETS])
{
    struct buf out = {0};
    struct exposition x = {.out = &out, .form = EXPOSITION_PROTOBUF};
    struct labels l = {{{"service", STR("we\"b")}}, 1};
    struct durations d = {counts, 2500000, 8, 68, 4};
    exposition_family(&x, "some_seconds", METRIC_HISTOGRAM, "Some.");
    exposition_durations(&x, &l, &d);
    exposition_end(&x);
    assert_false(out.failed);
    return out;
}

static struct reader histogram_in(const struct buf *out)
{
    struct reader m = family(out, "some_seconds");
    struct field f;
    assert_true(find(m, 3, &f) && f.value == 4);
    assert_true(find(m, 4, &f));
    assert_true(find(f.bytes, 7, &f));
    return f.bytes;
}

/* What spans and deltas say, put back into cells. */
static void read_native(struct reader h, uint64_t counts[LATENCY_BUCKETS])
{
    struct field span, f;
    struct reader deltas = {0}, all = h;
    int64_t index = 0, value = 0;
    memset(counts, 0, LATENCY_BUCKETS * sizeof *counts);
    assert_true(find(h, 7, &f));
    counts[0] = f.value;
    if (find(h, 13, &f))
        deltas = f.bytes;
    while (next(&all, &span)) {
        if (span.number != 12)
            continue;
        assert_true(find(span.bytes, 1, &f));
        index += unzigzag(f.value);
        assert_true(find(span.bytes, 2, &f));
        for (uint64_t i = 0; i < f.value; i++, index++) {
            value += unzigzag(varint(&deltas));
            assert_true(value >= 0 && index > -64 && index + 64 < LATENCY_BUCKETS);
            counts[index + 64] = (uint64_t)value;
        }
    }
    assert_true(reader_done(&deltas));
}

static void check_classic(struct reader h, const uint64_t counts[LATENCY_BUCKETS])
{
    struct field bucket, count, bound;
    unsigned at = 8;
    while (next(&h, &bucket)) {
        if (bucket.number != 3)
            continue;
        uint64_t below = 0;
        for (unsigned i = 0; i <= at; i++)
            below += counts[i];
        assert_true(find(bucket.bytes, 1, &count) && find(bucket.bytes, 2, &bound));
        assert_true(count.value == below);
        assert_true(real(&bound) == latency_bound(at));
        at += 4;
    }
    assert_int_equal(at, 72);
}

static void native_histograms_hold_every_count(void **state)
{
    struct prng r;
    prng_seed(&r, 3);
    for (int round = 0; round < 500; round++) {
        uint64_t counts[LATENCY_BUCKETS], got[LATENCY_BUCKETS], all = 0;
        for (size_t i = 0; i < LATENCY_BUCKETS; i++)
            all += counts[i] = prng_below(&r, (uint64_t)round % 7 + 1)
                                   ? 0
                                   : prng_next(&r) >> (12 + prng_below(&r, 52));
        struct buf out = histogram_of(counts);
        struct reader h = histogram_in(&out);
        struct field f;
        assert_true(find(h, 1, &f) && f.value == all);
        assert_true(find(h, 2, &f) && real(&f) == 2.5);
        assert_true(find(h, 5, &f) && unzigzag(f.value) == 2);
        assert_true(find(h, 6, &f) && real(&f) == 1.0 / 65536);
        read_native(h, got);
        assert_memory_equal(got, counts, sizeof counts);
        check_classic(h, counts);
        buf_free(&out);
    }
}

static void an_empty_histogram_is_native_too(void **state)
{
    uint64_t counts[LATENCY_BUCKETS] = {0};
    struct buf out = histogram_of(counts);
    struct reader h = histogram_in(&out);
    struct field f;
    assert_true(find(h, 6, &f) && real(&f) > 0); /* tells it apart from a classic one */
    assert_false(find(h, 12, &f));
    assert_false(find(h, 13, &f));
    buf_free(&out);
}

/* --- the whole --- */

static void both_forms_say_the_same(void **state)
{
    struct fixture f;
    struct buf text = {0}, proto = {0};
    fixture_open(&f, fixture_new_view("web"));
    metrics_write(f.admin, EXPOSITION_TEXT, &text);
    metrics_write(f.admin, EXPOSITION_PROTOBUF, &proto);
    assert_false(text.failed || proto.failed);
    struct reader r = reader_of(proto.p, proto.n);
    unsigned families = 0, wanted = 0;
    while (r.p < r.end) {
        uint64_t n = varint(&r);
        assert_true(!r.failed && n <= (size_t)(r.end - r.p));
        struct reader one = reader_of(r.p, (size_t)n);
        struct field name, help;
        assert_true(find(one, 1, &name) && find(one, 2, &help));
        char line[512];
        snprintf(line, sizeof line, "# HELP %.*s %.*s\n", (int)(name.bytes.end - name.bytes.p),
                 (const char *)name.bytes.p, (int)(help.bytes.end - help.bytes.p),
                 (const char *)help.bytes.p);
        assert_non_null(memmem(text.p, text.n, line, strlen(line)));
        r.p += n;
        families++;
    }
    for (const char *at = text.p; (at = memmem(at, (size_t)(text.p + text.n - at), "# HELP ", 7));)
        wanted++, at++;
    assert_int_equal(families, wanted);
    struct field m, v;
    assert_true(find(family(&proto, "holdfast_service_requests_total"), 4, &m));
    assert_true(find(m.bytes, 3, &v)); /* a counter */
    assert_true(find(v.bytes, 1, &v) && real(&v) == 201);
    assert_true(find(family(&proto, "holdfast_view_epoch"), 4, &m));
    assert_true(find(m.bytes, 2, &v)); /* a gauge */
    assert_true(find(v.bytes, 1, &v) && real(&v) == 7);
    buf_free(&text);
    buf_free(&proto);
    fixture_close(&f);
}

static void out_of_memory_is_noticed(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    for (unsigned long n = 1;; n++) {
        struct buf out = {0};
        mem_fail_at(n);
        metrics_write(f.admin, EXPOSITION_PROTOBUF, &out);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(out.failed, failed);
        buf_free(&out);
        if (!failed)
            break;
    }
    fixture_close(&f);
}

static void the_accept_field_decides(void **state)
{
#define PROTOBUF                                                                                   \
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    static const struct {
        const char *accept;
        enum exposition_form form;
    } cases[] = {
        {"", EXPOSITION_TEXT},
        {"*/*", EXPOSITION_TEXT},
        {"text/plain", EXPOSITION_TEXT},
        {PROTOBUF, EXPOSITION_PROTOBUF},
        /* as Prometheus asks */
        {PROTOBUF ";q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                  "text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         EXPOSITION_PROTOBUF},
        {"application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5," PROTOBUF
         ";q=0.4,*/*;q=0.3",
         EXPOSITION_TEXT},
        {PROTOBUF ";q=0.5, text/plain;q=0.5", EXPOSITION_PROTOBUF},
        {"text/plain;q=0.5, " PROTOBUF ";q=0.5", EXPOSITION_TEXT},
        {PROTOBUF ";q=0, */*;q=0.1", EXPOSITION_TEXT},
        {PROTOBUF ";q=0", EXPOSITION_TEXT},
        {PROTOBUF ";q=nonsense", EXPOSITION_TEXT},
        {PROTOBUF ";q=2", EXPOSITION_TEXT},
        {"application/vnd.google.protobuf", EXPOSITION_TEXT},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
         EXPOSITION_TEXT},
        {"application/vnd.google.protobuf ; proto=io.prometheus.client.MetricFamily ; "
         "encoding=delimited",
         EXPOSITION_PROTOBUF},
        {",,;;q=,=;,", EXPOSITION_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (exposition_accepted(str_of(cases[i].accept)) != cases[i].form)
            fail_msg("wrong form for: %s", cases[i].accept);
#undef PROTOBUF
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_histograms_hold_every_count),
        cmocka_unit_test(an_empty_histogram_is_native_too),
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(out_of_memory_is_noticed),
        cmocka_unit_test(the_accept_field_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
