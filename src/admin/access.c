#include "admin/access.h"

enum { PASSWD_MAX = 1024 * 1024 };

/* Ports change with every connection. */
static bool same_address(const struct addr *a, const struct addr *b)
{
    return a->kind == b->kind && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool over(const struct attempts *t, uint64_t now)
{
    return t->since == 0 || now - t->since >= ACCESS_WINDOW;
}

bool access_barred(const struct access *a, const struct addr *from, uint64_t now)
{
    for (size_t i = 0; i < ACCESS_ADDRESSES; i++) {
        const struct attempts *t = &a->list[i];
        if (!over(t, now) && t->refused >= ACCESS_TRIES && same_address(&t->from, from))
            return true;
    }
    return false;
}

bool access_refused(struct access *a, const struct addr *from, uint64_t now)
{
    struct attempts *t = NULL, *oldest = &a->list[0];
    for (size_t i = 0; i < ACCESS_ADDRESSES && !t; i++) {
        if (a->list[i].since && same_address(&a->list[i].from, from))
            t = &a->list[i];
        if (a->list[i].since < oldest->since)
            oldest = &a->list[i];
    }
    if (!t || over(t, now)) {
        t = t ? t : oldest;
        *t = (struct attempts){.from = *from, .since = MAX(now, UINT64_C(1))};
    }
    if (++t->refused != ACCESS_TRIES)
        return false;
    t->since = now; /* from here on it is refused unheard */
    return true;
}

const struct view_token *access_token(const struct view *v, struct str authorization)
{
    static const struct str scheme = {"Bearer ", 7};
    uint8_t digest[DIGEST_BYTES];
    const struct view_token *found = NULL;
    struct str start = {authorization.p, MIN(authorization.n, scheme.n)};
    if (!v || !str_eq_nocase(start, scheme))
        return NULL;
    struct str secret =
        str_trim((struct str){authorization.p + scheme.n, authorization.n - scheme.n});
    if (secret.n == 0 || !digest_sha256(secret, digest))
        return NULL;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (digest_same(v->tokens[i].digest, digest))
            found = &v->tokens[i];
    return found;
}

void access_rights_text(uint32_t rights, struct buf *out)
{
    const char *before = "";
    for (unsigned i = 0; i < RIGHTS; i++)
        if (rights >> i & 1) {
            buf_printf(out, "%s%s", before, view_right_name(i));
            before = ", ";
        }
    if (!*before)
        buf_printf(out, "none");
}

/* The field before the next colon; *rest is what follows it. */
static struct str field(struct str *rest)
{
    const char *end = rest->n ? memchr(rest->p, ':', rest->n) : NULL;
    struct str f = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    rest->p += f.n + (end != NULL);
    rest->n -= f.n + (end != NULL);
    return f;
}

/* NAME:PASSWORD:UID:... */
static bool is_line_of(struct str line, unsigned uid, struct str *name)
{
    uint64_t number;
    *name = field(&line);
    field(&line);
    return str_u64(field(&line), UINT32_MAX, &number) && number == uid && name->n;
}

bool access_user_name(unsigned uid, char *out, size_t size)
{
    struct buf text = {0};
    struct str name, rest;
    bool found = false;
    if (file_read("/etc/passwd", PASSWD_MAX, &text, NULL) == 0)
        for (rest = buf_str(&text); rest.n && !found;) {
            const char *end = memchr(rest.p, '\n', rest.n);
            size_t n = end ? (size_t)(end - rest.p) : rest.n;
            found = is_line_of((struct str){rest.p, n}, uid, &name);
            rest.p += MIN(n + 1, rest.n);
            rest.n -= MIN(n + 1, rest.n);
        }
    for (size_t i = 0; found && i < name.n; i++)
        found = (unsigned char)name.p[i] > 0x20 && (unsigned char)name.p[i] < 0x7f;
    if (found)
        str_copy(out, size, name);
    buf_free(&text);
    return found;
}
