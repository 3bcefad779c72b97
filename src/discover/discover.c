#include "discover/discover.h"

#include <jansson.h>
#include <stdio.h>

#include "discover/dropins.h"
#include "discover/names.h"
#include "discover/told.h"

enum { KEPT_MAX_BYTES = 64 * 1024 * 1024, PATH_LONGEST = 4096 };

#define SAVE_NS NS_PER_S /* from another answer to the file */

struct discover {
    struct loop *loop;
    struct discover_owner owner;
    struct names *names;
    struct dropins *dropins;
    struct told told;
    struct timer save; /* set: names changed and are not in the file */
    char path[PATH_LONGEST];
};

/* ---- the kept file ---- */

static int append(const char *p, size_t n, void *out)
{
    return buf_add(out, p, n) ? 0 : -1;
}

static bool kept_text(const struct discover *d, struct buf *out)
{
    json_t *names = names_json(d->names), *services = told_json(&d->told), *root = NULL;
    if (names && services)
        root = json_pack("{s:i,s:O,s:O}", "schema", 1, "names", names, "services", services);
    json_decref(names);
    json_decref(services);
    bool ok =
        root && json_dump_callback(root, append, out, JSON_INDENT(1)) == 0 && buf_add(out, "\n", 1);
    json_decref(root);
    return ok && !out->failed; /* jansson passes over a key that could not be written */
}

static int save(struct discover *d, struct err *e)
{
    struct buf text = {.limit = KEPT_MAX_BYTES};
    loop_timer_stop(d->loop, &d->save);
    int rc = kept_text(d, &text) ? file_replace(d->path, buf_str(&text), 0640, e)
                                 : err_set(e, ERR_NOMEM, "no memory to save what was discovered");
    buf_free(&text);
    return rc;
}

static void on_save(struct timer *t)
{
    struct discover *d = CONTAINER_OF(t, struct discover, save);
    struct err e = {0};
    int rc = save(d, &e);
    d->owner.unsaved(d->owner.context, rc ? &e : NULL);
}

static void set_aside(struct discover *d, const char *why)
{
    char aside[PATH_LONGEST + 16], text[512];
    snprintf(aside, sizeof aside, "%s.damaged", d->path);
    bool moved = rename(d->path, aside) == 0;
    snprintf(text, sizeof text,
             "it cannot be read (%.160s) and %s; the last good answers and what "
             "the API said are lost",
             why, moved ? "was renamed to .damaged" : "could not be renamed");
    d->owner.tell(d->owner.context, DISCOVER_DAMAGED, d->path, text);
}

static void load(struct discover *d)
{
    struct buf text = {0};
    struct err e = {0};
    json_error_t why;
    int rc = file_read(d->path, KEPT_MAX_BYTES, &text, &e);
    if (rc == -ERR_ABSENT)
        return;
    json_t *root = rc ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    if (root && json_integer_value(json_object_get(root, "schema")) == 1) {
        names_load(d->names, json_object_get(root, "names"));
        told_load(&d->told, json_object_get(root, "services"));
    } else {
        set_aside(d, rc ? e.text : root ? "its schema is not 1" : why.text);
    }
    json_decref(root);
    buf_free(&text);
}

/* ---- what the sources say ---- */

static void names_changed(void *context)
{
    struct discover *d = context;
    if (!timer_is_set(&d->save))
        loop_timer_set(d->loop, &d->save, loop_now(d->loop) + SAVE_NS);
    d->owner.changed(d->owner.context);
}

static void files_changed(void *context)
{
    struct discover *d = context;
    d->owner.changed(d->owner.context);
}

static void tell(void *context, bool failed, const char *subject, const char *text)
{
    struct discover *d = context;
    d->owner.tell(d->owner.context, failed ? DISCOVER_FAILED : DISCOVER_BACK, subject, text);
}

static void give_source(void *self, const struct view_source *source, struct merge_sink *sink)
{
    struct discover *d = self;
    if (source->kind == SOURCE_DIR)
        dropins_give(d->dropins, source, sink);
    else
        names_give(d->names, source, sink);
}

static void give_told(void *self, struct str service, struct merge_sink *sink)
{
    told_give(&((struct discover *)self)->told, service, sink);
}

static bool weight_of(void *self, struct str service, struct str instance, uint32_t *weight)
{
    return told_weight(&((struct discover *)self)->told, service, instance, weight);
}

bool discover_adds(const struct discover *d, const struct view *base)
{
    bool adds = d->told.services.n > 0;
    for (uint32_t i = 0; i < base->n_services && !adds; i++)
        adds = base->services[i].n_sources > 0;
    return adds;
}

int discover_merge(struct discover *d, const struct view *base, struct view **out,
                   struct merge_report *report, struct err *e)
{
    struct merge_sources from = {d, give_source, give_told, weight_of};
    return merge(base, &from, out, report, e);
}

int discover_follow(struct discover *d, const struct view *v, const struct view *also,
                    const struct view *before, struct err *e)
{
    int rc = names_follow(d->names, v, also, e);
    return rc ? rc : dropins_follow(d->dropins, v, also, before, e);
}

/* ---- what the API tells ---- */

int discover_tell(struct discover *d, const struct told_change *c, const struct view *now,
                  struct told_counts *counts, struct err *e)
{
    return told_apply(&d->told, c, now, counts, e);
}

int discover_keep(struct discover *d, struct err *e)
{
    int rc = save(d, e);
    if (rc)
        told_undo(&d->told);
    else
        told_keep(&d->told);
    return rc;
}

void discover_undo(struct discover *d)
{
    told_undo(&d->told);
}

uint32_t discover_told_count(const struct discover *d, struct str service)
{
    return told_count(&d->told, service);
}

bool discover_told(const struct discover *d, struct str service, struct str instance)
{
    return told_has(&d->told, service, instance);
}

/* ---- start and end ---- */

int discover_new(struct discover **out, struct loop *l, const struct discover_options *o,
                 const struct discover_owner *owner, struct err *e)
{
    struct discover *d = mem_zero(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to discover backends");
    struct names_owner names = {d, names_changed, tell};
    struct dropins_owner dropins = {d, files_changed, tell};
    struct names_options options = {o->resolv_conf ? o->resolv_conf : "/etc/resolv.conf",
                                    o->hosts ? o->hosts : "/etc/hosts"};
    d->loop = l;
    d->owner = *owner;
    timer_init(&d->save, on_save);
    int n = snprintf(d->path, sizeof d->path, "%s/discovered.json", o->state_dir);
    int rc = n < 0 || (size_t)n >= sizeof d->path
                 ? err_set(e, ERR_INVAL, "the path of the state directory is too long")
                 : names_new(&d->names, l, &options, &names, e);
    if (rc == 0)
        rc = dropins_new(&d->dropins, l, &dropins, e);
    if (rc) {
        discover_free(d);
        return rc;
    }
    load(d);
    *out = d;
    return 0;
}

void discover_free(struct discover *d)
{
    if (!d)
        return;
    if (timer_is_set(&d->save))
        save(d, NULL);
    names_free(d->names);
    dropins_free(d->dropins);
    told_free(&d->told);
    mem_free(d);
}
