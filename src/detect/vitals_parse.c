#include "detect/vitals_parse.h"

#include <string.h>

/* The next word of the line; empty at its end. */
static struct str word(struct str *line)
{
    size_t from = 0, to;
    while (from < line->n && (line->p[from] == ' ' || line->p[from] == '\t'))
        from++;
    to = from;
    while (to < line->n && line->p[to] != ' ' && line->p[to] != '\t')
        to++;
    struct str w = {line->p + from, to - from};
    *line = (struct str){line->p + to, line->n - to};
    return w;
}

/* False: there is none any more. */
static bool next_line(struct str *text, struct str *line)
{
    if (text->n == 0)
        return false;
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n, skip = end ? n + 1 : n;
    *line = (struct str){text->p, n};
    *text = (struct str){text->p + skip, text->n - skip};
    return true;
}

static bool number(struct str *line, uint64_t *out)
{
    return str_u64(word(line), UINT64_MAX, out);
}

bool parse_pressure(struct str text, uint64_t *some, uint64_t *full)
{
    bool has_some = false, has_full = false;
    for (struct str line; next_line(&text, &line);) {
        struct str kind = word(&line), w;
        uint64_t total;
        while ((w = word(&line)).n && !str_starts(w, STR("total=")))
            ;
        if (w.n < 7 || !str_u64((struct str){w.p + 6, w.n - 6}, UINT64_MAX, &total))
            continue;
        if (str_eq(kind, STR("some"))) {
            *some = total;
            has_some = true;
        } else if (str_eq(kind, STR("full")) && full) {
            *full = total;
            has_full = true;
        }
    }
    return has_some && (has_full || !full);
}

bool parse_loadavg(struct str text, uint64_t *running, uint64_t *tasks)
{
    struct str line;
    if (!next_line(&text, &line))
        return false;
    for (int i = 0; i < 3; i++)
        word(&line);
    struct str w = word(&line);
    const char *slash = memchr(w.p, '/', w.n);
    if (!slash)
        return false;
    size_t n = (size_t)(slash - w.p);
    return str_u64((struct str){w.p, n}, UINT64_MAX, running) &&
           str_u64((struct str){slash + 1, w.n - n - 1}, UINT64_MAX, tasks);
}

bool parse_field(struct str text, struct str name, uint64_t *value)
{
    for (struct str line; next_line(&text, &line);)
        if (str_eq(word(&line), name))
            return number(&line, value);
    return false;
}

bool parse_number(struct str text, uint32_t n, uint64_t *value)
{
    struct str line;
    if (!next_line(&text, &line))
        return false;
    for (uint32_t i = 0; i < n; i++)
        word(&line);
    return number(&line, value);
}

/* face: bytes packets errs drop fifo frame compressed multicast, bytes packets errs drop fifo colls
 * carrier compressed. Received drops are mostly packets that nobody here wanted: not counted. */
static bool interface(struct str line, struct vitals_nic *n)
{
    const char *colon = memchr(line.p, ':', line.n);
    uint64_t v[16];
    if (!colon)
        return false;
    struct str left = {line.p, (size_t)(colon - line.p)}, name = word(&left);
    struct str right = {colon + 1, line.n - (size_t)(colon + 1 - line.p)};
    for (int i = 0; i < 16; i++)
        if (!number(&right, &v[i]))
            return false;
    *n = (struct vitals_nic){
        .counts = true, .packets = v[1] + v[9], .bad = v[2] + v[5] + v[10] + v[14]};
    return name.n > 0 && name.n < VITALS_NAME && str_copy(n->name, VITALS_NAME, name) == name.n;
}

uint32_t parse_interfaces(struct str text, struct vitals_nic *out, uint32_t room)
{
    uint32_t n = 0;
    for (struct str line; n < room && next_line(&text, &line);)
        n += interface(line, &out[n]);
    return n;
}

static bool is_whole(struct str name)
{
    static const char *const left_out[] = {"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (str_starts(name, str_of(left_out[i])))
            return false;
    char last = name.p[name.n - 1];
    bool digit = last >= '0' && last <= '9';
    /* sda1, vdb2; but nvme0n1 and mmcblk0 are whole, nvme0n1p1 is not. */
    if (str_starts(name, STR("nvme")) || str_starts(name, STR("mmcblk")))
        return !digit || !memchr(name.p, 'p', name.n);
    return !digit;
}

/* major minor name, reads merged sectors ms, writes merged sectors ms, ... */
static bool device(struct str line, struct vitals_device *d)
{
    uint64_t v[8], ignored;
    if (!number(&line, &ignored) || !number(&line, &ignored))
        return false;
    struct str name = word(&line);
    for (int i = 0; i < 8; i++)
        if (!number(&line, &v[i]))
            return false;
    *d = (struct vitals_device){.operations = v[0] + v[4], .ms = v[3] + v[7]};
    return name.n > 0 && is_whole(name) && str_copy(d->name, VITALS_NAME, name) == name.n;
}

uint32_t parse_devices(struct str text, struct vitals_device *out, uint32_t room)
{
    uint32_t n = 0;
    for (struct str line; n < room && next_line(&text, &line);)
        n += device(line, &out[n]);
    return n;
}

bool parse_open_files(struct str text, uint64_t *most)
{
    static const struct str title = {"Max open files", 14};
    for (struct str line; next_line(&text, &line);) {
        if (!str_starts(line, title))
            continue;
        struct str rest = {line.p + title.n, line.n - title.n}, soft = word(&rest);
        if (str_eq(soft, STR("unlimited"))) {
            *most = 0;
            return true;
        }
        return str_u64(soft, UINT64_MAX, most);
    }
    return false;
}
