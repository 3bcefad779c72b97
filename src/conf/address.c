/* Nothing is looked up here, so that a start never waits for a name server: a listener is what the
 * file says it is, and the name of a backend is kept as a name. "localhost" is 127.0.0.1. */
#include "conf/address.h"

#include <stdio.h>

enum { DEFAULT_PORT = 80, DNS_PORT = 53, PATH_LONGEST = sizeof(((struct addr *)0)->path) - 1 };

static struct str after(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static bool refuse(struct conf *c, const struct value *v, const char *hint, const char *why)
{
    conf_complain(c, &v->place, hint, "'" STR_FMT "' %s", STR_ARG(conf_shown(v)), why);
    return false;
}

/* A hint with a part of the value in it: none when the value is secret. */
static const char *hint_with(struct conf *c, const struct value *v, const char *before,
                             struct str part, const char *behind)
{
    if (v->secret)
        return "";
    part = conf_clip(part);
    return conf_text(c, "did you mean '%s" STR_FMT "%s'?", before, STR_ARG(part), behind);
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20)
            return true;
    return false;
}

static bool unix_path(struct conf *c, const struct value *v, struct str text, struct addr *out)
{
    struct str path = after(text, 5);
    if (path.n > PATH_LONGEST)
        return refuse(c, v, "", "has a path of more than 107 bytes");
    if (has_control(path) || !addr_parse(text, out))
        return refuse(c, v, "", "needs an absolute path, or '@' and a name, behind 'unix:'");
    return true;
}

struct parts {
    struct str host, port; /* port.p is NULL when there is none */
    bool bracketed;
};

static bool split(struct conf *c, const struct value *v, struct str s, struct parts *out)
{
    size_t colons = 0, last = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ':') {
            colons++;
            last = i;
        }
    }
    *out = (struct parts){.host = s};
    if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        struct str rest = end ? after(s, (size_t)(end - s.p) + 1) : s;
        if (!end || (rest.n && rest.p[0] != ':'))
            return refuse(c, v, "", "is not an address: write '[ADDRESS]:PORT'");
        out->host = (struct str){s.p + 1, (size_t)(end - s.p) - 1};
        out->bracketed = true;
        if (rest.n)
            out->port = after(rest, 1);
    } else if (colons > 1) {
        return refuse(c, v, hint_with(c, v, "[", s, "]:PORT"), "is not an address");
    } else if (colons == 1) {
        out->host.n = last;
        out->port = after(s, last + 1);
    }
    return true;
}

static bool number_like(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if ((host.p[i] < '0' || host.p[i] > '9') && host.p[i] != '.')
            return false;
    return host.n > 0;
}

/* Labels of letters, digits, '-' and '_' with dots between them, and perhaps one behind them. */
static bool host_like(struct str host)
{
    size_t label = 0;
    bool letter = false;
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n == 0 || host.n > 253)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        letter |= is_letter;
        if (c == '.' ? label == 0 : !is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return letter && label > 0;
}

enum role { ROLE_LISTEN, ROLE_BACKEND, ROLE_NAMESERVER, ROLE_NODE };

static bool bad_host(struct conf *c, const struct value *v, const struct parts *p, enum role role)
{
    static const char *const any[] = {
        [ROLE_LISTEN] = "write '0.0.0.0' for every IPv4 address of this node, '[::]' for all",
        [ROLE_BACKEND] = "write the address or the name of the backend",
        [ROLE_NAMESERVER] = "write the numeric address of the name server",
        [ROLE_NODE] = "write the numeric address that the other nodes reach it at",
    };
    if (p->bracketed)
        return refuse(c, v, "", "holds no IPv6 address between its brackets");
    if (p->host.n == 0)
        return refuse(c, v, any[role], "has no address before its port");
    if (str_eq(p->host, STR("*")))
        return refuse(c, v, any[role], "is not an address");
    if (number_like(p->host))
        return refuse(c, v, "an IPv4 address has four numbers up to 255, as in '10.0.0.1'",
                      "is not an address");
    if (role == ROLE_BACKEND)
        return refuse(c, v, any[role], "is neither an address nor a host name");
    return refuse(c, v, "write its numeric address",
                  "is a host name: only names of backends are looked up");
}

/* port: if none is given; 0: one must be given. name: may be one instead of an address; *name is
 * empty else. */
static bool ip_port(struct conf *c, const struct value *v, struct str s, enum role role,
                    uint64_t port, struct addr *out, struct str *name)
{
    char text[ADDR_TEXT_MAX];
    struct parts p;
    if (!split(c, v, s, &p))
        return false;
    if (!p.port.p && port == 0)
        return refuse(c, v, "write ADDRESS:PORT", "has no port");
    if (p.port.p && (!str_u64(p.port, UINT16_MAX, &port) || port == 0))
        return refuse(c, v, "a port is 1 to 65535", "has no valid port");
    if (str_eq_nocase(p.host, STR("localhost")) && !p.bracketed)
        p.host = STR("127.0.0.1");
    int n = snprintf(text, sizeof text, p.bracketed ? "[" STR_FMT "]:%u" : STR_FMT ":%u",
                     STR_ARG(p.host), (unsigned)port);
    if (n > 0 && (size_t)n < sizeof text && addr_parse((struct str){text, (size_t)n}, out))
        return true;
    if (!name || p.bracketed || !host_like(p.host))
        return bad_host(c, v, &p, role);
    *name = p.host;
    *out = (struct addr){.port = (uint16_t)port};
    return true;
}

static bool srv_name(struct conf *c, const struct value *v, struct address_backend *out)
{
    struct str name = after(v->text, 4);
    if (name.n && memchr(name.p, ':', name.n))
        return refuse(c, v, "", "has a port: the records of an 'srv:' name have the ports");
    if (!host_like(name))
        return refuse(c, v, "write it as in 'srv:_http._tcp.api.internal'", "has no valid name");
    out->name = name;
    out->srv = true;
    return true;
}

bool address_backend(struct conf *c, const struct value *v, struct address_backend *out)
{
    struct str s = v->text;
    *out = (struct address_backend){.name = STR("")};
    if (v->bad)
        return false;
    if (s.n == 0)
        return refuse(c, v, "", "is empty: an address is expected");
    if (str_starts(s, STR("http://")))
        return refuse(c, v, hint_with(c, v, "", after(s, 7), ""),
                      "is a URL: a backend is an address");
    if (str_starts(s, STR("https://")))
        return refuse(c, v, "", "asks for TLS, which backends do not have yet");
    if (str_starts(s, STR("unix:")))
        return unix_path(c, v, s, &out->addr);
    if (str_starts(s, STR("srv:")))
        return srv_name(c, v, out);
    if (s.p[0] == '/')
        return refuse(c, v, hint_with(c, v, "unix:", s, ""), "is not an address");
    if (all_digits(s))
        return refuse(c, v, hint_with(c, v, "127.0.0.1:", s, ""), "is a port without an address");
    if (!ip_port(c, v, s, ROLE_BACKEND, DEFAULT_PORT, &out->addr, &out->name))
        return false;
    out->port = out->addr.port;
    return true;
}

bool address_nameserver(struct conf *c, const struct value *v, struct addr *out)
{
    if (v->bad)
        return false;
    return ip_port(c, v, v->text, ROLE_NAMESERVER, DNS_PORT, out, NULL);
}

static bool is_unspecified(const struct addr *a)
{
    static const uint8_t zero[sizeof a->ip];
    return memcmp(a->ip, zero, a->kind == ADDR_IP6 ? 16 : 4) == 0;
}

bool address_node(struct conf *c, const struct value *v, uint16_t port, struct addr *out)
{
    if (v->bad)
        return false;
    if (v->text.n && all_digits(v->text))
        return refuse(c, v, "write the numeric address that the other nodes reach it at",
                      "is a port without an address");
    if (!ip_port(c, v, v->text, ROLE_NODE, port, out, NULL))
        return false;
    return !is_unspecified(out) ||
           refuse(c, v, "write one that the other nodes reach", "is no address of one machine");
}

/* No scheme, or one that we do not serve. */
static bool bad_scheme(struct conf *c, const struct value *v)
{
    struct str s = v->text;
    if (str_starts(s, STR("https://")))
        return refuse(c, v, "", "asks for TLS, which is not available yet: listen to 'http://'");
    for (size_t i = 0; i + 2 < s.n; i++)
        if (memcmp(s.p + i, "://", 3) == 0)
            return refuse(c, v, "",
                          "has an unknown scheme: listen to 'http://', 'tcp://' or 'udp://'");
    if (all_digits(s))
        return refuse(c, v, hint_with(c, v, "http://0.0.0.0:", s, ""), "is a port, not a URL");
    if (s.n && s.p[0] == ':')
        return refuse(c, v, hint_with(c, v, "http://0.0.0.0", s, ""), "is a port, not a URL");
    if (s.n && s.p[0] == '/')
        return refuse(c, v, hint_with(c, v, "http://unix:", s, ""), "is a path, not a URL");
    return refuse(c, v, hint_with(c, v, "http://", s, ""), "is not a URL");
}

bool address_listen(struct conf *c, const struct value *v, enum view_mode *mode, struct addr *out)
{
    struct str s = v->text;
    if (v->bad)
        return false;
    if (s.n == 0)
        return refuse(c, v, "write an address, as in 'http://0.0.0.0:8080'", "is empty");
    *mode = str_starts(s, STR("udp://"))   ? VIEW_UDP
            : str_starts(s, STR("tcp://")) ? VIEW_TCP
                                           : VIEW_HTTP;
    if (*mode == VIEW_HTTP && !str_starts(s, STR("http://")))
        return bad_scheme(c, v);
    s = after(s, *mode == VIEW_HTTP ? 7 : 6);
    if (*mode == VIEW_UDP && str_starts(s, STR("unix:")))
        return refuse(c, v, "", "is a Unix socket: datagrams need an IP address");
    if (str_starts(s, STR("unix:")))
        return unix_path(c, v, s, out);
    if (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (s.n && memchr(s.p, '/', s.n))
        return refuse(c, v, "", "has a path: a listener takes every path of its address");
    return ip_port(c, v, s, ROLE_LISTEN, *mode == VIEW_HTTP ? DEFAULT_PORT : 0, out, NULL);
}

static bool absolute_path(struct conf *c, const struct value *v, const char *why, struct addr *out)
{
    struct str s = v->text;
    if (v->bad)
        return false;
    if (s.n == 0 || s.p[0] != '/' || has_control(s))
        return refuse(c, v, "", why);
    if (s.n > PATH_LONGEST)
        return refuse(c, v, "", "is longer than 107 bytes");
    *out = (struct addr){.kind = ADDR_UNIX};
    str_copy(out->path, sizeof out->path, s);
    return true;
}

bool address_file(struct conf *c, const struct value *v, struct addr *out)
{
    return absolute_path(c, v, "is not an absolute path, nor 'off'", out);
}

bool address_directory(struct conf *c, const struct value *v, struct addr *out)
{
    return absolute_path(c, v, "is not an absolute path of a directory", out);
}
