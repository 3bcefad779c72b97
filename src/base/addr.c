#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool parse_unix(struct str path, struct addr *out)
{
    if (path.n == 0 || path.n >= sizeof out->path || memchr(path.p, 0, path.n))
        return false;
    if (path.p[0] != '/' && path.p[0] != '@')
        return false;
    out->kind = ADDR_UNIX;
    str_copy(out->path, sizeof out->path, path);
    return true;
}

static bool parse_ip(struct str ip, bool bracketed, struct addr *out)
{
    char text[INET6_ADDRSTRLEN];
    if (ip.n == 0 || ip.n >= sizeof text || memchr(ip.p, 0, ip.n))
        return false;
    str_copy(text, sizeof text, ip);
    out->kind = bracketed ? ADDR_IP6 : ADDR_IP4;
    return inet_pton(bracketed ? AF_INET6 : AF_INET, text, out->ip) == 1;
}

bool addr_parse(struct str s, struct addr *out)
{
    struct addr a = {0};
    if (str_starts(s, STR("unix:"))) {
        if (!parse_unix((struct str){s.p + 5, s.n - 5}, &a))
            return false;
        *out = a;
        return true;
    }
    size_t colon = s.n;
    while (colon && s.p[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return false;
    struct str ip = {s.p, colon - 1}, port = {s.p + colon, s.n - colon};
    bool bracketed = ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']';
    if (bracketed)
        ip = (struct str){ip.p + 1, ip.n - 2};
    uint64_t number;
    if (!str_u64(port, UINT16_MAX, &number) || number == 0 || !parse_ip(ip, bracketed, &a))
        return false;
    a.port = (uint16_t)number;
    *out = a;
    return true;
}

static char *put_number(char *to, unsigned v)
{
    char digits[5];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

/* The common kind, by hand: once a connection, and many thousands in a view. */
static char *put_ip4(char *to, const uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        if (i)
            *to++ = '.';
        to = put_number(to, ip[i]);
    }
    return to;
}

static size_t ended(const char *start, char *to)
{
    *to = 0;
    return (size_t)(to - start);
}

size_t addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    out[0] = 0;
    if (a->kind == ADDR_IP4)
        return ended(out, put_ip4(out, a->ip));
    if (a->kind == ADDR_UNIX)
        return (size_t)snprintf(out, ADDR_TEXT_MAX, "unix:%s", a->path);
    if (a->kind == ADDR_IP6 && !inet_ntop(AF_INET6, a->ip, out, ADDR_TEXT_MAX))
        out[0] = 0;
    return strlen(out);
}

static size_t format_ip4(const struct addr *a, char *out)
{
    char *to = put_ip4(out, a->ip);
    *to++ = ':';
    return ended(out, put_number(to, a->port));
}

size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    if (a->kind == ADDR_IP4)
        return format_ip4(a, out);
    if (a->kind == ADDR_UNIX || a->kind == ADDR_NONE)
        return addr_format_ip(a, out);
    char ip[ADDR_TEXT_MAX];
    addr_format_ip(a, ip);
    return (size_t)snprintf(out, ADDR_TEXT_MAX, "[%.45s]:%u", ip, a->port);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->kind != b->kind || a->port != b->port)
        return false;
    if (a->kind == ADDR_UNIX)
        return strcmp(a->path, b->path) == 0;
    return memcmp(a->ip, b->ip, a->kind == ADDR_IP6 ? 16 : 4) == 0;
}
