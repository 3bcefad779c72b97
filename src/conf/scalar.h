/* scalar: numbers with units, from text and back. Inside this room only. Pure; no memory. */
#ifndef HF_CONF_SCALAR_H
#define HF_CONF_SCALAR_H

#include "base/base.h"

enum scalar_result {
    SCALAR_OK,
    SCALAR_SYNTAX, /* not of this form at all */
    SCALAR_UNIT,   /* a number, and its unit is missing or unknown */
    SCALAR_HUGE,   /* does not fit 64 bits */
};

enum scalar_result scalar_count(struct str s, uint64_t *out);
enum scalar_result scalar_duration(struct str s, uint64_t *ns);    /* us ms s m h d */
enum scalar_result scalar_size(struct str s, uint64_t *bytes);     /* k m g t, of 1024 */
enum scalar_result scalar_share(struct str s, uint64_t *permille); /* 20% 12.5% */

enum { SCALAR_TEXT_MAX = 32 };
/* In the largest unit that loses nothing. Terminated; returns to. */
const char *scalar_duration_text(uint64_t ns, char to[SCALAR_TEXT_MAX]);
const char *scalar_size_text(uint64_t bytes, char to[SCALAR_TEXT_MAX]);
const char *scalar_share_text(uint64_t permille, char to[SCALAR_TEXT_MAX]);

#endif
