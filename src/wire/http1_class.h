/* http1_class: which bytes may stand where, as one table of bit sets. */
#ifndef HF_HTTP1_CLASS_H
#define HF_HTTP1_CLASS_H

#include <stdbool.h>
#include <stdint.h>

enum http1_class {
    CLASS_TOKEN = 1,  /* tchar: methods, field names, options (RFC 9110, 5.6.2) */
    CLASS_PATH = 2,   /* of a target up to its '?' */
    CLASS_QUERY = 4,  /* of a target behind its '?' */
    CLASS_HOST = 8,   /* of a registered name (RFC 3986, 3.2.2), '%' and ',' left out */
    CLASS_VALUE = 16, /* of a field value: HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
    CLASS_HEX = 32,
    CLASS_DIGIT = 64,
};

extern const uint8_t http1_class[256];

static inline bool is_class(char c, unsigned classes)
{
    return (http1_class[(unsigned char)c] & classes) != 0;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

#endif
