#include "detect/logs/baseline.h"

enum { MARK_ERROR = 1, MARK_KNOWN = 2, TEMPLATE_LEAST = 16 + 4 + 16 + 4, HASH = 8 };
static const char magic[4] = {'H', 'F', 'L', 'G'};

static uint32_t bits_of(float f)
{
    uint32_t v;
    memcpy(&v, &f, sizeof v);
    return v;
}

static void put_rate(struct buf *b, const struct rate *r)
{
    put_u32(b, bits_of(r->mean));
    put_u32(b, bits_of(r->variance));
    put_u32(b, r->ticks);
    put_u32(b, r->active);
}

static void put_template(struct buf *b, const struct template *t)
{
    put_u64(b, t->id);
    put_u64(b, t->bucket);
    put_u8(b, (uint8_t)t->n);
    put_u8(b, (uint8_t)t->head);
    put_u8(b, (uint8_t)((t->error ? MARK_ERROR : 0) | (t->known ? MARK_KNOWN : 0)));
    put_u8(b, t->times);
    put_rate(b, &t->rate);
    for (uint32_t i = 0; i < t->n; i++)
        put_u32(b, t->words[i]);
    put_str(b, template_text(t));
}

void logs_baseline_put(const struct logs *l, struct buf *out)
{
    size_t from = out->n;
    buf_add(out, magic, sizeof magic);
    put_u16(out, BASELINE_VERSION);
    put_u16(out, 0);
    put_u32(out, l->ticks);
    put_rate(out, &l->total);
    put_u32(out, l->miner ? miner_templates(l->miner) : 0);
    for (uint32_t i = 0; l->miner && i < miner_slots(l->miner); i++)
        if (miner_slot(l->miner, i))
            put_template(out, miner_slot(l->miner, i));
    if (!out->failed)
        put_u64(out, str_hash((struct str){out->p + from, out->n - from}));
}

/* ---- reading ---- */

/* A number that a mean or a variance can be. */
static float get_number(struct reader *r)
{
    uint32_t v = get_u32(r);
    float f;
    memcpy(&f, &v, sizeof f);
    if (!(f >= 0 && f <= 1e18F)) {
        r->failed = true;
        return 0;
    }
    return f;
}

static struct rate get_rate(struct reader *r)
{
    struct rate rate = {0};
    rate.mean = get_number(r);
    rate.variance = get_number(r);
    rate.ticks = get_u32(r);
    rate.active = get_u32(r);
    if (rate.active > rate.ticks)
        r->failed = true;
    return rate;
}

static bool get_template(struct reader *r, struct template *t, uint32_t *words, struct str *text)
{
    *t = (struct template){.words = words};
    t->id = get_u64(r);
    t->bucket = get_u64(r);
    t->n = get_u8(r);
    t->head = get_u8(r);
    uint8_t marks = get_u8(r);
    t->error = marks & MARK_ERROR;
    t->known = marks & MARK_KNOWN;
    t->times = get_u8(r);
    t->rate = get_rate(r);
    if (t->n == 0 || t->n > WORDS_MAX || t->head > t->n || t->times > LOGS_TIMES)
        return false;
    for (uint32_t i = 0; i < t->n; i++)
        words[i] = get_u32(r);
    *text = get_str(r);
    return !r->failed && text->n <= MINER_TEXT;
}

/* What is before the templates. */
static uint32_t get_head(struct reader *r, uint32_t *ticks, struct rate *total)
{
    r->p += sizeof magic + 4;
    *ticks = get_u32(r);
    *total = get_rate(r);
    return get_count(r, TEMPLATE_LEAST);
}

/* All of it, into m if there is one. */
static bool get_all(struct reader r, struct logs *l, bool keep)
{
    uint32_t ticks, words[WORDS_MAX];
    struct rate total;
    uint32_t n = get_head(&r, &ticks, &total);
    if (r.failed || n > MINER_MOST)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct template t;
        struct str text;
        if (!get_template(&r, &t, words, &text))
            return false;
        if (keep && l->miner)
            miner_restore(l->miner, &t, text); /* without memory it is learnt again */
    }
    if (keep) {
        l->ticks = MIN(ticks, l->learn);
        l->total = total;
    }
    return reader_done(&r);
}

static bool whole(struct str bytes)
{
    if (bytes.n < sizeof magic + 4 + HASH || memcmp(bytes.p, magic, sizeof magic) != 0)
        return false;
    struct reader end = reader_of(bytes.p + bytes.n - HASH, HASH);
    return get_u64(&end) == str_hash((struct str){bytes.p, bytes.n - HASH});
}

int logs_baseline_get(struct logs *l, struct str bytes, struct err *e)
{
    if (!whole(bytes))
        return err_set(e, ERR_PROTO, "what was learnt is damaged: it is learnt anew");
    struct reader r = reader_of(bytes.p, bytes.n - HASH), version = r;
    version.p += sizeof magic;
    if (get_u16(&version) != BASELINE_VERSION)
        return err_set(e, ERR_PROTO, "what was learnt is of another version: it is learnt anew");
    if (!get_all(r, l, false))
        return err_set(e, ERR_PROTO, "what was learnt is damaged: it is learnt anew");
    get_all(r, l, true);
    return 0;
}
