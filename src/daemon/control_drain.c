/* Drains: which instances operators took out. Kept by name in STATE/drains.json, so that a drain
 * outlives reloads and restarts. A drain of an instance that left the configuration is forgotten:
 * one that comes back under its name is a new one. */
#include <jansson.h>
#include <stdio.h>

#include "daemon/control.h"
#include "daemon/paths.h"

enum { DRAINS_MAX_BYTES = 8 * 1024 * 1024 };

/* A service's name may hold any byte; its length keeps two pairs of names apart. */
static bool drain_key(struct str service, struct str instance, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%zu:", service.n);
    buf_add_str(out, service);
    buf_add_str(out, instance);
    return !out->failed;
}

static bool drain_names(struct str key, struct str *service, struct str *instance)
{
    const char *colon = memchr(key.p, ':', key.n);
    uint64_t n;
    if (!colon || !str_u64((struct str){key.p, (size_t)(colon - key.p)}, key.n, &n))
        return false;
    size_t left = key.n - (size_t)(colon + 1 - key.p);
    if (n > left)
        return false;
    *service = (struct str){colon + 1, n};
    *instance = (struct str){colon + 1 + n, left - n};
    return true;
}

bool drains_has(const struct control *c, struct str service, struct str instance)
{
    struct buf key = {0};
    if (c->drains.n == 0)
        return false;
    bool has = drain_key(service, instance, &key) && map_get(&c->drains, buf_str(&key));
    buf_free(&key);
    return has;
}

int drains_set(struct control *c, struct str service, struct str instance, bool on, struct err *e)
{
    static char present;
    struct buf key = {0};
    bool ok = drain_key(service, instance, &key);
    if (ok && on)
        ok = map_put(&c->drains, buf_str(&key), &present);
    else if (ok)
        map_remove(&c->drains, buf_str(&key));
    buf_free(&key);
    return ok ? 0 : err_set(e, ERR_NOMEM, "no memory to remember a drain");
}

static json_t *drain_json(const struct map_slot *slot)
{
    struct str service, instance;
    bool ok = drain_names((struct str){slot->key, slot->key_n}, &service, &instance);
    CHECK(ok);
    return json_pack("{s:s%,s:s%}", "service", service.p, service.n, "instance", instance.p,
                     instance.n);
}

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static bool drains_text(const struct control *c, struct buf *out)
{
    json_t *list = json_array(), *root = NULL;
    bool ok = list != NULL;
    const struct map_slot *slot;
    for (size_t i = 0; ok && (slot = map_next(&c->drains, &i));)
        ok = json_array_append_new(list, drain_json(slot)) == 0;
    if (ok)
        root = json_pack("{s:i,s:O}", "schema", 1, "drains", list);
    json_decref(list);
    ok =
        root && json_dump_callback(root, append, out, JSON_INDENT(1)) == 0 && buf_add(out, "\n", 1);
    json_decref(root);
    return ok && !out->failed; /* jansson passes over a key that could not be written */
}

void drains_save(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "drains.json", &e);
    if (r == 0 && !drains_text(c, &text))
        r = err_set(&e, ERR_NOMEM, "no memory to save the drains");
    if (r == 0)
        r = file_replace(path, buf_str(&text), 0640, &e);
    buf_free(&text);
    control_unsaved(c, r ? &e : NULL);
}

static void drains_read(struct control *c, json_t *root)
{
    json_t *list = json_object_get(root, "drains"), *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *service = json_string_value(json_object_get(item, "service"));
        const char *instance = json_string_value(json_object_get(item, "instance"));
        if (service && instance)
            drains_set(c, str_of(service), str_of(instance), true, NULL);
    }
}

void drains_load(struct control *c)
{
    char path[PATHS_MAX];
    struct buf text = {0};
    struct err e = {0};
    int r = paths_join(path, c->o.state_dir, "drains.json", &e);
    if (r == 0)
        r = file_read(path, DRAINS_MAX_BYTES, &text, &e);
    json_error_t why;
    json_t *root = r ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    if (root)
        drains_read(c, root);
    else if (r != -ERR_ABSENT)
        log_warning(c->log, "the drains of before are lost: %s", r ? e.text : why.text);
    json_decref(root);
    buf_free(&text);
}

void drains_end(struct control *c)
{
    map_free(&c->drains);
}

static bool still_named(const struct control *c, const struct map_slot *slot)
{
    struct str service, instance;
    bool ok = drain_names((struct str){slot->key, slot->key_n}, &service, &instance);
    CHECK(ok);
    const struct view_service *s = view_service_find(c->view, service);
    return (s && view_instance_find(s, instance)) ||
           discover_told(c->discovering.sources, service, instance);
}

void drains_prune(struct control *c)
{
    static char present;
    struct map kept = {0};
    const struct map_slot *slot;
    bool ok = true;
    for (size_t i = 0; ok && (slot = map_next(&c->drains, &i));)
        if (still_named(c, slot))
            ok = map_put(&kept, (struct str){slot->key, slot->key_n}, &present);
    if (!ok || kept.n == c->drains.n) {
        map_free(&kept); /* out of memory: the next reload forgets them */
        return;
    }
    map_free(&c->drains);
    c->drains = kept;
    drains_save(c);
}
