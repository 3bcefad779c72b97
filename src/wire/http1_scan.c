#include "wire/http1_scan.h"

#include "wire/http1_class.h"

enum { BLOCK = 32 };

/* CR, LF, HTAB and what no head may hold. */
static inline bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

#ifdef HTTP1_SIMD
static inline uint32_t controls_of_16(const char *p)
{
    __m128i x = http1_load(p), del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(http1_at_most(x, 0x1f), del));
}

/* The control characters of a block: one bit a byte, the first byte lowest. */
static inline uint32_t controls_of(const char *p)
{
    return controls_of_16(p) | controls_of_16(p + 16) << 16;
}
#else
static inline uint32_t controls_of(const char *p)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < BLOCK; i++)
        bits |= (uint32_t)is_control(p[i]) << i;
    return bits;
}
#endif

#ifdef HTTP1_PORTABLE /* for the test that compares */
const char *http1_skip_name_portable(const char *p, const char *end);
const char *http1_find_cr_portable(const char *p, const char *end);

const char *http1_skip_name_portable(const char *p, const char *end)
{
    return http1_skip_name(p, end);
}

const char *http1_find_cr_portable(const char *p, const char *end)
{
    return http1_find_cr(p, end);
}
#endif

/* The control characters of [p, end), of which no more than a block is looked at. What is less than
 * a block is looked at together with the bytes before it, from begin on, if these make it one. */
static inline uint32_t controls_in(const char *begin, const char *p, const char *end)
{
    if (end - p >= BLOCK)
        return controls_of(p);
    if (end - begin >= BLOCK)
        return controls_of(end - BLOCK) >> (BLOCK - (end - p));
    char rest[BLOCK] = {0};
    uint32_t width = (uint32_t)(end - p);
    memcpy(rest, p, width);
    return controls_of(rest) & ((1u << width) - 1);
}

static int refused(struct http1_scan *out, char control)
{
    switch (control) {
    case '\r': out->refuse = REFUSE_BARE_CR; break;
    case '\n': out->refuse = REFUSE_BARE_LF; break;
    case 0: out->refuse = REFUSE_NUL; break;
    default: out->refuse = REFUSE_CONTROL;
    }
    return HTTP_REFUSED;
}

/* Looks at the bytes [from, end) for the end of the head or a byte to refuse. Those before `from`
 * were looked at, so a CR or a LF there is part of a line's end: that one begins anew. The last
 * byte waits until all others are judged: it can be a CR of which nothing is known yet. */
static int scan_bytes(const char *begin, const char *from, const char *end, struct http1_scan *out)
{
    const char *line = begin, *p = from, *last = end - 1; /* the first line is not empty */
    while (p > begin && (p[-1] == '\r' || p[-1] == '\n'))
        p--;
    while (p < last) {
        for (uint32_t bits = controls_in(begin, p, last); bits; bits &= bits - 1) {
            const char *at = p + __builtin_ctz(bits);
            if (at[0] == '\r' && at[1] == '\n') {
                if (at == line) {
                    out->end = out->begin + (size_t)(at + 2 - begin);
                    return HTTP_DONE;
                }
                line = at + 2;
                bits &= bits - 1; /* then that of the LF */
            } else if (*at != '\t') {
                return refused(out, *at);
            }
        }
        p = MAX(p + MIN(last - p, (ptrdiff_t)BLOCK), line);
    }
    if (p == last && is_control(*p) && *p != '\t' && *p != '\r')
        return refused(out, *p);
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
