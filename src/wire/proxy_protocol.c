/* The grammar of the PROXY protocol (haproxy/doc/proxy-protocol.txt, sections 2.1 and 2.2).
 *
 * Version 1 is one line of text of at most 107 bytes; its numbers are decimal without leading
 * zeros. Version 2 is a signature, four bytes of command, family and length, the addresses, and
 * extensions (TLVs), whose lengths must add up to what was announced. */
#include "wire/proxy_protocol.h"

#include <stdio.h>

enum {
    LINE_MAX_V1 = 107,
    FIXED_V2 = 16,
    IP4_V2 = 12,
    IP6_V2 = 36,
    UNIX_V2 = 216,
    UNIX_PATH_V2 = 108
};

static const char signature[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static int refuse(const char **why, const char *text)
{
    *why = text;
    return PROXY_REFUSED;
}

/* --- version 1 --- */

/* The next word up to a single space or the end; false when there is none. */
static bool next_word(struct str *rest, struct str *word)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ')
        n++;
    *word = (struct str){rest->p, n};
    bool space = n < rest->n;
    rest->p += n + space;
    rest->n -= n + space;
    return n > 0;
}

static bool plain_number(struct str s)
{
    return s.n == 1 || (s.n > 1 && s.p[0] != '0');
}

/* Puts "ip" and "port" together in the form that addr_parse reads. */
static bool parse_endpoint(struct str ip, struct str port, bool six, struct addr *out)
{
    char text[ADDR_TEXT_MAX];
    uint64_t number;
    if (ip.n > 45 || !plain_number(port) || !str_u64(port, UINT16_MAX, &number))
        return false;
    /* Port 0 is allowed here, and not by addr_parse. */
    int n = snprintf(text, sizeof text, six ? "[" STR_FMT "]:1" : STR_FMT ":1", STR_ARG(ip));
    if (n < 0 || (size_t)n >= sizeof text || !addr_parse(str_of(text), out))
        return false;
    out->port = (uint16_t)number;
    return true;
}

static int parse_words(struct str line, struct proxy_header *out, const char **why)
{
    struct str family, from, to, from_port, to_port;
    if (!next_word(&line, &family))
        return refuse(why, "The PROXY line names no family.");
    if (str_eq(family, STR("UNKNOWN"))) {
        out->local = true;
        return PROXY_DONE;
    }
    bool six = str_eq(family, STR("TCP6"));
    if (!six && !str_eq(family, STR("TCP4")))
        return refuse(why, "The PROXY line's family is none of TCP4, TCP6 and UNKNOWN.");
    if (!next_word(&line, &from) || !next_word(&line, &to) || !next_word(&line, &from_port) ||
        !next_word(&line, &to_port) || line.n)
        return refuse(why, "The PROXY line does not have two addresses and two ports.");
    if (to_port.p[to_port.n] != '\r' || !parse_endpoint(from, from_port, six, &out->from) ||
        !parse_endpoint(to, to_port, six, &out->to))
        return refuse(why, "The PROXY line's addresses are malformed.");
    return PROXY_DONE;
}

static int parse_v1(const char *p, size_t n, struct proxy_header *out, const char **why)
{
    const char *end = memchr(p, '\n', MIN(n, (size_t)LINE_MAX_V1));
    if (!end)
        return n < LINE_MAX_V1 ? PROXY_MORE
                               : refuse(why, "The PROXY line is longer than 107 bytes.");
    size_t line = (size_t)(end - p) + 1;
    if (line < 8 || end[-1] != '\r')
        return refuse(why, "The PROXY line does not end in CR LF.");
    out->version = 1;
    out->bytes = (uint32_t)line;
    return parse_words((struct str){p + 6, line - 8}, out, why);
}

/* --- version 2 --- */

static uint16_t big_endian(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static void take_ip(const char *p, uint8_t kind, size_t n, struct proxy_header *out)
{
    out->from.kind = out->to.kind = kind;
    memcpy(out->from.ip, p, n);
    memcpy(out->to.ip, p + n, n);
    out->from.port = big_endian(p + 2 * n);
    out->to.port = big_endian(p + 2 * n + 2);
}

static bool take_path(const char *p, struct addr *a)
{
    size_t n = strnlen(p, UNIX_PATH_V2);
    if (n == 0)
        return true; /* unnamed, as most clients are */
    char text[UNIX_PATH_V2 + 8];
    int length = snprintf(text, sizeof text, "unix:%.*s", (int)n, p);
    return length > 0 && addr_parse((struct str){text, (size_t)length}, a);
}

/* Version and flags; a later version may have more. */
static void take_hop(const char *p, size_t n, struct proxy_header *out)
{
    if (n < 2 || p[0] != PROXY_HOP_VERSION)
        return;
    out->hop = true;
    out->hop_flags = (uint8_t)p[1];
}

/* Extensions: type, u16 length, value. Those of others are not used here. */
static bool take_extensions(const char *p, size_t n, struct proxy_header *out)
{
    while (n) {
        if (n < 3 || n - 3 < big_endian(p + 1))
            return false;
        size_t whole = 3u + big_endian(p + 1);
        if ((unsigned char)p[0] == PROXY_TLV_HOP)
            take_hop(p + 3, whole - 3, out);
        p += whole;
        n -= whole;
    }
    return true;
}

static int parse_addresses(const char *p, size_t n, unsigned family, struct proxy_header *out,
                           const char **why)
{
    size_t need = 0;
    switch (family) {
    case 0: break; /* unspecified: the connection's own addresses */
    case 1: need = IP4_V2; break;
    case 2: need = IP6_V2; break;
    case 3: need = UNIX_V2; break;
    default: return refuse(why, "The PROXY header's address family is unknown.");
    }
    if (n < need)
        return refuse(why, "The PROXY header is too short for its addresses.");
    if (family == 1)
        take_ip(p, ADDR_IP4, 4, out);
    else if (family == 2)
        take_ip(p, ADDR_IP6, 16, out);
    else if (family == 3 && !(take_path(p, &out->from) && take_path(p + UNIX_PATH_V2, &out->to)))
        return refuse(why, "The PROXY header's socket path is malformed.");
    out->local = family == 0;
    if (family && !take_extensions(p + need, n - need, out))
        return refuse(why, "The PROXY header's extensions do not add up.");
    return PROXY_DONE;
}

static int parse_v2(const char *p, size_t n, struct proxy_header *out, const char **why)
{
    if (n < FIXED_V2)
        return PROXY_MORE;
    unsigned command = (unsigned char)p[12], family = (unsigned char)p[13];
    size_t length = big_endian(p + 14);
    if (command >> 4 != 2 || (command & 15) > 1)
        return refuse(why, "The PROXY header's version or command is unknown.");
    if ((family & 15) > 2)
        return refuse(why, "The PROXY header's transport is unknown.");
    if (FIXED_V2 + length > PROXY_HEADER_MAX)
        return refuse(why, "The PROXY header is longer than 4096 bytes.");
    if (n < FIXED_V2 + length)
        return PROXY_MORE;
    out->version = 2;
    out->bytes = (uint32_t)(FIXED_V2 + length);
    if ((command & 15) == 0) {
        out->local = true; /* LOCAL: addresses, if any, are to be skipped */
        return PROXY_DONE;
    }
    return parse_addresses(p + FIXED_V2, length, family >> 4, out, why);
}

int proxy_header_parse(const char *p, size_t n, struct proxy_header *out, const char **why)
{
    *out = (struct proxy_header){0};
    if (n && p[0] == '\r') {
        if (memcmp(p, signature, MIN(n, sizeof signature)) != 0)
            return refuse(why, "The connection does not begin with a PROXY header.");
        return n < sizeof signature ? PROXY_MORE : parse_v2(p, n, out, why);
    }
    if (memcmp(p, "PROXY ", MIN(n, 6u)) != 0)
        return refuse(why, "The connection does not begin with a PROXY header.");
    return n < 6 ? PROXY_MORE : parse_v1(p, n, out, why);
}

/* --- writing --- */

static bool both(const struct addr *a, const struct addr *b, uint8_t kind)
{
    return a->kind == kind && b->kind == kind;
}

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* One header has addresses of one family. The client's is what it is for and stays exact; the
 * other, of a listener of another family that the client came to through a proxy, is mapped (RFC
 * 4291, 2.5.5.2) or left open. */
static struct addr beside(const struct addr *from, const struct addr *to)
{
    struct addr a = {.kind = from->kind, .port = to->kind == ADDR_UNIX ? 0 : to->port};
    bool ip = from->kind == ADDR_IP4 || from->kind == ADDR_IP6;
    if (!ip || to->kind == from->kind)
        return *to;
    if (from->kind == ADDR_IP6 && to->kind == ADDR_IP4) {
        memcpy(a.ip, mapped, sizeof mapped);
        memcpy(a.ip + sizeof mapped, to->ip, 4);
    } else if (to->kind == ADDR_IP6 && memcmp(to->ip, mapped, sizeof mapped) == 0) {
        memcpy(a.ip, to->ip + sizeof mapped, 4);
    }
    return a;
}

static size_t write_v1(const struct addr *from, const struct addr *to, char *out)
{
    char source[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX];
    if (!both(from, to, ADDR_IP4) && !both(from, to, ADDR_IP6))
        return (size_t)snprintf(out, PROXY_HEADER_WRITTEN_MAX, "PROXY UNKNOWN\r\n");
    addr_format_ip(from, source);
    addr_format_ip(to, target);
    return (size_t)snprintf(out, PROXY_HEADER_WRITTEN_MAX, "PROXY TCP%c %.45s %.45s %u %u\r\n",
                            from->kind == ADDR_IP4 ? '4' : '6', source, target, from->port,
                            to->port);
}

static void put_big_endian(char *p, unsigned v)
{
    p[0] = (char)(v >> 8);
    p[1] = (char)v;
}

static size_t write_v2(const struct addr *from, const struct addr *to, char *out)
{
    size_t length = 0, ip = from->kind == ADDR_IP4 ? 4 : 16;
    unsigned family = 0;
    memcpy(out, signature, sizeof signature);
    out[12] = 0x21;
    char *p = out + FIXED_V2;
    if (both(from, to, ADDR_IP4) || both(from, to, ADDR_IP6)) {
        family = from->kind == ADDR_IP4 ? 0x11 : 0x21;
        memcpy(p, from->ip, ip);
        memcpy(p + ip, to->ip, ip);
        put_big_endian(p + 2 * ip, from->port);
        put_big_endian(p + 2 * ip + 2, to->port);
        length = 2 * ip + 4;
    } else if (from->kind == ADDR_UNIX && to->kind == ADDR_UNIX) {
        family = 0x31;
        length = UNIX_V2;
        memset(p, 0, UNIX_V2);
        memcpy(p, from->path, strnlen(from->path, UNIX_PATH_V2));
        memcpy(p + UNIX_PATH_V2, to->path, strnlen(to->path, UNIX_PATH_V2));
    }
    out[13] = (char)family;
    put_big_endian(out + 14, (unsigned)length);
    return FIXED_V2 + length;
}

size_t proxy_header_write(uint8_t version, const struct addr *from, const struct addr *to,
                          char out[PROXY_HEADER_WRITTEN_MAX])
{
    CHECK(version == 1 || version == 2);
    struct addr target = beside(from, to);
    return version == 1 ? write_v1(from, &target, out) : write_v2(from, &target, out);
}

size_t proxy_header_write_hop(const struct addr *from, const struct addr *to, uint8_t flags,
                              char out[PROXY_HEADER_WRITTEN_MAX])
{
    struct addr target = beside(from, to);
    CHECK(both(from, &target, ADDR_IP4) || both(from, &target, ADDR_IP6));
    size_t n = write_v2(from, &target, out);
    const char extension[] = {(char)PROXY_TLV_HOP, 0, 2, PROXY_HOP_VERSION, (char)flags};
    memcpy(out + n, extension, sizeof extension);
    n += sizeof extension;
    put_big_endian(out + 14, (unsigned)(n - FIXED_V2));
    return n;
}
