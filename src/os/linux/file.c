/* Files, for real. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *path, size_t max, struct buf *out, struct err *e)
{
    for (;;) {
        if (!buf_reserve(out, 16 * 1024))
            return err_set(e, ERR_NOMEM, "no memory to read %s", path);
        ssize_t n = read(fd, out->p + out->n, out->cap - out->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "cannot read %s", path);
        if (n == 0)
            return 0;
        out->n += (size_t)n;
        if (out->n > max)
            return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
    }
}

int file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    buf_clear(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_ABSENT, "%s does not exist", path)
                               : err_errno(e, "cannot open %s", path);
    int r = read_all(fd, path, max, out, e);
    close(fd);
    return r;
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

/* A rename is durable once the directory that holds it is. */
static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    if (!slash)
        str_copy(dir, sizeof dir, STR("."));
    else
        str_copy(dir, sizeof dir, (struct str){path, (size_t)(slash - path) + 1});
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int r = fsync(fd);
    close(fd);
    return r;
}

/* A file beside path with these bytes, on the disk. owner: NULL, or whose it shall be. */
static int write_beside(const char *path, struct str bytes, mode_t mode, const struct stat *owner,
                        char temporary[4096], struct err *e)
{
    int n = snprintf(temporary, 4096, "%s.XXXXXX", path);
    if (n < 0 || n >= 4096)
        return err_set(e, ERR_INVAL, "the path %s is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot make a file beside %s", path);
    bool ok = write_all(fd, bytes) == 0 &&
              (!owner || fchown(fd, owner->st_uid, owner->st_gid) == 0) && fchmod(fd, mode) == 0 &&
              fsync(fd) == 0;
    int saved = errno;
    ok = (close(fd) == 0) && ok;
    if (ok)
        return 0;
    unlink(temporary);
    errno = saved;
    return err_errno(e, "cannot write %s", path);
}

static int replace(const char *path, struct str bytes, mode_t mode, const struct stat *owner,
                   struct err *e)
{
    char temporary[4096];
    int rc = write_beside(path, bytes, mode, owner, temporary, e);
    if (rc)
        return rc;
    if (rename(temporary, path) == 0 && sync_directory_of(path) == 0)
        return 0;
    int saved = errno;
    unlink(temporary); /* gone already when only the last sync failed */
    errno = saved;
    return err_errno(e, "cannot write %s", path);
}

int file_replace(const char *path, struct str bytes, unsigned mode, struct err *e)
{
    return replace(path, bytes, (mode_t)mode, NULL, e);
}

int file_update(const char *path, struct str bytes, struct err *e)
{
    struct stat st;
    char *real = realpath(path, NULL);
    int rc = 0;
    if (!real || stat(real, &st))
        rc = errno == ENOENT ? err_set(e, ERR_ABSENT, "%s does not exist", path)
                             : err_errno(e, "cannot find %s", path);
    else
        rc = replace(real, bytes, st.st_mode & 07777, &st, e);
    free(real); /* the C library's own */
    return rc;
}

/* What root makes in somebody's directory is theirs. */
static bool whose(const char *path, struct stat *st)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    str_copy(dir, sizeof dir, slash ? (struct str){path, (size_t)(slash - path) + 1} : STR("."));
    return geteuid() == 0 && stat(dir, st) == 0 && st->st_uid != 0;
}

int file_create(const char *path, struct str bytes, unsigned mode, struct err *e)
{
    char temporary[4096];
    struct stat owner;
    bool known = whose(path, &owner);
    int rc = write_beside(path, bytes, (mode_t)mode, known ? &owner : NULL, temporary, e);
    if (rc)
        return rc;
    /* Unlike a rename, this fails when there is one. */
    int linked = link(temporary, path), saved = errno;
    unlink(temporary);
    if (linked == 0 && sync_directory_of(path) == 0)
        return 0;
    if (linked == 0)
        saved = errno;
    errno = saved;
    return linked && saved == EEXIST ? err_set(e, ERR_EXISTS, "%s exists already", path)
                                     : err_errno(e, "cannot write %s", path);
}

int dir_make(const char *path, unsigned mode, struct err *e)
{
    char part[4096];
    if (str_copy(part, sizeof part, str_of(path)) < strlen(path))
        return err_set(e, ERR_INVAL, "the path %s is too long", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, 0755) && errno != EEXIST)
            return err_errno(e, "cannot make the directory %s", part);
        *p = '/';
    }
    if (mkdir(part, (mode_t)mode) && errno != EEXIST)
        return err_errno(e, "cannot make the directory %s", path);
    struct stat st;
    if (stat(path, &st))
        return err_errno(e, "cannot use %s", path);
    return S_ISDIR(st.st_mode) ? 0 : err_set(e, ERR_INVAL, "%s is not a directory", path);
}

/* --- memory between processes --- */

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };

int memfd_sealed(const char *name, struct str bytes, struct err *e)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_errno(e, "cannot make the memory file %s", name);
    if (write_all(fd, bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return fd;
    int r = err_errno(e, "cannot fill the memory file %s", name);
    close(fd);
    return r;
}

int memfd_read(int fd, size_t max, struct buf *out, struct err *e)
{
    buf_clear(out);
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return err_set(e, ERR_PROTO, "a memory file that was sent is not sealed");
    struct stat st;
    if (fstat(fd, &st))
        return err_errno(e, "cannot read a memory file");
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return err_set(e, ERR_LIMIT, "a memory file is larger than %zu bytes", max);
    size_t size = (size_t)st.st_size;
    if (!buf_reserve(out, size + 1))
        return err_set(e, ERR_NOMEM, "no memory to read a memory file of %zu bytes", size);
    /* The offset is shared with whoever else holds the file: pread leaves it alone. */
    while (out->n < size) {
        ssize_t n = pread(fd, out->p + out->n, size - out->n, (off_t)out->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(e, "cannot read a memory file");
        out->n += (size_t)n;
    }
    return 0;
}

int memfd_region(const char *name, size_t size, struct err *e)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_errno(e, "cannot make the memory file %s", name);
    if (ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int r = err_errno(e, "cannot size the memory file %s", name);
    close(fd);
    return r;
}

int memfd_map(int fd, void **p, size_t *size, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st))
        return err_errno(e, "cannot map a memory file");
    if (st.st_size <= 0)
        return err_set(e, ERR_PROTO, "a memory file is empty");
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return err_errno(e, "cannot map a memory file");
    *p = at;
    *size = (size_t)st.st_size;
    return 0;
}
