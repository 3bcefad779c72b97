#include "cli/picture.h"

#include "cli/figures.h"
#include "cli/json.h"

static enum colour verdict_colour(const char *verdict)
{
    static const struct {
        const char *verdict;
        enum colour colour;
    } table[] = {
        {"healthy", COLOUR_GREEN},
        {"degraded", COLOUR_YELLOW},
        {"suspect", COLOUR_YELLOW},
        {"failed", COLOUR_RED},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].verdict, verdict) == 0)
            return table[i].colour;
    return COLOUR_NONE;
}

static const json_t *services_of(const json_t *status)
{
    return json_object_get(status, "services");
}

static double instance_errors(const json_t *instance)
{
    static const char *const kinds[] = {"refused", "timeouts", "resets", "5xx"};
    double sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        sum += json_number(json_object_get(instance, "errors"), kinds[i]);
    return sum;
}

static void latency(const json_t *subject, const char *quantile, char out[AMOUNT_MAX])
{
    const json_t *us = json_object_get(json_object_get(subject, "latency_us"), quantile);
    if (json_is_number(us))
        amount_us(json_number_value(us), out);
    else
        str_copy(out, AMOUNT_MAX, STR("-"));
}

static void print_process(const struct picture *p, const json_t *process, struct buf *out)
{
    char up[AMOUNT_MAX];
    const char *name = json_text(process, "name");
    bool worker = strncmp(name, "worker", 6) == 0;
    double starts = json_number(process, "starts");
    amount_seconds(json_number(process, "uptime_seconds"), up);
    if (!json_flag(process, "turning"))
        text_printf(out, p->term, COLOUR_RED, "%s (pid %.0f) does not turn", name,
                    json_number(process, "pid"));
    else if (starts > 1 && !worker)
        text_printf(out, p->term, COLOUR_YELLOW, "%s was restarted %.0f time%s, last %s ago", name,
                    starts - 1, starts > 2 ? "s" : "", up);
    else
        return;
    buf_add(out, "\n", 1);
}

/* Proxies that a newer one has taken over from. */
static void print_old_proxy(const struct picture *p, const json_t *proxy, struct buf *out)
{
    char left[AMOUNT_MAX];
    double n = json_number(proxy, "connections");
    if (strcmp(json_text(proxy, "role"), "draining") != 0)
        return;
    text_printf(out, p->term, COLOUR_YELLOW,
                "an old proxy (pid %.0f) drains: %.0f connection%s, at most %s more",
                json_number(proxy, "pid"), n, n == 1 ? "" : "s",
                amount_seconds(json_number(proxy, "drain_seconds_left"), left));
    buf_add(out, "\n", 1);
}

/* Of the configuration that all nodes share: which version runs, unless it is the own file. */
static void print_version(const struct picture *p, struct buf *out)
{
    double version = json_number(json_object_get(p->now, "config"), "version");
    if (version > 0)
        buf_printf(out, "configuration %.0f, ", version);
}

static void print_config(const struct picture *p, struct buf *out)
{
    static const struct {
        const char *key, *what;
    } problems[] = {{"problem", "configuration"}, {"own_file_problem", "own file"}};
    const json_t *config = json_object_get(p->now, "config");
    for (size_t i = 0; i < ARRAY_LEN(problems); i++) {
        const char *text = json_text(config, problems[i].key);
        if (!*text)
            continue;
        text_printf(out, p->term, COLOUR_RED, "%s: %s", problems[i].what, text);
        buf_add(out, "\n", 1);
    }
}

void picture_node(const struct picture *p, struct buf *out)
{
    char up[AMOUNT_MAX];
    const json_t *processes = json_object_get(p->now, "processes");
    const json_t *proxies = json_object_get(p->now, "proxies");
    text_coloured(out, p->term, COLOUR_BOLD, STR("holdfast "));
    text_coloured(out, p->term, COLOUR_BOLD, str_of(json_text(p->now, "node")));
    buf_printf(out, "  version ");
    text_clean(out, str_of(json_text(p->now, "version")));
    buf_printf(out, ", up %s, epoch %.0f, ",
               amount_seconds(json_number(p->now, "uptime_seconds"), up),
               json_number(p->now, "epoch"));
    print_version(p, out);
    text_clean(out, str_of(json_text(p->now, "file")));
    buf_add(out, "\n", 1);
    print_config(p, out);
    for (size_t i = 0; i < json_array_size(processes); i++)
        print_process(p, json_array_get(processes, i), out);
    for (size_t i = 0; i < json_array_size(proxies); i++)
        print_old_proxy(p, json_array_get(proxies, i), out);
    picture_cluster(p, json_object_get(p->now, "cluster"), out);
    if (p->live)
        picture_members(p, json_object_get(p->now, "cluster"), out);
}

/* Not HTTP: what is counted are connections, or flows of datagrams. */
static bool is_plain(const json_t *service)
{
    const char *mode = json_text(service, "mode");
    return *mode && strcmp(mode, "http") != 0;
}

static void print_service_head(const struct picture *p, const json_t *service, struct buf *out)
{
    const char *verdict = json_text(service, "verdict");
    const json_t *listen = json_object_get(service, "listen");
    buf_add(out, "\n", 1);
    text_coloured(out, p->term, COLOUR_BOLD, str_of(json_text(service, "name")));
    buf_add(out, "  ", 2);
    text_coloured(out, p->term, verdict_colour(verdict), str_of(verdict));
    buf_add(out, "  ", 2);
    const json_t *role = json_object_get(service, "role");
    text_clean(
        out, str_of(json_text(role ? role : service, json_is_object(role) ? "agent" : "balance")));
    for (size_t i = 0; i < json_array_size(listen); i++) {
        const char *text = json_string_value(json_array_get(listen, i));
        if (i)
            buf_add_str(out, STR(", "));
        else if (is_plain(service))
            buf_printf(out, ", %s on ", json_text(service, "mode"));
        else
            buf_add_str(out, STR(" on "));
        text_clean(out, str_of(text));
    }
    buf_add(out, "\n", 1);
}

static void print_service_rates(const struct picture *p, const json_t *service,
                                const json_t *before, struct buf *out)
{
    char rate[AMOUNT_MAX], errors[AMOUNT_MAX], p50[AMOUNT_MAX], p99[AMOUNT_MAX];
    double per_second = figures_service_errors(service, before, p->seconds);
    amount_count(figures_requests(service, before, p->seconds), rate);
    amount_count(per_second, errors);
    latency(service, "p50", p50);
    latency(service, "p99", p99);
    buf_printf(out, "  %s %s/s, ", rate, is_plain(service) ? "connections" : "requests");
    text_printf(out, p->term, per_second > 0 ? COLOUR_RED : COLOUR_NONE, "%s errors/s", errors);
    buf_printf(out, ", %sp50 %s, p99 %s", is_plain(service) ? "lasting " : "", p50, p99);
    if (json_number(service, "tunnels") > 0)
        buf_printf(out, ", %s %s", amount_count(json_number(service, "tunnels"), rate),
                   is_plain(service) ? "open" : "tunnels");
    if (json_number(service, "no_instance") > 0)
        buf_printf(out, ", %s found no instance",
                   amount_count(json_number(service, "no_instance"), rate));
    buf_add(out, "\n", 1);
}

static const struct column instance_columns[] = {
    {"INSTANCE", ALIGN_LEFT, true}, {"VERDICT", ALIGN_LEFT, false}, {"REASON", ALIGN_LEFT, false},
    {"BUSY", ALIGN_RIGHT, false},   {"REQ/S", ALIGN_RIGHT, false},  {"P50", ALIGN_RIGHT, false},
    {"P99", ALIGN_RIGHT, false},    {"ERRORS", ALIGN_RIGHT, false},
};
static const struct column live_columns[] = {
    {"INSTANCE", ALIGN_LEFT, true}, {"VERDICT", ALIGN_LEFT, false}, {"REASON", ALIGN_LEFT, false},
    {"BUSY", ALIGN_RIGHT, false},   {"REQ/S", ALIGN_RIGHT, false},  {"P50", ALIGN_RIGHT, false},
    {"P99", ALIGN_RIGHT, false},    {"ERR/S", ALIGN_RIGHT, false},
};

static void add_instance(struct table *t, const struct picture *p, const json_t *i,
                         const json_t *before)
{
    char text[AMOUNT_MAX];
    const char *verdict = json_text(i, "verdict");
    bool draining = json_flag(i, "draining");
    double errors = instance_errors(i);
    text_table_add(t, COLOUR_NONE, "%s", json_text(i, "name"));
    text_table_add(t, verdict_colour(verdict), "%s", verdict);
    text_table_add(t, draining ? COLOUR_CYAN : COLOUR_NONE, "%s",
                   draining ? "draining" : json_text(i, "reason"));
    text_table_add(t, COLOUR_NONE, "%s", amount_count(json_number(i, "inflight"), text));
    text_table_add(t, COLOUR_NONE, "%s",
                   amount_count(figures_requests(i, before, p->seconds), text));
    latency(i, "p50", text);
    text_table_add(t, COLOUR_NONE, "%s", text);
    latency(i, "p99", text);
    text_table_add(t, COLOUR_NONE, "%s", text);
    double rate = figures_instance_errors(i, before, p->seconds);
    text_table_add(t, rate > 0 ? COLOUR_RED : COLOUR_NONE, "%s",
                   amount_count(p->live ? rate : errors, text));
}

/* Why an instance is not healthy, in a sentence. */
static void print_explanation(const struct picture *p, const json_t *i, struct buf *out)
{
    char since[AMOUNT_MAX];
    const char *verdict = json_text(i, "verdict"), *proxy = json_text(i, "proxy_verdict");
    /* a worker that has sent nothing there yet says suspect: no news */
    bool differs = strcmp(proxy, "failed") == 0 && strcmp(verdict, "failed") != 0;
    const char *why = json_text(i, "explanation");
    if (strcmp(verdict, "healthy") == 0 && !differs)
        return;
    amount_seconds(json_number(i, "since_seconds"), since);
    text_printf(out, p->term, COLOUR_DIM, "  %s: %s for %s%s%s%s", json_text(i, "name"), verdict,
                since, *why ? ", " : "", why,
                differs ? "; the proxy's own requests say failed" : "");
    buf_add(out, "\n", 1);
}

static void print_instances(const struct picture *p, const json_t *service, const json_t *before,
                            struct buf *out)
{
    const json_t *all = json_object_get(service, "instances");
    const json_t *old = json_object_get(before, "instances");
    struct table t = {.columns = p->live ? live_columns : instance_columns,
                      .n_columns = ARRAY_LEN(instance_columns),
                      .indent = 2};
    if (json_is_object(json_object_get(service, "role"))) {
        const json_t *role = json_object_get(service, "role");
        buf_add_str(out, STR("  "));
        picture_role_line(p->term, role, out);
        if (strcmp(json_text(role, "agent"), "redis") == 0)
            buf_printf(out, "; %.0f of %.0f in sync", json_number(role, "in_sync"),
                       json_number(role, "candidates"));
        buf_add(out, "\n", 1);
        return;
    }
    if (json_array_size(all) == 0) {
        buf_add_str(out, STR("  no instances\n"));
        return;
    }
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        add_instance(&t, p, one, figures_named(old, "name", json_text(one, "name")));
    }
    text_table_print(&t, p->term, out);
    text_table_free(&t);
    for (size_t i = 0; i < json_array_size(all); i++)
        print_explanation(p, json_array_get(all, i), out);
}

static double growth_of(const struct picture *p, const json_t *now, const json_t *before,
                        const char *key)
{
    double a = json_number(before, key), b = json_number(now, key);
    return before && p->seconds > 0 && b > a ? (b - a) / p->seconds : 0;
}

/* How each listening address is used. */
static void print_listeners(const struct picture *p, const json_t *service, const json_t *before,
                            struct buf *out)
{
    const json_t *all = json_object_get(service, "listeners");
    for (size_t i = 0; p->live && i < json_array_size(all); i++) {
        char open[AMOUNT_MAX], fresh[AMOUNT_MAX], in[AMOUNT_MAX], sent[AMOUNT_MAX];
        const json_t *one = json_array_get(all, i), *bytes = json_object_get(one, "bytes");
        const json_t *old =
            figures_named(json_object_get(before, "listeners"), "url", json_text(one, "url"));
        const json_t *old_bytes = json_object_get(old, "bytes");
        amount_count(json_number(one, "connections"), open);
        amount_count(growth_of(p, one, old, "accepted"), fresh);
        amount_count(growth_of(p, bytes, old_bytes, "in"), in);
        amount_count(growth_of(p, bytes, old_bytes, "out"), sent);
        buf_add_str(out, STR("  "));
        text_clean(out, str_of(json_text(one, "url")));
        buf_printf(out, "  %s open, %s new/s, %s B/s in, %s B/s out\n", open, fresh, in, sent);
    }
}

void picture_services(const struct picture *p, struct buf *out)
{
    const json_t *services = services_of(p->now), *old = services_of(p->before);
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        const json_t *before = figures_named(old, "name", json_text(service, "name"));
        print_service_head(p, service, out);
        print_service_rates(p, service, before, out);
        print_listeners(p, service, before, out);
        print_instances(p, service, before, out);
    }
    if (json_array_size(services) == 0)
        buf_add_str(out, STR("\nno services\n"));
}

static const struct column beat_columns[] = {
    {"BEAT", ALIGN_LEFT, true},     {"VERDICT", ALIGN_LEFT, false}, {"REASON", ALIGN_LEFT, false},
    {"LAST", ALIGN_RIGHT, false},   {"EVERY", ALIGN_RIGHT, false},  {"GRACE", ALIGN_RIGHT, false},
    {"MISSED", ALIGN_RIGHT, false}, {"FAILED", ALIGN_RIGHT, false},
};

static void add_beat(struct table *t, const json_t *b)
{
    char text[AMOUNT_MAX];
    const char *verdict = json_text(b, "verdict");
    const json_t *last = json_object_get(b, "last_seconds");
    text_table_add(t, COLOUR_NONE, "%s", json_text(b, "name"));
    text_table_add(t, verdict_colour(verdict), "%s", verdict);
    text_table_add(t, COLOUR_NONE, "%s", json_text(b, "reason"));
    text_table_add(t, COLOUR_NONE, "%s",
                   json_is_number(last) ? amount_seconds(json_number_value(last), text) : "never");
    text_table_add(t, COLOUR_NONE, "%s", amount_seconds(json_number(b, "every_seconds"), text));
    text_table_add(t, COLOUR_NONE, "%s", amount_seconds(json_number(b, "grace_seconds"), text));
    text_table_add(t, COLOUR_NONE, "%s", amount_count(json_number(b, "missed"), text));
    text_table_add(t, COLOUR_NONE, "%s", amount_count(json_number(b, "failures"), text));
}

void picture_beats(const struct picture *p, struct buf *out)
{
    const json_t *all = json_object_get(p->now, "beats");
    struct table t = {.columns = beat_columns, .n_columns = ARRAY_LEN(beat_columns)};
    for (size_t i = 0; i < json_array_size(all); i++)
        add_beat(&t, json_array_get(all, i));
    text_table_print(&t, p->term, out);
    text_table_free(&t);
    for (size_t i = 0; i < json_array_size(all); i++)
        print_explanation(p, json_array_get(all, i), out);
}

void picture_beats_short(const struct picture *p, struct buf *out)
{
    const json_t *all = json_object_get(p->now, "beats");
    size_t n = json_array_size(all), failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += strcmp(json_text(json_array_get(all, i), "verdict"), "failed") == 0;
    if (n == 0)
        return;
    buf_add(out, "\n", 1);
    text_printf(out, p->term, COLOUR_BOLD, "%zu beat%s", n, n == 1 ? "" : "s");
    text_printf(out, p->term, failed ? COLOUR_RED : COLOUR_NONE, ", %zu failed", failed);
    buf_add(out, "\n", 1);
    for (size_t i = 0; i < n; i++)
        print_explanation(p, json_array_get(all, i), out);
}

static bool has_healthy(const json_t *service)
{
    const json_t *all = json_object_get(service, "instances");
    const json_t *role = json_object_get(service, "role");
    if (json_is_object(role))
        return json_flag(role, "acts");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        if (strcmp(json_text(one, "verdict"), "healthy") == 0 && !json_flag(one, "draining"))
            return true;
    }
    return false;
}

const char *picture_unserved(const json_t *status)
{
    const json_t *services = services_of(status);
    for (size_t i = 0; i < json_array_size(services); i++)
        if (!has_healthy(json_array_get(services, i)))
            return json_text(json_array_get(services, i), "name");
    return NULL;
}
