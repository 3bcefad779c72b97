/* json: reading answers leniently. What is missing or of another type reads as nothing, since a
 * newer node may answer differently; jansson's types accept NULL everywhere. */
#ifndef HF_CLI_JSON_H
#define HF_CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline const char *json_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static inline double json_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* A small whole number; 0 when it is none. */
static inline uint32_t json_count(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static inline bool json_flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

#endif
