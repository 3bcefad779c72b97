#include "mesh/link_frame.h"

#include <stdio.h>

enum link_frame_result link_frame_read(struct str p, size_t max, struct link_frame *out)
{
    struct reader r = reader_of(p.p, MIN(p.n, (size_t)LINK_FRAME_HEADER));
    uint32_t length = get_u32(&r);
    uint16_t kind = get_u16(&r), version = get_u16(&r);
    if (r.failed)
        return LINK_FRAME_MORE;
    if (length > max)
        return LINK_FRAME_TOO_LONG;
    if (p.n - LINK_FRAME_HEADER < length)
        return LINK_FRAME_MORE;
    *out = (struct link_frame){.kind = kind,
                               .version = version,
                               .body = {p.p + LINK_FRAME_HEADER, length},
                               .bytes = LINK_FRAME_HEADER + (size_t)length};
    return LINK_FRAME_WHOLE;
}

void link_frame_write(struct buf *b, uint16_t kind, uint16_t version, struct str body)
{
    CHECK(body.n <= LINK_MESSAGE_MAX);
    if (!buf_reserve(b, LINK_FRAME_HEADER + body.n))
        return; /* all of it or nothing */
    put_u32(b, (uint32_t)body.n);
    put_u16(b, kind);
    put_u16(b, version);
    buf_add_str(b, body);
}

/* Other people's programs may call themselves what they like, on one line. */
static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return s.n <= 64;
}

bool greeting_read(struct str body, struct greeting *out)
{
    struct reader r = reader_of(body.p, body.n);
    out->low = get_u16(&r);
    out->high = get_u16(&r);
    out->program = get_str(&r);
    return !r.failed && out->low > 0 && out->low <= out->high && is_visible(out->program);
}

void greeting_write(struct buf *b, const struct greeting *h)
{
    put_u16(b, h->low);
    put_u16(b, h->high);
    put_str(b, h->program);
}

uint16_t greeting_agree(const struct greeting *a, const struct greeting *b)
{
    uint16_t high = MIN(a->high, b->high);
    return high >= MAX(a->low, b->low) ? high : 0;
}

/* Exactly `digits` digits at the start of s, which then begins behind them. */
static bool take_hex(struct str *s, unsigned digits, uint64_t *out)
{
    *out = 0;
    if (s->n < digits)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        char c = s->p[i];
        unsigned v = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                            : 16;
        if (v == 16)
            return false;
        *out = *out << 4 | v;
    }
    *s = (struct str){s->p + digits, s->n - digits};
    return true;
}

static bool take_colon(struct str *s)
{
    if (s->n == 0 || s->p[0] != ':')
        return false;
    *s = (struct str){s->p + 1, s->n - 1};
    return true;
}

bool identity_read(struct str s, struct identity *out)
{
    static const struct str token = {"token:", 6};
    uint64_t key;
    *out = (struct identity){0};
    if (str_starts(s, token)) {
        s = (struct str){s.p + token.n, s.n - token.n};
        out->guest = true;
        return take_hex(&s, 16, &out->token) && s.n == 0;
    }
    bool ok = take_hex(&s, 8, &key) && take_colon(&s) && take_hex(&s, 16, &out->cluster) &&
              take_colon(&s) && take_hex(&s, 16, &out->from) && take_colon(&s) &&
              take_hex(&s, 16, &out->to) && s.n == 0;
    out->key = (uint32_t)key;
    return ok;
}

size_t identity_write(const struct identity *i, char out[IDENTITY_MAX + 1])
{
    typedef unsigned long long wide;
    int n = i->guest ? snprintf(out, IDENTITY_MAX + 1, "token:%016llx", (wide)i->token)
                     : snprintf(out, IDENTITY_MAX + 1, "%08x:%016llx:%016llx:%016llx", i->key,
                                (wide)i->cluster, (wide)i->from, (wide)i->to);
    CHECK(n > 0 && n <= IDENTITY_MAX);
    return (size_t)n;
}
