#include "admin/json.h"

#include <stdio.h>
#include <time.h>

struct json_object json_begin(void)
{
    json_t *o = json_object();
    return (struct json_object){o, o == NULL};
}

struct json_object json_begin_schema(const char *name)
{
    char schema[64];
    struct json_object o = json_begin();
    int n = snprintf(schema, sizeof schema, "holdfast.%s.v1", name);
    CHECK(n > 0 && (size_t)n < sizeof schema);
    json_put_text(&o, "schema", schema);
    return o;
}

json_t *json_end(struct json_object *j)
{
    json_t *o = j->o;
    if (j->bad) {
        json_decref(o);
        o = NULL;
    }
    *j = (struct json_object){NULL, true};
    return o;
}

void json_put(struct json_object *j, const char *key, json_t *value)
{
    if (json_object_set_new(j->o, key, value))
        j->bad = true;
}

static json_t *text_of_bytes(struct str s)
{
    char *copy = mem_alloc(s.n + 1);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < s.n; i++)
        copy[i] = (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?';
    json_t *v = json_stringn(copy, s.n);
    mem_free(copy);
    return v;
}

json_t *json_text(struct str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", s.n);
    return v ? v : text_of_bytes(s);
}

void json_put_str(struct json_object *j, const char *key, struct str s)
{
    json_put(j, key, json_text(s));
}

void json_put_text(struct json_object *j, const char *key, const char *s)
{
    json_put(j, key, json_text(str_of(s)));
}

void json_put_u64(struct json_object *j, const char *key, uint64_t v)
{
    json_put(j, key, json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX)));
}

void json_put_bool(struct json_object *j, const char *key, bool v)
{
    json_put(j, key, json_boolean(v));
}

void json_put_real(struct json_object *j, const char *key, double v)
{
    json_put(j, key, json_real(v > 0 && v < 1e15 ? (double)(uint64_t)(v * 1000 + 0.5) / 1000 : 0));
}

bool json_push(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}

json_t *json_time(uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    char date[32], text[48];
    if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm))
        return json_string("");
    snprintf(text, sizeof text, "%s.%03uZ", date, (unsigned)(wall_ns / 1000000 % 1000));
    return json_string(text);
}

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

void json_write(const json_t *j, struct buf *out)
{
    if (json_dump_callback(j, append, out,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)))
        out->failed = true;
}

void json_use_mem(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
}
