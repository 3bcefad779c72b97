#include "sense/follow_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

const char *follow_state_name(enum follow_state s)
{
    static const char *const names[FOLLOW_STATES] = {"new",    "reads", "absent",
                                                     "denied", "unfit", "fails"};
    return names[s];
}

/* --- turns --- */

static void on_turn(struct task *t)
{
    struct follows *s = CONTAINER_OF(t, struct follows, turn);
    enum { VISIT_COST = 4096 };
    for (size_t used = 0; !list_empty(&s->ready) && used < FOLLOW_TURN; used += VISIT_COST) {
        struct follow *f = LIST_ENTRY(s->ready.next, struct follow, ready);
        bool more = false;
        list_remove(&f->ready);
        used += follow_visit(f, &more);
        if (more)
            list_push_back(&s->ready, &f->ready);
    }
    if (!list_empty(&s->ready))
        loop_defer(s->loop, &s->turn);
}

void follow_mark(struct follow *f)
{
    if (list_empty(&f->ready))
        list_push_back(&f->set->ready, &f->ready);
    loop_defer(f->set->loop, &f->set->turn);
}

static void on_poll(struct timer *t)
{
    struct follows *s = CONTAINER_OF(t, struct follows, poll);
    s->unwatched = 0;
    list_for_each (it, &s->all) {
        struct follow *f = LIST_ENTRY(it, struct follow, link);
        follow_watch_directory(f);
        list_for_each (file, &f->files)
            follow_watch_file(LIST_ENTRY(file, struct follow_file, link));
        f->look = true;
        follow_mark(f);
    }
    s->polls = s->unwatched;
    loop_timer_set(s->loop, t, loop_now(s->loop) + s->calls.poll);
}

/* --- what the owner hears --- */

void follow_say(struct follow *f, enum follow_state state, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (f->state == state && str_eq(str_of(f->text), str_of(text)))
        return;
    f->state = state;
    size_t n = strlen(text) + 1;
    char *kept = mem_resize(f->text, n);
    if (kept)
        f->text = memcpy(kept, text, n);
    f->set->calling = true;
    if (f->owner.state)
        f->owner.state(f->owner.context, state, text);
    f->set->calling = false;
}

void follow_end_lines(struct follow *f, struct lines *l)
{
    f->set->calling = true;
    f->owner.end(f->owner.context, l, loop_now(f->set->loop));
    f->set->calling = false;
    lines_free(l);
}

/* --- all --- */

int follows_new(struct follows **out, struct loop *l, struct err *e)
{
    struct follows *s = mem_zero(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory to follow logs");
    s->loop = l;
    s->calls =
        (struct follow_calls){.read = pread, .watch = inotify_add_watch, .poll = FOLLOW_POLL};
    list_init(&s->all);
    list_init(&s->ready);
    for (size_t i = 0; i < FOLLOW_BUCKETS; i++) {
        list_init(&s->files[i]);
        list_init(&s->names[i]);
    }
    timer_init(&s->poll, on_poll);
    task_init(&s->turn, on_turn);
    follows_watch_start(s);
    loop_timer_set(l, &s->poll, loop_now(l) + s->calls.poll);
    *out = s;
    return 0;
}

void follows_free(struct follows *s)
{
    if (!s)
        return;
    while (!list_empty(&s->all))
        follow_stop(LIST_ENTRY(s->all.next, struct follow, link));
    follows_watch_stop(s);
    loop_timer_stop(s->loop, &s->poll);
    task_cancel(&s->turn);
    mem_free(s);
}

bool follows_polls(const struct follows *s)
{
    return s->polls;
}

/* --- one --- */

static bool split(struct follow *f, const char *path)
{
    size_t n = strlen(path);
    f->path = mem_alloc(n + 1);
    f->directory = mem_alloc(n + 1);
    f->past = mem_zero(FOLLOW_PAST, sizeof *f->past);
    if (!f->path || !f->directory || !f->past)
        return false;
    memcpy(f->path, path, n + 1);
    size_t slash = (size_t)(strrchr(path, '/') - path);
    str_copy(f->directory, n + 1, slash ? (struct str){path, slash} : STR("/"));
    f->name = str_of(f->path + slash + 1);
    return true;
}

static void restore(struct follow *f, struct str saved)
{
    struct place p[PLACES_MOST];
    uint32_t n;
    uint64_t floor;
    f->floor = follow_wall() - 1; /* of this very tick: new */
    if (!places_get(saved, p, &n, &floor))
        return;
    memcpy(f->past, p, n * sizeof *p);
    for (uint32_t i = 0; i < n; i++)
        f->past[i].until = p[i].open ? MAX(p[i].birth, p[i].until) : p[i].until;
    f->n_past = n;
    f->floor = floor;
    f->met = f->restoring = true;
}

static void follow_free(struct follow *f)
{
    mem_free(f->path);
    mem_free(f->directory);
    mem_free(f->past);
    mem_free(f->text);
    mem_free(f);
}

int follow_start(struct follows *s, const char *path, const struct follow_owner *owner,
                 struct str saved, struct follow **out, struct err *e)
{
    size_t n = strlen(path);
    if (path[0] != '/' || path[n - 1] == '/')
        return err_set(e, ERR_INVAL, "%s cannot be followed: give a file's whole path", path);
    if (s->n == FOLLOW_MOST)
        return err_set(e, ERR_LIMIT, "%s is not followed: %d files are", path, FOLLOW_MOST);
    struct follow *f = mem_zero(1, sizeof *f);
    if (!f || !split(f, path)) {
        if (f)
            follow_free(f);
        return err_set(e, ERR_NOMEM, "no memory to follow %s", path);
    }
    f->set = s;
    f->owner = *owner;
    f->watch = -1;
    f->look = true;
    list_init(&f->ready);
    list_init(&f->by_name);
    list_init(&f->files);
    list_push_back(&s->all, &f->link);
    s->n++;
    restore(f, saved);
    follow_watch_directory(f);
    follow_mark(f);
    *out = f;
    return 0;
}

void follow_stop(struct follow *f)
{
    if (!f)
        return;
    CHECK(!f->set->calling);
    while (!list_empty(&f->files))
        follow_file_close(LIST_ENTRY(f->files.next, struct follow_file, link), false);
    follow_unwatch_directory(f);
    list_remove(&f->ready);
    list_remove(&f->link);
    f->set->n--;
    follow_free(f);
}

/* At a border of lines; in the rest of a line that does not count, where that is. The bytes before
 * the border are read again, which counts only if they are still those that were read: with those
 * of what was written over them, neither the file nor its copy would be known. */
static struct place saved_place(const struct follow_file *g)
{
    struct place p = g->place;
    p.open = true;
    p.amid = g->dropping || g->lines.skipping;
    if (p.amid || g->line == p.at)
        return p;
    p.at = g->line;
    p.tail_n = (uint8_t)follow_edge(g->follow->set, g->fd, p.at, PLACE_EDGE, p.tail);
    if (follow_holds(g->follow->set, g) != 1)
        p.tail_n = 0;
    return p;
}

void follow_save(struct follow *f, struct buf *out)
{
    struct place p[PLACES_MOST];
    uint32_t n = 0;
    uint64_t floor = f->floor;
    if (f->restoring) { /* nothing was found out yet */
        places_put(out, f->past, f->n_past, floor);
        return;
    }
    if (f->n_files == 0 && f->state != FOLLOW_ABSENT)
        return;
    for (uint32_t i = 0; i < f->n_past; i++)
        if (f->n_past - i + f->n_files > PLACES_MOST)
            floor = MAX(floor, f->past[i].until);
        else
            p[n++] = f->past[i];
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (!g->unsettled) /* what it was is in `past`; what it is, a successor finds out */
            p[n++] = saved_place(g);
    }
    places_put(out, p, n, floor);
}

const char *follow_path(const struct follow *f)
{
    return f->path;
}

enum follow_state follow_state(const struct follow *f, const char **text)
{
    if (text)
        *text = f->text ? f->text : "";
    return f->state;
}

const struct follow_counts *follow_counts(const struct follow *f)
{
    return &f->counts;
}
