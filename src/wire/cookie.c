#include "wire/cookie.h"

#include "wire/http1_class.h"
#include "wire/http1_field.h"
#include "wire/http1_out.h"

/* Up to the next ';', without the blanks around it; false at the end. */
static bool next_piece(struct str *rest, struct str *piece)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, ';', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *piece = str_trim((struct str){rest->p, n});
    n += end != NULL;
    *rest = (struct str){rest->p + n, rest->n - n};
    return true;
}

static struct str unquoted(struct str v)
{
    bool quoted = v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"';
    return quoted ? (struct str){v.p + 1, v.n - 2} : v;
}

static bool split(struct str piece, struct cookie *out)
{
    const char *equals = piece.n ? memchr(piece.p, '=', piece.n) : NULL;
    if (!equals)
        return false;
    size_t n = (size_t)(equals - piece.p);
    out->name = str_trim((struct str){piece.p, n});
    out->value = unquoted(str_trim((struct str){equals + 1, piece.n - n - 1}));
    return out->name.n > 0;
}

bool cookie_next(struct str *rest, struct cookie *out)
{
    struct str piece;
    while (next_piece(rest, &piece))
        if (split(piece, out))
            return true;
    return false;
}

bool cookie_find(const struct http_head *h, struct str name, struct str *value)
{
    if (!(h->present & FIELD_BIT(HTTP_FIELD_COOKIE)))
        return false;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].field != HTTP_FIELD_COOKIE)
            continue;
        struct str rest = h->headers[i].value;
        struct cookie c;
        while (cookie_next(&rest, &c))
            if (str_eq(c.name, name)) {
                *value = c.value;
                return true;
            }
    }
    return false;
}

bool set_cookie_split(struct str field, struct cookie *out)
{
    struct str piece;
    return next_piece(&field, &piece) && split(piece, out);
}

bool set_cookie_find(const struct http_head *h, struct str name, struct str *value)
{
    if (!(h->present & FIELD_BIT(HTTP_FIELD_SET_COOKIE)))
        return false;
    for (uint32_t i = h->n_headers; i-- > 0;) {
        struct cookie c;
        if (h->headers[i].field == HTTP_FIELD_SET_COOKIE &&
            set_cookie_split(h->headers[i].value, &c) && str_eq(c.name, name)) {
            *value = c.value;
            return true;
        }
    }
    return false;
}

/* --- writing --- */

/* cookie-octet: neither controls and blanks nor '"', ',', ';' and '\' (4.1.1). */
static bool is_octet(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

const char *set_cookie_wrong(const struct set_cookie *c)
{
    if (!http1_is_token(c->name))
        return "A cookie's name is made of letters, digits and !#$%&'*+-.^_`|~.";
    for (size_t i = 0; i < c->value.n; i++)
        if (!is_octet(c->value.p[i]))
            return "A cookie's value holds no blanks, controls, quotes, commas, semicolons and "
                   "backslashes.";
    for (size_t i = 0; i < c->path.n; i++)
        if (c->path.p[i] < 0x20 || c->path.p[i] >= 0x7f || c->path.p[i] == ';')
            return "A cookie's path holds no controls and semicolons.";
    if (c->path.n && c->path.p[0] != '/')
        return "A cookie's path begins with '/'.";
    if (c->same_site == COOKIE_SAME_SITE_NONE && !c->secure)
        return "A cookie with SameSite=None must be secure, or browsers drop it.";
    return NULL;
}

static void put_same_site(struct out *o, enum cookie_same_site s)
{
    switch (s) {
    case COOKIE_SAME_SITE_UNSAID: return;
    case COOKIE_SAME_SITE_LAX: PUT(o, "; SameSite=Lax"); return;
    case COOKIE_SAME_SITE_STRICT: PUT(o, "; SameSite=Strict"); return;
    case COOKIE_SAME_SITE_NONE: PUT(o, "; SameSite=None"); return;
    }
}

size_t set_cookie_write(const struct set_cookie *c, char *to, size_t size)
{
    struct out o = {to, to + size, false};
    if (set_cookie_wrong(c))
        return 0;
    put_view(&o, c->name);
    PUT(&o, "=");
    put_view(&o, c->value);
    if (c->path.n) {
        PUT(&o, "; Path=");
        put_view(&o, c->path);
    }
    if (c->max_age >= 0) {
        PUT(&o, "; Max-Age=");
        http1_put_number(&o, (uint64_t)c->max_age);
    }
    if (c->http_only)
        PUT(&o, "; HttpOnly");
    if (c->secure)
        PUT(&o, "; Secure");
    put_same_site(&o, (enum cookie_same_site)c->same_site);
    return put_length(&o, to);
}
