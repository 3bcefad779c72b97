#include "daemon/paths.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ADMIN_SOCKET "admin.sock"

static bool set(const char *s)
{
    return s && *s;
}

static int put(char out[PATHS_MAX], const char *dir, const char *tail, struct err *e)
{
    int n = snprintf(out, PATHS_MAX, "%s%s", dir, tail);
    if (n < 0 || n >= PATHS_MAX)
        return err_set(e, ERR_INVAL, "the path of the state directory is longer than %d bytes",
                       PATHS_MAX - 1);
    while (n > 1 && out[n - 1] == '/')
        out[--n] = 0;
    return 0;
}

int paths_choose_state(char out[PATHS_MAX], const char *given, const struct paths_environment *env,
                       struct err *e)
{
    if (given)
        return *given ? put(out, given, "", e)
                      : err_set(e, ERR_INVAL, "the state directory's name is empty");
    if (set(env->state_directory)) {
        /* systemd separates several by colons; the first is ours. */
        char first[PATHS_MAX];
        str_copy(first, sizeof first,
                 (struct str){env->state_directory, strcspn(env->state_directory, ":")});
        return put(out, first, "", e);
    }
    if (env->root)
        return put(out, "/var/lib/holdfast", "", e);
    /* The base directory specification: a relative value is to be ignored. */
    if (set(env->xdg_state_home) && env->xdg_state_home[0] == '/')
        return put(out, env->xdg_state_home, "/holdfast", e);
    if (set(env->home))
        return put(out, env->home, "/.local/state/holdfast", e);
    return err_set(e, ERR_INVAL,
                   "there is no home directory to keep the state in: use --state DIR");
}

int paths_state(char out[PATHS_MAX], const char *given, struct err *e)
{
    const char *home = getenv("HOME");
    if (!set(home)) {
        const struct passwd *p = getpwuid(geteuid());
        home = p ? p->pw_dir : NULL;
    }
    struct paths_environment env = {
        .root = geteuid() == 0,
        .state_directory = getenv("STATE_DIRECTORY"),
        .xdg_state_home = getenv("XDG_STATE_HOME"),
        .home = home,
    };
    return paths_choose_state(out, given, &env, e);
}

int paths_join(char out[PATHS_MAX], const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, PATHS_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= PATHS_MAX)
        return err_set(e, ERR_INVAL, "the path %.64s.../%s is too long", dir, name);
    return 0;
}

int paths_admin_socket(struct addr *out, const char *state_dir, struct err *e)
{
    *out = (struct addr){.kind = ADDR_UNIX};
    int n = snprintf(out->path, sizeof out->path, "%s/" ADMIN_SOCKET, state_dir);
    if (n < 0 || (size_t)n >= sizeof out->path)
        return err_set(e, ERR_INVAL,
                       "the admin socket's path %.120s/" ADMIN_SOCKET
                       " is longer than a socket address may be (%zu bytes): choose a shorter "
                       "state directory",
                       state_dir, sizeof out->path - 1);
    return 0;
}
