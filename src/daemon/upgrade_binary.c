#include "daemon/upgrade_binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/paths.h"

const char *upgrade_binary_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The kernel says so when the file has been replaced; the path is what matters. */
static void cut_deleted(char *path)
{
    static const char mark[] = " (deleted)";
    size_t n = strlen(path);
    if (n > sizeof mark - 1 && strcmp(path + n - (sizeof mark - 1), mark) == 0)
        path[n - (sizeof mark - 1)] = 0;
}

int upgrade_binary_own(char *out, size_t size, struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n < 0)
        return err_errno(e, "cannot tell which program runs: is /proc mounted?");
    out[n] = 0;
    cut_deleted(out);
    return 0;
}

static bool is_ours(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

static int check_directory(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st))
        return err_errno(e, "cannot look at %s", path);
    bool others = (st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX);
    if (!is_ours(&st) || others)
        return err_set(
            e, ERR_DENIED,
            "not upgrading: others may change %s; the directories of the program must be "
            "root's, and writable to nobody else",
            path);
    return 0;
}

static int check_directories(const char *path, struct err *e)
{
    char part[PATHS_MAX];
    int r = check_directory("/", e);
    for (const char *slash = strchr(path + 1, '/'); slash && r == 0;
         slash = strchr(slash + 1, '/')) {
        str_copy(part, sizeof part, (struct str){path, (size_t)(slash - path)});
        r = check_directory(part, e);
    }
    return r;
}

static int check_file(int fd, const char *path, struct err *e)
{
    struct stat st;
    char magic[4] = "";
    if (fstat(fd, &st))
        return err_errno(e, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
        return err_set(e, ERR_INVAL, "not upgrading: %s is not a program", path);
    if (!is_ours(&st) || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(e, ERR_DENIED,
                       "not upgrading: others may change %s; it must be root's, and writable to "
                       "nobody else",
                       path);
    if (pread(fd, magic, sizeof magic, 0) != sizeof magic || memcmp(magic, "\177ELF", 4) != 0)
        return err_set(e, ERR_INVAL, "not upgrading: %s is not an ELF program", path);
    return 0;
}

static int open_checked(const char *path, const char *name, struct err *e)
{
    if (strcmp(upgrade_binary_name(path), name) != 0)
        return err_set(e, ERR_DENIED, "not upgrading: the program must be called %s, and %s is not",
                       name, path);
    int r = check_directories(path, e);
    if (r)
        return r;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    r = check_file(fd, path, e);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int upgrade_binary_open(const char *path, const char *name, struct err *e)
{
    if (path[0] != '/')
        return err_set(e, ERR_INVAL, "not upgrading: %s is not an absolute path", path);
    char real[PATHS_MAX];
    if (!realpath(path, real))
        return err_errno(e, "not upgrading: %s", path);
    return open_checked(real, name, e);
}
