/* term: text for people: colours where they are seen, columns that line up, widths that fit.
 *
 * Everything is appended to a buf and written at once, so that a picture never appears in halves.
 * Nothing from outside reaches the terminal raw: control bytes become '?', so that no name or
 * reason can move the cursor. Widths are counted in code points; no name that holdfast accepts is
 * wider. */
#ifndef HF_CLI_TERM_H
#define HF_CLI_TERM_H

#include <stdio.h>

#include "base/base.h"

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_CYAN,
    COLOURS
};

struct term {
    bool terminal; /* a person may be watching */
    bool colour;
    unsigned columns, rows; /* 0: unbounded */
};

/* What `out` is: a terminal, and with which size. Colours only there, and neither with NO_COLOR set
 * (no-color.org) nor with TERM=dumb. */
struct term term_of(FILE *out);
void term_measure(struct term *t, FILE *out);

/* Code points in s. */
size_t text_width(struct str s);
/* Appends at most `width` columns of s, cleaned; what is cut ends in "…". */
void text_fit(struct buf *out, struct str s, size_t width);
/* Appends all of s, cleaned. */
void text_clean(struct buf *out, struct str s);
void text_coloured(struct buf *out, const struct term *t, enum colour c, struct str s);
void text_printf(struct buf *out, const struct term *t, enum colour c, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

enum { TABLE_COLUMNS = 12 };

enum align { ALIGN_LEFT, ALIGN_RIGHT };

struct column {
    const char *title;
    enum align align;
    bool flexible; /* gives way when the table is wider than the terminal; one per table */
};

struct table_cell {
    struct str text; /* in the table's arena */
    enum colour colour;
};

/* Rows are kept until the end, since the widths depend on all of them. All memory is the arena's.
 */
struct table {
    const struct column *columns;
    size_t n_columns;
    unsigned indent;
    struct arena arena;
    struct table_cell *cells;
    size_t n_cells, cap_cells;
    bool failed; /* memory ran out */
};

/* The next cell, row by row. */
void text_table_add(struct table *t, enum colour c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void text_table_print(const struct table *t, const struct term *term, struct buf *out);
void text_table_free(struct table *t);

/* Short forms of amounts for columns: "812", "12.4k", "3.1M"; "1.2 ms", "870 us"; "4 s", "3 h 12
 * min". */
enum { AMOUNT_MAX = 24 };
const char *amount_count(double n, char out[AMOUNT_MAX]);
const char *amount_us(double us, char out[AMOUNT_MAX]);
const char *amount_seconds(double s, char out[AMOUNT_MAX]);

#endif
