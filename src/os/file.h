/* file: small whole files, shared memory, directories. For administration; the data path does not
 * come here. */
#ifndef HF_FILE_H
#define HF_FILE_H

#include "base/base.h"

/* Reads a whole file of at most max bytes into out (cleared first). */
int file_read(const char *path, size_t max, struct buf *out, struct err *e);
/* Replaces a file atomically: written beside it, fsynced, renamed, directory fsynced. Readers see
 * the old or the new one. */
int file_replace(const char *path, struct str bytes, unsigned mode, struct err *e);
/* As file_replace, of a file that is there: its mode and owner stay, and a symbolic link goes on to
 * lead to it. ERR_ABSENT. */
int file_update(const char *path, struct str bytes, struct err *e);
/* A new file, there whole or not at all. Made by root, it belongs to whom its directory belongs to.
 * ERR_EXISTS: there is one, and it stays as it is. */
int file_create(const char *path, struct str bytes, unsigned mode, struct err *e);
/* Makes the directory and its parents; no error if it is there. */
int dir_make(const char *path, unsigned mode, struct err *e);

/* A sealed, read-only memfd with these bytes: what crosses a process boundary cannot change
 * afterwards. */
int memfd_sealed(const char *name, struct str bytes, struct err *e);
/* Reads a memfd that somebody sent, at most max bytes. ERR_PROTO if it is not sealed against
 * change. */
int memfd_read(int fd, size_t max, struct buf *out, struct err *e);
/* A zeroed, writable shared region of fixed size. */
int memfd_region(const char *name, size_t size, struct err *e);
/* Maps a region shared; *size is its size. */
int memfd_map(int fd, void **p, size_t *size, struct err *e);

#endif
