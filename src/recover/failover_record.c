/* The record's bytes, and what operators may do to it. Nodes go by their name: places change when
 * the file does. */
#include <jansson.h>
#include <stdio.h>

#include "recover/failover_inside.h"

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static json_t *name_of(uint8_t place, const struct str *names, uint32_t n)
{
    if (place == ROLE_ANYBODY)
        return json_string("*");
    return place < n ? json_stringn(names[place].p, names[place].n) : json_null();
}

static bool add(json_t *a, json_t *v)
{
    return a && v && json_array_append_new(a, v) == 0;
}

/* NULL when memory is out: a set that lacks one would be another set. */
static json_t *set_of(uint16_t insync, uint8_t strangers, const struct str *names, uint32_t n)
{
    json_t *a = json_array();
    bool ok = a != NULL;
    for (uint8_t i = 0; ok && i < n; i++)
        ok = !(insync & bit_at(i)) || add(a, name_of(i, names, n));
    for (uint8_t i = 0; ok && i < strangers; i++)
        ok = add(a, json_string("?"));
    if (ok)
        return a;
    json_decref(a);
    return NULL;
}

/* Epochs and incarnations are text: they are of 64 bits. */
bool failover_record_write(const struct failover_record *r, const struct str *names, uint32_t n,
                           struct buf *out)
{
    char epoch[24], holder[24];
    snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)r->r.epoch);
    snprintf(holder, sizeof holder, "%llu", (unsigned long long)r->r.holder);
    json_t *root = json_pack(
        "{s:i,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:i,s:b,s:b,s:I,s:I,s:I,s:s,s:s}", "schema", 1, "epoch",
        epoch, "holder", holder, "primary", name_of(r->r.primary, names, n), "wanted",
        name_of(r->r.wanted, names, n), "from", name_of(r->from, names, n), "insync",
        set_of(r->r.insync, r->r.strangers, names, n), "without", set_of(r->r.without, 0, names, n),
        "sync", (int)r->r.sync, "paused", (int)r->r.paused, "forced", (int)r->r.forced, "flaps",
        (json_int_t)r->flaps, "flaps_since", (json_int_t)r->flaps_since, "when",
        (json_int_t)r->when, "who", r->who, "why", r->why);
    bool ok = root && json_dump_callback(root, append, out, JSON_COMPACT) == 0;
    json_decref(root);
    return ok && !out->failed;
}

static uint8_t place_of(const json_t *v, const struct str *names, uint32_t n)
{
    if (!json_is_string(v))
        return ROLE_NOBODY;
    struct str name = {json_string_value(v), json_string_length(v)};
    if (str_eq(name, STR("*")))
        return ROLE_ANYBODY;
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(name, names[i]))
            return i;
    return ROLE_NOBODY;
}

static bool get_set(const json_t *a, const struct str *names, uint32_t n, uint16_t *set,
                    uint8_t *strangers)
{
    if (!json_is_array(a) || json_array_size(a) > 2 * ROLE_NODES)
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        uint8_t place = place_of(json_array_get(a, i), names, n);
        if (place < n)
            *set |= bit_at(place);
        else
            (*strangers)++;
    }
    return true;
}

/* Who is no candidate any more cannot be asked: only the set counts. Absent: nobody. */
static bool get_without(const json_t *a, const struct str *names, uint32_t n, uint16_t *set)
{
    uint8_t strangers = 0;
    return !a || get_set(a, names, n, set, &strangers);
}

static bool get_number(const json_t *root, const char *key, uint64_t most, uint64_t *out)
{
    const json_t *v = json_object_get(root, key);
    *out = json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : 0;
    return *out <= most;
}

static void get_text(const json_t *root, const char *key, char *out, size_t size)
{
    const char *v = json_string_value(json_object_get(root, key));
    str_copy(out, size, str_of(v ? v : ""));
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static bool get_wide(const json_t *root, const char *key, uint64_t *out)
{
    const char *v = json_string_value(json_object_get(root, key));
    return v && str_u64(str_of(v), UINT64_MAX, out);
}

static bool get_epoch(const json_t *root, uint64_t *out)
{
    return get_wide(root, "epoch", out) && *out;
}

static bool get_holder(const json_t *root, uint64_t *out)
{
    return !json_object_get(root, "holder") || get_wide(root, "holder", out);
}

/* Some of its own allocations that fail it takes for bad input: what is bad is so twice. */
static json_t *load(struct str text, json_error_t *why)
{
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, why);
    return root ? root : json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, why);
}

/* ... and of others it says nothing. */
static bool lacks_memory(const json_error_t *why)
{
    enum json_error_code code = json_error_code(why);
    return code == json_error_out_of_memory || code == json_error_unknown;
}

int failover_record_read(struct str text, const struct str *names, uint32_t n,
                         struct failover_record *out, struct err *e)
{
    json_error_t why;
    uint64_t sync = 0, flaps = 0;
    json_t *root = load(text, &why);
    *out = (struct failover_record){.r.known = true};
    if (!root && lacks_memory(&why))
        return err_set(e, ERR_NOMEM, "no memory to read it");
    bool ok =
        get_epoch(root, &out->r.epoch) && get_holder(root, &out->r.holder) &&
        get_set(json_object_get(root, "insync"), names, n, &out->r.insync, &out->r.strangers) &&
        get_without(json_object_get(root, "without"), names, n, &out->r.without) &&
        get_number(root, "sync", ROLE_NODES, &sync) &&
        get_number(root, "flaps", UINT32_MAX, &flaps) &&
        get_number(root, "flaps_since", UINT64_MAX, &out->flaps_since) &&
        get_number(root, "when", UINT64_MAX, &out->when);
    out->r.primary = place_of(json_object_get(root, "primary"), names, n);
    out->r.wanted = place_of(json_object_get(root, "wanted"), names, n);
    out->from = place_of(json_object_get(root, "from"), names, n);
    ok = ok && out->r.primary != ROLE_ANYBODY && out->from != ROLE_ANYBODY;
    out->r.sync = (uint8_t)sync;
    out->flaps = (uint32_t)flaps;
    out->r.paused = json_is_true(json_object_get(root, "paused"));
    out->r.forced = json_is_true(json_object_get(root, "forced"));
    get_text(root, "who", out->who, sizeof out->who);
    get_text(root, "why", out->why, sizeof out->why);
    json_decref(root);
    return ok ? 0 : err_set(e, ERR_PROTO, "it is damaged: it is no record of a role");
}

/* --- operators --- */

static int known(const struct failover_record *r, struct err *e)
{
    if (r->r.known && r->r.revision)
        return 0;
    return err_set(e, ERR_ABSENT, "it has had no primary yet: wait until its instances are up");
}

int failover_wants_switchover(struct failover_record *r, uint8_t to, struct err *e)
{
    int rc = known(r, e);
    if (rc)
        return rc;
    if (r->r.paused)
        return err_set(e, ERR_DENIED, "it is paused: resume it first");
    if (to == r->r.primary)
        return err_set(e, ERR_INVAL, "this node is its primary already");
    if (to < ROLE_NODES && r->r.sync && !(r->r.insync & bit_at(to)))
        return err_set(e, ERR_DENIED, "this node is not in sync: it lacks acknowledged writes");
    r->r.wanted = to == ROLE_NOBODY ? ROLE_ANYBODY : to;
    return 0;
}

int failover_wants_force(struct failover_record *r, uint8_t to, struct err *e)
{
    int rc = known(r, e);
    if (rc)
        return rc;
    if (to >= ROLE_NODES)
        return err_set(e, ERR_INVAL, "say which node: nothing tells which one has most");
    r->r.epoch++;
    r->r.primary = to;
    r->r.insync = bit_at(to);
    r->r.holder = 0;
    r->r.without = 0;
    r->r.strangers = 0;
    r->r.wanted = r->from = ROLE_NOBODY;
    r->r.forced = true;
    r->r.paused = false;
    return 0;
}

int failover_wants_pause(struct failover_record *r, bool on, struct err *e)
{
    int rc = known(r, e);
    if (rc == 0)
        r->r.paused = on;
    return rc;
}
