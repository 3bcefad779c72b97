#include "cli/problem.h"

#include "cli/json.h"
#include "conf/conf.h"
#include "os/os.h"

static bool find_line(struct str text, uint32_t line, struct str *out)
{
    const char *p = text.p, *end = text.p + text.n;
    for (uint32_t i = 1; p < end; i++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        if (i == line) {
            *out = (struct str){p, n > 0 && p[n - 1] == '\r' ? n - 1 : n};
            return true;
        }
        p += n + 1;
    }
    return false;
}

/* The line in an arena; empty when it cannot be had. */
static const char *source_of(struct arena *a, const char *file, uint32_t line)
{
    struct buf text = {0};
    struct str found;
    const char *kept = NULL;
    if (file_read(file, CONF_MAX_FILE, &text, NULL) == 0 && find_line(buf_str(&text), line, &found))
        kept = arena_cstr(a, found);
    buf_free(&text);
    return kept ? kept : "";
}

void problems_print(const json_t *problems, bool colour, struct buf *out)
{
    struct arena arena = {0};
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *one = json_array_get(problems, i);
        bool warning = strcmp(json_text(one, "severity"), "warning") == 0;
        struct conf_problem p = {
            .file = json_text(one, "file"),
            .line = json_count(one, "line"),
            .column = json_count(one, "column"),
            .width = MAX(json_count(one, "width"), 1u),
            .severity = warning ? CONF_WARNING : CONF_ERROR,
            .text = json_text(one, "text"),
            .hint = json_text(one, "hint"),
        };
        p.source = source_of(&arena, p.file, p.line);
        conf_problem_print(&p, colour, out);
    }
    arena_free(&arena);
}
