/* top_frame: lines of any number and width into one frame of the terminal's size. Pure. */
#include "cli/top.h"

/* Bytes of the colour sequence at p ("ESC [ digits m"), or 0. */
static size_t sequence(const char *p, size_t n)
{
    if (n < 3 || p[0] != '\033' || p[1] != '[')
        return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] == 'm')
            return i + 1;
    return 0;
}

/* At most `width` columns; colours are kept whole and switched off at the cut. */
static void add_line(struct buf *out, struct str line, size_t width)
{
    size_t used = 0, i = 0;
    while (i < line.n) {
        size_t n = sequence(line.p + i, line.n - i);
        if (!n && used == width)
            break;
        if (!n) {
            n = 1;
            while (i + n < line.n && ((unsigned char)line.p[i + n] & 0xc0) == 0x80)
                n++;
            used++;
        }
        buf_add(out, line.p + i, n);
        i += n;
    }
    if (i < line.n)
        buf_add_str(out, STR("\033[0m"));
    buf_add_str(out, STR("\033[K"));
}

/* Takes the next line from the front of text. */
static struct str next_line(struct str *text)
{
    const char *stop = text->n ? memchr(text->p, '\n', text->n) : NULL;
    struct str line = {text->p, stop ? (size_t)(stop - text->p) : text->n};
    size_t gone = line.n + (stop != NULL);
    text->p += gone;
    text->n -= gone;
    return line;
}

static size_t count_lines(struct str text)
{
    size_t n = 0;
    for (; text.n; n++)
        next_line(&text);
    return n;
}

void top_frame(const struct term *term, struct str body, size_t *scroll, struct str head,
               struct str foot, struct buf *out)
{
    size_t rows = MAX(term->rows, 3u) - 2, lines = count_lines(body);
    if (*scroll + rows > lines)
        *scroll = lines > rows ? lines - rows : 0;
    buf_add_str(out, STR("\033[H"));
    add_line(out, head, term->columns);
    for (size_t i = 0; i < *scroll; i++)
        next_line(&body);
    for (size_t i = 0; i < rows; i++) {
        buf_add_str(out, STR("\r\n"));
        add_line(out, next_line(&body), term->columns);
    }
    buf_add_str(out, STR("\r\n"));
    add_line(out, foot, term->columns);
}
