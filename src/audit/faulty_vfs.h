/* A disk that fails on command, for tests: SQLite's own way to the files, with faults in between.
 */
#ifndef HF_AUDIT_FAULTY_VFS_H
#define HF_AUDIT_FAULTY_VFS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* What the disk does from now on: an SQLITE_ error of writes (FULL, IOERR), or of syncs; a pause
 * before each write. */
struct faulty_disk {
    atomic_int write, sync, pause_ms;
    atomic_int writes;
    sqlite3_vfs vfs, *real;
};
static struct faulty_disk faulty;

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct faulty_file *)(void *)f)->real;
}

#define PASS(f) (real_of(f)->pMethods)

static int faulty_close(sqlite3_file *f)
{
    return PASS(f)->xClose(real_of(f));
}
static int faulty_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return PASS(f)->xRead(real_of(f), p, n, at);
}
static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int ms = atomic_load(&faulty.pause_ms), code = atomic_load(&faulty.write);
    atomic_fetch_add(&faulty.writes, 1);
    if (ms)
        usleep((useconds_t)ms * 1000);
    return code ? code : PASS(f)->xWrite(real_of(f), p, n, at);
}
static int faulty_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return PASS(f)->xTruncate(real_of(f), n);
}
static int faulty_sync(sqlite3_file *f, int flags)
{
    int code = atomic_load(&faulty.sync);
    return code ? code : PASS(f)->xSync(real_of(f), flags);
}
static int faulty_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return PASS(f)->xFileSize(real_of(f), n);
}
static int faulty_lock(sqlite3_file *f, int how)
{
    return PASS(f)->xLock(real_of(f), how);
}
static int faulty_unlock(sqlite3_file *f, int how)
{
    return PASS(f)->xUnlock(real_of(f), how);
}
static int faulty_reserved(sqlite3_file *f, int *out)
{
    return PASS(f)->xCheckReservedLock(real_of(f), out);
}
static int faulty_control(sqlite3_file *f, int op, void *p)
{
    return PASS(f)->xFileControl(real_of(f), op, p);
}
static int faulty_sector(sqlite3_file *f)
{
    return PASS(f)->xSectorSize(real_of(f));
}
static int faulty_device(sqlite3_file *f)
{
    return PASS(f)->xDeviceCharacteristics(real_of(f));
}
static int faulty_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return PASS(f)->xShmMap(real_of(f), page, size, extend, out);
}
static int faulty_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return PASS(f)->xShmLock(real_of(f), at, n, flags);
}
static void faulty_barrier(sqlite3_file *f)
{
    PASS(f)->xShmBarrier(real_of(f));
}
static int faulty_unmap(sqlite3_file *f, int drop)
{
    return PASS(f)->xShmUnmap(real_of(f), drop);
}

static int faulty_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = faulty_close,
        .xRead = faulty_read,
        .xWrite = faulty_write,
        .xTruncate = faulty_truncate,
        .xSync = faulty_sync,
        .xFileSize = faulty_size,
        .xLock = faulty_lock,
        .xUnlock = faulty_unlock,
        .xCheckReservedLock = faulty_reserved,
        .xFileControl = faulty_control,
        .xSectorSize = faulty_sector,
        .xDeviceCharacteristics = faulty_device,
        .xShmMap = faulty_map,
        .xShmLock = faulty_shm_lock,
        .xShmBarrier = faulty_barrier,
        .xShmUnmap = faulty_unmap,
    };
    struct faulty_file *one = (struct faulty_file *)(void *)f;
    (void)v;
    *one = (struct faulty_file){.real = (sqlite3_file *)(void *)(one + 1)};
    int r = faulty.real->xOpen(faulty.real, name, one->real, flags, out);
    if (r == SQLITE_OK)
        one->base.pMethods = &methods;
    return r;
}

/* The disk works; SQLite knows it as "faulty". */
static inline void faulty_begin(void)
{
    if (!faulty.real) {
        faulty.real = sqlite3_vfs_find(NULL);
        faulty.vfs = *faulty.real;
        faulty.vfs.zName = "faulty";
        faulty.vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty.real->szOsFile;
        faulty.vfs.xOpen = faulty_open;
        CHECK(sqlite3_vfs_register(&faulty.vfs, 0) == SQLITE_OK);
    }
    atomic_store(&faulty.write, 0);
    atomic_store(&faulty.sync, 0);
    atomic_store(&faulty.pause_ms, 0);
    atomic_store(&faulty.writes, 0);
}

#endif
