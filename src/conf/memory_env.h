/* memory_env: a world of a few named texts, for tests and fuzzing. */
#ifndef HF_CONF_MEMORY_ENV_H
#define HF_CONF_MEMORY_ENV_H

#include "conf/conf.h"

struct memory_file {
    const char *path;
    struct str text;
};

struct memory_world {
    const struct memory_file *files;
    size_t n_files;
    const char *const *variables; /* name, value, name, value, NULL; may be NULL */
    unsigned long reads;
};

static inline int memory_read(void *self, const char *path, size_t max, struct buf *out,
                              struct err *e)
{
    struct memory_world *w = self;
    w->reads++;
    buf_clear(out);
    for (size_t i = 0; i < w->n_files; i++) {
        if (strcmp(w->files[i].path, path) != 0)
            continue;
        if (w->files[i].text.n > max)
            return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
        return buf_add_str(out, w->files[i].text) ? 0 : err_set(e, ERR_NOMEM, "no memory");
    }
    return err_set(e, ERR_ABSENT, "%s does not exist", path);
}

/* Only '*', at the end: all of a folder that begins as the pattern does. In reverse, as no order is
 * promised. */
static inline int memory_glob(void *self, const char *pattern,
                              void (*found)(void *arg, const char *path), void *arg, struct err *e)
{
    struct memory_world *w = self;
    size_t n = strcspn(pattern, "*?[");
    for (size_t i = w->n_files; i-- > 0;)
        if (strncmp(w->files[i].path, pattern, n) == 0 && !strchr(w->files[i].path + n, '/'))
            found(arg, w->files[i].path);
    return 0;
}

static inline const char *memory_variable(void *self, const char *name)
{
    struct memory_world *w = self;
    for (const char *const *v = w->variables; v && *v; v += 2)
        if (strcmp(v[0], name) == 0)
            return v[1];
    return NULL;
}

/* What is there is a file that only its owner reads. */
static inline int memory_inspect(void *self, const char *path, struct conf_file *out, struct err *e)
{
    const struct memory_world *w = self;
    for (size_t i = 0; i < w->n_files; i++)
        if (strcmp(w->files[i].path, path) == 0) {
            *out = (struct conf_file){true, 0600};
            return 0;
        }
    return err_set(e, ERR_ABSENT, "%s does not exist", path);
}

static inline int memory_absolute(void *self, const char *path, struct buf *out, struct err *e)
{
    buf_clear(out);
    return buf_printf(out, "%s%s", path[0] == '/' ? "" : "/", path)
               ? 0
               : err_set(e, ERR_NOMEM, "no memory");
}

/* The machine is 10.0.0.1 and all that is near. */
static inline bool memory_has_address(void *self, const struct addr *a)
{
    static const uint8_t own[4] = {10, 0, 0, 1};
    return a->kind == ADDR_IP4 && (a->ip[0] == 127 || memcmp(a->ip, own, sizeof own) == 0);
}

static inline struct conf_env memory_env(struct memory_world *w)
{
    return (struct conf_env){.self = w,
                             .read = memory_read,
                             .glob = memory_glob,
                             .variable = memory_variable,
                             .inspect = memory_inspect,
                             .absolute = memory_absolute,
                             .has_address = memory_has_address,
                             .cpus = 4,
                             .host = "here.example"};
}

#endif
