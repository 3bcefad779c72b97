#include "detect/logs/lines.h"

static struct str without_return(struct str line)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static void used(struct str *bytes, size_t n)
{
    bytes->p += n;
    bytes->n -= n;
}

/* To the end of the line that is skipped. False: it is not in these bytes. */
static bool skip(struct lines *l, struct str *bytes)
{
    const char *end = memchr(bytes->p, '\n', bytes->n);
    l->skipped += end ? (size_t)(end - bytes->p) : bytes->n;
    l->skipping = !end;
    used(bytes, end ? (size_t)(end - bytes->p) + 1 : bytes->n);
    return end;
}

/* n bytes of a line more; false: memory is out, and the line with them. */
static bool keep(struct lines *l, struct str *bytes, size_t n)
{
    l->kept.limit = LINES_LONGEST;
    if (buf_add(&l->kept, bytes->p, n)) {
        used(bytes, n);
        return true;
    }
    l->lost++;
    l->skipped += l->kept.n;
    l->skipping = true;
    buf_clear(&l->kept);
    return false;
}

static bool hand_out(struct lines *l, struct str found, struct str *line)
{
    l->n++;
    *line = without_return(found);
    return true;
}

static bool hand_out_kept(struct lines *l, struct str *line)
{
    l->spent = true;
    return hand_out(l, buf_str(&l->kept), line);
}

/* A line that is longer than LINES_LONGEST: its beginning. */
static bool shorten(struct lines *l, struct str *bytes, struct str *line)
{
    l->cut++;
    l->skipping = true;
    if (l->kept.n)
        return keep(l, bytes, LINES_LONGEST - l->kept.n) && hand_out_kept(l, line);
    struct str head = {bytes->p, LINES_LONGEST};
    used(bytes, LINES_LONGEST);
    return hand_out(l, head, line);
}

/* Makes nothing of what was handed out or is skipped. False: no bytes are left. */
static bool at_line(struct lines *l, struct str *bytes)
{
    if (l->spent)
        buf_clear(&l->kept);
    l->spent = false;
    return bytes->n && (!l->skipping || skip(l, bytes)) && bytes->n;
}

bool lines_next(struct lines *l, struct str *bytes, struct str *line)
{
    while (at_line(l, bytes)) {
        const char *end = memchr(bytes->p, '\n', bytes->n);
        size_t n = end ? (size_t)(end - bytes->p) : bytes->n;
        if (l->kept.n + n > LINES_LONGEST) {
            if (shorten(l, bytes, line))
                return true;
        } else if (!end) {
            keep(l, bytes, n);
        } else if (l->kept.n == 0) {
            struct str whole = {bytes->p, n};
            used(bytes, n + 1);
            return hand_out(l, whole, line);
        } else if (keep(l, bytes, n)) {
            used(bytes, 1);
            return hand_out_kept(l, line);
        }
    }
    return false;
}

bool lines_last(struct lines *l, struct str *line)
{
    struct str none = {0};
    at_line(l, &none);
    l->skipping = false;
    return l->kept.n && hand_out_kept(l, line);
}

void lines_free(struct lines *l)
{
    buf_free(&l->kept);
    *l = (struct lines){0};
}
