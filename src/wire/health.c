#include "wire/health.h"

enum { FLAG_ISOLATED = 1 };
enum { SECTION_SERVICE = 1, SECTION_INSTANCE = 2 };
enum { SECTION_HEAD = 3, INSTANCE_HEAD = 7 + 3 /* up to the address's bytes */ };

/* ---- writing ---- */

void health_begin(struct health_writer *w, struct buf *out, bool isolated)
{
    *w = (struct health_writer){.out = out, .service = STR("")};
    buf_clear(out);
    put_u8(out, HEALTH_VERSION);
    put_u8(out, isolated ? FLAG_ISOLATED : 0);
}

static struct str address_bytes(const struct addr *a)
{
    switch (a->kind) {
    case ADDR_IP4: return (struct str){(const char *)a->ip, 4};
    case ADDR_IP6: return (struct str){(const char *)a->ip, 16};
    case ADDR_UNIX: return str_of(a->path);
    default: return STR("");
    }
}

static void put_section(struct buf *out, uint8_t tag, size_t n)
{
    put_u8(out, tag);
    put_u16(out, (uint16_t)n);
}

bool health_put(struct health_writer *w, const struct health_record *r)
{
    struct str address = address_bytes(&r->instance);
    bool again = w->n && str_eq(w->service, r->service);
    size_t more = SECTION_HEAD + INSTANCE_HEAD + address.n;
    CHECK(r->service.n && r->service.n <= HEALTH_NAME_MAX && address.n &&
          r->verdict < HEALTH_VERDICTS);
    more += again ? 0 : SECTION_HEAD + r->service.n;
    if (w->out->n + more > HEALTH_MESSAGE_MAX)
        return false;
    if (!again) {
        put_section(w->out, SECTION_SERVICE, r->service.n);
        buf_add_str(w->out, r->service);
        w->service = r->service;
    }
    put_section(w->out, SECTION_INSTANCE, INSTANCE_HEAD + address.n);
    put_u8(w->out, r->verdict);
    put_u8(w->out, r->reason);
    put_u8(w->out, r->certain);
    put_u32(w->out, r->age_ms);
    put_u8(w->out, r->instance.kind);
    put_u16(w->out, r->instance.port);
    buf_add_str(w->out, address);
    w->n++;
    return true;
}

/* ---- reading ---- */

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > HEALTH_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_path(const uint8_t *p, size_t n)
{
    return n >= 2 && n < sizeof((struct addr *)0)->path && (p[0] == '/' || p[0] == '@') &&
           !memchr(p, 0, n);
}

/* The rest of s; behind an IP address newer programs may say more. */
static bool get_address(struct reader *s, struct addr *a)
{
    *a = (struct addr){.kind = get_u8(s), .port = get_u16(s)};
    size_t left = (size_t)(s->end - s->p), n = a->kind == ADDR_IP4 ? 4 : 16;
    if (s->failed)
        return false;
    if (a->kind == ADDR_UNIX) {
        if (a->port || !is_path(s->p, left))
            return false;
        str_copy(a->path, sizeof a->path, (struct str){(const char *)s->p, left});
        return true;
    }
    if ((a->kind != ADDR_IP4 && a->kind != ADDR_IP6) || a->port == 0 || left < n)
        return false;
    memcpy(a->ip, s->p, n);
    return true;
}

static bool get_instance(struct reader s, struct health_record *out)
{
    out->verdict = get_u8(&s);
    out->reason = get_u8(&s);
    uint8_t certain = get_u8(&s);
    out->certain = certain == 1;
    out->age_ms = get_u32(&s);
    return !s.failed && out->verdict < HEALTH_VERDICTS && certain <= 1 &&
           get_address(&s, &out->instance);
}

enum { END, RECORD, MALFORMED };

static int next(struct health_reader *h, struct health_record *out)
{
    while (!h->r.failed && h->r.p != h->r.end) {
        uint8_t tag = get_u8(&h->r);
        size_t n = get_u16(&h->r);
        if (h->r.failed || n > (size_t)(h->r.end - h->r.p))
            return MALFORMED;
        struct str body = {(const char *)h->r.p, n};
        struct reader section = reader_of(h->r.p, n);
        h->r.p += n;
        if (tag == SECTION_SERVICE) {
            if (!is_name(body))
                return MALFORMED;
            h->service = body;
        } else if (tag == SECTION_INSTANCE) {
            if (h->service.n == 0 || !get_instance(section, out))
                return MALFORMED;
            out->service = h->service;
            return RECORD;
        }
    }
    return h->r.failed ? MALFORMED : END;
}

static bool open(struct health_reader *h, struct str bytes)
{
    *h = (struct health_reader){.r = reader_of(bytes.p, bytes.n), .service = STR("")};
    uint8_t version = get_u8(&h->r);
    h->isolated = get_u8(&h->r) & FLAG_ISOLATED;
    return !h->r.failed && version == HEALTH_VERSION;
}

bool health_check(struct str bytes)
{
    struct health_reader h;
    struct health_record r;
    int found = RECORD;
    if (!open(&h, bytes))
        return false;
    while (found == RECORD)
        found = next(&h, &r);
    return found == END;
}

void health_open(struct health_reader *h, struct str bytes)
{
    bool ok = open(h, bytes);
    CHECK(ok);
}

bool health_next(struct health_reader *h, struct health_record *out)
{
    int found = next(h, out);
    CHECK(found != MALFORMED);
    return found == RECORD;
}
