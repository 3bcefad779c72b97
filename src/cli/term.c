#include "cli/term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const colour_codes[COLOURS] = {
    [COLOUR_NONE] = "",    [COLOUR_BOLD] = "1",    [COLOUR_DIM] = "2",   [COLOUR_RED] = "31",
    [COLOUR_GREEN] = "32", [COLOUR_YELLOW] = "33", [COLOUR_CYAN] = "36",
};

void term_measure(struct term *t, FILE *out)
{
    struct winsize w = {0};
    if (!t->terminal)
        return;
    t->columns = 80;
    t->rows = 24;
    if (ioctl(fileno(out), TIOCGWINSZ, &w) == 0) {
        if (w.ws_col)
            t->columns = w.ws_col;
        if (w.ws_row)
            t->rows = w.ws_row;
    }
}

struct term term_of(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    struct term t = {.terminal = isatty(fileno(out)) == 1};
    t.colour = t.terminal && !(no_colour && *no_colour) && !(kind && strcmp(kind, "dumb") == 0);
    term_measure(&t, out);
    return t;
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Bytes of the code point at p; 1 for a byte that begins none. */
static size_t code_point(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t want = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
    for (size_t i = 1; i < want; i++)
        if (i >= n || !continues(p[i]))
            return 1;
    return want;
}

size_t text_width(struct str s)
{
    size_t width = 0;
    for (size_t i = 0; i < s.n; width++)
        i += code_point(s.p + i, s.n - i);
    return width;
}

/* One code point of n bytes: controls (C0, DEL, C1) and stray bytes must not reach the terminal. */
static void add_clean(struct buf *out, const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    bool control = c < 0x20 || c == 0x7f;
    bool stray = n == 1 && c >= 0x80;
    bool c1 = n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
    if (control || stray || c1)
        buf_add(out, "?", 1);
    else
        buf_add(out, p, n);
}

void text_fit(struct buf *out, struct str s, size_t width)
{
    size_t left = text_width(s), room = left > width ? width - (width > 0) : left;
    for (size_t i = 0; room > 0; room--) {
        size_t n = code_point(s.p + i, s.n - i);
        add_clean(out, s.p + i, n);
        i += n;
    }
    if (left > width && width > 0)
        buf_add_str(out, STR("…"));
}

void text_clean(struct buf *out, struct str s)
{
    text_fit(out, s, SIZE_MAX);
}

static void colour_on(struct buf *out, const struct term *t, enum colour c)
{
    if (t->colour && c != COLOUR_NONE)
        buf_printf(out, "\033[%sm", colour_codes[c]);
}

static void colour_off(struct buf *out, const struct term *t, enum colour c)
{
    if (t->colour && c != COLOUR_NONE)
        buf_add_str(out, STR("\033[0m"));
}

void text_coloured(struct buf *out, const struct term *t, enum colour c, struct str s)
{
    colour_on(out, t, c);
    text_clean(out, s);
    colour_off(out, t, c);
}

void text_printf(struct buf *out, const struct term *t, enum colour c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_coloured(out, t, c, str_of(text));
}

static bool table_grow(struct table *t)
{
    if (t->n_cells < t->cap_cells)
        return true;
    size_t cap = t->cap_cells ? t->cap_cells * 2 : 64;
    struct table_cell *cells = mem_resize(t->cells, cap * sizeof *cells);
    if (!cells)
        return false;
    t->cells = cells;
    t->cap_cells = cap;
    return true;
}

void text_table_add(struct table *t, enum colour c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    CHECK(t->n_columns <= TABLE_COLUMNS);
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct str kept = arena_str(&t->arena, str_of(text));
    if (!kept.p || !table_grow(t)) {
        t->failed = true;
        return;
    }
    t->cells[t->n_cells++] = (struct table_cell){kept, c};
}

void text_table_free(struct table *t)
{
    arena_free(&t->arena);
    mem_free(t->cells);
    t->cells = NULL;
    t->n_cells = t->cap_cells = 0;
}

enum { GAP = 2, FLEXIBLE_LEAST = 8 };

static void measure(const struct table *t, const struct term *term, size_t widths[TABLE_COLUMNS])
{
    size_t total = t->indent, flexible = t->n_columns;
    for (size_t i = 0; i < t->n_columns; i++) {
        widths[i] = text_width(str_of(t->columns[i].title));
        for (size_t k = i; k < t->n_cells; k += t->n_columns)
            widths[i] = MAX(widths[i], text_width(t->cells[k].text));
        total += widths[i] + (i ? GAP : 0);
        if (t->columns[i].flexible)
            flexible = i;
    }
    if (flexible == t->n_columns || !term->columns || total <= term->columns)
        return;
    size_t over = total - term->columns, least = MIN(widths[flexible], FLEXIBLE_LEAST);
    widths[flexible] = widths[flexible] > over + least ? widths[flexible] - over : least;
}

static void add_blanks(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_add(out, " ", 1);
}

static void print_cell(const struct column *c, size_t width, bool last, struct table_cell cell,
                       const struct term *term, struct buf *out)
{
    size_t used = MIN(text_width(cell.text), width);
    if (c->align == ALIGN_RIGHT)
        add_blanks(out, width - used);
    colour_on(out, term, cell.colour);
    text_fit(out, cell.text, width);
    colour_off(out, term, cell.colour);
    if (c->align == ALIGN_LEFT && !last)
        add_blanks(out, width - used);
}

static void print_row(const struct table *t, const struct term *term, const size_t *widths,
                      const struct table_cell *cells, struct buf *out)
{
    add_blanks(out, t->indent);
    for (size_t i = 0; i < t->n_columns; i++) {
        if (i)
            add_blanks(out, GAP);
        print_cell(&t->columns[i], widths[i], i + 1 == t->n_columns, cells[i], term, out);
    }
    buf_add(out, "\n", 1);
}

void text_table_print(const struct table *t, const struct term *term, struct buf *out)
{
    size_t widths[TABLE_COLUMNS];
    struct table_cell titles[TABLE_COLUMNS];
    if (t->failed) {
        out->failed = true;
        return;
    }
    measure(t, term, widths);
    for (size_t i = 0; i < t->n_columns; i++)
        titles[i] = (struct table_cell){str_of(t->columns[i].title), COLOUR_BOLD};
    print_row(t, term, widths, titles, out);
    for (size_t k = 0; k + t->n_columns <= t->n_cells; k += t->n_columns)
        print_row(t, term, widths, t->cells + k, out);
}

const char *amount_count(double n, char out[AMOUNT_MAX])
{
    if (n < 0)
        n = 0;
    if (n >= 999.5e6)
        snprintf(out, AMOUNT_MAX, "%.1fG", MIN(n / 1e9, 1e9));
    else if (n >= 999.5e3)
        snprintf(out, AMOUNT_MAX, "%.1fM", n / 1e6);
    else if (n >= 9999.5)
        snprintf(out, AMOUNT_MAX, "%.1fk", n / 1e3);
    else if (n < 9.95 && n > 0.05 && n != (double)(int)n)
        snprintf(out, AMOUNT_MAX, "%.1f", n);
    else
        snprintf(out, AMOUNT_MAX, "%.0f", n);
    return out;
}

const char *amount_us(double us, char out[AMOUNT_MAX])
{
    if (us < 999.5)
        snprintf(out, AMOUNT_MAX, "%.0f us", MAX(us, 0.0));
    else if (us < 9950)
        snprintf(out, AMOUNT_MAX, "%.1f ms", us / 1e3);
    else if (us < 999.5e3)
        snprintf(out, AMOUNT_MAX, "%.0f ms", us / 1e3);
    else
        snprintf(out, AMOUNT_MAX, "%.1f s", MIN(us / 1e6, 1e9));
    return out;
}

const char *amount_seconds(double s, char out[AMOUNT_MAX])
{
    uint64_t n = s > 0 && s < 1e15 ? (uint64_t)s : 0;
    if (n < 120)
        snprintf(out, AMOUNT_MAX, "%u s", (unsigned)n);
    else if (n < 7200)
        snprintf(out, AMOUNT_MAX, "%u min", (unsigned)(n / 60));
    else if (n < 48 * 3600)
        snprintf(out, AMOUNT_MAX, "%u h %u min", (unsigned)(n / 3600), (unsigned)(n / 60 % 60));
    else
        snprintf(out, AMOUNT_MAX, "%llu d", (unsigned long long)(n / 86400));
    return out;
}
