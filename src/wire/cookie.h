/* cookie: cookies as bytes (RFC 6265). Pure: no allocation, no I/O; what is found points into the
 * caller's bytes.
 *
 * Reading is what browsers and servers in use agree on: pairs are cut at ';' whatever quotes say,
 * names are compared byte by byte, blanks around both are no part of them, and a value between two
 * double quotes is taken without them. Writing keeps to the strict grammar of section 4.1. */
#ifndef HF_COOKIE_H
#define HF_COOKIE_H

#include "base/base.h"

struct http_head;

struct cookie {
    struct str name, value;
};

/* The next pair of a Cookie field's value; false at its end. Pieces without a name are skipped. */
bool cookie_next(struct str *rest, struct cookie *out);
/* The first cookie of that name in all Cookie fields of a request: of several a browser puts the
 * most specific first (5.4). */
bool cookie_find(const struct http_head *h, struct str name, struct str *value);

/* Name and value of a Set-Cookie field's value; false when it has no name (5.2). */
bool set_cookie_split(struct str field, struct cookie *out);
/* What a client will hold under that name after a response: the last Set-Cookie of the name. */
bool set_cookie_find(const struct http_head *h, struct str name, struct str *value);

enum cookie_same_site {
    COOKIE_SAME_SITE_UNSAID,
    COOKIE_SAME_SITE_LAX,
    COOKIE_SAME_SITE_STRICT,
    COOKIE_SAME_SITE_NONE, /* browsers take it with Secure alone */
};

struct set_cookie {
    struct str name, value, path; /* no Path when it is empty */
    int64_t max_age;              /* seconds; 0: the client drops it; negative: it lives as long as
                                     the browser's session, and is not written */
    bool http_only, secure;
    uint8_t same_site; /* enum cookie_same_site */
};
/* NULL when it can be written, else why not, as one sentence. */
const char *set_cookie_wrong(const struct set_cookie *c);
/* Writes the value of a Set-Cookie field. Returns its length, or 0 when it does not fit in size or
 * is wrong. */
size_t set_cookie_write(const struct set_cookie *c, char *to, size_t size);

#endif
