#include "daemon/bundle_env.h"

#include <fnmatch.h>
#include <stdio.h>

#include "daemon/daemon.h"

/* "conf.d/../secret" is "secret": the folders that shared files lie in need not be on this disk. */
static void fold(char *path)
{
    for (char *up = path; (up = strstr(up, "/../"));) {
        char *from = up;
        while (from > path && from[-1] != '/')
            from--;
        if (from == up || strncmp(from, "../", 3) == 0) {
            up += 3; /* nothing to go up from */
            continue;
        }
        memmove(from, up + 4, strlen(up + 4) + 1);
        up = path;
    }
}

/* The path on the disk; ERR_LIMIT when it does not fit. */
static int place(const struct bundle_world *w, const char *name, char out[PATHS_MAX], struct err *e)
{
    size_t base = name[0] == '/' ? 0 : strlen(w->base);
    int n = snprintf(out, PATHS_MAX, "%s%s", base ? w->base : "", name);
    if (n < 0 || n >= PATHS_MAX)
        return err_set(e, ERR_LIMIT, "a path is too long");
    if (w->from && base)
        fold(out + base);
    return 0;
}

static int from_disk(void *self, const char *name, size_t max, struct buf *out, struct err *e)
{
    const struct bundle_world *w = self;
    char path[PATHS_MAX];
    int r = place(w, name, path, e);
    return r ? r : w->real.read(w->real.self, path, max, out, e);
}

static int inspect(void *self, const char *name, struct conf_file *out, struct err *e)
{
    const struct bundle_world *w = self;
    char path[PATHS_MAX];
    int r = place(w, name, path, e);
    return r ? r : w->real.inspect(w->real.self, path, out, e);
}

static int absolute(void *self, const char *name, struct buf *out, struct err *e)
{
    const struct bundle_world *w = self;
    char path[PATHS_MAX];
    int r = place(w, name, path, e);
    return r ? r : w->real.absolute(w->real.self, path, out, e);
}

static int check_key(void *self, const char *name, struct err *e)
{
    const struct bundle_world *w = self;
    char path[PATHS_MAX];
    int r = place(w, name, path, e);
    return r ? r : w->real.check_key(w->real.self, path, e);
}

static const char *variable(void *self, const char *name)
{
    const struct bundle_world *w = self;
    return w->real.variable(w->real.self, name);
}

static bool has_address(void *self, const struct addr *a)
{
    const struct bundle_world *w = self;
    return w->real.has_address(w->real.self, a);
}

static void set_base(struct bundle_world *w, const char *file)
{
    const char *slash = strrchr(file, '/');
    size_t n = slash ? (size_t)(slash + 1 - file) : 0;
    str_copy(w->base, sizeof w->base, (struct str){file, n});
}

static struct conf_env env_of(struct bundle_world *w)
{
    struct conf_env env = w->real;
    env.self = w;
    env.reference = from_disk;
    env.inspect = inspect;
    env.absolute = absolute;
    env.check_key = check_key;
    env.variable = variable;
    env.has_address = has_address;
    return env;
}

/* ---- from a bundle ---- */

static int bundled_read(void *self, const char *name, size_t max, struct buf *out, struct err *e)
{
    const struct bundle_world *w = self;
    const struct bundle_file *f = bundle_find(w->from, str_of(name));
    buf_clear(out);
    if (!f)
        return err_set(e, ERR_ABSENT, "%s does not exist", name);
    if (f->text.n > max)
        return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", name, max);
    return buf_add_str(out, f->text) ? 0 : err_set(e, ERR_NOMEM, "no memory to read %s", name);
}

/* The names are those that glob(3) found where the bundle was made; a pattern is matched with them
 * as it does: by parts, and no dot at the beginning of one. */
static int bundled_glob(void *self, const char *pattern, void (*found)(void *arg, const char *path),
                        void *arg, struct err *e)
{
    const struct bundle_world *w = self;
    for (uint32_t i = 0; i < w->from->n; i++)
        if (fnmatch(pattern, w->from->files[i].name.p, FNM_PATHNAME | FNM_PERIOD) == 0)
            found(arg, w->from->files[i].name.p);
    return 0;
}

struct conf_env bundle_env(struct bundle_world *w, const struct bundle *from, const char *own,
                           const char *node)
{
    *w = (struct bundle_world){.real = daemon_conf_env(node), .from = from};
    set_base(w, own);
    struct conf_env env = env_of(w);
    env.read = bundled_read;
    env.glob = bundled_glob;
    return env;
}

/* ---- into a bundle ---- */

static int collecting_read(void *self, const char *name, size_t max, struct buf *out, struct err *e)
{
    struct bundle_world *w = self;
    struct err why = {0};
    int r = from_disk(self, name, max, out, &why);
    if (r && e)
        *e = why;
    /* One that a pattern found and that cannot be read must not just be missing elsewhere. */
    bool kept_out = r ? r != -ERR_ABSENT : bundle_add(w->into, str_of(name), buf_str(out), &why);
    if (kept_out && !w->why.code)
        w->why = why;
    return r;
}

struct collecting_found {
    size_t skip; /* bytes of the base */
    void (*found)(void *arg, const char *path);
    void *arg;
};

static void strip(void *arg, const char *path)
{
    const struct collecting_found *f = arg;
    f->found(f->arg, path + f->skip);
}

/* The base is a path, not a pattern. */
static int collecting_glob(void *self, const char *pattern,
                           void (*found)(void *arg, const char *path), void *arg, struct err *e)
{
    const struct bundle_world *w = self;
    struct collecting_found f = {pattern[0] == '/' ? 0 : strlen(w->base), found, arg};
    struct buf full = {0};
    for (size_t i = 0; i < f.skip; i++) {
        if (strchr("*?[\\", w->base[i]))
            buf_add(&full, "\\", 1);
        buf_add(&full, &w->base[i], 1);
    }
    buf_add(&full, pattern, strlen(pattern) + 1);
    int r = full.failed ? err_set(e, ERR_NOMEM, "no memory to look for %s", pattern)
                        : w->real.glob(w->real.self, full.p, strip, &f, e);
    buf_free(&full);
    return r;
}

struct conf_env bundle_collect(struct bundle_world *w, struct bundle *into, const char *file)
{
    *w = (struct bundle_world){.real = daemon_conf_env(NULL), .into = into};
    set_base(w, file);
    struct conf_env env = env_of(w);
    env.read = collecting_read;
    env.glob = collecting_glob;
    return env;
}

/* What is wrong with the configuration is the node's to say, which may have what this process has
 * not: keys, variables, addresses. Here every file is read that it names. */
int daemon_bundle(const char *file, struct buf *out, struct err *e)
{
    struct bundle b = {0};
    struct bundle_world w;
    struct conf_env env = bundle_collect(&w, &b, file);
    struct conf_problems problems = {0};
    struct view *v = NULL;
    struct err why = {0};
    const char *slash = strrchr(file, '/');
    int r = conf_load(slash ? slash + 1 : file, &env, &v, &problems, &why);
    view_free(v);
    conf_problems_free(&problems);
    if (w.why.code)
        r = err_set(e, (enum err_code) - w.why.code, "%s", w.why.text);
    else if (b.n == 0 || r == -ERR_NOMEM)
        r = err_set(e, (enum err_code) - why.code, "%s", why.text);
    else
        r = bundle_encode(&b, out, e);
    bundle_free(&b);
    return r;
}
