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

/* It becomes a directory, and stays one below. */
static bool names_node(const char *s)
{
    return set(s) && s[0] != '.' && !strchr(s, '/');
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

/* Of the machine: one node, or the parent of several. */
static int choose_common(char out[PATHS_MAX], const struct paths_environment *env, struct err *e)
{
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

int paths_choose_state(char out[PATHS_MAX], const char *given, const struct paths_environment *env,
                       struct err *e)
{
    char common[PATHS_MAX];
    if (given)
        return *given ? put(out, given, "", e)
                      : err_set(e, ERR_INVAL, "the state directory's name is empty");
    if (!env->node)
        return choose_common(out, env, e);
    if (!names_node(env->node))
        return err_set(e, ERR_INVAL, "'%.64s' is no name of a node", env->node);
    int n, r = choose_common(common, env, e);
    if (r)
        return r;
    n = snprintf(out, PATHS_MAX, "%s%s" PATHS_NODE "%s", common, common[1] ? "/" : "", env->node);
    return n > 0 && n < PATHS_MAX ? 0
                                  : err_set(e, ERR_INVAL,
                                            "the path of the state directory is longer than %d "
                                            "bytes",
                                            PATHS_MAX - 1);
}

int paths_state(char out[PATHS_MAX], const char *given, const char *node, struct err *e)
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
        .node = node,
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
