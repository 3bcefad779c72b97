#include "discover/dropins.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILES_MAX = CONF_MAX_FILES, DIRS_MAX = VIEW_MAX_SERVICES, TEXT_MAX = 320 };

#define SETTLE_NS (20 * NS_PER_MS) /* from an event to the look at its directory */
#define LOOK_NS   (2 * NS_PER_S)   /* between two looks without an event */

struct file {
    char *path; /* owned */
    struct file_stamp stamp;
    struct view *good; /* owned; NULL: it was never understood */
    bool bad;          /* told */
    bool seen;         /* in the look that goes on */
};

struct dir {
    struct list link;
    struct dropins *owner;
    char path[sizeof(((struct addr *)0)->path)];
    struct file *files; /* owned; by path */
    uint32_t n, cap;
    bool used, bad, nomem;
};

struct dropins {
    struct loop *loop;
    struct dropins_owner owner;
    struct list dirs;
    uint32_t n_dirs;
    struct io io;
    struct timer look;
    int fd;                    /* owned; -1: cannot watch, only look */
    const struct view *before; /* while following */
};

/* ---- one file ---- */

static void tell(struct dir *d, bool bad, const char *path, const char *text)
{
    d->owner->owner.tell(d->owner->owner.context, bad, path, text);
}

static uint32_t gives(const struct file *f)
{
    return f->good ? f->good->services[0].n_instances : 0;
}

static void tell_bad(struct dir *d, const struct file *f, const struct conf_problems *p,
                     const struct err *e)
{
    char text[TEXT_MAX];
    const struct conf_problem *first = NULL;
    for (uint32_t i = 0; i < p->n && !first; i++)
        if (p->list[i].severity == CONF_ERROR)
            first = &p->list[i];
    if (first)
        snprintf(text, sizeof text, "%s:%u:%u: %.150s", first->file, first->line, first->column,
                 first->text);
    else
        snprintf(text, sizeof text, "%.200s", e->text);
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "; %u backend%s of before stay%s", gives(f),
             gives(f) == 1 ? "" : "s", gives(f) == 1 ? "s" : "");
    tell(d, true, f->path, text);
}

static bool append(struct view *v, const struct view_instance *n)
{
    struct view_service *s = &v->services[0];
    struct view_instance *to = &s->instances[s->n_instances];
    *to = *n;
    to->weight = n->own_weight;
    to->name = arena_str(&v->arena, n->name);
    to->source = STR("");
    s->n_instances += to->name.p != NULL;
    return to->name.p != NULL;
}

/* What the view of before has from this file; NULL when it has nothing. */
static struct view *from_before(const struct view *before, const char *path)
{
    struct view *v = view_new();
    bool ok = v && (v->services = arena_alloc(&v->arena, sizeof *v->services)) != NULL;
    if (ok)
        v->services[0].instances = arena_array(&v->arena, POOL_MAX, sizeof(struct view_instance));
    ok = ok && v->services[0].instances;
    for (uint32_t i = 0; ok && i < before->n_services; i++) {
        const struct view_service *s = &before->services[i];
        for (uint32_t k = 0; ok && k < s->n_instances; k++)
            if (s->instances[k].origin == ORIGIN_DROPIN &&
                str_eq(s->instances[k].source, str_of(path)) &&
                !view_instance_find(&v->services[0], s->instances[k].name))
                ok = v->services[0].n_instances < POOL_MAX && append(v, &s->instances[k]);
    }
    if (ok && v->services[0].n_instances)
        return v;
    view_free(v);
    return NULL;
}

static void read_file(struct dir *d, struct file *f)
{
    struct conf_env env = conf_env_real();
    struct conf_problems problems = {0};
    struct view *next = NULL;
    struct err e = {0};
    int rc = conf_load_backends(f->path, &env, &next, &problems, &e);
    if (rc == -ERR_ABSENT) {
        f->seen = false; /* it went while we looked */
    } else if (rc) {
        if (!f->good && d->owner->before)
            f->good = from_before(d->owner->before, f->path);
        tell_bad(d, f, &problems, &e); /* each time: it is another mistake */
        f->bad = true;
    } else {
        view_free(f->good);
        f->good = next;
        if (f->bad)
            tell(d, false, f->path, "it is understood again");
        f->bad = false;
        d->owner->owner.changed(d->owner->owner.context);
    }
    conf_problems_free(&problems);
}

static void file_free(struct file *f)
{
    mem_free(f->path);
    view_free(f->good);
}

/* ---- one directory ---- */

static bool grow(struct dir *d)
{
    if (d->n < d->cap)
        return true;
    uint32_t cap = MIN(MAX(2 * d->cap, 8u), (uint32_t)FILES_MAX);
    struct file *files = cap > d->cap ? mem_resize(d->files, cap * sizeof *files) : NULL;
    if (!files)
        return false;
    d->files = files;
    d->cap = cap;
    return true;
}

static struct file *file_of(struct dir *d, const char *path)
{
    uint32_t at = 0;
    int c = -1;
    while (at < d->n && (c = strcmp(d->files[at].path, path)) < 0)
        at++;
    if (at < d->n && c == 0)
        return &d->files[at];
    size_t n = strlen(path) + 1;
    char *copy = grow(d) ? mem_alloc(n) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, path, n);
    memmove(&d->files[at + 1], &d->files[at], (d->n - at) * sizeof *d->files);
    d->files[at] = (struct file){.path = copy};
    d->n++;
    return &d->files[at];
}

static void on_found(void *arg, const char *path)
{
    struct dir *d = arg;
    struct file_stamp stamp;
    if (file_stamp(path, &stamp, NULL))
        return; /* gone already, or a link to nowhere */
    struct file *f = file_of(d, path);
    if (!f) {
        d->nomem = true;
        return;
    }
    f->seen = true;
    if (memcmp(&stamp, &f->stamp, sizeof stamp) == 0)
        return;
    f->stamp = stamp;
    read_file(d, f);
}

/* What was not seen is gone. */
static void forget_unseen(struct dir *d)
{
    uint32_t kept = 0;
    bool any = false;
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->files[i].seen) {
            d->files[kept++] = d->files[i];
            continue;
        }
        any |= gives(&d->files[i]) > 0;
        file_free(&d->files[i]);
    }
    d->n = kept;
    if (any)
        d->owner->owner.changed(d->owner->owner.context);
}

static void dir_bad(struct dir *d, const struct err *e)
{
    char text[TEXT_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n; i++)
        n += gives(&d->files[i]);
    snprintf(text, sizeof text, "%.200s; %u backends of before stay", e->text, n);
    if (!d->bad)
        tell(d, true, d->path, text);
    d->bad = true;
}

static void look_into(struct dir *d)
{
    struct conf_env env = conf_env_real();
    struct err e = {0};
    char pattern[sizeof d->path + 8];
    snprintf(pattern, sizeof pattern, "%s/*.conf", d->path);
    if (d->owner->fd >= 0)
        watch_add(d->owner->fd, d->path, NULL); /* again: it may be another directory now */
    for (uint32_t i = 0; i < d->n; i++)
        d->files[i].seen = false;
    d->nomem = false;
    if (dir_check(d->path, &e) || env.glob(env.self, pattern, on_found, d, &e)) {
        dir_bad(d, &e);
        return;
    }
    if (d->nomem) {
        err_set(&e, ERR_LIMIT, "more than %d files, or no memory", FILES_MAX);
        dir_bad(d, &e);
        return;
    }
    forget_unseen(d);
    if (d->bad)
        tell(d, false, d->path, "it can be read again");
    d->bad = false;
}

static void dir_free(struct dir *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        file_free(&d->files[i]);
    mem_free(d->files);
    list_remove(&d->link);
    d->owner->n_dirs--;
    mem_free(d);
}

/* ---- all of them ---- */

static struct dir *dir_find(const struct dropins *d, struct str path)
{
    list_for_each (it, &d->dirs) {
        struct dir *dir = LIST_ENTRY(it, struct dir, link);
        if (str_eq(path, str_of(dir->path)))
            return dir;
    }
    return NULL;
}

static struct dir *dir_new(struct dropins *d, struct str path)
{
    struct dir *dir = d->n_dirs < DIRS_MAX ? mem_zero(1, sizeof *dir) : NULL;
    if (!dir)
        return NULL;
    dir->owner = d;
    str_copy(dir->path, sizeof dir->path, path);
    list_push_back(&d->dirs, &dir->link);
    d->n_dirs++;
    look_into(dir);
    return dir;
}

static int mark(struct dropins *d, const struct view *v, struct err *e)
{
    for (uint32_t i = 0; i < v->n_services; i++) {
        const struct view_service *s = &v->services[i];
        for (uint32_t k = 0; k < s->n_sources; k++) {
            if (s->sources[k].kind != SOURCE_DIR)
                continue;
            struct dir *dir = dir_find(d, s->sources[k].name);
            if (!dir)
                dir = dir_new(d, s->sources[k].name);
            if (!dir)
                return err_set(e, ERR_NOMEM, "no memory to watch a directory");
            dir->used = true;
        }
    }
    return 0;
}

static void plan(struct dropins *d)
{
    if (list_empty(&d->dirs))
        loop_timer_stop(d->loop, &d->look);
    else if (!timer_is_set(&d->look))
        loop_timer_set(d->loop, &d->look, loop_now(d->loop) + LOOK_NS);
}

int dropins_follow(struct dropins *d, const struct view *v, const struct view *also,
                   const struct view *before, struct err *e)
{
    list_for_each (it, &d->dirs)
        LIST_ENTRY(it, struct dir, link)->used = false;
    d->before = before;
    int rc = mark(d, v, e);
    if (rc == 0 && also)
        rc = mark(d, also, e);
    d->before = NULL;
    list_for_each_safe (it, &d->dirs) {
        struct dir *dir = LIST_ENTRY(it, struct dir, link);
        if (!dir->used && rc == 0)
            dir_free(dir);
    }
    plan(d);
    return rc;
}

void dropins_give(struct dropins *d, const struct view_source *source, struct merge_sink *sink)
{
    const struct dir *dir = dir_find(d, source->name);
    for (uint32_t i = 0; dir && i < dir->n; i++) {
        const struct file *f = &dir->files[i];
        for (uint32_t k = 0; k < gives(f); k++) {
            struct view_instance n = f->good->services[0].instances[k];
            n.source = str_of(f->path);
            merge_give(sink, &n);
        }
    }
}

static void on_look(struct timer *t)
{
    struct dropins *d = CONTAINER_OF(t, struct dropins, look);
    list_for_each (it, &d->dirs)
        look_into(LIST_ENTRY(it, struct dir, link));
    plan(d);
}

static void on_event(struct io *io, unsigned ready)
{
    struct dropins *d = CONTAINER_OF(io, struct dropins, io);
    (void)ready;
    if (!watch_take(d->fd) || list_empty(&d->dirs))
        return;
    uint64_t at = loop_now(d->loop) + SETTLE_NS;
    if (!timer_is_set(&d->look) || d->look.at > at)
        loop_timer_set(d->loop, &d->look, at);
}

int dropins_new(struct dropins **out, struct loop *l, const struct dropins_owner *owner,
                struct err *e)
{
    struct dropins *d = mem_zero(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to watch directories");
    d->loop = l;
    d->owner = *owner;
    list_init(&d->dirs);
    io_init(&d->io, on_event);
    timer_init(&d->look, on_look);
    d->fd = watch_open(NULL); /* without it, LOOK_NS is how late we are */
    if (d->fd >= 0 && loop_io_start(l, &d->io, d->fd, NULL)) {
        close(d->fd);
        d->fd = -1;
    }
    *out = d;
    return 0;
}

void dropins_free(struct dropins *d)
{
    if (!d)
        return;
    loop_timer_stop(d->loop, &d->look);
    list_for_each_safe (it, &d->dirs)
        dir_free(LIST_ENTRY(it, struct dir, link));
    loop_io_stop(d->loop, &d->io);
    if (d->fd >= 0)
        close(d->fd);
    mem_free(d);
}
