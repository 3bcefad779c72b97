#include "proxy/route.h"

#include "proxy/key.h"
#include "wire/cookie.h"

/* --- normal form --- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static bool is_normal(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        char before = i ? path.p[i - 1] : 0;
        if (path.p[i] == '%' || (before == '/' && (path.p[i] == '/' || path.p[i] == '.')))
            return false;
    }
    return path.n > 0;
}

/* The next character, decoded if it should be; *i moves behind it. */
static char next_char(struct str s, size_t *i)
{
    char c = s.p[(*i)++];
    if (c != '%' || s.n - *i < 2)
        return c;
    int high = hex(s.p[*i]), low = hex(s.p[*i + 1]);
    if (high < 0 || low < 0 || !is_unreserved(high * 16 + low))
        return c;
    *i += 2;
    return (char)(high * 16 + low);
}

/* Removes what the last segment of the n bytes asks for: "." and "..". Returns the new length,
 * behind a '/'. */
static size_t end_segment(const char *to, size_t n)
{
    if (n >= 2 && to[n - 1] == '.' && to[n - 2] == '/')
        return n - 1;
    if (n < 3 || memcmp(to + n - 3, "/..", 3) != 0)
        return n;
    n -= 3;
    while (n > 0 && to[n - 1] != '/')
        n--;
    return MAX(n, 1u);
}

static struct str normalise(struct str path, char *to)
{
    size_t n = 0;
    if (path.n == 0)
        return STR("/");
    if (is_normal(path) || path.p[0] != '/')
        return path;
    for (size_t i = 0; i < path.n;) {
        char c = next_char(path, &i);
        if (c == '/')
            n = end_segment(to, n);
        if (c != '/' || n == 0 || to[n - 1] != '/')
            to[n++] = c;
    }
    return (struct str){to, end_segment(to, n)};
}

static struct str host_name(struct str host)
{
    const char *colon = NULL;
    for (size_t i = 0; i < host.n && host.p[0] != '['; i++)
        if (host.p[i] == ':')
            colon = host.p + i;
    if (host.n && host.p[0] == '[') { /* an IPv6 literal: up to its bracket */
        const char *end = memchr(host.p, ']', host.n);
        host.n = end ? (size_t)(end - host.p) + 1 : host.n;
    }
    if (colon)
        host.n = (size_t)(colon - host.p);
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

void route_look(const struct http_head *h, char *scratch, struct route_request *out)
{
    const char *mark = h->path.n ? memchr(h->path.p, '?', h->path.n) : NULL;
    size_t n = mark ? (size_t)(mark - h->path.p) : h->path.n;
    *out = (struct route_request){.head = h, .host = host_name(h->host)};
    out->path = normalise((struct str){h->path.p, n}, scratch);
    if (mark)
        out->query = (struct str){mark + 1, h->path.n - n - 1};
}

/* --- conditions --- */

static bool host_matches(struct str word, struct str host)
{
    if (word.n < 2 || word.p[0] != '*')
        return str_eq_nocase(word, host);
    struct str end = {word.p + 1, word.n - 1}; /* ".example.com" */
    return host.n > end.n && str_eq_nocase(end, (struct str){host.p + host.n - end.n, end.n});
}

static bool path_matches(struct str word, struct str path, struct str *rest)
{
    *rest = (struct str){path.p + path.n, 0};
    if (word.p[0] == '=')
        return str_eq((struct str){word.p + 1, word.n - 1}, path);
    if (word.p[0] == '*')
        return path.n >= word.n - 1 &&
               memcmp(path.p + path.n - (word.n - 1), word.p + 1, word.n - 1) == 0;
    if (!str_starts(path, word))
        return false;
    *rest = (struct str){path.p + word.n, path.n - word.n};
    return rest->n == 0 || word.p[word.n - 1] == '/' || rest->p[0] == '/';
}

/* "name: value" against a value that may end in '*'. */
static bool value_matches(struct str want, struct str value)
{
    if (want.n && want.p[want.n - 1] == '*')
        return str_starts(value, (struct str){want.p, want.n - 1});
    return str_eq(want, value);
}

static bool header_matches(struct str word, const struct http_head *h)
{
    bool not = word.p[0] == '!';
    struct str name = {word.p + not, word.n - not }, want = {NULL, 0};
    const char *colon = memchr(name.p, ':', name.n);
    if (colon) {
        want = str_trim((struct str){colon + 1, (size_t)(name.p + name.n - colon) - 1});
        name.n = (size_t)(colon - name.p);
    }
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (str_eq_nocase(h->headers[i].name, name) &&
            (!want.p || value_matches(want, h->headers[i].value)))
            return !not ;
    return not ;
}

/* "name" or "name=value": the two; a value without bytes at .p is one that does not matter. */
static struct str split_word(struct str word, struct str *value)
{
    const char *equals = memchr(word.p, '=', word.n);
    struct str name = {word.p, equals ? (size_t)(equals - word.p) : word.n};
    *value = (struct str){equals ? equals + 1 : NULL, equals ? word.n - name.n - 1 : 0};
    return name;
}

static bool part_matches(struct str word, struct str list, char separator)
{
    struct str want, value, name = split_word(word, &want);
    return key_part(list, separator, name, &value) && (!want.p || value_matches(want, value));
}

static bool cookie_matches(struct str word, const struct http_head *h)
{
    struct str want, value, name = split_word(word, &want);
    return cookie_find(h, name, &value) && (!want.p || value_matches(want, value));
}

static bool path_taken(const struct view_words *w, struct str path, struct str *rest)
{
    *rest = path;
    for (uint32_t i = 0; i < w->n; i++)
        if (path_matches(w->list[i], path, rest))
            return true;
    return w->n == 0;
}

static bool host_taken(const struct view_words *w, struct str host)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (host_matches(w->list[i], host))
            return true;
    return w->n == 0;
}

static bool method_taken(const struct view_words *w, struct str method)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (str_eq(w->list[i], method))
            return true;
    return w->n == 0;
}

/* Every header asked for must be as asked: they are conditions of their own. */
static bool headers_taken(const struct view_words *w, const struct http_head *h)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (!header_matches(w->list[i], h))
            return false;
    return true;
}

static bool query_taken(const struct view_words *w, struct str query)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (query.p && part_matches(w->list[i], query, '&'))
            return true;
    return w->n == 0;
}

static bool cookie_taken(const struct view_words *w, const struct http_head *h)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (cookie_matches(w->list[i], h))
            return true;
    return w->n == 0;
}

static bool takes(const struct view_match *m, const struct route_request *q, struct str *rest)
{
    return host_taken(&m->hosts, q->host) && path_taken(&m->paths, q->path, rest) &&
           method_taken(&m->methods, q->head->method_text) && headers_taken(&m->headers, q->head) &&
           query_taken(&m->queries, q->query) && cookie_taken(&m->cookies, q->head);
}

const struct view_route *route_find(const struct view_service *s, const struct route_request *q,
                                    struct str *rest)
{
    for (uint32_t i = 0; i < s->n_routes; i++)
        if (takes(&s->routes[i].match, q, rest))
            return &s->routes[i];
    *rest = q->path;
    return NULL;
}

int route_target(const struct view_route *r, uint64_t draw)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < r->n_targets; i++)
        sum += r->targets[i].weight;
    if (r->n_targets == 0)
        return -1;
    CHECK(sum > 0);
    draw %= sum;
    for (uint32_t i = 0;; i++) {
        if (draw < r->targets[i].weight)
            return (int)r->targets[i].service;
        draw -= r->targets[i].weight;
    }
}

/* --- texts with placeholders --- */

static struct str value_of(struct str name, const struct route_values *v, struct str *behind)
{
    const struct route_request *q = v->request;
    const struct {
        struct str name, value;
    } known[] = {
        {STR("client"), v->client},
        {STR("host"), q->host},
        {STR("path"), q->path},
        {STR("query"), q->query.p ? q->query : STR("")},
        {STR("rest"), v->rest},
        {STR("method"), q->head->method_text},
        {STR("service"), v->service},
        {STR("route"), v->route},
        {STR("request-id"), v->request_id},
    };
    *behind = STR("");
    if (str_eq(name, STR("uri"))) { /* the path and, behind a '?', the query */
        *behind = q->query.p ? q->query : STR("");
        return q->path;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(name, known[i].name))
            return known[i].value;
    return STR("");
}

static void add_clean(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        size_t run = i;
        while (run < s.n && (unsigned char)s.p[run] >= 0x20 && s.p[run] != 0x7f)
            run++;
        buf_add(out, s.p + i, run - i);
        i = run;
    }
}

void route_expand(struct str text, const struct route_values *v, struct buf *out)
{
    while (text.n) {
        const char *open = memchr(text.p, '{', text.n);
        size_t plain = open ? (size_t)(open - text.p) : text.n;
        buf_add(out, text.p, plain);
        text = (struct str){text.p + plain, text.n - plain};
        if (!open)
            return;
        const char *close = memchr(text.p, '}', text.n);
        if (text.n > 1 && text.p[1] == '{') { /* "{{" is a brace */
            buf_add(out, "{", 1);
            text = (struct str){text.p + 2, text.n - 2};
        } else if (!close) {
            buf_add_str(out, text);
            return;
        } else {
            struct str name = {text.p + 1, (size_t)(close - text.p) - 1}, behind;
            add_clean(out, value_of(name, v, &behind));
            if (behind.n)
                buf_add(out, "?", 1);
            add_clean(out, behind);
            text = (struct str){close + 1, text.n - name.n - 2};
        }
    }
}

void route_rewrite(const struct view_route *r, const struct route_request *q, struct str rest,
                   struct buf *out)
{
    struct str head = r->rewrite;
    if (rest.n && rest.p[0] == '/' && head.n && head.p[head.n - 1] == '/')
        head.n--;
    buf_add_str(out, head);
    if (rest.n && rest.p[0] != '/' && (head.n == 0 || head.p[head.n - 1] != '/'))
        buf_add(out, "/", 1);
    buf_add_str(out, rest);
    if (out->n == 0)
        buf_add(out, "/", 1);
    if (!q->query.p)
        return;
    buf_add(out, "?", 1);
    buf_add_str(out, q->query);
}
