#include "detect/logs/error_words.h"

/* How they begin; with a blank at the end, the whole word. */
static const char *const beginnings[] = {
    "abort",       "alert ",      "assert",  "bug ",     "broken",  "corrupt",   "crash",
    "crit ",       "critical",    "denied",  "deadlock", "emerg",   "err ",      "error",
    "exception",   "exhausted",   "fail",    "fatal",    "hung",    "invalid",   "killed",
    "lost",        "oom",         "oops",    "overflow", "panic",   "refused",   "reject",
    "segfault",    "severe",      "sigsegv", "stuck",    "timeout", "traceback", "unable",
    "unavailable", "unreachable", "violat",  "cannot",   "can't",
};
/* Somewhere in the line, where no one word says it. */
static const char *const phrases[] = {"out of memory", "no space left", "timed out",
                                      "read-only file"};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool letter(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || c == '\'';
}

static bool begins(struct str s, const char *with)
{
    size_t i = 0;
    for (; with[i] && with[i] != ' '; i++)
        if (i >= s.n || lower(s.p[i]) != with[i])
            return false;
    return with[i] != ' ' || i == s.n || !letter(s.p[i]);
}

/* What stands before the word at `at`, takes it back: "0 errors", "no error", "without failure". */
static bool denied(struct str line, size_t at)
{
    static const char *const no[] = {"no", "not", "without", "0", "zero", "any"};
    size_t to = at;
    while (to && line.p[to - 1] == ' ')
        to--;
    size_t from = to;
    while (from && line.p[from - 1] != ' ')
        from--;
    for (uint32_t i = 0; i < ARRAY_LEN(no); i++)
        if (str_eq_nocase((struct str){line.p + from, to - from}, str_of(no[i])))
            return true;
    return false;
}

/* A count of them, and it is zero: "errors: 0", "errors=0". */
static bool zero_of(struct str line, size_t at)
{
    while (at < line.n && letter(line.p[at]))
        at++;
    size_t after = at;
    while (after < line.n && (line.p[after] == ':' || line.p[after] == '=' || line.p[after] == ' '))
        after++;
    bool zero = after > at && after < line.n && line.p[after] == '0';
    return zero && (after + 1 == line.n || strchr(" ,;)]", line.p[after + 1]));
}

static bool is_phrase(struct str rest)
{
    for (uint32_t i = 0; i < ARRAY_LEN(phrases); i++) {
        struct str phrase = str_of(phrases[i]);
        if (rest.n >= phrase.n && str_eq_nocase((struct str){rest.p, phrase.n}, phrase))
            return true;
    }
    return false;
}

static bool speaks(struct str line, size_t at)
{
    struct str rest = {line.p + at, line.n - at};
    for (uint32_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (begins(rest, beginnings[i]))
            return !denied(line, at) && !zero_of(line, at);
    return is_phrase(rest);
}

/* A word, or one of those in "NullPointerException". */
static bool word_begins(struct str line, size_t at)
{
    char c = line.p[at], before = at ? line.p[at - 1] : ' ';
    bool hump = c >= 'A' && c <= 'Z' && before >= 'a' && before <= 'z';
    return letter(c) && (!letter(before) || hump);
}

bool error_words(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (word_begins(line, i) && speaks(line, i))
            return true;
    return false;
}
