#include "wire/resp_frame.h"

enum { NUMBER_MAX = 20 };
#define PAYLOAD_MAX (UINT64_C(1) << 40)
#define VALUES_MAX  (UINT64_C(1) << 40)

/* "-1" is a number too: that of a null. */
static bool number_of(const char *p, size_t n, int64_t *out)
{
    bool minus = n > 0 && p[0] == '-';
    uint64_t v = 0;
    size_t i = minus;
    if (n == i || n - i > NUMBER_MAX - 2)
        return false;
    for (; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

/* How many values follow one of the types that hold others: as many as its number, or pairs; those
 * behind an attribute's are followed by what the attribute is of. */
static bool holds(char type, uint64_t n, uint64_t *values)
{
    switch (type) {
    case '*':
    case '~':
    case '>': *values = n; return true;
    case '%': *values = 2 * n; return true;
    case '|': *values = 2 * n + 1; return true;
    default: return false;
    }
}

static bool is_string(char type)
{
    return type == '$' || type == '=' || type == '!';
}

static bool is_line(char type)
{
    return type == '+' || type == '-' || type == ':' || type == '_' || type == '#' || type == ',' ||
           type == '(';
}

/* A whole line is in: what it says of bytes to come. False: it says nothing that can be. */
static bool line_done(struct resp_frame *f)
{
    char type = f->head[0];
    uint64_t values = 0;
    int64_t n;
    f->left--;
    if (is_line(type))
        return true;
    size_t digits = f->line - 1;
    if (digits > NUMBER_MAX + 1 || digits < 2 || f->head[digits] != '\r' ||
        !number_of(f->head + 1, digits - 1, &n) || n < -1)
        return false;
    if (is_string(type)) {
        f->skip = n < 0 ? 0 : (uint64_t)n + 2;
        return f->skip < PAYLOAD_MAX;
    }
    if (!holds(type, n < 0 ? 0 : (uint64_t)n, &values) || (uint64_t)n + 1 > VALUES_MAX)
        return false;
    f->left += values;
    return f->left < VALUES_MAX;
}

/* Takes bytes up to the line's end. True: it is whole; its line feed is not counted. */
static bool take_line(struct resp_frame *f, const char *p, size_t n, size_t *at)
{
    const char *end = memchr(p + *at, '\n', n - *at);
    size_t bytes = end ? (size_t)(end - p) - *at : n - *at;
    if (f->line < sizeof f->head)
        memcpy(f->head + f->line, p + *at, MIN(bytes, sizeof f->head - f->line));
    f->line = (uint32_t)MIN((uint64_t)f->line + bytes, UINT32_MAX);
    *at += bytes + (end != NULL);
    return end != NULL;
}

static int values(struct resp_frame *f, const char *p, size_t n, size_t *used)
{
    size_t at = *used;
    while (f->left || f->skip) {
        if (f->skip) {
            size_t some = (size_t)MIN(f->skip, (uint64_t)(n - at));
            f->skip -= some;
            at += some;
            if (f->skip)
                break;
            continue;
        }
        if (at == n)
            break;
        if (!take_line(f, p, n, &at))
            break;
        if (f->line == 0 || !line_done(f))
            return RESP_BAD;
        f->line = 0;
    }
    *used = at;
    return f->left || f->skip ? RESP_MORE : RESP_DONE;
}

int resp_frame_reply(struct resp_frame *f, const char *p, size_t n, size_t *used)
{
    *used = 0;
    if (n == 0)
        return RESP_MORE;
    if (resp_frame_between(f)) {
        *f = (struct resp_frame){.left = 1, .type = p[0]};
        uint64_t ignored;
        if (!is_line(p[0]) && !is_string(p[0]) && !holds(p[0], 0, &ignored))
            return RESP_BAD;
    }
    return values(f, p, n, used);
}

static int inline_command(struct resp_frame *f, const char *p, size_t n, size_t *used)
{
    size_t at = 0;
    bool whole = take_line(f, p, n, &at);
    for (size_t i = 0; f->empty && i < at; i++)
        f->empty = p[i] == ' ' || p[i] == '\r' || p[i] == '\n' || p[i] == '\t';
    *used = at;
    if (f->line > RESP_LINE_MAX)
        return RESP_BAD;
    if (whole)
        f->left = 0;
    return whole ? RESP_DONE : RESP_MORE;
}

int resp_frame_command(struct resp_frame *f, const char *p, size_t n, size_t *used)
{
    *used = 0;
    if (n == 0)
        return RESP_MORE;
    if (resp_frame_between(f)) {
        bool array = p[0] == '*';
        *f = (struct resp_frame){.left = 1, .type = array ? '*' : 0};
        f->inline_words = f->empty = !array;
    }
    if (f->inline_words)
        return inline_command(f, p, n, used);
    int r = values(f, p, n, used);
    if (r == RESP_DONE && f->head[0] == '*')
        f->empty = true; /* nothing came behind the array's own line */
    return r;
}

/* --- words --- */

static size_t inline_words(const char *p, size_t n, struct str *words, size_t most)
{
    const char *end = memchr(p, '\n', n);
    size_t found = 0, at = 0;
    n = end ? (size_t)(end - p) : n;
    while (found < most) {
        while (at < n && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r'))
            at++;
        size_t from = at;
        while (at < n && p[at] != ' ' && p[at] != '\t' && p[at] != '\r')
            at++;
        if (at == from || (at == n && !end))
            break;
        words[found++] = (struct str){p + from, at - from};
    }
    return found;
}

/* A line's number, behind its first byte; moves behind it. */
static bool head_number(const char *p, size_t n, size_t *at, char type, int64_t *out)
{
    const char *end = *at < n ? memchr(p + *at, '\n', n - *at) : NULL;
    if (!end || p[*at] != type || end - (p + *at) < 3 || end[-1] != '\r' ||
        !number_of(p + *at + 1, (size_t)(end - p) - *at - 2, out))
        return false;
    *at = (size_t)(end - p) + 1;
    return true;
}

size_t resp_words(const char *p, size_t n, struct str *words, size_t most)
{
    size_t found = 0, at = 0;
    int64_t count, bytes;
    if (n && p[0] != '*')
        return inline_words(p, n, words, most);
    if (!head_number(p, n, &at, '*', &count))
        return 0;
    while (found < most && (int64_t)found < count) {
        if (!head_number(p, n, &at, '$', &bytes) || bytes < 0 || (uint64_t)bytes > n - at)
            break;
        words[found++] = (struct str){p + at, (size_t)bytes};
        at += (size_t)bytes;
        if (n - at < 2)
            break;
        at += 2;
    }
    return found;
}
