/* paths: where a node keeps what it keeps. Used by the supervisor and by every command.
 *
 * Everything lies in one directory, so that several nodes run side by side on one machine:
 *
 *   DIR/lock         held (flock) by the supervisor while it lives; its process id as text
 *   DIR/admin.sock   the admin API
 *   DIR/...          what control keeps over restarts
 *
 * Without --state, DIR is $STATE_DIRECTORY (systemd sets it), else /var/lib/holdfast for root and
 * $XDG_STATE_HOME/holdfast or ~/.local/state/holdfast for others; and with --node NAME the
 * directory node-NAME in that one. */
#ifndef HF_PATHS_H
#define HF_PATHS_H

#include "base/base.h"

enum { PATHS_MAX = 4096 };
#define PATHS_NODE "node-" /* before the name of a node, as a directory */

/* What the choice depends on, so that it can be tested. */
struct paths_environment {
    bool root;
    const char *state_directory; /* $STATE_DIRECTORY */
    const char *xdg_state_home;  /* $XDG_STATE_HOME */
    const char *home;            /* $HOME, or what the user database says */
    const char *node;            /* --node; may be NULL */
};

/* Pure. given is --state or NULL. The result has no slash at its end. */
int paths_choose_state(char out[PATHS_MAX], const char *given, const struct paths_environment *env,
                       struct err *e);
/* As paths_choose_state with this process's environment. Relative paths stay relative. given and
 * node: --state and --node, may be NULL. */
int paths_state(char out[PATHS_MAX], const char *given, const char *node, struct err *e);
/* DIR/admin.sock as an address; ERR_INVAL, with what to do, when a socket address cannot hold it.
 */
int paths_admin_socket(struct addr *out, const char *state_dir, struct err *e);
/* DIR/name. */
int paths_join(char out[PATHS_MAX], const char *dir, const char *name, struct err *e);

#endif
