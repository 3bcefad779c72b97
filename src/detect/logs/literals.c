#include "detect/logs/literals.h"

enum { DEPTH_MOST = 16 };

struct reading {
    const char *p, *end;
    uint32_t depth;
    bool odd; /* something that is not understood */
};

static bool more(const struct reading *r)
{
    return !r->odd && r->p < r->end;
}

static bool next_is(const struct reading *r, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(r->end - r->p) >= n && memcmp(r->p, text, n) == 0;
}

static uint32_t shortest(const struct literals *l)
{
    uint32_t n = l->n ? LITERAL_MOST : 0;
    for (uint32_t i = 0; i < l->n; i++)
        n = MIN(n, l->all[i].n);
    return n;
}

/* Longer texts are rarer; of equal ones the fewer. */
static void keep_better(struct literals *best, const struct literals *other)
{
    uint32_t a = shortest(best), b = shortest(other);
    if (b > a || (b == a && other->n < best->n))
        *best = *other;
}

/* A branch of a pattern while it is read: the run of bytes that ends here, and the best so far. */
struct branch {
    struct literal run;
    struct literals best;
};

static void end_run(struct branch *b)
{
    struct literals l = {.n = 1, .all = {b->run}};
    if (b->run.n >= LITERAL_LEAST)
        keep_better(&b->best, &l);
    b->run.n = 0;
}

static void add_byte(struct branch *b, char c)
{
    if (b->run.n == LITERAL_MOST)
        end_run(b);
    b->run.p[b->run.n++] = literal_fold(c);
}

/* ---- what may follow an atom ---- */

enum times { ONCE, REPEATED, OPTIONAL };

/* {n}, {n,} or {n,m}. What else a brace may mean differs between releases. */
static enum times braces(struct reading *r)
{
    const char *p = r->p + 1;
    bool zero = true, digits = false;
    for (; p < r->end && *p >= '0' && *p <= '9'; p++) {
        digits = true;
        zero &= *p == '0';
    }
    if (digits && p < r->end && *p == ',')
        for (p++; p < r->end && *p >= '0' && *p <= '9';)
            p++;
    if (!digits || p == r->end || *p != '}') {
        r->odd = true;
        return ONCE;
    }
    r->p = p + 1;
    return zero ? OPTIONAL : REPEATED;
}

static enum times quantifier(struct reading *r)
{
    enum times t = ONCE;
    if (!more(r))
        return t;
    if (*r->p == '{')
        t = braces(r);
    else if (*r->p == '?' || *r->p == '*' || *r->p == '+')
        t = *r->p++ == '+' ? REPEATED : OPTIONAL;
    if (t != ONCE && more(r) && (*r->p == '?' || *r->p == '+'))
        r->p++;
    return t;
}

/* ---- atoms ---- */

static void byte(struct reading *r, struct branch *b, char c)
{
    enum times t = quantifier(r);
    if (t == OPTIONAL) {
        end_run(b);
        return;
    }
    add_byte(b, c);
    if (t == REPEATED)
        end_run(b);
}

static void any_byte(struct reading *r, struct branch *b)
{
    end_run(b);
    quantifier(r);
}

static void escape(struct reading *r, struct branch *b)
{
    r->p++;
    char c = 0;
    if (more(r))
        c = *r->p++;
    if (c && strchr("dDwWsShHvVbBAzZG", c))
        any_byte(r, b);
    else if (c == 't')
        byte(r, b, '\t');
    else if (c > ' ' && c < 127 && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c))
        byte(r, b, c);
    else
        r->odd = true;
}

static void class_of_bytes(struct reading *r, struct branch *b)
{
    r->p++;
    if (more(r) && *r->p == '^')
        r->p++;
    if (more(r) && *r->p == ']')
        r->p++;
    while (more(r) && *r->p != ']') {
        if (*r->p == '[') /* [:alpha:], or itself: not told apart here */
            r->odd = true;
        else if (*r->p == '\\' && r->p + 1 < r->end && strchr("QEN", r->p[1]))
            r->odd = true;
        if (*r->p == '\\')
            r->p++;
        if (more(r))
            r->p++;
    }
    if (more(r))
        r->p++;
    else
        r->odd = true;
    any_byte(r, b);
}

static struct literals alternatives(struct reading *r);

static void group(struct reading *r, struct branch *b)
{
    end_run(b);
    if (next_is(r, "(?i)")) {
        r->p += 4;
        return;
    }
    r->p += next_is(r, "(?:") ? 3 : 1;
    if (!more(r) || *r->p == '?' || *r->p == '*' || r->depth == DEPTH_MOST) {
        r->odd = true;
        return;
    }
    r->depth++;
    struct literals inside = alternatives(r);
    r->depth--;
    if (!more(r)) {
        r->odd = true;
        return;
    }
    r->p++;
    if (quantifier(r) != OPTIONAL)
        keep_better(&b->best, &inside);
}

static void atom(struct reading *r, struct branch *b)
{
    switch (*r->p) {
    case '(': group(r, b); break;
    case '[': class_of_bytes(r, b); break;
    case '\\': escape(r, b); break;
    case '.':
    case '^':
    case '$':
        r->p++;
        any_byte(r, b);
        break;
    default: byte(r, b, *r->p++); break;
    }
}

static struct literals sequence(struct reading *r)
{
    struct branch b = {0};
    while (more(r) && *r->p != '|' && *r->p != ')')
        atom(r, &b);
    end_run(&b);
    return b.best;
}

static void unite(struct literals *all, const struct literals *one)
{
    if (one->n == 0 || all->n + one->n > LITERALS_MOST) {
        all->n = 0;
        return;
    }
    memcpy(all->all + all->n, one->all, one->n * sizeof *one->all);
    all->n += one->n;
}

static struct literals alternatives(struct reading *r)
{
    struct literals all = sequence(r);
    bool known = all.n;
    while (more(r) && *r->p == '|') {
        r->p++;
        struct literals one = sequence(r);
        if (known)
            unite(&all, &one);
        known = all.n;
    }
    return all;
}

struct literals literals_of(struct str pattern)
{
    struct reading r = {pattern.p, pattern.p + pattern.n, 0, false};
    struct literals l = alternatives(&r);
    if (r.odd || r.p != r.end) /* a parenthesis too many, as well */
        l.n = 0;
    return l;
}
