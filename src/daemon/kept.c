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

/* ---- what a node runs ---- */

static int load_shared(const struct conf_place *p, const struct shared_conf *s, bool whole,
                       struct view **out, struct conf_problems *problems, struct err *e)
{
    struct bundle_world *w = mem_zero(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory to read the configuration");
    struct conf_env own = daemon_conf_env(p->node);
    struct conf_env shared = bundle_env(w, &s->bundle, p->file, p->node);
    own.whole = shared.whole = whole;
    int r = conf_load_shared(p->file, &own, s->bundle.main.p, &shared, out, problems, e);
    if (r && s->version.number)
        err_wrap(e, "version %llu", (unsigned long long)s->version.number);
    mem_free(w);
    return r;
}

int shared_conf_load(const struct conf_place *p, const struct shared_conf *s, bool whole,
                     struct view **out, struct conf_problems *problems, struct err *e)
{
    struct conf_env env = daemon_conf_env(p->node);
    env.whole = whole;
    int r = s->bundle.n ? load_shared(p, s, whole, out, problems, e)
                        : conf_load(p->file, &env, out, problems, e);
    if (r == 0)
        (*out)->version = s->version.number;
    return r;
}

static void note(struct buf *notes, uint64_t number, const struct conf_problems *problems,
                 const struct err *e)
{
    const struct conf_problem *first = NULL;
    for (uint32_t i = 0; i < problems->n && !first; i++)
        if (problems->list[i].severity == CONF_ERROR)
            first = &problems->list[i];
    buf_printf(notes,
               "version %llu of the configuration cannot be used: ", (unsigned long long)number);
    if (first)
        buf_printf(notes, "%s:%u:%u: %s\n", first->file, first->line, first->column, first->text);
    else
        buf_printf(notes, "%s\n", e->text);
}

/* The problems that stay are those of the newest that could be read: it is what was wanted. */
int shared_conf_start(const struct conf_place *p, struct view **out, struct shared_conf *used,
                      struct conf_problems *problems, struct buf *notes, struct err *e)
{
    uint64_t numbers[KEPT_MAX];
    uint32_t n = kept_list(p->state, numbers), refused = 0;
    struct err newest = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct conf_problems theirs = {0};
        struct err why = {0};
        int r = kept_read(p->state, numbers[i], used, &why);
        bool readable = r == 0;
        r = r ? r : shared_conf_load(p, used, false, out, &theirs, &why);
        if (r == 0) {
            conf_problems_free(problems);
            *problems = theirs;
            return 0;
        }
        note(notes, numbers[i], &theirs, &why);
        if (readable && refused++ == 0) {
            *problems = theirs;
            newest = why;
        } else {
            conf_problems_free(&theirs);
        }
    }
    shared_conf_free(used);
    if (!refused)
        return shared_conf_load(p, used, false, out, problems, e);
    if (e)
        *e = newest;
    return newest.code;
}
