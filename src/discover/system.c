#include "discover/system.h"

#include <stdio.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; false at its end. */
static bool word(struct str *line, struct str *out)
{
    size_t i = 0;
    while (i < line->n && is_blank(line->p[i]))
        i++;
    size_t start = i;
    while (i < line->n && !is_blank(line->p[i]))
        i++;
    *out = (struct str){line->p + start, i - start};
    *line = (struct str){line->p + i, line->n - i};
    return out->n > 0;
}

/* The next line without its comment; false at the end of the text. */
static bool next_line(struct str *text, struct str *out, const char *comments)
{
    if (text->n == 0)
        return false;
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n;
    *out = (struct str){text->p, n};
    size_t skip = MIN(n + 1, text->n);
    *text = (struct str){text->p + skip, text->n - skip};
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] && strchr(comments, out->p[i]))
            out->n = i;
    return true;
}

/* An address without port and brackets. */
static bool parse_ip(struct str s, uint16_t port, struct addr *out)
{
    char text[ADDR_TEXT_MAX];
    bool six = s.n && memchr(s.p, ':', s.n);
    int n = snprintf(text, sizeof text, six ? "[" STR_FMT "]:%u" : STR_FMT ":%u",
                     (int)MIN(s.n, (size_t)64), s.p, port);
    return n > 0 && addr_parse((struct str){text, (size_t)n}, out);
}

static void add_search(struct system_resolver *r, struct str line)
{
    struct str domain;
    struct dns_name valid;
    r->n_search = 0; /* the last such line counts */
    while (r->n_search < SYSTEM_MAX_SEARCH && word(&line, &domain))
        if (dns_name_parse(domain, &valid))
            str_copy(r->search[r->n_search++], sizeof r->search[0], domain);
}

static void add_options(struct system_resolver *r, struct str line)
{
    struct str option;
    uint64_t n;
    while (word(&line, &option)) {
        struct str value = {option.p + 6, option.n - 6};
        if (str_starts(option, STR("ndots:")) && str_u64(value, 1000, &n))
            r->ndots = (uint32_t)MIN(n, (uint64_t)SYSTEM_MAX_NDOTS);
    }
}

void system_resolver_parse(struct str text, struct system_resolver *out)
{
    struct str line, key, value;
    *out = (struct system_resolver){.ndots = 1};
    while (next_line(&text, &line, "#;")) {
        if (!word(&line, &key))
            continue;
        if (str_eq(key, STR("search")) || str_eq(key, STR("domain"))) {
            add_search(out, line);
        } else if (str_eq(key, STR("options"))) {
            add_options(out, line);
        } else if (str_eq(key, STR("nameserver")) && word(&line, &value) &&
                   out->servers.n < ASK_MAX_SERVERS &&
                   parse_ip(value, 53, &out->servers.list[out->servers.n])) {
            out->servers.n++;
        }
    }
    if (out->servers.n == 0)
        out->servers.n = parse_ip(STR("127.0.0.1"), 53, &out->servers.list[0]);
}

static bool same_name(struct str a, struct str b)
{
    if (a.n && a.p[a.n - 1] == '.')
        a.n--;
    if (b.n && b.p[b.n - 1] == '.')
        b.n--;
    return str_eq_nocase(a, b);
}

uint32_t system_hosts_find(struct str text, struct str name,
                           void (*found)(void *arg, const struct addr *a), void *arg)
{
    struct str line, first, other;
    uint32_t n = 0;
    while (next_line(&text, &line, "#")) {
        struct addr a;
        if (!word(&line, &first) || !parse_ip(first, 1, &a))
            continue;
        bool named = false;
        while (word(&line, &other))
            named |= same_name(other, name);
        if (!named)
            continue;
        n++;
        found(arg, &a);
    }
    return n;
}

bool system_candidate(const struct system_resolver *r, struct str name, uint32_t i,
                      struct dns_name *out)
{
    char text[600];
    uint32_t dots = 0;
    bool absolute = name.n && name.p[name.n - 1] == '.';
    for (size_t k = 0; k < name.n; k++)
        dots += name.p[k] == '.';
    uint32_t n = absolute ? 0 : r->n_search, as_it_is = dots >= r->ndots || n == 0 ? 0 : n;
    if (i > n)
        return false;
    if (i == as_it_is)
        return dns_name_parse(name, out);
    const char *domain = r->search[as_it_is == 0 ? i - 1 : i];
    int length =
        snprintf(text, sizeof text, STR_FMT ".%s", (int)MIN(name.n, (size_t)255), name.p, domain);
    struct str whole = {text, (size_t)length};
    /* A name that is too long this way is not asked for; the one as it is takes its place. */
    return dns_name_parse(whole, out) || dns_name_parse(name, out);
}
