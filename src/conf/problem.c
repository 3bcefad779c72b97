/* Problems: collected with their place, kept apart from the sources that they are about, printed.
 */
#include "conf/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_SHOWN = 160 }; /* bytes of a source line that are shown */

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static uint32_t characters(struct str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += !is_continuation(s.p[i]);
    return n;
}

struct spot {
    uint32_t line, column, width;
    struct str text; /* of the line */
};

static struct spot spot_of(struct str source, const struct place *at)
{
    struct spot spot = {.line = 1};
    size_t start = 0, pos = MIN(at->at, source.n);
    for (size_t i = 0; i < pos; i++) {
        if (source.p[i] == '\n') {
            spot.line++;
            start = i + 1;
        }
    }
    const char *end = source.n > start ? memchr(source.p + start, '\n', source.n - start) : NULL;
    size_t stop = end ? (size_t)(end - source.p) : source.n;
    if (stop > start && source.p[stop - 1] == '\r')
        stop--;
    spot.text = (struct str){source.p + start, stop - start};
    spot.column = characters((struct str){source.p + start, pos - start}) + 1;
    size_t width = stop > pos ? MIN(at->length, stop - pos) : 0;
    spot.width = MAX(characters((struct str){source.p + pos, width}), 1u);
    return spot;
}

/* Long lines are cut after a whole character; a place behind the cut gets no mark. */
static const char *shown_line(struct arena *a, struct str line)
{
    if (line.n > LINE_SHOWN) {
        line.n = LINE_SHOWN;
        while (line.n && is_continuation(line.p[line.n]))
            line.n--;
    }
    const char *p = arena_cstr(a, line);
    return p ? p : "";
}

__attribute__((format(printf, 3, 0))) static const char *vtext(struct conf *c, struct arena *a,
                                                               const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t length = n < 0 ? 0 : MIN((size_t)n, sizeof text - 1);
    if (n >= 0 && (size_t)n >= sizeof text) /* cut: not within a character */
        while (length && is_continuation(text[length - 1]))
            length--;
    const char *p = arena_cstr(a, (struct str){text, length});
    c->nomem |= !p;
    return p ? p : "";
}

const char *conf_text(struct conf *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *p = vtext(c, &c->arena, fmt, ap);
    va_end(ap);
    return p;
}

__attribute__((format(printf, 5, 0))) static void add(struct conf *c, enum conf_severity severity,
                                                      const struct place *at, const char *hint,
                                                      const char *fmt, va_list ap)
{
    struct conf_problems *p = c->problems;
    if (severity == CONF_ERROR)
        p->errors++;
    else
        p->warnings++;
    if (p->n == CONF_MAX_PROBLEMS)
        return;
    if (!p->list)
        p->list = arena_array(&p->arena, CONF_MAX_PROBLEMS, sizeof *p->list);
    if (!p->list) {
        c->nomem = true;
        return;
    }
    const struct source *s = &c->sources[at->file];
    struct spot spot = spot_of(s->text, at);
    const char *file = arena_cstr(&p->arena, s->path);
    const char *copy = arena_cstr(&p->arena, str_of(hint));
    c->nomem |= !file || !copy;
    p->list[p->n++] = (struct conf_problem){
        .file = file ? file : "",
        .order = at->file,
        .line = spot.line,
        .column = spot.column,
        .width = spot.width,
        .severity = (uint8_t)severity,
        .text = vtext(c, &p->arena, fmt, ap),
        .hint = copy ? copy : "",
        .source = shown_line(&p->arena, spot.text),
    };
}

void conf_complain(struct conf *c, const struct place *at, const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, CONF_ERROR, at, hint, fmt, ap);
    va_end(ap);
}

void conf_warn(struct conf *c, const struct place *at, const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, CONF_WARNING, at, hint, fmt, ap);
    va_end(ap);
}

const char *conf_where(struct conf *c, const struct place *at)
{
    const struct source *s = &c->sources[at->file];
    if (c->problems->n == CONF_MAX_PROBLEMS)
        return ""; /* nobody will read it */
    struct spot spot = spot_of(s->text, at);
    return conf_text(c, STR_FMT ":%u:%u", STR_ARG(s->path), spot.line, spot.column);
}

static bool is_later(const struct conf_problem *a, const struct conf_problem *b)
{
    if (a->order != b->order)
        return a->order > b->order;
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

/* Insertion: stable, and almost sorted already. */
void conf_problems_sort(struct conf_problems *p)
{
    for (uint32_t i = 1; i < p->n; i++) {
        struct conf_problem one = p->list[i];
        uint32_t k = i;
        for (; k > 0 && is_later(&p->list[k - 1], &one); k--)
            p->list[k] = p->list[k - 1];
        p->list[k] = one;
    }
}

void conf_problems_free(struct conf_problems *p)
{
    arena_free(&p->arena);
    *p = (struct conf_problems){0};
}

/* The line, and below it a mark. Tabs stay tabs, so that both lines are as wide. */
static void print_source(const struct conf_problem *p, const char *colour, const char *plain,
                         struct buf *out)
{
    struct str line = str_of(p->source);
    if (line.n == 0 || p->column > characters(line) + 1)
        return;
    buf_printf(out, "%5u | %s\n      | ", p->line, p->source);
    uint32_t column = 1;
    for (size_t i = 0; i < line.n && column < p->column; i++) {
        if (is_continuation(line.p[i]))
            continue;
        buf_add(out, line.p[i] == '\t' ? "\t" : " ", 1);
        column++;
    }
    buf_printf(out, "%s^", colour);
    for (uint32_t i = 1; i < p->width && column + i <= characters(line); i++)
        buf_add(out, "~", 1);
    buf_printf(out, "%s\n", plain);
}

void conf_problem_print(const struct conf_problem *p, bool colour, struct buf *out)
{
    bool error = p->severity == CONF_ERROR;
    const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";
    const char *mark = !colour ? "" : error ? "\033[1;31m" : "\033[1;35m";
    buf_printf(out, "%s%s:%u:%u:%s %s%s:%s %s", bold, p->file, p->line, p->column, plain, mark,
               error ? "error" : "warning", plain, p->text);
    if (*p->hint)
        buf_printf(out, "; %s", p->hint);
    buf_add(out, "\n", 1);
    print_source(p, mark, plain, out);
}

void conf_problems_print(const struct conf_problems *p, bool colour, struct buf *out)
{
    for (uint32_t i = 0; i < p->n; i++)
        conf_problem_print(&p->list[i], colour, out);
    uint32_t all = p->errors + p->warnings;
    if (all > p->n)
        buf_printf(out, "and %u more\n", all - p->n);
}
