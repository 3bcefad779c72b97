/* What inotify tells: of directories, that a name in them is another file; of open files, that they
 * grew. Where it cannot tell (no instance or watch is left, the file system has none), the round of
 * looks finds it, and each tries again to watch. */
#include "sense/follow_inside.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define OF_DIRECTORY                                                                               \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |            \
     IN_MOVE_SELF | IN_ONLYDIR)

static struct list *files_of(struct follows *s, int watch)
{
    return &s->files[(unsigned)watch % FOLLOW_BUCKETS];
}

static struct list *names_of(struct follows *s, int watch, struct str name)
{
    return &s->names[((unsigned)watch + str_hash(name)) % FOLLOW_BUCKETS];
}

/* --- what is told --- */

static void look_at(struct follow *f)
{
    f->look = true;
    follow_mark(f);
}

static void told_all(struct follows *s)
{
    list_for_each (it, &s->all)
        look_at(LIST_ENTRY(it, struct follow, link));
}

static void told_name(struct follows *s, int watch, struct str name)
{
    list_for_each (it, names_of(s, watch, name)) {
        struct follow *f = LIST_ENTRY(it, struct follow, by_name);
        if (f->watch == watch && str_eq(f->name, name))
            look_at(f);
    }
}

static void told_file(struct follows *s, int watch)
{
    list_for_each (it, files_of(s, watch)) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, by_watch);
        if (g->watch == watch)
            follow_mark(g->follow);
    }
}

static void forget_watch(struct follow *f)
{
    list_remove(&f->by_name);
    f->watch = -1;
}

/* A directory was moved, or it or a file is watched no more. */
static void told_end(struct follows *s, int watch)
{
    list_for_each (it, &s->all) {
        struct follow *f = LIST_ENTRY(it, struct follow, link);
        if (f->watch == watch) {
            forget_watch(f);
            look_at(f);
        }
    }
    list_for_each_safe (it, files_of(s, watch)) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, by_watch);
        if (g->watch == watch) {
            list_remove(&g->by_watch);
            g->watch = -1;
        }
    }
}

static void told(struct follows *s, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        told_all(s);
    } else if (e->mask & IN_IGNORED) {
        told_end(s, e->wd);
    } else if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
        told_end(s, e->wd);
        inotify_rm_watch(s->fd, e->wd); /* what was moved is watched on */
    } else if (e->len) {
        told_name(s, e->wd, str_of(e->name));
    } else {
        told_file(s, e->wd);
    }
}

static void take(struct follows *s)
{
    _Alignas(struct inotify_event) char events[16384];
    for (int rounds = 0; rounds < 64; rounds++) {
        ssize_t n = read(s->fd, events, sizeof events);
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(events + at);
            told(s, e);
            at += (ssize_t)(sizeof *e + e->len);
        }
        if (n <= 0)
            return;
    }
}

/* Not listened to for a while: a writer must not wake us for each of its lines. */
static void on_ready(struct io *io, unsigned ready)
{
    struct follows *s = CONTAINER_OF(io, struct follows, io);
    take(s);
    loop_io_stop(s->loop, io);
    loop_timer_set(s->loop, &s->pause, loop_now(s->loop) + FOLLOW_PAUSE);
}

static void on_pause(struct timer *t)
{
    struct follows *s = CONTAINER_OF(t, struct follows, pause);
    if (loop_io_start(s->loop, &s->io, s->fd, NULL))
        loop_timer_set(s->loop, t, loop_now(s->loop) + FOLLOW_POLL);
}

void follows_watch_start(struct follows *s)
{
    io_init(&s->io, on_ready);
    timer_init(&s->pause, on_pause);
    s->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    s->polls = s->fd < 0;
    if (s->fd >= 0)
        on_pause(&s->pause);
}

void follows_watch_stop(struct follows *s)
{
    loop_timer_stop(s->loop, &s->pause);
    loop_io_stop(s->loop, &s->io);
    if (s->fd >= 0)
        close(s->fd);
}

/* --- what is watched --- */

static int watch(struct follows *s, const char *path, uint32_t mask)
{
    return s->fd < 0 ? -1 : s->calls.watch(s->fd, path, mask);
}

static void unwatched(struct follows *s)
{
    s->unwatched++;
    s->polls = true;
}

/* A directory that is not there comes with a look. */
void follow_watch_directory(struct follow *f)
{
    struct follows *s = f->set;
    int wd = watch(s, f->directory, OF_DIRECTORY);
    if (wd < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        unwatched(s);
    if (wd == f->watch)
        return;
    follow_unwatch_directory(f);
    if (wd < 0)
        return;
    f->watch = wd;
    list_push_back(names_of(s, wd, f->name), &f->by_name);
}

/* Others may share it. */
void follow_unwatch_directory(struct follow *f)
{
    int wd = f->watch;
    if (wd < 0)
        return;
    forget_watch(f);
    list_for_each (it, &f->set->all)
        if (LIST_ENTRY(it, struct follow, link)->watch == wd)
            return;
    inotify_rm_watch(f->set->fd, wd);
}

/* The open one, whatever its name is by now. */
void follow_watch_file(struct follow_file *g)
{
    struct follows *s = g->follow->set;
    char path[32];
    if (g->watch >= 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", g->fd);
    g->watch = watch(s, path, IN_MODIFY);
    if (g->watch < 0)
        unwatched(s);
    else
        list_push_back(files_of(s, g->watch), &g->by_watch);
}

void follow_unwatch_file(struct follow_file *g)
{
    struct follows *s = g->follow->set;
    int wd = g->watch;
    if (wd < 0)
        return;
    list_remove(&g->by_watch);
    g->watch = -1;
    list_for_each (it, files_of(s, wd))
        if (LIST_ENTRY(it, struct follow_file, by_watch)->watch == wd)
            return;
    inotify_rm_watch(s->fd, wd);
}
