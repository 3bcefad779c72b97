/* The exposition, by a checker of its own that is stricter than Prometheus: the text format 0.0.4
 * and the naming rules of its documentation. And every family is in docs/metrics.md. */
#include <ctype.h>
#include <stdio.h>

#include "admin/fixture.h"

enum { MAX_FAMILIES = 128, MAX_SERIES = 4096, NAME_MAX_BYTES = 128, SERIES_MAX = 512 };

struct checked_family {
    char name[NAME_MAX_BYTES], type[16];
    bool help, closed;
    unsigned samples;
};

struct checker {
    const char *why; /* NULL: all is well */
    struct checked_family family[MAX_FAMILIES];
    unsigned n_families;
    char (*series)[SERIES_MAX]; /* name and labels of every sample so far */
    unsigned n_series;
    /* the histogram series that is open */
    char open[SERIES_MAX];
    double le, cumulative;
    bool infinite;
};

static bool ends(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

static size_t name_length(const char *p, bool colon)
{
    size_t n = 0;
    while (isalpha((unsigned char)p[n]) || p[n] == '_' || (colon && p[n] == ':') ||
           (n && isdigit((unsigned char)p[n])))
        n++;
    return n;
}

static const char *bad(struct checker *c, const char *why)
{
    if (!c->why)
        c->why = why;
    return NULL;
}

static struct checked_family *find(struct checker *c, const char *name)
{
    for (unsigned i = 0; i < c->n_families; i++)
        if (strcmp(c->family[i].name, name) == 0)
            return &c->family[i];
    return NULL;
}

static void check_name(struct checker *c, const struct checked_family *f)
{
    static const char *const short_units[] = {"_ms", "_us",      "_millis",
                                              "_kb", "_minutes", "_percent"};
    if (!str_starts(str_of(f->name), STR("holdfast_")))
        bad(c, "a name without our prefix");
    if ((strcmp(f->type, "counter") == 0) != ends(f->name, "_total"))
        bad(c, "_total is for counters, and counters need it");
    if (ends(f->name, "_count") || ends(f->name, "_sum") || ends(f->name, "_bucket"))
        bad(c, "a name that looks like a part of a histogram");
    for (size_t i = 0; i < ARRAY_LEN(short_units); i++)
        if (ends(f->name, short_units[i]))
            bad(c, "not a base unit");
}

static void check_comment(struct checker *c, const char *line)
{
    char kind[8], name[NAME_MAX_BYTES], rest[256];
    if (sscanf(line, "# %7s %127s %255[^\n]", kind, name, rest) != 3) {
        bad(c, "a comment that is neither HELP nor TYPE");
        return;
    }
    struct checked_family *f = find(c, name);
    if (strcmp(kind, "HELP") == 0) {
        if (f || c->n_families == MAX_FAMILIES) {
            bad(c, "a family in two places");
            return;
        }
        if (c->n_families)
            c->family[c->n_families - 1].closed = true;
        f = &c->family[c->n_families++];
        str_copy(f->name, sizeof f->name, str_of(name));
        f->help = ends(rest, ".");
        if (!f->help)
            bad(c, "HELP is a sentence");
    } else if (strcmp(kind, "TYPE") == 0) {
        if (!f || f->type[0] || f->samples)
            bad(c, "TYPE does not follow its HELP");
        else
            str_copy(f->type, sizeof f->type, str_of(rest));
        if (strcmp(rest, "counter") != 0 && strcmp(rest, "gauge") != 0 &&
            strcmp(rest, "histogram") != 0)
            bad(c, "an unknown type");
        if (f)
            check_name(c, f);
    } else {
        bad(c, "a comment that is neither HELP nor TYPE");
    }
}

/* Behind the labels, or NULL. le: its value, if there is one, else empty. */
static const char *check_labels(struct checker *c, const char *p, char le[64])
{
    le[0] = 0;
    if (*p != '{')
        return p;
    do {
        p++;
        size_t n = name_length(p, false);
        bool is_le = n == 2 && memcmp(p, "le", 2) == 0;
        if (n == 0 || p[n] != '=' || p[n + 1] != '"')
            return bad(c, "a malformed label");
        p += n + 2;
        const char *value = p;
        for (; *p && *p != '"'; p++)
            if (*p == '\\' && !strchr("\\\"n", *++p))
                return bad(c, "a bad escape");
        if (*p++ != '"')
            return bad(c, "a label without its end");
        if (is_le)
            str_copy(le, 64, (struct str){value, (size_t)(p - 1 - value)});
    } while (*p == ',');
    return *p == '}' ? p + 1 : bad(c, "labels without their end");
}

static void check_bucket(struct checker *c, const char *base, const char *le, double value)
{
    double bound = strcmp(le, "+Inf") == 0 ? __builtin_inf() : strtod(le, NULL);
    if (strcmp(c->open, base) != 0) {
        str_copy(c->open, sizeof c->open, str_of(base));
        c->le = c->cumulative = -1;
        c->infinite = false;
    }
    if (bound <= c->le)
        bad(c, "buckets that do not rise");
    if (value < c->cumulative)
        bad(c, "buckets that are not cumulative");
    c->le = bound;
    c->cumulative = value;
    c->infinite = bound == __builtin_inf();
}

/* The labels without le, to tell the series of one histogram apart. */
static void base_of(const char *labels, size_t n, char out[SERIES_MAX])
{
    str_copy(out, SERIES_MAX, (struct str){labels, n});
    char *le = strstr(out, ",le=\"");
    if (le)
        memmove(le, strchr(le + 5, '"') + 1, strlen(strchr(le + 5, '"') + 1) + 1);
}

static void check_sample(struct checker *c, const char *line)
{
    char name[NAME_MAX_BYTES], family[NAME_MAX_BYTES], le[64], base[SERIES_MAX], *end;
    size_t n = name_length(line, true);
    str_copy(name, sizeof name, (struct str){line, n});
    str_copy(family, sizeof family, str_of(name));
    static const char *const parts[] = {"_bucket", "_sum", "_count"};
    const char *part = "";
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (ends(name, parts[i])) {
            family[strlen(name) - strlen(parts[i])] = 0;
            part = parts[i];
            if (!find(c, family))
                str_copy(family, sizeof family, str_of(name));
        }
    struct checked_family *f = find(c, family);
    if (n == 0 || !f || !f->type[0] || f->closed) {
        bad(c, "a sample outside its family");
        return;
    }
    const char *after = check_labels(c, line + n, le);
    if (!after)
        return;
    double value = *after == ' ' ? strtod(after + 1, &end) : -1;
    if (*after != ' ' || end == after + 1 || *end || value < 0)
        bad(c, "a malformed value");
    for (unsigned i = 0; i < c->n_series; i++)
        if (str_eq(str_of(c->series[i]), (struct str){line, (size_t)(after - line)}))
            bad(c, "the same series twice");
    if (c->n_series < MAX_SERIES)
        str_copy(c->series[c->n_series++], SERIES_MAX, (struct str){line, (size_t)(after - line)});
    f->samples++;
    base_of(line + n, (size_t)(after - line) - n, base);
    bool histogram = strcmp(f->type, "histogram") == 0;
    if (histogram && strcmp(part, "_bucket") == 0)
        check_bucket(c, base, le, value);
    else if (histogram && (strcmp(c->open, base) != 0 || !c->infinite))
        bad(c, "a sum or count without buckets up to +Inf");
    else if (histogram && strcmp(part, "_count") == 0 && value != c->cumulative)
        bad(c, "a count that is not the last bucket");
}

static const char *check_text(struct checker *c, const struct buf *text)
{
    *c = (struct checker){0};
    c->series = calloc(MAX_SERIES, SERIES_MAX);
    char *copy = strndup(text->p, text->n);
    if (text->n == 0 || text->p[text->n - 1] != '\n')
        bad(c, "no line feed at the end");
    for (char *at = copy, *line; !c->why && (line = strsep(&at, "\n")) && at;) {
        if (*line == '#')
            check_comment(c, line);
        else
            check_sample(c, line);
        if (c->why)
            print_message("%s: %s\n", c->why, line);
    }
    free(copy);
    free(c->series);
    return c->why;
}

static struct buf scrape(struct fixture *f)
{
    struct buf out = {0};
    metrics_write(f->admin, EXPOSITION_TEXT, &out);
    assert_false(out.failed);
    return out;
}

static void the_checker_refuses_what_is_wrong(void **state)
{
#define HEAD(name, type) "# HELP " name " Some.\n# TYPE " name " " type "\n"
    static const char *const wrong[] = {
        "holdfast_x 1\n",
        HEAD("holdfast_x", "gauge") "holdfast_x 1",
        HEAD("holdfast_x", "counter") "holdfast_x 1\n",
        HEAD("holdfast_x_total", "gauge") "holdfast_x_total 1\n",
        HEAD("holdfast_x_ms", "gauge") "holdfast_x_ms 1\n",
        HEAD("other_x", "gauge") "other_x 1\n",
        HEAD("holdfast_x", "gauge") "holdfast_x{a=\"\\q\"} 1\n",
        HEAD("holdfast_x", "gauge") "holdfast_x{a=\"b} 1\n",
        HEAD("holdfast_x", "gauge") "holdfast_x{a=\"b\",} 1\n",
        HEAD("holdfast_x", "gauge") "holdfast_x one\n",
        HEAD("holdfast_x", "gauge") "holdfast_x 1\nholdfast_x 2\n",
        HEAD("holdfast_x", "gauge") HEAD("holdfast_y", "gauge") "holdfast_x 1\n",
        HEAD("holdfast_x", "histogram") "holdfast_x_bucket{a=\"1\",le=\"+Inf\"} 2\n"
                                        "holdfast_x_sum{a=\"1\"} 2\nholdfast_x_count{a=\"1\"} 3\n",
        HEAD("holdfast_x", "histogram") "holdfast_x_bucket{a=\"1\",le=\"1\"} 2\n"
                                        "holdfast_x_bucket{a=\"1\",le=\"2\"} 1\n",
        HEAD("holdfast_x", "histogram") "holdfast_x_bucket{a=\"1\",le=\"2\"} 2\n"
                                        "holdfast_x_bucket{a=\"1\",le=\"1\"} 2\n",
        HEAD("holdfast_x", "histogram") "holdfast_x_bucket{a=\"1\",le=\"1\"} 2\n"
                                        "holdfast_x_count{a=\"1\"} 2\n",
    };
    static struct checker c;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf text = {.p = (char *)(uintptr_t)wrong[i], .n = strlen(wrong[i])};
        assert_non_null(check_text(&c, &text));
    }
#undef HEAD
}

static void all_of_it_is_well_formed(void **state)
{
    static struct checker c;
    struct fixture f;
    fixture_open(&f, fixture_new_view("we\"b\\\n"));
    fixture_event(&f, EVENT_DRAIN, "x");
    fixture_hold(&f, VERDICT_DEGRADED);
    struct buf out = scrape(&f);
    assert_null(check_text(&c, &out));
    assert_true(c.n_families > 30);
    for (unsigned i = 0; i < c.n_families; i++)
        assert_true(c.family[i].samples > 0);
    buf_free(&out);
    fixture_close(&f);
}

static void before_the_first_view_it_is_short_and_well_formed(void **state)
{
    static struct checker c;
    struct fixture f;
    fixture_open(&f, NULL);
    struct buf out = scrape(&f);
    assert_null(check_text(&c, &out));
    assert_non_null(strstr(out.p, "holdfast_view_epoch 0\n"));
    buf_free(&out);
    fixture_close(&f);
}

static void numbers_are_the_cells(void **state)
{
    static const char *const lines[] = {
        "\nholdfast_view_epoch 7\n",
        "\nholdfast_events_total{code=\"drain\"} 1\n",
        "\nholdfast_process_starts_total{process=\"proxy\"} 2\n",
        "\nholdfast_proxies{role=\"draining\"} 1\n",
        "\nholdfast_proxy_connections{role=\"draining\"} 12\n",
        "\nholdfast_worker_client_connections{worker=\"1\"} 12\n",
        "\nholdfast_member_state{node=\"host-b\",state=\"alive\"} 1\n",
        "\nholdfast_member_state{node=\"host-b\",state=\"failed\"} 0\n",
        "\nholdfast_member_state{node=\"host-c\",state=\"failed\"} 1\n",
        "\nholdfast_member_maintenance{node=\"host-b\"} 1\n",
        "\nholdfast_member_maintenance{node=\"host-c\"} 0\n",
        "\nholdfast_member_rtt_seconds{node=\"host-b\"} 0.000187\n",
        "\nholdfast_mesh_datagrams_total{direction=\"received\"} 9\n",
        "\nholdfast_mesh_bytes_total{direction=\"sent\"} 1000\n",
        "\nholdfast_mesh_refused_total{reason=\"forged\"} 3\n",
        "\nholdfast_mesh_links 1\n",
        "\nholdfast_mesh_real_time 1\n",
        "\nholdfast_coordinator_reachable 1\n",
        "\nholdfast_coordinator_revision 42\n",
        "\nholdfast_coordinator_members 3\n",
        "\nholdfast_coordinator_voters_version 7\n",
        "\nholdfast_coordinator_file_bytes 4096\n",
        "\nholdfast_coordinator_full 1\n",
        "\nholdfast_coordinator_heartbeat_seconds 0.400000\n",
        "\nholdfast_coordinator_disk_sync_seconds 0.003000\n",
        "\nholdfast_node_health 2\n",
        "\nholdfast_node_isolated 0\n",
        "\nholdfast_service_requests_total{service=\"web\"} 201\n",
        "\nholdfast_service_responses_total{service=\"web\",class=\"2xx\"} 181\n",
        "\nholdfast_service_response_seconds_bucket{service=\"web\",le=\"0.00048828125\"} 0\n",
        "\nholdfast_service_response_seconds_bucket{service=\"web\",le=\"0.0009765625\"} 100\n",
        "\nholdfast_service_response_seconds_bucket{service=\"web\",le=\"0.001953125\"} 200\n",
        "\nholdfast_service_response_seconds_bucket{service=\"web\",le=\"+Inf\"} 200\n",
        "\nholdfast_service_response_seconds_sum{service=\"web\"} 0.200000\n",
        "\nholdfast_service_response_seconds_count{service=\"web\"} 200\n",
        "\nholdfast_instance_requests_total{service=\"web\",instance=\"10.0.0.1:80\"} 121\n",
        "\nholdfast_instance_outcomes_total{service=\"web\",instance=\"10.0.0.1:80\",outcome="
        "\"refused\"} 4\n",
        "\nholdfast_instance_verdict{service=\"web\",instance=\"10.0.0.1:80\",verdict="
        "\"healthy\"} 1\n",
        "\nholdfast_instance_verdict{service=\"web\",instance=\"b/1\",verdict=\"healthy\"} 0\n",
        "\nholdfast_instance_proxy_verdict{service=\"web\",instance=\"b/1\",verdict="
        "\"degraded\"} 1\n",
        "\nholdfast_instance_draining{service=\"web\",instance=\"b/1\"} 1\n",
        "\nholdfast_instance_weight{service=\"web\",instance=\"b/1\"} 2\n",
        "\nholdfast_beat_failed{beat=\"backup\"} 0\nholdfast_beat_failed{beat=\"report\"} 1\n",
        "\nholdfast_beat_missed_total{beat=\"report\"} 1\n",
        "\nholdfast_beat_age_seconds{beat=\"backup\"} 10.",
        "\nholdfast_beat_lines_total{result=\"denied\"} 13\n",
    };
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    fixture_event(&f, EVENT_DRAIN, "x");
    cell_set(&cells_verdict(&f.cells, 1)->draining, 1);
    f.maintained[1] = true;
    struct buf out = scrape(&f);
    assert_true(buf_add(&out, "", 1));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(out.p, lines[i]))
            fail_msg("missing:%s", lines[i]);
    buf_free(&out);
    fixture_close(&f);
}

static void a_node_that_is_alone_has_no_cluster(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    f.alone = true;
    struct buf out = scrape(&f);
    assert_true(buf_add(&out, "", 1));
    assert_null(strstr(out.p, "_member_"));
    assert_null(strstr(out.p, "_mesh_"));
    buf_free(&out);
    fixture_close(&f);
}

static void every_family_is_documented(void **state)
{
    static struct checker c;
    struct fixture f;
    struct buf doc = {0};
    fixture_open(&f, fixture_new_view("web"));
    fixture_add_primary(f.view);
    struct buf out = scrape(&f);
    assert_null(check_text(&c, &out));
    assert_int_equal(file_read(METRICS_DOC, 1 << 20, &doc, NULL), 0);
    assert_true(buf_add(&doc, "", 1));
    unsigned rows = 0;
    for (const char *at = doc.p; (at = strstr(at, "\n| `holdfast_")); at++)
        rows++;
    assert_int_equal(rows, c.n_families);
    for (unsigned i = 0; i < c.n_families; i++) {
        char row[NAME_MAX_BYTES + 32];
        snprintf(row, sizeof row, "\n| `%s` | %s |", c.family[i].name, c.family[i].type);
        if (!strstr(doc.p, row))
            fail_msg("not documented:%s", row);
    }
    buf_free(&doc);
    buf_free(&out);
    fixture_close(&f);
}

static void out_of_memory_is_noticed(void **state)
{
    struct fixture f;
    fixture_open(&f, fixture_new_view("web"));
    for (unsigned long n = 1;; n++) {
        struct buf out = {0};
        mem_fail_at(n);
        metrics_write(f.admin, EXPOSITION_TEXT, &out);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(out.failed, failed);
        buf_free(&out);
        if (!failed)
            break;
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_refuses_what_is_wrong),
        cmocka_unit_test(all_of_it_is_well_formed),
        cmocka_unit_test(before_the_first_view_it_is_short_and_well_formed),
        cmocka_unit_test(numbers_are_the_cells),
        cmocka_unit_test(a_node_that_is_alone_has_no_cluster),
        cmocka_unit_test(every_family_is_documented),
        cmocka_unit_test(out_of_memory_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
