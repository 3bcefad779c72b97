/* Source files: read once, kept in memory for as long as places may point into them. */
#include "conf/tree.h"

/* Bytes of the UTF-8 sequence at p, 0 when it is none (RFC 3629: no surrogates, no overlong forms,
 * nothing above U+10FFFF). */
static size_t sequence(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    bool control = p[0] == 0xc2 && p[1] < 0xa0; /* U+0080 to U+009F drive terminals too */
    return overlong || outside || control ? 0 : n;
}

size_t conf_text_valid(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return i;
        size_t n = sequence((const unsigned char *)s.p + i, s.n - i);
        if (n == 0)
            return i;
        i += n;
    }
    return s.n;
}

struct str conf_path_beside(struct conf *c, uint32_t file, struct str path)
{
    struct str base = c->sources[file].path;
    while (base.n && base.p[base.n - 1] != '/')
        base.n--;
    if (path.n && path.p[0] == '/')
        base.n = 0;
    char *p = arena_alloc(&c->arena, base.n + path.n + 1);
    if (!p) {
        c->nomem = true;
        return (struct str){NULL, 0};
    }
    memcpy(p, base.p, base.n);
    if (path.n)
        memcpy(p + base.n, path.p, path.n);
    return (struct str){p, base.n + path.n};
}

const struct conf_env *conf_env_at(const struct conf *c, const struct place *at)
{
    return at->file < c->n_sources ? c->sources[at->file].env : c->env;
}

static bool grow(struct conf *c)
{
    if (c->n_sources < c->cap_sources)
        return true;
    uint32_t cap = c->cap_sources ? c->cap_sources * 2 : 8;
    struct source *more = arena_array(&c->arena, cap, sizeof *more);
    if (!more) {
        c->nomem = true;
        return false;
    }
    if (c->n_sources)
        memcpy(more, c->sources, c->n_sources * sizeof *more);
    c->sources = more;
    c->cap_sources = cap;
    return true;
}

/* What is no text is cut where it stops being one, so that the problem can show its line. */
static void check_text(struct conf *c, uint32_t file)
{
    struct source *s = &c->sources[file];
    size_t bad = conf_text_valid(s->text);
    if (bad == s->text.n)
        return;
    unsigned byte = (unsigned char)s->text.p[bad];
    s->text.n = bad;
    s->unreadable = true;
    struct place at = {file, (uint32_t)bad, 1};
    conf_complain(c, &at, "a configuration is UTF-8 text without control characters",
                  "byte 0x%02x does not belong here", byte);
}

static int add(struct conf *c, struct str path, const struct buf *bytes, const struct place *from)
{
    struct str text = arena_str(&c->arena, buf_str(bytes));
    struct str name = arena_str(&c->arena, path);
    if (!text.p || !name.p) {
        c->nomem = true;
        return -1;
    }
    if (str_starts(text, STR("\xef\xbb\xbf"))) { /* a byte order mark is no content */
        text.p += 3;
        text.n -= 3;
    }
    uint32_t depth = from ? c->sources[from->file].depth + 1 : 0;
    c->sources[c->n_sources] = (struct source){
        name,  text, from ? conf_env_at(c, from) : c->env, from ? (int32_t)from->file : -1,
        depth, false};
    c->total += bytes->n;
    check_text(c, c->n_sources);
    return (int)c->n_sources++;
}

int conf_source_read(struct conf *c, struct str path, const struct place *from, struct err *e)
{
    struct err why = {0};
    struct buf bytes = {0};
    int index = -1;
    if (from && (c->n_sources == CONF_MAX_FILES || c->total > CONF_MAX_TOTAL)) {
        if (!c->too_large)
            conf_complain(c, from, "", "more than %d files or %d MiB are included", CONF_MAX_FILES,
                          CONF_MAX_TOTAL >> 20);
        c->too_large = true;
        return -1;
    }
    if (!grow(c))
        return -1;
    const struct conf_env *env = from ? conf_env_at(c, from) : c->env;
    int rc = env->read(env->self, path.p, CONF_MAX_FILE, &bytes, &why);
    if (rc == -ERR_NOMEM)
        c->nomem = true;
    else if (rc && from)
        conf_complain(c, from, "", "%s", why.text);
    else if (rc)
        err_set(e, (enum err_code) - rc, "%s", why.text);
    else
        index = add(c, path, &bytes, from);
    buf_free(&bytes);
    return index;
}
