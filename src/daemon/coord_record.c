#include "daemon/coord_record.h"

#include <jansson.h>
#include <stdio.h>

#include "os/os.h"

enum { FILE_MAX = 16 * 1024, NUMBER = 24 };

static const char *const names[MANAGED_RECORDS] = {
    [MANAGED_NEVER] = "never", [MANAGED_KNOWS] = "knows", [MANAGED_DATA] = "data"};

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

/* Takes root, which may be NULL. */
static bool dump(json_t *root, struct buf *out)
{
    bool ok = root && json_dump_callback(root, append, out, JSON_COMPACT) == 0;
    json_decref(root);
    return ok && !out->failed;
}

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTO, "it is damaged: %s", what);
}

/* Numbers of 64 bits are text. */
static const char *number(uint64_t n, char out[NUMBER])
{
    snprintf(out, NUMBER, "%llu", (unsigned long long)n);
    return out;
}

static bool get_number(const json_t *root, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(root, key);
    *out = 0;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    return json_is_string(v) && str_u64(str_of(json_string_value(v)), UINT64_MAX, out);
}

/* --- the record --- */

static void hex(const uint8_t id[MANAGED_ID], char out[2 * MANAGED_ID + 1])
{
    for (int i = 0; i < MANAGED_ID; i++)
        snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static bool unhex(const char *text, uint8_t id[MANAGED_ID])
{
    static const char digits[] = "0123456789abcdef";
    if (!text || strlen(text) != 2 * MANAGED_ID)
        return false;
    for (int i = 0; i < 2 * MANAGED_ID; i++) {
        const char *at = strchr(digits, text[i]);
        if (!at)
            return false;
        id[i / 2] = (uint8_t)(id[i / 2] << 4 | (at - digits));
    }
    return true;
}

static int parse(struct str text, struct coord_record *out, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    const char *record = json_string_value(json_object_get(root, "record"));
    const char *founder = json_string_value(json_object_get(root, "founder"));
    struct managed_said *s = &out->said;
    bool good = record && founder && strlen(founder) < sizeof s->founder;
    *out = (struct coord_record){.founding = json_is_true(json_object_get(root, "founding")),
                                 .restoring = json_is_true(json_object_get(root, "restoring")),
                                 .filling = json_is_true(json_object_get(root, "filling"))};
    for (s->record = 0; good && s->record < MANAGED_RECORDS; s->record++)
        if (strcmp(record, names[s->record]) == 0)
            break;
    good = good && s->record < MANAGED_RECORDS &&
           unhex(json_string_value(json_object_get(root, "id")), s->line.id) &&
           get_number(root, "generation", &s->line.generation) &&
           get_number(root, "draw", &s->line.draw) && get_number(root, "place", &s->place) &&
           get_number(root, "member", &s->member);
    get_number(root, "raise", &out->raise); /* of a record of before there was one: 0 */
    if (good)
        str_copy(s->founder, sizeof s->founder, str_of(founder));
    json_decref(root);
    return good ? 0 : damaged(e, "it is no record of a coordinator");
}

int coord_record_load(const char *path, struct coord_record *out, struct err *e)
{
    struct buf text = {0};
    struct err why = {0};
    *out = (struct coord_record){.founding = false};
    int r = file_read(path, FILE_MAX, &text, &why);
    if (r == -ERR_ABSENT) {
        r = 0;
    } else if (r) {
        r = err_set(e, (enum err_code) - why.code, "%s", why.text);
    } else if ((r = parse(buf_str(&text), out, e)) != 0) {
        err_wrap(e, "%s", path);
    }
    buf_free(&text);
    return r;
}

int coord_record_save(const char *path, const struct coord_record *r, struct err *e)
{
    const struct managed_said *s = &r->said;
    char id[2 * MANAGED_ID + 1], a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], f[NUMBER];
    struct buf text = {0};
    hex(s->line.id, id);
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:s}", "schema", 1, "record",
                  names[s->record], "id", id, "generation", number(s->line.generation, a), "draw",
                  number(s->line.draw, b), "founder", s->founder, "place", number(s->place, c),
                  "member", number(s->member, d), "founding", (int)r->founding, "restoring",
                  (int)r->restoring, "filling", (int)r->filling, "raise", number(r->raise, f));
    bool ok = dump(root, &text) && buf_add(&text, "\n", 1);
    int rc = ok ? file_replace(path, buf_str(&text), 0640, e)
                : err_set(e, ERR_NOMEM, "no memory to write %s", path);
    buf_free(&text);
    return rc;
}

/* --- voters --- */

static json_t *list(const struct voters *v)
{
    json_t *a = json_array();
    for (uint32_t i = 0; a && i < v->n; i++)
        if (json_array_append_new(a, json_string(v->names[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

bool coord_voters_write(const struct voters *v, const struct voters *was, uint64_t when_ms,
                        struct buf *out)
{
    json_t *nodes = list(v), *before = list(was), *root = NULL;
    if (nodes && before)
        root = json_pack("{s:I,s:O,s:O,s:I}", "version", (json_int_t)v->version, "nodes", nodes,
                         "was", before, "when", (json_int_t)when_ms);
    json_decref(nodes);
    json_decref(before);
    return dump(root, out);
}

static bool get_list(const json_t *a, struct voters *out)
{
    if (!json_is_array(a))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *name = json_array_get(a, i);
        if (!json_is_string(name) ||
            !voters_add(out, (struct str){json_string_value(name), json_string_length(name)}))
            return false;
    }
    return true;
}

int coord_voters_read(struct str text, struct voters *v, struct voters *was, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    memset(v, 0, sizeof *v);
    memset(was, 0, sizeof *was);
    bool good = get_number(root, "version", &v->version) && v->version &&
                get_list(json_object_get(root, "nodes"), v) && v->n &&
                get_list(json_object_get(root, "was"), was);
    json_decref(root);
    return good ? 0 : damaged(e, "it names no voters");
}
