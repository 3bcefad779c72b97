/* A value's text from what is written: escapes and "${NAME}" in it, or the whole of it from a
 * variable (env:NAME) or a file (file:PATH).
 *
 * What comes from outside the file is marked secret, and only its reference is ever shown. It is
 * data: never looked at for further references. */
#include "conf/tree.h"

enum { SHOWN = 60, NAME_MAX_BYTES = 128 };

struct str conf_clip(struct str s)
{
    if (s.n > SHOWN) {
        s.n = SHOWN;
        while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return s;
}

struct str conf_shown(const struct value *v)
{
    return conf_clip(v->raw);
}

static bool name_valid(struct str name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

static void outside_is_bad(struct conf *c, struct value *v)
{
    conf_complain(c, &v->place, "", "what '" STR_FMT "' refers to is not a line of UTF-8 text",
                  STR_ARG(conf_shown(v)));
    v->bad = true;
}

static void too_long(struct conf *c, struct value *v)
{
    conf_complain(c, &v->place, "", "a value of more than %d bytes", CONF_MAX_VALUE);
    v->bad = true;
}

/* Appends a variable's value. */
static void add_variable(struct conf *c, struct value *v, struct str name, struct buf *out)
{
    char terminated[NAME_MAX_BYTES + 1];
    v->secret = true;
    if (!name_valid(name)) {
        conf_complain(c, &v->place, "a name has letters, digits and '_'",
                      "this is not the name of an environment variable");
        v->bad = true;
        return;
    }
    str_copy(terminated, sizeof terminated, name);
    const char *p = c->env->variable(c->env->self, terminated);
    if (!p) {
        conf_complain(c, &v->place, "", "the environment variable %s is not set", terminated);
        v->bad = true;
        return;
    }
    if (strlen(p) > CONF_MAX_VALUE)
        too_long(c, v);
    else if (conf_text_valid(str_of(p)) != strlen(p) || strpbrk(p, "\r\n"))
        outside_is_bad(c, v);
    else
        buf_add_str(out, str_of(p));
}

static void add_file(struct conf *c, struct value *v, struct str path, struct buf *out)
{
    struct err why = {0};
    v->secret = true;
    v->bad = true; /* until it is read */
    struct str full = conf_path_beside(c, v->place.file, path);
    if (!full.p)
        return;
    const struct conf_env *env = conf_env_at(c, &v->place);
    int rc =
        (env->reference ? env->reference : env->read)(env->self, full.p, CONF_MAX_VALUE, out, &why);
    if (rc == -ERR_NOMEM) {
        c->nomem = true;
        return;
    }
    if (rc) {
        conf_complain(c, &v->place, "", "%s", why.text);
        return;
    }
    v->bad = false;
    if (out->n && out->p[out->n - 1] == '\n')
        out->n--;
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    struct str s = buf_str(out);
    if (conf_text_valid(s) != s.n || (s.n && (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n))))
        outside_is_bad(c, v);
}

/* The escape behind a backslash at raw.p[i]. */
static void add_escape(struct conf *c, struct value *v, size_t i, struct buf *out)
{
    static const char known[] = "\\\"nt$", means[] = "\\\"\n\t$";
    char letter = v->raw.p[i];
    const char *at = memchr(known, letter, sizeof known - 1);
    if (at) {
        buf_add(out, &means[at - known], 1);
        return;
    }
    struct place here = v->place;
    here.at += (uint32_t)i; /* of the backslash: the opening quote is not in raw */
    here.length = 2;
    conf_complain(c, &here, "known are \\\\ \\\" \\n \\t \\$", "unknown escape in a string");
    v->bad = true;
}

/* "${NAME}" at raw.p[i]; returns where it ends. */
static size_t add_reference(struct conf *c, struct value *v, size_t i, struct buf *out)
{
    struct str s = v->raw;
    const char *end = memchr(s.p + i, '}', s.n - i);
    if (!end) {
        conf_complain(c, &v->place, "write \"\\$\" for the character itself",
                      "'${' is not closed by a '}'");
        v->bad = true;
        return s.n;
    }
    size_t stop = (size_t)(end - s.p);
    add_variable(c, v, (struct str){s.p + i + 2, stop - i - 2}, out);
    return stop;
}

static void expand(struct conf *c, struct value *v, struct buf *out)
{
    struct str s = v->raw;
    for (size_t i = 0; i < s.n && !v->bad && out->n <= CONF_MAX_VALUE; i++) {
        if (v->kind == VALUE_STRING && s.p[i] == '\\' && i + 1 < s.n) {
            add_escape(c, v, ++i, out);
        } else if (s.p[i] == '$' && i + 1 < s.n && s.p[i + 1] == '{') {
            i = add_reference(c, v, i, out);
        } else {
            buf_add(out, s.p + i, 1);
        }
    }
}

static struct str after(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

/* Most values are what is written. */
static bool is_plain(const struct value *v)
{
    struct str s = v->raw;
    if (s.n == 0)
        return true;
    if (v->kind == VALUE_WORD && (str_starts(s, STR("env:")) || str_starts(s, STR("file:"))))
        return false;
    return s.n <= CONF_MAX_VALUE && !memchr(s.p, '$', s.n) && !memchr(s.p, '\\', s.n);
}

static void resolve_into(struct conf *c, struct value *v, struct buf *out)
{
    if (v->raw.n > 2 * CONF_MAX_VALUE)
        too_long(c, v);
    else if (v->kind == VALUE_WORD && str_starts(v->raw, STR("env:")))
        add_variable(c, v, after(v->raw, 4), out);
    else if (v->kind == VALUE_WORD && str_starts(v->raw, STR("file:")))
        add_file(c, v, after(v->raw, 5), out);
    else
        expand(c, v, out);
    if (out->n > CONF_MAX_VALUE && !v->bad)
        too_long(c, v);
}

/* The place of a file instead of what is in it. */
static void refer(struct conf *c, struct value *v)
{
    struct str path = after(v->raw, 5);
    v->refers = true;
    v->text = STR("");
    if (path.n == 0) {
        conf_complain(c, &v->place, "", "a path is missing behind 'file:'");
        v->bad = true;
        return;
    }
    struct str full = conf_path_beside(c, v->place.file, path);
    if (full.p)
        v->text = full;
    else
        v->bad = true;
}

void conf_resolve(struct conf *c, struct value *v, bool named)
{
    struct buf out = {0};
    if (named && v->kind == VALUE_WORD && str_starts(v->raw, STR("file:"))) {
        refer(c, v);
        return;
    }
    bool plain = is_plain(v);
    if (!plain)
        resolve_into(c, v, &out);
    v->text = v->bad ? STR("") : arena_str(&c->arena, plain ? v->raw : buf_str(&out));
    if (out.failed || !v->text.p) {
        c->nomem = true;
        v->bad = true;
        v->text = STR("");
    }
    buf_free(&out);
}

static bool refers_outside(const struct value *v)
{
    if (v->kind == VALUE_WORD &&
        (str_starts(v->raw, STR("env:")) || str_starts(v->raw, STR("file:"))))
        return true;
    return memmem(v->raw.p ? v->raw.p : "", v->raw.n, "${", 2) != NULL;
}

void conf_resolve_or_wait(struct conf *c, struct value *v, bool named)
{
    if (c->picks && refers_outside(v)) {
        v->later = true;
        v->named = named;
        v->text = STR("");
    } else {
        conf_resolve(c, v, named);
    }
}

void conf_resolve_now(struct conf *c, struct value *v)
{
    if (!v->later)
        return;
    v->later = false;
    conf_resolve(c, v, v->named);
}
