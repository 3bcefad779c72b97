#include "wire/beat.h"

const char *beat_result_text(enum beat_result r)
{
    static const char *const texts[BEAT_LINE_RESULTS] = {
        [BEAT_LINE_OK] = "ok",
        [BEAT_LINE_LONG] = "the line is longer than 1024 bytes",
        [BEAT_LINE_NAME] = "write NAME [TOKEN] [ok | failed TEXT]",
        [BEAT_LINE_TOKEN] = "a token has 16 to 256 visible characters",
        [BEAT_LINE_WORD] = "behind the name and its token stands ok or failed TEXT",
        [BEAT_LINE_TEXT] = "the text has control characters",
    };
    CHECK((unsigned)r < BEAT_LINE_RESULTS);
    return texts[r];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word, empty at the end; *rest is what follows it. */
static struct str word(struct str *rest)
{
    struct str s = str_trim(*rest);
    size_t n = 0;
    while (n < s.n && !is_blank(s.p[n]))
        n++;
    *rest = (struct str){s.p + n, s.n - n};
    return (struct str){s.p, n};
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > BEAT_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static bool is_token(struct str s)
{
    if (s.n < BEAT_TOKEN_MIN || s.n > BEAT_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static struct str without_end(struct str s)
{
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

static bool says(struct str w, struct beat_line *out)
{
    out->failed = str_eq(w, STR("failed"));
    return out->failed || str_eq(w, STR("ok"));
}

enum beat_result beat_read(struct str line, struct beat_line *out)
{
    struct beat_line l = {.token = STR(""), .text = STR("")};
    if (line.n == 0)
        return BEAT_LINE_NAME;
    if (line.n > BEAT_LINE_MAX)
        return BEAT_LINE_LONG;
    struct str rest = without_end(line);
    l.name = word(&rest);
    if (!is_name(l.name))
        return BEAT_LINE_NAME;
    struct str next = word(&rest);
    if (next.n && !says(next, &l)) {
        if (!is_token(next))
            return BEAT_LINE_TOKEN;
        l.token = next;
        next = word(&rest);
        if (next.n && !says(next, &l))
            return BEAT_LINE_WORD;
    }
    l.text = str_trim(rest);
    if (l.text.n && !l.failed)
        return BEAT_LINE_WORD;
    if (!is_text(l.text))
        return BEAT_LINE_TEXT;
    *out = l;
    return BEAT_LINE_OK;
}
