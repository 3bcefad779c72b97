#include "proxy/log_line.h"

#include <stdio.h>
#include <time.h>

/* --- facts: u16 length and bytes, for the method, the target, the protocol, then each header ---
 */

enum { FACT_METHOD, FACT_TARGET, FACT_PROTOCOL, FACT_HEADERS };

static void keep(struct buf *facts, struct str s)
{
    uint16_t n = (uint16_t)MIN(s.n, (size_t)LOG_FACT_MAX);
    if (facts->n + 2 + n > LOG_FACTS_MAX)
        n = 0;
    put_u16(facts, n);
    buf_add(facts, s.p, n);
}

static struct str header(const struct http_head *h, struct str name)
{
    for (uint32_t i = 0; i < h->n_headers; i++)
        if (str_eq_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return STR("");
}

void log_facts(struct buf *facts, const struct log_format *f, const struct http_head *h)
{
    if (!f->request && !f->n_headers)
        return;
    if (!buf_reserve(facts, 256))
        return;
    keep(facts, f->request ? h->method_text : STR(""));
    keep(facts, f->request ? h->target : STR(""));
    keep(facts, !f->request ? STR("") : h->minor ? STR("HTTP/1.1") : STR("HTTP/1.0"));
    for (uint8_t i = 0; i < f->n_headers; i++)
        keep(facts,
             str_eq(f->headers[i], STR("host")) && h->host.n ? h->host : header(h, f->headers[i]));
}

static struct str fact(const struct log_record *r, unsigned index)
{
    struct reader in = reader_of(r->facts.p, r->facts.n);
    for (unsigned i = 0; !in.failed; i++) {
        uint16_t n = get_u16(&in);
        if (in.failed || n > in.end - in.p)
            break;
        if (i == index)
            return (struct str){(const char *)in.p, n};
        in.p += n;
    }
    return STR("");
}

/* --- writing --- */

struct line {
    char *out;
    size_t n;
    size_t left; /* that values may still take */
    bool json;
};

/* Our own: literals and numbers. */
static void put(struct line *l, const char *p, size_t n)
{
    n = MIN(n, LOG_LINE_MAX - l->n);
    memcpy(l->out + l->n, p, n);
    l->n += n;
}

/* A piece of a value, whole or not at all. */
static bool put_piece(struct line *l, const char *p, size_t n)
{
    if (n > l->left || n > LOG_LINE_MAX - l->n)
        return false;
    l->left -= n;
    put(l, p, n);
    return true;
}

static void put_text(struct line *l, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char piece[4] = {(char)c};
        size_t n = 1;
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            piece[0] = '\\';
            piece[1] = 'x';
            piece[2] = hex[c >> 4];
            piece[3] = hex[c & 15];
            n = 4;
        }
        if (!put_piece(l, piece, n))
            return;
    }
}

/* Bytes of the UTF-8 sequence at p, or 0 (RFC 3629: shortest form, no surrogates, up to U+10FFFF).
 */
static size_t sequence(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (length == 0 || b[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return length;
}

/* Between the quotes. */
static void put_json(struct line *l, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        char piece[8];
        size_t used = sequence(s.p + i, s.n - i);
        unsigned char c = (unsigned char)s.p[i];
        int n = (int)used;
        if (used == 0)
            n = snprintf(piece, sizeof piece, "\\ufffd");
        else if (c < 0x20 || c == 0x7f)
            n = snprintf(piece, sizeof piece, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            n = snprintf(piece, sizeof piece, "\\%c", c);
        else
            memcpy(piece, s.p + i, used);
        if (!put_piece(l, piece, (size_t)n))
            return;
        i += MAX(used, (size_t)1);
    }
}

static void put_value(struct line *l, struct str s)
{
    if (l->json) {
        put(l, "\"", 1);
        put_json(l, s);
        put(l, "\"", 1);
    } else if (s.n == 0) {
        put(l, "-", 1);
    } else {
        put_text(l, s);
    }
}

static void put_number(struct line *l, uint64_t v)
{
    char text[24];
    int n = v == LOG_UNKNOWN ? snprintf(text, sizeof text, l->json ? "null" : "-")
                             : snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put(l, text, (size_t)n);
}

/* --- fields --- */

static void put_time(struct line *l, uint64_t wall_ns, bool iso)
{
    char text[64];
    struct tm utc = {0};
    time_t second = (time_t)(wall_ns / NS_PER_S);
    gmtime_r(&second, &utc);
    size_t n = iso ? strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc)
                   : strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S +0000", &utc);
    if (iso)
        n += (size_t)snprintf(text + n, sizeof text - n, ".%03uZ",
                              (unsigned)(wall_ns % NS_PER_S / NS_PER_MS));
    put_value(l, (struct str){text, n});
}

static void put_time_unix(struct line *l, uint64_t wall_ns)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu.%03u", (unsigned long long)(wall_ns / NS_PER_S),
                     (unsigned)(wall_ns % NS_PER_S / NS_PER_MS));
    put(l, text, (size_t)n);
}

static void put_request(struct line *l, const struct log_record *r)
{
    char text[2 * LOG_FACT_MAX];
    struct str method = fact(r, FACT_METHOD), target = fact(r, FACT_TARGET),
               protocol = fact(r, FACT_PROTOCOL);
    if (r->connection.n || method.n == 0) {
        put_value(l, r->connection);
        return;
    }
    int n = snprintf(text, sizeof text, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(method),
                     STR_ARG(target), STR_ARG(protocol));
    put_value(l, (struct str){text, MIN((size_t)n, sizeof text - 1)});
}

/* The target up to its question mark, or behind it. */
static struct str target_part(const struct log_record *r, bool query)
{
    struct str target = fact(r, FACT_TARGET);
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t path = mark ? (size_t)(mark - target.p) : target.n;
    if (!query)
        return (struct str){target.p, path};
    return mark ? (struct str){mark + 1, target.n - path - 1} : STR("");
}

/* What was passed on, or what the client sent: the second of its four parts. */
static struct str trace_id(const struct log_record *r, uint8_t index)
{
    struct str sent = fact(r, FACT_HEADERS + index);
    if (r->trace_id.n)
        return r->trace_id;
    if (sent.n < 55 || sent.p[2] != '-' || sent.p[35] != '-')
        return STR("");
    return (struct str){sent.p + 3, 32};
}

static void put_field(struct line *l, const struct log_item *i, const struct log_record *r)
{
    switch ((enum log_field)i->field) {
    case LOG_LITERAL: put(l, i->p, i->n); return;
    case LOG_ATTEMPTS: put_number(l, r->attempts); return;
    case LOG_BYTES: put_number(l, r->bytes); return;
    case LOG_BYTES_IN: put_number(l, r->bytes_in); return;
    case LOG_CAUSE: put_value(l, r->cause); return;
    case LOG_CLIENT: put_value(l, r->client); return;
    case LOG_CLIENT_PORT: put_number(l, r->client_port ? r->client_port : LOG_UNKNOWN); return;
    case LOG_CONNECT: put_number(l, r->connect); return;
    case LOG_DURATION: put_number(l, r->duration); return;
    case LOG_FIRST_BYTE: put_number(l, r->first_byte); return;
    case LOG_HEADER:
    case LOG_HOST:
    case LOG_REFERER:
    case LOG_USER_AGENT: put_value(l, fact(r, FACT_HEADERS + i->header)); return;
    case LOG_INSTANCE: put_value(l, r->instance); return;
    case LOG_LISTENER: put_value(l, r->listener); return;
    case LOG_METHOD: put_value(l, fact(r, FACT_METHOD)); return;
    case LOG_PATH: put_value(l, target_part(r, false)); return;
    case LOG_PROTOCOL:
        put_value(l, r->connection.n ? r->connection : fact(r, FACT_PROTOCOL));
        return;
    case LOG_QUERY: put_value(l, target_part(r, true)); return;
    case LOG_REQUEST: put_request(l, r); return;
    case LOG_ROUTE: put_value(l, r->route); return;
    case LOG_SERVICE: put_value(l, r->service); return;
    case LOG_STATUS: put_number(l, r->status); return;
    case LOG_TIME: put_time(l, r->wall_ns, false); return;
    case LOG_TIME_ISO: put_time(l, r->wall_ns, true); return;
    case LOG_TIME_UNIX: put_time_unix(l, r->wall_ns); return;
    case LOG_TRACE_ID: put_value(l, trace_id(r, i->header)); return;
    case LOG_TRANSFER: put_number(l, r->transfer); return;
    case LOG_WAIT: put_number(l, r->wait); return;
    case LOG_FIELDS: break;
    }
    UNREACHABLE();
}

size_t log_render(const struct log_format *f, const struct log_record *r, char out[LOG_LINE_MAX])
{
    struct line l = {.out = out, .left = LOG_LINE_FIELDS, .json = f->json};
    for (uint8_t i = 0; i < f->n; i++)
        put_field(&l, &f->items[i], r);
    return l.n;
}
