#include "wire/http1_scan.h"

#include "wire/http1_class.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 16 };

/* CR, LF, HTAB and what no head may hold. */
static inline bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static inline bool is_name(char c)
{
    return ((unsigned char)((c | 0x20) - 'a')) < 26 || c == '-';
}

#if defined __SSE2__ && !defined HTTP1_PORTABLE
static inline __m128i load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i at_most(__m128i x, char bound)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(bound)), x);
}

static inline const char *next_control(const char *p, const char *end)
{
    for (; end - p >= BLOCK; p += BLOCK) {
        __m128i x = load(p), del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
        int bits = _mm_movemask_epi8(_mm_or_si128(at_most(x, 0x1f), del));
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
    while (p < end && !is_control(*p))
        p++;
    return p;
}

const char *http1_skip_name(const char *p, const char *end)
{
    for (; end - p >= BLOCK; p += BLOCK) {
        __m128i x = load(p), lower = _mm_or_si128(x, _mm_set1_epi8(0x20));
        __m128i letter = at_most(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 25);
        __m128i dash = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
        int bits = _mm_movemask_epi8(_mm_or_si128(letter, dash)) ^ 0xffff;
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
    while (p < end && is_name(*p))
        p++;
    return p;
}

const char *http1_find_cr(const char *p, const char *end)
{
    for (; end - p >= BLOCK; p += BLOCK) {
        int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(load(p), _mm_set1_epi8('\r')));
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
    while (*p != '\r')
        p++;
    return p;
}
#else
static inline const char *next_control(const char *p, const char *end)
{
    while (p < end && !is_control(*p))
        p++;
    return p;
}

const char *http1_skip_name(const char *p, const char *end)
{
    while (p < end && is_name(*p))
        p++;
    return p;
}

const char *http1_find_cr(const char *p, const char *end)
{
    while (p < end && *p != '\r')
        p++;
    return p;
}
#endif

static int refused(struct http1_scan *out, enum http1_refuse why)
{
    out->refuse = why;
    return HTTP_REFUSED;
}

/* Looks at the bytes [from, end) for the end of the head or a byte to refuse, from one control
 * character to the next. The bytes before `from` were looked at, so a CR or a LF there is part of
 * a line's end: that one begins anew. */
static int scan_bytes(const char *begin, const char *from, const char *end, struct http1_scan *out)
{
    const char *line = begin, *p = from; /* the first line is not empty */
    while (p > begin && (p[-1] == '\r' || p[-1] == '\n'))
        p--;
    while ((p = next_control(p, end)) < end) {
        if (*p == '\r') {
            if (end - p < 2)
                return HTTP_MORE;
            if (p[1] != '\n')
                return refused(out, REFUSE_BARE_CR);
            p += 2;
            if (p - line == 2) {
                out->end = out->begin + (size_t)(p - begin);
                return HTTP_DONE;
            }
            line = p;
        } else if (*p == '\t') {
            p++;
        } else {
            return refused(out, *p == '\n' ? REFUSE_BARE_LF : *p ? REFUSE_CONTROL : REFUSE_NUL);
        }
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
        r = scan_bytes(p + out->begin, p + MIN(MAX(seen, out->begin), bound), p + bound, out);
    if (r != HTTP_MORE || n < lim->head_bytes)
        return r;
    /* No end within the limit. */
    bool line = bound > out->begin && memchr(p + out->begin, '\n', bound - out->begin);
    out->refuse = line || !request ? REFUSE_HEAD_SIZE : REFUSE_LINE_SIZE;
    return HTTP_REFUSED;
}
