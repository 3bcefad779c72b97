/* Reading messages. The bytes are anybody's: every length is compared with what is left, and a
 * pointer of a name must lead to before the place where this part of the name began. */
#include "wire/dns.h"

static int bad(struct dns_message *m, const char *why)
{
    m->why = why;
    return -1;
}

static bool has(const struct dns_message *m, size_t n)
{
    return n <= m->bytes.n - m->at;
}

static uint8_t byte_at(const struct dns_message *m, size_t at)
{
    return (uint8_t)m->bytes.p[at];
}

/* The caller has asked has(). */
static uint16_t get16(struct dns_message *m)
{
    uint16_t v = (uint16_t)(byte_at(m, m->at) << 8 | byte_at(m, m->at + 1));
    m->at += 2;
    return v;
}

static uint32_t get32(struct dns_message *m)
{
    uint32_t high = get16(m);
    return high << 16 | get16(m);
}

/* The name at *at; *at moves behind it as it stands there. `end`: where the message, or the record
 * that holds the name, ends; a pointer may leave it backwards. */
static int read_name(struct dns_message *m, size_t *at, size_t end, struct dns_name *out)
{
    size_t i = *at, before = *at; /* a pointer leads to before this */
    bool jumped = false;
    size_t n = 0;
    for (;;) {
        if (i >= end)
            return bad(m, "a name leaves the message");
        uint8_t length = byte_at(m, i);
        if ((length & 0xc0) == 0xc0) {
            if (i + 1 >= end)
                return bad(m, "a name leaves the message");
            size_t to = (size_t)(length & 0x3f) << 8 | byte_at(m, i + 1);
            if (to >= before)
                return bad(m, "a name's pointer does not lead backwards");
            if (!jumped)
                *at = i + 2;
            jumped = true;
            end = m->bytes.n;
            i = before = to;
            continue;
        }
        if (length > DNS_LABEL_MAX)
            return bad(m, "a label of an unknown kind");
        if ((size_t)length + 1 > end - i)
            return bad(m, "a name leaves the message");
        /* Without its end, a name has at most 254 bytes. */
        if (n + length + 1 > DNS_NAME_MAX - (length ? 1u : 0u))
            return bad(m, "a name is longer than 255 bytes");
        memcpy(out->bytes + n, m->bytes.p + i, (size_t)length + 1);
        n += (size_t)length + 1;
        i += (size_t)length + 1;
        if (length == 0)
            break;
    }
    out->n = (uint8_t)n;
    if (!jumped)
        *at = i;
    return 0;
}

static int read_question(struct dns_message *m, struct dns_question *q)
{
    if (read_name(m, &m->at, m->bytes.n, &q->name))
        return -1;
    if (!has(m, 4))
        return bad(m, "the question is cut short");
    q->type = get16(m);
    q->class = get16(m);
    return 0;
}

int dns_open(struct dns_message *m, struct str bytes)
{
    *m = (struct dns_message){.bytes = bytes};
    if (bytes.n < DNS_HEADER || bytes.n > DNS_MESSAGE_MAX)
        return bad(m, "the message is shorter than a header, or too long");
    m->head.id = get16(m);
    uint16_t flags = get16(m);
    m->head.response = flags >> 15 & 1;
    m->head.opcode = flags >> 11 & 15;
    m->head.authoritative = flags >> 10 & 1;
    m->head.truncated = flags >> 9 & 1;
    m->head.recursion_desired = flags >> 8 & 1;
    m->head.recursion_available = flags >> 7 & 1;
    m->head.rcode = flags & 15;
    m->questions = get16(m);
    for (int s = 0; s < DNS_SECTIONS; s++)
        m->left[s] = get16(m);
    struct dns_question more;
    for (uint16_t i = 0; i < m->questions; i++)
        if (read_question(m, i ? &more : &m->question))
            return -1;
    return 0;
}

/* What the types that we know hold; a name in them must end where the record does. */
static int read_data(struct dns_message *m, struct dns_record *r)
{
    size_t at = m->at, end = m->at + r->data.n;
    switch (r->type) {
    case DNS_A:
    case DNS_AAAA:
        if (r->data.n != (r->type == DNS_A ? 4 : 16))
            return bad(m, "an address record of a wrong length");
        memcpy(r->ip, r->data.p, r->data.n);
        return 0;
    case DNS_SRV:
        if (r->data.n < 7)
            return bad(m, "a service record is cut short");
        r->priority = get16(m);
        r->weight = get16(m);
        r->port = get16(m);
        at += 6;
        break;
    case DNS_CNAME:
    case DNS_NS:
    case DNS_PTR: break;
    case DNS_SOA:
        for (int names = 0; names < 2; names++) /* the server's and the keeper's */
            if (read_name(m, &at, end, &r->target))
                return -1;
        if (end - at != 20)
            return bad(m, "a record of a zone's authority has a wrong length");
        m->at = end - 4;
        r->minimum = get32(m);
        return 0;
    default: return 0;
    }
    if (read_name(m, &at, end, &r->target))
        return -1;
    return at == end ? 0 : bad(m, "a record holds more than its name");
}

int dns_next(struct dns_message *m, struct dns_record *out)
{
    int section = 0;
    while (section < DNS_SECTIONS && m->left[section] == 0)
        section++;
    if (section == DNS_SECTIONS)
        return 0;
    m->left[section]--;
    *out = (struct dns_record){.section = (uint8_t)section};
    if (read_name(m, &m->at, m->bytes.n, &out->name))
        return -1;
    if (!has(m, 10))
        return bad(m, "a record is cut short");
    out->type = get16(m);
    out->class = get16(m);
    out->ttl = get32(m);
    if (out->ttl >> 31 && out->type != DNS_OPT)
        out->ttl = 0;
    size_t n = get16(m);
    if (!has(m, n))
        return bad(m, "a record is cut short");
    out->data = (struct str){m->bytes.p + m->at, n};
    size_t end = m->at + n;
    if (read_data(m, out))
        return -1;
    m->at = end;
    return 1;
}
