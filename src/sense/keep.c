#include "sense/keep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME_BYTES = 64, PIECE = 16 << 10 };

static bool write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n <= 0)
            return false;
        bytes = (struct str){bytes.p + n, bytes.n - (size_t)n};
    }
    return true;
}

bool keep_write(int folder, const char *name, struct str bytes)
{
    char aside[NAME_BYTES];
    snprintf(aside, sizeof aside, "%.48s.new", name);
    int fd = openat(folder, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, bytes);
    ok = close(fd) == 0 && ok;
    ok = ok && renameat(folder, aside, folder, name) == 0;
    if (!ok)
        unlinkat(folder, aside, 0);
    return ok;
}

bool keep_read(int folder, const char *name, size_t max, struct buf *out)
{
    char piece[PIECE];
    ssize_t n = 0;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    while (out->n <= max && (n = read(fd, piece, sizeof piece)) > 0)
        buf_add(out, piece, (size_t)n);
    close(fd);
    if (n == 0 && out->n <= max && !out->failed)
        return true;
    buf_free(out);
    return false;
}

void keep_sweep(int folder, bool (*is_known)(void *context, const char *name), void *context)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    for (struct dirent *one; d && (one = readdir(d));)
        if (one->d_name[0] != '.' && !is_known(context, one->d_name))
            unlinkat(folder, one->d_name, 0);
    if (d)
        closedir(d);
}
