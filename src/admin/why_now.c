/* What a subject is now, for who asks why: what the routes of history.c answer with. */
#include "admin/inside.h"

#include <stdio.h>

static json_t *about(const char *kind, struct str name, json_t *o)
{
    if (!o)
        return NULL;
    json_t *with = json_pack("{s:s, s:o}", "kind", kind, "subject", json_text(name));
    if (!with || json_object_update(with, o)) {
        json_decref(with);
        with = NULL;
    }
    json_decref(o);
    return with;
}

static json_t *instance_now(struct admin *a, const struct view_service *s,
                            const struct view_instance *in)
{
    char name[AUDIT_NAME_MAX];
    int n = snprintf(name, sizeof name, "%.*s/%.*s", (int)MIN(s->name.n, 80u), s->name.p,
                     (int)MIN(in->name.n, 120u), in->name.p);
    struct str text = {name, MIN((size_t)MAX(n, 0), sizeof name - 1)};
    return about("instance", text, instance_json(a, in));
}

static bool add_role(struct admin *a, const struct view *v, const struct view_service *s,
                     json_t *list)
{
    return !view_is_primary(s) || json_push(list, about("role", s->name, role_json(a, v, s)));
}

/* Those that are not healthy first, so that the bound takes only what is well. */
static bool add_service(struct admin *a, const struct view_service *s, json_t *list)
{
    for (int well = 0; well < 2; well++)
        for (uint32_t i = 0; i < s->n_instances && json_array_size(list) < WHY_NOW_MAX; i++) {
            bool healthy = admin_shown(a, s->instances[i].slot).verdict == VERDICT_HEALTHY;
            if (healthy == well && !json_push(list, instance_now(a, s, &s->instances[i])))
                return false;
        }
    return true;
}

static bool add_named(json_t *all, const char *kind, const char *name, json_t *list)
{
    size_t i;
    json_t *one;
    bool ok = true;
    json_array_foreach(all, i, one)
    {
        const char *its = json_string_value(json_object_get(one, "name"));
        if (its && strcmp(its, name) == 0)
            ok &= json_push(list, about(kind, str_of(name), json_incref(one)));
    }
    return ok;
}

static bool add_member(struct admin *a, const char *name, json_t *list)
{
    json_t *one = member_json_of(a, str_of(name));
    return !one || json_push(list, about("node", str_of(name), one));
}

/* Is it held against the subject itself, or a disk or link of the node `name`? */
static bool is_about(const struct admin_held *h, const char *name)
{
    size_t n = strlen(name);
    if (h->kind == SUBJECT_INSTANCE) /* which tells of it itself */
        return false;
    if (h->kind == SUBJECT_DISK || h->kind == SUBJECT_LINK)
        if (strncmp(h->name, name, n) == 0 && (h->name[n] == ':' || h->name[n] == '>'))
            return true;
    return strcmp(h->name, name) == 0;
}

static bool add_held(struct admin *a, const char *name, json_t *list)
{
    struct admin_held h;
    for (size_t at = 0; json_array_size(list) < WHY_NOW_MAX && held_next(a, &at, &h);)
        if (is_about(&h, name) &&
            !json_push(list, about("findings", str_of(h.name), held_json(a, &h))))
            return false;
    return true;
}

const struct view_instance *why_instance(const struct view *v, struct str text,
                                         const struct view_service **service)
{
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (!slash)
        return NULL;
    struct str first = {text.p, (size_t)(slash - text.p)};
    struct str rest = {slash + 1, text.n - first.n - 1};
    *service = view_service_find(v, first);
    return *service ? view_instance_find(*service, rest) : NULL;
}

json_t *why_now(struct admin *a, const char *subject)
{
    const struct view *v = a->host.view(a->host.context);
    const struct view_service *s = NULL;
    json_t *list = json_array(), *beats = v ? beats_json(a) : NULL;
    bool ok = list != NULL;
    if (ok && v && (s = view_service_find(v, str_of(subject))))
        ok = add_role(a, v, s, list) && add_service(a, s, list);
    const struct view_instance *in = ok && v ? why_instance(v, str_of(subject), &s) : NULL;
    if (in)
        ok = json_push(list, instance_now(a, s, in));
    ok = ok && add_named(beats, "beat", subject, list) && add_member(a, subject, list) &&
         add_held(a, subject, list);
    json_decref(beats);
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}
