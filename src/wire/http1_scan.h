/* http1_scan: finds the end of a head, and refuses on the way every byte that no head may hold.
 *
 * It is the only part that meets a head in pieces. What comes behind it works on a whole head whose
 * line ends are all CR LF and whose other bytes are HTAB, printable or above 0x7f, and so needs
 * no bounds of its own within it: each loop over a class of bytes ends at a CR at the latest.
 *
 * It steps from one control character to the next, and those are found 32 bytes at a time with SSE2
 * where there is SSE2, else one at a time. */
#ifndef HF_HTTP1_SCAN_H
#define HF_HTTP1_SCAN_H

#include "wire/http1_refuse.h"

#if defined __SSE2__ && !defined HTTP1_PORTABLE
#define HTTP1_SIMD
#include <emmintrin.h>
#endif

struct http1_scan {
    size_t begin, end; /* of the head, leading CR LF left out, empty line included */
    enum http1_refuse refuse;
};

/* HTTP_MORE, HTTP_DONE (begin, end) or HTTP_REFUSED (refuse). The earliest byte that can be refused
 * decides, so that the answer does not depend on how the bytes were cut. */
int http1_scan(const char *p, size_t n, size_t seen, const struct http_limits *lim, bool request,
               struct http1_scan *out);

#ifdef HTTP1_SIMD
static inline __m128i http1_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i http1_at_most(__m128i x, char bound)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(bound)), x);
}
#endif

/* Behind the letters and dashes that p begins with: nearly every field's name, of which other bytes
 * may be a part as well. */
static inline const char *http1_skip_name(const char *p, const char *end)
{
#ifdef HTTP1_SIMD
    for (; end - p >= 16; p += 16) {
        __m128i x = http1_load(p), lower = _mm_or_si128(x, _mm_set1_epi8(0x20));
        __m128i letter = http1_at_most(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 25);
        __m128i dash = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
        int bits = _mm_movemask_epi8(_mm_or_si128(letter, dash)) ^ 0xffff;
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
#endif
    while (p < end && ((unsigned char)((*p | 0x20) - 'a') < 26 || *p == '-'))
        p++;
    return p;
}

/* The first CR from p on; the caller knows that there is one before end. */
static inline const char *http1_find_cr(const char *p, const char *end)
{
#ifdef HTTP1_SIMD
    for (; end - p >= 16; p += 16) {
        int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(http1_load(p), _mm_set1_epi8('\r')));
        if (bits)
            return p + __builtin_ctz((unsigned)bits);
    }
#endif
    while (p < end && *p != '\r')
        p++;
    return p;
}

#endif
