#include "cli/figures.h"

#include <stdlib.h>

#include "base/base.h"
#include "cli/json.h"

const json_t *figures_named(const json_t *array, const char *key, const char *name)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (strcmp(json_text(json_array_get(array, i), key), name) == 0)
            return json_array_get(array, i);
    return NULL;
}

/* --- rates --- */

/* What a counter grew by. One that fell began anew. */
static double growth(double now, double before, double seconds)
{
    return seconds > 0 && now > before ? (now - before) / seconds : 0;
}

static double sum_of(const json_t *counters, const char *const *keys, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += json_number(counters, keys[i]);
    return sum;
}

double figures_requests(const json_t *now, const json_t *before, double seconds)
{
    return before ? growth(json_number(now, "requests"), json_number(before, "requests"), seconds)
                  : json_number(now, "requests_per_second");
}

static double failed_responses(const json_t *service)
{
    static const char *const kinds[] = {"5xx", "cut"};
    return sum_of(json_object_get(service, "responses"), kinds, ARRAY_LEN(kinds));
}

double figures_service_errors(const json_t *now, const json_t *before, double seconds)
{
    return before ? growth(failed_responses(now), failed_responses(before), seconds)
                  : json_number(now, "errors_per_second");
}

static double failed_attempts(const json_t *instance)
{
    static const char *const kinds[] = {"refused", "timeouts", "resets", "5xx"};
    return sum_of(json_object_get(instance, "errors"), kinds, ARRAY_LEN(kinds));
}

double figures_instance_errors(const json_t *now, const json_t *before, double seconds)
{
    return before ? growth(failed_attempts(now), failed_attempts(before), seconds) : 0;
}

/* --- the order --- */

struct rank {
    const json_t *item;
    size_t at;
    unsigned severity;
    double errors, requests;
};

static unsigned severity(const json_t *subject)
{
    static const char *const verdicts[] = {"healthy", "degraded", "suspect", "failed"};
    for (unsigned i = 0; i < ARRAY_LEN(verdicts); i++)
        if (strcmp(json_text(subject, "verdict"), verdicts[i]) == 0)
            return i;
    return 0;
}

static int descending(double a, double b)
{
    return a > b ? -1 : a < b;
}

static int worse_first(const void *one, const void *other)
{
    const struct rank *a = one, *b = other;
    int c = descending(a->severity, b->severity);
    c = c ? c : descending(a->errors, b->errors);
    c = c ? c : descending(a->requests, b->requests);
    return c ? c : descending((double)b->at, (double)a->at);
}

typedef double (*rate)(const json_t *, const json_t *, double);

static json_t *sorted(const json_t *list, const json_t *before, double seconds, rate errors)
{
    size_t n = json_array_size(list);
    struct rank *ranks = mem_zero(MAX(n, (size_t)1), sizeof *ranks);
    json_t *out = json_array();
    bool ok = ranks && out;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *was = figures_named(before, "name", json_text(one, "name"));
        ranks[i] = (struct rank){one, i, severity(one), errors(one, was, seconds),
                                 figures_requests(one, was, seconds)};
    }
    if (ok)
        qsort(ranks, n, sizeof *ranks, worse_first);
    for (size_t i = 0; ok && i < n; i++)
        ok = json_array_append(out, (json_t *)(uintptr_t)ranks[i].item) == 0;
    mem_free(ranks);
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

/* A copy of the object with another value for one key. */
static json_t *with(const json_t *object, const char *key, json_t *value)
{
    json_t *copy = value ? json_copy((json_t *)(uintptr_t)object) : NULL;
    if (copy && json_object_set(copy, key, value) == 0) {
        json_decref(value);
        return copy;
    }
    json_decref(value);
    json_decref(copy);
    return NULL;
}

json_t *figures_sorted(const json_t *now, const json_t *before, double seconds)
{
    const json_t *old = json_object_get(before, "services");
    json_t *services =
        sorted(json_object_get(now, "services"), old, seconds, figures_service_errors);
    for (size_t i = 0; services && i < json_array_size(services); i++) {
        const json_t *one = json_array_get(services, i);
        const json_t *was = figures_named(old, "name", json_text(one, "name"));
        json_t *instances =
            sorted(json_object_get(one, "instances"), json_object_get(was, "instances"), seconds,
                   figures_instance_errors);
        json_t *copy = with(one, "instances", instances);
        if (!copy || json_array_set_new(services, i, copy)) {
            json_decref(services);
            services = NULL;
        }
    }
    return with(now, "services", services);
}

/* --- as JSON --- */

static json_t *kept(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return value ? json_incref(value) : json_null();
}

static double per_second(const json_t *now, const json_t *before, const char *key, double seconds)
{
    return before ? growth(json_number(now, key), json_number(before, key), seconds) : 0;
}

static json_t *listeners_json(const json_t *service, const json_t *was, double seconds)
{
    const json_t *list = json_object_get(service, "listeners");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *old =
            figures_named(json_object_get(was, "listeners"), "url", json_text(one, "url"));
        const json_t *bytes = json_object_get(one, "bytes");
        const json_t *old_bytes = json_object_get(old, "bytes");
        json_array_append_new(
            out,
            json_pack("{s:s, s:o, s:f, s:o, s:f, s:f}", "url", json_text(one, "url"), "connections",
                      kept(one, "connections"), "accepted_per_second",
                      per_second(one, old, "accepted", seconds), "refused", kept(one, "refused"),
                      "bytes_in_per_second", per_second(bytes, old_bytes, "in", seconds),
                      "bytes_out_per_second", per_second(bytes, old_bytes, "out", seconds)));
    }
    return out;
}

static json_t *instances_json(const json_t *service, const json_t *was, double seconds,
                              double *busy)
{
    const json_t *list = json_object_get(service, "instances");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *old =
            figures_named(json_object_get(was, "instances"), "name", json_text(one, "name"));
        *busy += json_number(one, "inflight");
        json_array_append_new(
            out,
            json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:f, s:f, s:o}", "name",
                      json_text(one, "name"), "verdict", json_text(one, "verdict"), "reason",
                      json_text(one, "reason"), "explanation", json_text(one, "explanation"),
                      "draining", json_flag(one, "draining"), "inflight", kept(one, "inflight"),
                      "requests_per_second", figures_requests(one, old, seconds),
                      "errors_per_second", figures_instance_errors(one, old, seconds), "latency_us",
                      kept(one, "latency_us")));
    }
    return out;
}

static json_t *service_json(const json_t *one, const json_t *was, double seconds)
{
    double busy = 0;
    json_t *instances = instances_json(one, was, seconds, &busy);
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:I, s:o, s:o, s:o, s:o}", "name",
                     json_text(one, "name"), "mode", json_text(one, "mode"), "verdict",
                     json_text(one, "verdict"), "requests_per_second",
                     figures_requests(one, was, seconds), "errors_per_second",
                     figures_service_errors(one, was, seconds), "inflight", (json_int_t)busy,
                     "tunnels", kept(one, "tunnels"), "latency_us", kept(one, "latency_us"),
                     "listeners", listeners_json(one, was, seconds), "instances", instances);
}

json_t *figures_json(const json_t *now, const json_t *before, double seconds)
{
    json_t *order = figures_sorted(now, before, seconds), *out = json_array();
    const json_t *list = json_object_get(order, "services");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *was =
            figures_named(json_object_get(before, "services"), "name", json_text(one, "name"));
        json_array_append_new(out, service_json(one, was, seconds));
    }
    json_t *all =
        order ? json_pack("{s:s, s:s, s:o, s:o, s:f, s:o, s:O}", "schema", "holdfast.top.v1",
                          "node", json_text(now, "node"), "time", kept(now, "time"), "epoch",
                          kept(now, "epoch"), "seconds", before ? seconds : 0.0, "cluster",
                          kept(now, "cluster"), "services", out)
              : NULL;
    json_decref(out);
    json_decref(order);
    return all;
}
