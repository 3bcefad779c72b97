#include "coord/faulty_disk_test.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coord/coord.h"

/* What a write replaced, so that it can be lost. */
struct undo {
    struct undo *before;
    sqlite3_int64 at, size;
    int n;
    char was[];
};

struct file {
    sqlite3_file base;
    struct undo *undo;
    sqlite3_file real[];
};

struct faulty_disk {
    sqlite3_vfs vfs, *real;
    atomic_uint_fast64_t gone_until, slow_ns, syncs;
    atomic_uint slow, fail_sync, fail_write;
    atomic_int_fast64_t room;
    atomic_bool forget;
};

static struct faulty_disk the_disk;

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static bool gone(void)
{
    return clock_now() < atomic_load(&the_disk.gone_until);
}

static bool take_one(atomic_uint *times)
{
    if (!atomic_load(times))
        return false;
    atomic_fetch_sub(times, 1);
    return true;
}

static void forget_undo(struct file *f)
{
    while (f->undo) {
        struct undo *u = f->undo;
        f->undo = u->before;
        free(u);
    }
}

static int do_close(sqlite3_file *f)
{
    forget_undo((struct file *)f);
    return real(f)->pMethods->xClose(real(f));
}

static int do_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return gone() ? SQLITE_IOERR_READ : real(f)->pMethods->xRead(real(f), p, n, at);
}

static void remember(struct file *f, int n, sqlite3_int64 at)
{
    struct undo *u = calloc(1, sizeof *u + (size_t)n);
    *u = (struct undo){f->undo, at, 0, n};
    real(&f->base)->pMethods->xFileSize(real(&f->base), &u->size);
    real(&f->base)->pMethods->xRead(real(&f->base), u->was, n, at);
    f->undo = u;
}

static void lose(struct file *f)
{
    for (struct undo *u = f->undo; u; u = u->before) {
        real(&f->base)->pMethods->xWrite(real(&f->base), u->was, u->n, u->at);
        real(&f->base)->pMethods->xTruncate(real(&f->base), u->size);
    }
    forget_undo(f);
}

static int do_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct faulty_disk *d = &the_disk;
    int64_t room = atomic_load(&d->room);
    if (gone() || take_one(&d->fail_write))
        return SQLITE_IOERR_WRITE;
    if (atomic_load(&d->forget))
        remember((struct file *)f, n, at);
    if (room >= 0 && n > room) {
        if (room > 0)
            real(f)->pMethods->xWrite(real(f), p, (int)room, at);
        atomic_store(&d->room, 0);
        return SQLITE_FULL;
    }
    if (room >= 0)
        atomic_fetch_sub(&d->room, n);
    return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int do_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return gone() ? SQLITE_IOERR_TRUNCATE : real(f)->pMethods->xTruncate(real(f), n);
}

static int do_sync(sqlite3_file *f, int flags)
{
    struct faulty_disk *d = &the_disk;
    if (take_one(&d->slow)) {
        uint64_t ns = atomic_load(&d->slow_ns);
        const struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
        nanosleep(&t, NULL);
    }
    if (gone())
        return SQLITE_IOERR_FSYNC;
    if (take_one(&d->fail_sync)) {
        if (atomic_load(&d->forget))
            lose((struct file *)f);
        return SQLITE_IOERR_FSYNC;
    }
    forget_undo((struct file *)f);
    atomic_fetch_add(&d->syncs, 1);
    return SQLITE_OK; /* the machine is not going to lose its power */
}

static int do_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return real(f)->pMethods->xFileSize(real(f), n);
}

static int do_lock(sqlite3_file *f, int how)
{
    return real(f)->pMethods->xLock(real(f), how);
}

static int do_unlock(sqlite3_file *f, int how)
{
    return real(f)->pMethods->xUnlock(real(f), how);
}

static int do_check(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int do_control(sqlite3_file *f, int what, void *p)
{
    return real(f)->pMethods->xFileControl(real(f), what, p);
}

static int do_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int do_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static const sqlite3_io_methods methods = {1,          do_close,  do_read,  do_write,  do_truncate,
                                           do_sync,    do_size,   do_lock,  do_unlock, do_check,
                                           do_control, do_sector, do_device};

static int do_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct file *file = (struct file *)f;
    file->base.pMethods = NULL;
    file->undo = NULL;
    if (gone())
        return SQLITE_CANTOPEN;
    int code = the_disk.real->xOpen(the_disk.real, name, file->real, flags, out);
    if (code == SQLITE_OK)
        file->base.pMethods = &methods;
    return code;
}

struct faulty_disk *faulty_disk(void)
{
    struct faulty_disk *d = &the_disk;
    if (!d->real) {
        d->real = sqlite3_vfs_find(NULL);
        d->vfs = *d->real;
        d->vfs.zName = "faulty";
        d->vfs.szOsFile = (int)sizeof(struct file) + d->real->szOsFile;
        d->vfs.xOpen = do_open;
        sqlite3_vfs_register(&d->vfs, 1);
    }
    faulty_disk_heal(d);
    return d;
}

void faulty_disk_heal(struct faulty_disk *d)
{
    atomic_store(&d->gone_until, 0);
    atomic_store(&d->slow, 0);
    atomic_store(&d->fail_sync, 0);
    atomic_store(&d->fail_write, 0);
    atomic_store(&d->room, -1);
    atomic_store(&d->forget, false);
}

void faulty_disk_gone(struct faulty_disk *d)
{
    atomic_store(&d->gone_until, UINT64_MAX);
}

void faulty_disk_gone_for(struct faulty_disk *d, uint64_t ns)
{
    atomic_store(&d->gone_until, clock_now() + ns);
}

void faulty_disk_slow(struct faulty_disk *d, uint64_t ns, uint32_t times)
{
    atomic_store(&d->slow_ns, ns);
    atomic_store(&d->slow, times);
}

void faulty_disk_room(struct faulty_disk *d, int64_t bytes)
{
    atomic_store(&d->room, bytes);
}

void faulty_disk_fail_sync(struct faulty_disk *d, uint32_t times, bool forget)
{
    atomic_store(&d->forget, forget);
    atomic_store(&d->fail_sync, times);
}

void faulty_disk_fail_write(struct faulty_disk *d, uint32_t times)
{
    atomic_store(&d->fail_write, times);
}

uint64_t faulty_disk_syncs(const struct faulty_disk *d)
{
    return atomic_load(&((struct faulty_disk *)(uintptr_t)d)->syncs);
}
