#include "detect/logs/miner.h"

#include "detect/logs/error_words.h"

enum {
    NONE = 0xffff,
    RECENT_LEAST = 256,
    RECENT_MOST = 16384,
    BUCKETS = 1024, /* grows no more: templates are compared by their whole bucket */
    HEAD_MOST = 8
};
#define COVERED 4 /* tenths */
#define JOINED  8
#define SIBLING 5

/* Where the lines with these words went last. */
struct recent {
    uint64_t key; /* 0: none */
    uint32_t slot, serial;
};

struct miner {
    struct template **slots;
    uint32_t cap, n, most;
    uint32_t free_from; /* no slot before it is free */
    uint32_t serials;
    uint16_t newest, oldest;
    struct recent *recent;
    uint32_t recent_n; /* a power of two */
    uint16_t buckets[BUCKETS];
    size_t bytes;
    struct words words; /* of the line at hand */
    uint32_t dash;      /* the hash of "-", which stands for a value that is not there */
    miner_gone_fn *gone;
    void *context;
};

struct miner *miner_new(uint32_t most, miner_gone_fn *gone, void *context)
{
    struct miner *m = mem_zero(1, sizeof *m);
    if (!m)
        return NULL;
    m->recent = mem_zero(RECENT_LEAST, sizeof *m->recent);
    if (!m->recent) {
        mem_free(m);
        return NULL;
    }
    m->recent_n = RECENT_LEAST;
    m->most = MIN(MAX(most, 1), MINER_MOST);
    m->newest = m->oldest = NONE;
    memset(m->buckets, 0xff, sizeof m->buckets);
    m->bytes = sizeof *m + RECENT_LEAST * sizeof *m->recent;
    m->gone = gone;
    m->context = context;
    m->dash = word_hash(STR("-"));
    return m;
}

void miner_free(struct miner *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->cap; i++)
        mem_free(m->slots[i]);
    mem_free(m->slots);
    mem_free(m->recent);
    mem_free(m);
}

uint32_t miner_slots(const struct miner *m)
{
    return m->cap;
}

struct template *miner_slot(const struct miner *m, uint32_t i)
{
    return m->slots[i];
}

uint32_t miner_templates(const struct miner *m)
{
    return m->n;
}

size_t miner_bytes(const struct miner *m)
{
    return m->bytes;
}

static char *text_of(const struct template *t)
{
    return (char *)(t->words + t->n);
}

struct str template_text(const struct template *t)
{
    return (struct str){text_of(t), t->text_n};
}

/* ---- the order of use ---- */

static void unlink_slot(struct miner *m, uint16_t slot)
{
    struct template *t = m->slots[slot];
    if (t->newer == NONE)
        m->newest = t->older;
    else
        m->slots[t->newer]->older = t->older;
    if (t->older == NONE)
        m->oldest = t->newer;
    else
        m->slots[t->older]->newer = t->newer;
}

static void link_newest(struct miner *m, uint16_t slot)
{
    struct template *t = m->slots[slot];
    t->newer = NONE;
    t->older = m->newest;
    if (m->newest == NONE)
        m->oldest = slot;
    else
        m->slots[m->newest]->newer = slot;
    m->newest = slot;
}

static inline void touch(struct miner *m, uint16_t slot)
{
    if (m->newest == slot)
        return;
    unlink_slot(m, slot);
    link_newest(m, slot);
}

/* ---- the table of keys ---- */

static inline struct recent *recent_of(const struct miner *m, uint64_t key)
{
    return &m->recent[(uint32_t)(key >> 32) & (m->recent_n - 1)];
}

/* Four places a template. Where memory is out it stays as it is: it may forget. */
static void grow_recent(struct miner *m)
{
    if (m->n * 4 <= m->recent_n || m->recent_n >= RECENT_MOST)
        return;
    struct recent *larger = mem_zero((size_t)m->recent_n * 2, sizeof *larger);
    if (!larger)
        return;
    struct recent *old = m->recent;
    uint32_t n = m->recent_n;
    m->recent = larger;
    m->recent_n = n * 2;
    m->bytes += n * sizeof *larger;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].key)
            *recent_of(m, old[i].key) = old[i];
    mem_free(old);
}

/* ---- the head ---- */

static bool blank_behind(struct str line, uint32_t at)
{
    return at >= line.n || line.p[at] == ' ' || line.p[at] == '\t';
}

static bool level(struct str word)
{
    static const char *const levels[] = {
        "trace", "debug", "info",  "notice",  "warn",      "warning", "error",
        "err",   "crit",  "alert", "emerg",   "critical",  "fatal",   "panic",
        "utc",   "gmt",   "log",   "verbose", "statement", "detail",  "hint"};
    for (uint32_t i = 0; i < ARRAY_LEN(levels); i++)
        if (str_eq_nocase(word, str_of(levels[i])))
            return true;
    return false;
}

static bool word_level(struct str line, const struct words *w, uint32_t i)
{
    return w->hash[i] && level((struct str){line.p + w->from[i], w->to[i] - w->from[i]});
}

static bool in_head(struct str line, const struct words *w, uint32_t i)
{
    return w->hash[i] == 0 || w->to[i] - w->from[i] == 1 || word_level(line, w, i);
}

/* "program[1234]:", or syslog's "Nov 23 21:38:04 host program:". */
static bool names_program(struct str line, const struct words *w, uint32_t i)
{
    uint32_t to = w->to[i];
    bool number = w->hash[i] == 0;
    if (number && i && to < line.n && line.p[to] == ']' && line.p[w->from[i] - 1] == '[')
        to++;
    else if (number || i != 2 || w->hash[0] || line.p[0] == '[')
        return false;
    return to < line.n && line.p[to] == ':' && blank_behind(line, to + 1);
}

/* "LOG:" or "ERROR:" in capitals, in a line that begins with a time. */
static bool names_level(struct str line, const struct words *w, uint32_t i)
{
    uint32_t to = w->to[i];
    char first = line.p[w->from[i]];
    return w->hash[0] == 0 && first >= 'A' && first <= 'Z' && word_level(line, w, i) &&
           to < line.n && line.p[to] == ':';
}

/* What is before the message, and a hash of what tells events apart there: level and program. */
struct head {
    uint32_t n;
    uint64_t hash;
};

static void mix_head(struct head *h, uint32_t word)
{
    h->hash = (h->hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct head head_of(struct str line, const struct words *w)
{
    uint32_t most = MIN(w->n, HEAD_MOST), i = 0;
    struct head h = {0};
    while (i < most && !names_program(line, w, i) && !names_level(line, w, i))
        i++;
    h.n = i < most ? i + 1 : 0;
    if (h.n && names_program(line, w, i))
        mix_head(&h, w->hash[i] ? w->hash[i] : w->hash[i - 1]);
    while (h.n < most && in_head(line, w, h.n))
        h.n++;
    for (uint32_t k = 0; k < h.n; k++)
        if (word_level(line, w, k))
            mix_head(&h, w->hash[k]);
    return h;
}

static uint64_t bucket_of(const struct words *w, struct head h)
{
    uint64_t b = (h.hash ^ (w->n + 1)) * UINT64_C(0x9e3779b97f4a7c15);
    return b ^ b >> 29;
}

static uint16_t *chain_of(struct miner *m, uint64_t bucket)
{
    return &m->buckets[bucket % BUCKETS];
}

/* ---- templates come and go ---- */

static void enter_bucket(struct miner *m, struct template *t, uint16_t slot)
{
    uint16_t *chain = chain_of(m, t->bucket);
    t->next = *chain;
    t->previous = NONE;
    if (t->next != NONE)
        m->slots[t->next]->previous = slot;
    *chain = slot;
}

static void leave_bucket(struct miner *m, struct template *t)
{
    if (t->next != NONE)
        m->slots[t->next]->previous = t->previous;
    if (t->previous == NONE)
        *chain_of(m, t->bucket) = t->next;
    else
        m->slots[t->previous]->next = t->next;
}

static size_t size_of(const struct template *t)
{
    return sizeof *t + t->n * sizeof *t->words + t->text_cap;
}

static void drop(struct miner *m, uint16_t slot, struct template *into)
{
    struct template *t = m->slots[slot];
    if (m->gone)
        m->gone(m->context, t, into);
    leave_bucket(m, t);
    unlink_slot(m, slot);
    m->bytes -= size_of(t);
    m->n--;
    mem_free(t);
    m->slots[slot] = NULL;
    m->free_from = MIN(m->free_from, slot);
}

/* A free slot, or NONE. */
static uint16_t slot_for(struct miner *m)
{
    if (m->n == m->most)
        drop(m, m->oldest, NULL);
    while (m->free_from < m->cap && m->slots[m->free_from])
        m->free_from++;
    if (m->free_from < m->cap)
        return (uint16_t)m->free_from;
    uint32_t cap = MIN(MAX(m->cap * 2, 16), m->most);
    struct template **slots = mem_resize(m->slots, cap * sizeof(*slots));
    if (!slots)
        return NONE;
    memset(slots + m->cap, 0, (cap - m->cap) * sizeof *slots);
    m->bytes += (cap - m->cap) * sizeof *slots;
    m->slots = slots;
    m->cap = cap;
    return (uint16_t)m->free_from;
}

static struct template *add(struct miner *m, uint64_t bucket, uint32_t n, uint32_t text_cap)
{
    uint16_t slot = slot_for(m);
    struct template *t =
        slot == NONE ? NULL : mem_alloc(sizeof *t + n * sizeof *t->words + text_cap);
    if (!t)
        return NULL;
    *t = (struct template){.n = (uint16_t)n, .bucket = bucket, .text_cap = (uint16_t)text_cap};
    t->words = (uint32_t *)(t + 1);
    m->slots[slot] = t;
    m->n++;
    m->bytes += size_of(t);
    t->serial = m->serials++;
    enter_bucket(m, t, slot);
    link_newest(m, slot);
    grow_recent(m);
    return t;
}

/* ---- text ---- */

static void put(struct template *t, const char *p, uint32_t n)
{
    n = MIN(n, (uint32_t)(t->text_cap - t->text_n));
    if (n == 0)
        return;
    memcpy(text_of(t) + t->text_n, p, n);
    t->text_n = (uint16_t)(t->text_n + n);
}

/* The line, with what is variable in the template masked. */
static void write_text(struct template *t, struct str line, const struct words *w)
{
    uint32_t at = 0;
    t->text_n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        put(t, line.p + at, w->from[i] - at);
        if (t->words[i] == 0)
            put(t, "<*>", 3);
        else
            put(t, line.p + w->from[i], w->to[i] - w->from[i]);
        at = w->to[i];
    }
    if (line.n > at)
        put(t, line.p + at, (uint32_t)MIN(line.n - at, MINER_TEXT));
}

static uint32_t text_cap_of(struct str line)
{
    return (uint32_t)MIN(line.n + 16, MINER_TEXT);
}

/* ---- likeness ---- */

struct likeness {
    uint32_t equal, differ; /* constant words of the line; of the template */
    uint64_t places;        /* where the template's differ */
};

static struct likeness compare(const struct miner *m, const struct template *t)
{
    const struct words *w = &m->words;
    struct likeness l = {0};
    for (uint32_t i = t->head; i < t->n; i++) {
        bool differs = t->words[i] && t->words[i] != w->hash[i] && t->words[i] != m->dash &&
                       w->hash[i] != m->dash;
        l.equal += t->words[i] && t->words[i] == w->hash[i];
        l.differ += differs;
        l.places |= (uint64_t)differs << i;
    }
    return l;
}

enum verdict_of { OWN, JOIN, MAYBE, OTHER };

/* early: the first word of the message differs, or the line is an object whose message is fixed. */
static enum verdict_of judge(struct likeness l, uint32_t constants, bool early)
{
    if (l.differ == 0 && (constants == 0 || l.equal * 10 >= constants * COVERED))
        return OWN;
    if (l.equal * 10 >= constants * JOINED && constants && !early)
        return JOIN;
    return l.equal * 10 >= constants * SIBLING && constants ? MAYBE : OTHER;
}

struct found {
    enum verdict_of verdict;
    uint16_t slot;
    struct likeness likeness;
    uint32_t constants; /* of the line, behind its head */
    uint32_t first;     /* of them */
};

static bool of_bucket(const struct template *t, const struct words *w, uint32_t head,
                      uint64_t bucket)
{
    return t->bucket == bucket && t->n == w->n && t->head == head;
}

static struct found look(struct miner *m, uint32_t head, uint64_t bucket)
{
    struct found best = {.verdict = OTHER, .slot = NONE};
    for (uint32_t i = m->words.n; i-- > head;) {
        if (m->words.hash[i] == 0)
            continue;
        best.constants++;
        best.first = i;
    }
    uint32_t compared = 0;
    for (uint16_t slot = *chain_of(m, bucket); slot != NONE; slot = m->slots[slot]->next) {
        const struct template *t = m->slots[slot];
        if (!of_bucket(t, &m->words, head, bucket))
            continue;
        if (compared++ == MINER_COMPARED)
            break;
        struct likeness l = compare(m, t);
        bool early = m->words.object || (l.places >> best.first & 1);
        enum verdict_of v = judge(l, best.constants, early);
        if (v < best.verdict || (v == best.verdict && l.equal > best.likeness.equal)) {
            best.verdict = v;
            best.slot = slot;
            best.likeness = l;
        }
    }
    return best;
}

static void join_words(struct template *t, const struct words *w)
{
    for (uint32_t i = t->head; i < t->n; i++)
        if (t->words[i] != w->hash[i])
            t->words[i] = 0;
}

/* Those that differ from the line where the best does become part of it, if they are enough. */
static bool join_siblings(struct miner *m, const struct found *best, uint32_t head)
{
    struct template *into = m->slots[best->slot];
    uint16_t siblings[MINER_COMPARED];
    uint32_t n = 0;
    for (uint16_t slot = *chain_of(m, into->bucket); slot != NONE && n < MINER_COMPARED;
         slot = m->slots[slot]->next) {
        const struct template *t = m->slots[slot];
        if (of_bucket(t, &m->words, head, into->bucket) &&
            compare(m, t).places == best->likeness.places)
            siblings[n++] = slot;
    }
    bool first = m->words.object || (best->likeness.places >> best->first & 1);
    if (n < (first ? MINER_SIBLINGS_FIRST : MINER_SIBLINGS))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (siblings[i] == best->slot)
            continue;
        into->lines += m->slots[siblings[i]]->lines;
        into->window += m->slots[siblings[i]]->window;
        into->known |= m->slots[siblings[i]]->known;
        rate_join(&into->rate, &m->slots[siblings[i]]->rate);
        drop(m, siblings[i], into);
    }
    return true;
}

static struct template *found_template(struct miner *m, struct str line, uint32_t head,
                                       uint64_t bucket)
{
    const struct words *w = &m->words;
    struct template *t = add(m, bucket, w->n, text_cap_of(line));
    if (!t)
        return NULL;
    memcpy(t->words, w->hash, w->n * sizeof *t->words);
    t->head = (uint16_t)head;
    t->id = w->key;
    t->error = error_words(line);
    write_text(t, line, w);
    return t;
}

static struct template *count(struct miner *m, struct template *t, uint16_t slot)
{
    t->lines++;
    t->window++;
    touch(m, slot);
    return t;
}

/* The line belongs to the template that was found. */
static void widen(struct template *t, struct str line, const struct words *w)
{
    join_words(t, w);
    write_text(t, line, w);
}

/* Words that the table of keys does not know. */
static struct template *new_words(struct miner *m, struct str line, bool *founded)
{
    struct head h = head_of(line, &m->words);
    uint32_t head = h.n;
    uint64_t bucket = bucket_of(&m->words, h);
    struct found best = look(m, head, bucket);
    bool own = best.verdict == OWN, join = best.verdict == JOIN;
    struct template *t;
    if (own || join || (best.verdict == MAYBE && join_siblings(m, &best, head))) {
        t = m->slots[best.slot];
        if (!own)
            widen(t, line, &m->words);
    } else {
        bool known = best.verdict == MAYBE && m->slots[best.slot]->known;
        t = found_template(m, line, head, bucket);
        if (!t)
            return NULL;
        t->known = known;
        *founded = true;
        best.slot = m->newest;
    }
    *recent_of(m, m->words.key) = (struct recent){m->words.key, best.slot, t->serial};
    return count(m, t, best.slot);
}

bool miner_restore(struct miner *m, const struct template *from, struct str text)
{
    CHECK(from->n <= WORDS_MAX && from->head <= from->n && text.n <= MINER_TEXT);
    if (m->n == m->most)
        return false;
    struct template *t = add(m, from->bucket, from->n, MINER_TEXT);
    if (!t)
        return false;
    t->head = from->head;
    t->id = from->id;
    t->error = from->error;
    t->known = from->known;
    t->times = from->times;
    t->rate = from->rate;
    memcpy(t->words, from->words, from->n * sizeof *t->words);
    put(t, text.p, (uint32_t)text.n);
    return true;
}

struct template *miner_line(struct miner *m, struct str line, bool *founded)
{
    *founded = false;
    words_of(line, &m->words);
    if (m->words.n == 0)
        return NULL;
    const struct recent *r = recent_of(m, m->words.key);
    struct template *t = r->key == m->words.key && r->key ? m->slots[r->slot] : NULL;
    if (t && t->serial == r->serial)
        return count(m, t, (uint16_t)r->slot);
    return new_words(m, line, founded);
}
