/* A record on its way: as bytes between two threads of one process, and as JSON. */
#include "audit/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/codec.h"

enum { WORD_MAX = 40, WHO_MAX = 128, SAYS_MAX = 320 };

const char *audit_kind_name(enum audit_kind k)
{
    static const char *const names[AUDIT_KINDS] = {
        [AUDIT_VERDICT] = "verdict",
        [AUDIT_DECISION] = "decision",
        [AUDIT_ACTION] = "action",
        [AUDIT_EVENT] = "event",
    };
    return (unsigned)k < AUDIT_KINDS ? names[k] : "unknown";
}

/* ---- in the queue ---- */

static void put_cut(struct buf *b, struct str s, size_t most)
{
    put_str(b, (struct str){s.p, MIN(s.n, most)});
}

static void put_signal(struct buf *b, const struct audit_signal *s)
{
    put_cut(b, s->signal, WORD_MAX);
    put_cut(b, s->observer, WHO_MAX);
    put_cut(b, s->says, SAYS_MAX);
    put_u64(b, s->at);
    put_u64(b, s->detail);
    put_u32(b, s->count);
}

static void put_record(struct buf *b, const struct audit_record *r)
{
    put_u64(b, r->seq);
    put_u64(b, r->boot);
    put_u64(b, r->wall);
    put_u64(b, r->epoch);
    put_u8(b, (uint8_t)r->kind);
    put_cut(b, r->code, WORD_MAX);
    put_cut(b, r->level, WORD_MAX);
    put_cut(b, r->subject_kind, WORD_MAX);
    put_cut(b, r->subject, AUDIT_NAME_MAX);
    put_cut(b, r->before, WORD_MAX);
    put_cut(b, r->after, WORD_MAX);
    put_cut(b, r->reason, WORD_MAX);
    put_cut(b, r->by, WHO_MAX);
    put_cut(b, r->text, AUDIT_TEXT_MAX);
    put_cut(b, r->rule, AUDIT_TEXT_MAX);
    uint32_t n = MIN(r->n_evidence, (uint32_t)AUDIT_EVIDENCE);
    put_u32(b, n);
    for (uint32_t i = 0; i < n; i++)
        put_signal(b, &r->evidence[i]);
}

bool record_pack(struct buf *out, const struct audit_record *r)
{
    size_t start = out->n;
    put_u32(out, 0);
    put_record(out, r);
    if (out->failed) {
        out->n = start;
        out->failed = false;
        return false;
    }
    uint32_t n = (uint32_t)(out->n - start - 4);
    CHECK(n <= RECORD_MAX);
    memcpy(out->p + start, &n, sizeof n);
    return true;
}

static void get_signal(struct reader *r, struct audit_signal *s)
{
    s->signal = get_str(r);
    s->observer = get_str(r);
    s->says = get_str(r);
    s->at = get_u64(r);
    s->detail = get_u64(r);
    s->count = get_u32(r);
}

bool record_next(struct str *bytes, struct audit_record *out,
                 struct audit_signal evidence[AUDIT_EVIDENCE])
{
    uint32_t n;
    if (bytes->n == 0)
        return false;
    CHECK(bytes->n > sizeof n); /* record_pack's, of this process */
    memcpy(&n, bytes->p, sizeof n);
    struct reader r = reader_of(bytes->p + sizeof n, n);
    *out = (struct audit_record){.seq = get_u64(&r)};
    out->boot = get_u64(&r);
    out->wall = get_u64(&r);
    out->epoch = get_u64(&r);
    out->kind = (enum audit_kind)get_u8(&r);
    struct str *texts[] = {&out->code,   &out->level, &out->subject_kind, &out->subject,
                           &out->before, &out->after, &out->reason,       &out->by,
                           &out->text,   &out->rule};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = get_str(&r);
    out->n_evidence = get_u32(&r);
    CHECK(out->n_evidence <= AUDIT_EVIDENCE && out->kind < AUDIT_KINDS);
    for (uint32_t i = 0; i < out->n_evidence; i++)
        get_signal(&r, &evidence[i]);
    CHECK(reader_done(&r));
    out->evidence = evidence;
    bytes->p += sizeof n + n;
    bytes->n -= sizeof n + n;
    return true;
}

/* ---- JSON ---- */

/* The bytes of one well-formed character that is not ASCII (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool longer = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return longer || outside ? 0 : want;
}

void text_json(struct buf *out, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    buf_add(out, "\"", 1);
    for (size_t i = 0; i < s.n;) {
        size_t n = p[i] < 0x80 ? 1 : utf8_length(p + i, s.n - i);
        if (n == 0)
            buf_add(out, "?", 1);
        else if (p[i] == '"' || p[i] == '\\')
            buf_printf(out, "\\%c", p[i]);
        else if (p[i] < 0x20 || p[i] == 0x7f)
            buf_printf(out, "\\u%04x", p[i]);
        else
            buf_add(out, p + i, n);
        i += MAX(n, (size_t)1);
    }
    buf_add(out, "\"", 1);
}

static void text_key(struct buf *out, const char *key)
{
    if (out->n && out->p[out->n - 1] != '{')
        buf_add(out, ",", 1);
    buf_printf(out, "\"%s\":", key);
}

void text_member(struct buf *out, const char *key, struct str value)
{
    text_key(out, key);
    text_json(out, value);
}

void text_number(struct buf *out, const char *key, uint64_t value)
{
    text_key(out, key);
    buf_printf(out, "%" PRIu64, MIN(value, (uint64_t)INT64_MAX));
}

void text_time(struct buf *out, const char *key, uint64_t wall)
{
    time_t seconds = (time_t)(wall / NS_PER_S);
    struct tm tm;
    char date[32] = "";
    if (gmtime_r(&seconds, &tm))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    text_key(out, key);
    buf_printf(out, "\"%s.%03uZ\"", date, (unsigned)(wall / NS_PER_MS % 1000));
}

static void signal_json(struct buf *out, const struct audit_signal *s, const struct audit_record *r)
{
    uint64_t age = s->at && r->boot > s->at ? r->boot - s->at : 0;
    buf_add(out, "{", 1);
    text_member(out, "signal", s->signal);
    text_number(out, "count", s->count);
    text_number(out, "detail", s->detail);
    text_member(out, "observer", s->observer);
    text_key(out, "age_seconds");
    buf_printf(out, "%" PRIu64 ".%03u", age / NS_PER_S, (unsigned)(age / NS_PER_MS % 1000));
    if (s->at)
        text_time(out, "time", r->wall - MIN(age, r->wall));
    if (s->says.n)
        text_member(out, "says", s->says);
    buf_add(out, "}", 1);
}

void record_evidence(struct buf *out, const struct audit_record *r)
{
    buf_add(out, "[", 1);
    for (uint32_t i = 0; i < r->n_evidence; i++) {
        if (i)
            buf_add(out, ",", 1);
        signal_json(out, &r->evidence[i], r);
    }
    buf_add(out, "]", 1);
}
