/* json: objects of jansson, built field by field and checked once at the end. Any allocation that
 * fails marks the builder bad; json_end then returns NULL and nothing leaks. */
#ifndef HF_ADMIN_JSON_H
#define HF_ADMIN_JSON_H

#include <jansson.h>

#include "base/base.h"

struct json_object {
    json_t *o;
    bool bad;
};

struct json_object json_begin(void);
/* The same for the root of an answer: its schema, "holdfast.NAME.v1", stands first. The schemas are
 * in docs/schema; a field that is added needs no new version, one that changes or goes does. */
struct json_object json_begin_schema(const char *name);
/* The finished object, the caller's; NULL when memory ran out. */
json_t *json_end(struct json_object *j);

void json_put(struct json_object *j, const char *key, json_t *value); /* takes value; NULL is bad */
void json_put_str(struct json_object *j, const char *key, struct str s);
void json_put_text(struct json_object *j, const char *key, const char *s);
void json_put_u64(struct json_object *j, const char *key, uint64_t v);
void json_put_bool(struct json_object *j, const char *key, bool v);
void json_put_real(struct json_object *j, const char *key, double v); /* not negative; three
                                                                        decimals */

/* A string; bytes outside ASCII become '?' when they are not UTF-8. */
json_t *json_text(struct str s);
/* Appends value to the array and takes it; false, and value freed, when memory is out or either is
 * NULL. */
bool json_push(json_t *array, json_t *value);
/* "2026-11-23T05:34:27.125Z" */
json_t *json_time(uint64_t wall_ns);
/* Appends the text of j; check out->failed. */
void json_write(const json_t *j, struct buf *out);
/* Lets jansson allocate through base/mem.h. */
void json_use_mem(void);

#endif
