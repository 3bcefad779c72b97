/* The real world behind struct conf_env. */
#include "conf/conf.h"

#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

static int real_read(void *self, const char *path, size_t max, struct buf *out, struct err *e)
{
    return file_read(path, max, out, e);
}

static int real_glob(void *self, const char *pattern, void (*found)(void *arg, const char *path),
                     void *arg, struct err *e)
{
    glob_t g = {0};
    int rc = glob(pattern, GLOB_NOSORT, NULL, &g);
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++)
        found(arg, g.gl_pathv[i]);
    globfree(&g);
    switch (rc) {
    case 0:
    case GLOB_NOMATCH: return 0;
    case GLOB_NOSPACE: return err_set(e, ERR_NOMEM, "no memory to look for %s", pattern);
    default: return err_set(e, ERR_IO, "cannot look for %s", pattern);
    }
}

static const char *real_variable(void *self, const char *name)
{
    return getenv(name);
}

struct conf_env conf_env_real(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return (struct conf_env){NULL, real_read, real_glob, real_variable,
                             cpus < 1 ? 1 : (uint32_t)cpus};
}
