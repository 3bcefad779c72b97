/* http1_scan: finds the end of a head, and refuses on the way every byte that no head may hold.
 *
 * It is the only part that meets a head in pieces. What comes behind it works on a whole head whose
 * line ends are all CR LF and whose other bytes are HTAB, printable or above 0x7f, and so needs
 * no bounds of its own within it: each loop over a class of bytes ends at a CR at the latest.
 *
 * 16 bytes at a time with SSE2 where there is SSE2, else one at a time by the same rules. */
#ifndef HF_HTTP1_SCAN_H
#define HF_HTTP1_SCAN_H

#include "wire/http1_refuse.h"

struct http1_scan {
    size_t begin, end; /* of the head, leading CR LF left out, empty line included */
    enum http1_refuse refuse;
};

/* HTTP_MORE, HTTP_DONE (begin, end) or HTTP_REFUSED (refuse). The earliest byte that can be refused
 * decides, so that the answer does not depend on how the bytes were cut. */
int http1_scan(const char *p, size_t n, size_t seen, const struct http_limits *lim, bool request,
               struct http1_scan *out);

/* Behind the letters and dashes that p begins with: nearly every field's name, of which other bytes
 * may be a part as well. */
const char *http1_skip_name(const char *p, const char *end);

/* The first CR from p on; the caller knows that there is one before end. */
const char *http1_find_cr(const char *p, const char *end);

#endif
