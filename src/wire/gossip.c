#include "wire/gossip.h"

enum {
    VERSION = 1,
    SECTION_SUBJECT = 1,
    SECTION_HEARING,
    SECTION_RUMOURS,
    RUMOUR_BYTES = 25,
    RUMOUR_STATE = 3, /* bits of the last byte */
    RUMOUR_MAINTENANCE = 4,
    PER_BYTE = 4, /* answers of 2 bits */
};

void gossip_init(struct gossip *g, enum gossip_kind kind)
{
    memset(g, 0, offsetof(struct gossip, ids));
    g->kind = (uint8_t)kind;
}

static void put_section(struct buf *b, uint8_t tag, size_t n)
{
    put_u8(b, tag);
    put_u16(b, (uint16_t)n);
}

static size_t packed(size_t n)
{
    return (n + PER_BYTE - 1) / PER_BYTE;
}

static void put_hearing(struct buf *b, const struct gossip *g)
{
    uint8_t bits[GOSSIP_HEARING_MAX / PER_BYTE] = {0};
    put_section(b, SECTION_HEARING, 1 + 4 * (size_t)g->n_hearing + packed(g->n_hearing));
    put_u8(b, g->n_hearing);
    for (size_t i = 0; i < g->n_hearing; i++) {
        put_u32(b, g->ids[i]);
        bits[i / PER_BYTE] |= (uint8_t)(g->hearing[i] << 2 * (i % PER_BYTE));
    }
    buf_add(b, bits, packed(g->n_hearing));
}

static void put_rumours(struct buf *b, const struct gossip *g)
{
    put_section(b, SECTION_RUMOURS, 1 + RUMOUR_BYTES * (size_t)g->n_rumours);
    put_u8(b, RUMOUR_BYTES);
    for (size_t i = 0; i < g->n_rumours; i++) {
        const struct gossip_rumour *r = &g->rumours[i];
        put_u64(b, r->id);
        put_u64(b, r->incarnation);
        put_u64(b, r->accuser);
        put_u8(b, (uint8_t)(r->state | (r->maintenance ? RUMOUR_MAINTENANCE : 0)));
    }
}

size_t gossip_write(const struct gossip *g, uint8_t out[GOSSIP_MAX])
{
    struct buf b = {.p = (char *)out, .cap = GOSSIP_MAX, .limit = GOSSIP_MAX};
    CHECK(g->n_hearing <= GOSSIP_HEARING_MAX && g->n_rumours <= GOSSIP_RUMOURS_MAX);
    put_u8(&b, VERSION);
    put_u8(&b, g->kind);
    put_u8(&b, g->flags);
    put_u64(&b, g->incarnation);
    put_u32(&b, g->sequence);
    put_u32(&b, g->answers);
    put_u32(&b, g->stamp);
    put_u32(&b, g->echo);
    put_u32(&b, g->held);
    if (g->has_subject) {
        put_section(&b, SECTION_SUBJECT, 8);
        put_u64(&b, g->subject);
    }
    if (g->has_hearing)
        put_hearing(&b, g);
    if (g->n_rumours)
        put_rumours(&b, g);
    CHECK(!b.failed);
    return b.n;
}

static bool read_hearing(struct reader *r, struct gossip *g)
{
    g->n_hearing = get_u8(r);
    if (g->n_hearing > GOSSIP_HEARING_MAX)
        return false;
    for (size_t i = 0; i < g->n_hearing; i++)
        g->ids[i] = get_u32(r);
    for (size_t i = 0; i < g->n_hearing; i += PER_BYTE) {
        uint8_t bits = get_u8(r);
        for (size_t k = i; k < g->n_hearing && k < i + PER_BYTE; k++) {
            g->hearing[k] = bits >> 2 * (k - i) & 3;
            if (g->hearing[k] > GOSSIP_SILENT)
                return false;
        }
    }
    g->has_hearing = true;
    return reader_done(r);
}

static bool read_rumour(struct reader *r, struct gossip_rumour *out)
{
    out->id = get_u64(r);
    out->incarnation = get_u64(r);
    out->accuser = get_u64(r);
    uint8_t state = get_u8(r);
    out->state = state & RUMOUR_STATE;
    out->maintenance = state & RUMOUR_MAINTENANCE;
    return !r->failed && out->incarnation <= GOSSIP_INCARNATION_MAX;
}

static bool read_rumours(struct reader *r, struct gossip *g)
{
    size_t bytes = get_u8(r), left = (size_t)(r->end - r->p);
    if (r->failed || bytes < RUMOUR_BYTES || left % bytes || left / bytes > GOSSIP_RUMOURS_MAX)
        return false;
    g->n_rumours = (uint8_t)(left / bytes);
    for (size_t i = 0; i < g->n_rumours; i++) {
        struct reader one = reader_of(r->p + i * bytes, bytes);
        if (!read_rumour(&one, &g->rumours[i]))
            return false;
    }
    return true;
}

static bool read_section(uint8_t tag, struct reader r, struct gossip *g)
{
    switch (tag) {
    case SECTION_SUBJECT:
        g->subject = get_u64(&r);
        g->has_subject = true;
        return reader_done(&r);
    case SECTION_HEARING: return read_hearing(&r, g);
    case SECTION_RUMOURS: return read_rumours(&r, g);
    default: return true;
    }
}

static bool read_sections(struct reader *r, struct gossip *g)
{
    uint32_t seen = 0;
    while (r->p != r->end) {
        uint8_t tag = get_u8(r);
        size_t n = get_u16(r);
        if (r->failed || (size_t)(r->end - r->p) < n)
            return false;
        if (tag <= SECTION_RUMOURS && seen & 1u << tag)
            return false;
        seen |= tag <= SECTION_RUMOURS ? 1u << tag : 0;
        if (!read_section(tag, reader_of(r->p, n), g))
            return false;
        r->p += n;
    }
    return true;
}

/* What a kind cannot do without. */
static bool complete(const struct gossip *g)
{
    return g->kind != GOSSIP_INDIRECT || g->has_subject;
}

bool gossip_read(const void *p, size_t n, struct gossip *g)
{
    struct reader r = reader_of(p, n);
    gossip_init(g, GOSSIP_HEARTBEAT);
    if (n > GOSSIP_MAX || get_u8(&r) != VERSION)
        return false;
    g->kind = get_u8(&r);
    g->flags = get_u8(&r);
    g->incarnation = get_u64(&r);
    g->sequence = get_u32(&r);
    g->answers = get_u32(&r);
    g->stamp = get_u32(&r);
    g->echo = get_u32(&r);
    g->held = get_u32(&r);
    if (r.failed || g->kind == 0 || g->incarnation == 0 || g->incarnation > GOSSIP_INCARNATION_MAX)
        return false;
    return read_sections(&r, g) && complete(g);
}
