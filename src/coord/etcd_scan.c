#include "coord/etcd_scan.h"

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Behind the string that begins at p, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
    if (p == end || *p++ != '"')
        return NULL;
    for (; p < end && *p != '"'; p++) {
        if ((uint8_t)*p < 0x20)
            return NULL;
        if (*p == '\\' && ++p == end)
            return NULL;
    }
    return p < end ? p + 1 : NULL;
}

static const char *skip_word(const char *p, const char *end, struct str word)
{
    struct str rest = {p, (size_t)(end - p)};
    return str_starts(rest, word) ? p + word.n : NULL;
}

static const char *skip_number(const char *p, const char *end)
{
    const char *begin = p;
    while (p < end && *p && strchr("+-.0123456789Ee", *p))
        p++;
    return p > begin ? p : NULL;
}

static const char *skip_value(const char *p, const char *end, int depth);

/* "name": */
static const char *skip_name(const char *p, const char *end)
{
    p = skip_string(p, end);
    p = p ? skip_blanks(p, end) : NULL;
    return p && p < end && *p == ':' ? skip_blanks(p + 1, end) : NULL;
}

/* Behind the object or array that begins at p, or NULL. */
static const char *skip_list(const char *p, const char *end, int depth)
{
    bool object = *p == '{';
    char close = object ? '}' : ']';
    p = skip_blanks(p + 1, end);
    if (p < end && *p == close)
        return p + 1;
    while (p) {
        p = object ? skip_name(p, end) : p;
        p = p ? skip_value(p, end, depth + 1) : NULL;
        p = p ? skip_blanks(p, end) : NULL;
        if (!p || p == end)
            return NULL;
        if (*p == close)
            return p + 1;
        p = *p == ',' ? skip_blanks(p + 1, end) : NULL;
    }
    return NULL;
}

static const char *skip_value(const char *p, const char *end, int depth)
{
    if (p == end || depth > SCAN_DEPTH)
        return NULL;
    switch (*p) {
    case '{':
    case '[': return skip_list(p, end, depth);
    case '"': return skip_string(p, end);
    case 't': return skip_word(p, end, STR("true"));
    case 'f': return skip_word(p, end, STR("false"));
    case 'n': return skip_word(p, end, STR("null"));
    default: return skip_number(p, end);
    }
}

bool scan_value(struct str text, bool more, struct str *out)
{
    if (!text.n)
        return false;
    const char *end = text.p + text.n;
    const char *begin = skip_blanks(text.p, end);
    const char *behind = skip_value(begin, end, 0);
    if (!behind || (!more && skip_blanks(behind, end) != end))
        return false;
    *out = (struct str){begin, (size_t)(behind - begin)};
    return true;
}

bool scan_is_object(struct str value)
{
    return value.n && value.p[0] == '{';
}

bool scan_is_array(struct str value)
{
    return value.n && value.p[0] == '[';
}

bool scan_is_true(struct str value)
{
    return str_eq(value, STR("true"));
}

bool scan_string(struct str value, struct str *out)
{
    if (value.n < 2 || value.p[0] != '"')
        return false;
    *out = (struct str){value.p + 1, value.n - 2};
    return true;
}

/* The next part of a list: p is at its first sign, or behind the part before. NULL: that was
 * all. */
static const char *next_part(const char *list, const char *p, const char *end)
{
    if (p != list) {
        p = skip_blanks(p, end);
        if (p == end || *p != ',')
            return NULL;
    }
    p = skip_blanks(p + 1, end);
    return p < end && *p != '}' && *p != ']' ? p : NULL;
}

struct str scan_get(struct str object, const char *name)
{
    struct str found = {0}, wanted = str_of(name);
    if (!scan_is_object(object))
        return found;
    const char *end = object.p + object.n;
    for (const char *p = next_part(object.p, object.p, end); p;) {
        const char *name_end = skip_string(p, end);
        const char *value = skip_name(p, end);
        const char *behind = value ? skip_value(value, end, 0) : NULL;
        CHECK(name_end && behind);
        if (str_eq((struct str){p + 1, (size_t)(name_end - p) - 2}, wanted))
            found = (struct str){value, (size_t)(behind - value)};
        p = next_part(object.p, behind, end);
    }
    return found;
}

bool scan_next(struct str array, struct str *at)
{
    if (!scan_is_array(array))
        return false;
    const char *end = array.p + array.n;
    const char *p = next_part(array.p, at->p ? at->p + at->n : array.p, end);
    if (!p)
        return false;
    const char *behind = skip_value(p, end, 0);
    CHECK(behind);
    *at = (struct str){p, (size_t)(behind - p)};
    return true;
}

uint32_t scan_count(struct str array)
{
    struct str at = {0};
    uint32_t n = 0;
    while (scan_next(array, &at))
        n++;
    return n;
}

void scan_text(struct str value, char *out, size_t size)
{
    struct str text = {0};
    size_t n = 0;
    (void)scan_string(value, &text);
    for (size_t i = 0; i < text.n && n + 1 < size; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c == '\\' && i + 1 < text.n) {
            c = (uint8_t)text.p[++i];
            if (c == 'u')
                i += MIN((size_t)4, text.n - i - 1);
            c = c == '"' || c == '\\' || c == '/' ? c : c == 'u' ? '?' : ' ';
        }
        out[n++] = (char)(c < ' ' ? ' ' : c < 0x7f ? c : '?');
    }
    if (size)
        out[n] = 0;
}
