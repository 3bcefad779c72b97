/* What is at the path now, and what follows from it. */
#include "sense/follow_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sense/follow_names.h"

/* --- what is not a file to be read --- */

static void say_absent(struct follow *f)
{
    struct stat st;
    if (stat(f->directory, &st))
        follow_say(f, FOLLOW_ABSENT,
                   "%s is not there, nor is its directory: it is read when it comes. If it never "
                   "does, correct the path",
                   f->path);
    else if (f->current || f->n_past)
        follow_say(f, FOLLOW_ABSENT, "%s is gone: it is read again when it comes back", f->path);
    else
        follow_say(f, FOLLOW_ABSENT,
                   "%s is not there: it is read when it comes. If it never does, correct the path",
                   f->path);
}

static void nothing_there(struct follow *f, int error)
{
    if (error == EACCES || error == EPERM) {
        follow_say_denied(f, NULL);
        return;
    }
    if (error != ENOENT && error != ENOTDIR) {
        follow_say(f, FOLLOW_FAILS, "%s cannot be looked at: %s", f->path, strerror(error));
        return;
    }
    f->met = true;
    if (f->restoring && !follow_others(f, NULL))
        f->look = true;
    else
        f->restoring = false;
    say_absent(f);
}

static const char *kind_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a terminal or another device";
    case S_IFBLK: return "a disk";
    default: return "no regular file";
    }
}

static bool is_fit(struct follow *f, const struct follow_seen *s)
{
    if (S_ISREG(s->mode))
        return true;
    follow_say(f, FOLLOW_UNFIT,
               "%s is %s: only files can be followed. Let the program log to a file, or to the "
               "journal",
               f->path, kind_of(s->mode));
    f->met = true;
    return false;
}

static bool is_plain(struct follow *f, int fd, uint64_t size)
{
    char head[PLACE_EDGE];
    uint64_t n = MIN(size, sizeof head);
    struct str s = {head, follow_edge(f->set, fd, n, (uint32_t)n, head)};
    if (!bytes_are_compressed(s))
        return true;
    follow_say(f, FOLLOW_UNFIT,
               "%s is compressed, so nobody writes to it any more: name the file that is written",
               f->path);
    return false;
}

/* --- a file --- */

/* -1, and why was told or is looked at again. */
static int open_path(struct follow *f, struct follow_seen *s)
{
    int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int error = fd < 0 ? errno : follow_stat(fd, NULL, s);
    if (error == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    if (error == EACCES || error == EPERM) {
        f->sized = follow_stat(AT_FDCWD, f->path, s) == 0 && !f->met;
        f->denied_size = s->size;
        follow_say_denied(f, s);
    } else if (error == ENOENT) {
        f->look = true;
    } else {
        follow_say(f, FOLLOW_FAILS, "%s cannot be opened: %s", f->path, strerror(error));
    }
    return -1;
}

static struct follow_file *opened(struct follow *f, const struct place *id)
{
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (place_same_file(&g->place, id))
            return g;
    }
    return NULL;
}

/* Behind the last whole line before `size`; what is longer than a line may be goes on. */
static void begin_at_end(struct follow_file *g, uint64_t size)
{
    char bytes[4096];
    for (uint64_t at = size; at && size - at < LINES_LONGEST;) {
        uint32_t n = follow_edge(g->follow->set, g->fd, at, sizeof bytes, bytes);
        const char *end = n ? memrchr(bytes, '\n', n) : NULL;
        if (end) {
            follow_file_at(g, at - n + (uint64_t)(end - bytes) + 1);
            return;
        }
        if (n == 0 || n == at) {
            follow_file_at(g, n == at ? 0 : size);
            return;
        }
        at -= n;
    }
    follow_file_at(g, size);
    g->lines.skipping = size;
}

/* Where one is read from that was not open. */
static void place_file(struct follow *f, struct follow_file *g)
{
    if (!f->met) {
        begin_at_end(g, f->sized ? MIN(f->denied_size, g->size) : g->size);
        return;
    }
    for (uint32_t i = f->n_past; i-- > 0;) {
        struct place *p = &f->past[i];
        if (place_same_file(p, &g->place) && follow_goes_on(f->set, p, g->fd, g->size)) {
            follow_file_resume(g, p);
            follow_forget(f, i);
            return;
        }
    }
    follow_file_at(g, 0);
}

/* It is read once all that was there before it is open. */
static void await_others(struct follow *f, struct follow_file *g)
{
    if (!g->held)
        return;
    g->held = !follow_others(f, g);
    f->look |= g->held;
    f->restoring &= g->held;
}

/* What was there before it is found before the next one; nobody looks for it again. */
static void release(struct follow *f)
{
    if (f->current)
        f->current->held = false;
}

/* Another file is at the path. What was there since the last look comes before it. */
static void begin(struct follow *f)
{
    struct follow_seen s = {0};
    int fd = open_path(f, &s);
    if (fd < 0)
        return;
    struct follow_file *g = opened(f, &s.id);
    if (g || !is_fit(f, &s) || !is_plain(f, fd, s.size)) {
        close(fd);
        if (g) { /* it was there before, and is again */
            release(f);
            list_remove(&g->link);
            list_push_back(&f->files, &g->link);
            f->current = g;
            follow_say(f, FOLLOW_READS, "%s is read", f->path);
        }
        return;
    }
    if (!follow_has_room(f, 1)) {
        close(fd);
        f->look = true;
        return;
    }
    g = follow_file_new(f, fd, &s, NULL);
    if (!g) {
        follow_say(f, FOLLOW_FAILS, "there is no memory to follow %s", f->path);
        return;
    }
    place_file(f, g);
    release(f);
    f->current = g;
    g->held = f->met;
    f->met = true;
    f->sized = false;
    follow_say(f, FOLLOW_READS, "%s is read", f->path);
    await_others(f, g);
}

/* After an error, and where what is open does not grow as the file does (a file of an overlay that
 * was copied up, one of a server that forgot it). */
static bool reopen(struct follow *f, struct follow_file *g)
{
    struct follow_seen s = {0};
    int fd = open_path(f, &s);
    if (fd < 0)
        return false;
    if (!place_same_file(&s.id, &g->place)) {
        close(fd);
        f->look = true;
        return false;
    }
    follow_unwatch_file(g);
    close(g->fd);
    g->fd = fd;
    if (s.size <= g->place.at)
        g->failed = 0;
    follow_watch_file(g);
    return true;
}

static void go_on(struct follow *f, struct follow_file *g, uint64_t size)
{
    struct follow_seen s;
    bool stale = g->failed || follow_stat(g->fd, NULL, &s) || s.size < size;
    await_others(f, g);
    if ((!stale || reopen(f, g)) && !g->failed)
        follow_say(f, FOLLOW_READS, "%s is read", f->path);
}

void follow_look(struct follow *f)
{
    struct follow_seen s;
    f->look = false;
    if (f->watch < 0)
        follow_watch_directory(f);
    int error = follow_stat(AT_FDCWD, f->path, &s);
    if (error)
        nothing_there(f, error);
    else if (f->current && place_same_file(&f->current->place, &s.id))
        go_on(f, f->current, s.size);
    else if (is_fit(f, &s))
        begin(f);
}
