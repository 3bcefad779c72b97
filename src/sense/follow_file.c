/* Open files, and the memory of those that were. */
#include "sense/follow_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* Ticks of some ms. */
uint64_t follow_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* path NULL: what fd is. */
int follow_stat(int fd, const char *path, struct follow_seen *out)
{
    struct statx x;
    if (statx(fd, path ? path : "", path ? 0 : AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &x))
        return errno;
    *out = (struct follow_seen){
        .id = {.device = makedev(x.stx_dev_major, x.stx_dev_minor), .inode = x.stx_ino},
        .size = x.stx_size,
        .mode = x.stx_mode,
        .links = x.stx_nlink,
        .user = x.stx_uid,
        .group = x.stx_gid,
    };
    if (x.stx_mask & STATX_BTIME)
        out->id.birth = (uint64_t)x.stx_btime.tv_sec * NS_PER_S + x.stx_btime.tv_nsec;
    return 0;
}

/* The last n bytes before at; how many there are. */
uint32_t follow_edge(const struct follows *s, int fd, uint64_t at, uint32_t n, char *to)
{
    n = (uint32_t)MIN(at, (uint64_t)n);
    return n && s->calls.read(fd, to, n, (off_t)(at - n)) == (ssize_t)n ? n : 0;
}

bool follow_goes_on(const struct follows *s, const struct place *p, int fd, uint64_t size)
{
    char bytes[PLACE_EDGE];
    if (size < p->at)
        return false;
    return follow_edge(s, fd, p->head_n, p->head_n, bytes) == p->head_n &&
           memcmp(bytes, p->head, p->head_n) == 0 &&
           follow_edge(s, fd, p->at, p->tail_n, bytes) == p->tail_n &&
           memcmp(bytes, p->tail, p->tail_n) == 0;
}

void follow_file_at(struct follow_file *g, uint64_t at)
{
    const struct follows *s = g->follow->set;
    uint64_t head = MIN(g->size, (uint64_t)PLACE_EDGE);
    g->place.at = g->line = at;
    g->place.head_n = (uint8_t)follow_edge(s, g->fd, head, (uint32_t)head, g->place.head);
    g->place.tail_n = (uint8_t)follow_edge(s, g->fd, at, PLACE_EDGE, g->place.tail);
}

void follow_file_resume(struct follow_file *g, const struct place *p)
{
    struct place *to = &g->place;
    to->at = g->line = p->at;
    to->until = p->until;
    to->head_n = p->head_n;
    to->tail_n = p->tail_n;
    memcpy(to->head, p->head, sizeof to->head);
    memcpy(to->tail, p->tail, sizeof to->tail);
    g->dropping = p->amid;
}

void follow_file_look_ahead(struct follow_file *g)
{
    struct place *p = &g->place;
    struct follow_seen s;
    char bytes[PLACE_EDGE];
    if (p->head_n >= COPY_LEAST || follow_stat(g->fd, NULL, &s))
        return;
    uint32_t n = (uint32_t)MIN(s.size, (uint64_t)PLACE_EDGE);
    n = follow_edge(g->follow->set, g->fd, n, n, bytes);
    if (n <= p->head_n || memcmp(bytes, p->head, p->head_n) != 0 || bytes[0] == 0)
        return;
    memcpy(p->head, bytes, n);
    p->head_n = (uint8_t)n;
}

int follow_holds(const struct follows *s, const struct follow_file *g)
{
    char bytes[PLACE_EDGE];
    const struct place *p = &g->place;
    size_t size = p->at ? p->tail_n : p->head_n;
    if (!size)
        return 1;
    ssize_t n = s->calls.read(g->fd, bytes, size, (off_t)(p->at ? p->at - size : 0));
    if (n < 0)
        return -1;
    return (size_t)n == size && memcmp(bytes, p->at ? p->tail : p->head, size) == 0;
}

struct follow_file *follow_file_new(struct follow *f, int fd, const struct follow_seen *s,
                                    struct follow_file *before)
{
    struct follow_file *g = mem_zero(1, sizeof *g);
    if (!g) {
        close(fd);
        return NULL;
    }
    g->follow = f;
    g->fd = fd;
    g->watch = -1;
    g->place = s->id;
    g->size = s->size;
    g->grew = loop_now(f->set->loop);
    list_init(&g->by_watch);
    list_insert(&g->link, before ? &before->link : &f->files);
    f->n_files++;
    f->counts.files++;
    follow_watch_file(g);
    return g;
}

void follow_file_close(struct follow_file *g, bool ended)
{
    struct follow *f = g->follow;
    follow_unwatch_file(g);
    list_remove(&g->link);
    f->n_files--;
    if (f->current == g)
        f->current = NULL;
    if (ended) {
        follow_end_lines(f, &g->lines);
        if (!g->unsettled)
            follow_remember(f, &g->place, MAX(g->place.birth, g->place.until));
    }
    lines_free(&g->lines);
    close(g->fd);
    mem_free(g);
}

void follow_forget(struct follow *f, uint32_t i)
{
    memmove(f->past + i, f->past + i + 1, (--f->n_past - i) * sizeof *f->past);
}

/* What is forgotten of the past must not be taken for new: it and its copies are older than this
 * floor. */
void follow_remember(struct follow *f, const struct place *p, uint64_t until)
{
    if (f->n_past == FOLLOW_PAST) {
        f->floor = MAX(f->floor, f->past[0].until);
        follow_forget(f, 0);
    }
    struct place *to = &f->past[f->n_past++];
    *to = *p;
    to->open = false;
    to->until = until;
}

bool follow_at_end(struct follow_file *g)
{
    struct follow_seen s;
    if (follow_stat(g->fd, NULL, &s) == 0) {
        g->size = s.size;
        g->unlinked = s.links == 0;
    }
    return g->place.at >= g->size;
}

/* Older ones are closed before their grace is over, if it must be. */
bool follow_has_room(struct follow *f, uint32_t n)
{
    list_for_each_safe (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (f->n_files + n <= FOLLOW_FILES)
            break;
        if (g != f->current && g != f->cut && (g->failed || follow_at_end(g)))
            follow_file_close(g, true);
    }
    return f->n_files + n <= FOLLOW_FILES;
}
