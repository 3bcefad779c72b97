#include "wire/http1_scan.h"

#include "wire/http1_class.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 16 };

/* One bit a byte, the first byte lowest. */
struct marks {
    uint32_t cr, lf, control;
};

#if defined __SSE2__ && !defined HTTP1_PORTABLE
static inline struct marks marks_of(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i cr = _mm_cmpeq_epi8(x, _mm_set1_epi8('\r'));
    __m128i lf = _mm_cmpeq_epi8(x, _mm_set1_epi8('\n'));
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    __m128i allowed = _mm_or_si128(tab, _mm_or_si128(cr, lf));
    __m128i control = _mm_or_si128(_mm_andnot_si128(allowed, low), del);
    return (struct marks){(uint32_t)_mm_movemask_epi8(cr), (uint32_t)_mm_movemask_epi8(lf),
                          (uint32_t)_mm_movemask_epi8(control)};
}

const char *http1_find_cr(const char *p, const char *end)
{
    for (; end - p >= BLOCK; p += BLOCK) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
    while (*p != '\r')
        p++;
    return p;
}
#else
static inline struct marks marks_of(const char *p)
{
    struct marks m = {0};
    for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t bit = 1u << i;
        if (p[i] == '\r')
            m.cr |= bit;
        else if (p[i] == '\n')
            m.lf |= bit;
        else if (!is_class(p[i], CLASS_VALUE))
            m.control |= bit;
    }
    return m;
}

const char *http1_find_cr(const char *p, const char *end)
{
    while (p < end && *p != '\r')
        p++;
    return p;
}
#endif

/* What the bytes before a block leave behind for it. */
struct before {
    uint32_t cr; /* 1: the last byte is a CR */
    uint32_t lf; /* bit 0: the last byte but one is a LF; bit 1: the last byte is */
};

static int stop_at(struct marks m, uint32_t after_cr, uint32_t bad, uint32_t i, char byte,
                   struct http1_scan *out)
{
    uint32_t bit = 1u << i;
    if (!(bad & bit))
        return HTTP_DONE;
    if (after_cr & bit)
        out->refuse = REFUSE_BARE_CR;
    else if (m.lf & bit)
        out->refuse = REFUSE_BARE_LF;
    else
        out->refuse = byte == 0 ? REFUSE_NUL : REFUSE_CONTROL;
    return HTTP_REFUSED;
}

/* Looks at the bytes [from, n) for the end of the head or a byte to refuse. */
static int scan_bytes(const char *p, size_t from, size_t n, struct http1_scan *out)
{
    struct before b = {0};
    if (from > out->begin)
        b = (struct before){p[from - 1] == '\r', (uint32_t)(p[from - 1] == '\n') << 1};
    if (from > out->begin + 1)
        b.lf |= p[from - 2] == '\n';
    for (size_t i = from; i < n; i += BLOCK) {
        size_t width = MIN(n - i, (size_t)BLOCK);
        char rest[BLOCK] = {0};
        const char *block = p + i;
        if (width < BLOCK)
            block = memcpy(rest, p + i, width);
        struct marks m = marks_of(block);
        uint32_t valid = (1u << width) - 1, after_cr = (m.cr << 1) | b.cr;
        /* A LF and "behind a CR" come together or not at all. */
        uint32_t bad = (m.control | (m.lf ^ after_cr)) & valid;
        uint32_t stop = bad | (m.lf & ((m.lf << 2) | b.lf) & valid);
        if (stop) {
            uint32_t at = (uint32_t)__builtin_ctz(stop);
            out->end = i + at + 1;
            return stop_at(m, after_cr, bad, at, block[at], out);
        }
        b = (struct before){m.cr >> (BLOCK - 1), (m.lf >> (BLOCK - 2)) & 3};
    }
    return HTTP_MORE;
}

/* The first byte tells most strangers at once (a TLS hello, for one). Returns HTTP_DONE to go on.
 */
static int first_byte(const char *p, size_t n, bool request, struct http1_scan *out)
{
    size_t i = 0;
    if (request && n && p[0] == '\r') {
        out->refuse = REFUSE_BARE_CR;
        if (n < 2)
            return HTTP_MORE;
        if (p[1] != '\n')
            return HTTP_REFUSED;
        i = out->begin = 2;
    }
    if (i >= n)
        return HTTP_MORE;
    if (request ? is_class(p[i], CLASS_TOKEN) : p[i] == 'H')
        return HTTP_DONE;
    if (is_blank(p[i]))
        out->refuse = REFUSE_LEADING_SPACE;
    else if (!request)
        out->refuse = REFUSE_STATUS_LINE;
    else if (p[i] == '\r')
        out->refuse = REFUSE_EMPTY_LINES;
    else
        out->refuse = p[i] == '\n' ? REFUSE_BARE_LF : p[i] == 0 ? REFUSE_NUL : REFUSE_METHOD;
    return HTTP_REFUSED;
}

int http1_scan(const char *p, size_t n, size_t seen, const struct http_limits *lim, bool request,
               struct http1_scan *out)
{
    *out = (struct http1_scan){0};
    size_t bound = MIN(n, (size_t)lim->head_bytes);
    int r = first_byte(p, bound, request, out);
    if (r == HTTP_DONE)
        r = scan_bytes(p, MIN(MAX(seen, out->begin), bound), bound, out);
    if (r != HTTP_MORE || n < lim->head_bytes)
        return r;
    /* No end within the limit. */
    bool line = bound > out->begin && memchr(p + out->begin, '\n', bound - out->begin);
    out->refuse = line || !request ? REFUSE_HEAD_SIZE : REFUSE_LINE_SIZE;
    return HTTP_REFUSED;
}
