/* Reading: what grew, oldest first. Each block is checked after it was read: as long as the bytes
 * before it are those that were there, it was not read from a file that was begun anew. */
#include "sense/follow_inside.h"

#include <errno.h>
#include <unistd.h>

#define BEHIND_AGAIN  (FOLLOW_BEHIND_MOST / 4 * 3) /* skipping ends here */
#define UNLINKED_MOST (60 * NS_PER_S) /* a file without a name holds room on the disk */
#define SHED_VISIT    ((size_t)8 << 20)

struct visit {
    uint64_t now;
    uint64_t shed_bytes, shed_lines;
    size_t read;
};

/* --- bytes --- */

static void hand_out(struct follow *f, struct follow_file *g, struct str bytes, uint64_t now)
{
    if (!bytes.n)
        return;
    f->counts.bytes += bytes.n;
    f->set->calling = true;
    f->owner.bytes(f->owner.context, &g->lines, bytes, now);
    f->set->calling = false;
}

static void count_shed(struct visit *v, struct str bytes)
{
    v->shed_bytes += bytes.n;
    for (const char *p = bytes.p, *end = p + bytes.n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        v->shed_lines++;
}

static struct str before(struct str s, size_t n)
{
    return (struct str){s.p, n};
}

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

/* The bytes up to the first end of a line, that included; all if there is none. */
static size_t to_line_end(struct str s)
{
    const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;
    return end ? (size_t)(end - s.p) + 1 : s.n;
}

/* A line that was begun before is handed out to its end, so that lines are skipped whole. */
static void shed(struct follow *f, struct follow_file *g, struct str bytes, struct visit *v)
{
    if (g->line != g->place.at && !g->dropping) {
        size_t n = to_line_end(bytes);
        hand_out(f, g, before(bytes, n), v->now);
        bytes = behind(bytes, n);
    }
    if (!bytes.n)
        return;
    count_shed(v, bytes);
    g->dropping = bytes.p[bytes.n - 1] != '\n';
}

static void give(struct follow *f, struct follow_file *g, struct str bytes, struct visit *v)
{
    if (g->dropping) {
        size_t n = to_line_end(bytes);
        count_shed(v, before(bytes, n));
        g->dropping = bytes.p[n - 1] != '\n';
        bytes = behind(bytes, n);
    }
    hand_out(f, g, bytes, v->now);
}

/* The position moves behind these bytes of the file. */
static void pass(struct follow_file *g, struct str bytes)
{
    struct place *p = &g->place;
    if (p->head_n < PLACE_EDGE && p->at <= p->head_n && p->at + bytes.n > p->head_n) {
        size_t from = p->head_n - (size_t)p->at;
        size_t n = MIN(bytes.n - from, (size_t)(PLACE_EDGE - p->head_n));
        memcpy(p->head + p->head_n, bytes.p + from, n);
        p->head_n = (uint8_t)(p->head_n + n);
    }
    size_t keep = bytes.n < PLACE_EDGE ? MIN((size_t)p->tail_n, PLACE_EDGE - bytes.n) : 0;
    size_t n = MIN(bytes.n, (size_t)PLACE_EDGE);
    memmove(p->tail, p->tail + p->tail_n - keep, keep);
    memcpy(p->tail + keep, bytes.p + bytes.n - n, n);
    p->tail_n = (uint8_t)(keep + n);
    const char *end = memrchr(bytes.p, '\n', bytes.n);
    if (end)
        g->line = p->at + (uint64_t)(end - bytes.p) + 1;
    p->at += bytes.n;
}

/* --- truncation --- */

/* Its old content is another's now: of a copy, which has what was not read, or nobody's. The new
 * content of an old file is its own (it was truncated, and renamed before that was seen), or a copy
 * of a younger one. */
static void begin_anew(struct follow *f, struct follow_file *g)
{
    struct place was = g->place;
    was.amid = g->dropping;
    f->counts.truncated++;
    f->cut = g;
    f->continued = false;
    bool all = follow_has_room(f, 1);
    follow_remember(f, &was, MAX(was.until, follow_wall())); /* youngest: past_of_cut */
    g->place.at = g->place.until = 0;
    g->place.head_n = g->place.tail_n = 0;
    all = all && follow_others(f, g);
    if (!f->continued)
        follow_end_lines(f, &g->lines);
    f->cut = NULL;
    f->look |= !all;
    g->held |= !all && g == f->current;
    g->line = 0;
    g->dropping = false;
    g->hole = true;
    g->unsettled = g != f->current;
}

/* To what was written: a writer that does not append goes on where it was, and leaves zeros. */
static void leap_hole(struct follow *f, struct follow_file *g)
{
    off_t data = lseek(g->fd, (off_t)g->place.at, SEEK_DATA);
    if (data > (off_t)g->place.at) {
        f->counts.holes += (uint64_t)data - g->place.at;
        g->place.at = g->line = (uint64_t)data;
    }
}

static struct str without_hole(struct follow *f, struct follow_file *g, struct str bytes)
{
    size_t n = 0;
    while (n < bytes.n && bytes.p[n] == 0)
        n++;
    g->hole = n == bytes.n;
    f->counts.holes += n;
    g->place.at += n;
    g->line = g->place.at;
    return behind(bytes, n);
}

/* --- blocks --- */

static void fail(struct follow *f, struct follow_file *g, int error, uint64_t now)
{
    f->counts.errors++;
    if (!g->failed)
        g->failed_at = now;
    g->failed = error;
    follow_say(f, FOLLOW_FAILS,
               "%s cannot be read: %s. It is tried again every second; look at "
               "the disk (dmesg)",
               f->path, strerror(error));
}

enum reading {
    READ_SOME,
    READ_NO_MORE,
    READ_ANEW /* and other files may have come or gone */
};

static enum reading read_block(struct follow *f, struct follow_file *g, bool shedding,
                               struct visit *v)
{
    struct follows *s = f->set;
    if (g->unsettled && !follow_settle(f, g)) {
        follow_file_close(g, false);
        return READ_ANEW;
    }
    if (g->hole)
        leap_hole(f, g);
    ssize_t n = s->calls.read(g->fd, s->block, FOLLOW_BLOCK, (off_t)g->place.at);
    int held = n > 0 ? follow_holds(s, g) : 0;
    if (n < 0 || held < 0)
        fail(f, g, errno, v->now);
    if (n <= 0 || held < 0)
        return READ_NO_MORE;
    g->failed = 0;
    if (!held) {
        begin_anew(f, g);
        return READ_ANEW;
    }
    struct str bytes = {s->block, (size_t)n};
    g->grew = v->now;
    if (g->hole)
        bytes = without_hole(f, g, bytes);
    if (bytes.n && shedding)
        shed(f, g, bytes, v);
    else if (bytes.n)
        give(f, g, bytes, v);
    if (bytes.n)
        pass(g, bytes);
    v->read += (size_t)n;
    return READ_SOME;
}

/* --- visits --- */

static uint64_t behind_of(const struct follow_file *g)
{
    return g->size > g->place.at ? g->size - g->place.at : 0;
}

/* What each file is now. False: one was begun anew, and others may have come or gone. */
static bool measure(struct follow *f)
{
    f->counts.behind = 0;
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        follow_at_end(g);
        if (g->size < MAX(g->place.at, (uint64_t)g->place.head_n)) {
            begin_anew(f, g);
            return false;
        }
        f->counts.behind += behind_of(g);
    }
    return true;
}

/* Reads of all files, oldest first, until `most` bytes are used or `enough` are left. */
static void read_files(struct follow *f, size_t most, uint64_t enough, bool shedding,
                       struct visit *v)
{
    uint64_t left = f->counts.behind;
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        enum reading r = READ_SOME;
        while (r == READ_SOME && !g->held && v->read < most && left > enough && behind_of(g)) {
            uint64_t at = g->place.at;
            r = read_block(f, g, shedding, v);
            left -= r == READ_SOME ? MIN(left, g->place.at - at) : 0;
        }
        if (r == READ_ANEW || g->held)
            break;
    }
    f->counts.behind = left;
}

static bool is_due(const struct follow *f, const struct follow_file *g, uint64_t now)
{
    bool failed = g->failed && now - g->failed_at > FOLLOW_GRACE;
    if ((behind_of(g) || g->failed) && !failed)
        return false;
    if (g->unlinked && now - g->grew > UNLINKED_MOST)
        return true;
    bool current = g == f->current;
    return !current &&
           (failed || ((!f->current || f->current->size) && now - g->grew > FOLLOW_GRACE));
}

static void close_due(struct follow *f, uint64_t now)
{
    list_for_each_safe (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (is_due(f, g, now) && (g->failed || follow_at_end(g)))
            follow_file_close(g, true);
    }
}

static bool has_more(const struct follow *f)
{
    if (f->look)
        return true;
    list_for_each (it, &f->files) {
        struct follow_file *g = LIST_ENTRY(it, struct follow_file, link);
        if (behind_of(g) && !g->failed)
            return true;
    }
    return false;
}

size_t follow_visit(struct follow *f, bool *more)
{
    struct visit v = {.now = loop_now(f->set->loop)};
    if (f->look)
        follow_look(f);
    while (!measure(f)) {
    }
    if (f->counts.behind > FOLLOW_BEHIND_MOST)
        read_files(f, SHED_VISIT, BEHIND_AGAIN, true, &v);
    size_t skipped = v.read;
    v.read = 0;
    read_files(f, FOLLOW_VISIT, 0, false, &v);
    f->counts.shed_bytes += v.shed_bytes;
    f->counts.shed_lines += v.shed_lines;
    if (v.shed_bytes) {
        f->set->calling = true;
        f->owner.shed(f->owner.context, v.shed_bytes, v.shed_lines, v.now);
        f->set->calling = false;
    }
    close_due(f, v.now);
    *more = has_more(f);
    return v.read + skipped / 16;
}
