/* The files that were at the path between two looks, found by their names beside it; and the copy
 * that was made of a file before it was truncated.
 *
 * A file is one of those if it has the name of a rotated one and was born after all that is known
 * to be read, or has, before the position where reading ended, what was read. Copies of what was
 * read hold nothing new. The directory may change while it is read: then it is read again. */
#include "sense/follow_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sense/follow_names.h"

enum { ENTRIES_MOST = 4096, ROUNDS = 8 };
#define SETTLED (10 * NS_PER_MS) /* times of files are no finer than the kernel's tick */

struct other {
    int fd;
    struct follow_seen seen;
    uint64_t number;
    bool goes_on, of_cut; /* from `past`, which is what was cut off; else it is new */
    struct place past;
};

struct others {
    struct follow *follow;
    uint32_t n;
    bool more; /* than there is room for */
    struct other all[FOLLOW_FILES];
};

static bool is_open(const struct follow *f, const struct place *id)
{
    list_for_each (it, &f->files)
        if (place_same_file(&LIST_ENTRY(it, struct follow_file, link)->place, id))
            return true;
    return false;
}

/* Of what p is about, or of its beginning. */
static bool is_copy(const struct follow *f, const struct place *p, int fd, uint64_t size)
{
    char bytes[PLACE_EDGE];
    uint32_t n = (uint32_t)MIN(size, (uint64_t)p->head_n);
    if (n < COPY_LEAST && (n == 0 || size != p->at))
        return false;
    if (follow_edge(f->set, fd, n, n, bytes) != n || memcmp(bytes, p->head, n) != 0)
        return false;
    return size < p->at || follow_goes_on(f->set, p, fd, size);
}

/* The file itself, under another name; NULL: it is none of those, or was truncated since. */
static const struct place *past_of_file(struct follow *f, const struct other *o)
{
    for (uint32_t i = f->n_past; i-- > 0;)
        if (place_same_file(&f->past[i], &o->seen.id))
            return follow_goes_on(f->set, &f->past[i], o->fd, o->seen.size) ? &f->past[i] : NULL;
    return NULL;
}

static struct place *past_of_copy(struct follow *f, const struct other *o,
                                  const struct place *but_of)
{
    for (uint32_t i = f->n_past; i-- > 0;)
        if (is_copy(f, &f->past[i], o->fd, o->seen.size) &&
            !(but_of && place_same_file(but_of, &f->past[i])))
            return &f->past[i];
    return NULL;
}

/* What was cut off just now, if this has all that was read of it. Where that is less than tells
 * files apart it is believed all the same: the line that was begun goes on with what it begins
 * with.
 */
static struct place *past_of_cut(struct follow *f, const struct other *o)
{
    struct place *p = f->cut ? &f->past[f->n_past - 1] : NULL;
    uint64_t size = o->seen.size;
    if (!p || size < p->at)
        return NULL;
    bool little = p->at && p->at < COPY_LEAST && p->at == p->head_n;
    bool same = little ? follow_goes_on(f->set, p, o->fd, size) : is_copy(f, p, o->fd, size);
    return same ? p : NULL;
}

/* When that place is forgotten, this copy must not be taken for new. */
static void pass_over(struct place *p, const struct other *o)
{
    p->until = MAX(p->until, o->seen.id.birth);
}

/* Also of what of an open file was not read yet: a copy is there before the file is truncated. */
static bool is_copy_of_open(struct follow *f, const struct other *o)
{
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (g->fd == o->fd)
            continue;
        follow_file_look_ahead(g);
        if (is_copy(f, &g->place, o->fd, o->seen.size)) {
            pass_over(&g->place, o);
            return true;
        }
    }
    return false;
}

/* Is there something to read in it? */
static bool is_wanted(struct follow *f, struct other *o)
{
    uint64_t size = o->seen.size;
    const struct place *itself = past_of_file(f, o);
    if (itself) {
        o->goes_on = true;
        o->past = *itself;
        return size > itself->at || itself->open;
    }
    if (o->seen.id.birth <= f->floor || !size)
        return false;
    struct place *p = past_of_cut(f, o);
    if (!p && is_copy_of_open(f, o))
        return false;
    if (!p)
        p = past_of_copy(f, o, NULL);
    if (!p)
        return true;
    o->goes_on = true;
    o->past = *p;
    o->of_cut = f->cut && p == &f->past[f->n_past - 1];
    pass_over(p, o);
    return size > p->at;
}

static bool is_compressed(const struct follow *f, int fd, uint64_t size)
{
    char head[8];
    uint32_t n = (uint32_t)MIN(size, sizeof head);
    return bytes_are_compressed((struct str){head, follow_edge(f->set, fd, n, n, head)});
}

/* Oldest first. */
static void add(struct others *all, const struct other *o)
{
    uint32_t at = all->n;
    for (; at; at--) {
        const struct other *before = &all->all[at - 1];
        if (before->seen.id.birth < o->seen.id.birth ||
            (before->seen.id.birth == o->seen.id.birth && before->number >= o->number))
            break;
    }
    all->more |= all->n == FOLLOW_FILES;
    if (at == FOLLOW_FILES) {
        close(o->fd);
        return;
    }
    if (all->n == FOLLOW_FILES)
        close(all->all[--all->n].fd);
    memmove(all->all + at + 1, all->all + at, (all->n - at) * sizeof *o);
    all->all[at] = *o;
    all->n++;
}

static bool is_known(const struct others *all, const struct place *id)
{
    for (uint32_t i = 0; i < all->n; i++)
        if (place_same_file(&all->all[i].seen.id, id))
            return true;
    return is_open(all->follow, id);
}

/* Old ones are passed over without being opened. */
static bool may_be_one(const struct follow *f, const struct follow_seen *s)
{
    if (!S_ISREG(s->mode))
        return false;
    for (uint32_t i = 0; i < f->n_past; i++)
        if (place_same_file(&f->past[i], &s->id))
            return true;
    return s->id.birth > f->floor;
}

static void consider(struct others *all, int directory, const char *name, uint64_t number)
{
    struct follow *f = all->follow;
    struct other o = {.number = number};
    if (follow_stat(directory, name, &o.seen) || !may_be_one(f, &o.seen) ||
        is_known(all, &o.seen.id))
        return;
    o.fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (o.fd < 0)
        return;
    if (follow_stat(o.fd, NULL, &o.seen) || !may_be_one(f, &o.seen) || is_known(all, &o.seen.id) ||
        is_compressed(f, o.fd, o.seen.size) || !is_wanted(f, &o))
        close(o.fd);
    else
        add(all, &o);
}

static uint64_t changed_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0
                          : (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
}

static void read_names(struct others *all, DIR *d, struct str base)
{
    struct dirent *entry;
    rewinddir(d);
    for (uint32_t i = 0; i < ENTRIES_MOST && (entry = readdir(d)); i++) {
        uint64_t number;
        if (name_is_rotated(base, str_of(entry->d_name), &number))
            consider(all, dirfd(d), entry->d_name, number);
    }
}

static void read_directory(struct others *all, const char *path, struct str base)
{
    DIR *d = opendir(path);
    if (!d)
        return;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t changed = changed_of(dirfd(d));
        read_names(all, d, base);
        if (changed_of(dirfd(d)) == changed && clock_wall() - changed > SETTLED)
            break;
    }
    closedir(d);
}

/* Beside the path, and where it is a link beside the file that it leads to. */
static void read_all(struct others *all)
{
    struct follow *f = all->follow;
    char real[PATH_MAX];
    read_directory(all, f->directory, f->name);
    if (!realpath(f->path, real))
        return;
    char *slash = strrchr(real, '/');
    *slash = 0;
    struct str name = str_of(slash + 1);
    if (!str_eq(name, f->name) || strcmp(*real ? real : "/", f->directory) != 0)
        read_directory(all, *real ? real : "/", name);
}

static void begin_other(struct follow *f, struct other *o, struct follow_file *before)
{
    struct follow_file *g = follow_file_new(f, o->fd, &o->seen, before);
    if (!g)
        return;
    bool another = o->of_cut && f->continued && o->past.at < COPY_LEAST;
    if (o->goes_on && !another)
        follow_file_resume(g, &o->past);
    else
        follow_file_at(g, 0);
    for (uint32_t i = f->n_past; o->goes_on && i-- > 0;)
        if (place_same_file(&f->past[i], &g->place) && f->past[i].at == g->place.at)
            follow_forget(f, i);
    if (!o->of_cut || f->continued)
        return;
    g->lines = f->cut->lines;
    g->line = f->cut->line;
    f->cut->lines = (struct lines){0};
    f->continued = true;
}

bool follow_others(struct follow *f, struct follow_file *before)
{
    struct others all = {.follow = f};
    read_all(&all);
    uint32_t begun = 0;
    while (begun < all.n && follow_has_room(f, 1))
        begin_other(f, &all.all[begun++], before);
    for (uint32_t i = begun; i < all.n; i++)
        close(all.all[i].fd);
    return begun == all.n && !all.more;
}

bool follow_settle(struct follow *f, struct follow_file *g)
{
    struct other o = {.fd = g->fd};
    if (follow_stat(g->fd, NULL, &o.seen) || o.seen.size == 0)
        return true;
    g->unsettled = false;
    if (is_copy_of_open(f, &o))
        return false;
    struct place *p = past_of_copy(f, &o, &g->place);
    if (!p)
        return true;
    pass_over(p, &o);
    if (o.seen.size > p->at)
        follow_file_resume(g, p);
    return o.seen.size > p->at;
}
