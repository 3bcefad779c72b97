/* watch: hears that something in a directory changed. What it was, the listener looks up himself:
 * events may be lost, and a directory may be one that cannot be watched. */
#ifndef HF_WATCH_H
#define HF_WATCH_H

#include "base/base.h"

/* A descriptor that becomes readable (inotify). */
int watch_open(struct err *e);
/* A file of the directory was written whole, moved, linked or removed, or the directory itself was.
 * A directory may be given again. */
int watch_add(int fd, const char *directory, struct err *e);
/* Takes what has come; whether there was anything. */
bool watch_take(int fd);

/* What tells one content of a file from another without reading it. */
struct file_stamp {
    uint64_t device, inode, size, changed; /* changed: ns of the last change of content or place */
};
/* A directory whose entries can be read: glob passes over one that is not. */
int dir_check(const char *path, struct err *e);
/* Follows symbolic links. */
int file_stamp(const char *path, struct file_stamp *out, struct err *e);

#endif
