#include "coord/standing.h"

#include "coord/etcd_timers.h"

enum {
    SECTION_SELF = 1,
    SECTION_FOUNDER,
    SECTION_EXPECTS,
    SECTION_MEMBER,
    SECTION_TIMERS,
    SECTION_FILE
};
enum { FLAG_FULL = 1, FLAG_RESTORING = 2, FLAG_LEARNER = 1 };
enum {
    SELF_SIZE = 2 + MANAGED_ID + 10 * 8,
    MEMBER_HEAD = 8 + 1 + 8 + 3,
    TIMERS_SIZE = 3 + 8,
    FILE_SIZE = 16
};

/* --- writing --- */

static void head(struct buf *out, uint8_t tag, size_t n)
{
    put_u8(out, tag);
    put_u16(out, (uint16_t)n);
}

static void put_self(const struct standing *s, struct buf *out)
{
    const struct managed_said *said = &s->said;
    head(out, SECTION_SELF, SELF_SIZE);
    put_u8(out, said->record);
    put_u8(out, (uint8_t)((s->full ? FLAG_FULL : 0) | (s->restoring ? FLAG_RESTORING : 0)));
    buf_add(out, said->line.id, sizeof said->line.id);
    put_u64(out, said->line.generation);
    put_u64(out, said->line.draw);
    put_u64(out, said->place);
    put_u64(out, said->member);
    put_u64(out, said->leader);
    put_u64(out, said->term);
    put_u64(out, said->applied);
    put_u64(out, s->voters);
    put_u64(out, s->config);
    put_u64(out, s->revision);
}

static void put_name(struct buf *out, uint8_t tag, const char *name)
{
    struct str text = str_of(name);
    if (text.n == 0)
        return;
    head(out, tag, text.n);
    buf_add_str(out, text);
}

static void put_member(struct buf *out, const struct standing_member *m)
{
    struct str name = str_of(m->name);
    size_t bytes = m->peer.kind == ADDR_IP4 ? 4 : 16;
    CHECK(m->peer.kind == ADDR_IP4 || m->peer.kind == ADDR_IP6);
    head(out, SECTION_MEMBER, MEMBER_HEAD + bytes + name.n);
    put_u64(out, m->id);
    put_u8(out, m->learner ? FLAG_LEARNER : 0);
    put_u64(out, m->place);
    put_u8(out, m->peer.kind);
    put_u16(out, m->peer.port);
    buf_add(out, m->peer.ip, bytes);
    buf_add_str(out, name);
}

static void put_timers(const struct managed_said *said, struct buf *out)
{
    head(out, SECTION_TIMERS, TIMERS_SIZE);
    put_u8(out, said->disk);
    put_u8(out, said->timers);
    put_u8(out, said->pace);
    put_u64(out, said->turn);
}

static void put_file(const struct standing *s, struct buf *out)
{
    if (s->bytes == 0)
        return;
    head(out, SECTION_FILE, FILE_SIZE);
    put_u64(out, s->bytes);
    put_u64(out, s->used);
}

void standing_put(const struct standing *s, struct buf *out)
{
    CHECK(s->n <= MANAGED_MEMBERS && s->said.record < MANAGED_RECORDS);
    put_u8(out, STANDING_VERSION);
    put_self(s, out);
    put_name(out, SECTION_FOUNDER, s->said.founder);
    put_name(out, SECTION_EXPECTS, s->said.expects);
    for (uint32_t i = 0; i < s->n; i++)
        put_member(out, &s->members[i]);
    put_timers(&s->said, out);
    put_file(s, out);
}

/* --- reading --- */

/* A node's name, as the configuration has them. */
static bool get_name(struct str s, char out[MANAGED_NAME])
{
    if (s.n >= MANAGED_NAME)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr("._-", c)))
            return false;
    }
    str_copy(out, MANAGED_NAME, s);
    return true;
}

static void get_id(struct reader *r, uint8_t id[MANAGED_ID])
{
    for (size_t i = 0; i < MANAGED_ID; i++)
        id[i] = get_u8(r);
}

static bool get_self(struct reader r, struct standing *s)
{
    struct managed_said *said = &s->said;
    said->record = get_u8(&r);
    uint8_t flags = get_u8(&r);
    s->full = flags & FLAG_FULL;
    s->restoring = flags & FLAG_RESTORING;
    get_id(&r, said->line.id);
    said->line.generation = get_u64(&r);
    said->line.draw = get_u64(&r);
    said->place = get_u64(&r);
    said->member = get_u64(&r);
    said->leader = get_u64(&r);
    said->term = get_u64(&r);
    said->applied = get_u64(&r);
    s->voters = get_u64(&r);
    s->config = get_u64(&r);
    s->revision = get_u64(&r);
    return !r.failed && said->record < MANAGED_RECORDS;
}

static bool get_member(struct reader r, struct standing *s)
{
    struct standing_member *m = &s->members[s->n];
    if (s->n == MANAGED_MEMBERS)
        return false;
    *m = (struct standing_member){.id = get_u64(&r)};
    m->learner = get_u8(&r) & FLAG_LEARNER;
    m->place = get_u64(&r);
    m->peer.kind = get_u8(&r);
    m->peer.port = get_u16(&r);
    size_t bytes = m->peer.kind == ADDR_IP4 ? 4 : 16;
    if (r.failed || (m->peer.kind != ADDR_IP4 && m->peer.kind != ADDR_IP6) || m->peer.port == 0 ||
        (size_t)(r.end - r.p) < bytes)
        return false;
    memcpy(m->peer.ip, r.p, bytes);
    r.p += bytes;
    s->n++;
    return get_name((struct str){(const char *)r.p, (size_t)(r.end - r.p)}, m->name);
}

/* A level that only a later release has is the highest that is known here. */
static bool get_timers(struct reader r, struct managed_said *said)
{
    uint8_t *levels[] = {&said->disk, &said->timers, &said->pace};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        uint8_t level = get_u8(&r);
        *levels[i] = MIN(level, (uint8_t)(ETCD_LEVELS - 1));
    }
    said->turn = get_u64(&r);
    return !r.failed;
}

static bool get_file(struct reader r, struct standing *s)
{
    s->bytes = get_u64(&r);
    s->used = get_u64(&r);
    return !r.failed;
}

static bool get_section(uint8_t tag, struct reader r, bool first, struct standing *s)
{
    struct str body = {(const char *)r.p, (size_t)(r.end - r.p)};
    if (first != (tag == SECTION_SELF))
        return false;
    switch (tag) {
    case SECTION_SELF: return get_self(r, s);
    case SECTION_FOUNDER: return get_name(body, s->said.founder);
    case SECTION_EXPECTS: return get_name(body, s->said.expects);
    case SECTION_MEMBER: return get_member(r, s);
    case SECTION_TIMERS: return get_timers(r, &s->said);
    case SECTION_FILE: return get_file(r, s);
    default: return true;
    }
}

bool standing_get(struct str bytes, struct standing *s)
{
    struct reader r = reader_of(bytes.p, bytes.n);
    bool first = true;
    *s = (struct standing){.n = 0};
    if (bytes.n > STANDING_MAX || get_u8(&r) != STANDING_VERSION)
        return false;
    for (; r.p != r.end; first = false) {
        uint8_t tag = get_u8(&r);
        size_t n = get_u16(&r);
        if (r.failed || n > (size_t)(r.end - r.p) || !get_section(tag, reader_of(r.p, n), first, s))
            return false;
        r.p += n;
    }
    return !first;
}
