/* The real world behind struct conf_env. */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
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

/* Opened, because that is what will be done with it; a pipe must not hold us. */
static int real_inspect(void *self, const char *path, struct conf_file *out, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_ABSENT, "%s does not exist", path)
                               : err_errno(e, "cannot open %s", path);
    int r = fstat(fd, &st) ? err_errno(e, "cannot use %s", path) : 0;
    close(fd);
    if (r == 0)
        *out = (struct conf_file){S_ISREG(st.st_mode), st.st_mode & 0777};
    return r;
}

static int real_absolute(void *self, const char *path, struct buf *out, struct err *e)
{
    char here[PATH_MAX] = "";
    buf_clear(out);
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return err_errno(e, "cannot find out the directory that %s is in", path);
    if (here[0])
        buf_printf(out, "%s/", here);
    while (here[0] && path[0] == '.' && path[1] == '/')
        path += 2;
    return buf_printf(out, "%s", path) ? 0 : err_set(e, ERR_NOMEM, "no memory for a path");
}

static bool real_has_address(void *self, const struct addr *a)
{
    return net_has_address(a);
}

struct conf_env conf_env_real(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct conf_env env = {.read = real_read,
                           .glob = real_glob,
                           .variable = real_variable,
                           .inspect = real_inspect,
                           .absolute = real_absolute,
                           .has_address = real_has_address,
                           .cpus = cpus < 1 ? 1 : (uint32_t)cpus};
    if (gethostname(env.host, sizeof env.host - 1))
        env.host[0] = 0;
    return env;
}
