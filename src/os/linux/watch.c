/* Watching directories, for real: inotify. */
#include "os/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int watch_open(struct err *e)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return fd < 0 ? err_errno(e, "cannot watch directories") : fd;
}

/* Not IN_MODIFY: a file is of interest once it is written whole. */
int watch_add(int fd, const char *directory, struct err *e)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                          IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(fd, directory, mask) < 0)
        return err_errno(e, "cannot watch %s", directory);
    return 0;
}

bool watch_take(int fd)
{
    _Alignas(struct inotify_event) char events[4096];
    bool any = false;
    ssize_t n;
    while ((n = read(fd, events, sizeof events)) > 0 || (n < 0 && errno == EINTR))
        any |= n > 0;
    return any;
}

int dir_check(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot read %s", path);
    close(fd);
    return 0;
}

int file_stamp(const char *path, struct file_stamp *out, struct err *e)
{
    struct stat s;
    if (stat(path, &s))
        return errno == ENOENT ? err_set(e, ERR_ABSENT, "%s does not exist", path)
                               : err_errno(e, "cannot look at %s", path);
    *out = (struct file_stamp){
        .device = s.st_dev,
        .inode = s.st_ino,
        .size = (uint64_t)s.st_size,
        .changed = (uint64_t)s.st_ctim.tv_sec * 1000000000 + (uint64_t)s.st_ctim.tv_nsec,
    };
    return 0;
}
