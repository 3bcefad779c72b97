#include "detect/logs/words.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCKS = WORDS_BYTES / 64, EARLY = 6 };

/* One bit a byte of the line. Behind the line all are separators. */
struct marks {
    uint64_t separator[BLOCKS + 1], digit[BLOCKS], quote[BLOCKS];
};

struct scan {
    const char *p;
    uint32_t n;
    struct marks marks;
};

/* ---- classes of bytes ---- */

enum { CLASS_DIGIT = 1, CLASS_SEPARATOR = 2, CLASS_QUOTE = 4 };
#define SEP   CLASS_SEPARATOR
#define QUOTE (CLASS_SEPARATOR | CLASS_QUOTE)
static const uint8_t classes[256] = {
    ['0'] = CLASS_DIGIT, ['1'] = CLASS_DIGIT, ['2'] = CLASS_DIGIT, ['3'] = CLASS_DIGIT,
    ['4'] = CLASS_DIGIT, ['5'] = CLASS_DIGIT, ['6'] = CLASS_DIGIT, ['7'] = CLASS_DIGIT,
    ['8'] = CLASS_DIGIT, ['9'] = CLASS_DIGIT, ['/'] = CLASS_DIGIT, ['@'] = CLASS_DIGIT,
    [' '] = SEP,         ['\t'] = SEP,        ['\r'] = SEP,        ['='] = SEP,
    [','] = SEP,         [':'] = SEP,         [';'] = SEP,         ['('] = SEP,
    [')'] = SEP,         ['['] = SEP,         [']'] = SEP,         ['{'] = SEP,
    ['}'] = SEP,         ['|'] = SEP,         ['\\'] = SEP,        ['"'] = QUOTE,
    ['\''] = QUOTE,      ['`'] = QUOTE,
};

static void mark_portably(const uint8_t *p, struct marks *m, uint32_t block)
{
    uint64_t separator = 0, digit = 0, quote = 0;
    for (uint32_t i = 0; i < 64; i++) {
        uint64_t c = classes[p[i]];
        digit |= (c & 1) << i;
        separator |= (c >> 1 & 1) << i;
        quote |= (c >> 2) << i;
    }
    m->separator[block] = separator;
    m->digit[block] = digit;
    m->quote[block] = quote;
}

#if defined(__x86_64__)
/* A class is a rectangle of high and low halves of a byte, and has one bit in a table of each (the
 * classification of simdjson): 1 digits; 2 blank; 4 tab and carriage return; 8 " and '; 16 ( ) ,;
 * 32 : ; =; 64 [ \ ] { | }; 128 `. The tables answer 0 for bytes from 128 on. */
#define LOW_HALVES                                                                                 \
    (char)(1 | 2 | 128), 1, 1 | 8, 1, 1, 1, 1, 1 | 8, 1 | 16, 1 | 4 | 16, 32, 32 | 64, 16 | 64,    \
        4 | 32 | 64, 0, 0
#define HIGH_HALVES 4, 0, 2 | 8 | 16, 1 | 32, 0, 64, (char)128, 64, 0, 0, 0, 0, 0, 0, 0, 0

__attribute__((target("avx2"))) static void mark_32(const uint8_t *p, uint32_t *separator,
                                                    uint32_t *digit, uint32_t *quote)
{
    const __m256i low = _mm256_setr_epi8(LOW_HALVES, LOW_HALVES);
    const __m256i high = _mm256_setr_epi8(HIGH_HALVES, HIGH_HALVES);
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i halves = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
    __m256i c = _mm256_and_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, halves));
    __m256i digits = _mm256_cmpeq_epi8(c, _mm256_set1_epi8(1));
    __m256i none = _mm256_cmpeq_epi8(c, _mm256_setzero_si256());
    __m256i quotes = _mm256_and_si256(c, _mm256_set1_epi8((char)(8 | 128)));
    __m256i signs = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('/')),
                                    _mm256_cmpeq_epi8(v, _mm256_set1_epi8('@')));
    *separator = ~(uint32_t)_mm256_movemask_epi8(_mm256_or_si256(none, digits));
    *digit = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(digits, signs));
    *quote = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(quotes, _mm256_setzero_si256()));
}

__attribute__((target("avx2"))) static void mark_avx2(const uint8_t *p, struct marks *m,
                                                      uint32_t block)
{
    uint32_t separator[2], digit[2], quote[2];
    mark_32(p, &separator[0], &digit[0], &quote[0]);
    mark_32(p + 32, &separator[1], &digit[1], &quote[1]);
    m->separator[block] = separator[0] | (uint64_t)separator[1] << 32;
    m->digit[block] = digit[0] | (uint64_t)digit[1] << 32;
    m->quote[block] = quote[0] | (uint64_t)quote[1] << 32;
}
#endif

typedef void mark_fn(const uint8_t *p, struct marks *m, uint32_t block);

static inline __attribute__((always_inline)) void mark_line(struct scan *s, mark_fn *mark)
{
    uint32_t block = 0;
    for (; (block + 1) * 64 <= s->n; block++)
        mark((const uint8_t *)s->p + block * 64, &s->marks, block);
    if (block * 64 < s->n) {
        uint8_t tail[64];
        memset(tail, ' ', sizeof tail);
        memcpy(tail, s->p + block * 64, s->n - block * 64);
        mark(tail, &s->marks, block++);
    }
    s->marks.separator[block] = ~UINT64_C(0);
}

/* ---- finding in marks ---- */

static inline uint32_t find(const uint64_t *bits, uint64_t flip, uint32_t from, uint32_t end)
{
    uint32_t i = from / 64;
    uint64_t b = (bits[i] ^ flip) & ~UINT64_C(0) << from % 64;
    while (b == 0) {
        if (++i * 64 >= end)
            return end;
        b = bits[i] ^ flip;
    }
    uint32_t at = i * 64 + (uint32_t)__builtin_ctzll(b);
    return MIN(at, end);
}

static inline bool any(const uint64_t *bits, uint32_t from, uint32_t to)
{
    uint32_t i = from / 64, last = (to - 1) / 64;
    uint64_t b = bits[i] & ~UINT64_C(0) << from % 64;
    for (; i < last; b = bits[++i])
        if (b)
            return true;
    return b << (63 - (to - 1) % 64);
}

/* ---- hashes ---- */

static inline uint64_t load(const char *p, uint32_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* By eights, the last one overlapping; as wyhash does. */
static inline uint32_t hash(const char *p, uint32_t n)
{
    const uint64_t k1 = UINT64_C(0xa0761d6478bd642f), k2 = UINT64_C(0xe7037ed1a0b428db);
    uint64_t a, b = n;
    if (n >= 8) {
        for (uint32_t i = 8; i < n; i += 8)
            b = mix(load(p + i - 8, 8) ^ k1, b ^ k2);
        a = load(p + n - 8, 8);
    } else if (n >= 4) {
        a = load(p, 4) | load(p + n - 4, 4) << 32;
    } else {
        a = (uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint64_t)(uint8_t)p[n - 1] << 16;
    }
    uint64_t h = mix(a ^ k1, b ^ k2);
    return (uint32_t)(h ^ h >> 32) | 1;
}

uint32_t word_hash(struct str word)
{
    return word.n ? hash(word.p, (uint32_t)word.n) : 1;
}

/* ---- words ---- */

static inline bool full(const struct words *w)
{
    return w->n == WORDS_MAX;
}

static inline void add_variable(struct words *w, uint32_t from, uint32_t to)
{
    if (w->n && w->hash[w->n - 1] == 0) {
        w->to[w->n - 1] = (uint16_t)to;
        return;
    }
    w->hash[w->n] = 0;
    w->from[w->n] = (uint16_t)from;
    w->to[w->n++] = (uint16_t)to;
}

/* Dashes stand for a value that is not there, and are all alike. */
static bool only_dashes(const char *p, uint32_t n)
{
    while (n && p[n - 1] == '-')
        n--;
    return n == 0;
}

static inline void add_constant(struct words *w, const char *p, uint32_t from, uint32_t to)
{
    if (p[from] == '-' && only_dashes(p + from, to - from))
        w->hash[w->n] = hash("-", 1);
    else
        w->hash[w->n] = hash(p + from, to - from);
    w->from[w->n] = (uint16_t)from;
    w->to[w->n++] = (uint16_t)to;
}

static bool is_date(const char *p)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";
    for (uint32_t i = 0; i < sizeof names - 1; i += 3)
        if (memcmp(p, names + i, 3) == 0)
            return true;
    return false;
}

/* "ab" of fe80::ab: behind colons that touch a variable word. */
static bool goes_on(const struct words *w, const char *p, uint32_t from, uint32_t to)
{
    uint32_t at = from;
    while (at && p[at - 1] == ':')
        at--;
    if (from - at < 2 || to - from > 4 || w->n == 0 || w->hash[w->n - 1] || w->to[w->n - 1] != at)
        return false;
    for (uint32_t i = from; i < to; i++)
        if ((p[i] | 0x20) < 'a' || (p[i] | 0x20) > 'f')
            return false;
    return true;
}

static inline void add_word(struct words *w, const struct scan *s, uint32_t from, uint32_t to)
{
    const char *p = s->p + from;
    bool date = to - from == 3 && w->n < EARLY && is_date(p);
    bool colon = from && p[-1] == ':';
    bool unknown = to - from == 1 && *p == '?';
    if (any(s->marks.digit, from, to) || unknown || date || (colon && goes_on(w, s->p, from, to)))
        add_variable(w, from, to);
    else
        add_constant(w, s->p, from, to);
}

static bool is_word(const struct scan *s, uint32_t at)
{
    return at < s->n && !(s->marks.separator[at / 64] >> at % 64 & 1);
}

/* Where the quoted text that begins at `at` ends, behind its mark; 0: it does not. */
static uint32_t quoted(const struct scan *s, uint32_t at, uint32_t stop)
{
    bool escaped = at && s->p[at - 1] == '\\';
    for (uint32_t i = at + 1; i < stop; i++) {
        const char *end = memchr(s->p + i, s->p[at], stop - i);
        if (!end)
            return s->n == WORDS_BYTES && stop == s->n ? stop : 0; /* it ends behind what is seen */
        i = (uint32_t)(end - s->p);
        if ((s->p[i - 1] == '\\') == escaped && (i + 1 == stop || !is_word(s, i + 1)))
            return i + 1;
    }
    return 0;
}

static bool tells(struct str key)
{
    return str_eq(key, STR("msg")) || str_eq(key, STR("message")) || str_eq(key, STR("event"));
}

/* "msg=" stands before the mark. */
static bool told(const struct scan *s, const struct words *w, uint32_t mark)
{
    uint32_t last = w->n ? w->n - 1 : 0;
    return w->n && s->p[mark - 1] == '=' && w->to[last] == mark - 1 &&
           tells((struct str){s->p + w->from[last], w->to[last] - w->from[last]});
}

/* Of the separators from `at` on: adds the quoted texts among them; the first byte of the next
 * word. */
static uint32_t skip_quoted(const struct scan *s, struct words *w, uint32_t at, uint32_t stop)
{
    uint32_t to = find(s->marks.separator, ~UINT64_C(0), at, stop);
    while (at < to && any(s->marks.quote, at, to) && !full(w)) {
        uint32_t mark = find(s->marks.quote, 0, at, s->n), end;
        if ((mark == 0 || !is_word(s, mark - 1)) && !told(s, w, mark) &&
            (end = quoted(s, mark, stop))) {
            add_variable(w, mark, end);
            to = find(s->marks.separator, ~UINT64_C(0), end, stop);
            at = end;
        } else {
            at = mark + 1;
        }
    }
    return to;
}

static bool among(struct str word, const char *const *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(word, str_of(words[i])))
            return true;
    return false;
}

/* The rest of the line is a statement: behind "statement:" and the like, and where a word of SQL in
 * capitals stands behind a colon. */
static bool is_statement(const struct scan *s, const struct words *w, uint32_t from, uint32_t to)
{
    static const char *const heads[] = {"statement", "STATEMENT", "query", "QUERY", "sql", "SQL"};
    static const char *const verbs[] = {
        "SELECT", "INSERT", "UPDATE",  "DELETE",  "BEGIN",   "COMMIT",  "ROLLBACK", "CREATE",
        "ALTER",  "DROP",   "COPY",    "VACUUM",  "ANALYZE", "GRANT",   "REVOKE",   "TRUNCATE",
        "WITH",   "MERGE",  "EXPLAIN", "EXECUTE", "PREPARE", "DECLARE", "FETCH",    "CALL"};
    uint32_t at = from;
    while (at && s->p[at - 1] == ' ')
        at--;
    if (at == 0 || at == from || s->p[at - 1] != ':' || w->n == 0)
        return false;
    uint32_t last = w->n - 1;
    struct str before = {s->p + w->from[last], w->to[last] - w->from[last]};
    if (w->to[last] == at - 1 && among(before, heads, ARRAY_LEN(heads)))
        return true;
    return among((struct str){s->p + from, to - from}, verbs, ARRAY_LEN(verbs));
}

/* A unit of systemd, as "Started dbus.service - D-Bus System Message Bus." names it. */
static bool is_unit(const char *p, uint32_t n)
{
    static const char *const ends[] = {".service", ".target", ".socket", ".mount", ".timer",
                                       ".slice",   ".device", ".scope",  ".path"};
    if (n < 6 || (p[n - 1] | 0x20) < 'a')
        return false;
    for (uint32_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t k = strlen(ends[i]);
        if (n > k && memcmp(p + n - k, ends[i], k) == 0)
            return true;
    }
    return false;
}

/* Where its description ends, if there is one. */
static uint32_t described(const struct scan *s, uint32_t to, uint32_t end)
{
    if (end - to < 3 || memcmp(s->p + to, " - ", 3) != 0)
        return to;
    const char *skipped = memmem(s->p + to, end - to, " was skipped ", 13);
    return skipped ? (uint32_t)(skipped - s->p) : end;
}

static inline bool maybe_unit(const struct scan *s, uint32_t from, uint32_t to)
{
    const char *end = s->p + to;
    return to - from > 6 && (end[-8 + (to - from == 7)] == '.' || end[-7] == '.' ||
                             end[-6] == '.' || end[-5] == '.');
}

static inline bool after_colon(const struct scan *s, uint32_t from)
{
    return from > 2 && s->p[from - 1] == ' ' && (s->p[from - 2] == ':' || s->p[from - 2] == ' ');
}

static inline void plain_words(const struct scan *s, struct words *w, uint32_t at, uint32_t end)
{
    while (at < end && !full(w)) {
        at = skip_quoted(s, w, at, end);
        if (at >= end || full(w))
            break;
        uint32_t to = find(s->marks.separator, 0, at, end);
        if (after_colon(s, at) && is_statement(s, w, at, to)) {
            add_variable(w, at, end);
            return;
        }
        if (maybe_unit(s, at, to) && is_unit(s->p + at, to - at)) {
            to = described(s, to, end);
            add_variable(w, at, to);
        } else {
            add_word(w, s, at, to);
        }
        at = to;
    }
}

/* ---- JSON ---- */

static bool tells_much(struct str key)
{
    static const char *const keys[] = {"msg", "message",   "event",    "log",     "level",
                                       "lvl", "levelname", "severity", "MESSAGE", "text"};
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        if (str_eq(key, str_of(keys[i])))
            return true;
    return false;
}

/* The text that begins with the mark at `at`: where its closing mark is, or the line's end. */
static uint32_t json_end(const struct scan *s, uint32_t at)
{
    for (uint32_t i = at + 1; i < s->n; i++) {
        i = find(s->marks.quote, 0, i, s->n);
        if (i < s->n && s->p[i] == '"' && s->p[i - 1] != '\\')
            return i;
    }
    return s->n;
}

static void json_words(const struct scan *s, struct words *w, bool keys)
{
    bool wanted = false;
    for (uint32_t at = 1; at < s->n && !full(w);) {
        at = find(s->marks.quote, 0, at, s->n);
        if (at >= s->n)
            break;
        uint32_t end = json_end(s, at);
        struct str text = {s->p + at + 1, end - at - (end > at)};
        bool key = end + 1 < s->n && s->p[end + 1] == ':';
        if (wanted && !key && !keys)
            plain_words(s, w, at + 1, end);
        if (key && keys && text.n)
            add_word(w, s, at + 1, end);
        wanted = key && tells_much(text);
        at = end + 1;
    }
}

static bool is_json(const struct scan *s)
{
    return s->n > 2 && s->p[0] == '{' && (s->p[1] == '"' || (s->p[1] == ' ' && s->p[2] == '"'));
}

static inline __attribute__((always_inline)) void all_words(struct str line, struct words *w,
                                                            mark_fn *mark)
{
    struct scan s;
    s.p = line.p;
    s.n = (uint32_t)MIN(line.n, WORDS_BYTES);
    w->n = 0;
    mark_line(&s, mark);
    if (is_json(&s))
        json_words(&s, w, false);
    w->object = w->n;
    if (w->n == 0 && is_json(&s))
        json_words(&s, w, true);
    if (w->n == 0)
        plain_words(&s, w, 0, s.n);
    uint64_t key = w->n;
    for (uint32_t i = 0; i < w->n; i++)
        key = mix(key ^ w->hash[i], UINT64_C(0x9e3779b97f4a7c15));
    w->key = key;
}

void words_of_portably(struct str line, struct words *w)
{
    all_words(line, w, mark_portably);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void words_by_avx2(struct str line, struct words *w)
{
    all_words(line, w, mark_avx2);
}

void words_of(struct str line, struct words *w)
{
    if (__builtin_cpu_supports("avx2"))
        words_by_avx2(line, w);
    else
        words_of_portably(line, w);
}
#else
void words_of(struct str line, struct words *w)
{
    words_of_portably(line, w);
}
#endif
