#include "daemon/kept.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/bundle_env.h"
#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "os/os.h"

enum { DIGITS = 10, STAY = 2 };

void shared_conf_free(struct shared_conf *s)
{
    bundle_free(&s->bundle);
    *s = (struct shared_conf){0};
}

int shared_conf_read(struct shared_conf *s, const struct version *v, struct str bundle,
                     struct err *e)
{
    shared_conf_free(s);
    int r = bundle_decode(bundle, &s->bundle, e);
    if (r == 0)
        s->version = *v;
    return r;
}

/* ---- on disk ---- */

static int folder(const char *state, char out[PATHS_MAX], struct err *e)
{
    return paths_join(out, state, "config", e);
}

static int place(const char *state, uint64_t number, char out[PATHS_MAX], struct err *e)
{
    char dir[PATHS_MAX], name[32];
    snprintf(name, sizeof name, "%0*llu", DIGITS, (unsigned long long)number);
    int r = folder(state, dir, e);
    return r ? r : paths_join(out, dir, name, e);
}

int kept_write(const char *state, const struct version *v, struct str bundle, struct err *e)
{
    char path[PATHS_MAX], dir[PATHS_MAX];
    struct buf text = {0};
    int r = version_write(v, &bundle, &text, e);
    r = r ? r : folder(state, dir, e);
    r = r ? r : dir_make(dir, 0750, e);
    r = r ? r : place(state, v->number, path, e);
    r = r ? r : file_replace(path, buf_str(&text), 0640, e);
    buf_free(&text);
    return r;
}

/* The supervisor reads it too, and the directory is not its own: a pipe must not hold it. */
static int check_regular(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st))
        return err_errno(e, "cannot use %s", path);
    return S_ISREG(st.st_mode) ? 0 : err_set(e, ERR_INVAL, "%s is not a file", path);
}

int kept_read(const char *state, uint64_t number, struct shared_conf *out, struct err *e)
{
    char path[PATHS_MAX];
    struct buf text = {0}, bundle = {0};
    struct version v;
    int r = place(state, number, path, e);
    r = r ? r : check_regular(path, e);
    r = r ? r : file_read(path, COORD_VALUE_MAX, &text, e);
    r = r ? r : version_read(buf_str(&text), &v, &bundle, e);
    if (r == 0 && v.number != number)
        r = err_set(e, ERR_PROTO, "%s holds another version", path);
    r = r ? r : shared_conf_read(out, &v, buf_str(&bundle), e);
    buf_free(&text);
    buf_free(&bundle);
    return r;
}

/* Newest first. */
static void insert(uint64_t numbers[KEPT_MAX], uint32_t *n, uint64_t number)
{
    uint32_t at = *n;
    while (at && numbers[at - 1] < number)
        at--;
    if (at == KEPT_MAX)
        return;
    *n = MIN(*n + 1, (uint32_t)KEPT_MAX);
    memmove(numbers + at + 1, numbers + at, (*n - at - 1) * sizeof *numbers);
    numbers[at] = number;
}

uint32_t kept_list(const char *state, uint64_t numbers[KEPT_MAX])
{
    char dir[PATHS_MAX];
    uint32_t n = 0;
    uint64_t number;
    DIR *d = folder(state, dir, NULL) ? NULL : opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));)
        if (strlen(f->d_name) == DIGITS && str_u64(str_of(f->d_name), VERSION_MOST, &number) &&
            number)
            insert(numbers, &n, number);
    if (d)
        closedir(d);
    return n;
}

void kept_forget(const char *state, uint64_t number)
{
    uint64_t numbers[KEPT_MAX];
    char path[PATHS_MAX];
    uint32_t n = kept_list(state, numbers), seen = 0;
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] <= number && ++seen > STAY && place(state, numbers[i], path, NULL) == 0)
            unlink(path);
}

void kept_set_aside(const char *state, uint64_t number)
{
    char path[PATHS_MAX], aside[PATHS_MAX + 16];
    if (place(state, number, path, NULL))
        return;
    snprintf(aside, sizeof aside, "%s.damaged", path);
    if (rename(path, aside))
        unlink(path);
}

bool kept_has_below(const char *state, uint64_t number)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(state, numbers);
    return n && numbers[n - 1] < number;
}

/* ---- the own file, as it was ---- */

static int own_place(const char *state, char out[PATHS_MAX], struct err *e)
{
    char dir[PATHS_MAX];
    int r = folder(state, dir, e);
    return r ? r : paths_join(out, dir, "own", e);
}

static int own_read(const char *state, struct buf *out, struct err *e)
{
    char path[PATHS_MAX];
    int r = own_place(state, path, e);
    r = r ? r : check_regular(path, e);
    return r ? r : file_read(path, COORD_VALUE_MAX, out, e);
}

int kept_own_write(const char *state, struct str bundle, struct err *e)
{
    char path[PATHS_MAX], dir[PATHS_MAX];
    struct buf old = {0};
    int r = 0;
    if (own_read(state, &old, NULL) || !str_eq(buf_str(&old), bundle)) {
        r = folder(state, dir, e);
        r = r ? r : dir_make(dir, 0750, e);
        r = r ? r : own_place(state, path, e);
        r = r ? r : file_replace(path, bundle, 0600, e);
    }
    buf_free(&old);
    return r;
}

/* ---- what a node runs ---- */

/* own: the copy of the own file; NULL: the file itself. */
static int load_shared(const struct conf_place *p, const struct shared_conf *s,
                       const struct bundle *own, bool whole, struct view **out,
                       struct conf_problems *problems, struct err *e)
{
    struct bundle_world *w = mem_zero(2, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory to read the configuration");
    struct conf_env shared = bundle_env(&w[0], &s->bundle, p->file, p->node);
    struct conf_env mine =
        own ? bundle_env(&w[1], own, p->file, p->node) : daemon_conf_env(p->node);
    mine.whole = shared.whole = whole;
    int r = conf_load_shared(own ? own->main.p : p->file, &mine, s->bundle.main.p, &shared, out,
                             problems, e);
    if (r && s->version.number)
        err_wrap(e, "version %llu", (unsigned long long)s->version.number);
    mem_free(w);
    return r;
}

static int finish(const struct conf_place *p, const struct shared_conf *s, struct view *v,
                  struct err *e)
{
    v->version = s->version.number;
    v->file = arena_str(&v->arena, str_of(p->file));
    return v->file.p ? 0 : err_set(e, ERR_NOMEM, "no memory to read %s", p->file);
}

int shared_conf_load(const struct conf_place *p, const struct shared_conf *s, bool whole,
                     struct view **out, struct conf_problems *problems, struct err *e)
{
    struct conf_env env = daemon_conf_env(p->node);
    env.whole = whole;
    int r = s->bundle.n ? load_shared(p, s, NULL, whole, out, problems, e)
                        : conf_load(p->file, &env, out, problems, e);
    if (r == 0)
        (*out)->version = s->version.number;
    return r;
}

/* The first error, else what is said of all. */
static void tell_first(struct buf *out, const struct conf_problems *problems, const struct err *e)
{
    const struct conf_problem *first = NULL;
    for (uint32_t i = 0; i < problems->n && !first; i++)
        if (problems->list[i].severity == CONF_ERROR)
            first = &problems->list[i];
    if (first)
        buf_printf(out, "%s:%u:%u: %s", first->file, first->line, first->column, first->text);
    else
        buf_printf(out, "%s", e->text);
}

static void tell_own(char own[KEPT_OWN_TEXT], const struct conf_problems *problems,
                     const struct err *e)
{
    struct buf text = {0};
    tell_first(&text, problems, e);
    snprintf(own, KEPT_OWN_TEXT,
             "%.*s: what is local to this node is as it was when its own file could be used last",
             (int)MIN(text.n, 300u), text.n ? text.p : "");
    buf_free(&text);
}

static int load_with_copy(const struct conf_place *p, const struct shared_conf *s, bool whole,
                          struct view **out, struct conf_problems *problems)
{
    struct buf bytes = {0};
    struct bundle copy = {0};
    int r = own_read(p->state, &bytes, NULL);
    r = r ? r : bundle_decode(buf_str(&bytes), &copy, NULL);
    r = r ? r : load_shared(p, s, &copy, whole, out, problems, NULL);
    if (r == 0 && (r = finish(p, s, *out, NULL)) != 0) {
        view_free(*out);
        *out = NULL;
    }
    bundle_free(&copy);
    buf_free(&bytes);
    return r;
}

int shared_conf_load_anyway(const struct conf_place *p, const struct shared_conf *s, bool whole,
                            struct view **out, struct conf_problems *problems,
                            char own[KEPT_OWN_TEXT], struct err *e)
{
    struct conf_problems second = {0};
    struct err why = {0};
    own[0] = 0;
    int r = shared_conf_load(p, s, whole, out, problems, &why);
    if (r && r != -ERR_NOMEM && s->bundle.n && load_with_copy(p, s, whole, out, &second) == 0) {
        tell_own(own, problems, &why);
        conf_problems_free(problems);
        *problems = second;
        return 0;
    }
    conf_problems_free(&second);
    if (r && e)
        *e = why;
    return r;
}

static void note(struct buf *notes, uint64_t number, const struct conf_problems *problems,
                 const struct err *e)
{
    buf_printf(notes,
               "version %llu of the configuration cannot be used: ", (unsigned long long)number);
    tell_first(notes, problems, e);
    buf_printf(notes, "\n");
}

/* The problems that stay are those of the newest that could be read: it is what was wanted. */
int shared_conf_start(const struct conf_place *p, struct shared_start *out, struct err *e)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(p->state, numbers), refused = 0;
    struct err newest = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct conf_problems theirs = {0};
        struct err why = {0};
        if (out->below && numbers[i] >= out->below)
            continue;
        int r = kept_read(p->state, numbers[i], &out->used, &why);
        bool readable = r == 0;
        r = r ? r
              : shared_conf_load_anyway(p, &out->used, false, &out->view, &theirs, out->own, &why);
        if (r == 0) {
            conf_problems_free(&out->problems);
            out->problems = theirs;
            return 0;
        }
        note(&out->notes, numbers[i], &theirs, &why);
        if (readable && refused++ == 0) {
            out->problems = theirs;
            newest = why;
        } else {
            conf_problems_free(&theirs);
        }
    }
    shared_conf_free(&out->used);
    if (!refused && !out->below)
        return shared_conf_load(p, &out->used, false, &out->view, &out->problems, e);
    if (!newest.code)
        err_set(&newest, ERR_ABSENT, "no older version of the configuration can be used");
    if (e)
        *e = newest;
    return newest.code;
}

void shared_start_free(struct shared_start *s)
{
    view_free(s->view);
    shared_conf_free(&s->used);
    conf_problems_free(&s->problems);
    buf_free(&s->notes);
    *s = (struct shared_start){0};
}
