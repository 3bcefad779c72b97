/* The state directory: one holdfast at a time, and children that may write there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/supervisor.h"

static int refuse_second(const struct supervisor *s, int fd, struct err *e)
{
    char pid[32] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
    return err_set(e, ERR_EXISTS,
                   "another holdfast (process %s) uses the state directory %s: choose another with "
                   "--state DIR",
                   pid[0] ? pid : "unknown", s->state);
}

/* The lock is the descriptor's: it ends with this process, however that ends. */
static int take_lock(struct supervisor *s, struct err *e)
{
    char path[PATHS_MAX], pid[32];
    int r = paths_join(path, s->state, "lock", e);
    if (r)
        return r;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_errno(e, "cannot use the state directory: cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        r = errno == EWOULDBLOCK ? refuse_second(s, fd, e) : err_errno(e, "cannot lock %s", path);
        close(fd);
        return r;
    }
    s->lock_fd = fd;
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
        return err_errno(e, "cannot write %s", path);
    return 0;
}

/* Empty, or used by a holdfast before. A file system's own lost+found does not count, nor do the
 * directories of other nodes. */
static bool directory_is_ours(const char *path)
{
    bool empty = true, lock = false;
    DIR *d = opendir(path);
    if (!d)
        return false;
    for (const struct dirent *entry; (entry = readdir(d));) {
        const char *name = entry->d_name;
        lock = lock || strcmp(name, "lock") == 0;
        empty = empty && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                          strcmp(name, "lost+found") == 0 ||
                          strncmp(name, PATHS_NODE, strlen(PATHS_NODE)) == 0);
    }
    closedir(d);
    return empty || lock;
}

/* To the children's user. One that held other things before (say, somebody passed --state /tmp)
 * keeps its owner. */
static int give_directory(struct supervisor *s, const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_uid == s->user.uid)
        return 0; /* a package may have made it, and a cluster's key may lie there already */
    if (!directory_is_ours(path))
        log_warning(&s->log,
                    "the state directory %s holds other things and keeps its owner: the user %s "
                    "may not be able to write there",
                    path, s->user.name);
    else if (chown(path, s->user.uid, s->user.gid))
        return err_errno(e, "cannot give the state directory %s to the user %s", path,
                         s->user.name);
    return 0;
}

static int make_directory(struct supervisor *s, struct err *e)
{
    char parent[PATHS_MAX];
    int r = dir_make(s->state, 0750, e);
    if (r)
        return err_wrap(e, "cannot use the state directory");
    if (!s->drops)
        return 0;
    if (s->options->node && !s->options->state_dir) { /* DIR/node-NAME: both are to be reached */
        str_copy(parent, sizeof parent, str_of(s->state));
        *strrchr(parent, '/') = 0;
        r = *parent ? give_directory(s, parent, e) : 0;
    }
    return r ? r : give_directory(s, s->state, e);
}

/* We have the lock: who listens yet is the control of a supervisor that was killed just now. */
static int listen_admin(const struct supervisor *s, struct err *e)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int r;
    for (int tries = 0;; tries++) {
        r = net_listen(&s->admin, 64, e);
        if (r != -ERR_EXISTS || tries == 200)
            return r;
        nanosleep(&pause, NULL);
    }
}

static int open_admin(struct supervisor *s, struct err *e)
{
    int r = paths_admin_socket(&s->admin, s->state, e);
    if (r)
        return r;
    mode_t before = umask(0117);
    r = listen_admin(s, e);
    umask(before);
    if (r < 0)
        return err_wrap(e, "cannot open the admin socket");
    s->admin_fd = r;
    /* Members of the service's own group may administrate; the group of nobody is no such group. */
    if (s->drops && strcmp(s->user.name, "holdfast") == 0 &&
        chown(s->admin.path, (uid_t)-1, s->user.gid))
        return err_errno(e, "cannot give %s to the group of %s", s->admin.path, s->user.name);
    return 0;
}

/* Can the children's user read the configuration and the cluster's key, and reach the state? */
static void check_reach(struct supervisor *s)
{
    char key[PATHS_MAX];
    str_copy(key, sizeof key, s->checked.view->cluster.key_file);
    const char *const paths[] = {s->options->file, s->state, key};
    const char *denied = NULL;
    int error = 0;
    unsetenv(SANDBOX_READ_ALL);
    if (!s->drops)
        return;
    sandbox_act_as(&s->user);
    for (size_t i = 0; i < ARRAY_LEN(paths) && !denied; i++) {
        int fd = *paths[i] ? open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
        if (fd >= 0)
            close(fd);
        else if (*paths[i]) {
            denied = paths[i];
            error = errno;
        }
    }
    sandbox_act_as_self();
    if (!denied)
        return;
    setenv(SANDBOX_READ_ALL, "1", 1);
    log_warning(&s->log,
                "%s cannot be read by the user %s (%s): control keeps the right to read every file "
                "(CAP_DAC_READ_SEARCH); make it readable to that user to end this",
                denied, s->user.name, strerror(error));
}

struct str supervisor_node(const struct supervisor *s)
{
    const struct view_node *self = s->now.view ? view_self(s->now.view) : NULL;
    return self ? self->name : str_of(s->options->node ? s->options->node : "");
}

int supervisor_state_open(struct supervisor *s, struct err *e)
{
    int r = make_directory(s, e);
    if (r == 0)
        r = take_lock(s, e);
    if (r == 0)
        r = open_admin(s, e);
    if (r == 0)
        check_reach(s);
    return r;
}

void supervisor_state_close(struct supervisor *s)
{
    if (s->admin_fd >= 0) {
        unlink(s->admin.path);
        close(s->admin_fd);
    }
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->admin_fd = s->lock_fd = -1;
}
