/* suggest: which known word was probably meant. Inside this room only. Pure; no memory. */
#ifndef HF_CONF_SUGGEST_H
#define HF_CONF_SUGGEST_H

#include "base/base.h"

struct suggestion {
    struct str word;
    const char *best; /* NULL: nothing is near */
    unsigned distance;
};

struct suggestion suggest_for(struct str word);
void suggest_try(struct suggestion *s, const char *candidate);

#endif
