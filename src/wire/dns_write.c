/* Writing messages. A name's tail that was written before is not written again: a pointer leads to
 * it (RFC 1035, section 4.1.4; never in the data of SRV, RFC 2782). */
#include "wire/dns.h"

static void put16(struct buf *b, unsigned v)
{
    const uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    buf_add(b, bytes, sizeof bytes);
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

static void set16(struct buf *b, size_t at, unsigned v)
{
    b->p[at] = (char)(uint8_t)(v >> 8);
    b->p[at + 1] = (char)(uint8_t)v;
}

static uint8_t small(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Whether the name that was written at `at` is this tail. What we wrote is well-formed. */
static bool written_is(const struct dns_writer *w, size_t at, const uint8_t *tail, size_t n)
{
    const uint8_t *p = (const uint8_t *)w->out->p + w->start;
    for (size_t i = 0; i < n;) {
        if ((p[at] & 0xc0) == 0xc0) {
            at = (size_t)(p[at] & 0x3f) << 8 | p[at + 1];
            continue;
        }
        size_t length = (size_t)p[at] + 1;
        if (p[at] != tail[i] || length > n - i)
            return false;
        for (size_t k = 1; k < length; k++)
            if (small(p[at + k]) != small(tail[i + k]))
                return false;
        at += length;
        i += length;
    }
    return true;
}

/* Among the first `names`: those that are whole. */
static int find_written(const struct dns_writer *w, uint16_t names, const uint8_t *tail, size_t n)
{
    for (uint16_t i = 0; i < names; i++)
        if (written_is(w, w->names[i], tail, n))
            return w->names[i];
    return -1;
}

static void put_name(struct dns_writer *w, const struct dns_name *name, bool compress)
{
    uint16_t whole = w->n_names;
    CHECK(name->n > 0);
    for (size_t i = 0; i < name->n && name->bytes[i]; i += name->bytes[i] + 1u) {
        int at =
            compress && !w->out->failed ? find_written(w, whole, name->bytes + i, name->n - i) : -1;
        if (at >= 0) {
            put16(w->out, 0xc000u | (unsigned)at);
            return;
        }
        size_t here = w->out->n - w->start;
        buf_add(w->out, name->bytes + i, name->bytes[i] + 1u);
        if (here < 0x4000 && w->n_names < DNS_COMPRESS_MAX && !w->out->failed)
            w->names[w->n_names++] = (uint16_t)here;
    }
    buf_add(w->out, "", 1);
}

void dns_begin(struct dns_writer *w, struct buf *out, const struct dns_head *h, size_t limit)
{
    *w = (struct dns_writer){.out = out, .start = out->n, .limit = MIN(limit, DNS_MESSAGE_MAX)};
    put16(out, h->id);
    put16(out, (unsigned)h->response << 15 | (h->opcode & 15u) << 11 |
                   (unsigned)h->authoritative << 10 | (unsigned)h->truncated << 9 |
                   (unsigned)h->recursion_desired << 8 | (unsigned)h->recursion_available << 7 |
                   (h->rcode & 15u));
    for (int i = 0; i < 4; i++)
        put16(out, 0);
}

/* A part that made the message too long is taken back. True: it stays. */
static bool fits(struct dns_writer *w, size_t before, uint16_t names_before)
{
    if (w->out->failed || w->out->n - w->start <= w->limit)
        return true;
    w->out->n = before;
    w->n_names = names_before;
    w->full = true;
    return false;
}

void dns_put_question(struct dns_writer *w, const struct dns_question *q)
{
    size_t before = w->out->n;
    uint16_t names = w->n_names;
    put_name(w, &q->name, true);
    put16(w->out, q->type);
    put16(w->out, q->class);
    w->questions += fits(w, before, names);
}

static void put_data(struct dns_writer *w, const struct dns_record *r)
{
    switch (r->type) {
    case DNS_A: buf_add(w->out, r->ip, 4); return;
    case DNS_AAAA: buf_add(w->out, r->ip, 16); return;
    case DNS_CNAME:
    case DNS_NS:
    case DNS_PTR: put_name(w, &r->target, true); return;
    case DNS_SRV:
        put16(w->out, r->priority);
        put16(w->out, r->weight);
        put16(w->out, r->port);
        put_name(w, &r->target, false);
        return;
    default: buf_add_str(w->out, r->data); return;
    }
}

void dns_put_record(struct dns_writer *w, const struct dns_record *r)
{
    size_t before = w->out->n;
    uint16_t names = w->n_names;
    CHECK(r->section < DNS_SECTIONS && r->data.n <= UINT16_MAX);
    if (w->full)
        return;
    put_name(w, &r->name, true);
    put16(w->out, r->type);
    put16(w->out, r->class);
    put32(w->out, r->ttl);
    size_t length = w->out->n;
    put16(w->out, 0);
    put_data(w, r);
    if (!fits(w, before, names) || w->out->failed)
        return;
    set16(w->out, length, (unsigned)(w->out->n - length - 2));
    w->records[r->section]++;
}

void dns_put_opt(struct dns_writer *w, uint16_t udp_size)
{
    struct dns_record opt = {
        .name = {.n = 1}, .type = DNS_OPT, .class = udp_size, .section = DNS_ADDITIONAL};
    dns_put_record(w, &opt);
}

bool dns_end(struct dns_writer *w)
{
    if (w->out->failed)
        return false;
    set16(w->out, w->start + 4, w->questions);
    for (unsigned s = 0; s < DNS_SECTIONS; s++)
        set16(w->out, w->start + 6 + 2 * s, w->records[s]);
    if (w->full)
        w->out->p[w->start + 2] |= 2;
    return true;
}
